from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from fibsem_runtime.core import CancelToken, ImagePoint, ImageSettings
from fibsem_runtime.core.errors import BeamError, Cancelled, HardwareError, InterlockError, MillingError
from fibsem_runtime.hal import Microscope, MillingSettings, MillingState, RectangleShape, milling_conditions

SHAPE = RectangleShape(centre=ImagePoint(3e-6, 2e-6), width_m=5e-6, height_m=2e-6, depth_m=0.1e-6)


class LateCancel(CancelToken):
    """Token that is cancelled once it was asked ``questions`` times, wherever that happens."""

    def __init__(self, questions: int) -> None:
        super().__init__()
        self._questions = questions

    @property
    def is_cancelled(self) -> bool:
        self._count()
        return super().is_cancelled

    def raise_if_cancelled(self) -> None:
        self._count()
        super().raise_if_cancelled()

    def _count(self) -> None:
        self._questions -= 1
        if self._questions < 0:
            self.cancel("stop pressed while milling")


def contrast_between(before: NDArray[np.float64], after: NDArray[np.float64], *, block_px: int = 6) -> float:
    """Return how far two images differ, averaged over blocks so that shot noise counts less than what is there."""
    rows, columns = (size // block_px for size in before.shape)
    difference = (after - before)[: rows * block_px, : columns * block_px]
    blocks = difference.reshape(rows, block_px, columns, block_px).mean(axis=(1, 3))
    return float(np.sqrt(np.mean(blocks**2)))


def test_an_idle_engine_says_so(microscope: Microscope) -> None:
    assert microscope.milling.state() is MillingState.IDLE


def test_the_estimate_grows_with_the_volume(microscope: Microscope, conditions: MillingSettings) -> None:
    one_s = microscope.milling.draw([SHAPE], conditions)
    two_s = microscope.milling.draw([SHAPE, SHAPE], conditions)
    deep_s = microscope.milling.draw([replace(SHAPE, depth_m=3 * SHAPE.depth_m)], conditions)
    assert one_s > 0
    assert two_s == pytest.approx(2 * one_s, rel=0.1)
    assert deep_s == pytest.approx(3 * one_s, rel=0.1)


def test_milling_to_the_end_takes_the_estimated_time(
    microscope: Microscope, conditions: MillingSettings, cancel: CancelToken
) -> None:
    total_s = microscope.milling.draw([SHAPE], conditions)
    started_s = microscope.clock.monotonic_s()
    progress = microscope.milling.run(cancel=cancel)
    assert progress.finished
    assert progress.milled_s == pytest.approx(progress.total_s)
    assert progress.total_s == pytest.approx(total_s)
    assert microscope.clock.monotonic_s() - started_s == pytest.approx(total_s, rel=0.2)
    assert microscope.milling.state() is MillingState.IDLE


def test_milling_in_parts_counts_on_and_finishes_once(
    microscope: Microscope, conditions: MillingSettings, cancel: CancelToken
) -> None:
    total_s = microscope.milling.draw([SHAPE], conditions)
    spent_s = []
    for part in range(1, 4):
        progress = microscope.milling.run(duration_s=total_s / 4, cancel=cancel)
        assert not progress.finished
        assert progress.milled_s == pytest.approx(part * total_s / 4, rel=0.05)
        assert microscope.milling.state() is MillingState.PAUSED
        spent_s.append(progress.milled_s)
    assert spent_s == sorted(spent_s)
    assert microscope.milling.run(cancel=cancel).finished


def test_beam_time_of_an_earlier_run_is_left_out(
    microscope: Microscope, conditions: MillingSettings, cancel: CancelToken
) -> None:
    total_s = microscope.milling.draw([SHAPE], conditions)
    started_s = microscope.clock.monotonic_s()
    progress = microscope.milling.run(skip_s=total_s / 2, cancel=cancel)
    assert progress.finished
    assert progress.milled_s == pytest.approx(total_s)
    assert microscope.clock.monotonic_s() - started_s == pytest.approx(total_s / 2, rel=0.2)


def test_beam_time_can_be_left_out_before_the_first_part_only(
    microscope: Microscope, conditions: MillingSettings, cancel: CancelToken
) -> None:
    total_s = microscope.milling.draw([SHAPE], conditions)
    microscope.milling.run(duration_s=total_s / 4, cancel=cancel)
    with pytest.raises(MillingError, match="first"):
        microscope.milling.run(skip_s=total_s / 4, cancel=cancel)


def test_what_was_milled_is_seen(
    microscope: Microscope, conditions: MillingSettings, frame: ImageSettings, cancel: CancelToken
) -> None:
    request = replace(frame, hfw_m=conditions.hfw_m, dwell_time_s=5e-6, bit_depth=16)
    hole = replace(SHAPE, width_m=10e-6, height_m=5e-6, depth_m=1e-6)
    beam = microscope.ion_beam
    beam.auto_contrast(cancel=cancel)
    before, again = (beam.acquire(request, cancel=cancel).data.astype(float) for _ in range(2))
    current_a = min(beam.available_currents_a, key=lambda current_a: abs(current_a - 1e-9))
    rough = replace(conditions, beam_current_a=current_a)
    with milling_conditions(microscope, rough):
        microscope.milling.draw([hole], rough)
        assert microscope.milling.run(cancel=cancel).finished
    after = beam.acquire(request, cancel=cancel).data.astype(float)
    x_px = request.width_px / 2 + hole.centre.x_m / request.pixel_size_m
    y_px = request.height_px / 2 - hole.centre.y_m / request.pixel_size_m
    half_x_px, half_y_px = (length_m / 2 / request.pixel_size_m for length_m in (hole.width_m, hole.height_m))
    inside = np.s_[round(y_px - half_y_px) : round(y_px + half_y_px), round(x_px - half_x_px) : round(x_px + half_x_px)]
    assert contrast_between(before[inside], after[inside]) > 2 * contrast_between(before[inside], again[inside])


@pytest.mark.parametrize("change", ["current", "voltage"])
def test_a_pattern_for_another_beam_is_refused(
    microscope: Microscope, conditions: MillingSettings, change: str
) -> None:
    wrong = (
        replace(conditions, beam_current_a=microscope.ion_beam.available_currents_a[-1])
        if change == "current"
        else replace(conditions, voltage_v=0.5 * conditions.voltage_v)
    )
    with pytest.raises(HardwareError, match="nothing was milled"):
        microscope.milling.draw([SHAPE], wrong)
    assert microscope.milling.state() is MillingState.IDLE


def test_a_beam_that_changed_after_drawing_mills_nothing(
    microscope: Microscope, conditions: MillingSettings, cancel: CancelToken
) -> None:
    microscope.milling.draw([SHAPE], conditions)
    microscope.ion_beam.set_current(microscope.ion_beam.available_currents_a[-1])
    with pytest.raises(HardwareError, match="nothing was milled"):
        microscope.milling.run(cancel=cancel)


@pytest.mark.parametrize("centre", [ImagePoint(39e-6, 0), ImagePoint(0, -26.5e-6), ImagePoint(-39e-6, 26.5e-6)])
def test_a_pattern_outside_the_field_is_refused(
    microscope: Microscope, conditions: MillingSettings, centre: ImagePoint
) -> None:
    with pytest.raises(MillingError, match="field"):
        microscope.milling.draw([SHAPE, replace(SHAPE, centre=centre)], conditions)
    assert microscope.milling.state() is MillingState.IDLE


def test_nothing_drawn_mills_nothing(microscope: Microscope, cancel: CancelToken) -> None:
    with pytest.raises(MillingError, match="drawn"):
        microscope.milling.run(cancel=cancel)


def test_a_blanked_beam_mills_nothing(microscope: Microscope, conditions: MillingSettings, cancel: CancelToken) -> None:
    microscope.milling.draw([SHAPE], conditions)
    microscope.ion_beam.set_blanked(blanked=True)
    with pytest.raises(BeamError, match="blanked"):
        microscope.milling.run(cancel=cancel)


def _leave_idle(microscope: Microscope, conditions: MillingSettings) -> None:
    """Nothing is drawn."""


def _leave_drawn(microscope: Microscope, conditions: MillingSettings) -> None:
    microscope.milling.draw([SHAPE], conditions)


def _leave_paused(microscope: Microscope, conditions: MillingSettings) -> None:
    total_s = microscope.milling.draw([SHAPE], conditions)
    microscope.milling.run(duration_s=total_s / 2, cancel=CancelToken())


def _leave_finished(microscope: Microscope, conditions: MillingSettings) -> None:
    microscope.milling.draw([SHAPE], conditions)
    microscope.milling.run(cancel=CancelToken())


def _leave_cancelled(microscope: Microscope, conditions: MillingSettings) -> None:
    microscope.milling.draw([SHAPE], conditions)
    _run_cancelled(microscope, 4)


def _run_cancelled(microscope: Microscope, questions: int) -> float | None:
    """Return the beam time that a run reports which is cancelled underway, or None when it raised."""
    try:
        return microscope.milling.run(cancel=LateCancel(questions)).milled_s
    except Cancelled:
        return None


LEAVE: list[Callable[[Microscope, MillingSettings], None]] = [
    _leave_idle,
    _leave_drawn,
    _leave_paused,
    _leave_finished,
    _leave_cancelled,
]


@pytest.mark.parametrize("leave", LEAVE)
def test_stop_ends_idle_in_every_state_and_may_be_repeated(
    microscope: Microscope,
    conditions: MillingSettings,
    cancel: CancelToken,
    leave: Callable[[Microscope, MillingSettings], None],
) -> None:
    leave(microscope, conditions)
    for _ in range(2):
        microscope.milling.stop()
        assert microscope.milling.state() is MillingState.IDLE
    with pytest.raises(MillingError, match="drawn"):
        microscope.milling.run(cancel=cancel)
    assert microscope.milling.draw([SHAPE], conditions) > 0


def test_a_run_that_is_cancelled_beforehand_mills_nothing(
    microscope: Microscope, conditions: MillingSettings, cancel: CancelToken
) -> None:
    microscope.milling.draw([SHAPE], conditions)
    started_s = microscope.clock.monotonic_s()
    cancel.cancel("stop pressed")
    with pytest.raises(Cancelled):
        microscope.milling.run(cancel=cancel)
    assert microscope.milling.state() is not MillingState.RUNNING
    assert microscope.clock.monotonic_s() - started_s < 1


@pytest.mark.parametrize("questions", [1, 2, 3, 5])
def test_a_run_that_is_cancelled_underway_stops_early(
    microscope: Microscope, conditions: MillingSettings, questions: int
) -> None:
    total_s = microscope.milling.draw([replace(SHAPE, depth_m=1e-6)], conditions)
    started_s = microscope.clock.monotonic_s()
    milled_s = _run_cancelled(microscope, questions)
    assert microscope.milling.state() is not MillingState.RUNNING
    assert microscope.clock.monotonic_s() - started_s < 0.9 * total_s
    if milled_s is not None:
        assert milled_s < total_s


def test_while_paused_nothing_moves_or_is_drawn_but_images_are_taken(
    microscope: Microscope, conditions: MillingSettings, frame: ImageSettings, cancel: CancelToken
) -> None:
    _leave_paused(microscope, conditions)
    here = microscope.stage.position()
    with pytest.raises(InterlockError, match="paused"):
        microscope.stage.move_to(replace(here, x_m=here.x_m + 1e-6), cancel=cancel)
    with pytest.raises(InterlockError, match="paused"):
        microscope.milling.draw([SHAPE], conditions)
    assert microscope.ion_beam.acquire(frame, cancel=cancel).shape == (frame.height_px, frame.width_px)
    assert microscope.stage.position() == here
    assert microscope.milling.run(cancel=cancel).finished


def test_imaging_conditions_are_back_after_milling_and_after_an_error(
    microscope: Microscope, conditions: MillingSettings
) -> None:
    before = microscope.ion_beam.settings()
    wanted = replace(conditions, beam_current_a=microscope.ion_beam.available_currents_a[-1])
    with milling_conditions(microscope, wanted):
        assert microscope.ion_beam.settings().beam_current_a == pytest.approx(wanted.beam_current_a, rel=0.05)
        microscope.ion_beam.set_shift(ImagePoint(1e-6, 1e-6))
    assert microscope.ion_beam.settings() == before
    with pytest.raises(MillingError, match="field"), milling_conditions(microscope, wanted):
        microscope.milling.draw([replace(SHAPE, width_m=100e-6)], wanted)
    assert microscope.ion_beam.settings() == before
