"""Make a model faster: fewer nodes, 8-bit arithmetic for CPUs, half precision for GPUs.

Needs the package onnx of the extra ``learn``, imported late: a computer that only finds features has none.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import onnxruntime

from fibsem_runtime.core import Image
from fibsem_runtime.detection.compare import prepare_frame
from fibsem_runtime.detection.ranges import measure_ranges
from fibsem_runtime.detection.widening import widen_last

_QUANTISED: Final = ("Conv", "Add", "Clip", "Relu", "MaxPool", "Concat", "Resize", "Transpose", "Reshape", "Slice")
"""With all of these in 8 bit a residual U-Net runs from end to end without a step back to float."""

_FATAL_ONLY: Final = 4


def quantise(
    source: Path, target: Path, images: Sequence[Image], *, frame_shape: tuple[int, int], thread_count: int = 2
) -> None:
    """Write ``target``: static QDQ, u8 activations, s8 weights per channel (the fast choice on x86, baselines.md).

    What follows the last convolution stays float, and so does the last one itself when it looks at single pixels: it
    decides where edges lie and costs little. The standardisation in front is no convolution and stays float too.
    """
    import onnx
    from onnxruntime import quantization as tools
    from onnxruntime.quantization import shape_inference

    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        shape_inference.quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        model = onnx.load(prepared)
        kept = widen_last(model)
        onnx.save(model, prepared)
        ranges = Path(folder) / "ranges.json"
        frames = (prepare_frame(image, frame_shape) for image in images)
        measure_ranges(prepared, ranges, frames, operators=_QUANTISED, thread_count=thread_count)
        tools.quantize_static(
            str(prepared),
            str(target),
            calibration_cache_path=ranges,
            quant_format=tools.QuantFormat.QDQ,
            op_types_to_quantize=list(_QUANTISED),
            per_channel=True,
            activation_type=tools.QuantType.QUInt8,
            weight_type=tools.QuantType.QInt8,
            nodes_to_exclude=kept,
            extra_options={"ActivationSymmetric": False, "WeightSymmetric": True},
        )


def clean(source: Path, target: Path) -> int:
    """Write ``target`` with constants folded and idle nodes left out; return how many nodes fewer it has.

    Only rewritings that ONNX Runtime calls basic: the result holds standard operators and runs on every provider.
    """
    import onnx

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(target)
    options.log_severity_level = _FATAL_ONLY
    onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])
    return len(onnx.load(source).graph.node) - len(onnx.load(target).graph.node)


def halve(source: Path, target: Path) -> None:
    """Write ``target`` with weights and arithmetic in half precision; pixels in and classes out stay 8 bit."""
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    # Sums over a whole image leave the range of half precision (65504), so reductions stay in single.
    kept = ["ReduceMean", "ReduceSum", "ReduceMax", "GlobalAveragePool", "Resize", "Exp"]
    onnx.save(convert_float_to_float16(onnx.load(source), keep_io_types=True, op_block_list=kept), target)
