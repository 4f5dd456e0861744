"""The camera in the chamber (vendor-tescan.md A4)."""

from __future__ import annotations

from dataclasses import dataclass

from drivers.tescan.convert import to_gray
from drivers.tescan.link import Link
from fibsem_runtime.core import CancelToken, Clock, Image, ImageMetadata, InstrumentInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class SdkChamberCamera:
    """Pictures of the chamber; they belong to no column and have no scale."""

    link: Link
    clock: Clock
    info: InstrumentInfo

    def acquire(self, *, cancel: CancelToken) -> Image:
        """Take one picture; colour is averaged to gray."""
        cancel.raise_if_cancelled()
        taken_at = self.clock.now()
        pixels = self.link.read("Camera.AcquireImage", to_gray)
        return Image(pixels, ImageMetadata(acquired_at=taken_at, instrument=self.info))
