from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from fakes import FakeInstrument

from fibsem_runtime.core import CancelToken, ImagePoint, ImageSettings
from fibsem_runtime.core.errors import (
    BeamError,
    Cancelled,
    HardwareError,
    InterlockError,
    NotSupportedError,
    RefusedSettingError,
    VacuumError,
)
from fibsem_runtime.hal import Microscope, MillingState

NEVER = CancelToken()
FRAME = ImageSettings(hfw_m=100e-6)

USES: dict[str, Callable[[Any], object]] = {
    "turn_on": lambda e: e.source.turn_on(cancel=NEVER),
    "turn_off": lambda e: e.source.turn_off(),
    "select": lambda e: e.detectors.select("ICE"),
    "set_levels": lambda e: e.detectors.set_levels(brightness_fraction=0.4, contrast_fraction=0.6),
    "focus": lambda e: e.auto_focus.focus(cancel=NEVER),
    "set_stigmation": lambda e: e.stigmator.set_stigmation(0.1, 0.2),
    "start": lambda e: e.live_view.start(FRAME),
    "activate": lambda e: e.presets.activate("ICE", cancel=NEVER),
    "expose": lambda e: e.spot.expose(ImagePoint(0.0, 0.0), duration_s=1.0, cancel=NEVER),
    "switch_gas": lambda e: e.plasma_source.switch_gas("Argon", cancel=NEVER),
}
"""Everything that changes a column, by the call that reaches it."""

CANCELLABLE = ("turn_on", "focus", "activate", "expose", "switch_gas")


@pytest.fixture
def equipment(guarded: Microscope) -> Any:
    return guarded.ion_equipment


@pytest.mark.parametrize("name", USES)
def test_everything_reaches_the_column(fake: FakeInstrument, equipment: Any, name: str) -> None:
    USES[name](equipment)
    assert fake.ion_column.calls == [name]


@pytest.mark.parametrize("name", USES)
def test_nothing_happens_while_the_ion_beam_mills(fake: FakeInstrument, equipment: Any, name: str) -> None:
    fake.milling.now = MillingState.RUNNING
    with pytest.raises(InterlockError):
        USES[name](equipment)
    assert fake.ion_column.calls == []


@pytest.mark.parametrize("name", ["activate", "expose", "switch_gas"])
def test_what_would_spoil_a_paused_pattern_waits_for_its_end(fake: FakeInstrument, equipment: Any, name: str) -> None:
    fake.milling.now = MillingState.PAUSED
    with pytest.raises(InterlockError, match="paused"):
        USES[name](equipment)
    assert fake.ion_column.calls == []


@pytest.mark.parametrize("name", ["turn_on", "focus", "start", "activate", "expose"])
def test_no_beam_is_used_without_a_vacuum(fake: FakeInstrument, equipment: Any, name: str) -> None:
    fake.vacuum.pumped = False
    with pytest.raises(VacuumError):
        USES[name](equipment)
    assert fake.ion_column.calls == []


@pytest.mark.parametrize(("state", "text"), [("on", "off"), ("blanked", "blanked")])
@pytest.mark.parametrize("name", ["focus", "start"])
def test_scanning_needs_a_beam_on_the_sample(
    fake: FakeInstrument, equipment: Any, name: str, state: str, text: str
) -> None:
    setattr(fake.ion, state, state == "blanked")
    with pytest.raises(BeamError, match=text):
        USES[name](equipment)
    assert fake.ion_column.calls == []


@pytest.mark.parametrize("name", CANCELLABLE)
def test_a_cancelled_token_changes_nothing(fake: FakeInstrument, guarded: Microscope, name: str) -> None:
    stopped = CancelToken()
    stopped.cancel("stop pressed")
    equipment: Any = guarded.ion_equipment
    uses: dict[str, Callable[[], object]] = {
        "turn_on": lambda: equipment.source.turn_on(cancel=stopped),
        "focus": lambda: equipment.auto_focus.focus(cancel=stopped),
        "activate": lambda: equipment.presets.activate("ICE", cancel=stopped),
        "expose": lambda: equipment.spot.expose(ImagePoint(0.0, 0.0), duration_s=1.0, cancel=stopped),
        "switch_gas": lambda: equipment.plasma_source.switch_gas("Argon", cancel=stopped),
    }
    with pytest.raises(Cancelled):
        uses[name]()
    assert fake.ion_column.calls == []


