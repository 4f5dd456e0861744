"""Convolve before an image is doubled and not behind it: the same sums with 16 products where there were 36.

A decoder doubles its features (every pixel becomes four equal ones), joins the encoder's, and convolves 3 x 3. Of the
nine products of an output pixel over doubled features several have the same factor, so that their weights can be added
first: an even row sees two rows of the small image, with weights w0 and w1 + w2, an odd row two as well, with w0 + w1
and w2; columns alike. Each of the four kinds of output pixel, its phase, is a 2 x 2 convolution of the small image plus
a convolution of the encoder's features with stride 2; at last the phases are woven together. Only the order of summing
changes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, helper, numpy_helper

from fibsem_runtime.learning.deploy import LogitsGraph

_PHASES: Final = ((0, 0), (0, 1), (1, 0), (1, 1))
"""Row and column of an output pixel in its block of four."""

_DOUBLING: Final = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
_CONVOLUTION: Final = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
_PLAIN: Final = {"strides": [1, 1], "dilations": [1, 1], "group": 1}
"""What a convolution here does and what it leaves at the operator's defaults."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _Block:
    """Nodes that double ``small``, of ``shape`` (channels, height, width), join ``beside`` and convolve."""

    nodes: list[NodeProto]
    small: str
    shape: tuple[int, int, int]
    beside: str | None
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]

    @property
    def output(self) -> str:
        return str(self.nodes[-1].output[0])


