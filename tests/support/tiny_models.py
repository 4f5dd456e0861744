"""Small ONNX models with a known answer, and folders that hold them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from class_maps import CLASSES
from onnx import TensorProto, helper, numpy_helper

from fibsem_runtime.detection.manifest import InputSpec, Manifest, ModelFile, sha256_of, write_manifest

FEATURES = (
    "NeedleTip",
    "NeedleTipBottom",
    "LamellaCentre",
    "LamellaLeftEdge",
    "LamellaRightEdge",
    "LamellaTopEdge",
    "LamellaBottomEdge",
    "LandingPost",
    "VolumeBlockCentre",
)


def write_level_model(folder: Path, *, width_px: int = 768, height_px: int = 512, **changes: Any) -> Path:
    """Write a model whose class is the gray level divided by 40 and whose confidence is 240/255 everywhere."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "model.onnx"
    onnx.save(_level_graph(height_px, width_px), path)
    facts: dict[str, Any] = {
        "name": folder.name,
        "version": "1",
        "description": "Gray levels as classes.",
        "files": {"fp32": ModelFile(file=path.name, sha256=sha256_of(path))},
        "classes": list(CLASSES),
        "input": InputSpec(width_px=width_px, height_px=height_px),
        "features": list(FEATURES),
        "licence": "MIT",
    }
    write_manifest(folder, Manifest.model_validate(facts | changes))
    return folder


def _level_graph(height_px: int, width_px: int) -> onnx.ModelProto:
    def constant(name: str, value: Any, dtype: Any) -> onnx.TensorProto:
        return numpy_helper.from_array(np.array(value, dtype), name)

    nodes = [
        helper.make_node("Squeeze", ["image", "axis"], ["flat"]),
        helper.make_node("Div", ["flat", "step"], ["classes"]),
        helper.make_node("Mul", ["flat", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "sure"], ["confidence"]),
    ]
    graph = helper.make_graph(
        nodes,
        "levels",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, [1, 1, height_px, width_px])],
        [
            helper.make_tensor_value_info(name, TensorProto.UINT8, [1, height_px, width_px])
            for name in ("classes", "confidence")
        ],
        [
            constant("axis", [1], np.int64),
            constant("step", 40, np.uint8),
            constant("zero", 0, np.uint8),
            constant("sure", 240, np.uint8),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
