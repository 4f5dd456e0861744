"""Beam held on one point of its field (vendor-thermofisher.md section 7)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from drivers.thermofisher import convert
from drivers.thermofisher.equipment import ColumnDevice
from fibsem_runtime.core import CancelToken, ImagePoint
from fibsem_runtime.core.errors import BeamError, RefusedSettingError
from fibsem_runtime.hal.attempts import attempt_all, restored

_SLICE_S: Final = 0.1
"""How long a cancelled exposure goes on at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ThermoFisherSpot(ColumnDevice):
    """The scan stands on the point only while the exposure lasts; it moves there and away with the beam blanked."""

    def expose(self, point: ImagePoint, *, duration_s: float, cancel: CancelToken) -> None:
        """Hold the beam on ``point`` of the present field for ``duration_s``, then leave it as it was, on every exit.

        Raises `BeamError` for a beam that is off, `RefusedSettingError` outside the field. A beam whose full frame
        does not come back stays blanked, with an error that says so.
        """
        if not duration_s > 0:
            raise RefusedSettingError(f"asked to expose a spot for {duration_s:g} s, it must be above 0 s")
        cancel.raise_if_cancelled()
        was_blanked = self.on_beam(f"look at the {self.column.name} beam before a spot", self._check)
        with restored(
            lambda: self._end(was_blanked=was_blanked),
            "{failures}; blank the beam at the instrument, it may burn a hole",
        ):
            self.on_beam(f"expose a spot with the {self.column.name} beam", partial(self._begin, point))
            self._wait(duration_s, cancel)

    def _check(self, beam: Any) -> bool:
        if not beam.is_on:
            raise BeamError(f"the {self.column.name} beam is off; switch it on first")
        return bool(beam.is_blanked)

    def _begin(self, point: ImagePoint, beam: Any) -> None:
        x, y = self._place(beam, point)
        beam.blank()
        beam.scanning.mode.set_spot(x, y)
        self._require_mode(beam, "spot")
        beam.unblank()

    def _wait(self, duration_s: float, cancel: CancelToken) -> None:
        due_s = self.clock.monotonic_s() + duration_s
        while (left_s := due_s - self.clock.monotonic_s()) > 0:
            cancel.raise_if_cancelled()
            self.clock.sleep(min(_SLICE_S, left_s))

    def _end(self, *, was_blanked: bool) -> list[str]:
        """Blank, bring the scan back, unblank when both are done; return what could not be done."""

        def full_frame(beam: Any) -> None:
            beam.scanning.mode.set_full_frame()
            self._require_mode(beam, "fullframe")

        failures = attempt_all(
            (f"{what} of the {self.column.name} beam", partial(self.on_beam, what, act, family=BeamError))
            for what, act in (("end the spot", lambda beam: beam.blank()), ("bring back the full frame", full_frame))
        )
        if failures or was_blanked:
            return failures
        unblank = "unblank after a spot"
        return attempt_all([(unblank, partial(self.on_beam, unblank, lambda beam: beam.unblank(), family=BeamError))])

    def _require_mode(self, beam: Any, wanted: str) -> None:
        found = convert.scanning_mode(self.connection.sdk, beam.scanning.mode.value)
        if found != wanted:
            raise RefusedSettingError(
                f"asked the {self.column.name} scan to be {wanted}, the instrument reads back {found}"
            )

    def _place(self, beam: Any, point: ImagePoint) -> tuple[float, float]:
        """Return the place from the top left, as a share of the frame or in pixels (Q4: sources differ)."""
        width_px, height_px = convert.size_px(beam.scanning.resolution.value)
        hfw_m = float(beam.horizontal_field_width.value)
        x, y = 0.5 + point.x_m / hfw_m, 0.5 - point.y_m / (hfw_m * height_px / width_px)
        if not (0 <= x <= 1 and 0 <= y <= 1):
            raise RefusedSettingError(
                f"asked for a spot at {point}, the field is {hfw_m:g} m wide; nothing was exposed"
            )
        return (x, y) if self.config.spot_coordinates == "fraction" else (x * width_px, y * height_px)
