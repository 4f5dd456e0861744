from __future__ import annotations

import numpy as np
import pytest

from drivers.simulator.blur import blur, decimation, probe_covariance_px, reach_px


def _covariance(**changes: float) -> np.ndarray:
    values = {"probe_px": 0.0, "defocus_px": 0.0, "astigmatism_x_px": 0.0, "astigmatism_y_px": 0.0, **changes}
    return probe_covariance_px(**values)


def _moments(spot: np.ndarray) -> np.ndarray:
    y, x = np.mgrid[: spot.shape[0], : spot.shape[1]]
    total = spot.sum()
    dx, dy = x - (x * spot).sum() / total, y - (y * spot).sum() / total
    return (
        np.array([[(spot * dx * dx).sum(), (spot * dx * dy).sum()], [(spot * dx * dy).sum(), (spot * dy * dy).sum()]])
        / total
    )


def test_probe_and_defocus_add_in_squares() -> None:
    assert np.allclose(_covariance(probe_px=3.0, defocus_px=-4.0), 25 * np.eye(2))


def test_stigmation_is_round_in_focus_and_a_line_beside_it() -> None:
    round_spot = _covariance(astigmatism_x_px=2.0)
    assert np.allclose(round_spot, 4 * np.eye(2))
    line = _covariance(astigmatism_x_px=2.0, defocus_px=2.0)
    assert line[0, 0] == pytest.approx(16) and line[1, 1] == pytest.approx(0)


@pytest.mark.parametrize(
    "changes",
    [
        {"probe_px": 1.5},
        {"defocus_px": 3.0, "astigmatism_x_px": 1.5},
        {"defocus_px": 3.0, "astigmatism_y_px": 1.5},
        {"defocus_px": 20.0},
        {"defocus_px": 30.0, "astigmatism_y_px": 8.0},
    ],
)
def test_a_point_becomes_a_spot_of_the_asked_shape(changes: dict[str, float]) -> None:
    covariance = _covariance(**changes)
    point = np.zeros((480, 480), np.float32)
    point[240, 240] = 1
    spot = blur(point, covariance).astype(float)
    assert spot.sum() == pytest.approx(1, rel=0.02)
    assert np.allclose(_moments(spot), covariance, rtol=0.05, atol=0.03 * np.trace(covariance))


def test_a_sharp_probe_leaves_the_signal_alone() -> None:
    signal = np.random.default_rng(0).random((50, 60)).astype(np.float32)
    assert np.array_equal(blur(signal, _covariance(probe_px=0.03)), signal)


def test_the_decimated_blur_agrees_with_a_direct_one() -> None:
    signal = np.cumsum(np.random.default_rng(1).standard_normal((400, 400)), axis=0).astype(np.float32)
    covariance = _covariance(defocus_px=13.0)
    assert decimation(covariance) > 1
    y = np.arange(-60, 61)
    kernel = np.exp(-(y**2) / (2 * 13.0**2))
    kernel /= kernel.sum()
    direct = np.apply_along_axis(np.convolve, 0, signal, kernel, mode="same")
    direct = np.apply_along_axis(np.convolve, 1, direct, kernel, mode="same")
    inner = (slice(80, 320), slice(80, 320))
    assert np.corrcoef(blur(signal, covariance)[inner].ravel(), direct[inner].ravel())[0, 1] > 0.998


def test_the_reach_covers_the_spot() -> None:
    assert reach_px(_covariance(defocus_px=10.0)) >= 30
