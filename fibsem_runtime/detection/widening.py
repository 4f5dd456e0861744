"""Give the last convolution of a network as many outputs as 8-bit kernels are made for.

A full-size 3 x 3 convolution to 6 classes takes four times as long in ONNX Runtime's 8-bit kernel as one to 16 (49
against 12 ms at 1536 x 1024 on 2 cores).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

_KERNEL_OUTPUTS: Final = 16
"""Outputs that the kernel computes at once (measured)."""


def widen_last(model: Any) -> list[str]:
    """Widen the last convolution of an ONNX model by idle outputs that are cut off again; return what stays float.

    The names are those of the nodes behind it. A last convolution that looks at single pixels is left as it is, and
    stays float with them. The last in the order of the graph is the last of the data.
    """
    from onnx import numpy_helper

    graph = model.graph
    last = max((index for index, node in enumerate(graph.node) if node.op_type == "Conv"), default=0)
    weights = {tensor.name: tensor for tensor in graph.initializer}
    node = graph.node[last]
    if node.op_type != "Conv" or not all(name in weights for name in node.input[1:]):
        return [one.name for one in graph.node[last:]]
    kernel = numpy_helper.to_array(weights[node.input[1]])
    if kernel.shape[2:] == (1, 1):
        return [one.name for one in graph.node[last:]]
    behind = [one.name for one in graph.node[last + 1 :]]
    idle_count = -len(kernel) % _KERNEL_OUTPUTS
    if idle_count:
        for name in node.input[1:]:
            values = numpy_helper.to_array(weights[name])
            wide = np.pad(values, [(0, idle_count), *[(0, 0)] * (values.ndim - 1)])
            weights[name].CopyFrom(numpy_helper.from_array(wide, name))
        _cut_off(graph, last, len(kernel))
    return behind


def _cut_off(graph: Any, index: int, kept_count: int) -> None:
    """Keep the first outputs of a node under its old name; what was known of their shape is no longer said."""
    from onnx import helper, numpy_helper

    node = graph.node[index]
    output = node.output[0]
    node.output[0] = f"{output}_wide"
    bounds = {f"{output}_from": 0, f"{output}_to": kept_count, f"{output}_axis": 1}
    graph.initializer.extend(numpy_helper.from_array(np.array([at], np.int64), name) for name, at in bounds.items())
    graph.node.insert(index + 1, helper.make_node("Slice", [node.output[0], *bounds], [output], f"{output}_cut"))
    for item in [item for item in graph.value_info if item.name == output]:
        graph.value_info.remove(item)
