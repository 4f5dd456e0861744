"""Layers, redeposition and bending act on every body that they reach, and survive the end of the process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import lift_out_bench as bench
import numpy as np
import pytest
import simulators
from ice_blocks import ice_block, mill_all, milling_view, rectangle, trenches

from drivers.simulator.bodies import Body, BodyKind
from drivers.simulator.deposits import ICE_STEP_M
from drivers.simulator.machine import Machine
from drivers.simulator.process_settings import ProcessSettings
from drivers.simulator.process_state import ProcessState
from drivers.simulator.processes import Processes
from drivers.simulator.world import World
from fibsem_runtime.core import CancelToken, ImagePoint
from fibsem_runtime.core.units import UM
from fibsem_runtime.hal import Microscope, gas_flow
from fibsem_runtime.hal.shapes import RectangleShape

LINE = "Pt dep"
LANDING_AT_MM = 6.0
ALL_ON: dict[str, Any] = {"ice_growth": {"enabled": True, "rate_nm_per_h": 60}, "redeposition": {"enabled": True}}


def open_two_grids(folder: Path | None = None, **processes: Any) -> Microscope:
    found = simulators.settings(scene=bench.SCENE, processes=processes or ALL_ON)
    return simulators.microscope(found, state_directory=folder)


def go_to_landing(instrument: Microscope) -> None:
    position = instrument.stage.position()
    there = replace(position, x_m=position.x_m + LANDING_AT_MM * 1e-3)
    instrument.stage.move_to(there, cancel=CancelToken())
    if bench.machine_of(instrument).base.number != 1:
        instrument.stage.move_to(replace(position, x_m=position.x_m - LANDING_AT_MM * 1e-3), cancel=CancelToken())


def let_gas_flow(instrument: Microscope) -> None:
    gas = instrument.gas_injection
    assert gas is not None
    gas.prepare(LINE, cancel=CancelToken())
    gas.insert(LINE, cancel=CancelToken())
    with gas_flow(gas, LINE):
        bench.machine_of(instrument).spend(20.0)
    gas.retract(cancel=CancelToken())


def maps_of(machine: Machine) -> Iterator[np.ndarray]:
    """Yield everything that processes may change, body by body."""
    for number in sorted(machine.world.bodies):
        body = machine.world.bodies[number]
        yield from (body.sample.top_m, body.sample.coating_m, body.extent_m)
        for cut in body.sample.cuts:
            yield from (cut.front_m, np.array([cut.u0_m, cut.v0_m]))


def assert_continues_bit_for_bit(instrument: Microscope, again: Microscope) -> None:
    before, after = (list(maps_of(bench.machine_of(one))) for one in (instrument, again))
    assert len(before) == len(after)
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("is_at_landing", [False, True])
def test_gas_grows_on_the_grid_under_the_needle_and_not_six_millimetres_away(is_at_landing: bool) -> None:
    instrument = open_two_grids()
    machine = bench.machine_of(instrument)
    if is_at_landing:
        go_to_landing(instrument)
    assert machine.base.number == int(is_at_landing)
    there, away = machine.base, machine.world.bodies[1 - machine.base.number]
    let_gas_flow(instrument)
    assert float(there.sample.coating_m.max()) == pytest.approx(44e-9 * 20.0, rel=0.05)
    assert not away.sample.coating_m.any()
    assert [layer.body for layer in machine.state.processes.layers] == [there.number]


def test_metal_and_ice_cover_both_grids() -> None:
    instrument = open_two_grids()
    machine = bench.machine_of(instrument)
    bare = [body.sample.top_m.copy() for body in machine.world.bodies.values()]
    stands = [body.sample.top_m > body.sample.bottom_m for body in machine.world.bodies.values()]
    assert instrument.sputter_coater is not None
    instrument.sputter_coater.coat(duration_s=15.0, current_a=10e-3, cancel=CancelToken())
    machine.spend(3600.0)
    machine.begin("looking")
    ice_m = machine.state.processes.ice_count * ICE_STEP_M
    assert ice_m == pytest.approx(60e-9, abs=6e-9)
    for body, top_m, on in zip(machine.world.bodies.values(), bare, stands, strict=True):
        risen_m = body.sample.top_m - top_m
        assert risen_m[on] == pytest.approx(ice_m + 0.033e-9 * 150, abs=1e-11)
        assert not risen_m[~on].any()


def test_what_lands_and_grows_on_both_grids_is_the_same_after_a_restart(tmp_path: Path) -> None:
    instrument = open_two_grids(tmp_path / "one")
    simulators.ready_to_mill(instrument)
    bench.mill(instrument, [bench.rectangle(0, 0, 4, 2, 2)], current_a=0.3e-9)
    go_to_landing(instrument)
    bench.mill(instrument, [bench.rectangle(0, 0, 4, 2, 2)], current_a=0.3e-9)
    landing = bench.machine_of(instrument).base.sample
    first = landing.cuts[0].front_m.copy()
    bench.mill(instrument, [bench.rectangle(0, 1.5, 4, 2, 2)], current_a=0.3e-9)
    # What the second pattern has removed has landed on the faces of the first, tens of nanometres of it.
    dug = np.isfinite(first) & np.isfinite(landing.cuts[0].front_m)
    assert float((first[dug] - landing.cuts[0].front_m[dug]).max()) > 20e-9
    let_gas_flow(instrument)
    bench.machine_of(instrument).spend(3600.0)
    bench.machine_of(instrument).begin("looking")
    bench.machine_of(instrument).save()
    instrument.driver.close()
    again = open_two_grids(tmp_path / "one")
    assert len(bench.machine_of(again).world.bodies[1].sample.cuts) == 2
    assert_continues_bit_for_bit(instrument, again)


def test_a_slab_bends_in_the_body_that_it_stands_in() -> None:
    view = milling_view((0.0, 0.0, 1.5e-6))
    bodies = []
    for number in range(2):
        block = ice_block(3e-6, film_m=12e-9, width_m=50e-6)
        mill_all(block, trenches(spacing_um=0.55, height_um=3, width_um=6, depth_um=25), view, current_a=100e-12)
        bodies.append(Body(number=number, kind=BodyKind.WAFFLE, sample=block))
    before = [[cut.front_m.copy() for cut in body.sample.cuts] for body in bodies]
    processes, state = Processes(bodies, ProcessSettings(), seed=1), ProcessState()
    processes.finished_milling(state, bodies[1], np.array([0.0, 0.0, 1.5e-6]), view, now_s=0.0)
    assert [one.body for one in state.lamellae] == [1]
    due_s = state.lamellae[0].fate_score / state.lamellae[0].hazard_per_s
    changed = processes.catch_up(state, view, now_s=1.001 * due_s)
    assert [any(cut is one for one in bodies[1].sample.cuts) for cut in changed] == [True, True]
    for body, fronts, is_bent in zip(bodies, before, (False, True), strict=True):
        same = [np.array_equal(a, cut.front_m) for a, cut in zip(fronts, body.sample.cuts, strict=True)]
        assert same == [not is_bent] * 2


def test_layers_grow_on_a_piece_from_when_it_came_free_and_come_back_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = simulators.settings(processes=ALL_ON)
    instrument = simulators.microscope(found, state_directory=tmp_path / "one")
    simulators.ready_to_mill(instrument)
    machine = bench.machine_of(instrument)
    machine.spend(3600.0)
    # As if something held what comes free.
    monkeypatch.setattr(World, "drop_unheld", lambda *_, **__: None)
    slots = ((0.0, 1.5, 4.0, 1.0), (0.0, -1.5, 4.0, 1.0), (-1.5, 0.0, 1.0, 4.0), (1.5, 0.0, 1.0, 4.0))
    shapes = [
        RectangleShape(centre=ImagePoint(x * UM, y * UM), width_m=w * UM, height_m=h * UM, depth_m=30e-6)
        for x, y, w, h in slots
    ]
    instrument.milling.draw(shapes, simulators.CONDITIONS)
    instrument.milling.run(cancel=CancelToken())
    instrument.milling.stop()
    (piece,) = (body for body in machine.world.bodies.values() if body.kind is BodyKind.PIECE)
    assert not piece.is_lost
    ice_count, top_m, box_m = machine.state.processes.ice_count, piece.sample.top_m.copy(), piece.extent_m.copy()
    assert ice_count > 0
    stands = top_m > piece.sample.bottom_m
    assert instrument.sputter_coater is not None
    instrument.sputter_coater.coat(duration_s=15.0, current_a=10e-3, cancel=CancelToken())
    machine.spend(1800.0)
    machine.begin("looking")
    grown_m = (machine.state.processes.ice_count - ice_count) * ICE_STEP_M + 0.033e-9 * 150
    assert (piece.sample.top_m - top_m)[stands] == pytest.approx(grown_m, abs=1e-11)
    assert (piece.extent_m - box_m).ravel() == pytest.approx([-grown_m] * 3 + [grown_m] * 3, abs=1e-11)
    machine.save()
    instrument.driver.close()
    again = simulators.microscope(found, state_directory=tmp_path / "one")
    assert_continues_bit_for_bit(instrument, again)


def test_a_piece_keeps_the_outline_of_where_it_ends_when_ice_grows_on_it() -> None:
    block = ice_block(2e-6, width_m=20e-6)
    view = milling_view((0.0, 0.0, 1e-6))
    milled = mill_all(block, [rectangle(width_m=4e-6, depth_m=6e-6)], view)[0]
    outline = replace(milled, front_m=milled.front_m.copy(), is_milled=False)
    block.cuts.append(outline)
    ends_m = outline.front_m.copy()
    processes = Processes(
        [Body(number=20, kind=BodyKind.PIECE, sample=block)], ProcessSettings.model_validate(ALL_ON), seed=1
    )
    changed = processes.catch_up(ProcessState(), view, now_s=3600.0)
    assert [cut is milled for cut in changed] == [True]
    assert np.array_equal(outline.front_m, ends_m)
    assert not np.array_equal(milled.front_m, ends_m)
