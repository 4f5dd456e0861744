"""Each feature of a decision becomes one correction with its class, both points and their distance."""

from __future__ import annotations

import pytest
from documents import REFERENCE, document
from hypothesis import given
from hypothesis import strategies as st

from fibsem_runtime.core import ImagePoint, PixelPoint
from fibsem_runtime.corrections import CHANGED, CLASSES, make_corrections, tolerance_m
from fibsem_runtime.events import Correction, Decision, FeatureProposal, Proposal

PIXEL_SIZE_M = 50e-9
HERE = PixelPoint(400.0, 300.0)
FEATURE = "LamellaCentre"
coordinates = st.floats(0, 2000)
points = st.builds(PixelPoint, coordinates, coordinates)


def propose(*features: FeatureProposal, **facts: object) -> Proposal:
    base: dict[str, object] = {
        "proposal_id": "p-1",
        "question": "Is this the lamella?",
        "subject": "features",
        "image": REFERENCE,
        "pixel_size_m": PIXEL_SIZE_M,
        "features": list(features),
        "confidence": 0.9,
        "model": "lamella-small",
        "model_sha256": "1" * 64,
    }
    return document(Proposal, **(base | facts))


def found(
    point: PixelPoint | None = HERE, *, feature: str = FEATURE, rivals: list[PixelPoint] | None = None
) -> FeatureProposal:
    return FeatureProposal(feature=feature, point=point, confidence=0.9, rivals=rivals or [])


def decide(action: str = "correct", *, reviewed: bool = True, **chosen: PixelPoint) -> Decision:
    facts = {"proposal_id": "p-1", "decided_by": "operator", "duration_s": 4.5}
    return document(Decision, action=action, reviewed=reviewed, points=chosen, **facts)


def correct(proposal: Proposal, decision: Decision) -> list[Correction]:
    return [document(Correction, **facts) for facts in make_corrections(proposal, decision)]


def classified(proposal: Proposal, decision: Decision) -> str:
    (correction,) = correct(proposal, decision)
    return correction.classification


def moved_by(distance_m: float) -> PixelPoint:
    return PixelPoint(HERE.x_px + distance_m / PIXEL_SIZE_M, HERE.y_px)


def test_the_facts_name_image_model_person_and_both_points() -> None:
    decided = PixelPoint(410.0, 280.0)
    (correction,) = correct(propose(found()), decide(LamellaCentre=decided))
    assert (correction.image, correction.model, correction.decided_by) == (REFERENCE, "lamella-small", "operator")
    assert (correction.predicted, correction.decided) == (HERE, decided)
    assert (correction.confidence, correction.duration_s, correction.proposal_id) == (0.9, 4.5, "p-1")


def test_the_distance_is_decided_minus_predicted_in_metres_with_y_up() -> None:
    (correction,) = correct(propose(found()), decide(LamellaCentre=PixelPoint(410.0, 280.0)))
    assert correction.delta == ImagePoint(pytest.approx(0.5e-6), pytest.approx(1e-6))


@pytest.mark.parametrize("action", ["accept", "correct"])
def test_an_unchanged_point_that_a_person_saw_is_confirmed(action: str) -> None:
    assert classified(propose(found()), decide(action, LamellaCentre=HERE)) == "confirmed"


@pytest.mark.parametrize(("distance_m", "expected"), [(0.49e-6, "adjusted"), (0.51e-6, "corrected")])
def test_the_tolerance_of_the_step_parts_adjusted_from_corrected(distance_m: float, expected: str) -> None:
    assert classified(propose(found()), decide(LamellaCentre=moved_by(distance_m))) == expected


@pytest.mark.parametrize(
    ("feature", "limit_um"), [("NeedleTip", 0.25), ("LandingPost", 0.5), ("LamellaTarget", 0.5), ("lamella-01", 5.0)]
)
def test_the_tolerance_is_that_of_the_accuracy_table(feature: str, limit_um: float) -> None:
    assert tolerance_m(feature) == pytest.approx(limit_um * 1e-6)


