"""Turn a proposal and its decision into the facts of one correction a feature."""

from __future__ import annotations

from fibsem_runtime.corrections.classify import Comparison, classify
from fibsem_runtime.events import Decision, FeatureProposal, ImageReference, Proposal


def make_corrections(proposal: Proposal, decision: Decision) -> list[dict[str, object]]:
    """Return the facts of one `Correction` for each proposed feature and for each that a person added.

    A rejected proposal has no decided points. A proposal without an image has no corrections: nothing could be learned
    from them.
    """
    if proposal.image is None:
        return []
    proposed = {item.feature for item in proposal.features}
    added = [] if decision.action == "reject" else [name for name in decision.points if name not in proposed]
    features = [*proposal.features, *(FeatureProposal(feature=name, point=None, confidence=0.0) for name in added)]
    return [_facts(proposal, proposal.image, decision, item) for item in features]


def _facts(proposal: Proposal, image: ImageReference, decision: Decision, item: FeatureProposal) -> dict[str, object]:
    compared = Comparison(
        feature=item.feature,
        predicted=item.point,
        decided=None if decision.action == "reject" else decision.points.get(item.feature),
        rivals=item.rivals,
        pixel_size_m=proposal.pixel_size_m if image.sha256 else None,
    )
    return {
        "proposal_id": proposal.proposal_id,
        "image": image,
        "pixel_size_m": proposal.pixel_size_m,
        "feature": item.feature,
        "model": proposal.model,
        "model_sha256": proposal.model_sha256,
        "predicted": compared.predicted,
        "decided": compared.decided,
        "delta": compared.delta,
        "confidence": item.confidence,
        "classification": classify(compared, decision),
        "decided_by": decision.decided_by,
        "duration_s": decision.duration_s,
    }
