from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from fibsem_runtime.contract.instruments import Instrument
from fibsem_runtime.contract.shifts import content_shift
from fibsem_runtime.core import CancelToken, Image, ImagePoint, ImageSettings, RelativeArea
from fibsem_runtime.core.errors import BeamError, Cancelled, NotSupportedError, RefusedSettingError
from fibsem_runtime.hal import Beam, Microscope
from fibsem_runtime.hal.coverage import Carried, complete

SHIFT = ImagePoint(4e-6, -3e-6)
TOLERANCE_M = 0.5e-6


def turned(image: Image) -> Image:
    """Return the image rotated by half a turn."""
    return Image(np.ascontiguousarray(image.data[::-1, ::-1]), image.metadata)


@pytest.mark.parametrize("bit_depth", [8, 16])
def test_an_image_is_what_was_asked_for(
    beam: Beam, microscope: Microscope, frame: ImageSettings, cancel: CancelToken, bit_depth: int
) -> None:
    image = beam.acquire(replace(frame, bit_depth=bit_depth), cancel=cancel)
    assert image.shape == (frame.height_px, frame.width_px)
    assert image.data.dtype == (np.uint8 if bit_depth == 8 else np.uint16)
    assert image.pixel_size_m == pytest.approx(frame.pixel_size_m, rel=1e-6)
    metadata = image.metadata
    assert (metadata.beam_type, metadata.dwell_time_s) == (beam.beam_type, pytest.approx(frame.dwell_time_s))
    assert metadata.stage_position == microscope.stage.position()
    assert metadata.beam == beam.settings()
    assert metadata.detector == beam.detector()
    assert metadata.beam is not None
    assert metadata.beam.hfw_m == pytest.approx(frame.hfw_m)
    assert metadata.instrument == microscope.info
    assert metadata.acquired_at is not None
    assert metadata.acquired_at.tzinfo is not None


def test_an_image_shows_something(beam: Beam, frame: ImageSettings, cancel: CancelToken) -> None:
    beam.auto_contrast(cancel=cancel)
    data = beam.acquire(replace(frame, bit_depth=16), cancel=cancel).data
    assert data.std() > 0.01 * np.iinfo(np.uint16).max
    assert len(np.unique(data)) > 256
    assert np.mean((data == 0) | (data == np.iinfo(np.uint16).max)) < 0.2


def test_every_frame_has_its_own_name_and_noise(beam: Beam, frame: ImageSettings, cancel: CancelToken) -> None:
    images = [beam.acquire(frame, cancel=cancel) for _ in range(3)]
    assert len({image.metadata.frame_id for image in images} - {""}) == 3
    assert not np.array_equal(images[0].data, images[1].data)


def test_a_reduced_area_is_that_part_of_the_frame(beam: Beam, frame: ImageSettings, cancel: CancelToken) -> None:
    area = RelativeArea(left_fraction=0.25, top_fraction=0.125, width_fraction=0.5, height_fraction=0.625)
    whole = beam.acquire(frame, cancel=cancel)
    part = beam.acquire(replace(frame, reduced_area=area), cancel=cancel)
    left, top, width, height = area.to_pixels(frame.width_px, frame.height_px)
    assert part.shape == (height, width)
    assert part.pixel_size_m == pytest.approx(whole.pixel_size_m)
    assert part.metadata.reduced_area == area
    cropped = Image(np.ascontiguousarray(whole.data[top : top + height, left : left + width]), whole.metadata)
    assert content_shift(cropped, part).length_m < TOLERANCE_M


