"""The simulated instrument as a whole: clock, state, sample and what the beams see of it.

The devices are thin and share one machine. It alone knows the truth; what devices report are encoders and settings.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from drivers.simulator.bodies import NEEDLE, Body, BodyKind, Carrier, Pose
from drivers.simulator.body_state import NeedleState, WorldState
from drivers.simulator.disturbances import Disturbances
from drivers.simulator.needle import PARKED_M, hang_needle
from drivers.simulator.process_state import Layer, LayerKind
from drivers.simulator.processes import Processes
from drivers.simulator.projection import Errors, Vector, column_rays, to_specimen
from drivers.simulator.sample import Cut, Sample
from drivers.simulator.settings import ColumnSettings, SimulatorSettings
from drivers.simulator.shuttle import build_bodies, surface_height_m
from drivers.simulator.state import (
    FORMAT,
    BeamState,
    CutFile,
    FrameRecord,
    MachineState,
    SavedMachine,
    StageState,
    StateDirectory,
)
from drivers.simulator.view import View
from drivers.simulator.world import BodySight, World
from fibsem_runtime.core import BeamSettings, BeamType, ImagePoint, SimulatedClock, StagePosition
from fibsem_runtime.core.errors import ConnectionLostError, ExperimentError, InterlockError
from fibsem_runtime.hal.devices import MillingState

_NO_SHIFT = ImagePoint(0.0, 0.0)
_X_AXIS, _Y_AXIS, _Z_AXIS = np.eye(3)

INITIAL_HFW_M = 150e-6
"""Field width before the first frame, that of `ImageSettings`."""


class Machine:
    """One simulated instrument, alone or continued from a folder."""

    def __init__(self, settings: SimulatorSettings, *, seed: int, state_directory: Path | None) -> None:
        """Build the sample from settings and seed and take up the state in ``state_directory`` if there is one.

        Raises `ExperimentError` when the folder holds an instrument of another seed or other settings.
        """
        self.settings = settings
        self.seed = seed
        self.chain = settings.geometry.chain()
        self.disturbances = Disturbances(settings=settings.disturbances, seed=seed)
        self.milling_state = MillingState.IDLE
        self.is_open = True
        self.frames: dict[str, FrameRecord] = {}
        self.world = World(build_bodies(settings.scene, seed=seed), WorldState())
        self._directory = StateDirectory(path=state_directory) if state_directory is not None else None
        saved = self._load()
        self.state = saved if saved is not None else initial_state(settings)
        self.world.state = self.state.world
        if settings.needle is not None and self.state.world.needle is None:
            self.state.world.needle = NeedleState(position_m=PARKED_M)
        self.clock = SimulatedClock(settings.starts_at, elapsed_s=self.state.elapsed_s)
        self.processes = Processes(list(self.world.bodies.values()), settings.processes, seed=seed)
        self.processes.resume(self.state.processes)

    def _load(self) -> MachineState | None:
        saved = self._directory.load() if self._directory is not None else None
        if saved is None or self._directory is None:
            return None
        if saved.seed != self.seed:
            raise ExperimentError(
                f"{self._directory.path} holds a simulated instrument of seed {saved.seed}, asked was {self.seed}; "
                "continue with its seed or use another folder"
            )
        if saved.settings != self._settings_document():
            raise ExperimentError(
                f"{self._directory.path} holds a simulated instrument with other settings; continue with the "
                "configuration it was started with or use another folder"
            )
        if saved.machine.world.needle is not None and saved.machine.world.needle.insert_count:
            self.hang_needle()
        for piece in saved.machine.world.pieces:
            self.world.restore(piece, self._directory.load_piece(piece))
        for file in saved.machine.cut_files:
            self.world.bodies[file.body].sample.cuts.extend(self._directory.load_cuts(file))
        self.frames = self._directory.load_frames()
        return saved.machine

    def _settings_document(self) -> dict[str, Any]:
        document: dict[str, Any] = self.settings.model_dump(mode="json")
        return document

    def begin(self, action: str, *, while_paused: bool = False) -> None:
        """Refuse an action on a closed instrument, while milling and, unless ``while_paused``, in a pause of it.

        An action that is not refused finds the sample as the time until now has left it.
        """
        if not self.is_open:
            raise ConnectionLostError(f"{action} was asked of a simulator that is closed; open it again")
        if self.milling_state is MillingState.RUNNING:
            raise InterlockError(f"{action} is refused while the ion beam is milling; stop milling first")
        if self.milling_state is MillingState.PAUSED and not while_paused:
            raise InterlockError(f"{action} is refused while a milling pattern is paused; finish or stop it first")
        now_s = self.clock.monotonic_s()
        self.save_changed(self.processes.catch_up(self.state.processes, self.view(BeamType.ION), now_s=now_s))

    def spend(self, duration_s: float) -> None:
        """Let simulated time pass; drift goes on."""
        self.clock.sleep(duration_s)

    def beam_state(self, beam_type: BeamType) -> BeamState:
        """Return the state of one column."""
        return self.state.electron_beam if beam_type is BeamType.ELECTRON else self.state.ion_beam

    def column(self, beam_type: BeamType) -> ColumnSettings:
        """Return what one column offers."""
        return self.settings.electron_beam if beam_type is BeamType.ELECTRON else self.settings.ion_beam

    def view(self, beam_type: BeamType) -> View:
        """Return what a beam sees of the specimen now, with all disturbances."""
        beam = self.beam_state(beam_type).settings
        content = beam.shift
        if beam_type is BeamType.ION:
            content = content + self.disturbances.ion_content_shift(beam.beam_current_a)
        rays = column_rays(self.chain, beam_type, scan_rotation_rad=beam.scan_rotation_rad, content_shift=content)
        seen = to_specimen(self.chain, rays, self.state.stage.position, self.errors())
        return self.processes.seen(self.state.processes, seen)

    @property
    def base(self) -> Body:
        """Return the body of the scene that is under the beams, as an ideal instrument would have it."""
        return self.world.base_at(*map(float, self._nominal()[:2]))

    @property
    def sample(self) -> Sample:
        """Return the sample of `base`."""
        return self.base.sample

    def chamber(self) -> Pose:
        """Return where the chamber is in the specimen frame."""
        axes = View(origin=np.zeros(3), right=_X_AXIS, up=_Y_AXIS, direction=-_Z_AXIS)
        seen = to_specimen(self.chain, axes, self.state.stage.position, self.errors())
        return Pose(rotation=np.array([seen.right, seen.up, -seen.direction]).T, shift_m=seen.origin)

    def sights(self, beam_type: BeamType) -> list[BodySight]:
        """Return every body that a beam can meet and its rays in the body's own frame, `base` first."""
        return self.world.sights(self.view(beam_type), self.base, self.chamber(), self.tip_m())

    def tip_m(self) -> Vector:
        """Return where the tip of the needle really is, in the chamber."""
        needle = self.state.world.needle
        return np.zeros(3) if needle is None else np.sum([needle.position_m, needle.bias_m, needle.lag_m], axis=0)

    def hang_needle(self) -> None:
        """Make the needle's body when it is inserted for the first time."""
        if self.settings.needle is not None and NEEDLE not in self.world.bodies:
            self.world.bodies |= {body.number: body for body in hang_needle(self.settings.needle, seed=self.seed)}

    def near_stage_bodies(self) -> list[Body]:
        """Return the bodies under the beams that the stage carries."""
        return [body for body in self.world.near(self.base) if body.carrier is Carrier.STAGE]

    def errors(self) -> Errors:
        """Return all deviations from the chain now; a rigid body has one height, a film a height at every place."""
        nominal, base = self._nominal(), self.base
        place = nominal if base.kind is BodyKind.GRID else base.middle_m
        return self.disturbances.errors(self.state.stage, self.clock.monotonic_s(), place)

    def _nominal(self) -> Vector:
        ideal = column_rays(self.chain, BeamType.ELECTRON, scan_rotation_rad=0.0, content_shift=_NO_SHIFT)
        return to_specimen(self.chain, ideal, self.state.stage.position, Errors()).origin

    def focus_error_m(self, beam_type: BeamType) -> float:
        """Return how far beyond the coincidence plane, along the beam, a column is focused."""
        beam = self.beam_state(beam_type).settings
        if beam_type is BeamType.ELECTRON:
            return beam.working_distance_m - self.chain.eucentric_working_distance_electron_m
        own_m = self.disturbances.ion_focus_error_m(beam.beam_current_a)
        return beam.working_distance_m - self.chain.eucentric_working_distance_ion_m + own_m

    def add_frame(self, record: FrameRecord) -> None:
        """Remember the view of a frame for the truth."""
        self.frames[record.frame_id] = record
        if self._directory is not None:
            self._directory.append_frame(record)

    def set_hfw(self, beam_type: BeamType, hfw_m: float) -> None:
        """Set the field width of a column, as a frame or a milling field does."""
        beam = self.beam_state(beam_type)
        beam.settings = replace(beam.settings, hfw_m=hfw_m)

    def save_cuts(self, body: int, first_cut: int, cut_count: int) -> None:
        """Write cuts of a body under a new name, instead of those from there on; they count from the next `save` on."""
        kept = [file for file in self.state.cut_files if file.body != body or file.first_cut < first_cut]
        self.state.cut_files = [*kept, self._write_cuts(body, first_cut, cut_count, place=len(kept))]

    def _write_cuts(self, body: int, first_cut: int, cut_count: int, *, place: int) -> CutFile:
        self.state.write_count += 1
        name = f"cuts-{place:04d}-{self.state.write_count:06d}.npz"
        if self._directory is not None:
            self._directory.save_cuts(name, self.world.bodies[body].sample.cuts[first_cut : first_cut + cut_count])
        return CutFile(name=name, body=body, first_cut=first_cut, cut_count=cut_count)

    def save_changed(self, changed: Sequence[Cut]) -> None:
        """Write every pattern anew that has one of these cuts; they count from the next `save` on."""
        if not changed:
            return
        known = {id(cut) for cut in changed}
        self.state.cut_files = [
            self._write_cuts(file.body, file.first_cut, file.cut_count, place=place)
            if any(id(cut) in known for cut in self._cuts_of(file))
            else file
            for place, file in enumerate(self.state.cut_files)
        ]

    def _cuts_of(self, file: CutFile) -> list[Cut]:
        return self.world.bodies[file.body].sample.cuts[file.first_cut : file.first_cut + file.cut_count]

    def settle(self, body: Body, near: Sequence[Cut]) -> None:
        """Part from a body what milling has cut loose, and write down what that changes."""
        first_cut = len(body.sample.cuts)
        parted = self.world.settle(body, near, elapsed_s=self.clock.monotonic_s())
        if not parted:
            return
        self.world.choose_carriers(self.chamber(), self.tip_m())
        self.save_cuts(body.number, first_cut, len(parted))
        for piece in parted:
            self.processes.adopt(self.state.processes, piece)
            if self._directory is not None:
                self._directory.save_piece(self.world.file_of(piece), piece.sample)
            self.save_cuts(piece.number, 0, len(piece.sample.cuts))

    def deposit(self, kind: LayerKind, thickness_m: float, *, around_m: Vector, sigma_m: float | None = None) -> None:
        """Deposit a layer on all bodies that are there, thickest at a point of the specimen frame where ``sigma_m``."""
        chamber, tip_m = self.chamber(), self.tip_m()
        for body in list(self.world.present()):
            x_m, y_m, _ = map(float, self.world.place_of(body, chamber, tip_m).inward(around_m))
            layer = Layer(body=body.number, kind=kind, thickness_m=thickness_m, x_m=x_m, y_m=y_m, sigma_m=sigma_m)
            self.save_changed(self.processes.deposit(self.state.processes, layer))

    def save(self) -> None:
        """Put the present state on the disk; what is not saved has not happened after a crash."""
        self.state.elapsed_s = self.clock.monotonic_s()
        self.world.write_back()
        if self._directory is None:
            return
        self._directory.save(
            SavedMachine(format=FORMAT, seed=self.seed, settings=self._settings_document(), machine=self.state)
        )


