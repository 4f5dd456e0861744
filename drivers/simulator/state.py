"""State of the simulated instrument and how it survives the end of a process.

Everything that changes is one JSON file, replaced by renaming after each call that changes it; milled geometry is one
array file for each drawn pattern and the views of frames are a list that only grows. Array files get a new name with
every version and the JSON names the valid ones, so that a process may die between any two writes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from drivers.simulator.bodies import Carrier
from drivers.simulator.body_state import PieceState, WorldState
from drivers.simulator.detector_look import STANDARD
from drivers.simulator.process_state import ProcessState
from drivers.simulator.sample import Cut, Sample
from fibsem_runtime.core import BeamSettings, StagePosition
from fibsem_runtime.core.errors import ExperimentError, StorageError
from fibsem_runtime.hal.shapes import MillingSettings, Shape

FORMAT = 5

Triple = tuple[float, float, float]

_MAPS = ("top_m", "bottom_m", "coating_m", "material")


class State(BaseModel):
    """Part of the state; unknown keys forbidden, changed in place by the device it belongs to."""

    model_config = ConfigDict(extra="forbid")


class StageState(State):
    """Encoders, and what they do not know: recall error on the plate, settled drift in the chamber."""

    position: StagePosition
    move_count: int = 0
    moved_at_s: float = 0.0
    recall_error_m: Triple = (0.0, 0.0, 0.0)
    settled_m: Triple = (0.0, 0.0, 0.0)


class BeamState(State):
    """One column and its detector."""

    settings: BeamSettings
    brightness_fraction: float
    contrast_fraction: float
    is_on: bool = True
    is_blanked: bool = False
    detector: str = STANDARD


class ChamberState(State):
    """Vacuum and gas line; ``gas_since_s`` is when the valve was opened, None while it is closed."""

    is_pumped: bool = True
    is_gas_warm: bool = False
    is_gas_inserted: bool = False
    gas_since_s: float | None = None


class DrawnCuts(State):
    """The cuts of a drawn pattern in one of the bodies that it meets."""

    body: int
    first_cut: int
    cut_count: int


class DrawingState(State):
    """What is drawn and how far it is milled; ``order_until_s`` is set while the instrument has been told to mill.

    ``cuts`` is empty until the first beam time was spent.
    """

    shapes: list[Shape]
    settings: MillingSettings
    total_s: float
    milled_s: float = 0.0
    was_run: bool = False
    order_until_s: float | None = None
    cuts: list[DrawnCuts] = Field(default_factory=list)


class CutFile(State):
    """File with the cuts of one drawn pattern in one body, or those that say where a piece ends."""

    name: str
    body: int
    first_cut: int
    cut_count: int


class FaultState(State):
    """What the fault plan has counted and done; ``struck`` are places in the plan."""

    call_counts: dict[str, int] = Field(default_factory=dict)
    milling_counts: dict[str, int] = Field(default_factory=dict)
    struck: list[int] = Field(default_factory=list)
    lost_until_s: float = 0.0
    reply_timeout_s: float = 0.0


class MachineState(State):
    """The whole instrument at one moment of its clock."""

    elapsed_s: float = 0.0
    stage: StageState
    electron_beam: BeamState
    ion_beam: BeamState
    frame_count: int = 0
    contrast_count: int = 0
    focus_count: int = 0
    chamber: ChamberState = Field(default_factory=ChamberState)
    write_count: int = 0
    drawing: DrawingState | None = None
    cut_files: list[CutFile] = Field(default_factory=list)
    faults: FaultState = Field(default_factory=FaultState)
    processes: ProcessState = Field(default_factory=ProcessState)
    world: WorldState = Field(default_factory=WorldState)


class SightRecord(State):
    """One body of a frame: the frame's rays in the body's own frame, how many of its cuts there were, what held it."""

    body: int
    origin_m: Triple
    right: Triple
    up: Triple
    direction: Triple
    cut_count: int
    carrier: Carrier
    held_by: tuple[int, ...]


class FrameRecord(State):
    """What the truth needs to know about a frame: its view, its place in the full frame and what was milled by then.

    ``sights`` are the bodies that could be seen, that of the scene first; the view itself is in the specimen frame.

    ``width_px`` and ``height_px`` are those of the full frame; the area that was scanned begins at ``left_px`` and
    ``top_px`` in it.
    """

    frame_id: str
    origin_m: Triple
    right: Triple
    up: Triple
    direction: Triple
    pixel_size_m: float
    width_px: int
    height_px: int
    left_px: int
    top_px: int
    area_width_px: int
    area_height_px: int
    sights: list[SightRecord]


class SavedMachine(State):
    """The state file: whose state it is, and the state."""

    format: int
    seed: int
    settings: dict[str, Any]
    machine: MachineState


@contextmanager
def _storage(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(f"the simulator cannot write {path}: {error.strerror or error}; free the disk") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class StateDirectory:
    """Folder that holds one simulated instrument."""

    path: Path
    STATE: ClassVar[str] = "machine.json"
    FRAMES: ClassVar[str] = "frames.jsonl"

    def load(self) -> SavedMachine | None:
        """Read the state; None in a folder without one. Raise `ExperimentError` when it cannot be continued."""
        file = self.path / self.STATE
        try:
            text = file.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ExperimentError(f"the simulator's state {file} cannot be read: {error.strerror or error}") from error
        try:
            saved = SavedMachine.model_validate_json(text)
        except ValidationError as error:
            raise ExperimentError(f"{file} is not a simulator state ({error.error_count()} problems)") from error
        if saved.format != FORMAT:
            raise ExperimentError(f"{file} has format {saved.format}, this version continues {FORMAT}; start a new one")
        return saved

    def save(self, saved: SavedMachine) -> None:
        """Replace the state at once; then remove array files that it no longer names."""
        with _storage(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            self._replace(self.STATE, saved.model_dump_json().encode())
            valid = {file.name for file in saved.machine.cut_files}
            valid |= {piece.file for piece in saved.machine.world.pieces}
            for file in (*self.path.glob("cuts-*.npz"), *self.path.glob("piece-*.npz")):
                if file.name not in valid:
                    file.unlink()

    def _replace(self, name: str, content: bytes) -> None:
        # No fsync: the state has to survive the process, not the computer, and is written after every call.
        temporary = self.path / f"{name}.tmp"
        temporary.write_bytes(content)
        os.replace(temporary, self.path / name)

    def save_cuts(self, name: str, cuts: list[Cut]) -> None:
        """Write the cuts of one pattern under a name that was never used."""
        arrays = {
            f"{field.name}_{i}": getattr(cut, field.name)
            for i, cut in enumerate(cuts)
            for field in fields(Cut)
            if getattr(cut, field.name) is not None
        }
        temporary = self.path / f"{name}.tmp"
        with _storage(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as stream:
                np.savez(stream, **arrays)
            os.replace(temporary, self.path / name)

    def load_cuts(self, file: CutFile) -> list[Cut]:
        """Read the cuts of one pattern, bit for bit as they were saved."""
        try:
            with np.load(self.path / file.name, allow_pickle=False) as arrays:
                return [_cut_from(arrays, i) for i in range(file.cut_count)]
        except (OSError, KeyError, ValueError) as error:
            raise ExperimentError(f"the milled geometry {self.path / file.name} cannot be read: {error}") from error

    def save_piece(self, name: str, sample: Sample) -> None:
        """Write the height field of a piece under a name that was never used."""
        arrays = {name: getattr(sample, name) for name in _MAPS}
        place = np.array([sample.x0_m, sample.y0_m, sample.pitch_m])
        temporary = self.path / f"{name}.tmp"
        with _storage(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as stream:
                np.savez(stream, place_m=place, **arrays)
            os.replace(temporary, self.path / name)

    def load_piece(self, piece: PieceState) -> Sample:
        """Read the height field of a piece, bit for bit as it was saved, without its cuts."""
        try:
            with np.load(self.path / piece.file, allow_pickle=False) as arrays:
                x0_m, y0_m, pitch_m = map(float, arrays["place_m"])
                maps = {name: arrays[name] for name in _MAPS}
        except (OSError, KeyError, ValueError) as error:
            raise ExperimentError(f"the piece {self.path / piece.file} cannot be read: {error}") from error
        return Sample(x0_m=x0_m, y0_m=y0_m, pitch_m=pitch_m, has_surroundings=False, **maps)

    def append_frame(self, record: FrameRecord) -> None:
        """Add the view of one frame; a frame whose state was never saved is replaced by its repetition."""
        with _storage(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            with (self.path / self.FRAMES).open("a", encoding="utf-8") as stream:
                stream.write(record.model_dump_json() + "\n")

    def load_frames(self) -> dict[str, FrameRecord]:
        """Read the views of all frames; a last line cut off by the end of the process is removed."""
        file = self.path / self.FRAMES
        if not file.exists():
            return {}
        content = file.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if whole != content:
            with _storage(self.path):
                os.truncate(file, len(whole))
        try:
            lines = whole.decode().splitlines()
            records = [FrameRecord.model_validate(json.loads(line)) for line in lines]
        except ValueError as error:
            raise ExperimentError(f"{file} is not a list of frames: {error}") from error
        return {record.frame_id: record for record in records}


def _cut_from(arrays: Any, number: int) -> Cut:
    return Cut(
        origin=arrays[f"origin_{number}"],
        axes=arrays[f"axes_{number}"],
        u0_m=float(arrays[f"u0_m_{number}"]),
        du_m=float(arrays[f"du_m_{number}"]),
        v0_m=float(arrays[f"v0_m_{number}"]),
        dv_m=float(arrays[f"dv_m_{number}"]),
        front_m=arrays[f"front_m_{number}"],
        is_milled=bool(arrays[f"is_milled_{number}"]),
        drawn_m=arrays[drawn] if (drawn := f"drawn_m_{number}") in arrays else None,
    )
