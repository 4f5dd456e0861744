"""The table of an evaluation is right for outcomes whose table is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from class_maps import LAMELLA, box, empty, gray
from tiny_models import write_level_model

from fibsem_runtime.core import Image, ImageMetadata, PixelPoint
from fibsem_runtime.core.errors import DataError
from fibsem_runtime.detection import EngineSettings, open_detector
from fibsem_runtime.detection.confidence import CUE_NAMES, Cues, combine
from fibsem_runtime.learning.calibrate import Verdict, fit_calibration, gather_verdicts
from fibsem_runtime.learning.dataset import Sample
from fibsem_runtime.learning.evaluate import Outcome, class_iou, evaluate, tabulate, to_text


def outcome(true: float | None, found: float | None, confidence: float = 0.9) -> Outcome:
    return Outcome(
        feature="NeedleTip",
        image="a",
        true=None if true is None else PixelPoint(true, 0),
        found=None if found is None else PixelPoint(found, 0),
        confidence=confidence,
        pixel_size_m=100e-9,
    )


def test_misses_far_points_and_false_finds_are_counted_apart() -> None:
    table = tabulate(
        [
            outcome(100, 104),
            outcome(100, 106, confidence=0.2),
            outcome(100, 140, confidence=0.1),
            outcome(100, None, confidence=0.0),
            outcome(None, 50, confidence=0.4),
            outcome(None, None, confidence=0.0),
        ]
    )
    assert (table.n, table.found_fraction, table.false_finds) == (4, 0.75, 1)
    assert table.median_px == pytest.approx(6) and table.max_px == pytest.approx(40)
    assert table.median_um == pytest.approx(0.6)
    assert table.within_10_px_fraction == 0.5, "a miss is not within"
    assert (table.far, table.gated_far, table.good, table.gated_good) == (2, 2, 2, 1)


def test_nothing_to_measure_is_none_and_not_zero() -> None:
    table = tabulate([outcome(None, None)])
    assert table.n == 0 and table.found_fraction is None and table.median_px is None


def test_iou_is_over_all_images_and_leaves_out_classes_that_never_occur() -> None:
    a = np.zeros((10, 10), np.uint8)
    b = a.copy()
    a[:, :4], b[:, :2] = 1, 1
    assert class_iou([(a, b), (a, a)]) == {"lamella": pytest.approx(60 / 80)}


def scene_samples() -> list[Sample]:
    samples = []
    for shift in range(0, 100, 20):
        classes = box(empty(), LAMELLA, 300 + shift, 200, 420 + shift, 260)
        points = {"LamellaCentre": PixelPoint(360 + shift, 230)}
        samples.append(Sample(f"s{shift}", Image(gray(classes), ImageMetadata()), classes, points))
    empty_image = Image(gray(empty()), ImageMetadata())
    return [*samples, Sample("nothing", empty_image, empty(), {})]


def test_a_perfect_detector_gets_a_perfect_table(tmp_path: Path) -> None:
    detector = open_detector(write_level_model(tmp_path / "levels"), EngineSettings(thread_count=1))
    result = evaluate(detector, scene_samples())
    row = result.features["LamellaCentre"]
    assert (row.n, row.found_fraction, row.max_px, row.false_finds) == (5, 1.0, 0.0, 0)
    assert result.class_iou == {"lamella": 1.0}
    assert "LamellaCentre" in to_text(result) and result.model_validate_json(result.model_dump_json()) == result


def test_images_without_key_points_cannot_be_evaluated(tmp_path: Path) -> None:
    detector = open_detector(write_level_model(tmp_path / "levels"), EngineSettings(thread_count=1))
    with pytest.raises(DataError, match="key points"):
        evaluate(detector, scene_samples()[-1:])


def cues(score: float) -> Cues:
    return Cues(**dict.fromkeys(CUE_NAMES, score))


def test_calibration_tells_right_from_wrong_points_and_never_distrusts_a_good_cue() -> None:
    rng = np.random.default_rng(1)
    right = [Verdict(feature="NeedleTip", cues=cues(rng.normal(3, 0.5)), is_right=True) for _ in range(60)]
    wrong = [Verdict(feature="NeedleTip", cues=cues(rng.normal(0, 0.5)), is_right=False) for _ in range(20)]
    weights = fit_calibration(right + wrong)["NeedleTip"].model_dump()
    assert all(weights[name] >= 0 for name in CUE_NAMES)
    assert sum(combine(v.cues, weights) > 0.5 for v in right) >= 57
    assert sum(combine(v.cues, weights) < 0.5 for v in wrong) >= 18


def test_calibration_refuses_to_learn_from_one_sided_verdicts() -> None:
    with pytest.raises(DataError, match="right and wrong"):
        fit_calibration([Verdict(feature="NeedleTip", cues=cues(1), is_right=True)])


def test_verdicts_come_from_changed_copies_whose_truth_is_their_label(tmp_path: Path) -> None:
    detector = open_detector(write_level_model(tmp_path / "levels"), EngineSettings(thread_count=1))
    verdicts = gather_verdicts(detector, scene_samples()[:2], ["LamellaCentre"], copies=3, seed=1)
    again = gather_verdicts(detector, scene_samples()[:2], ["LamellaCentre"], copies=3, seed=1)
    assert verdicts == again and verdicts
    assert not all(v.is_right for v in verdicts), "gray levels do not survive the changes, so the level model fails"
