"""Lay the report out as one HTML file that needs nothing else: no script, no address, no server."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from fibsem_runtime.app.report.content import Report, gather
from fibsem_runtime.app.report.thickness import ThicknessScale, make_scale
from fibsem_runtime.app.result import RunResult
from fibsem_runtime.core.files import write_text
from fibsem_runtime.core.units import format_angle, format_duration, format_quantity
from fibsem_runtime.experiment import Experiment

_UNITS: Final = {"_m": "m", "_a": "A", "_v": "V"}


def render_report(experiment: Experiment, *, result: RunResult | None = None) -> str:
    """Return the HTML of an experiment; ``result`` adds wall time and truth, which documents do not hold."""
    report = gather(experiment, result)
    environment = Environment(
        loader=PackageLoader("fibsem_runtime.app.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "quantity": _quantity,
        "duration": format_duration,
        "angle": format_angle,
        "measurement": _measurement,
        "tick": _tick,
        "words": lambda name: name.replace("_", " "),
    }
    template = environment.get_template("report.html")
    return template.render(report=report, scale=_scale(report))


def write_report(experiment: Experiment, path: Path, *, result: RunResult | None = None) -> Path:
    """Write the report of an experiment to ``path`` and return it; raise `StorageError` when the disk refuses."""
    write_text(path, render_report(experiment, result=result))
    return path


def _scale(report: Report) -> ThicknessScale | None:
    return make_scale([lamella.thickness for lamella in report.lamellae])


def _tick(time_s: float) -> str:
    """Write a round time after the start without its zeros."""
    minutes, seconds = divmod(round(time_s), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [f"{value} {unit}" for value, unit in ((hours, "h"), (minutes, "min"), (seconds, "s")) if value]
    return " ".join(parts) or "0"


def _quantity(value: float | None, unit: str) -> str:
    """Write a number with its unit, and a dash for what is not known."""
    if value is None:
        return "–"
    return format_quantity(value, unit) if unit in ("m", "A", "V", "s") else f"{value:.3g} {unit}".strip()


def _measurement(value: float, name: str) -> str:
    """Write a measurement of a step with the unit that its name carries."""
    if name.endswith("_s"):
        return format_duration(value)
    if name.endswith("_rad"):
        return format_angle(value)
    unit = next((unit for suffix, unit in _UNITS.items() if name.endswith(suffix)), "")
    return _quantity(value, unit)
