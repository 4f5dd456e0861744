"""Frames of one column: grabbed from its own view, verified before and after, with the state they were taken in."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from drivers.thermofisher import convert
from drivers.thermofisher.conditions import set_field
from drivers.thermofisher.connection import Client
from drivers.thermofisher.sdk import Sdk
from drivers.thermofisher.stage import ThermoFisherStage
from drivers.thermofisher.views import Column, select, verify
from fibsem_runtime.core import Image, ImageMetadata, ImageSettings, InstrumentInfo
from fibsem_runtime.core.clock import Clock

_SCAN_OVERHEAD_RATIO: Final = 1.5
_LINE_OVERHEAD_S: Final = 0.2e-6
"""Scan time over pixels times dwell, generously: line overheads are 6 to 178 µs (vendor-fakes.md section 4)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frames:
    """What one column needs to give images; every method is part of a job of the connection."""

    sdk: Sdk
    column: Column
    stage: ThermoFisherStage
    clock: Clock
    info: InstrumentInfo
    numbers: Iterator[int]

    def grab(self, client: Client, settings: ImageSettings) -> Image:
        """Scan one frame.

        Raises `BeamError` for a beam that is off or blanked, `RefusedSettingError` when field, size or depth are not
        those asked for.
        """
        self.column.require_beam(client)
        select(client, self.column)
        set_field(self.column.beam(client), settings.hfw_m, self.column)
        if settings.reduced_area is None:
            # No reduced area means the last one, unless the full frame is selected (fibsem#74).
            self.column.beam(client).scanning.mode.set_full_frame()
        started_at = self.clock.now()
        adorned = self._grab(client, settings)
        verify(client, self.column)
        return self.image(client, adorned, settings, started_at)

    def image(self, client: Client, adorned: Any, settings: ImageSettings, started_at: datetime) -> Image:
        """Return an ``AdornedImage`` of the active view as an image; raise as `grab` does."""
        metadata = ImageMetadata(
            beam_type=self.column.beam_type,
            pixel_size_m=convert.pixel_size_m(adorned),
            dwell_time_s=convert.dwell_time_s(adorned),
            acquired_at=started_at,
            beam=convert.beam_settings(self.column.beam(client)),
            detector=convert.detector_settings(client.detector),
            stage_position=self.stage.read(client),
            reduced_area=settings.reduced_area,
            instrument=self.info,
            frame_id=f"{self.info.serial_number}-{started_at:%Y%m%dT%H%M%S}-{next(self.numbers):06d}",
        )
        return Image(convert.pixels(adorned, settings), metadata)

    def _grab(self, client: Client, settings: ImageSettings) -> Any:
        """Grab at once what the instrument offers as a preset, through a file what it does not (section 6)."""
        request = convert.grab_settings(self.sdk, settings)
        if convert.resolution(settings) in self.column.beam(client).scanning.resolution.available_values:
            return client.imaging.grab_frame(request)
        with tempfile.TemporaryDirectory(prefix="fibsem-runtime-") as folder:
            file = str(Path(folder) / "frame.tif")
            client.imaging.grab_frame_to_disk(file, self.sdk.enumerations.ImageFileFormat.TIFF, request)
            return self.sdk.structures.AdornedImage.load(file)


def scan_limit_s(settings: ImageSettings) -> float:
    """Return the time that the scan of one frame takes at most, s."""
    repeats = settings.line_integration_count * settings.frame_integration_count
    return (
        _SCAN_OVERHEAD_RATIO
        * settings.width_px
        * settings.height_px
        * (settings.dwell_time_s + _LINE_OVERHEAD_S)
        * repeats
    )