@pytest.mark.parametrize(
    ("name", "error", "text"),
    [
        ("turn_on", BeamError, "reads off"),
        ("turn_off", BeamError, "reads on"),
        ("select", RefusedSettingError, r"asked for the detector ICE \(any mode\), the instrument reads back ETD"),
        ("set_levels", RefusedSettingError, "brightness of 0.4, the instrument reads back 0.5"),
        ("switch_gas", RefusedSettingError, "reads back Xenon"),
    ],
)
def test_what_was_not_taken_over_is_noticed(
    fake: FakeInstrument, equipment: Any, name: str, error: type[HardwareError], text: str
) -> None:
    fake.ion_column.stuck.add(name)
    fake.ion.on = name != "turn_on"
    with pytest.raises(error, match=text):
        USES[name](equipment)


def test_a_mode_that_was_not_taken_over_is_noticed(fake: FakeInstrument, equipment: Any) -> None:
    fake.ion_column.stuck.add("select")
    with pytest.raises(RefusedSettingError, match=r"ETD \(BSE\), the instrument reads back ETD \(SE\)"):
        equipment.detectors.select("ETD", mode="BSE")
    assert equipment.detectors.modes() == ("SE", "BSE")


@pytest.mark.parametrize(
    "use",
    [
        lambda e: e.detectors.select("CBS"),
        lambda e: e.presets.activate("CBS", cancel=NEVER),
        lambda e: e.plasma_source.switch_gas("CBS", cancel=NEVER),
    ],
)
def test_names_that_are_not_there_are_refused_with_those_that_are(
    fake: FakeInstrument, equipment: Any, use: Callable[[Any], object]
) -> None:
    with pytest.raises(NotSupportedError, match=r"'CBS' was asked for, this column has: (ETD, ICE|Xenon, Argon)"):
        use(equipment)
    assert fake.ion_column.calls == []


@pytest.mark.parametrize("level", [-0.01, 1.01, math.nan])
def test_levels_outside_0_to_1_are_refused(fake: FakeInstrument, equipment: Any, level: float) -> None:
    for levels in ((level, 0.5), (0.5, level)):
        with pytest.raises(RefusedSettingError, match="allowed are 0 to 1"):
            equipment.detectors.set_levels(brightness_fraction=levels[0], contrast_fraction=levels[1])
    assert fake.ion_column.calls == []


@pytest.mark.parametrize("duration_s", [0.0, -1.0, math.nan, math.inf])
def test_a_spot_without_a_duration_is_refused(fake: FakeInstrument, equipment: Any, duration_s: float) -> None:
    with pytest.raises(RefusedSettingError, match="above 0 s"):
        equipment.spot.expose(ImagePoint(0.0, 0.0), duration_s=duration_s, cancel=NEVER)
    assert fake.ion_column.calls == []


@pytest.mark.parametrize("point", [ImagePoint(76e-6, 0.0), ImagePoint(0.0, -51e-6), ImagePoint(math.nan, 0.0)])
def test_a_spot_outside_the_field_is_refused(fake: FakeInstrument, equipment: Any, point: ImagePoint) -> None:
    """The field is 150 µm wide and two thirds of that high."""
    with pytest.raises(RefusedSettingError, match="nothing was exposed"):
        equipment.spot.expose(point, duration_s=1.0, cancel=NEVER)
    assert fake.ion_column.calls == []
    equipment.spot.expose(ImagePoint(74e-6, -49e-6), duration_s=1.0, cancel=NEVER)


