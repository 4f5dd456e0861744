"""Documents as a run writes them, with every field that a test does not care about filled in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TypeVar

from fibsem_runtime.core import BeamType, ImagePoint, PixelPoint, StagePosition
from fibsem_runtime.events import (
    AnyDocument,
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
    StageMoved,
    StepFinished,
    StepStarted,
    TargetSet,
)

START = datetime(2026, 11, 24, 19, 30, tzinfo=UTC)
POSITION = StagePosition(x_m=1e-3, y_m=-2e-3, z_m=4e-3, r_rad=0.1, t_rad=0.2)
REFERENCE = ImageReference(path="images/frame.tif", sha256="0" * 64, frame_id="frame-1")

DocumentT = TypeVar("DocumentT", bound=Document)


def document(kind: type[DocumentT], *, at_s: float = 0.0, **facts: object) -> DocumentT:
    """Return a document of a kind, written ``at_s`` after the start."""
    base: dict[str, object] = {
        "run_id": "run",
        "monotonic_s": at_s,
        "wall_time": START + timedelta(seconds=at_s),
        "lamella": "lamella-01",
        "step": "rough",
    }
    return kind.model_validate(base | facts)


def one_of_each() -> list[AnyDocument]:
    """Return one document of every kind."""
    feature = FeatureProposal(
        feature="LamellaCentre", point=PixelPoint(10.5, 20.25), confidence=0.9, rivals=[PixelPoint(1.0, 2.0)]
    )
    return [
        document(RunStarted, method="on-grid", driver="simulator", seed=7, software_version="0.1.0", resumed=False),
        document(LamellaAdded, stage_position=POSITION, image=REFERENCE, point=PixelPoint(1.0, 2.0)),
        document(TargetSet, image=REFERENCE, point=PixelPoint(100.0, 50.0)),
        document(StepStarted, attempt=2),
        document(
            ImageAcquired,
            image=REFERENCE,
            purpose="before",
            beam_type=BeamType.ION,
            hfw_m=80e-6,
            beam_current_a=20e-12,
            dwell_time_s=1e-6,
            stage_position=POSITION,
        ),
        document(StageMoved, purpose="site", asked=POSITION, reached=POSITION),
        document(CheckMade, check="C2", measured=12e-9, threshold=25e-9, unit="m", passed=True),
        document(MillingStarted, stage="rough_1", beam_current_a=0.74e-9, from_s=0.0, until_s=60.0, total_s=90.0),
        document(MillingFinished, stage="rough_1", milled_s=60.0, total_s=90.0, finished=False),
        document(
            Proposal,
            proposal_id="p-1",
            question="Is this the lamella?",
            subject="features",
            image=REFERENCE,
            pixel_size_m=52e-9,
            features=[feature],
            confidence=0.9,
            model="lamella-small",
            model_sha256="1" * 64,
        ),
        document(
            Decision,
            proposal_id="p-1",
            action="correct",
            decided_by="operator",
            reviewed=True,
            points={"LamellaCentre": PixelPoint(12.0, 20.0)},
            duration_s=4.5,
        ),
        document(
            Correction,
            proposal_id="p-1",
            image=REFERENCE,
            pixel_size_m=52e-9,
            feature="LamellaCentre",
            model="lamella-small",
            model_sha256="1" * 64,
            predicted=PixelPoint(10.5, 20.25),
            decided=PixelPoint(12.0, 20.0),
            delta=ImagePoint(7.8e-8, 1.3e-8),
            confidence=0.9,
            classification="adjusted",
            decided_by="operator",
            duration_s=4.5,
        ),
        document(StepFinished, status="completed", duration_s=600.0, measurements={"milled_s": 90.0}),
        document(RunStopped, status="completed", lamella="", step=""),
    ]