def test_a_larger_field_shows_more(beam: Beam, frame: ImageSettings, cancel: CancelToken) -> None:
    """The middle of the field twice as wide, magnified, is the field."""
    near = beam.acquire(frame, cancel=cancel)
    wide = beam.acquire(replace(frame, hfw_m=2 * frame.hfw_m), cancel=cancel)
    top, left = frame.height_px // 4, frame.width_px // 4
    middle = wide.data[top : top + frame.height_px // 2, left : left + frame.width_px // 2]
    magnified = Image(np.kron(middle, np.ones((2, 2), middle.dtype)), near.metadata)
    assert content_shift(near, magnified).length_m < 2 * TOLERANCE_M


@pytest.mark.parametrize("turn_rad", [0.0, math.pi])
def test_a_beam_shift_moves_the_content_by_its_own_amount(
    beam: Beam, frame: ImageSettings, cancel: CancelToken, turn_rad: float
) -> None:
    """x right and y up, at every scan rotation."""
    beam.set_scan_rotation(turn_rad)
    start = beam.settings().shift
    before = beam.acquire(frame, cancel=cancel)
    assert beam.set_shift(start + SHIFT) == beam.settings().shift
    after = beam.acquire(frame, cancel=cancel)
    assert (content_shift(before, after) - SHIFT).length_m < TOLERANCE_M


def test_half_a_turn_of_the_scan_turns_the_image(beam: Beam, frame: ImageSettings, cancel: CancelToken) -> None:
    beam.set_scan_rotation(0.0)
    upright = beam.acquire(frame, cancel=cancel)
    assert beam.set_scan_rotation(math.pi) == pytest.approx(math.pi)
    assert beam.settings().scan_rotation_rad == pytest.approx(math.pi)
    # The point about which a scan turns need not be the centre to better than a few micrometres.
    assert content_shift(upright, turned(beam.acquire(frame, cancel=cancel))).length_m < 5e-6


def test_a_shift_beyond_the_limit_is_refused_and_changes_nothing(beam: Beam) -> None:
    before = beam.settings()
    for shift in (ImagePoint(1.01 * beam.shift_limit_m, 0), ImagePoint(0, -1.01 * beam.shift_limit_m)):
        with pytest.raises(RefusedSettingError, match="allowed are"):
            beam.set_shift(shift)
    assert beam.settings() == before


def test_available_currents_are_ascending_and_can_be_set(beam: Beam) -> None:
    currents_a = list(beam.available_currents_a)
    assert currents_a == sorted(set(currents_a))
    for current_a in (currents_a[0], currents_a[len(currents_a) // 2]):
        assert beam.set_current(current_a) == pytest.approx(current_a, rel=0.05)
        assert beam.settings().beam_current_a == pytest.approx(current_a, rel=0.05)


def test_another_current_is_refused_and_changes_nothing(beam: Beam) -> None:
    before = beam.settings()
    with pytest.raises(RefusedSettingError, match="available are"):
        beam.set_current(1.037 * beam.available_currents_a[0])
    assert beam.settings() == before


def test_the_present_voltage_can_be_set_and_reads_back(beam: Beam) -> None:
    voltage_v = beam.settings().voltage_v
    assert beam.set_voltage(voltage_v) == pytest.approx(voltage_v, rel=0.01)
    with pytest.raises(RefusedSettingError):
        beam.set_voltage(-voltage_v)
    assert beam.settings().voltage_v == pytest.approx(voltage_v, rel=0.01)


def test_focus_reads_back_or_is_refused_and_changes_nothing(beam: Beam) -> None:
    """Not every column can be focused: TESCAN's ion column has no such setting."""
    before = beam.settings()
    wanted_m = before.working_distance_m + 50e-6
    try:
        found_m = beam.set_working_distance(wanted_m)
    except NotSupportedError as refusal:
        assert "nothing was changed" in str(refusal)
        assert beam.settings() == before
        return
    assert found_m == pytest.approx(wanted_m, abs=2e-6)
    assert beam.settings().working_distance_m == pytest.approx(wanted_m, abs=2e-6)


def test_a_blanked_beam_takes_no_image_until_it_is_unblanked(
    beam: Beam, frame: ImageSettings, cancel: CancelToken
) -> None:
    assert beam.set_blanked(blanked=True)
    assert beam.is_blanked()
    with pytest.raises(BeamError, match="blanked"):
        beam.acquire(frame, cancel=cancel)
    assert not beam.set_blanked(blanked=False)
    assert beam.acquire(frame, cancel=cancel).shape == (frame.height_px, frame.width_px)


def test_auto_contrast_returns_the_detector_it_leaves(beam: Beam, frame: ImageSettings, cancel: CancelToken) -> None:
    found = beam.auto_contrast(cancel=cancel)
    assert found == beam.detector()
    assert 0 <= found.brightness_fraction <= 1
    assert 0 <= found.contrast_fraction <= 1
    assert found.name


SCAN_OPTIONS = {
    "line_integration": {"line_integration_count": 2},
    "frame_integration": {"frame_integration_count": 2},
    "scan_interlacing": {"scan_interlacing_count": 2},
    "drift_correction": {"frame_integration_count": 2, "is_drift_corrected": True},
}
"""By the vendor's word for it."""


@pytest.mark.parametrize("option", SCAN_OPTIONS)
def test_a_scan_option_is_honoured_or_refused_and_never_left_out(
    beam: Beam, instrument: Instrument, frame: ImageSettings, cancel: CancelToken, option: str
) -> None:
    """Integration is seen in the time that it takes; of the others a driver's coverage names the vendor's setting."""
    clock, before = instrument.microscope.clock, beam.settings()
    asked = replace(frame, dwell_time_s=20e-6, **SCAN_OPTIONS[option])
    started_s = clock.monotonic_s()
    try:
        image = beam.acquire(asked, cancel=cancel)
    except NotSupportedError as refusal:
        assert "asked for" in str(refusal)
        assert clock.monotonic_s() - started_s < 1
        assert beam.settings() == before
        return
    assert image.shape == (frame.height_px, frame.width_px)
    repeats = asked.line_integration_count * asked.frame_integration_count
    assert clock.monotonic_s() - started_s > 0.99 * repeats * asked.dwell_time_s * frame.width_px * frame.height_px
    if repeats == 1 or asked.is_drift_corrected:
        entry = complete(instrument.plugin.coverage)[f"{beam.beam_type.value.lower()}_beam.acquire"]
        assert isinstance(entry, Carried)
        assert option in entry.call


def test_a_cancelled_image_is_not_taken(
    beam: Beam, microscope: Microscope, frame: ImageSettings, cancel: CancelToken
) -> None:
    started_s = microscope.clock.monotonic_s()
    cancel.cancel("stop pressed")
    with pytest.raises(Cancelled):
        beam.acquire(frame, cancel=cancel)
    with pytest.raises(Cancelled):
        beam.auto_contrast(cancel=cancel)
    assert microscope.clock.monotonic_s() - started_s < 1


def test_a_longer_dwell_time_costs_time(
    beam: Beam, microscope: Microscope, frame: ImageSettings, cancel: CancelToken
) -> None:
    def cost_s(dwell_time_s: float) -> float:
        started_s = microscope.clock.monotonic_s()
        beam.acquire(replace(frame, dwell_time_s=dwell_time_s), cancel=cancel)
        return microscope.clock.monotonic_s() - started_s

    pixels = frame.width_px * frame.height_px
    assert cost_s(10e-6) - cost_s(1e-6) == pytest.approx(9e-6 * pixels, rel=0.5)


def test_a_longer_dwell_time_gives_less_noise(beam: Beam, frame: ImageSettings, cancel: CancelToken) -> None:
    def noise(dwell_time_s: float) -> float:
        request = replace(frame, dwell_time_s=dwell_time_s, bit_depth=16)
        one, two = (beam.acquire(request, cancel=cancel).data.astype(float) for _ in range(2))
        return float(np.std(one - two))

    beam.auto_contrast(cancel=cancel)
    assert noise(10e-6) < 0.7 * noise(0.5e-6)
