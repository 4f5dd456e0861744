"""The on-grid method through the TESCAN drivers against their fakes, with the simulator's sample behind them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sharksem_bench
import tescan_bench
import yaml
from essence_truth import FakeTruth
from tescan.exposure import EngineState
from tescan.instrument import Instrument

from fibsem_runtime.app.result import LamellaResult, lamella_results
from fibsem_runtime.app.run import RunRequest, run
from fibsem_runtime.core import CancelToken
from fibsem_runtime.experiment import Experiment
from fibsem_runtime.workflow import load_method

SEED = 7
OPERATOR = {"mode": "uncertain", "operator": {"kind": "scripted", "correct_every": 1000}}
"""Agrees with everything that the detection is not sure of."""


@dataclass(frozen=True)
class Prepared:
    """One lamella that was prepared through a driver, and the instrument afterwards."""

    fake: Instrument
    lamella: LamellaResult
    calls: list[str]


def through_sdk(stack: ExitStack, fake: Instrument) -> dict[str, Any]:
    stack.enter_context(tescan_bench.on_the_bench(fake))
    return {"name": "tescan", "settings": tescan_bench.sdk_settings()}


def through_sharksem(stack: ExitStack, fake: Instrument) -> dict[str, Any]:
    _, server = stack.enter_context(sharksem_bench.serving(fake))
    return {"name": "sharksem", "settings": sharksem_bench.shark_settings(server)}


@pytest.fixture(scope="module", params=[through_sdk, through_sharksem], ids=["tescan", "sharksem"])
def prepared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prepared]:
    connect: Callable[[ExitStack, Instrument], dict[str, Any]] = request.param
    directory: Path = tmp_path_factory.mktemp("tescan")
    fake = Instrument(seed=SEED)
    with ExitStack() as stack:
        config = {"driver": connect(stack, fake), "lamellae": 1, "seed": SEED, "supervision": OPERATOR}
        (directory / "config.yaml").write_text(yaml.safe_dump(config))
        request_ = RunRequest(config_path=directory / "config.yaml", experiment=directory / "experiment")
        finished = run(request_, cancel=CancelToken())
        assert finished.error is None
        steps = [step.name for step in load_method("on-grid").steps]
        with Experiment.open(directory / "experiment") as experiment:
            (lamella,) = lamella_results(experiment, steps, FakeTruth(fake))
        yield Prepared(fake, lamella, fake.faults.names())


def test_the_lamella_is_completed_and_as_good_as_on_the_simulator(prepared: Prepared) -> None:
    lamella = prepared.lamella
    assert lamella.status == "completed"
    assert lamella.truth is not None
    assert lamella.truth.thickness_nm is not None
    assert lamella.truth.position_error_nm is not None
    assert 150 <= lamella.truth.thickness_nm <= 250
    assert lamella.truth.position_error_nm <= 500
    assert {"left", "right"} <= set(lamella.truth.attached_to)
    assert lamella.thickness_nm is not None
    assert abs(lamella.thickness_nm - lamella.truth.thickness_nm) <= 50


def test_layers_are_loaded_estimated_started_and_unloaded_in_this_order(prepared: Prepared) -> None:
    """Every layer; never one while another is loaded (vendor-tescan.md A5)."""
    short = {
        **{f"DrawBeam.{name}": name for name in ("LoadLayer", "EstimateTime", "Start", "UnloadLayer")},
        **{f"Drw{name}": name for name in ("LoadLayer", "EstimateTime", "Start", "UnloadLayer")},
    }
    order = [short[name] for name in prepared.calls if name in short]
    assert len(order) >= 4 * 6
    assert order == ["LoadLayer", "EstimateTime", "Start", "UnloadLayer"] * (len(order) // 4)
    assert prepared.fake.engine.state is EngineState.NONE


def test_the_current_is_measured_after_every_preset_and_before_every_layer(prepared: Prepared) -> None:
    """And at no other time, because it blocks the instrument for a second; once more to find the first preset."""
    count = {name: prepared.calls.count(name) for name in set(prepared.calls)}
    measured = count.get("FIB.Beam.ReadProbeCurrent", 0) + count.get("FibReadFCCurr", 0)
    activated = count.get("FIB.Preset.Activate", 0) + count.get("FibSetPreset", 0)
    loaded = count.get("DrawBeam.LoadLayer", 0) + count.get("DrwLoadLayer", 0)
    assert activated >= 8
    assert measured == activated + loaded + 1


def test_the_imaging_preset_is_active_at_the_end(prepared: Prepared) -> None:
    assert prepared.fake.ion.preset == "30 keV; 20 pA"


def test_the_scan_is_stopped_before_every_frame(prepared: Prepared) -> None:
    """Stop, select, acquire (vendor-tescan.md A4)."""
    calls = prepared.calls
    frames = [i for i, name in enumerate(calls) if "FromChannel" in name or name in ("ScScanXY", "FibScScanXY")]
    assert len(frames) >= 50
    for i in frames:
        assert any(name.endswith(("Scan.Stop", "ScStopScan")) for name in calls[max(0, i - 4) : i])
