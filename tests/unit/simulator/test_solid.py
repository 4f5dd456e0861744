"""The packed height field is computed once for maps that cannot change, and bounds what it packs."""

from __future__ import annotations

import gc
import math
from dataclasses import replace

import numpy as np
import pytest
from specimens import electron_view, ion_view, make_specimen

from drivers.simulator import solid
from drivers.simulator.aim import rays_through
from drivers.simulator.optics import first_hit
from drivers.simulator.region import region_of
from drivers.simulator.render import locate, prepare
from drivers.simulator.sample import Cut, Sample
from drivers.simulator.solid import pack_cuts, pack_solid
from drivers.simulator.surface import NOTHING
from drivers.simulator.view import View
from fibsem_runtime.core import ImagePoint, ImageSettings

FRAME = ImageSettings(width_px=96, height_px=64, hfw_m=12e-6)


@pytest.fixture
def sample() -> Sample:
    return make_specimen()


def test_a_map_is_packed_once(sample: Sample) -> None:
    assert pack_solid(sample) is pack_solid(sample)
    assert pack_solid(sample) is pack_solid(replace(sample, cuts=[]))


@pytest.mark.parametrize("name", ["top_m", "bottom_m", "coating_m", "material"])
def test_a_new_map_is_packed_anew(sample: Sample, name: str) -> None:
    before = pack_solid(sample)
    changed = replace(sample, **{name: getattr(sample, name).copy()})
    assert pack_solid(changed) is not before


def test_a_raised_surface_is_seen_at_once(sample: Sample) -> None:
    view = electron_view(centre=(0.0, 0.0, 4.9e-6))
    before = first_hit(sample, view, ImagePoint(0, 0))
    sample.top_m = sample.top_m + np.float32(1e-6)
    after = first_hit(sample, view, ImagePoint(0, 0))
    assert before is not None and after is not None
    assert after.z_m - before.z_m == pytest.approx(1e-6, rel=1e-4)


def test_a_map_that_can_be_written_is_packed_every_time(sample: Sample) -> None:
    sample.top_m = sample.top_m.copy()
    view = electron_view(centre=(0.0, 0.0, 4.9e-6))
    before = first_hit(sample, view, ImagePoint(0, 0))
    sample.top_m += np.float32(1e-6)
    after = first_hit(sample, view, ImagePoint(0, 0))
    assert before is not None and after is not None
    assert after.z_m - before.z_m == pytest.approx(1e-6, rel=1e-4)


def test_nothing_is_kept_of_a_sample_that_is_gone() -> None:
    gc.collect()
    count = len(solid._kept)
    sample = make_specimen()
    pack_solid(sample)
    assert len(solid._kept) == count + 1
    del sample
    gc.collect()
    assert len(solid._kept) == count


def test_the_bounds_of_a_part_are_those_of_its_maps(sample: Sample) -> None:
    packed = pack_solid(sample)
    assert packed.z_range_m() == pytest.approx((float(sample.bottom_m.min()), float(sample.top_m.max())))
    part = (slice(32, 65), slice(48, 97))
    assert packed.z_range_m((2, 3, 3, 5)) == pytest.approx(
        (float(sample.bottom_m[part].min()), float(sample.top_m[part].max()))
    )


@pytest.mark.parametrize("shape", [(2, 2), (9, 10), (10, 9), (34, 33), (65, 70)])
def test_the_bounds_of_a_cut_are_the_lowest_fronts_of_its_blocks(shape: tuple[int, int]) -> None:
    front_m = np.random.default_rng(1).normal(0, 1e-6, shape).astype(np.float32)
    front_m[0, 0] = -np.inf
    cut = Cut(origin=np.zeros(3), axes=np.eye(3), u0_m=0.0, du_m=1e-8, v0_m=0.0, dv_m=1e-8, front_m=front_m)
    packed = pack_cuts([cut, cut], [1e-12, 2e-12])
    expected = np.maximum(front_m, solid.UNTOUCHED_M)
    for size in packed.size:
        for start, across, side in ((size[3], size[4], 8), (size[5], size[6], 32)):
            rows = -(-(shape[0] - 1) // side)
            found = packed.fronts[start : start + rows * across].reshape(rows, across)
            for (row, column), low in np.ndenumerate(found):
                corner = row * side, column * side
                block = expected[corner[0] : corner[0] + side + 1, corner[1] : corner[1] + side + 1]
                assert low == block.min()
    assert packed.frame[:, 16].tolist() == [float(expected.max())] * 2


@pytest.mark.parametrize("view", [
    electron_view(centre=(5e-6, 0, 0)), electron_view(0.6, centre=(5e-6, 0, 0)),
    ion_view(0.15, centre=(5e-6, 0, 0)), ion_view(0.9, centre=(5e-6, 0, 0), scan_rad=0.7),
])  # fmt: skip
def test_rays_begin_before_whatever_they_meet(sample: Sample, view: View) -> None:
    scene = prepare(sample, view, region_of(FRAME))
    places, kinds = locate(scene)
    starts = np.repeat(np.repeat(scene.starts_m, 8, axis=0), 8, axis=1)
    along_m = (places - view.origin) @ view.direction
    hit = kinds != NOTHING
    assert hit.mean() > 0.5
    slack_m = (along_m - starts)[hit]
    assert slack_m.min() > 0
    assert np.median(slack_m) * -view.direction[2] < 1.2e-6  # from the highest point it is up to 6 um


def test_rays_through_a_frame_start_at_its_corner() -> None:
    view = electron_view()
    rays = rays_through(view, pixel_m=2e-9, width_px=10, height_px=20)
    middle = rays[0] + 5 * rays[1] + 10 * rays[2]
    assert np.allclose(middle, view.origin, atol=1e-18)
    assert math.isclose(float(np.linalg.norm(rays[1])), 2e-9)
