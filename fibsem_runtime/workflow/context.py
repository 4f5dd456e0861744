"""What a step may do: image, move, check and record, for one lamella."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TypeVar

from fibsem_runtime.core import BeamType, CancelToken, Image, ImageSettings, StagePosition, WallClock
from fibsem_runtime.core.clock import Clock
from fibsem_runtime.detection import Detector
from fibsem_runtime.events import CheckMade, Document, ImageAcquired, ImageReference, StageMoved
from fibsem_runtime.experiment import Experiment
from fibsem_runtime.hal import Kinematics, Microscope, safe_route
from fibsem_runtime.workflow.settings import MethodSettings
from fibsem_runtime.workflow.supervision import SupervisionMode, Supervisor

DocumentT = TypeVar("DocumentT", bound=Document)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """Choices of one run that are not part of the method.

    ``use_alignment`` and ``use_detection`` can be switched off in the simulator to see what they are worth.
    """

    lamella_count: int
    mode: SupervisionMode = SupervisionMode.NEVER
    gate_fraction: float = 0.5
    use_alignment: bool = True
    use_detection: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """An image together with its reference on disk."""

    image: Image
    reference: ImageReference


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Everything a step works with; bound to one lamella and step by `bind`."""

    microscope: Microscope
    kinematics: Kinematics
    experiment: Experiment
    detector: Detector | None
    operator: Supervisor | None
    method: MethodSettings
    options: RunOptions
    cancel: CancelToken
    lamella: str = ""
    step: str = ""
    step_mode: SupervisionMode | None = None
    human_clock: Clock = field(default_factory=WallClock)

    def bind(self, *, lamella: str = "", step: str = "", step_mode: SupervisionMode | None = None) -> Context:
        """Return the same context for one lamella and step."""
        return replace(self, lamella=lamella, step=step, step_mode=step_mode)

    @property
    def mode(self) -> SupervisionMode:
        """Return the supervision mode of this step."""
        return self.step_mode or self.options.mode

    def record(self, kind: type[DocumentT], **facts: object) -> DocumentT:
        """Write one document; it is on disk when this returns."""
        return self.experiment.record(self.make(kind, **facts))

    def make(self, kind: type[DocumentT], **facts: object) -> DocumentT:
        """Return a document of this lamella and step that is not written yet."""
        clock = self.microscope.clock
        return kind.model_validate(
            {
                "run_id": self.experiment.run_id,
                "monotonic_s": clock.monotonic_s(),
                "wall_time": clock.now(),
                "lamella": self.lamella,
                "step": self.step,
                **facts,
            }
        )

    def acquire(self, beam_type: BeamType, settings: ImageSettings, *, purpose: str) -> Frame:
        """Take one image, save it and record it."""
        self.cancel.raise_if_cancelled()
        image = self.microscope.beam(beam_type).acquire(settings, cancel=self.cancel)
        column = "eb" if beam_type is BeamType.ELECTRON else "ib"
        parts = [self.lamella, self.step, purpose, image.metadata.frame_id, column]
        reference = self.experiment.save_image(image, name="-".join(part for part in parts if part))
        beam = self.microscope.beam(beam_type).settings()
        self.record(
            ImageAcquired,
            image=reference,
            purpose=purpose,
            beam_type=beam_type,
            hfw_m=settings.hfw_m,
            beam_current_a=beam.beam_current_a,
            dwell_time_s=settings.dwell_time_s,
            stage_position=image.metadata.stage_position,
        )
        return Frame(image, reference)

    def move_stage(self, target: StagePosition, *, purpose: str) -> StagePosition:
        """Go to ``target`` on a safe route (tilt flat, rotate, then the rest) and record what was reached."""
        reached = self.microscope.stage.position()
        for waypoint in safe_route(reached, target):
            self.cancel.raise_if_cancelled()
            reached = self.microscope.stage.move_to(waypoint, cancel=self.cancel)
        self.record(StageMoved, purpose=purpose, asked=target, reached=reached)
        return reached

    def check(
        self,
        check: str,
        *,
        measured: float | None,
        threshold: float | None,
        unit: str,
        passed: bool,
        message: str = "",
    ) -> bool:
        """Record an acceptance check of methods.md section 3 and return whether it passed."""
        self.record(
            CheckMade, check=check, measured=measured, threshold=threshold, unit=unit, passed=passed, message=message
        )
        return passed

    def use_imaging_current(self) -> None:
        """Set both beams to the method's imaging currents and unblank them."""
        imaging = self.method.imaging
        for beam, current_a in (
            (self.microscope.electron_beam, imaging.electron_current_a),
            (self.microscope.ion_beam, imaging.ion_current_a),
        ):
            if beam.settings().beam_current_a != current_a:
                beam.set_current(current_a)
            beam.set_blanked(blanked=False)
