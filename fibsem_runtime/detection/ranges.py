"""Measure between which values the tensors of a graph lie, so that 8 bit can be laid over them.

ONNX Runtime's own calibration runs the graph without its optimisations and keeps all tensors of an image at once: over
24 minutes and 7.5 GB for a U-Net of 24 million parameters at 1536 x 1024. Here a range is two numbers that the graph
itself computes, as soon as the tensor is there.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from fibsem_runtime.detection.buffers import INPUT

_FATAL_ONLY: Final = 4


def measure_ranges(
    source: Path, cache: Path, frames: Iterable[NDArray[np.uint8]], *, operators: Iterable[str], thread_count: int
) -> None:
    """Write the smallest and largest value of what ``operators`` read and write over all frames, zero included.

    Frames are (1, 1, height, width) uint8. ``cache`` is a calibration cache as ``quantize_static`` reads it.
    """
    from onnxruntime.quantization import calibrate

    measuring = cache.with_suffix(".onnx")
    names = _write_measuring(source, measuring, set(operators))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = thread_count
    options.log_severity_level = _FATAL_ONLY
    session = onnxruntime.InferenceSession(str(measuring), options, providers=["CPUExecutionProvider"])
    outputs = [f"{name}_{bound}" for name in names for bound in ("lowest", "highest")]
    found = np.array([session.run(outputs, {INPUT: frame}) for frame in frames], np.float32)
    ranges = {
        name: calibrate.TensorData(
            lowest=np.minimum(found[:, 2 * index].min(), np.float32(0)),
            highest=np.maximum(found[:, 2 * index + 1].max(), np.float32(0)),
        )
        for index, name in enumerate(names)
    }
    calibrate.save_tensors_data(calibrate.TensorsData(calibrate.CalibrationMethod.MinMax, ranges), cache)


def _write_measuring(source: Path, target: Path, operators: set[str]) -> list[str]:
    """Write the graph with two reductions for every tensor as its only outputs; return the tensors' names."""
    import onnx
    from onnx import TensorProto, helper

    model = onnx.shape_inference.infer_shapes(onnx.load(source))
    graph = model.graph
    described = [*graph.value_info, *graph.output, *graph.input]
    floats = {item.name for item in described if item.type.tensor_type.elem_type == TensorProto.FLOAT}
    touched = [name for node in graph.node if node.op_type in operators for name in (*node.input, *node.output)]
    names = [name for name in dict.fromkeys(touched) if name in floats]
    del graph.output[:]
    # ONNX Runtime walks back from the last node first: with the earliest tensor last it reduces and frees in between.
    for name in reversed(names):
        for kind, bound in (("ReduceMin", "lowest"), ("ReduceMax", "highest")):
            graph.node.append(helper.make_node(kind, [name], [f"{name}_{bound}"], keepdims=0))
            graph.output.append(helper.make_tensor_value_info(f"{name}_{bound}", TensorProto.FLOAT, []))
    onnx.save(model, target)
    return names
