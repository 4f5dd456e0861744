"""Views, frames, detector and auto functions: all of the active view (vendor-fakes.md T5-T8, T12)."""

from __future__ import annotations

from typing import Any

import numpy as np
from autoscript_core.common import ApplicationServerException

from drivers.simulator.beams import film_distance_m
from fibsem_runtime.core import CancelToken, ImageSettings, RelativeArea

from ._beams import PRESETS, refuse_bad_area
from ._instrument import Instrument
from ._metadata import Acquisition, tree
from ._values import Value, range_of
from .structures import AdornedImage

CAMERA = 3
DETECTOR_MODES = {
    "ETD": ["SecondaryElectrons", "BackscatterElectrons"],
    "TLD": ["SecondaryElectrons", "BackscatterElectrons", "DownHoleVisibility"],
    "ICE": ["SecondaryElectrons", "SecondaryIons"],
    "CBS": ["All", "AMinusB"],
}
"""Detectors with their modes; the first is the one after the type was written."""


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
            options = self._instrument.options
            fitted = {1: True, 2: options.has_ion_column, 3: options.has_camera}
            if not fitted.get(device, False):
                raise ApplicationServerException(f"The imaging device {device} is not fitted.")
            if fault != "ignore":
                self._instrument.devices[self._instrument.active_view] = device

    def grab_frame(self, settings: Any = None) -> AdornedImage:
        with self._instrument.call(self._client, "imaging.grab_frame", settings):
            if settings is not None and settings.resolution is not None and settings.resolution not in PRESETS:
                raise ApplicationServerException(f"The resolution {settings.resolution!r} needs grab_frame_to_disk.")
            if self._instrument.devices[self._instrument.active_view] == CAMERA:
                return _picture(self._instrument)
            return self._grab(settings)

    def grab_frame_to_disk(self, path: str, file_format: str, settings: Any = None) -> None:
        with self._instrument.call(self._client, "imaging.grab_frame_to_disk", settings):
            self._grab(settings).save(path)

    def get_image(self, settings: Any = None) -> AdornedImage:
        """Return what the view shows: the next whole frame of a live scan, the last frame otherwise."""
        with self._instrument.call(self._client, "imaging.get_image", settings):
            instrument = self._instrument
            if instrument.active_view in instrument.live_views:
                found = self._scan(None)
            else:
                found = instrument.columns[instrument.column_of_view()].last_image
            if found is None:
                raise ApplicationServerException("There is no image in the active view.")
            if instrument.options.buffer_is_16_bit and found.data.dtype == np.uint8:
                return AdornedImage(found.data.astype(np.uint16) << 8, found.metadata)
            return found  # type: ignore[no-any-return]

    @property
    def state(self) -> str:
        with self._instrument.call(self._client, "imaging.state"):
            return "Acquiring" if self._instrument.active_view in self._instrument.live_views else "Idle"

    def start_acquisition(self) -> None:
        with self._instrument.call(self._client, "imaging.start_acquisition") as fault:
            self._instrument.refuse_while_milling("Acquisition")
            if fault != "ignore":
                self._instrument.live_views.add(self._instrument.active_view)

    def stop_acquisition(self) -> None:
        with self._instrument.call(self._client, "imaging.stop_acquisition") as fault:
            if fault != "ignore":
                self._instrument.live_views.discard(self._instrument.active_view)

    def _grab(self, settings: Any) -> AdornedImage:
        """Scan one frame; a live scan of the view ends."""
        self._instrument.live_views.discard(self._instrument.active_view)
        return self._scan(settings)

    def _scan(self, settings: Any) -> AdornedImage:
        """Scan the active view; a beam that is off or blanked gives darkness, not an error."""
        instrument = self._instrument
        instrument.refuse_while_milling("Acquisition")
        name = instrument.column_of_view()
        state, raw = instrument.columns[name], instrument.beam(name)
        if state.spot is not None:
            raise ApplicationServerException("There is no frame in spot mode.")
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
        _refuse_bad_options(settings)
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


def _refuse_bad_options(settings: Any) -> None:
    """Raise outside the ranges of vendor-thermofisher.md section 6."""
    for name, largest in (("line_integration", 255), ("scan_interlacing", 8), ("frame_integration", 512)):
        asked = getattr(settings, name)
        if asked is not None and not 2 <= asked <= largest:
            raise ApplicationServerException(f"The setting {name} = {asked} is out of range.")
    if settings.drift_correction and settings.frame_integration is None:
        raise ApplicationServerException("Drift correction needs frame integration.")


def _pixels(request: ImageSettings) -> tuple[int, int, int, int]:
    if request.reduced_area is None:
        return (0, 0, request.width_px, request.height_px)
    return request.reduced_area.to_pixels(request.width_px, request.height_px)


def _picture(instrument: Instrument) -> AdornedImage:
    """Return what the chamber camera sees: a lit chamber, with the stage's tilt in it."""
    rows, columns = np.mgrid[0:480, 0:640]
    tilt = np.tan(instrument.simulator.stage.position().t_rad)
    light = 90 + 60 * ((rows - 240) > tilt * (columns - 320)) + (rows + columns) % 7
    gray = light.astype(np.uint8)
    instrument.spend(0.2)
    return AdornedImage(np.repeat(gray[..., None], 3, axis=2) if instrument.options.camera_is_colour else gray)


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
            if asked not in DETECTOR_MODES:
                raise ApplicationServerException(f"The detector {asked} does not exist.")
            self._state.detector_type = asked
            self._state.detector_mode = DETECTOR_MODES[asked][0]

        return self._value("type", get=lambda: self._state.detector_type, put=put, available=lambda: [*DETECTOR_MODES])

    @property
    def mode(self) -> Value:
        def put(asked: str) -> None:
            if asked not in DETECTOR_MODES[self._state.detector_type]:
                raise ApplicationServerException(f"The detector mode {asked} does not exist.")
            self._state.detector_mode = asked

        return self._value(
            "mode",
            get=lambda: self._state.detector_mode,
            put=put,
            available=lambda: list(DETECTOR_MODES[self._state.detector_type]),
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
            found = self._instrument.detector_states.get(self._state.detector_type)
            if found is None:
                raise ApplicationServerException("The detector is not retractable.")
            return found


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

    def run_auto_focus(self, settings: Any = None) -> None:
        """Bring the focus to where the film is, along the beam's axis."""
        with self._instrument.call(self._client, "auto_functions.run_auto_focus", settings) as fault:
            self._instrument.refuse_while_milling("Auto focus")
            raw = self._instrument.beam(self._instrument.column_of_view())
            if not raw.is_on() or raw.is_blanked():
                raise ApplicationServerException("Auto focus needs a beam.")
            self._instrument.spend(4.3)
            found_m = raw.settings().working_distance_m
            if fault == "short":
                raw.set_working_distance(found_m + 300e-6)
                raise ApplicationServerException("Auto focus did not find a focus.")
            defocus_m = raw.machine.focus_error_m(raw.beam_type) - film_distance_m(raw.machine.view(raw.beam_type))
            raw.set_working_distance(found_m - defocus_m)
