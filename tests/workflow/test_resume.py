"""A run that is killed goes on where it stopped: nothing is milled twice, nothing is lost."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

from runs import Finished, assert_no_beam_time_twice, command, run


def kill_when_documents_reach(experiment: Path, count: int, *extra: str) -> bool:
    """Start a run, kill it without warning once its database holds ``count`` documents; False when it ended first.

    An announced interval of milling is killed once the engine has its order: a kill in the milliseconds between counts
    the interval as spent and mills too little, never twice.
    """
    with subprocess.Popen(command(experiment, *extra), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            if count_documents(experiment) >= count:
                seen_ns = state_changed_ns(experiment)
                while process.poll() is None and newest_kind(experiment) == "milling_started":
                    if state_changed_ns(experiment) != seen_ns:
                        break
                    time.sleep(0.005)
                process.send_signal(signal.SIGKILL)
                process.wait()
                return True
            time.sleep(0.02)
    return False


def count_documents(experiment: Path) -> int:
    """Count what is on disk, from outside, while the run goes on."""
    database = experiment / "experiment.sqlite"
    if not database.exists():
        return 0
    try:
        with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
            return int(connection.execute("select count(*) from documents").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


def newest_kind(experiment: Path) -> str:
    """Return what the newest document on disk tells."""
    with sqlite3.connect(f"file:{experiment / 'experiment.sqlite'}?mode=ro", uri=True) as connection:
        return str(connection.execute("select kind from documents order by sequence desc limit 1").fetchone()[0])


def state_changed_ns(experiment: Path) -> int:
    """Return when the simulated instrument last wrote its state, which it does before it carries an order out."""
    return max(path.stat().st_mtime_ns for path in (experiment / "simulator").iterdir() if path.suffix == ".json")


def test_five_kills_lose_nothing_and_repeat_no_milling(tmp_path: Path, autonomous_run: Finished) -> None:
    experiment = tmp_path / "experiment"
    total = count_documents(autonomous_run.experiment)
    moments = sorted(random.Random(20261124).sample(range(10, total - 5), 5))
    kills = 0
    for moment in moments:
        kills += kill_when_documents_reach(experiment, moment, *(["--resume"] if kills else []))
    finished = run(experiment, "--resume")

    assert kills == 5
    assert finished.returncode == 0, finished.stderr
    (lamella,) = finished.report["lamellae"]
    assert lamella["status"] == "completed"
    assert 150 <= lamella["truth"]["thickness_nm"] <= 250
    assert_no_beam_time_twice(experiment)
