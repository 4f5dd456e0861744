"""Views, frames, detector and auto functions: all of the active view (vendor-fakes.md T5-T8, T12)."""

from __future__ import annotations

from typing import Any

import numpy as np
from autoscript_core.common import ApplicationServerException

from fibsem_runtime.core import CancelToken, ImageSettings, RelativeArea

from ._beams import PRESETS, refuse_bad_area
from ._instrument import Instrument
from ._metadata import Acquisition, tree
from ._values import Value, range_of
from .structures import AdornedImage


class Imaging:
    """``client.imaging``."""

    def __init__(self, instrument: Instrument, client: Any) -> None:
        self._instrument, self._client = instrument, client

    def get_active_view(self) -> int:
        with self._instrument.call(self._client, "imaging.get_active_view"):
            return self._instrument.active_view

    def set_active_view(self, view: int) -> None:
        with self._instrument.call(self._client, "imaging.set_active_view", view) as fault:
            if view not in (1, 2, 3, 4):
                raise ApplicationServerException(f"The view {view} does not exist.")
            if fault != "ignore":
                self._instrument.active_view = view

    def get_active_device(self) -> int:
        with self._instrument.call(self._client, "imaging.get_active_device"):
            return self._instrument.devices[self._instrument.active_view]

    def set_active_device(self, device: int) -> None:
        with self._instrument.call(self._client, "imaging.set_active_device", device) as fault:
            fitted = (1, 2, 3) if self._instrument.options.has_ion_column else (1, 3)
            if device not in fitted:
                raise ApplicationServerException(f"The imaging device {device} is not fitted.")
            if fault != "ignore":
                self._instrument.devices[self._instrument.active_view] = device

    def grab_frame(self, settings: Any = None) -> AdornedImage:
        with self._instrument.call(self._client, "imaging.grab_frame", settings):
            if settings is not None and settings.resolution is not None and settings.resolution not in PRESETS:
                raise ApplicationServerException(f"The resolution {settings.resolution!r} needs grab_frame_to_disk.")
            return self._grab(settings)

    def grab_frame_to_disk(self, path: str, file_format: str, settings: Any = None) -> None:
        with self._instrument.call(self._client, "imaging.grab_frame_to_disk", settings):
            self._grab(settings).save(path)

    def get_image(self, settings: Any = None) -> AdornedImage:
        with self._instrument.call(self._client, "imaging.get_image", settings):
            found = self._instrument.columns[self._instrument.column_of_view()].last_image
            if found is None:
                raise ApplicationServerException("There is no image in the active view.")
            return found  # type: ignore[no-any-return]

    def _grab(self, settings: Any) -> AdornedImage:
        """Scan the active view; a beam that is off or blanked gives darkness, not an error."""
        instrument = self._instrument
        instrument.refuse_while_milling("Acquisition")
        name = instrument.column_of_view()
        state, raw = instrument.columns[name], instrument.beam(name)
        if settings is not None:
            self._take_over(state, settings)
        request = self._request(state, settings, raw.settings().hfw_m)
        if raw.is_on() and not raw.is_blanked():
            image = raw.acquire(request, cancel=CancelToken())
            instrument.frame_ids.append(image.metadata.frame_id)
            data, acquired_at = image.data, image.metadata.acquired_at
        else:
            _, _, width_px, height_px = _pixels(request)
            data = np.zeros((height_px, width_px), np.uint8 if request.bit_depth == 8 else np.uint16)
            acquired_at = instrument.clock.now()
            instrument.spend(request.width_px * request.height_px * request.dwell_time_s)
        state.last_image = AdornedImage(data, tree(self._facts(name, request, acquired_at)))
        return state.last_image

    def _take_over(self, state: Any, settings: Any) -> None:
        if settings.resolution is not None:
            if not isinstance(settings.resolution, str):
                raise ApplicationServerException("The resolution must be a string.")
            state.resolution = settings.resolution
        if settings.dwell_time is not None:
            if not 25e-9 <= settings.dwell_time <= 1e-2:
                raise ApplicationServerException(f"The dwell time {settings.dwell_time} is out of range.")
            state.dwell_time_s = settings.dwell_time
        if settings.bit_depth is not None:
            state.bit_depth = settings.bit_depth
        if settings.reduced_area is not None:
            refuse_bad_area(settings.reduced_area)
            state.scan_area = settings.reduced_area

    def _request(self, state: Any, settings: Any, hfw_m: float) -> ImageSettings:
        width_px, height_px = (int(size) for size in state.resolution.split("x"))
        area = state.scan_area
        return ImageSettings(
            width_px=width_px,
            height_px=height_px,
            hfw_m=hfw_m,
            dwell_time_s=state.dwell_time_s,
            line_integration_count=(settings and settings.line_integration) or 1,
            frame_integration_count=(settings and settings.frame_integration) or 1,
            bit_depth=state.bit_depth,
            reduced_area=None
            if area is None
            else RelativeArea(
                left_fraction=area.left,
                top_fraction=area.top,
                width_fraction=area.width,
                height_fraction=area.height,
            ),
        )

    def _facts(self, name: str, request: ImageSettings, acquired_at: Any) -> Acquisition:
        instrument = self._instrument
        beam, chain, here = instrument.beam(name).settings(), instrument.simulator.chain, None
        here = instrument.simulator.stage.position()
        electron_m = chain.eucentric_working_distance_electron_m
        return Acquisition(
            beam_name=name,
            pixel_size_m=request.pixel_size_m,
            dwell_time_s=request.dwell_time_s,
            acquired_at=acquired_at,
            hfw_m=request.hfw_m,
            width_px=request.width_px,
            height_px=request.height_px,
            voltage_v=beam.voltage_v,
            current_a=beam.beam_current_a,
            working_distance_m=beam.working_distance_m,
            eucentric_m=electron_m if name == "electron_beam" else chain.eucentric_working_distance_ion_m,
            system_eucentric_m=electron_m,
            shift_x_m=beam.shift.x_m,
            shift_y_m=beam.shift.y_m,
            scan_rotation_rad=beam.scan_rotation_rad,
            stage=(here.x_m, here.y_m, here.z_m, here.r_rad, here.t_rad),
            detector=instrument.columns[name].detector_type,
            system=instrument.options.system_name,
        )


