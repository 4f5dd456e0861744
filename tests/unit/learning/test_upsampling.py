"""Convolving before a doubling says what convolving behind it said, and only where that is what a graph does."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from fibsem_runtime.learning.deploy import LogitsGraph
from fibsem_runtime.learning.upsampling import convolve_before_doubling

HEIGHT, WIDTH, SMALL, BESIDE, CLASSES = 32, 64, 3, 2, 4


def decoder(*, joins: bool = True, swapped: bool = False, mode: str = "asymmetric", pad: int = 1) -> LogitsGraph:
    """Return image -> small features -> doubled, joined with features of the image, convolved, ReLU."""
    rng = np.random.default_rng(1)
    inputs = SMALL + BESIDE * joins
    shapes = {"a": (SMALL, 1, 2, 2), "b": (BESIDE, 1, 1, 1), "w": (CLASSES, inputs, 3, 3), "bias": (CLASSES,)}
    weights = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    weights["scales"] = np.array([1, 1, 2, 2], np.float32)
    node = helper.make_node
    pair = ["skip", "double"] if swapped else ["double", "skip"]
    nodes = [
        node("Conv", ["input", "a"], ["small"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", ["input", "b"], ["skip"], kernel_shape=[1, 1]),
        node(
            "Resize",
            ["small", "", "scales"],
            ["double"],
            mode="nearest",
            coordinate_transformation_mode=mode,
            nearest_mode="floor",
        ),
        *([node("Concat", pair, ["joined"], axis=1)] if joins else []),
        node("Conv", ["joined" if joins else "double", "w", "bias"], ["sum"], kernel_shape=[3, 3], pads=[pad] * 4),
        node("Relu", ["sum"], ["output"]),
    ]
    shape = [1, CLASSES, HEIGHT + 2 * pad - 2, WIDTH + 2 * pad - 2]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 1, HEIGHT, WIDTH])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(values, name) for name, values in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return LogitsGraph(
        model=model, input_name="input", output_name="output", width_px=WIDTH, height_px=HEIGHT, class_count=CLASSES
    )


def run(graph: LogitsGraph) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(graph.model.SerializeToString(), providers=["CPUExecutionProvider"])
    image = np.random.default_rng(2).random((1, 1, HEIGHT, WIDTH), np.float32)
    logits: NDArray[np.float32] = session.run(None, {"input": image})[0]
    return logits


def kinds(graph: LogitsGraph) -> list[str]:
    return [node.op_type for node in graph.model.graph.node]


@pytest.mark.parametrize("joins", [True, False])
def test_every_pixel_stays_borders_too_and_nothing_is_doubled_any_more(joins: bool) -> None:
    graph = decoder(joins=joins)
    before = graph.model.SerializeToString()
    changed = convolve_before_doubling(graph)
    assert graph.model.SerializeToString() == before, "the original is still needed for the proof"
    assert "Resize" in kinds(graph) and "Resize" not in kinds(changed)
    onnx.checker.check_model(changed.model, full_check=True)
    expected = run(graph)
    assert 0.2 < np.mean(expected > 0) < 0.9, "the comparison is one of values, not of zeros"
    np.testing.assert_allclose(run(changed), expected, atol=2e-5)


def test_products_over_doubled_features_fall_from_36_to_16() -> None:
    kernels = {t.name: t.dims for t in convolve_before_doubling(decoder(joins=False)).model.graph.initializer}
    folded = [dims for dims in kernels.values() if list(dims[:2]) == [CLASSES, SMALL]]
    assert [list(dims[2:]) for dims in folded] == [[2, 2]] * 4


@pytest.mark.parametrize(
    "other", [decoder(swapped=True), decoder(mode="half_pixel"), decoder(pad=0)], ids=["order", "resize", "padding"]
)
def test_a_graph_that_does_something_else_stays_as_it_is(other: LogitsGraph) -> None:
    changed = convolve_before_doubling(other)
    assert kinds(changed) == kinds(other)
    np.testing.assert_array_equal(run(changed), run(other))
