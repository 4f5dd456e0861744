"""What a column has beyond its beam: source, detectors, focus, stigmator, live view, presets, spot and plasma gas."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import numpy as np
import pytest

from fibsem_runtime.contract.instruments import Instrument
from fibsem_runtime.core import BeamType, CancelToken, ImagePoint, ImageSettings
from fibsem_runtime.core.errors import BeamError, Cancelled, HardwareError, NotSupportedError, RefusedSettingError
from fibsem_runtime.hal import Beam, ColumnEquipment, Microscope
from fibsem_runtime.hal.equipment import Source

T = TypeVar("T")


@pytest.fixture
def equipment(microscope: Microscope, beam: Beam) -> ColumnEquipment:
    return microscope.equipment(beam.beam_type)


def fitted(device: T | None) -> T:
    if device is None:
        pytest.skip("this column has none")
    return device


@pytest.fixture
def source(instrument: Instrument, equipment: ColumnEquipment) -> Source:
    found: Source = fitted(equipment.source)
    if not instrument.is_rehearsed:
        pytest.skip("a source is not switched by a test: let a person run source.turn_off and turn_on once")
    return found


def test_a_beam_that_is_off_takes_no_image_until_it_is_on(
    beam: Beam, source: Source, frame: ImageSettings, cancel: CancelToken
) -> None:
    for _ in range(2):
        source.turn_off()
        assert not beam.is_on()
    with pytest.raises(BeamError, match="off"):
        beam.acquire(frame, cancel=cancel)
    source.turn_on(cancel=cancel)
    assert beam.is_on()
    beam.set_blanked(blanked=False)
    assert beam.acquire(frame, cancel=cancel).shape == (frame.height_px, frame.width_px)


def test_a_cancelled_token_switches_nothing_on(beam: Beam, source: Source, cancel: CancelToken) -> None:
    source.turn_off()
    cancel.cancel("stop pressed")
    with pytest.raises(Cancelled):
        source.turn_on(cancel=cancel)
    assert not beam.is_on()


def test_the_detector_in_use_is_one_of_those_available(beam: Beam, equipment: ColumnEquipment) -> None:
    detectors = fitted(equipment.detectors)
    found = beam.detector()
    assert found.name in detectors.available()
    modes = detectors.modes()
    assert not modes or found.mode in modes


def test_every_detector_can_be_selected_or_says_why_not(beam: Beam, equipment: ColumnEquipment) -> None:
    detectors = fitted(equipment.detectors)
    for name in detectors.available():
        before = beam.detector()
        try:
            found = detectors.select(name)
        except HardwareError as refusal:
            assert name in str(refusal)
            assert beam.detector() == before
            continue
        assert found == beam.detector()
        assert found.name == name
        for mode in detectors.modes():
            assert detectors.select(name, mode=mode).mode == mode


def test_an_unknown_detector_is_refused_and_changes_nothing(beam: Beam, equipment: ColumnEquipment) -> None:
    detectors = fitted(equipment.detectors)
    before = beam.detector()
    with pytest.raises(NotSupportedError, match=before.name):
        detectors.select("no such detector")
    with pytest.raises(HardwareError, match="no such mode"):
        detectors.select(before.name, mode="no such mode")
    assert beam.detector() == before


def test_brightness_and_contrast_read_back(beam: Beam, equipment: ColumnEquipment) -> None:
    detectors = fitted(equipment.detectors)
    found = detectors.set_levels(brightness_fraction=0.4, contrast_fraction=0.6)
    assert found == beam.detector()
    assert (found.brightness_fraction, found.contrast_fraction) == pytest.approx((0.4, 0.6), abs=0.02)
    for brightness, contrast in ((-0.1, 0.5), (0.5, 1.1)):
        with pytest.raises(RefusedSettingError, match="allowed are"):
            detectors.set_levels(brightness_fraction=brightness, contrast_fraction=contrast)
    assert beam.detector() == found


def test_brightness_makes_an_image_brighter(
    beam: Beam, equipment: ColumnEquipment, frame: ImageSettings, cancel: CancelToken
) -> None:
    detectors = fitted(equipment.detectors)
    beam.auto_contrast(cancel=cancel)
    contrast = beam.detector().contrast_fraction
    brightness = beam.detector().brightness_fraction

    def mean(brightness_fraction: float) -> float:
        detectors.set_levels(brightness_fraction=brightness_fraction, contrast_fraction=contrast)
        return float(beam.acquire(frame, cancel=cancel).data.mean())

    assert mean(min(1.0, brightness + 0.1)) > mean(max(0.01, brightness - 0.1))


def test_focusing_brings_the_focus_back(beam: Beam, equipment: ColumnEquipment, cancel: CancelToken) -> None:
    auto_focus = fitted(equipment.auto_focus)
    sharp_m = auto_focus.focus(cancel=cancel)
    assert sharp_m == beam.settings().working_distance_m
    beam.set_working_distance(sharp_m + 30e-6)
    found_m = auto_focus.focus(cancel=cancel)
    assert found_m == beam.settings().working_distance_m
    assert found_m == pytest.approx(sharp_m, abs=5e-6)


def test_a_blanked_beam_is_not_focused(beam: Beam, equipment: ColumnEquipment, cancel: CancelToken) -> None:
    auto_focus = fitted(equipment.auto_focus)
    before_m = beam.settings().working_distance_m
    beam.set_blanked(blanked=True)
    with pytest.raises(BeamError, match="blanked"):
        auto_focus.focus(cancel=cancel)
    assert beam.settings().working_distance_m == before_m


def test_the_stigmator_reads_back(beam: Beam, equipment: ColumnEquipment) -> None:
    stigmator = fitted(equipment.stigmator)
    before = beam.settings()
    x, y = before.stigmation_x + 0.01, before.stigmation_y - 0.02
    assert stigmator.set_stigmation(x, y) == pytest.approx((x, y), abs=1e-3)
    found = beam.settings()
    assert (found.stigmation_x, found.stigmation_y) == pytest.approx((x, y), abs=1e-3)
    assert replace(found, stigmation_x=before.stigmation_x, stigmation_y=before.stigmation_y) == before


LIVE = ImageSettings(width_px=768, height_px=512, hfw_m=120e-6, dwell_time_s=1e-6)
"""A size that every instrument scans live."""


def test_a_live_view_gives_frame_after_frame_until_it_is_stopped(
    beam: Beam, equipment: ColumnEquipment, cancel: CancelToken
) -> None:
    live_view = fitted(equipment.live_view)
    live_view.start(LIVE)
    assert live_view.is_running
    frames = [live_view.frame(cancel=cancel) for _ in range(2)]
    for image in frames:
        assert image.shape == (LIVE.height_px, LIVE.width_px)
        assert image.metadata.beam_type is beam.beam_type
        assert image.pixel_size_m == pytest.approx(LIVE.pixel_size_m, rel=1e-3)
    assert frames[0].metadata.frame_id != frames[1].metadata.frame_id
    assert not np.array_equal(frames[0].data, frames[1].data)
    for _ in range(2):
        live_view.stop()
        assert not live_view.is_running
    with pytest.raises(HardwareError, match="live view"):
        live_view.frame(cancel=cancel)
    assert beam.acquire(LIVE, cancel=cancel).shape == (LIVE.height_px, LIVE.width_px)


def test_both_columns_live_views_give_their_own_frames(microscope: Microscope, cancel: CancelToken) -> None:
    views = {beam_type: microscope.equipment(beam_type).live_view for beam_type in BeamType}
    if None in views.values():
        pytest.skip("not both columns have a live view")
    for beam_type, live_view in views.items():
        assert live_view is not None
        live_view.start(LIVE)
        assert live_view.frame(cancel=cancel).metadata.beam_type is beam_type
        live_view.stop()


def test_a_live_view_ends_with_the_safe_state(microscope: Microscope, equipment: ColumnEquipment) -> None:
    live_view = fitted(equipment.live_view)
    live_view.start(LIVE)
    microscope.driver.safe_state()
    assert not live_view.is_running


def test_a_blanked_beam_has_no_live_view(beam: Beam, equipment: ColumnEquipment) -> None:
    live_view = fitted(equipment.live_view)
    beam.set_blanked(blanked=True)
    with pytest.raises(BeamError, match="blanked"):
        live_view.start(LIVE)


def test_a_preset_changes_the_column_and_keeps_the_picture(
    beam: Beam, equipment: ColumnEquipment, cancel: CancelToken
) -> None:
    presets = fitted(equipment.presets)
    names = presets.available()
    assert names
    for name in names[:3]:
        before = beam.settings()
        presets.activate(name, cancel=cancel)
        found = beam.settings()
        assert found.hfw_m == pytest.approx(before.hfw_m, rel=0.01)
        assert found.scan_rotation_rad == pytest.approx(before.scan_rotation_rad, abs=1e-3)
        assert (found.shift - before.shift).length_m < 10e-9


def test_an_unknown_preset_is_refused(beam: Beam, equipment: ColumnEquipment, cancel: CancelToken) -> None:
    presets = fitted(equipment.presets)
    before = beam.settings()
    with pytest.raises(NotSupportedError, match="no such preset"):
        presets.activate("no such preset", cancel=cancel)
    assert beam.settings() == before


@pytest.mark.parametrize("blanked", [False, True])
def test_a_spot_takes_its_time_and_leaves_the_beam_as_it_was(
    beam: Beam,
    equipment: ColumnEquipment,
    microscope: Microscope,
    frame: ImageSettings,
    cancel: CancelToken,
    blanked: bool,
) -> None:
    spot = fitted(equipment.spot)
    beam.acquire(frame, cancel=cancel)
    beam.set_blanked(blanked=blanked)
    before, started_s = beam.settings(), microscope.clock.monotonic_s()
    spot.expose(ImagePoint(5e-6, -3e-6), duration_s=2.0, cancel=cancel)
    assert microscope.clock.monotonic_s() - started_s >= 2.0
    assert beam.settings() == before
    assert beam.is_blanked() is blanked
    beam.set_blanked(blanked=False)
    assert beam.acquire(frame, cancel=cancel).shape == (frame.height_px, frame.width_px)


def test_a_spot_outside_the_field_or_without_time_is_refused(
    beam: Beam, equipment: ColumnEquipment, microscope: Microscope, cancel: CancelToken
) -> None:
    spot = fitted(equipment.spot)
    hfw_m, started_s = beam.settings().hfw_m, microscope.clock.monotonic_s()
    for point, duration_s in ((ImagePoint(0.6 * hfw_m, 0.0), 1.0), (ImagePoint(0.0, 0.0), 0.0)):
        with pytest.raises(RefusedSettingError):
            spot.expose(point, duration_s=duration_s, cancel=cancel)
    assert microscope.clock.monotonic_s() - started_s < 1


def test_a_cancelled_spot_is_not_exposed(
    beam: Beam, equipment: ColumnEquipment, microscope: Microscope, cancel: CancelToken
) -> None:
    spot = fitted(equipment.spot)
    started_s = microscope.clock.monotonic_s()
    cancel.cancel("stop pressed")
    with pytest.raises(Cancelled):
        spot.expose(ImagePoint(0.0, 0.0), duration_s=100.0, cancel=cancel)
    assert microscope.clock.monotonic_s() - started_s < 1
    assert not beam.is_blanked()


def test_the_gas_of_a_plasma_source_can_be_changed_to_those_it_has(
    instrument: Instrument, equipment: ColumnEquipment, cancel: CancelToken
) -> None:
    source = fitted(equipment.plasma_source)
    assert source.gas() in source.available_gases()
    if not instrument.is_rehearsed:
        pytest.skip("the gas of a source is not changed by a test: let a person run plasma_source.switch_gas once")
    other = next(name for name in source.available_gases() if name != source.gas())
    assert source.switch_gas(other, cancel=cancel) == other
    assert source.gas() == other
    with pytest.raises(NotSupportedError, match="no such gas"):
        source.switch_gas("no such gas", cancel=cancel)
    assert source.gas() == other
