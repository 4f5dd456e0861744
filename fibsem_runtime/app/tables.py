"""Answers as text for people: tables no wider than a terminal, with what to look at next."""

from __future__ import annotations

from collections.abc import Iterable

from fibsem_runtime.app.check import CheckResult
from fibsem_runtime.app.corrections import CorrectionsResult
from fibsem_runtime.app.dataset import SynthesizeResult
from fibsem_runtime.app.detect import DetectResult, FeatureOutput
from fibsem_runtime.app.doctor import DoctorResult
from fibsem_runtime.app.result import LamellaResult
from fibsem_runtime.app.run import Finished
from fibsem_runtime.app.text_table import text_table
from fibsem_runtime.core.units import format_duration, format_quantity


def run_table(finished: Finished) -> str:
    """Return lamellae with thickness and truth, then where experiment and report lie."""
    result = finished.result
    rows = [
        (
            lamella.name,
            lamella.status,
            _number(lamella.thickness_nm),
            _number(lamella.truth.thickness_nm if lamella.truth else None),
            _number(lamella.truth.position_error_nm if lamella.truth else None),
            ", ".join(lamella.truth.attached_to) if lamella.truth else "",
            str(lamella.corrections),
        )
        for lamella in result.lamellae
    ]
    headings = ("lamella", "status", "measured nm", "true nm", "off by nm", "held at", "corrections")
    lines = [
        text_table(headings, rows, title=f"{result.method} on {result.driver}, seed {result.seed}"),
        *_failures(result.lamellae),
        f"{format_duration(result.simulated_s)} of instrument time in {format_duration(result.wall_s)}",
        f"experiment  {result.experiment}",
        f"report      {finished.report}",
    ]
    return "\n".join(lines)


def _failures(lamellae: Iterable[LamellaResult]) -> list[str]:
    return [
        f"{lamella.name} {step.name} {step.status}: {step.message}"
        for lamella in lamellae
        for step in lamella.steps
        if step.message
    ]


def detect_table(result: DetectResult) -> str:
    """Return one row a feature and image."""
    rows = [
        (image.file.rsplit("/", 1)[-1], name, *_place(feature), f"{feature.confidence:.2f}", feature.reason)
        for image in result.images
        for name, feature in image.features.items()
    ]
    headings = ("image", "feature", "x px", "y px", "confidence", "not found because")
    return text_table(headings, rows, title=f"{result.model} on {result.provider}")


def _place(feature: FeatureOutput) -> tuple[str, str]:
    return (_number(feature.x_px, 1), _number(feature.y_px, 1))


def synthesize_table(result: SynthesizeResult) -> str:
    """Return in how many frames each class is seen, then where the data set lies."""
    rows = [(name, str(count)) for name, count in result.frames_with.items()]
    lines = [
        text_table(("class", "frames"), rows, title=f"{result.frames} frames of {result.scene}, seed {result.seed}"),
        f"{result.scenes} scenes in {format_duration(result.wall_s)}",
        f"data set  {result.folder}",
    ]
    return "\n".join(lines)


def check_table(result: CheckResult) -> str:
    """Return the milling stages with their times."""
    rows = [
        (
            stage.name,
            format_quantity(stage.beam_current_a, "A"),
            format_duration(stage.beam_s),
            format_duration(stage.total_s),
        )
        for stage in result.stages
    ]
    table = text_table(
        ("stage", "current", "beam time", "with overhead"), rows, title=f"{result.method} on {result.driver}"
    )
    total = f"{result.lamella_count} lamellae: about {format_duration(result.total_s)} of milling"
    return f"{table}\n{total}\nmodel {result.model} on {result.provider}; the configuration is fit to run"


def doctor_table(result: DoctorResult) -> str:
    """Return the findings, what is missing marked."""
    rows = [("ok" if finding.ok else "MISSING", finding.topic, finding.detail) for finding in result.findings]
    return text_table(("", "what", "found"), rows, title=f"fibsem-runtime {result.version}")


def corrections_table(result: CorrectionsResult) -> str:
    """Return one row a correction."""
    rows = [
        (
            c.lamella,
            c.step,
            c.feature,
            c.classification,
            _number(c.delta_um[0] if c.delta_um else None, 3),
            _number(c.delta_um[1] if c.delta_um else None, 3),
            f"{c.confidence:.2f}",
            c.model,
            c.decided_by,
        )
        for c in result.corrections
    ]
    headings = ("lamella", "step", "feature", "class", "dx µm", "dy µm", "confidence", "model", "decided by")
    return text_table(headings, rows, title=f"{len(rows)} in {result.experiment}")


def _number(value: float | None, digit_count: int = 0) -> str:
    return "-" if value is None else f"{value:.{digit_count}f}"
