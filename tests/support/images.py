"""Images and metadata for tests: hypothesis strategies and real files."""

from __future__ import annotations

import math
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fibsem_runtime.core import (
    BeamSettings,
    BeamType,
    DetectorSettings,
    Image,
    ImageMetadata,
    ImagePoint,
    InstrumentInfo,
    RelativeArea,
    StagePosition,
)

ROOT = Path(__file__).resolve().parents[2]


def data_folder(*parts: str) -> Path:
    """Return a folder or file of the real images; skip the test when they are not on this machine."""
    path = Path(os.environ.get("FIBSEM_DATA", ROOT / "../shared/data")).joinpath(*parts)
    if not path.exists():
        pytest.skip(f"the real images are not here: {path}; set FIBSEM_DATA")
    return path


def gray(pixels: np.ndarray, *, pixel_size_m: float | None = None, beam_type: BeamType | None = None) -> Image:
    """Make an 8-bit image of values in 0..1."""
    data = np.clip(np.asarray(pixels, dtype=np.float64) * 255, 0, 255).round().astype(np.uint8)
    return Image(data, ImageMetadata(pixel_size_m=pixel_size_m, beam_type=beam_type))


_finite = st.floats(allow_nan=False, allow_infinity=False, width=64)
_positive = st.floats(min_value=1e-12, max_value=1e6)
_text = st.text(max_size=30)
_fraction = st.floats(min_value=0, max_value=1)


@st.composite
def reduced_areas(draw: st.DrawFn) -> RelativeArea:
    """Return any area inside the frame."""
    left, top = draw(st.floats(0, 0.9)), draw(st.floats(0, 0.9))
    return RelativeArea(
        left_fraction=left,
        top_fraction=top,
        width_fraction=draw(st.floats(0.01, 1 - left)),
        height_fraction=draw(st.floats(0.01, 1 - top)),
    )


stage_positions = st.builds(
    StagePosition, x_m=_finite, y_m=_finite, z_m=_finite, r_rad=st.floats(-math.tau, math.tau), t_rad=_finite
)
beams = st.builds(
    BeamSettings,
    voltage_v=_positive,
    beam_current_a=_positive,
    working_distance_m=_positive,
    hfw_m=_positive,
    shift=st.builds(ImagePoint, _finite, _finite),
    stigmation_x=_finite,
    stigmation_y=_finite,
    scan_rotation_rad=_finite,
)
detectors = st.builds(
    DetectorSettings, name=_text, mode=_text, brightness_fraction=_fraction, contrast_fraction=_fraction
)
times = st.builds(
    lambda seconds: datetime(2020, 1, 1, tzinfo=UTC) + timedelta(microseconds=seconds), st.integers(0, 10**15)
)
metadata = st.builds(
    ImageMetadata,
    beam_type=st.none() | st.sampled_from(BeamType),
    pixel_size_m=st.none() | st.floats(1e-13, 1e-2),
    dwell_time_s=st.none() | _positive,
    acquired_at=st.none() | times,
    beam=st.none() | beams,
    detector=st.none() | detectors,
    stage_position=st.none() | stage_positions,
    reduced_area=st.none() | reduced_areas(),
    instrument=st.none()
    | st.builds(InstrumentInfo, manufacturer=_text, model=_text, serial_number=_text, software_version=_text),
    frame_id=_text,
    extra=st.dictionaries(_text, _text, max_size=3),
)
pixels = st.sampled_from([np.uint8, np.uint16]).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=2, max_dims=2, max_side=24))
)
images = st.builds(Image, pixels, metadata)
