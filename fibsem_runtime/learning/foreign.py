"""Recognise a foreign model by its content and make of it one thing: a graph of logits and the original to ask."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fibsem_runtime.core.errors import ModelError
from fibsem_runtime.detection.compare import OpenGraph
from fibsem_runtime.detection.origin import Contrast, OriginFormat
from fibsem_runtime.learning.checkpoint import Checkpoint, Scaling, read_checkpoint
from fibsem_runtime.learning.deploy import LogitsGraph, read_logits_graph
from fibsem_runtime.learning.segformer import CONFIG_NAME, WEIGHTS_NAME, read_segformer

Reference: TypeAlias = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""What the original says: gray levels (1, 1, height, width) to logits (1, classes, height, width)."""

_OPSET: Final = 17
_ZIP: Final = b"PK\x03\x04"
_PICKLE: Final = b"\x80"
_CONTRASTS: Final[dict[Scaling, Contrast]] = {"unit": "divided by 255 in the graph", "raw": "gray levels as they are"}
_MAX_SIDE_PX: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Size of a network's input; networks here take multiples of 32 (interop.md section 8)."""

    width_px: int
    height_px: int

    def __post_init__(self) -> None:
        if not all(32 <= side <= _MAX_SIDE_PX and side % 32 == 0 for side in (self.width_px, self.height_px)):
            raise ModelError(
                f"a network's input has sides of 32 to {_MAX_SIDE_PX} px in multiples of 32, "
                f"not {self.width_px}x{self.height_px}"
            )


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Original:
    """A model as it was found; ``evidence`` says how the scaling of its input is known."""

    graph: LogitsGraph
    reference: Reference
    weights: Path
    format: OriginFormat
    network: str
    scaling: Scaling
    contrast: Contrast
    evidence: str


def read_original(source: Path, work: Path, frame: Frame, *, scaling: Scaling | None, thread_count: int) -> Original:
    """Read a checkpoint, a folder of Hugging Face or an ONNX graph; intermediate files go to ``work``.

    ``frame`` decides the input size except for ONNX, whose size is its own. Raises `ModelError` for anything else.
    """
    torch.set_num_threads(thread_count)
    if source.is_dir():
        return _from_segformer(source, work, frame)
    head = _first_bytes(source)
    if head.startswith((_ZIP, _PICKLE)):
        return _from_checkpoint(source, read_checkpoint(source, scaling=scaling), work, frame)
    return _from_onnx(source, scaling, thread_count)


def _first_bytes(source: Path) -> bytes:
    try:
        with source.open("rb") as file:
            return file.read(len(_ZIP))
    except OSError as error:
        raise ModelError(f"the model {source} cannot be read ({error.strerror}); check the path") from error


def _from_checkpoint(source: Path, checkpoint: Checkpoint, work: Path, frame: Frame) -> Original:
    return Original(
        graph=_export(checkpoint.network, work / "logits.onnx", frame),
        reference=_asking(checkpoint.network, checkpoint.scaling),
        weights=source,
        format="legacy state dict" if checkpoint.is_legacy else "AutoLamella checkpoint",
        network=f"U-Net on {checkpoint.encoder}",
        scaling=checkpoint.scaling,
        contrast=_CONTRASTS[checkpoint.scaling],
        evidence=checkpoint.scaling_evidence,
    )


def _from_segformer(source: Path, work: Path, frame: Frame) -> Original:
    if not (source / CONFIG_NAME).is_file():
        raise ModelError(
            f"the folder {source} holds no {CONFIG_NAME}; give a checkpoint file or a folder of Hugging Face"
        )
    network = read_segformer(source, width_px=frame.width_px, height_px=frame.height_px)
    return Original(
        graph=_export(network, work / "logits.onnx", frame),
        reference=_asking(network, "unit"),
        weights=source / WEIGHTS_NAME,
        format="SegFormer of Hugging Face",
        network="SegFormer",
        scaling="unit",
        contrast="normalised per channel in the graph",
        evidence="its preprocessor_config.json, or the defaults of that processor",
    )


def _from_onnx(source: Path, scaling: Scaling | None, thread_count: int) -> Original:
    graph = read_logits_graph(source)
    known: Scaling = scaling or "unit"
    opened = OpenGraph(source, thread_count=thread_count)

    def reference(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        logits: NDArray[np.float32] = opened.run(_scaled(pixels, known))[graph.output_name]
        return logits

    return Original(
        graph=graph,
        reference=reference,
        weights=source,
        format="ONNX of logits",
        network="graph of logits",
        scaling=known,
        contrast=_CONTRASTS[known],
        evidence="stated by the person who imported it" if scaling else "exports of the peer take gray levels over 255",
    )


def _scaled(pixels: NDArray[np.uint8], scaling: Scaling) -> NDArray[np.float32]:
    levels = pixels.astype(np.float32)
    return levels / np.float32(255) if scaling == "unit" else levels


def _asking(network: nn.Module, scaling: Scaling) -> Reference:
    def reference(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.no_grad():
            logits: NDArray[Any] = network(torch.from_numpy(_scaled(pixels, scaling))).numpy()
        return logits

    return reference


def _export(network: nn.Module, path: Path, frame: Frame) -> LogitsGraph:
    """Write the network in the form of the peer's own exports and read it back."""
    example = torch.rand((1, 1, frame.height_px, frame.width_px), generator=torch.Generator().manual_seed(0))
    with warnings.catch_warnings(), torch.no_grad():
        # The TorchScript exporter is deprecated; it writes these graphs in fewer nodes than the new one.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (example,),
            str(path),
            input_names=["input"],
            output_names=["output"],
            opset_version=_OPSET,
            dynamo=False,
        )
    return read_logits_graph(path)
