from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from fakes import FakeInstrument

from fibsem_runtime.core import BeamType, CancelToken, ImagePoint, ImageSettings
from fibsem_runtime.core.errors import BeamError, Cancelled, InterlockError, RefusedSettingError, VacuumError
from fibsem_runtime.hal import Beam, Microscope, MillingState

SMALL = ImageSettings(width_px=12, height_px=8)


def test_a_current_without_an_aperture_is_refused_with_the_available_ones(
    fake: FakeInstrument, guarded: Microscope
) -> None:
    with pytest.raises(RefusedSettingError, match=r"50 pA, available are 20 pA, 60 pA, 740 pA"):
        guarded.ion_beam.set_current(50e-12)
    assert fake.ion.calls == []


SETTERS: list[tuple[str, Callable[[Beam], object]]] = [
    ("beam_current_a", lambda beam: beam.set_current(60e-12)),
    ("voltage_v", lambda beam: beam.set_voltage(16e3)),
    ("working_distance_m", lambda beam: beam.set_working_distance(0.0170)),
    ("shift", lambda beam: beam.set_shift(ImagePoint(1e-6, 0.0))),
    ("shift", lambda beam: beam.set_shift(ImagePoint(0.0, -1e-6))),
    ("scan_rotation_rad", lambda beam: beam.set_scan_rotation(math.pi)),
    ("blanked", lambda beam: beam.set_blanked(blanked=True)),
]
REFUSED_WHILE_MILLING = [*SETTERS[:-1], ("blanked", lambda beam: beam.set_blanked(blanked=False))]


@pytest.mark.parametrize(("name", "set_it"), SETTERS)
def test_a_setting_that_does_not_read_back_is_an_error(
    fake: FakeInstrument, guarded: Microscope, name: str, set_it: Callable[[Beam], object]
) -> None:
    set_it(guarded.electron_beam)
    fake.ion.stuck.add(name)
    with pytest.raises(RefusedSettingError, match="reads back"):
        set_it(guarded.ion_beam)


@pytest.mark.parametrize(("name", "set_it"), REFUSED_WHILE_MILLING)
def test_nothing_is_set_while_the_ion_beam_mills(
    fake: FakeInstrument, guarded: Microscope, name: str, set_it: Callable[[Beam], object]
) -> None:
    fake.milling.now = MillingState.RUNNING
    with pytest.raises(InterlockError, match="while the ion beam mills"):
        set_it(guarded.ion_beam)
    assert fake.ion.calls == []


def test_blanking_is_allowed_even_while_the_ion_beam_mills(fake: FakeInstrument, guarded: Microscope) -> None:
    fake.milling.now = MillingState.RUNNING
    assert guarded.electron_beam.set_blanked(blanked=True)
    assert fake.electron.blanked


@pytest.mark.parametrize("asked", [0.0, -1.0, math.nan, math.inf])
def test_an_impossible_voltage_or_focus_is_refused(fake: FakeInstrument, guarded: Microscope, asked: float) -> None:
    with pytest.raises(RefusedSettingError, match="above 0 V"):
        guarded.ion_beam.set_voltage(asked)
    with pytest.raises(RefusedSettingError, match="above 0 m"):
        guarded.ion_beam.set_working_distance(asked)
    assert fake.ion.calls == []


def test_a_scan_rotation_that_is_no_number_is_refused(fake: FakeInstrument, guarded: Microscope) -> None:
    with pytest.raises(RefusedSettingError, match="number"):
        guarded.ion_beam.set_scan_rotation(math.nan)
    assert fake.ion.calls == []


def test_whole_turns_of_the_scan_are_the_same(guarded: Microscope) -> None:
    assert guarded.ion_beam.set_scan_rotation(3 * math.pi) == pytest.approx(-math.pi)


@pytest.mark.parametrize("shift", [ImagePoint(11e-6, 0), ImagePoint(0, -11e-6), ImagePoint(math.nan, 0)])
def test_a_shift_beyond_the_limit_is_refused_and_not_clipped(
    fake: FakeInstrument, guarded: Microscope, shift: ImagePoint
) -> None:
    with pytest.raises(RefusedSettingError, match=r"allowed are ±10 µm.*move the stage"):
        guarded.ion_beam.set_shift(shift)
    assert fake.ion.calls == []


def test_an_image_needs_a_beam_that_is_on(fake: FakeInstrument, guarded: Microscope, cancel: CancelToken) -> None:
    fake.electron.on = False
    for call in (lambda: guarded.electron_beam.acquire(SMALL, cancel=cancel), lambda: _contrast(guarded, cancel)):
        with pytest.raises(BeamError, match="electron beam is off; switch it on"):
            call()
    assert fake.electron.calls == []


def _contrast(guarded: Microscope, cancel: CancelToken) -> object:
    return guarded.electron_beam.auto_contrast(cancel=cancel)


def test_an_image_needs_a_beam_that_is_not_blanked(
    fake: FakeInstrument, guarded: Microscope, cancel: CancelToken
) -> None:
    fake.ion.blanked = True
    with pytest.raises(BeamError, match="blanked"):
        guarded.ion_beam.acquire(SMALL, cancel=cancel)
    guarded.electron_beam.acquire(SMALL, cancel=cancel)


def test_an_image_needs_vacuum(fake: FakeInstrument, guarded: Microscope, cancel: CancelToken) -> None:
    fake.vacuum.pumped = False
    with pytest.raises(VacuumError, match="pump"):
        guarded.electron_beam.acquire(SMALL, cancel=cancel)
    with pytest.raises(VacuumError, match="pump"):
        guarded.electron_beam.set_voltage(5e3)
    assert fake.electron.calls == []


def test_nothing_images_while_the_ion_beam_mills_but_it_may_while_milling_is_paused(
    fake: FakeInstrument, guarded: Microscope, cancel: CancelToken
) -> None:
    fake.milling.now = MillingState.RUNNING
    for beam_type in BeamType:
        with pytest.raises(InterlockError):
            guarded.beam(beam_type).acquire(SMALL, cancel=cancel)
    fake.milling.now = MillingState.PAUSED
    assert guarded.ion_beam.acquire(SMALL, cancel=cancel).shape == (8, 12)


def test_an_image_of_another_field_is_noticed(fake: FakeInstrument, guarded: Microscope, cancel: CancelToken) -> None:
    fake.ion.pixel_size_ratio = 2.0
    with pytest.raises(RefusedSettingError, match="pixel size"):
        guarded.ion_beam.acquire(SMALL, cancel=cancel)


def test_a_cancelled_image_is_not_taken(fake: FakeInstrument, guarded: Microscope, cancel: CancelToken) -> None:
    cancel.cancel("stop pressed")
    with pytest.raises(Cancelled):
        guarded.ion_beam.acquire(SMALL, cancel=cancel)
    assert fake.ion.calls == []


def test_readings_are_those_of_the_instrument(fake: FakeInstrument, guarded: Microscope) -> None:
    beam = guarded.ion_beam
    assert (beam.is_on(), beam.is_blanked(), beam.settings()) == (True, False, fake.ion.current)
    assert beam.detector().name == "ETD"
    assert (beam.available_currents_a, beam.shift_limit_m) == (fake.ion.available_currents_a, 10e-6)
    assert guarded.state().ion_beam == fake.ion.current
