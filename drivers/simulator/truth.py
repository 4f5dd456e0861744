"""What the simulator knows: for tests and for the report's score, never for the workflow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from drivers.simulator.bodies import Body, BodyKind, Floats
from drivers.simulator.body_state import BodyEvent
from drivers.simulator.frame_truth import frame_truth
from drivers.simulator.lamella import measure_lamella
from drivers.simulator.machine import Machine, as_triple
from drivers.simulator.optics import first_hit
from drivers.simulator.region import Region
from drivers.simulator.scenery import Layer
from drivers.simulator.sites import find_sites
from drivers.simulator.state import FrameRecord, SightRecord
from drivers.simulator.things import Thing, find_things
from drivers.simulator.view import View
from fibsem_runtime.core import BeamType, ImagePoint, PixelPoint, SpecimenPosition, pixel_to_image
from fibsem_runtime.core.errors import ExperimentError
from fibsem_runtime.hal.truth import FrameTruth, LamellaTruth, Site


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorTruth:
    """Answers about one machine."""

    machine: Machine
    _census: dict[tuple[object, ...], list[Thing]] = field(default_factory=dict, init=False, repr=False)

    def sites(self) -> tuple[Site, ...]:
        """Return a site for every place of the sample where work makes sense."""
        return find_sites(list(self.machine.world.bodies.values()))

    def specimen_point(self, frame_id: str, point: PixelPoint) -> SpecimenPosition:
        """Return the specimen point that a pixel of a frame shows, as the sample was when the frame was taken.

        Patterns begun later do not count; one that was under way counts as it stands now. Where the beam meets nothing
        the point on the film's plane is returned. Raises `ExperimentError` for a frame of another instrument.
        """
        record = self._record(frame_id)
        view, place = _view(record), _image_point(record, point)
        along_m = min(self._distance_m(sight, place) for sight in record.sights)
        if not np.isfinite(along_m):
            return _on_film(view, place)
        start = view.origin + place.x_m * view.right + place.y_m * view.up
        return _position(start + along_m * view.direction)

    def _distance_m(self, sight: SightRecord, place: ImagePoint) -> float:
        """Return how far along the beam a body of a frame is met, infinite where it is not."""
        view = _view(sight)
        hit = first_hit(self._body_of(sight).sample, view, place)
        return math.inf if hit is None else float((_vector(hit) - view.origin) @ view.direction)

    def lamella(self, target: SpecimenPosition) -> LamellaTruth:
        """Measure the lamella at ``target``, seen along the ion beam as it stands now.

        Of a piece that was cut free, wherever it is now, ``attached_to`` names the kinds of the bodies that hold it.
        """
        machine, view = self.machine, self.machine.view(BeamType.ION)
        piece = self._piece_at(_vector(target))
        if piece is None:
            return measure_lamella(machine.sample, target, view)
        place = machine.world.place_of(piece, machine.chamber(), machine.tip_m())
        held_by = self._kinds(self.held_by(piece.number))
        there = _position(place.inward(_vector(target)))
        return measure_lamella(piece.sample, there, place.look(view), held_by=held_by)

    def _piece_at(self, target_m: Floats) -> Body | None:
        """Return the piece whose box a point of the specimen frame lies in, the one whose middle is nearest."""
        machine = self.machine
        found: list[tuple[float, Body]] = []
        for body in machine.world.near(machine.base):
            at = machine.world.place_of(body, machine.chamber(), machine.tip_m()).inward(target_m)
            low, high = body.extent_m
            if body.kind is BodyKind.PIECE and ((at >= low) & (at <= high)).all():
                found.append((float(np.linalg.norm(at - (low + high) / 2)), body))
        return min(found, key=lambda one: one[0])[1] if found else None

    def _kinds(self, numbers: Sequence[int]) -> tuple[str, ...]:
        return tuple(self.machine.world.bodies[number].kind.value for number in numbers)

    def undamaged_thickness_m(self, target: SpecimenPosition) -> float | None:
        """Return how much of the lamella at ``target`` lies between its dead layers, m; None where it has no thickness.

        0 where both layers meet.
        """
        whole_m = self.lamella(target).thickness_m
        layer_m = self.machine.settings.processes.damage.layer_m
        return None if whole_m is None else max(0.0, whole_m - 2 * layer_m)

    def events(self) -> tuple[BodyEvent, ...]:
        """Return what has happened to pieces and needle, in order: freed, lost, touched, welded, parted, crashed."""
        return tuple(event.model_copy() for event in self.machine.state.world.events)

    def held_by(self, number: int) -> tuple[int, ...]:
        """Return the numbers of the bodies that joints connect a body to, over others too; empty for a lost one."""
        return self.machine.world.held_by(number)

    def needle_tip(self) -> tuple[float, float, float] | None:
        """Return where the needle's tip really is in the chamber, m; None while it is out."""
        needle = self.machine.state.world.needle
        return as_triple(self.machine.tip_m()) if needle is not None and needle.is_inserted else None

    def frame(self, frame_id: str) -> FrameTruth:
        """Return what a frame shows, of the sample as `specimen_point` has it. Raises `ExperimentError` like that."""
        record = self._record(frame_id)
        bodies = [self._body_of(sight) for sight in record.sights]
        layers = [
            Layer(number=body.number, sample=body.sample, view=_view(sight))
            for body, sight in zip(bodies, record.sights, strict=True)
        ]
        return frame_truth(layers, _region(record), self._things(record, bodies))

    def _body_of(self, sight: SightRecord) -> Body:
        """Return a body of a frame with the cuts that it had by then, carried as it was."""
        body = self.machine.world.bodies[sight.body]
        sample = replace(body.sample, cuts=body.sample.cuts[: sight.cut_count])
        return replace(body, sample=sample, carrier=sight.carrier)

    def _things(self, record: FrameRecord, bodies: Sequence[Body]) -> list[Thing]:
        """Return the objects of a state of the bodies; finding and measuring them takes longer than a frame."""
        known = [(sight.body, sight.cut_count, sight.carrier, sight.held_by) for sight in record.sights]
        state = (*known, self.machine.state.write_count)
        if state not in self._census:
            held_by = {sight.body: self._kinds(sight.held_by) for sight in record.sights}
            self._census.clear()
            is_serial = any(body.kind is BodyKind.RECEIVER for body in self.machine.world.bodies.values())
            self._census[state] = find_things(bodies, is_serial=is_serial, held_by=held_by)
        return self._census[state]

    def _record(self, frame_id: str) -> FrameRecord:
        record = self.machine.frames.get(frame_id)
        if record is None:
            raise ExperimentError(f"frame {frame_id!r} was not taken with this simulator; give one of its frames")
        return record


