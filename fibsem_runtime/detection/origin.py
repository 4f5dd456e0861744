"""Where a model came from and what was made of it: the parts of a manifest that commands write."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

Precision: TypeAlias = Literal["fp32", "fp16", "int8"]
Sha256: TypeAlias = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Contrast: TypeAlias = Literal[
    "standardised in the graph",
    "divided by 255 in the graph",
    "normalised per channel in the graph",
    "gray levels as they are",
]
OriginFormat: TypeAlias = Literal[
    "AutoLamella checkpoint", "legacy state dict", "SegFormer of Hugging Face", "ONNX of logits"
]


class Part(BaseModel):
    """Part of a manifest; frozen, unknown keys forbidden."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Parity(Part):
    """Proof that an imported graph says what the original said, on prepared images of the model's input size.

    ``pixel_agreement_fraction`` of all pixels have the same class, ``worst_image_fraction`` in the worst image.
    """

    images: list[str] = Field(min_length=1)
    pixel_agreement_fraction: float = Field(ge=0, le=1)
    worst_image_fraction: float = Field(ge=0, le=1)
    largest_logit_difference_score: float = Field(ge=0, allow_inf_nan=False)


class Origin(Part):
    """What a model was imported from, and by which evidence its input is scaled as it is."""

    file: str
    sha256: Sha256
    format: OriginFormat
    network: str
    scaling: str
    parity: Parity


class Variant(Part):
    """One attempt of ``model optimise``: masks compared with fp32 on images that calibrated nothing, and the time.

    ``before_ms`` and ``after_ms`` are medians of one run on ``processor``, None where the provider that the precision
    is meant for is not there.
    """

    precision: Precision
    is_kept: bool
    reason: str
    calibration_images: int = Field(ge=0)
    compared_images: int = Field(ge=1)
    agreement_fraction: float = Field(ge=0, le=1)
    threshold_fraction: float = Field(ge=0, le=1)
    before_ms: float | None = Field(default=None, gt=0)
    after_ms: float | None = Field(default=None, gt=0)
    speed_up_ratio: float | None = Field(default=None, gt=0)
    processor: str