def initial_state(settings: SimulatorSettings) -> MachineState:
    """Return the instrument as it is switched on: flat to the electron beam, surface at coincidence, both beams on."""
    chain = settings.geometry.chain()
    height_m = surface_height_m(settings.scene)
    # Stage y and z ride on the tilt, below the pre-tilted shuttle.
    position = StagePosition(
        x_m=0.0,
        y_m=0.0 - height_m * math.sin(chain.pretilt_rad),
        z_m=chain.eucentric_z_m - height_m * math.cos(chain.pretilt_rad),
        r_rad=chain.rotation_reference_rad,
        t_rad=chain.pretilt_rad,
    )
    return MachineState(
        stage=StageState(position=position),
        electron_beam=_initial_beam(settings.electron_beam, chain.eucentric_working_distance_electron_m),
        ion_beam=_initial_beam(settings.ion_beam, chain.eucentric_working_distance_ion_m),
    )


def _initial_beam(column: ColumnSettings, working_distance_m: float) -> BeamState:
    settings = BeamSettings(
        voltage_v=column.voltage_kv * 1e3,
        beam_current_a=column.current_pa / 1e12,
        working_distance_m=working_distance_m,
        hfw_m=INITIAL_HFW_M,
        scan_rotation_rad=math.radians(column.scan_rotation_deg),
    )
    return BeamState(settings=settings, brightness_fraction=0.5, contrast_fraction=0.5)


def as_triple(vector: np.ndarray[Any, np.dtype[np.float64]]) -> tuple[float, float, float]:
    """Return a (3,) array as plain numbers for the state file."""
    x, y, z = (float(value) for value in vector)
    return (x, y, z)
