"""Put what the engine needs around a graph of logits: 8-bit pixels in front, the winner and its share behind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import TensorProto, helper, numpy_helper
from onnx.onnx_cpp2py_export.checker import ValidationError

from fibsem_runtime.core.errors import ModelError
from fibsem_runtime.learning.checkpoint import Scaling

_OLDEST_OPSET: Final = 13
_AXES_ARE_INPUTS: Final = 18
"""ReduceSum takes its axes as an input since opset 13, ReduceMax since 18."""

_MAX_BYTES: Final = 2**31 - 1


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class LogitsGraph:
    """A graph from gray (1, 1, height, width) float to logits (1, classes, height, width)."""

    model: onnx.ModelProto
    input_name: str
    output_name: str
    width_px: int
    height_px: int
    class_count: int

    @property
    def opset(self) -> int:
        """Return the version of the standard operators."""
        return max(int(entry.version) for entry in self.model.opset_import if entry.domain in ("", "ai.onnx"))


def read_logits_graph(path: Path) -> LogitsGraph:
    """Read an export of the peer (interop.md section 8: one gray channel, fixed size, logits of the same size).

    Raises `ModelError` for a file that is no such graph.
    """
    model = _read(path)
    names = {item.name for item in model.graph.initializer}
    inputs = [item for item in model.graph.input if item.name not in names]
    shapes = [_shape(item) for item in (*inputs, *model.graph.output)]
    if len(inputs) != 1 or len(model.graph.output) != 1 or not _fits(shapes):
        raise ModelError(
            f"{path} maps {shapes[: len(inputs)]} to {shapes[len(inputs) :]}; what can be imported maps one gray image "
            "(1, 1, height, width) of a fixed size in multiples of 32 to logits (1, classes, height, width)"
        )
    graph = LogitsGraph(
        model=model,
        input_name=inputs[0].name,
        output_name=model.graph.output[0].name,
        width_px=shapes[0][3],
        height_px=shapes[0][2],
        class_count=shapes[1][1],
    )
    if graph.opset < _OLDEST_OPSET:
        raise ModelError(
            f"{path} uses operators of version {graph.opset}; export it again with {_OLDEST_OPSET} or later"
        )
    return graph


def _read(path: Path) -> onnx.ModelProto:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ModelError(f"{path} is larger than an ONNX file can be ({_MAX_BYTES / 2**30:.0f} GiB)")
        # Weights in other files are not read: a graph may not name paths on this computer.
        model = onnx.load(path, load_external_data=False)
        onnx.checker.check_model(model)
    except OSError as error:
        raise ModelError(f"the graph {path} cannot be read ({error.strerror or error})") from error
    except (DecodeError, ValidationError, ValueError, TypeError) as error:
        raise ModelError(f"{path} is no valid ONNX graph ({' '.join(str(error).split())[:120]})") from error
    if any(tensor.data_location == TensorProto.EXTERNAL for tensor in model.graph.initializer):
        raise ModelError(f"{path} keeps its weights in other files; save it as one file first")
    return model


def _shape(item: onnx.ValueInfoProto) -> tuple[int, ...]:
    """Return the shape; an open batch counts as 1, any other open side as 0."""
    sides = [side.dim_value for side in item.type.tensor_type.shape.dim]
    if sides and sides[0] == 0:
        sides[0] = 1
    return tuple(sides)


def _fits(shapes: list[tuple[int, ...]]) -> bool:
    gray, logits = shapes
    if len(gray) != 4 or len(logits) != 4:
        return False
    sized = all(32 <= side <= 4096 and side % 32 == 0 for side in gray[2:])
    return gray[:2] == (1, 1) and sized and logits[0] == 1 and 2 <= logits[1] <= 255 and logits[2:] == gray[2:]


def write_deployed(graph: LogitsGraph, path: Path, *, scaling: Scaling, shows_logits: bool = False) -> None:
    """Write the graph that the engine opens: ``image`` uint8 to ``classes`` and ``confidence`` uint8.

    The winner has the largest logit; confidence is its softmax share in 1/255, 1 over the sum of
    exp(logit - largest logit). With ``shows_logits`` these are a third output, for a comparison.
    """
    model = onnx.ModelProto()
    model.CopyFrom(graph.model)
    body = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*_front(graph, scaling), *body, *_back(graph)])
    model.graph.initializer.extend(_constants())
    logits = list(model.graph.output) if shows_logits else []
    del model.graph.input[:], model.graph.output[:]
    sides = [graph.height_px, graph.width_px]
    model.graph.input.append(helper.make_tensor_value_info("image", TensorProto.UINT8, [1, 1, *sides]))
    model.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.UINT8, [1, *sides]) for name in ("classes", "confidence")
    )
    model.graph.output.extend(logits)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def _front(graph: LogitsGraph, scaling: Scaling) -> list[onnx.NodeProto]:
    if scaling == "raw":
        return [helper.make_node("Cast", ["image"], [graph.input_name], "front_cast", to=TensorProto.FLOAT)]
    return [
        helper.make_node("Cast", ["image"], ["front_gray"], "front_cast", to=TensorProto.FLOAT),
        helper.make_node("Div", ["front_gray", "front_full"], [graph.input_name], "front_scale"),
    ]


def _back(graph: LogitsGraph) -> list[onnx.NodeProto]:
    logits = graph.output_name
    axes_are_inputs = graph.opset >= _AXES_ARE_INPUTS
    node = helper.make_node
    best = node("ReduceMax", [logits, *["back_axis"][:axes_are_inputs]], ["back_best"], "back_best", keepdims=1)
    if not axes_are_inputs:
        best.attribute.append(helper.make_attribute("axes", [1]))
    return [
        node("ArgMax", [logits], ["back_winner"], "back_winner", axis=1, keepdims=0),
        node("Cast", ["back_winner"], ["classes"], "back_classes", to=TensorProto.UINT8),
        best,
        node("Sub", [logits, "back_best"], ["back_behind"], "back_behind"),
        node("Exp", ["back_behind"], ["back_odds"], "back_odds"),
        node("ReduceSum", ["back_odds", "back_axis"], ["back_sum"], "back_sum", keepdims=0),
        node("Div", ["back_full", "back_sum"], ["back_share"], "back_share"),
        node("Add", ["back_share", "back_half"], ["back_rounded"], "back_rounded"),
        node("Cast", ["back_rounded"], ["confidence"], "back_confidence", to=TensorProto.UINT8),
    ]


def _constants() -> list[TensorProto]:
    return [
        numpy_helper.from_array(np.array(255, np.float32), "front_full"),
        numpy_helper.from_array(np.array(255, np.float32), "back_full"),
        numpy_helper.from_array(np.array(0.5, np.float32), "back_half"),
        numpy_helper.from_array(np.array([1], np.int64), "back_axis"),
    ]
