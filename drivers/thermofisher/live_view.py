"""Continuous scanning of one column in its own view (vendor-thermofisher.md section 6)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from drivers.thermofisher import convert
from drivers.thermofisher.conditions import set_field
from drivers.thermofisher.connection import Client
from drivers.thermofisher.equipment import ColumnDevice
from drivers.thermofisher.frames import Frames, scan_limit_s
from drivers.thermofisher.views import verify
from fibsem_runtime.core import CancelToken, Image, ImageSettings
from fibsem_runtime.core.errors import HardwareError, RefusedSettingError
from fibsem_runtime.hal.attempts import attempt_all


@dataclass(frozen=True, slots=True, kw_only=True)
class ThermoFisherLiveView(ColumnDevice):
    """Frames come from the buffer of the view; each waits for a whole one."""

    frames: Frames
    _running: list[ImageSettings] = field(default_factory=list, init=False)

    @property
    def is_running(self) -> bool:
        """Return whether it was started and not stopped since, also when a person or a single frame has ended it."""
        return bool(self._running)

    def start(self, settings: ImageSettings) -> None:
        """Scan frame after frame until `stop`.

        Raises `BeamError` for a beam that is off or blanked, `RefusedSettingError` for a field, size or dwell time that
        the column does not take and for integration and interlacing, which a live scan has not.
        """
        counts = (settings.line_integration_count, settings.frame_integration_count, settings.scan_interlacing_count)
        if max(counts) > 1:
            raise RefusedSettingError(
                "asked for a live view with integration or interlacing, a live scan has neither; ask for frames"
            )
        self._running[:] = [settings]
        is_started = False
        try:
            self.on_view(f"start the {self.column.name} live view", lambda client: self._start(client, settings))
            is_started = True
        finally:
            if not is_started:
                attempt_all([("stop the live view", self.stop)])
                self._running.clear()

    def frame(self, *, cancel: CancelToken) -> Image:
        """Return the newest whole frame; wait for the first one. Raises `HardwareError` when no live view runs."""
        cancel.raise_if_cancelled()
        if not self._running:
            raise HardwareError(f"asked for a frame of the {self.column.name} live view, it does not run; start it")
        (settings,) = self._running

        def read(client: Client) -> Image:
            if not self._is_scanning(client):
                raise HardwareError(
                    f"the {self.column.name} live view has ended, by hand or for a single frame; start it again"
                )
            request = self.connection.sdk.structures.GetImageSettings(wait_for_frame=True)
            adorned = client.imaging.get_image(request)
            taken_at = self.clock.now()
            verify(client, self.column)
            return self.frames.image(client, convert.at_depth(adorned, settings.bit_depth), settings, taken_at)

        limit_s = self.config.time_limits.call_s + 2 * scan_limit_s(settings)
        return self.on_view(f"read the {self.column.name} live view", read, limit_s=limit_s)

    def stop(self) -> None:
        """Stop scanning; safe to call twice. Raises `HardwareError` when it goes on."""
        if not self._running:
            return

        def order(client: Client) -> bool:
            client.imaging.stop_acquisition()
            return self._is_scanning(client)

        if self.on_view(f"stop the {self.column.name} live view", order):
            raise HardwareError(f"the {self.column.name} live view was stopped and goes on; look at the instrument")
        self._running.clear()

    def _start(self, client: Client, settings: ImageSettings) -> None:
        self.column.require_beam(client)
        beam = self.column.beam(client)
        if self._is_scanning(client):
            client.imaging.stop_acquisition()
        set_field(beam, settings.hfw_m, self.column)
        self._set_scan(beam.scanning, settings)
        client.imaging.start_acquisition()
        if not self._is_scanning(client):
            raise HardwareError(
                f"the {self.column.name} live view was started and does not run; look at the instrument"
            )

    def _set_scan(self, scanning: Any, settings: ImageSettings) -> None:
        offered = scanning.resolution.available_values
        if convert.resolution(settings) not in offered:
            raise RefusedSettingError(
                f"asked for a live view of {convert.resolution(settings)} px, available are {', '.join(offered)}"
            )
        for name, asked in (
            ("resolution", convert.resolution(settings)),
            ("dwell_time", settings.dwell_time_s),
            ("bit_depth", settings.bit_depth),
        ):
            setting = getattr(scanning, name)
            setting.value = asked
            if setting.value != asked:
                raise RefusedSettingError(
                    f"asked for a live view with {name} {asked}, the instrument reads back {setting.value}"
                )
        area = settings.reduced_area
        if area is None:
            scanning.mode.set_full_frame()
        else:
            scanning.mode.set_reduced_area(
                area.left_fraction, area.top_fraction, area.width_fraction, area.height_fraction
            )

    def _is_scanning(self, client: Client) -> bool:
        return bool(client.imaging.state == self.connection.sdk.enumerations.ImagingState.ACQUIRING)
