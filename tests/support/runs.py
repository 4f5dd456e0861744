"""Whole runs on the simulator through the command line, as a user starts them."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
