"""Make a proposal, get it decided, keep proposal, decision and corrections on disk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal
from uuid import uuid4

from fibsem_runtime.core import PixelPoint
from fibsem_runtime.core.errors import ConfigError, FibsemError, StepError
from fibsem_runtime.corrections import make_corrections
from fibsem_runtime.events import Correction, Decision, FeatureProposal, Proposal
from fibsem_runtime.workflow.context import Context, Frame
from fibsem_runtime.workflow.supervision import Answer, PolicySupervisor, SupervisionMode, Supervisor


def decide_points(
    context: Context,
    question: str,
    features: Sequence[FeatureProposal],
    frame: Frame,
    *,
    model: str,
    model_sha256: str = "",
    subject: Literal["features", "point"] = "features",
) -> dict[str, PixelPoint]:
    """Propose features of an image and return the decided pixel of each.

    Raises `LowConfidenceError` when the policy refuses, `StepError` when a person rejects, `DecisionTimeoutError` when
    nobody answers. Proposal, decision and one correction per feature are recorded whatever the outcome.
    """
    proposal = context.record(
        Proposal,
        proposal_id=uuid4().hex,
        question=question,
        subject=subject,
        image=frame.reference,
        pixel_size_m=frame.image.metadata.pixel_size_m,
        features=list(features),
        confidence=min((item.confidence if item.point else 0.0 for item in features), default=0.0),
        model=model,
        model_sha256=model_sha256,
    )
    decision = _decide(context, proposal, frame)
    for correction in make_corrections(proposal, decision):
        context.record(Correction, **correction)
    if decision.action == "reject":
        raise StepError(f"{decision.decided_by} rejected the proposal ({decision.reason}): {question}")
    return dict(decision.points)


def confirm(context: Context, question: str, *, confidence: float = 1.0) -> bool:
    """Ask for a yes; the policy says yes only at full confidence."""
    proposal = context.record(
        Proposal, proposal_id=uuid4().hex, question=question, subject="confirm", confidence=confidence
    )
    return _decide(context, proposal, None).action != "reject"


def _decide(context: Context, proposal: Proposal, frame: Frame | None) -> Decision:
    supervisor, reviewed = _choose_supervisor(context, proposal)
    started_s = context.human_clock.monotonic_s()

    def write(answer: Answer, *, reviewed: bool) -> Decision:
        return context.record(
            Decision,
            proposal_id=proposal.proposal_id,
            action=answer.action,
            decided_by=supervisor.name,
            reviewed=reviewed,
            points=dict(answer.points),
            reason=answer.reason,
            duration_s=context.human_clock.monotonic_s() - started_s,
        )

    try:
        return write(supervisor.decide(proposal, frame.image if frame else None), reviewed=reviewed)
    except FibsemError as error:
        write(Answer(action="reject", reason=str(error)), reviewed=False)
        raise


def _choose_supervisor(context: Context, proposal: Proposal) -> tuple[Supervisor, bool]:
    """Return who decides and whether that is a review by a person."""
    gate_fraction = context.options.gate_fraction
    asked = context.mode is SupervisionMode.ALWAYS or (
        context.mode is SupervisionMode.UNCERTAIN and proposal.confidence < gate_fraction
    )
    if not asked:
        return PolicySupervisor(gate_fraction=gate_fraction), False
    if context.operator is None:
        raise ConfigError("supervision is asked for but nobody supervises; use --supervise never or a terminal")
    return context.operator, True
