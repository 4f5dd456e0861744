"""Drift within a frame: each row is scanned a little later than the one above, so the rays of a slow frame lean."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from drivers.simulator.region import region_of
from drivers.simulator.view import View
from fibsem_runtime.core import ImageSettings

LEAST_DRIFT_PX: Final = 0.25
"""Drift from the first to the last row below which a frame is drawn as one exposure (numerical)."""


def drifting(start: View, middle: View, settings: ImageSettings) -> View:
    """Return the rays of a frame of a specimen that was seen as ``start`` in its first row, as ``middle`` halfway.

    Rows follow each other at an even pace from the top to the bottom. ``middle`` itself where that moves less than
    `LEAST_DRIFT_PX`, and for integrated frames, each of which would show the specimen elsewhere.
    """
    moved_m = 2 * (middle.origin - start.origin)
    moved_m -= (moved_m @ middle.direction) * middle.direction
    if settings.frame_integration_count > 1 or np.linalg.norm(moved_m) < LEAST_DRIFT_PX * settings.pixel_size_m:
        return middle
    area = region_of(settings)
    middle_row_px = area.full_height_px / 2 - area.top_px - area.height_px / 2
    a_row_m = moved_m / area.height_px
    return replace(middle, origin=middle.origin + middle_row_px * a_row_m, up=middle.up - a_row_m / area.pixel_size_m)