def test_a_spot_needs_no_unblanked_beam(fake: FakeInstrument, equipment: Any) -> None:
    fake.ion.blanked = True
    USES["expose"](equipment)
    assert fake.ion_column.calls == ["expose"]


def test_a_spot_needs_a_beam_that_is_on(fake: FakeInstrument, equipment: Any) -> None:
    fake.ion.on = False
    with pytest.raises(BeamError, match="nothing was exposed"):
        USES["expose"](equipment)
    assert fake.ion_column.calls == []


def test_a_live_view_is_stopped_whatever_happens(fake: FakeInstrument, equipment: Any) -> None:
    equipment.live_view.start(FRAME)
    assert equipment.live_view.frame(cancel=NEVER).shape == (2, 3)
    fake.milling.now, fake.vacuum.pumped, fake.ion.blanked = MillingState.RUNNING, False, True
    equipment.live_view.stop()
    assert fake.ion_column.calls == ["start", "frame", "stop"]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda fake: setattr(fake.milling, "now", MillingState.RUNNING), InterlockError),
        (lambda fake: setattr(fake.vacuum, "pumped", False), VacuumError),
        (lambda fake: setattr(fake.ion, "blanked", True), BeamError),
    ],
)
def test_a_live_view_that_runs_gives_no_frame_where_no_image_may_be_taken(
    fake: FakeInstrument, equipment: Any, change: Callable[[FakeInstrument], None], error: type[HardwareError]
) -> None:
    """Where nothing streams a frame is a scan: while milling it would image at the milling current."""
    equipment.live_view.start(FRAME)
    change(fake)
    with pytest.raises(error, match="read the ion live view"):
        equipment.live_view.frame(cancel=NEVER)
    assert fake.ion_column.calls == ["start"]


def test_what_only_reads_passes_through(equipment: Any) -> None:
    assert equipment.detectors.available() == equipment.presets.available() == ("ETD", "ICE")
    assert (equipment.plasma_source.gas(), equipment.plasma_source.available_gases()) == ("Xenon", ("Xenon", "Argon"))


def test_a_column_that_is_a_beam_and_nothing_else_stays_so(guarded: Microscope) -> None:
    equipment = guarded.electron_equipment
    assert equipment == replace(equipment, source=None, detectors=None, spot=None, presets=None)
    assert equipment.auto_focus is equipment.stigmator is equipment.plasma_source is None


@pytest.mark.parametrize(
    ("device", "attribute", "value", "text"),
    [
        ("milling", "now", MillingState.PAUSED, "milling is paused"),
        ("manipulator", "inserted", True, "manipulator"),
        ("gas", "inserted", True, "gas needle"),
        ("electron", "on", True, "electron beam is on"),
        ("ion", "on", True, "ion beam is on"),
    ],
)
def test_nothing_is_vented_with_anything_on_or_in(
    fake: FakeInstrument, guarded: Microscope, device: str, attribute: str, value: Any, text: str
) -> None:
    fake.electron.on = fake.ion.on = False
    setattr(getattr(fake, device), attribute, value)
    assert guarded.pump is not None
    with pytest.raises(InterlockError, match=text):
        guarded.pump.vent(cancel=NEVER)
    assert fake.vacuum.pumped


def test_a_chamber_is_vented_and_pumped_and_a_pump_that_does_nothing_is_noticed(
    fake: FakeInstrument, guarded: Microscope
) -> None:
    fake.electron.on = fake.ion.on = False
    assert guarded.pump is not None
    guarded.pump.vent(cancel=NEVER)
    assert not fake.vacuum.pumped
    fake.pump.stuck.add("pump")
    with pytest.raises(VacuumError, match="is not at working pressure"):
        guarded.pump.pump(cancel=NEVER)
    fake.pump.stuck.clear()
    guarded.pump.pump(cancel=NEVER)
    stopped = CancelToken()
    stopped.cancel("stop pressed")
    for use in (guarded.pump.pump, guarded.pump.vent):
        with pytest.raises(Cancelled):
            use(cancel=stopped)
    assert fake.vacuum.pumped
