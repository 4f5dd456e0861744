"""The truth of blocks, posts and bars: what counts as one object, and where its key points are."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from drivers.simulator.bodies import Body, BodyKind, Carrier
from drivers.simulator.frame_truth import frame_truth
from drivers.simulator.post_points import post_points
from drivers.simulator.region import region_of
from drivers.simulator.sample import Cut, Sample
from drivers.simulator.scenery import Layer
from drivers.simulator.settings import SimulatorSettings
from drivers.simulator.shuttle import build_bodies
from drivers.simulator.sites import find_sites
from drivers.simulator.things import find_things
from drivers.simulator.view import View
from fibsem_runtime.core import ImageSettings, PixelPoint
from fibsem_runtime.hal.truth import FrameTruth, ObjectClass, SiteKind

UM = 1e-6
SMOOTH = {"roughness_nm": 0, "crystal_count": 0, "sputter_nm": 0, "coating_um": 0, "pitch_um": 1.0}
BLOCK = {**SMOOTH, "map_width_um": 160, "clump_count": 0, "relief_um": 0, "thickness_um": 60}


def bodies_of(kind: str, **scene: Any) -> list[Body]:
    return build_bodies(SimulatorSettings.model_validate({"scene": {"kind": kind, **scene}}).scene, seed=3)


def view(place_m: tuple[float, float, float], tilt_rad: float = 0.0) -> View:
    direction = np.array([0.0, -math.sin(tilt_rad), -math.cos(tilt_rad)])
    right = np.array([1.0, 0.0, 0.0])
    origin = np.array(place_m) - 0.0165 * direction
    return View(origin=origin, right=right, up=np.cross(-direction, right), direction=direction)


def open_trenches(sample: Sample, *, width_um: float, spacing_um: float, depth_um: float = 20) -> None:
    """Remove two trenches of 12 µm as a beam from above would, with steep walls."""
    rays = view((0.0, 0.0, top_of(sample)))
    u = np.arange(-width_um / 2 - 1, width_um / 2 + 1.01, 0.25) * UM
    v = np.arange(-7, 7.01, 0.25) * UM
    dug = (np.abs(v)[:, np.newaxis] <= 6 * UM) & (np.abs(u) <= width_um / 2 * UM)
    for side in (1, -1):
        sample.cuts.append(
            Cut(
                origin=np.array([0.0, side * (spacing_um + 12) / 2 * UM, top_of(sample)]),
                axes=np.array([rays.right, rays.up, rays.direction]),
                u0_m=float(u[0]),
                du_m=0.25 * UM,
                v0_m=float(v[0]),
                dv_m=0.25 * UM,
                front_m=np.where(dug, depth_um * UM, -np.inf).astype(np.float32),
            )
        )


def top_of(sample: Sample) -> float:
    return float(np.median(sample.top_m))


def truth_of(bodies: list[Body], body: Body, rays: View, hfw_um: float) -> FrameTruth:
    settings = ImageSettings(width_px=192, height_px=128, hfw_m=hfw_um * UM)
    is_serial = any(one.kind is BodyKind.RECEIVER for one in bodies)
    things = find_things([body], is_serial=is_serial)
    return frame_truth([Layer(number=body.number, sample=body.sample, view=rays)], region_of(settings), things)


@pytest.fixture(scope="module")
def blocks() -> list[Body]:
    bodies = bodies_of("lift-out", block=BLOCK, landing={**SMOOTH, "rib_width_um": 0, "map_width_um": 500})
    open_trenches(bodies[0].sample, width_um=40, spacing_um=10)
    return bodies


def test_a_block_between_trenches_is_a_lamella_to_lift_out(blocks: list[Body]) -> None:
    truth = truth_of(blocks, blocks[0], view((0.0, 0.0, top_of(blocks[0].sample))), 90)
    (block,) = truth.objects
    assert block.object_class is ObjectClass.LAMELLA
    assert set(block.attached_to) == {"left", "right", "below"}
    pixel_m = 90 * UM / 192
    points = {
        name: ((known.point.x_px - 96) * pixel_m, (64 - known.point.y_px) * pixel_m)
        for name, known in truth.key_points.items()
    }
    assert points["LamellaCentre"] == pytest.approx((0.0, 0.0), abs=0.5 * UM)
    assert points["LamellaLeftEdge"][0] == pytest.approx(-20 * UM, abs=1 * UM)
    assert points["LamellaRightEdge"][0] == pytest.approx(20 * UM, abs=1 * UM)
    assert points["LamellaTopEdge"][1] == pytest.approx(5 * UM, abs=1 * UM)
    assert points["LamellaBottomEdge"][1] == pytest.approx(-5 * UM, abs=1 * UM)


def test_from_the_side_the_block_is_its_upper_face_and_its_front(blocks: list[Body]) -> None:
    tilt_rad = math.radians(52)
    truth = truth_of(blocks, blocks[0], view((0.0, 0.0, top_of(blocks[0].sample)), tilt_rad), 90)
    rows, _ = np.nonzero(truth.classes == ObjectClass.LAMELLA)
    height_um = (np.ptp(rows) + 1) * 90 / 192
    face_um, front_um = 10 * math.cos(tilt_rad), 12 / math.tan(tilt_rad) * math.sin(tilt_rad)
    # The wall of the trench opposite hides the front below where the beam passes its edge.
    assert height_um == pytest.approx(face_um + front_um, rel=0.15)


def test_the_same_block_is_a_volume_block_where_sections_are_made() -> None:
    bodies = bodies_of("serial-lift-out", block=BLOCK, landing={**SMOOTH, "map_width_um": 200})
    open_trenches(bodies[0].sample, width_um=40, spacing_um=20)
    truth = truth_of(bodies, bodies[0], view((0.0, 0.0, top_of(bodies[0].sample))), 90)
    assert [one.object_class for one in truth.objects] == [ObjectClass.VOLUME_BLOCK]
    left, right = (truth.key_points[f"VolumeBlockTop{side}Corner"].point for side in ("Left", "Right"))
    assert (right.x_px - left.x_px) * 90 / 192 == pytest.approx(40, abs=1.5)
    assert left.y_px == pytest.approx(right.y_px, abs=2)


def test_trenches_in_a_waffle_leave_a_lamella() -> None:
    bodies = bodies_of("waffle", **SMOOTH, map_width_um=160, mark_height_nm=0)
    open_trenches(bodies[0].sample, width_um=22, spacing_um=25, depth_um=40)
    truth = truth_of(bodies, bodies[0], view((0.0, 0.0, top_of(bodies[0].sample))), 90)
    assert [one.object_class for one in truth.objects] == [ObjectClass.LAMELLA]


def test_every_post_is_one_object_and_the_plate_is_none(blocks: list[Body]) -> None:
    landing = blocks[1]
    x_m = landing.sample.x0_m + (landing.sample.top_m.shape[1] - 1) / 2 * landing.sample.pitch_m
    y_m = landing.sample.y0_m + (landing.sample.top_m.shape[0] - 1) / 2 * landing.sample.pitch_m
    truth = truth_of(blocks, landing, view((x_m, y_m, 24 * UM)), 480)
    posts = [one for one in truth.objects if one.object_class is ObjectClass.LANDING_POST]
    assert len(posts) == 3
    rows, _ = np.nonzero(truth.classes == ObjectClass.LANDING_POST)
    plate_row = 64 - 120 / (480 / 192)
    assert rows.min() == pytest.approx(plate_row, abs=2)
    middle = truth.key_points["LandingPost"].point
    assert abs(middle.x_px - 96) * 480 / 192 == pytest.approx(65 / 2, abs=4)


def test_the_bars_of_a_mesh_face_the_middle_of_the_image() -> None:
    bodies = bodies_of("serial-lift-out", block=BLOCK, landing={**SMOOTH, "map_width_um": 300})
    mesh = bodies[1]
    x_m = mesh.sample.x0_m + (mesh.sample.top_m.shape[1] - 1) / 2 * mesh.sample.pitch_m
    y_m = mesh.sample.y0_m + (mesh.sample.top_m.shape[0] - 1) / 2 * mesh.sample.pitch_m
    truth = truth_of(bodies, mesh, view((x_m, y_m, 20 * UM)), 90)
    window_px = (62 - 22) / (90 / 192)
    left, right = (truth.key_points[f"LandingGrid{side}Edge"].point for side in ("Left", "Right"))
    assert right.x_px - left.x_px == pytest.approx(window_px, abs=4)
    assert len(truth.objects) == 2


def test_a_body_in_front_hides_the_one_behind(blocks: list[Body]) -> None:
    block, needle = blocks[0], bodies_of("waffle", **SMOOTH, map_width_um=24, mark_height_nm=0)[0]
    needle.sample.has_surroundings = False
    rays = view((0.0, 0.0, top_of(block.sample)))
    lifted = View(origin=rays.origin - [0, 0, 70 * UM], right=rays.right, up=rays.up, direction=rays.direction)
    front = Body(number=7, kind=BodyKind.NEEDLE, sample=needle.sample, carrier=Carrier.MANIPULATOR)
    layers = [
        Layer(number=block.number, sample=block.sample, view=rays),
        Layer(number=7, sample=needle.sample, view=lifted),
    ]
    frame = region_of(ImageSettings(width_px=192, height_px=128, hfw_m=90 * UM))
    things = [thing for thing in find_things([*blocks, front]) if thing.body in (block.number, 7)]
    truth = frame_truth(layers, frame, things)
    assert truth.classes[64, 96] == ObjectClass.MANIPULATOR
    assert {one.object_class for one in truth.objects} == {ObjectClass.MANIPULATOR, ObjectClass.LAMELLA}
    assert not truth.key_points["LamellaCentre"].is_visible
    tip = truth.key_points["NeedleTip"].point
    assert (tip.x_px - 96) * 90 / 192 == pytest.approx(12, abs=1.5)


@pytest.mark.parametrize(("x_px", "expected"), [(50.0, 60.0), (100.0, 80.0)])
def test_a_landing_post_is_met_at_the_edge_that_faces_the_lamella(x_px: float, expected: float) -> None:
    mask = np.zeros((90, 150), np.bool_)
    mask[:, 60:80] = True
    assert post_points(mask, towards=PixelPoint(x_px, 40.0))["LandingPost"] == PixelPoint(expected, 40.5)


def test_posts_outside_the_frame_have_no_points() -> None:
    assert post_points(np.zeros((90, 150), np.bool_), towards=PixelPoint(75.0, 45.0)) == {}
    assert post_points(np.ones((90, 150), np.bool_), towards=PixelPoint(75.0, 45.0)) == {}


def test_a_ragged_plate_leaves_no_posts_of_its_own() -> None:
    landing = {**SMOOTH, "pitch_um": 0.4, "map_width_um": 500}
    posts = bodies_of("lift-out", block=BLOCK, landing=landing)[1]
    assert len(find_things([posts])) == 3


def test_sites_are_places_on_the_block_and_ends_of_posts(blocks: list[Body]) -> None:
    sites = find_sites(blocks)
    assert {site.kind for site in sites} == {SiteKind.BLOCK, SiteKind.POST}
    ends = [site.position for site in sites if site.kind is SiteKind.POST]
    # Posts are 230 µm long from a plate at y = 120 µm; the site lies half their width of 65 µm from the end.
    assert all(end.y_m == pytest.approx((120 - 230 + 32.5) * UM, abs=3 * UM) for end in ends)
    assert len(ends) == 3
