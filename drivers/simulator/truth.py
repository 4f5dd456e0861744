"""What the simulator knows: for tests and for the report's score, never for the workflow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from drivers.simulator.bodies import Body, BodyKind
from drivers.simulator.body_state import BodyEvent
from drivers.simulator.frame_truth import frame_truth
from drivers.simulator.lamella import measure_lamella
from drivers.simulator.machine import Machine, as_triple
from drivers.simulator.optics import first_hit
from drivers.simulator.region import Region
from drivers.simulator.sample import Sample
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
    _census: dict[tuple[tuple[int, int], ...], list[Thing]] = field(default_factory=dict, init=False, repr=False)

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
        return first_hit(self._sample_of(record), view, place) or _on_film(view, place)

    def lamella(self, target: SpecimenPosition) -> LamellaTruth:
        """Measure the lamella at ``target``, seen along the ion beam as it stands now."""
        return measure_lamella(self.machine.sample, target, self.machine.view(BeamType.ION))

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
        return tuple(sorted(self.machine.world.joined_to(number)))

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
        return frame_truth(layers, _region(record), self._things(bodies))

    def _body_of(self, sight: SightRecord) -> Body:
        """Return a body of a frame with the cuts that it had by then."""
        body = self.machine.world.bodies[sight.body]
        return replace(body, sample=replace(body.sample, cuts=body.sample.cuts[: sight.cut_count]))

    def _things(self, bodies: Sequence[Body]) -> list[Thing]:
        """Return the objects of a state of the bodies; finding and measuring them takes longer than a frame."""
        state = (*((body.number, len(body.sample.cuts)) for body in bodies), (-1, self.machine.state.write_count))
        if state not in self._census:
            world = self.machine.world
            held_by = {
                body.number: tuple(world.bodies[number].kind.value for number in sorted(world.joined_to(body.number)))
                for body in bodies
            }
            self._census.clear()
            is_serial = any(body.kind is BodyKind.RECEIVER for body in world.bodies.values())
            self._census[state] = find_things(bodies, is_serial=is_serial, held_by=held_by)
        return self._census[state]

    def _record(self, frame_id: str) -> FrameRecord:
        record = self.machine.frames.get(frame_id)
        if record is None:
            raise ExperimentError(f"frame {frame_id!r} was not taken with this simulator; give one of its frames")
        return record

    def _sample_of(self, record: FrameRecord) -> Sample:
        return replace(self.machine.sample, cuts=self.machine.sample.cuts[: record.sights[0].cut_count])


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
    x_m, y_m, z_m = (float(value) for value in start - start[2] / view.direction[2] * view.direction)
    return SpecimenPosition(x_m=x_m, y_m=y_m, z_m=z_m)
