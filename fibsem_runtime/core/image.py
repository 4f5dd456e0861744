"""An image and what is known about how it was taken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from fibsem_runtime.core.errors import ImageFileError
from fibsem_runtime.core.frames import BeamType, ImagePoint, PixelPoint, RelativeArea, StagePosition, pixel_to_image
from fibsem_runtime.core.settings import BeamSettings, DetectorSettings

Pixels: TypeAlias = NDArray[np.uint8] | NDArray[np.uint16]


@dataclass(frozen=True, slots=True, kw_only=True)
class InstrumentInfo:
    """Name the instrument an image came from."""

    manufacturer: str
    model: str
    serial_number: str = ""
    software_version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageMetadata:
    """What is known about an image; ``None`` means that the file or instrument did not say.

    ``frame_id`` names the acquisition (unique in a run); ``extra`` keeps what a foreign file said beyond these fields.
    """

    beam_type: BeamType | None = None
    pixel_size_m: float | None = None
    dwell_time_s: float | None = None
    acquired_at: datetime | None = None
    beam: BeamSettings | None = None
    detector: DetectorSettings | None = None
    stage_position: StagePosition | None = None
    reduced_area: RelativeArea | None = None
    instrument: InstrumentInfo | None = None
    frame_id: str = ""
    extra: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """``data``: (height, width) uint8 or uint16, contiguous, not written to by anyone."""

    data: Pixels
    metadata: ImageMetadata

    def __post_init__(self) -> None:
        if self.data.ndim != 2 or self.data.dtype not in (np.uint8, np.uint16) or self.data.size == 0:
            raise ImageFileError(
                f"an image is 2-D uint8 or uint16, got shape {self.data.shape} of {self.data.dtype}; "
                "convert it to 8- or 16-bit gray first"
            )

    @property
    def shape(self) -> tuple[int, int]:
        """Return ``(height, width)`` in pixels."""
        return (self.data.shape[0], self.data.shape[1])

    @property
    def pixel_size_m(self) -> float:
        """Return the pixel size; raise `ImageFileError` when it is unknown, because no pixel size means no metres."""
        if self.metadata.pixel_size_m is None:
            raise ImageFileError("the image carries no pixel size; give one with --pixel-size-nm")
        return self.metadata.pixel_size_m

    def to_metres(self, point: PixelPoint) -> ImagePoint:
        """Convert a pixel of this image to metres from its centre."""
        return pixel_to_image(point, self.shape, self.pixel_size_m)
