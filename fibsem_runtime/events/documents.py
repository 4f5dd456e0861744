"""The documents of a run: everything that happened, in the order it happened, each complete by itself.

All numbers are SI with the unit in the name; points and positions are the types of `fibsem_runtime.core`.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter

from fibsem_runtime.core import BeamType, ImagePoint, PixelPoint, StagePosition


class Value(BaseModel):
    """Part of a document; frozen, unknown keys forbidden."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Document(Value):
    """What every document carries; ``sequence`` is given by the store and rises by one."""

    version: int = 1
    run_id: str
    sequence: int = 0
    monotonic_s: float
    wall_time: AwareDatetime
    lamella: str = ""
    step: str = ""


class ImageReference(Value):
    """Image on disk: path relative to the experiment, SHA-256 of the file, acquisition it came from."""

    path: str
    sha256: str
    frame_id: str


class RunStarted(Document):
    """A run began or went on."""

    kind: Literal["run_started"] = "run_started"
    method: str
    driver: str
    seed: int
    software_version: str
    resumed: bool


class RunStopped(Document):
    """A run ended: ``completed``, ``cancelled`` or ``failed``."""

    kind: Literal["run_stopped"] = "run_stopped"
    status: str
    reason: str = ""


class LamellaAdded(Document):
    """A site was chosen; later documents name it by ``lamella``."""

    kind: Literal["lamella_added"] = "lamella_added"
    stage_position: StagePosition
    image: ImageReference | None = None
    point: PixelPoint | None = None


class TargetSet(Document):
    """The place of the lamella was decided: a pixel of an image, or ``None`` where nobody looked."""

    kind: Literal["target_set"] = "target_set"
    image: ImageReference
    point: PixelPoint


class StepStarted(Document):
    """A step of a lamella began."""

    kind: Literal["step_started"] = "step_started"
    attempt: int = 1


class StepFinished(Document):
    """A step ended: ``completed``, ``failed``, ``skipped`` or ``cancelled``."""

    kind: Literal["step_finished"] = "step_finished"
    status: str
    message: str = ""
    duration_s: float
    error_number: int = 0
    measurements: dict[str, float] = Field(default_factory=dict)


class ImageAcquired(Document):
    """An image was taken and is on disk."""

    kind: Literal["image_acquired"] = "image_acquired"
    image: ImageReference
    purpose: str
    beam_type: BeamType
    hfw_m: float
    beam_current_a: float
    dwell_time_s: float
    stage_position: StagePosition | None


class StageMoved(Document):
    """The stage moved: what was asked and what was read back."""

    kind: Literal["stage_moved"] = "stage_moved"
    purpose: str
    asked: StagePosition
    reached: StagePosition


class CheckMade(Document):
    """An acceptance check was measured (methods.md section 3)."""

    kind: Literal["check_made"] = "check_made"
    check: str
    measured: float | None
    threshold: float | None
    unit: str = ""
    passed: bool
    message: str = ""


class MillingStarted(Document):
    """Beam time was about to be spent; on disk before the beam starts."""

    kind: Literal["milling_started"] = "milling_started"
    stage: str
    beam_current_a: float
    from_s: float
    until_s: float
    total_s: float


class MillingFinished(Document):
    """The beam time announced by the matching `MillingStarted` was spent up to ``milled_s``."""

    kind: Literal["milling_finished"] = "milling_finished"
    stage: str
    milled_s: float
    total_s: float
    finished: bool


class FeatureProposal(Value):
    """What the detector said about one feature; ``point`` is None when it was not found.

    ``rivals`` are the places of the same feature on the other instances in the image, those that were not chosen.
    """

    feature: str
    point: PixelPoint | None
    confidence: float
    reason: str = ""
    rivals: list[PixelPoint] = Field(default_factory=list)


class Proposal(Document):
    """The runtime asks: features, a point, or a yes."""

    kind: Literal["proposal"] = "proposal"
    proposal_id: str
    question: str
    subject: Literal["features", "point", "confirm"]
    image: ImageReference | None = None
    pixel_size_m: float | None = None
    features: list[FeatureProposal] = Field(default_factory=list)
    confidence: float
    model: str = ""
    model_sha256: str = ""


class Decision(Document):
    """The answer: who gave it, what was chosen, how long it took."""

    kind: Literal["decision"] = "decision"
    proposal_id: str
    action: Literal["accept", "correct", "reject"]
    decided_by: str
    reviewed: bool
    points: dict[str, PixelPoint] = Field(default_factory=dict)
    reason: str = ""
    duration_s: float


CorrectionClass: TypeAlias = Literal[
    "unreviewed",
    "confirmed",
    "adjusted",
    "corrected",
    "wrong_instance",
    "missed",
    "spurious",
    "refused",
    "invalid",
]


class Correction(Document):
    """One feature of one decision, classified when it is written (detection.md section 10)."""

    kind: Literal["correction"] = "correction"
    proposal_id: str
    image: ImageReference
    pixel_size_m: float | None
    feature: str
    model: str
    model_sha256: str
    predicted: PixelPoint | None
    decided: PixelPoint | None
    delta: ImagePoint | None
    confidence: float
    classification: CorrectionClass
    decided_by: str
    duration_s: float


AnyDocument: TypeAlias = (
    RunStarted
    | RunStopped
    | LamellaAdded
    | TargetSet
    | StepStarted
    | StepFinished
    | ImageAcquired
    | StageMoved
    | CheckMade
    | MillingStarted
    | MillingFinished
    | Proposal
    | Decision
    | Correction
)

_ADAPTER: TypeAdapter[AnyDocument] = TypeAdapter(Annotated[AnyDocument, Field(discriminator="kind")])


def parse_document(text: str | bytes) -> AnyDocument:
    """Parse the JSON of one document; raise pydantic's ``ValidationError`` when it is not one."""
    return _ADAPTER.validate_json(text)
