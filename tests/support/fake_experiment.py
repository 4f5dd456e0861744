"""A night on the instrument, invented: one lamella went well, one after trouble, one failed, one was never begun."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from documents import POSITION, document
from numpy.typing import NDArray

from fibsem_runtime.app.result import LamellaResult, RunResult, TruthResult, lamella_results
from fibsem_runtime.core import BeamType, Image, ImageMetadata, PixelPoint
from fibsem_runtime.corrections import make_corrections
from fibsem_runtime.events import (
    CheckMade,
    Correction,
    Decision,
    Document,
    FeatureProposal,
    ImageAcquired,
    ImageReference,
    LamellaAdded,
    MillingFinished,
    MillingStarted,
    Proposal,
    RunStarted,
    RunStopped,
    StepFinished,
    StepStarted,
    TargetSet,
)
from fibsem_runtime.experiment import Experiment
from fibsem_runtime.workflow import method_text

FULL_WIDTH_PX = 1536
"""Coordinates below are those of a frame of 1536 x 1024 pixels; images can be made smaller."""
STEPS = ("align_site", "fiducial", "rough", "polish")
HOSTILE = "<script>alert('found by <b>nobody</b>')</script>"


def draw(kind: str, *, seed: int, width_px: int) -> NDArray[np.uint8]:
    """Return an image that looks like a cell on a film at some stage of its milling."""
    draws = np.random.default_rng(seed)
    ratio = width_px / FULL_WIDTH_PX
    shape = (round(1024 * ratio), width_px)
    rough = cv2.GaussianBlur(draws.normal(0, 1, shape).astype(np.float32), (0, 0), 9 * ratio) * 60 * ratio
    picture = np.full(shape, 96, np.float32) + rough

    def at(*values: float) -> tuple[int, ...]:
        return tuple(round(value * ratio) for value in values)

    cells = (
        [(768, 512, 170)] if kind != "overview" else [(400, 330, 62), (1080, 420, 70), (700, 760, 58), (1250, 820, 50)]
    )
    for x, y, radius in cells:
        shade = np.zeros_like(picture)
        cv2.ellipse(shade, at(x, y), at(radius, radius if kind == "overview" else radius * 0.55), 0, 0, 360, 1.0, -1)
        shade = cv2.GaussianBlur(shade, (0, 0), radius * ratio / 7)
        picture += 55 * shade - 70 * cv2.Scharr(shade, cv2.CV_32F, 0, 1)
    if kind in ("fiducial", "rough", "polish"):
        for angle in (45, 135):
            box = cv2.boxPoints((at(1230, 512), at(20, 190), angle)).astype(np.int32)
            cv2.fillPoly(picture, [box], 28)
    if kind in ("rough", "polish"):
        half = 16 if kind == "rough" else 5
        for top, bottom in ((512 - half - 90, 512 - half), (512 + half, 512 + half + 90)):
            cv2.rectangle(picture, at(670, top), at(866, bottom), 18, -1)
        cv2.line(picture, at(670, 512 - half), at(866, 512 - half), 235, max(1, *at(3)))
    if kind == "thickness":
        picture[:] = 20 + rough * 0.3
        cv2.rectangle(picture, at(200, 505), at(1336, 521), 190, -1)
        cv2.line(picture, at(200, 505), at(1336, 505), 250, max(1, *at(3)))
    noisy = picture + draws.normal(0, 11, picture.shape)
    return np.clip(cv2.GaussianBlur(noisy.astype(np.float32), (0, 0), 0.8), 0, 255).astype(np.uint8)


@dataclass
class Night:
    """Write documents one after the other, with time passing between them."""

    experiment: Experiment
    width_px: int
    now_s: float = 0.0
    frame_count: int = 0
    lamella: str = ""
    step: str = ""
    began_s: float = 0.0

    def record(self, kind: type[Document], *, after_s: float = 1.0, **facts: object) -> Document:
        """Record a document ``after_s`` after the last one."""
        self.now_s += after_s
        base: dict[str, object] = {"run_id": self.experiment.run_id, "lamella": self.lamella, "step": self.step}
        return self.experiment.record(document(kind, at_s=self.now_s, **(base | facts)))

    def at(self, x_px: float, y_px: float) -> PixelPoint:
        """Return a point of the full frame in the images as they are."""
        ratio = self.width_px / FULL_WIDTH_PX
        return PixelPoint(x_px * ratio, y_px * ratio)

    def image(self, kind: str, purpose: str, *, beam: BeamType = BeamType.ION, hfw_m: float = 80e-6) -> ImageReference:
        """Take an image and record it."""
        self.frame_count += 1
        name = f"f{self.frame_count:04d}"
        metadata = ImageMetadata(beam_type=beam, pixel_size_m=hfw_m / self.width_px, frame_id=name)
        pixels = draw(kind, seed=self.frame_count, width_px=self.width_px)
        parts = [self.lamella, self.step, purpose, name, "eb" if beam is BeamType.ELECTRON else "ib"]
        reference = self.experiment.save_image(Image(pixels, metadata), name="-".join(p for p in parts if p))
        self.record(
            ImageAcquired,
            image=reference,
            purpose=purpose,
            beam_type=beam,
            hfw_m=hfw_m,
            beam_current_a=20e-12,
            dwell_time_s=1e-6,
            stage_position=POSITION,
        )
        return reference

    def check(
        self,
        name: str,
        measured: float | None,
        threshold: float,
        *,
        unit: str = "m",
        passed: bool = True,
        message: str = "",
    ) -> None:
        """Record a check."""
        self.record(
            CheckMade, check=name, measured=measured, threshold=threshold, unit=unit, passed=passed, message=message
        )

    def decide(
        self,
        image: ImageReference,
        proposed: dict[str, PixelPoint | None],
        decided: dict[str, PixelPoint] | None = None,
        *,
        hfw_m: float = 80e-6,
        action: str = "accept",
        reviewed: bool = False,
    ) -> None:
        """Record a proposal, its decision and the corrections that follow from them."""
        number = len(self.experiment.documents(kind="proposal")) + 1
        features = [
            FeatureProposal(feature=name, point=point, confidence=0.91 if point else 0.0)
            for name, point in proposed.items()
        ]
        proposal = self.record(
            Proposal,
            proposal_id=f"p{number}",
            question="Is this the lamella?",
            subject="features",
            image=image,
            pixel_size_m=hfw_m / self.width_px,
            features=features,
            confidence=0.91,
            model="lamella-small",
            model_sha256="1" * 64,
        )
        decision = self.record(
            Decision,
            proposal_id=f"p{number}",
            action=action,
            decided_by="operator at the terminal" if reviewed else "policy",
            reviewed=reviewed,
            points=decided if decided is not None else {n: p for n, p in proposed.items() if p},
            duration_s=9.0 if reviewed else 0.0,
        )
        assert isinstance(proposal, Proposal) and isinstance(decision, Decision)
        for facts in make_corrections(proposal, decision):
            self.record(Correction, after_s=0.0, **facts)

    def begin(self, lamella: str, step: str, *, attempt: int = 1) -> None:
        """Begin a step."""
        self.lamella, self.step = lamella, step
        self.record(StepStarted, attempt=attempt)
        self.began_s = self.now_s

    def finish(
        self, status: str = "completed", message: str = "", error_number: int = 0, **measurements: float
    ) -> None:
        """End the step that runs."""
        self.record(
            StepFinished,
            status=status,
            message=message,
            error_number=error_number,
            duration_s=self.now_s + 1.0 - self.began_s,
            measurements=measurements,
        )

    def mill(self, stage: str, current_a: float, total_s: float, *, interval_s: float | None = None) -> None:
        """Mill a stage in intervals, aligned in between."""
        done_s = 0.0
        while done_s < total_s:
            until_s = min(done_s + (interval_s or total_s), total_s)
            self.record(
                MillingStarted, stage=stage, beam_current_a=current_a, from_s=done_s, until_s=until_s, total_s=total_s
            )
            self.record(
                MillingFinished,
                after_s=until_s - done_s,
                stage=stage,
                milled_s=until_s,
                total_s=total_s,
                finished=until_s >= total_s,
            )
            self.check("C2", 11e-9 + 1e-10 * (until_s % 60), 25e-9)
            done_s = until_s


def _select(night: Night) -> None:
    overview = night.image("overview", "overview", beam=BeamType.ELECTRON, hfw_m=300e-6)
    cells = {"lamella-01": (400, 330), "lamella-02": (1080, 420), "lamella-03": (700, 760), "lamella-04": (1250, 820)}
    points = {name: night.at(x, y) for name, (x, y) in cells.items()}
    moved = points | {"lamella-03": night.at(742.0, 748.0)}
    night.decide(overview, dict(points), moved, hfw_m=300e-6, action="correct", reviewed=True)
    night.check("sites", 4, 4, unit="cells")
    for name, point in moved.items():
        night.record(LamellaAdded, lamella=name, stage_position=POSITION, image=overview, point=point)


def _align(night: Night, lamella: str) -> None:
    night.begin(lamella, "align_site")
    night.image("cell", "centre", beam=BeamType.ELECTRON, hfw_m=150e-6)
    night.check("C4", 12.4e-6, 60e-6, message="centring the cell in the electron image")
    night.image("cell", "coincidence", hfw_m=150e-6)
    night.check("C7", 11.3e-6, 3e-6, passed=False)
    night.check("C7", 0.8e-6, 3e-6)
    target = night.image("cell", "target")
    point = night.at(768.0, 512.0)
    night.decide(
        target, {"LamellaTarget": point}, {"LamellaTarget": night.at(775.0, 508.0)}, action="correct", reviewed=True
    )
    night.record(TargetSet, image=target, point=point)
    night.finish(coincidence_error_m=0.8e-6)


def _fiducial(night: Night, lamella: str) -> None:
    night.begin(lamella, "fiducial")
    night.image("cell", "align-target")
    night.check("C2", 24e-9, 60e-9)
    night.mill("cross", 1e-9, 41.0)
    night.image("fiducial", "alignment_reference")
    night.image("fiducial", "after")
    night.finish(milled_s=41.0, residual_m=31e-9)


def _rough(night: Night, lamella: str, *, attempt: int = 1, found: bool = True) -> None:
    night.begin(lamella, "rough", attempt=attempt)
    night.image("fiducial", "before")
    night.mill("rough_1", 0.74e-9, 520.0)
    night.mill("stress_relief", 0.74e-9, 90.0)
    night.mill("rough_2", 0.3e-9, 610.0, interval_s=120.0)
    after = night.image("rough" if found else "fiducial", "after")
    edges = {"LamellaCentre": (768, 512), "LamellaTopEdge": (768, 497), "LamellaBottomEdge": (768, 527)}
    points = {name: night.at(x, y) for name, (x, y) in edges.items()}
    if not found:
        night.decide(after, {"LamellaCentre": None}, {}, action="reject", reviewed=True)
        night.check("C3", 0.0, 0.5, unit="", passed=False, message=HOSTILE)
        night.finish("failed", f"the image after milling shows no lamella at the target; {HOSTILE}", 510)
        return
    changed = points | {"LamellaTopEdge": night.at(768.0, 492.0), "LamellaBottomEdge": night.at(769.0, 545.0)}
    night.decide(after, dict(points), changed, action="correct", reviewed=True)
    night.check("C9", 0.11e-6, 1e-6)
    night.finish(milled_s=1220.0, detected_error_m=0.11e-6)


def _polish(night: Night, lamella: str, thickness_m: float) -> None:
    night.begin(lamella, "polish")
    night.image("rough", "before")
    night.mill("polish_1", 100e-12, 240.0, interval_s=60.0)
    night.mill("polish_2", 60e-12, 200.0, interval_s=40.0)
    night.image("polish", "after")
    night.image("thickness", "thickness", hfw_m=20e-6)
    night.check("C13", thickness_m, 60e-9)
    night.finish(milled_s=440.0, thickness_m=thickness_m)


def _fail_alignment(night: Night, lamella: str) -> None:
    night.begin(lamella, "fiducial")
    night.image("cell", "align-target")
    night.check("C2", 240e-9, 60e-9, passed=False)
    night.finish(
        "failed", "alignment (align-target) leaves 240 nm after 4 corrections, allowed are 60 nm; look for drift", 430
    )


def make_experiment(directory: Path, *, width_px: int = 384) -> RunResult:
    """Make the experiment and return what its run would have printed."""
    texts = {"config.yaml": "seed: 7\n", "method.yaml": method_text("on-grid")}
    with Experiment.create(directory, files=texts) as experiment:
        night = Night(experiment, width_px)
        started = {"method": "on-grid", "driver": "simulator", "seed": 7, "software_version": "0.1.0", "resumed": False}
        night.record(RunStarted, after_s=0.0, **started)
        _select(night)
        for lamella in ("lamella-01", "lamella-02", "lamella-03"):
            _align(night, lamella)
        _fiducial(night, "lamella-01")
        _fail_alignment(night, "lamella-02")
        _fiducial(night, "lamella-02")
        _fiducial(night, "lamella-03")
        for lamella in ("lamella-01", "lamella-02"):
            _rough(night, lamella)
        _rough(night, "lamella-03", found=False)
        _polish(night, "lamella-01", 192e-9)
        _polish(night, "lamella-02", 236e-9)
        night.lamella, night.step = "", ""
        night.record(RunStopped, status="completed")
        return _result(experiment, night)


def _result(experiment: Experiment, night: Night) -> RunResult:
    truths = {
        "lamella-01": TruthResult(thickness_nm=188.4, position_error_nm=143.0, attached_to=["left", "right"]),
        "lamella-02": TruthResult(thickness_nm=247.1, position_error_nm=210.0, attached_to=["left", "right"]),
        "lamella-03": TruthResult(thickness_nm=None, position_error_nm=None, attached_to=[]),
    }
    lamellae: list[LamellaResult] = [
        lamella.model_copy(update={"truth": truths.get(lamella.name)})
        for lamella in lamella_results(experiment, STEPS, None)
    ]
    return RunResult(
        experiment=str(experiment.directory),
        method="on-grid",
        driver="simulator",
        seed=7,
        lamellae=lamellae,
        simulated_s=night.now_s,
        wall_s=84.0,
    )
