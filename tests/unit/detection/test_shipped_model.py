"""The model that comes with the runtime: whole, small, right on real images, silent where there is nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from images import data_folder

from fibsem_runtime.detection import Detector, EngineSettings, open_detector
from fibsem_runtime.detection.manifest import verified_file
from fibsem_runtime.imaging import read_image

FOLDER = Path(__file__).resolve().parents[3] / "models" / "lamella-lite0"
NAMES = ("NeedleTip", "LamellaCentre", "LandingPost")


@pytest.fixture(scope="module")
def detector() -> Detector:
    return open_detector(FOLDER, EngineSettings())


def test_its_files_are_those_of_the_manifest_and_small(detector: Detector) -> None:
    files = [verified_file(FOLDER, detector.manifest, precision) for precision in detector.manifest.files]
    assert sum(path.stat().st_size for path in files) < 30e6


def test_it_says_how_well_it_was_measured_to_do(detector: Detector) -> None:
    assert detector.manifest.measured and detector.manifest.calibration and detector.manifest.training_data
    assert all(m.features["LamellaCentre"].found_fraction for m in detector.manifest.measured)


def test_an_image_without_an_object_has_no_feature(detector: Detector) -> None:
    image = read_image(data_folder("autoliftout", "test", "ref_lamella_low_res_eb.tif"))
    for feature in detector.find(image, NAMES).features:
        assert feature.point is None and feature.reason.startswith(("no ", "the largest region"))


def test_a_lamella_on_a_needle_at_a_post_gives_all_three(detector: Detector) -> None:
    image = read_image(data_folder("autoliftout", "test", "landing_needle_pre_move_1_ib.tif"))
    found = detector.find(image, NAMES)
    assert all(feature.point is not None and feature.confidence > 0.5 for feature in found.features)