def _view(record: FrameRecord | SightRecord) -> View:
    return View(
        origin=np.array(record.origin_m),
        right=np.array(record.right),
        up=np.array(record.up),
        direction=np.array(record.direction),
    )


def _region(record: FrameRecord) -> Region:
    return Region(
        left_px=record.left_px,
        top_px=record.top_px,
        width_px=record.area_width_px,
        height_px=record.area_height_px,
        full_width_px=record.width_px,
        full_height_px=record.height_px,
        pixel_size_m=record.pixel_size_m,
    )


def _image_point(record: FrameRecord, point: PixelPoint) -> ImagePoint:
    """Return metres from the centre of the full frame for a pixel of the frame, reduced or not."""
    in_full_frame = PixelPoint(point.x_px + record.left_px, point.y_px + record.top_px)
    return pixel_to_image(in_full_frame, (record.height_px, record.width_px), record.pixel_size_m)


def _on_film(view: View, place: ImagePoint) -> SpecimenPosition:
    start = view.origin + place.x_m * view.right + place.y_m * view.up
    if abs(view.direction[2]) < 1e-6:
        raise ExperimentError("the frame looks along the film and shows nothing there; choose a pixel on the sample")
    return _position(start - start[2] / view.direction[2] * view.direction)


def _position(vector: Floats) -> SpecimenPosition:
    x_m, y_m, z_m = map(float, vector)
    return SpecimenPosition(x_m=x_m, y_m=y_m, z_m=z_m)


def _vector(position: SpecimenPosition) -> Floats:
    return np.array([position.x_m, position.y_m, position.z_m])
