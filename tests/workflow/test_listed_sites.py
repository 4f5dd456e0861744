"""Sites from the operator's list, and a supervisor who answers with the truth."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from runs import SEED
from truth_supervisor import TruthSupervisor

from drivers.simulator.scene import build_sample
from drivers.simulator.settings import SimulatorSettings
from fibsem_runtime.app.instrument import Instrument, open_configured_detector, open_instrument
from fibsem_runtime.app.result import LamellaResult, lamella_results
from fibsem_runtime.config import RuntimeConfig
from fibsem_runtime.core import CancelToken, SpecimenPosition
from fibsem_runtime.core.units import UM
from fibsem_runtime.events import Correction, Decision, LamellaAdded
from fibsem_runtime.experiment import Experiment
from fibsem_runtime.workflow import Context, MethodSettings, RunIdentity, RunOptions, load_method, run_method
from fibsem_runtime.workflow.settings import ListSelection, SitePosition
from fibsem_runtime.workflow.steps.align_site import TARGET
from fibsem_runtime.workflow.supervision import SupervisionMode

NAME = "chosen-by-hand"
EDGE_UM = 60.0
"""Room that a site needs up to the bars of its square."""


@dataclass(frozen=True)
class Supervised:
    """One listed lamella, prepared with the truth as supervisor."""

    supervisor: TruthSupervisor
    site: SpecimenPosition
    listed: SitePosition
    lamella: LamellaResult
    experiment: Path


def lonely_cell() -> SpecimenPosition:
    """Return the middle of the simulated cell that stands farthest from all others, inside the square."""
    cells = build_sample(SimulatorSettings().scene, seed=SEED).cells
    inside = [cell for cell in cells if max(abs(cell.x_m), abs(cell.y_m)) < EDGE_UM * UM]

    def room_m(index: int) -> float:
        here = inside[index]
        return min((here.x_m - c.x_m) ** 2 + (here.y_m - c.y_m) ** 2 for c in cells if c is not here)

    chosen = inside[max(range(len(inside)), key=room_m)]
    return SpecimenPosition(x_m=chosen.x_m, y_m=chosen.y_m, z_m=chosen.height_m / 2)


def listed_at(instrument: Instrument, site: SpecimenPosition) -> SitePosition:
    """Return a site as an operator writes it down: the stage position at which it is in the middle."""
    here = instrument.microscope.stage.position()
    position = instrument.kinematics.centre_on(site, instrument.kinematics.electron_pose(here))
    return SitePosition(
        name=NAME,
        x_um=position.x_m / UM,
        y_um=position.y_m / UM,
        z_um=position.z_m / UM,
        r_deg=math.degrees(position.r_rad),
        t_deg=math.degrees(position.t_rad),
    )


def method_for(listed: SitePosition) -> MethodSettings:
    return load_method("on-grid").model_copy(update={"selection": ListSelection(positions=[listed])})


@pytest.fixture(scope="module")
def supervised(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervised]:
    directory = tmp_path_factory.mktemp("listed") / "experiment"
    config, site = RuntimeConfig(lamellae=1, seed=SEED), lonely_cell()
    with Experiment.create(directory) as experiment, open_instrument(config, state_directory=None) as instrument:
        assert instrument.truth is not None
        listed = listed_at(instrument, site)
        supervisor = TruthSupervisor(truth=instrument.truth, kinematics=instrument.kinematics, sites={NAME: site})
        method = method_for(listed)
        context = Context(
            microscope=instrument.microscope,
            kinematics=instrument.kinematics,
            experiment=experiment,
            detector=open_configured_detector(config),
            operator=supervisor,
            method=method,
            options=RunOptions(lamella_count=1, mode=SupervisionMode.ALWAYS),
            cancel=CancelToken(),
        )
        run_method(context, RunIdentity(driver="simulator", seed=SEED, software_version="test", resumed=False))
        (lamella,) = lamella_results(experiment, [step.name for step in method.steps], instrument.truth)
        yield Supervised(supervisor, site, listed, lamella, directory)


def test_a_listed_site_is_prepared_under_its_name_at_its_place(supervised: Supervised) -> None:
    with Experiment.open(supervised.experiment) as experiment:
        (added,) = [d for d in experiment.documents(kind="lamella_added") if isinstance(d, LamellaAdded)]
    assert added.lamella == NAME
    assert added.stage_position == supervised.listed.to_stage_position()
    lamella = supervised.lamella
    assert lamella.status == "completed"
    assert lamella.truth is not None
    assert lamella.truth.thickness_nm is not None
    assert lamella.truth.position_error_nm is not None
    assert 150 <= lamella.truth.thickness_nm <= 250
    assert lamella.truth.position_error_nm <= 500


def test_the_truth_answers_every_proposal_and_every_answer_is_kept(supervised: Supervised) -> None:
    with Experiment.open(supervised.experiment) as experiment:
        decisions = [d for d in experiment.documents(kind="decision") if isinstance(d, Decision)]
    answered = supervised.supervisor.answered
    assert [d.proposal_id for d in decisions] == [proposal.proposal_id for proposal, _ in answered]
    assert all(d.reviewed and d.decided_by == "the truth" for d in decisions)
    assert [d.points for d in decisions] == [dict(answer.points) for _, answer in answered]
    assert [item.feature for item in answered[0][0].features] == [TARGET]
    assert any(proposal.subject == "features" for proposal, _ in answered)


def test_the_detection_is_measured_against_the_truth_in_metres(supervised: Supervised) -> None:
    """A correction says how far off the detection was: within the lamella on every lamella it was asked about."""
    with Experiment.open(supervised.experiment) as experiment:
        corrections = [d for d in experiment.documents(kind="correction") if isinstance(d, Correction)]
    centres = [c for c in corrections if c.feature == "LamellaCentre"]
    assert centres
    assert all(c.delta is not None and c.delta.length_m < 1 * UM for c in centres)
