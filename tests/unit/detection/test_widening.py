"""A widened last convolution gives the same numbers, and one of single pixels is left as it is."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from fibsem_runtime.detection.widening import widen_last

SHAPE = (1, 2, 8, 10)


def model_of(class_count: int, side: int) -> onnx.ModelProto:
    """Return features -> convolution -> winner."""
    rng = np.random.default_rng(1)
    weights = rng.normal(size=(class_count, SHAPE[1], side, side)).astype(np.float32)
    pads = [side // 2] * 4
    nodes = [
        helper.make_node("Conv", ["features", "weights", "bias"], ["logits"], "head", pads=pads),
        helper.make_node("ArgMax", ["logits"], ["classes"], "winner", axis=1, keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, SHAPE)],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, class_count, *SHAPE[2:]]),
            helper.make_tensor_value_info("classes", TensorProto.INT64, [1, *SHAPE[2:]]),
        ],
        [
            numpy_helper.from_array(weights, "weights"),
            numpy_helper.from_array(rng.normal(size=class_count).astype(np.float32), "bias"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def run(model: onnx.ModelProto) -> list[np.ndarray]:
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    features = np.random.default_rng(2).normal(size=SHAPE).astype(np.float32)
    return list(session.run(["logits", "classes"], {"features": features}))


@pytest.mark.parametrize("class_count", [4, 6, 16, 17])
def test_the_numbers_stay_and_the_kernel_is_filled(class_count: int) -> None:
    model = model_of(class_count, 3)
    before = run(model)
    assert widen_last(model) == ["winner"]
    after = run(model)
    assert np.allclose(before[0], after[0], atol=1e-5) and np.array_equal(before[1], after[1])
    weights = next(tensor for tensor in model.graph.initializer if tensor.name == "weights")
    assert weights.dims[0] % 16 == 0 and weights.dims[0] - class_count < 16


def test_a_convolution_of_single_pixels_is_left_as_it_is_and_stays_float() -> None:
    model = model_of(6, 1)
    before = model.SerializeToString()
    assert widen_last(model) == ["head", "winner"]
    assert model.SerializeToString() == before
