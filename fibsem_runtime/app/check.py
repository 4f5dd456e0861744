"""The command ``check``: is a configuration fit to run, and how long will it take."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from fibsem_runtime.app.instrument import open_configured_detector, open_instrument
from fibsem_runtime.app.preflight import check_before_run, milling_stages
from fibsem_runtime.config import RuntimeConfig
from fibsem_runtime.milling import estimate_time
from fibsem_runtime.workflow import load_method


class StageEstimate(BaseModel):
    """Beam time and total time of one milling stage of one lamella."""

    model_config = ConfigDict(frozen=True)

    name: str
    beam_current_a: float
    beam_s: float
    total_s: float


class CheckResult(BaseModel):
    """The document that ``check --json`` prints."""

    model_config = ConfigDict(frozen=True)

    method: str
    driver: str
    model: str
    provider: str
    lamella_count: int
    stages: list[StageEstimate]
    total_s: float


def check(config: RuntimeConfig, *, connect: bool) -> CheckResult:
    """Load everything that a run needs; with ``connect`` the instrument is asked as well, and nothing moves.

    Raises the first error that a run would raise before it starts.
    """
    method = load_method(config.method)
    detector = open_configured_detector(config)
    if connect:
        with open_instrument(config, state_directory=None) as instrument:
            check_before_run(
                instrument.microscope, method, Path(config.experiments_folder), lamella_count=config.lamellae
            )
    estimates = [(stage, estimate_time([stage])) for stage in milling_stages(method)]
    return CheckResult(
        method=method.name,
        driver=config.driver.name,
        model=detector.name,
        provider=detector.provider,
        lamella_count=config.lamellae,
        stages=[
            StageEstimate(
                name=stage.name,
                beam_current_a=stage.beam_current_a,
                beam_s=estimate.beam_s,
                total_s=estimate.total_s,
            )
            for stage, estimate in estimates
        ],
        total_s=config.lamellae * sum(estimate.total_s for _, estimate in estimates),
    )
