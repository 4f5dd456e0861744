"""A supervised session: every proposal, decision and correction is on disk with its image, model and both points."""

from __future__ import annotations

from pathlib import Path

import yaml
from runs import run

from fibsem_runtime.events import Correction, Decision, Proposal
from fibsem_runtime.experiment import Experiment


def test_an_operator_who_corrects_every_third_proposal_is_recorded(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    operator = {"kind": "scripted", "correct_every": 3, "offset_x_um": 0.2, "offset_y_um": 0.1}
    config.write_text(yaml.safe_dump({"supervision": {"operator": operator}}), "utf-8")
    finished = run(tmp_path / "experiment", "--config", str(config), "--supervise", "always")
    assert finished.returncode == 0, finished.stderr

    with Experiment.open(finished.experiment) as experiment:
        proposals = [d for d in experiment.documents(kind="proposal") if isinstance(d, Proposal)]
        decisions = {d.proposal_id: d for d in experiment.documents(kind="decision") if isinstance(d, Decision)}
        corrections = [d for d in experiment.documents(kind="correction") if isinstance(d, Correction)]
        for correction in corrections:
            experiment.load_image(correction.image)

    assert len(proposals) >= 3
    assert set(decisions) == {proposal.proposal_id for proposal in proposals}
    assert all(decision.reviewed for decision in decisions.values())
    expected = ["correct" if number % 3 == 0 else "accept" for number in range(1, len(proposals) + 1)]
    assert [decisions[proposal.proposal_id].action for proposal in proposals] == expected
    moved = [c for c in corrections if decisions[c.proposal_id].action == "correct" and c.predicted is not None]
    assert moved
    assert all(c.model and c.decided is not None and c.decided != c.predicted for c in moved)
    assert finished.report["lamellae"][0]["corrections"] == len([c for c in moved if c.lamella])
