"""Drift within a frame: every row shows the specimen where it is by then, in the image and in the truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import simulators
from ice_blocks import ice_block, mill_all, milling_view, rectangle, shifted, view_from_above
from views import BARE, ION

from drivers.simulator.optics import noise_free_signal
from drivers.simulator.scan import drifting
from drivers.simulator.truth import SimulatorTruth
from drivers.simulator.view import View
from fibsem_runtime.core import CancelToken, ImageSettings, PixelPoint, RelativeArea

FRAME = ImageSettings(width_px=96, height_px=64, hfw_m=9.6e-6)
QUARTER = RelativeArea(left_fraction=0.25, top_fraction=0.5, width_fraction=0.5, height_fraction=0.25)
MIDDLE = milling_view((0.0, 0.0, 2e-6))


def row_of(view: View, row: int, settings: ImageSettings = FRAME) -> np.ndarray:
    """Return the middle of a row of the full frame."""
    y_m = (settings.height_px / 2 - row - 0.5) * settings.pixel_size_m
    return np.asarray(view.origin + y_m * view.up)


def test_a_frame_that_hardly_drifts_is_one_exposure() -> None:
    start = shifted(MIDDLE, x_m=-0.12 * FRAME.pixel_size_m)
    assert drifting(start, MIDDLE, FRAME) is MIDDLE
    assert drifting(shifted(MIDDLE, x_m=-1e-6), MIDDLE, replace(FRAME, frame_integration_count=4)) is MIDDLE


@pytest.mark.parametrize("area", [None, QUARTER])
def test_every_row_is_seen_where_the_specimen_is_by_then(area: RelativeArea | None) -> None:
    start = shifted(MIDDLE, x_m=-0.4e-6, y_m=0.3e-6)
    settings = replace(FRAME, reduced_area=area)
    first, count = (0, 64) if area is None else (32, 16)
    leaning = drifting(start, MIDDLE, settings)
    for row in (first, first + 5, first + count - 1):
        share = (row + 0.5 - first) / count
        expected = row_of(shifted(MIDDLE, x_m=(2 * share - 1) * 0.4e-6, y_m=-(2 * share - 1) * 0.3e-6), row)
        assert row_of(leaning, row) == pytest.approx(expected, abs=1e-12)


def test_image_points_of_a_leaning_view_are_those_its_rays_begin_at() -> None:
    leaning = drifting(shifted(MIDDLE, x_m=-0.4e-6, y_m=0.3e-6), MIDDLE, FRAME)
    x_m, y_m = np.array([1e-6, -3e-6]), np.array([2e-6, -0.5e-6])
    places = np.multiply.outer(x_m, leaning.right) + np.multiply.outer(y_m, leaning.up) + 5e-6 * leaning.direction
    found = leaning.across(places)
    assert found[0] == pytest.approx(x_m, abs=1e-15)
    assert found[1] == pytest.approx(y_m, abs=1e-15)


def test_the_rows_of_an_image_are_those_of_the_places_where_the_specimen_was() -> None:
    block, above = ice_block(2e-6, film_m=12e-9, width_m=40e-6), view_from_above()
    mill_all(block, [rectangle(width_m=4e-6, height_m=4e-6, rotation_rad=0.3)], above)
    leaning = drifting(shifted(above, x_m=-0.25e-6), above, FRAME)
    signal = noise_free_signal(block, leaning, FRAME, ION, BARE)
    at_once = noise_free_signal(block, above, FRAME, ION, BARE)
    for row in (18, 46):
        still = shifted(above, x_m=(2 * (row + 0.5) / 64 - 1) * 0.25e-6)
        expected = noise_free_signal(block, still, FRAME, ION, BARE)[row]
        # Within a pixel the specimen moves on too: by a thirteenth of a pixel.
        assert np.abs(signal[row] - expected).sum() < 0.3 * np.abs(at_once[row] - expected).sum()


def test_image_and_truth_of_a_slow_frame_lean_alike() -> None:
    drift = {"drift": {"rate_nm_per_min": 3000, "settling_nm_per_min": 0}}
    instrument = simulators.microscope(simulators.settings(only="drift", disturbances=drift))
    machine = instrument.driver.machine  # type: ignore[attr-defined]
    slow = ImageSettings(width_px=192, height_px=128, hfw_m=40e-6, dwell_time_s=400e-6)
    image = instrument.electron_beam.acquire(slow, cancel=CancelToken())
    truth = SimulatorTruth(machine=machine)
    top, bottom = (truth.specimen_point(image.metadata.frame_id, PixelPoint(96.0, y)) for y in (0.5, 127.5))
    record = machine.frames[image.metadata.frame_id]
    moved_m = 127 * slow.pixel_size_m * (np.array(record.up) - [0.0, np.cos(np.arcsin(record.up[2])), record.up[2]])
    assert 0.2e-6 < np.linalg.norm(moved_m) < 0.6e-6
    assert top.x_m - bottom.x_m == pytest.approx(moved_m[0], abs=1e-10)
    assert record.sights[0].up == record.up
