"""Copper to land on: a half-moon with posts and a receiver mesh."""

from __future__ import annotations

import numpy as np

from drivers.simulator.ground import add_crystals, axis_of, coated, rough
from drivers.simulator.noise_field import FloatMap, smooth_noise
from drivers.simulator.sample import Material, Sample
from drivers.simulator.scene_kinds import CoatedSurface, PostSettings, ReceiverSettings
from fibsem_runtime.core.units import UM

PLATE_EDGE_UM = 120.0
"""Where the plate of the half-moon begins in y; the middle of the posts is near the origin (ours)."""

HOLE_ROWS_UM = (70.0, 150.0)
HOLE_PITCH_UM = 105.0
"""Rows of holes in the plate, from its edge, and their distance in a row, read off ``data/autoliftout`` (assumed)."""

OUTLINE_NOISE_UM = 0.4
OUTLINE_GRAIN_UM = 3.0
"""Ragged edges of etched copper, sigma and grain (assumed)."""

RIB_SHIFT_FRACTION = 0.05
"""How far the rib lies off the middle of its post, of the post's width (assumed)."""


def build_posts(settings: PostSettings, rng: np.random.Generator) -> Sample:
    """Build a half-moon: the plate towards +y, its posts towards -y, a post in the middle of the map."""
    axis_m = axis_of(settings)
    outline_um = _ragged(settings, axis_m, rng)
    x_um, y_um = axis_m[np.newaxis, :] / np.float32(UM), axis_m[:, np.newaxis] / np.float32(UM)
    pitch_um = np.float32(settings.post_pitch_um)
    from_post_um = np.abs((x_um + pitch_um / 2) % pitch_um - pitch_um / 2)
    shift_um = np.float32(RIB_SHIFT_FRACTION * settings.post_width_um)
    from_rib_um = np.abs((x_um - shift_um + pitch_um / 2) % pitch_um - pitch_um / 2)
    length_um = settings.post_length_um
    post = _finger_um(from_post_um, y_um, settings.post_width_um / 2, PLATE_EDGE_UM - length_um) + outline_um
    rib_end_um = PLATE_EDGE_UM - length_um + settings.post_width_um * 0.3
    rib = _finger_um(from_rib_um, y_um, settings.rib_width_um / 2, rib_end_um) + outline_um
    plate = y_um - PLATE_EDGE_UM + outline_um
    stands = np.maximum(post, np.where(_hole_um(settings, x_um, y_um) > 0, -1, plate)) > 0
    raised = (rib > 0) | (plate > settings.rib_height_um)
    height_um = settings.thickness_um + np.where(raised, np.float32(settings.rib_height_um), 0)
    return _copper(settings, axis_m, np.where(stands, height_um, 0).astype(np.float32), rng)


def _finger_um(across_um: FloatMap, y_um: FloatMap, half_um: float, end_um: float) -> FloatMap:
    """Return how far inside a finger with a round end at ``end_um`` a place lies."""
    beyond_um = np.maximum(np.float32(end_um + half_um) - y_um, 0)
    inside = np.float32(half_um) - np.hypot(across_um, beyond_um)
    return np.asarray(np.where(y_um > PLATE_EDGE_UM + half_um, -1, inside), np.float32)


def _hole_um(settings: PostSettings, x_um: FloatMap, y_um: FloatMap) -> FloatMap:
    """Return how far inside a hole of the plate a place lies."""
    pitch = np.float32(HOLE_PITCH_UM)
    from_hole = np.abs((x_um + pitch / 4) % pitch - pitch / 2)
    rows = [np.abs(y_um - np.float32(PLATE_EDGE_UM + row_um)) for row_um in HOLE_ROWS_UM]
    return np.asarray(settings.hole_diameter_um / 2 - np.hypot(from_hole, np.minimum(*rows)), np.float32)


def build_receiver(settings: ReceiverSettings, rng: np.random.Generator) -> Sample:
    """Build a mesh of rectangular windows, one of them around the origin."""
    axis_m = axis_of(settings)
    outline_um = _ragged(settings, axis_m, rng)
    along_um = axis_m / np.float32(UM)
    to_bar = [
        pitch_um / 2 - np.abs((along_um + np.float32(pitch_um / 2)) % np.float32(pitch_um) - np.float32(pitch_um / 2))
        for pitch_um in (settings.pitch_x_um, settings.pitch_y_um)
    ]
    nearest_um = np.minimum(to_bar[0][np.newaxis, :], to_bar[1][:, np.newaxis])
    stands = settings.bar_width_um / 2 - nearest_um + outline_um > 0
    return _copper(settings, axis_m, np.where(stands, np.float32(settings.thickness_um), 0), rng)


def _ragged(settings: CoatedSurface, axis_m: FloatMap, rng: np.random.Generator) -> FloatMap:
    shape = (len(axis_m), len(axis_m))
    return np.float32(OUTLINE_NOISE_UM) * smooth_noise(shape, OUTLINE_GRAIN_UM / settings.pitch_um, rng)


def _copper(settings: CoatedSurface, axis_m: FloatMap, height_um: FloatMap, rng: np.random.Generator) -> Sample:
    surface_m = (height_um * np.float32(UM)).astype(np.float32)
    stands = surface_m > 0
    surface_m += rough(settings, axis_m, rng)
    add_crystals(surface_m, settings, axis_m, rng)
    bottom_m = np.zeros_like(surface_m)
    # Copper also where nothing stands: the wall between a sample that stands and one that does not is copper.
    material = np.full_like(surface_m, Material.COPPER, np.uint8)
    sample = coated(settings, axis_m, np.where(stands, surface_m, 0).astype(np.float32), bottom_m, material, rng)
    sample.has_surroundings = False
    return sample
