"""Whole runs on the simulator through the command line, as a user starts them."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fibsem_runtime.events import MillingFinished, MillingStarted
from fibsem_runtime.experiment import Experiment

SEED = 7


@dataclass(frozen=True)
class Finished:
    """What one command left behind."""

    returncode: int
    report: dict[str, Any]
    stderr: str
    experiment: Path


def command(experiment: Path, *extra: str, lamellae: int = 1) -> list[str]:
    """Return the command line of one run that prints JSON."""
    return [
        sys.executable,
        "-m",
        "fibsem_runtime",
        "run",
        "--lamellae",
        str(lamellae),
        "--seed",
        str(SEED),
        "--experiment",
        str(experiment),
        "--json",
        *extra,
    ]


def run(experiment: Path, *extra: str, lamellae: int = 1) -> Finished:
    """Run to the end and parse what it printed."""
    done = subprocess.run(command(experiment, *extra, lamellae=lamellae), capture_output=True, text=True, check=False)
    report = json.loads(done.stdout) if done.stdout.strip() else {}
    return Finished(done.returncode, report, done.stderr, experiment)


def assert_no_beam_time_twice(path: Path) -> None:
    """Check that the intervals of every milling stage do not overlap; one whose end is not on record counts whole."""
    intervals: dict[tuple[str, str, str], list[tuple[float, float]]] = defaultdict(list)
    with Experiment.open(path) as experiment:
        for document in experiment.documents():
            if isinstance(document, MillingStarted):
                spans = intervals[document.lamella, document.step, document.stage]
                spans.append((document.from_s, document.until_s))
            elif isinstance(document, MillingFinished):
                spans = intervals[document.lamella, document.step, document.stage]
                spans[-1] = (spans[-1][0], document.milled_s)
    assert intervals
    for spans in intervals.values():
        for (_, earlier_until_s), (later_from_s, _) in itertools.pairwise(spans):
            assert later_from_s >= earlier_until_s - 1e-6
