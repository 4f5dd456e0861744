"""Alignment on a reference by beam shift."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import pytest
from fakes import FakeBeam, FakeInstrument
from numpy.typing import NDArray

from fibsem_runtime.core import BeamType, CancelToken, Image, ImageMetadata, ImagePoint, ImageSettings
from fibsem_runtime.core.errors import AlignmentError
from fibsem_runtime.events import CheckMade
from fibsem_runtime.experiment import Experiment
from fibsem_runtime.hal import Kinematics
from fibsem_runtime.workflow import Context, RunOptions, load_method
from fibsem_runtime.workflow.alignment import align_to_reference
from fibsem_runtime.workflow.settings import AlignmentSettings

NM = 1e-9
REQUEST = ImageSettings(width_px=192, height_px=128, hfw_m=9.6e-6)
SETTINGS = AlignmentSettings(tolerance_nm=25, max_passes=3)


def texture() -> NDArray[np.float32]:
    noise = np.random.default_rng(3).standard_normal((REQUEST.height_px, REQUEST.width_px)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2.5)
    return 128 + 90 * smooth / float(np.abs(smooth).max())


@dataclass
class DriftingBeam(FakeBeam):
    """Ion beam over a sample that lies ``drift`` away from where it was; ``is_deaf`` ignores its beam shift."""

    drift: ImagePoint = ImagePoint(0.0, 0.0)
    is_deaf: bool = False
    pixels: NDArray[np.float32] = field(default_factory=texture)

    def acquire(self, settings: ImageSettings, *, cancel: CancelToken) -> Image:
        self.calls.append("acquire")
        shift = ImagePoint(0.0, 0.0) if self.is_deaf else self.current.shift
        moved_px = np.float32(
            [
                [1, 0, (self.drift.x_m + shift.x_m) / settings.pixel_size_m],
                [0, 1, -(self.drift.y_m + shift.y_m) / settings.pixel_size_m],
            ]
        )
        shown = cv2.warpAffine(
            self.pixels, moved_px, self.pixels.shape[::-1], flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
        )
        return Image(
            np.clip(shown, 0, 255).astype(np.uint8),
            ImageMetadata(pixel_size_m=settings.pixel_size_m, frame_id=str(len(self.calls))),
        )


@pytest.fixture
def beam() -> DriftingBeam:
    return DriftingBeam(BeamType.ION)


@pytest.fixture
def context(beam: DriftingBeam, tmp_path: Path) -> Iterator[Context]:
    microscope = FakeInstrument(ion=beam).microscope()
    with Experiment.create(tmp_path / "experiment") as experiment:
        yield Context(
            microscope=microscope,
            kinematics=Kinematics(microscope.chain),
            experiment=experiment,
            detector=None,
            operator=None,
            method=load_method("on-grid"),
            options=RunOptions(lamella_count=1),
            cancel=CancelToken(),
        )


def align(context: Context, beam: DriftingBeam, drift: ImagePoint) -> float | None:
    reference = beam.acquire(REQUEST, cancel=CancelToken())
    beam.drift = drift
    beam.calls.clear()
    return align_to_reference(context, reference, REQUEST, SETTINGS, purpose="test")


def left_over(beam: DriftingBeam) -> float:
    return (beam.drift + beam.current.shift).length_m


def test_a_deviation_within_the_tolerance_is_corrected_without_another_image(
    context: Context, beam: DriftingBeam
) -> None:
    residual_m = align(context, beam, ImagePoint(15 * NM, -12 * NM))
    assert residual_m == pytest.approx(19.2 * NM, abs=4 * NM)
    assert left_over(beam) < 4 * NM
    assert beam.calls.count("acquire") == 1


def test_a_larger_deviation_is_corrected_and_looked_at_again(context: Context, beam: DriftingBeam) -> None:
    residual_m = align(context, beam, ImagePoint(-400 * NM, 250 * NM))
    assert residual_m is not None
    assert residual_m <= SETTINGS.tolerance_m
    assert left_over(beam) < 4 * NM
    assert beam.calls.count("acquire") == 2
    (check,) = [d for d in context.experiment.documents() if isinstance(d, CheckMade)]
    assert (check.check, check.measured, check.passed) == ("C2", residual_m, True)


def test_a_column_that_does_not_follow_is_an_error_that_says_what_is_left(context: Context, beam: DriftingBeam) -> None:
    beam.is_deaf = True
    with pytest.raises(AlignmentError, match=r"leaves 4.* nm after 3 corrections, allowed are 25 nm"):
        align(context, beam, ImagePoint(400 * NM, 0.0))
    (check,) = [d for d in context.experiment.documents() if isinstance(d, CheckMade)]
    assert not check.passed
