from __future__ import annotations

import math

import numpy as np
import pytest

from fibsem_runtime.core import (
    BeamSettings,
    BeamType,
    Image,
    ImageMetadata,
    ImageSettings,
    MicroscopeState,
    PixelPoint,
    StagePosition,
)
from fibsem_runtime.core.errors import ConfigError, ImageFileError


def test_the_pixel_size_is_field_width_over_image_width() -> None:
    assert ImageSettings(width_px=1536, hfw_m=150e-6).pixel_size_m == pytest.approx(150e-6 / 1536)


@pytest.mark.parametrize(
    "wrong",
    [
        {"width_px": 0},
        {"height_px": -1},
        {"hfw_m": 0.0},
        {"dwell_time_s": -1e-6},
        {"line_integration_count": 0},
        {"frame_integration_count": 0},
        {"scan_interlacing_count": 0},
        {"is_drift_corrected": True},
        {"is_drift_corrected": True, "line_integration_count": 4},
        {"bit_depth": 12},
    ],
)
def test_impossible_image_settings_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=r"got"):
        ImageSettings(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("field", ["hfw_m", "dwell_time_s"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_image_settings_that_are_no_numbers_are_refused(field: str, value: float) -> None:
    with pytest.raises(ConfigError, match=r"got"):
        ImageSettings(**{field: value})  # type: ignore[arg-type]


def test_a_state_keeps_its_beams_apart() -> None:
    electron = BeamSettings(voltage_v=2e3, beam_current_a=50e-12, working_distance_m=0.007, hfw_m=150e-6)
    ion = BeamSettings(voltage_v=30e3, beam_current_a=20e-12, working_distance_m=0.019, hfw_m=80e-6)
    here = StagePosition(x_m=0, y_m=0, z_m=0, r_rad=0, t_rad=0)
    state = MicroscopeState(stage_position=here, electron_beam=electron, ion_beam=ion)
    assert state.beam(BeamType.ELECTRON) is electron
    assert state.beam(BeamType.ION) is ion


@pytest.mark.parametrize(
    "data", [np.zeros((4, 4)), np.zeros((2, 2, 3), np.uint8), np.zeros((0, 4), np.uint8), np.zeros((4, 4), np.int16)]
)
def test_an_image_that_is_not_gray_is_refused(data: np.ndarray) -> None:
    with pytest.raises(ImageFileError, match="gray"):
        Image(data, ImageMetadata())


def test_no_pixel_size_means_no_metres() -> None:
    image = Image(np.zeros((4, 6), np.uint8), ImageMetadata())
    assert image.shape == (4, 6)
    with pytest.raises(ImageFileError, match="--pixel-size-nm"):
        image.to_metres(PixelPoint(1, 1))


def test_an_image_converts_its_pixels_to_metres() -> None:
    image = Image(np.zeros((4, 6), np.uint16), ImageMetadata(pixel_size_m=1e-6))
    point = image.to_metres(PixelPoint(4, 1))
    assert (point.x_m, point.y_m) == pytest.approx((1e-6, 1e-6))
