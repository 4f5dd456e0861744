"""Several bodies in one simulated instrument: lost pieces, what survives a kill, and the needle as it is seen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import simulators

from drivers.simulator.bodies import NEEDLE, BodyKind, Pose
from drivers.simulator.body_state import EventKind
from drivers.simulator.driver import SimulatorPlugin
from drivers.simulator.machine import Machine
from drivers.simulator.truth import SimulatorTruth
from fibsem_runtime.core import BeamType, CancelToken, ImagePoint, ImageSettings
from fibsem_runtime.core.errors import InterlockError
from fibsem_runtime.core.units import UM
from fibsem_runtime.hal import ManipulatorPose, Microscope
from fibsem_runtime.hal.shapes import RectangleShape


def machine_of(instrument: Microscope) -> Machine:
    machine: Machine = instrument.driver.machine  # type: ignore[attr-defined]
    return machine


def found(**sections: object) -> object:
    return simulators.settings(handling={"insertion_error_um": 0}, needle={"length_um": 100}, **sections)


@pytest.fixture
def instrument(tmp_path: Path) -> Microscope:
    opened = simulators.microscope(found(), state_directory=tmp_path / "one")  # type: ignore[arg-type]
    simulators.ready_to_mill(opened)
    return opened


def frame_around(*, depth_m: float = 30e-6) -> list[RectangleShape]:
    """Return four slots around a square of 2 µm in the ion image."""
    slots = ((0.0, 1.5, 4.0, 1.0), (0.0, -1.5, 4.0, 1.0), (-1.5, 0.0, 1.0, 4.0), (1.5, 0.0, 1.0, 4.0))
    return [
        RectangleShape(centre=ImagePoint(x * UM, y * UM), width_m=w * UM, height_m=h * UM, depth_m=depth_m)
        for x, y, w, h in slots
    ]


def mill(instrument: Microscope, shapes: list[RectangleShape]) -> None:
    instrument.milling.draw(shapes, simulators.CONDITIONS)
    instrument.milling.run(cancel=CancelToken())
    instrument.milling.stop()


def test_what_is_cut_out_of_the_sample_is_lost_and_says_so(instrument: Microscope) -> None:
    mill(instrument, frame_around()[:3])
    assert machine_of(instrument).state.world.events == []
    mill(instrument, frame_around()[3:])
    truth = SimulatorTruth(machine=machine_of(instrument))
    kinds = [event.kind for event in truth.events()]
    assert kinds == [EventKind.FREED, EventKind.LOST]
    (piece,) = [b for b in machine_of(instrument).world.bodies.values() if b.kind is BodyKind.PIECE]
    assert piece.is_lost
    assert truth.held_by(piece.number) == ()
    assert truth.needle_tip() is None
    assert piece not in machine_of(instrument).world.near(machine_of(instrument).base)


def test_a_lost_piece_is_not_drawn_any_more(instrument: Microscope) -> None:
    request = ImageSettings(width_px=48, height_px=32, hfw_m=8e-6, dwell_time_s=100e-6)
    mill(instrument, frame_around()[:3])
    before = instrument.ion_beam.acquire(request, cancel=CancelToken()).data[12:20, 20:28]
    mill(instrument, frame_around()[3:])
    after = instrument.ion_beam.acquire(request, cancel=CancelToken()).data[12:20, 20:28]
    assert after.mean() < 0.5 * before.mean()


def test_pieces_and_losses_survive_a_kill(instrument: Microscope, tmp_path: Path) -> None:
    mill(instrument, frame_around())
    one = machine_of(instrument)
    two = machine_of(simulators.microscope(found(), state_directory=tmp_path / "one"))  # type: ignore[arg-type]
    assert two.state.world == one.state.world
    assert two.world.bodies.keys() == one.world.bodies.keys()
    for number, body in one.world.bodies.items():
        again = two.world.bodies[number]
        assert (again.is_lost, again.carrier) == (body.is_lost, body.carrier)
        assert [c.front_m.tobytes() for c in again.sample.cuts] == [c.front_m.tobytes() for c in body.sample.cuts]
        assert again.sample.top_m.tobytes() == body.sample.top_m.tobytes()


def test_the_needle_is_where_its_encoders_say_in_both_images_whatever_the_stage_does() -> None:
    opened = simulators.microscope(found())  # type: ignore[arg-type]
    assert opened.manipulator is not None
    machine = machine_of(opened)
    for tilt_rad in (0.2, 0.6):
        opened.stage.move_to(replace(opened.stage.position(), t_rad=tilt_rad), cancel=CancelToken())
        opened.manipulator.insert(ManipulatorPose.WORKING, cancel=CancelToken())
        at = opened.manipulator.position()
        for beam_type, sine, cosine in ((BeamType.ELECTRON, 0.0, 1.0), (BeamType.ION, np.sin(0.9076), np.cos(0.9076))):
            sight = next(s for s in machine.sights(beam_type) if s.body.number == NEEDLE)
            tip = sight.body.pose.inward(np.zeros(3)) - sight.view.origin
            assert tip @ sight.view.right == pytest.approx(at.x_m, abs=1e-9)
            assert tip @ sight.view.up == pytest.approx(at.y_m * cosine - at.z_m * sine, abs=2e-8)
        opened.manipulator.retract(cancel=CancelToken())
        assert all(s.body.number != NEEDLE for s in machine.sights(BeamType.ELECTRON))


def test_the_needle_is_drawn_before_the_sample() -> None:
    opened = simulators.microscope(found())  # type: ignore[arg-type]
    assert opened.manipulator is not None
    request = ImageSettings(width_px=96, height_px=64, hfw_m=120e-6, dwell_time_s=20e-6)
    bare = opened.electron_beam.acquire(request, cancel=CancelToken()).data.astype(float)
    opened.manipulator.insert(ManipulatorPose.WORKING, cancel=CancelToken())
    with_needle = opened.electron_beam.acquire(request, cancel=CancelToken()).data.astype(float)
    changed = np.abs(with_needle - bare) > 30
    assert changed[:, 40:].mean() < 0.02
    assert changed[28:36, :16].mean() > 0.9


def test_the_stage_does_not_move_under_an_inserted_needle() -> None:
    opened = simulators.microscope(found())  # type: ignore[arg-type]
    assert opened.manipulator is not None
    opened.manipulator.insert(ManipulatorPose.STANDBY, cancel=CancelToken())
    before = opened.stage.position()
    with pytest.raises(InterlockError, match="manipulator"):
        opened.stage.move_to(replace(before, x_m=1e-3), cancel=CancelToken())
    assert opened.stage.position() == before


def test_an_instrument_without_a_needle_has_no_manipulator() -> None:
    assert SimulatorPlugin().open(simulators.settings(needle=None), seed=1, state_directory=None).manipulator is None


def test_poses_undo_and_follow_each_other() -> None:
    turn = Pose(rotation=np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]), shift_m=np.array([1.0, 2, 3]))
    shift = Pose(shift_m=np.array([0.5, 0, 0]))
    points = np.random.default_rng(1).normal(size=(5, 3))
    assert turn.after(shift).outward(points) == pytest.approx(turn.outward(shift.outward(points)))
    assert turn.inverse().outward(turn.outward(points)) == pytest.approx(points)
    assert turn.inward(turn.outward(points)) == pytest.approx(points)