def convolve_before_doubling(graph: LogitsGraph) -> LogitsGraph:
    """Return the graph with every doubling, joining, 3 x 3 convolution and ReLU in a row replaced; other nodes stay."""
    model = onnx.shape_inference.infer_shapes(graph.model)
    blocks = {block.output: block for block in _find_blocks(model.graph)}
    replaced = {id(node) for block in blocks.values() for node in block.nodes}
    nodes: list[NodeProto] = []
    for node in model.graph.node:
        if node.output[0] in blocks:
            writer = _Writer(blocks[node.output[0]])
            nodes.extend(writer.nodes)
            model.graph.initializer.extend(writer.constants)
        elif id(node) not in replaced:
            nodes.append(node)
    read = {name for node in nodes for name in node.input}
    nodes = [node for node in nodes if node.op_type != "Constant" or node.output[0] in read]
    weights = [tensor for tensor in model.graph.initializer if tensor.name in read]
    del model.graph.node[:], model.graph.initializer[:], model.graph.value_info[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(weights)
    return replace(graph, model=model)


def _find_blocks(graph: onnx.GraphProto) -> Iterator[_Block]:
    readers: dict[str, list[NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    constants = _constants(graph)
    shapes = {item.name: tuple(side.dim_value for side in item.type.tensor_type.shape.dim) for item in graph.value_info}
    for node in graph.node:
        chain = _chain(node, readers)
        if _is_doubling(node, constants) and _fits(chain, shapes, constants):
            yield _block(chain, shapes, constants)


def _constants(graph: onnx.GraphProto) -> dict[str, NDArray[np.float32]]:
    found = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            found[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    return found


def _chain(first: NodeProto, readers: dict[str, list[NodeProto]]) -> list[NodeProto]:
    """Return the node and those behind it up to a ReLU, as long as each is the only one that reads the one before."""
    chain = [first]
    while chain[-1].op_type != "Relu" and len(readers.get(chain[-1].output[0], [])) == 1:
        chain.append(readers[chain[-1].output[0]][0])
        if len(chain) > 4:
            break
    return chain


def _attributes(node: NodeProto) -> dict[str, object]:
    values = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    return {name: value.decode() if isinstance(value, bytes) else value for name, value in values.items()}


def _is_doubling(node: NodeProto, constants: dict[str, NDArray[np.float32]]) -> bool:
    if node.op_type != "Resize" or len(node.input) != 3:
        return False
    attributes = _attributes(node)
    scales = constants.get(node.input[2])
    is_nearest = all(attributes.get(name) == value for name, value in _DOUBLING.items())
    return is_nearest and scales is not None and scales.tolist() == [1, 1, 2, 2]


def _fits(
    chain: list[NodeProto], shapes: dict[str, tuple[int, ...]], constants: dict[str, NDArray[np.float32]]
) -> bool:
    kinds = [node.op_type for node in chain]
    if kinds not in (["Resize", "Conv", "Relu"], ["Resize", "Concat", "Conv", "Relu"]):
        return False
    small, convolution = shapes.get(chain[0].input[0], ()), chain[-2]
    attributes = _PLAIN | _attributes(convolution)
    is_plain = all(attributes.get(name) == value for name, value in (_CONVOLUTION | _PLAIN).items())
    joins = kinds[1] == "Concat"
    is_joined = not joins or (list(chain[1].input[:1]) == list(chain[0].output) and len(chain[1].input) == 2)
    is_known = all(name in constants for name in convolution.input[1:])
    return is_plain and is_joined and is_known and len(small) == 4 and min(small[1:], default=0) > 0


def _block(
    chain: list[NodeProto], shapes: dict[str, tuple[int, ...]], constants: dict[str, NDArray[np.float32]]
) -> _Block:
    convolution = chain[-2]
    weights = constants[convolution.input[1]]
    has_bias = len(convolution.input) == 3
    channels, height, width = shapes[chain[0].input[0]][1:]
    return _Block(
        nodes=chain,
        small=chain[0].input[0],
        shape=(channels, height, width),
        beside=chain[1].input[1] if len(chain) == 4 else None,
        weights=weights,
        bias=constants[convolution.input[2]] if has_bias else np.zeros(weights.shape[0], np.float32),
    )


class _Writer:
    """The nodes and constants that stand for one block."""

    def __init__(self, block: _Block) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._block = block
        channels, height, width = block.shape
        outputs = block.weights.shape[0]
        bias = self._constant("bias", block.bias)
        beside = self._constant("beside", block.weights[:, channels:]) if block.beside else ""
        phases = [self._phase(row, column, bias, beside) for row, column in _PHASES]
        # With the channels last, weaving moves whole pixels: ONNX Runtime does it ten times as fast as DepthToSpace.
        joined = self._node("Concat", phases, "phases", axis=1)
        last = self._node("Transpose", [joined], "last", perm=[0, 2, 3, 1])
        rows = self._reshape(last, "rows", [height, width, 2, 2 * outputs])
        woven = self._node("Transpose", [rows], "woven", perm=[0, 2, 1, 3])
        whole = self._reshape(woven, "whole", [1, 2 * height, 2 * width, outputs])
        self.nodes.append(helper.make_node("Transpose", [whole], [block.output], perm=[0, 3, 1, 2]))

    def _phase(self, row: int, column: int, bias: str, beside: str) -> str:
        """Convolve one of the four kinds of output pixel; padding lies where its window leaves the image."""
        block, mark = self._block, f"{row}{column}"
        pads = [1 - row, 1 - column, row, column]
        folded = _fold(_fold(block.weights[:, : block.shape[0]], row, axis=2), column, axis=3)
        kernel = self._constant(f"kernel{mark}", folded)
        phase = self._node("Conv", [block.small, kernel, bias], f"small{mark}", kernel_shape=[2, 2], pads=pads)
        if block.beside:
            inputs = [block.beside, beside]
            more = self._node("Conv", inputs, f"beside{mark}", kernel_shape=[3, 3], pads=pads, strides=[2, 2])
            phase = self._node("Add", [more, phase], f"sum{mark}")
        return self._node("Relu", [phase], f"phase{mark}")

    def _reshape(self, name: str, suffix: str, shape: list[int]) -> str:
        return self._node("Reshape", [name, self._constant(f"{suffix}_shape", np.array(shape, np.int64))], suffix)

    def _node(self, kind: str, inputs: list[str], suffix: str, **attributes: Any) -> str:
        name = f"{self._block.output}_{suffix}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name, **attributes))
        return name

    def _constant(self, suffix: str, values: NDArray[np.float32] | NDArray[np.int64]) -> str:
        name = f"{self._block.output}_{suffix}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name


def _fold(weights: NDArray[np.float32], phase: int, *, axis: int) -> NDArray[np.float32]:
    """Add the weights along an axis that meet the same pixel of the small image."""
    first, middle, last = np.moveaxis(weights, axis, 0)
    pair = [first, middle + last] if phase == 0 else [first + middle, last]
    return np.stack(pair, axis)