def test_a_point_on_a_rival_is_the_wrong_instance() -> None:
    rival = moved_by(8e-6)
    near_rival = PixelPoint(rival.x_px - 3, rival.y_px + 2)
    assert classified(propose(found(rivals=[rival])), decide(LamellaCentre=near_rival)) == "wrong_instance"
    assert classified(propose(found(rivals=[rival])), decide(LamellaCentre=moved_by(1e-6))) == "corrected"
    assert classified(propose(found(rivals=[moved_by(0.1e-6)])), decide(LamellaCentre=moved_by(0.2e-6))) == "adjusted"


def test_a_feature_that_was_not_found_and_is_put_in_is_missed() -> None:
    assert classified(propose(found(None)), decide(LamellaCentre=HERE)) == "missed"


def test_a_feature_that_nobody_proposed_is_missed_too() -> None:
    first, second = correct(propose(found()), decide(LamellaCentre=HERE, NeedleTip=moved_by(1e-6)))
    assert (first.classification, second.classification) == ("confirmed", "missed")
    assert (second.feature, second.predicted, second.confidence, second.delta) == ("NeedleTip", None, 0.0, None)


def test_a_feature_that_is_rightly_not_found_is_confirmed() -> None:
    assert classified(propose(found(None)), decide("accept")) == "confirmed"


def test_a_point_that_a_person_takes_away_is_spurious() -> None:
    (correction,) = correct(propose(found()), decide("correct"))
    assert (correction.classification, correction.decided, correction.delta) == ("spurious", None, None)


def test_the_points_of_a_rejected_proposal_are_spurious_even_when_the_answer_repeats_them() -> None:
    (correction,) = correct(propose(found()), decide("reject", LamellaCentre=HERE))
    assert (correction.classification, correction.decided) == ("spurious", None)


def test_a_rejection_adds_no_features() -> None:
    assert len(correct(propose(found()), decide("reject", NeedleTip=HERE))) == 1


def test_a_rejected_miss_was_refused_by_the_detector() -> None:
    assert classified(propose(found(None)), decide("reject")) == "refused"


@pytest.mark.parametrize(("action", "expected"), [("accept", "unreviewed"), ("reject", "refused")])
def test_what_no_person_saw_is_never_confirmed(action: str, expected: str) -> None:
    assert classified(propose(found()), decide(action, reviewed=False, LamellaCentre=HERE)) == expected


@pytest.mark.parametrize("facts", [{"pixel_size_m": None}, {"image": REFERENCE.model_copy(update={"sha256": ""})}])
def test_without_scale_or_hash_it_is_kept_as_invalid(facts: dict[str, object]) -> None:
    (correction,) = correct(propose(found(), **facts), decide(LamellaCentre=moved_by(1e-6)))
    assert (correction.classification, correction.delta) == ("invalid", None)


def test_without_an_image_there_is_nothing_to_learn() -> None:
    assert make_corrections(propose(found(), image=None), decide(LamellaCentre=HERE)) == []


def test_the_classes_in_which_a_person_changed_something_are_a_part_of_all() -> None:
    assert set(CLASSES) > CHANGED
    assert CHANGED.isdisjoint({"unreviewed", "confirmed", "refused", "invalid"})


@given(
    predicted=st.none() | points,
    decided=st.none() | points,
    action=st.sampled_from(["accept", "correct", "reject"]),
    reviewed=st.booleans(),
    rivals=st.lists(points, max_size=3),
)
def test_any_decision_has_one_class_and_a_distance_exactly_when_both_points_are_known(
    predicted: PixelPoint | None, decided: PixelPoint | None, action: str, reviewed: bool, rivals: list[PixelPoint]
) -> None:
    chosen = {} if decided is None else {FEATURE: decided}
    (correction,) = correct(propose(found(predicted, rivals=rivals)), decide(action, reviewed=reviewed, **chosen))
    assert (correction.delta is None) == (correction.predicted is None or correction.decided is None)
    assert reviewed or correction.classification in ("unreviewed", "refused")
    changed = correction.classification in CHANGED
    assert not changed or (correction.predicted != correction.decided)
    if correction.delta is not None and correction.predicted is not None and correction.decided is not None:
        dx_px = correction.decided.x_px - correction.predicted.x_px
        dy_px = correction.decided.y_px - correction.predicted.y_px
        assert correction.delta == ImagePoint(dx_px * PIXEL_SIZE_M, -dy_px * PIXEL_SIZE_M)
