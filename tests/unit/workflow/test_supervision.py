"""Supervisors answer what they are asked and never say yes for somebody who is absent."""

import io
from datetime import UTC, datetime

import pytest

from fibsem_runtime.core import ImagePoint, PixelPoint
from fibsem_runtime.core.errors import DecisionTimeoutError, LowConfidenceError
from fibsem_runtime.events import FeatureProposal, Proposal
from fibsem_runtime.workflow.supervision import PolicySupervisor, ScriptedSupervisor
from fibsem_runtime.workflow.terminal import TerminalSupervisor


def make_proposal(confidence: float = 0.9) -> Proposal:
    feature = FeatureProposal(feature="LamellaCentre", point=PixelPoint(100.0, 50.0), confidence=confidence)
    return Proposal(
        run_id="run",
        monotonic_s=0.0,
        wall_time=datetime(2026, 1, 1, tzinfo=UTC),
        proposal_id="p",
        question="Is this the lamella?",
        subject="features",
        pixel_size_m=100e-9,
        features=[feature],
        confidence=confidence,
    )


def test_the_policy_accepts_at_the_gate_and_refuses_below_it() -> None:
    policy = PolicySupervisor(gate_fraction=0.5)
    assert policy.decide(make_proposal(0.5), None).points == {"LamellaCentre": PixelPoint(100.0, 50.0)}
    with pytest.raises(LowConfidenceError, match=r"0\.49"):
        policy.decide(make_proposal(0.49), None)


def test_the_scripted_operator_corrects_every_third_proposal_with_y_up() -> None:
    operator = ScriptedSupervisor(correct_every=3, offset=ImagePoint(1e-6, 0.5e-6))
    answers = [operator.decide(make_proposal(), None) for _ in range(6)]
    assert [answer.action for answer in answers] == ["accept", "accept", "correct"] * 2
    assert answers[2].points["LamellaCentre"] == PixelPoint(pytest.approx(110.0), pytest.approx(45.0))


@pytest.mark.parametrize(
    ("typed", "action", "x_px"),
    [("\n", "accept", 100.0), ("LamellaCentre 120.5 60\n\n", "correct", 120.5), ("r wrong cell\n", "reject", 100.0)],
)
def test_a_person_at_the_terminal_accepts_moves_or_rejects(typed: str, action: str, x_px: float) -> None:
    screen = io.StringIO()
    terminal = TerminalSupervisor(timeout_s=5, source=io.StringIO(typed), screen=screen)
    answer = terminal.decide(make_proposal(), None)
    assert answer.action == action
    assert answer.points["LamellaCentre"].x_px == x_px
    assert "Is this the lamella?" in screen.getvalue()


def test_nonsense_is_asked_again() -> None:
    screen = io.StringIO()
    terminal = TerminalSupervisor(timeout_s=5, source=io.StringIO("yes please\nNeedleTip 1 2\n\n"), screen=screen)
    assert terminal.decide(make_proposal(), None).action == "accept"
    assert screen.getvalue().count("not understood") == 2


def test_a_closed_terminal_is_not_a_yes() -> None:
    with pytest.raises(DecisionTimeoutError, match="--resume"):
        TerminalSupervisor(timeout_s=5, source=io.StringIO(""), screen=io.StringIO()).decide(make_proposal(), None)


def test_silence_is_not_a_yes() -> None:
    class Silent(io.StringIO):
        def readline(self, size: int = -1, /) -> str:
            import threading

            threading.Event().wait(0.5)
            return "\n"

    with pytest.raises(DecisionTimeoutError, match="nobody answered"):
        TerminalSupervisor(timeout_s=0.05, source=Silent(), screen=io.StringIO()).decide(make_proposal(), None)
