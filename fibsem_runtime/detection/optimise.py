"""Turn an exported graph into 8-bit arithmetic with calibration on real images, and compare masks."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fibsem_runtime.core import Image
from fibsem_runtime.detection.preparation import fit_image, place_image

KEPT_IN_FLOAT: Final = ("/network/classifier/Conv",)
"""The last convolution keeps its precision: it decides where edges lie and costs little."""


class _Frames:
    """Feed prepared images to the calibration of ONNX Runtime."""

    def __init__(self, images: Sequence[Image], frame_shape: tuple[int, int]) -> None:
        self._rest: Iterator[NDArray[np.uint8]] = (_prepare(image, frame_shape) for image in images)

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        """Return the next input, None after the last: the interface of a calibration data reader."""
        pixels = next(self._rest, None)
        return None if pixels is None else {"image": pixels}


def _prepare(image: Image, frame_shape: tuple[int, int]) -> NDArray[np.uint8]:
    frame = np.zeros(frame_shape, np.uint8)
    place_image(image, fit_image(image.shape, frame_shape), frame)
    return frame[np.newaxis, np.newaxis]


def quantise(source: Path, target: Path, images: Sequence[Image], *, frame_shape: tuple[int, int]) -> None:
    """Write ``target``: static QDQ, u8 activations, s8 weights per channel (the fast choice on x86, baselines.md).

    Only convolutions are quantised; the standardisation before and the interpolation and softmax behind stay float.
    Needs the package onnx of the extra ``learn``.
    """
    # Imported here because a computer that only finds features has no onnx.
    from onnxruntime import quantization as tools
    from onnxruntime.quantization import shape_inference

    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        shape_inference.quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        tools.quantize_static(
            str(prepared),
            str(target),
            _Frames(images, frame_shape),
            quant_format=tools.QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "Add", "Clip"],
            per_channel=True,
            activation_type=tools.QuantType.QUInt8,
            weight_type=tools.QuantType.QInt8,
            nodes_to_exclude=list(KEPT_IN_FLOAT),
            extra_options={"ActivationSymmetric": False, "WeightSymmetric": True},
        )