def _pixels(request: ImageSettings) -> tuple[int, int, int, int]:
    if request.reduced_area is None:
        return (0, 0, request.width_px, request.height_px)
    return request.reduced_area.to_pixels(request.width_px, request.height_px)


class Detector:
    """``client.detector``: that of the active view's device."""

    def __init__(self, instrument: Instrument, client: Any) -> None:
        self._instrument, self._client = instrument, client

    def _value(self, name: str, **how: Any) -> Value:
        return Value(self._instrument, self._client, f"detector.{name}", **how)

    @property
    def _state(self) -> Any:
        return self._instrument.columns[self._instrument.column_of_view()]

    @property
    def _raw(self) -> Any:
        raw = self._instrument.beam(self._instrument.column_of_view())
        return raw.machine.beam_state(raw.beam_type)

    @property
    def type(self) -> Value:
        def put(asked: str) -> None:
            self._state.detector_type = asked
            self._state.detector_mode = "SecondaryElectrons"

        return self._value(
            "type", get=lambda: self._state.detector_type, put=put, available=lambda: ["ETD", "TLD", "ICE"]
        )

    @property
    def mode(self) -> Value:
        return self._value(
            "mode",
            get=lambda: self._state.detector_mode,
            put=lambda asked: setattr(self._state, "detector_mode", asked),
            available=lambda: ["SecondaryElectrons", "BackscatterElectrons"],
        )

    @property
    def brightness(self) -> Value:
        return self._value(
            "brightness",
            get=lambda: self._raw.brightness_fraction,
            put=lambda asked: setattr(self._raw, "brightness_fraction", asked),
            limits=lambda: range_of(0.0, 1.0),
        )

    @property
    def contrast(self) -> Value:
        return self._value(
            "contrast",
            get=lambda: self._raw.contrast_fraction,
            put=lambda asked: setattr(self._raw, "contrast_fraction", asked),
            limits=lambda: range_of(0.0, 1.0),
        )

    @property
    def state(self) -> str:
        with self._instrument.call(self._client, "detector.state"):
            raise ApplicationServerException("The detector is not retractable.")


class AutoFunctions:
    """``client.auto_functions``."""

    def __init__(self, instrument: Instrument, client: Any) -> None:
        self._instrument, self._client = instrument, client

    def run_auto_cb(self, settings: Any = None) -> None:
        with self._instrument.call(self._client, "auto_functions.run_auto_cb", settings):
            self._instrument.refuse_while_milling("Auto contrast")
            name = self._instrument.column_of_view()
            if self._instrument.columns[name].scan_area is not None:
                raise ApplicationServerException("Auto contrast is not available on a reduced area.")
            self._instrument.beam(name).auto_contrast(cancel=CancelToken())
