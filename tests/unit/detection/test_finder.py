"""Class maps with known geometry: what is found, where, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
from class_maps import ADAPTOR, BLOCK, CLASSES, LAMELLA, MANIPULATOR, POST, box, empty, needle, polygon, segmentation
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fibsem_runtime.core import PixelPoint
from fibsem_runtime.core.errors import ConfigError
from fibsem_runtime.detection import FEATURES, Segmentation
from fibsem_runtime.detection.finder import Finder, Finding, select_rows

EDGES = {"LamellaLeftEdge", "LamellaRightEdge", "LamellaTopEdge", "LamellaBottomEdge"}


def find(
    classes: NDArray[np.uint8] | Segmentation,
    name: str,
    *,
    near: PixelPoint | None = None,
    pixel_size_m: float | None = None,
) -> Finding:
    maps = classes if isinstance(classes, Segmentation) else segmentation(classes)
    height_px, width_px = maps.shape
    centre = PixelPoint(width_px * maps.x_scale_ratio / 2, height_px * maps.y_scale_ratio / 2)
    finder = Finder(segmentation=maps, classes=CLASSES, pixel_size_m=pixel_size_m, near=near or centre)
    return finder.find(FEATURES[name])


def point(finding: Finding) -> tuple[float, float]:
    assert finding.point is not None, finding.reason
    return finding.point.x_px, finding.point.y_px


@given(
    left=st.integers(5, 300),
    top=st.integers(5, 200),
    width=st.integers(20, 300),
    height=st.integers(10, 200),
)
@settings(max_examples=40, deadline=None)
def test_a_rectangle_gives_its_exact_centre_and_edges(left: int, top: int, width: int, height: int) -> None:
    classes = box(empty(), LAMELLA, left, top, left + width, top + height)
    middle = (left + width / 2, top + height / 2)
    assert point(find(classes, "LamellaCentre")) == pytest.approx(middle)
    assert point(find(classes, "LamellaLeftEdge")) == pytest.approx((left, middle[1]), abs=0.01)
    assert point(find(classes, "LamellaRightEdge")) == pytest.approx((left + width, middle[1]), abs=0.01)
    assert point(find(classes, "LamellaTopEdge")) == pytest.approx((middle[0], top), abs=0.01)
    assert point(find(classes, "LamellaBottomEdge")) == pytest.approx((middle[0], top + height), abs=0.01)


@given(scale=st.floats(0.5, 8), shift=st.integers(-100, 100))
@settings(max_examples=25, deadline=None)
def test_points_are_in_pixels_of_the_image_whatever_the_scale_of_the_map(scale: float, shift: int) -> None:
    classes = box(empty(), LAMELLA, 300 + shift, 200, 400 + shift, 260)
    found = find(segmentation(classes, scale=scale), "LamellaRightEdge")
    assert point(found) == pytest.approx(((400 + shift) * scale, 230 * scale))
    assert found.area_px == pytest.approx(6000 * scale**2)
    assert found.box is not None and found.box.right_px == pytest.approx((400 + shift) * scale)


@pytest.mark.parametrize("edge_share", [0.6, 0.75, 0.9])
def test_an_edge_is_placed_between_pixels_by_their_shares(edge_share: float) -> None:
    classes = box(empty(), LAMELLA, 300, 200, 400, 260)
    confidence = np.full(classes.shape, 255, np.uint8)
    confidence[:, 399] = round(edge_share * 255)
    maps = Segmentation(classes=classes, confidence=confidence)
    x, _ = point(find(maps, "LamellaRightEdge"))
    # The share falls from `edge_share` at 399.5 to 0 at 400.5 and passes one half on the way.
    assert x == pytest.approx(399.5 + (edge_share - 0.5) / edge_share, abs=0.01)


def test_a_diagonal_lamella_is_measured_itself_and_not_its_bounding_box() -> None:
    classes = polygon(empty(), LAMELLA, [(100, 100), (600, 400), (600, 409), (100, 109)])
    found = find(classes, "LamellaCentre")
    box_area = 500 * 309
    assert found.area_px is not None and found.area_px < box_area / 20
    _, top = point(find(classes, "LamellaTopEdge"))
    assert abs(top - 250) < 3, "the box would put the upper edge at 100"


@pytest.mark.parametrize("name", sorted(FEATURES))
def test_nothing_in_the_image_is_never_a_point(name: str) -> None:
    found = find(empty(), name)
    assert found.point is None and found.cues is None
    assert FEATURES[name].class_name.replace("_", " ") in found.reason


@pytest.mark.parametrize(("pixel_size_m", "found"), [(10e-9, False), (50e-9, False), (120e-9, True), (None, True)])
def test_the_floor_is_an_area_when_the_pixel_size_is_known(pixel_size_m: float | None, found: bool) -> None:
    classes = box(empty(), LAMELLA, 300, 200, 320, 210)
    finding = find(classes, "LamellaCentre", pixel_size_m=pixel_size_m)
    assert (finding.point is not None) == found
    assert found or "µm²" in finding.reason


def test_a_speck_below_the_pixel_floor_is_named_with_its_size() -> None:
    finding = find(box(empty(), LAMELLA, 300, 200, 305, 204), "LamellaCentre")
    assert finding.point is None and "20 px" in finding.reason


@pytest.mark.parametrize(
    ("corners", "cut"),
    [
        ((0, 200, 100, 260), "LamellaLeftEdge"),
        ((700, 200, 768, 260), "LamellaRightEdge"),
        ((300, 0, 400, 60), "LamellaTopEdge"),
        ((300, 460, 400, 512), "LamellaBottomEdge"),
    ],
)
def test_an_edge_outside_the_image_is_not_found_but_the_others_are(corners: tuple[int, ...], cut: str) -> None:
    left, top, right, bottom = corners
    classes = box(empty(), LAMELLA, left, top, right, bottom)
    finding = find(classes, cut)
    assert finding.point is None and "outside the image" in finding.reason
    assert all(find(classes, edge).point for edge in EDGES - {cut})
    centre = find(classes, "LamellaCentre")
    assert centre.cues is not None and centre.cues.whole_score == 0


def test_of_several_lamellae_the_one_nearest_to_the_given_point_is_meant() -> None:
    classes = box(box(empty(), LAMELLA, 100, 200, 200, 240), LAMELLA, 400, 230, 500, 270)
    assert point(find(classes, "LamellaCentre"))[0] == pytest.approx(450)
    left = find(classes, "LamellaCentre", near=PixelPoint(0, 0))
    assert point(left)[0] == pytest.approx(150)
    assert left.rival_count == 1 and left.cues is not None and left.cues.alone_score < 0.1


def test_specks_do_not_take_the_place_of_the_lamella() -> None:
    classes = box(empty(), LAMELLA, 100, 200, 200, 240)
    classes = box(classes, LAMELLA, 383, 255, 386, 258)
    assert point(find(classes, "LamellaCentre"))[0] == pytest.approx(150)


def test_a_speck_of_some_size_does_not_take_the_place_of_a_much_larger_lamella() -> None:
    classes = box(box(empty(), LAMELLA, 40, 150, 240, 250), LAMELLA, 374, 246, 394, 266)
    assert point(find(classes, "LamellaCentre"))[0] == pytest.approx(140)
    similar = box(box(empty(), LAMELLA, 40, 150, 240, 250), LAMELLA, 364, 236, 404, 276)
    assert point(find(similar, "LamellaCentre"))[0] == pytest.approx(384)


def test_a_hole_in_the_post_is_no_edge_to_land_on() -> None:
    classes = box(box(empty(), POST, 300, 0, 768, 512), 0, 380, 200, 420, 300)
    assert point(find(classes, "LandingPost")) == pytest.approx((300, 256), abs=0.01)


def test_a_blunt_needle_ends_in_the_middle_of_its_face() -> None:
    x, y = point(find(needle(empty(), 400, 256, face_px=40), "NeedleTip"))
    assert x == pytest.approx(401, abs=1.5) and y == pytest.approx(256.5, abs=1.5)


def test_a_leaning_face_is_averaged_and_not_its_foremost_pixel() -> None:
    classes = polygon(empty(), MANIPULATOR, [(0, 180), (396, 240), (402, 290), (0, 340)])
    _, y = point(find(classes, "NeedleTip"))
    assert y == pytest.approx(265, abs=4)


def test_a_sharp_needle_ends_in_its_point() -> None:
    classes = polygon(empty(), MANIPULATOR, [(0, 150), (500, 300), (0, 230)])
    x, y = point(find(classes, "NeedleTip"))
    assert x == pytest.approx(500, abs=4) and y == pytest.approx(300, abs=4)


def test_a_needle_that_leaves_the_image_has_no_tip() -> None:
    classes = box(empty(), MANIPULATOR, 0, 200, 768, 260)
    finding = find(classes, "NeedleTip")
    assert finding.point is None and "leaves the image on the right" in finding.reason


def test_the_lower_tip_is_the_lowest_face() -> None:
    classes = polygon(empty(), MANIPULATOR, [(200, 0), (300, 0), (262, 300), (250, 300)])
    x, y = point(find(classes, "NeedleTipBottom"))
    assert x == pytest.approx(256.5, abs=1.5) and y == pytest.approx(301, abs=1.5)


def test_of_two_manipulator_regions_the_largest_is_meant() -> None:
    classes = box(needle(empty(), 300, 256), MANIPULATOR, 600, 100, 640, 140)
    assert point(find(classes, "NeedleTip"))[0] == pytest.approx(301, abs=1.5)


def test_the_post_is_found_at_the_edge_that_faces_the_lamella() -> None:
    classes = box(box(empty(), POST, 500, 0, 768, 512), LAMELLA, 300, 300, 400, 340)
    assert point(find(classes, "LandingPost")) == pytest.approx((500, 320), abs=0.01)
    mirrored = np.ascontiguousarray(classes[:, ::-1])
    assert point(find(mirrored, "LandingPost")) == pytest.approx((268, 320), abs=0.01)


def test_without_a_lamella_the_post_is_found_at_the_row_of_the_given_point() -> None:
    classes = box(empty(), POST, 500, 0, 768, 512)
    assert point(find(classes, "LandingPost")) == pytest.approx((500, 256), abs=0.01)
    assert point(find(classes, "LandingPost", near=PixelPoint(300, 100))) == pytest.approx((500, 100), abs=0.01)


def test_a_post_beside_the_row_is_found_at_its_nearest_edge() -> None:
    classes = box(empty(), POST, 500, 300, 768, 512)
    assert point(find(classes, "LandingPost")) == pytest.approx((500.5, 300.5), abs=0.01)


def test_a_post_that_fills_the_image_has_no_edge() -> None:
    finding = find(box(empty(), POST, 0, 0, 768, 512), "LandingPost")
    assert finding.point is None and "none of its edges" in finding.reason


def test_the_landing_grid_is_found_between_its_bars() -> None:
    classes = box(box(empty(), POST, 0, 0, 200, 512), POST, 600, 0, 768, 512)
    assert point(find(classes, "LandingGridLeftEdge"))[0] == pytest.approx(200)
    assert point(find(classes, "LandingGridRightEdge"))[0] == pytest.approx(600)
    one_bar = box(empty(), POST, 0, 0, 200, 512)
    assert "right half" in find(one_bar, "LandingGridRightEdge").reason


def test_corners_belong_to_the_block_and_not_to_its_box() -> None:
    tilt_rad = math.radians(10)
    cosine, sine = math.cos(tilt_rad), math.sin(tilt_rad)
    true = {
        "TopLeft": (-100, -50),
        "TopRight": (100, -50),
        "BottomRight": (100, 50),
        "BottomLeft": (-100, 50),
    }
    turned = {k: (384 + x * cosine - y * sine, 256 + x * sine + y * cosine) for k, (x, y) in true.items()}
    classes = polygon(empty(), BLOCK, list(turned.values()))
    for corner, expected in turned.items():
        assert point(find(classes, f"VolumeBlock{corner}Corner")) == pytest.approx(expected, abs=3)


def test_edges_of_adaptor_and_block_keep_their_names() -> None:
    classes = box(box(empty(), ADAPTOR, 300, 50, 450, 150), BLOCK, 300, 160, 450, 300)
    tops = [point(find(classes, f"{part}TopEdge"))[1] for part in ("CopperAdapter", "VolumeBlock")]
    bottoms = [point(find(classes, f"{part}BottomEdge"))[1] for part in ("CopperAdapter", "VolumeBlock")]
    assert tops == pytest.approx([50, 160]) and bottoms == pytest.approx([150, 300])


@pytest.mark.parametrize(("name", "share", "is_found"), [("LamellaCentre", 0.6, True), ("LamellaCentre", 0.549, False)])
def test_a_region_that_the_network_is_unsure_of_is_not_found(name: str, share: float, is_found: bool) -> None:
    finding = find_sharing({(300, 200, 450, 260): share}, name)
    assert (finding.point is not None) == is_found
    assert is_found or "mean share of 0.55" in finding.reason


@pytest.mark.parametrize(("share", "x"), [(0.95, 385), (0.7, 200)])
def test_a_small_doubtful_region_near_the_middle_does_not_stand_before_a_large_sure_one(share: float, x: int) -> None:
    finding = find_sharing({(100, 200, 300, 300): 0.95, (370, 240, 400, 290): share}, "LamellaCentre")
    assert finding.point is not None and finding.point.x_px == pytest.approx(x, abs=1)


def find_sharing(shares: dict[tuple[int, int, int, int], float], name: str) -> Finding:
    classes, confidence = empty(), np.full((512, 768), 250, np.uint8)
    for (left, top, right, bottom), share in shares.items():
        box(classes, LAMELLA, left, top, right, bottom)
        confidence[top:bottom, left:right] = round(255 * share)
    maps = Segmentation(classes=classes, confidence=confidence)
    return Finder(segmentation=maps, classes=CLASSES, pixel_size_m=None, near=PixelPoint(384, 256)).find(FEATURES[name])


def test_a_feature_that_the_model_does_not_know_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"LamellaMiddle.*LamellaCentre"):
        select_rows(["LamellaCentre", "LamellaMiddle"], ["LamellaCentre"])
    with pytest.raises(ConfigError, match="none asked"):
        select_rows([], ["LamellaCentre"])


def test_finding_changes_nothing_in_the_map() -> None:
    classes = box(needle(empty(), 300, 256), POST, 500, 0, 768, 512)
    before = classes.copy()
    for name in FEATURES:
        find(classes, name)
    assert np.array_equal(classes, before)
