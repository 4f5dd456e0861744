"""A writer that is killed without warning: what it was told is on disk is there, and nothing half is referenced."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest
from documents import document

from fibsem_runtime.events import ImageAcquired, StepStarted
from fibsem_runtime.experiment import Experiment

SUPPORT = Path(__file__).parents[2] / "support"

WRITER = """
import sys
from itertools import count
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from documents import document, POSITION
from frames import make_image
from fibsem_runtime.core import BeamType
from fibsem_runtime.events import ImageAcquired, StepStarted
from fibsem_runtime.experiment import Experiment

facts = dict(purpose="before", beam_type=BeamType.ION, hfw_m=1e-4, beam_current_a=1e-11, dwell_time_s=1e-6,
             stage_position=POSITION)
with Experiment.resume(Path(sys.argv[1])) as experiment:
    for number in count():
        if number % 3 == 0:
            image = experiment.save_image(make_image(seed=number, shape=(256, 384)), name="frame")
            done = experiment.record(document(ImageAcquired, image=image, **facts))
        else:
            done = experiment.record(document(StepStarted))
        print(done.sequence, flush=True)
"""


def write_until_killed(directory: Path, acknowledged_count: int) -> int:
    """Start a writer, kill it once it has acknowledged some documents and return the last number it acknowledged."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(directory), str(SUPPORT)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        lines = [writer.stdout.readline() for _ in range(acknowledged_count)]
        writer.kill()
        lines += writer.stdout.read().splitlines()
    complete = [line for line in lines if line.strip()]
    return int(complete[-1])


@pytest.mark.skipif(sys.platform == "win32", reason="the kill of POSIX")
def test_a_killed_writer_loses_nothing_that_it_acknowledged(experiment: Experiment) -> None:
    experiment.record(document(StepStarted))
    experiment.close()
    draw = random.Random(20261124)
    for _ in range(4):
        acknowledged = write_until_killed(experiment.directory, draw.randint(1, 40))
        with Experiment.open(experiment.directory) as reader:
            documents = reader.documents()
            assert [d.sequence for d in documents] == list(range(1, len(documents) + 1))
            assert len(documents) >= acknowledged
            for acquired in documents:
                if isinstance(acquired, ImageAcquired):
                    reader.load_image(acquired.image)
    with Experiment.resume(experiment.directory) as resumed:
        assert list((resumed.directory / "images").glob(".*")) == []
        assert resumed.record(document(StepStarted)).sequence == len(documents) + 1
