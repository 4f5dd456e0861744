"""The ranges that 8 bit is laid over are those of the tensors, over all frames, zero included."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import calibrate

from fibsem_runtime.detection.ranges import measure_ranges

SHAPE = (1, 1, 4, 6)


def write_graph(path: Path) -> Path:
    """Write image -> float -> plus ten -> ReLU of the negative -> classes: two Adds are quantised, Neg is not."""
    node = helper.make_node
    nodes = [
        node("Cast", ["image"], ["gray"], "cast", to=TensorProto.FLOAT),
        node("Add", ["gray", "ten"], ["more"], "more"),
        node("Neg", ["more"], ["less"], "less"),
        node("Relu", ["less"], ["nothing"], "nothing"),
        node("Cast", ["nothing"], ["classes"], "out", to=TensorProto.UINT8),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, SHAPE)],
        [helper.make_tensor_value_info("classes", TensorProto.UINT8, SHAPE)],
        [numpy_helper.from_array(np.array(10, np.float32), "ten")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def test_ranges_are_those_of_all_frames_and_hold_zero(tmp_path: Path) -> None:
    frames = [np.full(SHAPE, 50, np.uint8), np.full(SHAPE, 200, np.uint8)]
    frames[0][..., 0] = 20
    source, cache = write_graph(tmp_path / "g.onnx"), tmp_path / "ranges.json"
    measure_ranges(source, cache, frames, operators=["Add", "Relu"], thread_count=1)
    found = calibrate.load_tensors_data(cache)
    ranges = {name: tuple(float(value) for value in found[name].range_value) for name in found.keys()}
    assert ranges == {
        "gray": pytest.approx((0, 200)),
        "more": pytest.approx((0, 210)),
        "less": pytest.approx((-210, 0)),
        "nothing": pytest.approx((0, 0)),
    }
