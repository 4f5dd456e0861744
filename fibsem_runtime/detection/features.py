"""The features that can be found: one row each, and how a row becomes a point (detection.md section 2).

``AdaptiveLamellaCentre`` of the predecessor is left out: it belongs to another model with other classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal, TypeAlias

from fibsem_runtime.detection.locators import (
    Miss,
    Spot,
    Target,
    centre_of,
    corner_of,
    edge_of,
    facing_edge,
    inner_edge,
    tip_of,
)
from fibsem_runtime.detection.segmentation import Body

Locator: TypeAlias = Callable[[Target], Spot | Miss]
Choice: TypeAlias = Literal["nearest", "largest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """Smallest believable body.

    ``area_um2`` counts where the pixel size is known; ``pixel_count`` counts otherwise, for a frame of 1536 x 1024 and
    in proportion to other frames. ``least_map_count`` map pixels are needed in any case to measure anything.
    ``share_fraction`` is the least mean share of the class inside the body.
    """

    area_um2: float
    pixel_count: float
    share_fraction: float
    least_map_count: int = 12


LAMELLA_FLOOR: Final = Floor(area_um2=1.0, pixel_count=250, share_fraction=0.57)
MANIPULATOR_FLOOR: Final = Floor(area_um2=10.0, pixel_count=5000, share_fraction=0.75)
BLOCK_FLOOR: Final = Floor(area_um2=20.0, pixel_count=500, share_fraction=0.57)
POST_FLOOR: Final = Floor(area_um2=100.0, pixel_count=10000, share_fraction=0.75)
"""Areas are assumed: a polished lamella seen edge-on covers 8 x 0.2 um2, a needle's end some 10 um2, a post far more.
Pixel counts: the predecessor's 250 for a lamella (detection.md section 2); a quarter and an eighth of the smallest
manipulator and post in the autoliftout training images, 22,000 and 85,000 px (the smallest lamella there has 836).
Shares: in training and left-out images real lamellae have 0.58 and more, half of the false ones less than 0.57; real
manipulators and the largest posts have 0.89 and more, false ones 0.5 to 0.7, once 0.79. That of blocks is assumed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureRow:
    """One feature: the class it belongs to, which of its bodies is meant, and where on it the feature lies.

    ``faces_lamella``: the place meant is the one that faces the lamella, when the image shows one.
    """

    name: str
    class_name: str
    floor: Floor
    locate: Locator
    choice: Choice = "nearest"
    faces_lamella: bool = False


def _on_body(function: Callable[[Body], Spot | Miss]) -> Locator:
    return lambda target: function(target.body)


_PLACES: Final[Mapping[str, Locator]] = {
    "Centre": _on_body(centre_of),
    "LeftEdge": _on_body(partial(edge_of, side="left")),
    "RightEdge": _on_body(partial(edge_of, side="right")),
    "TopEdge": _on_body(partial(edge_of, side="top")),
    "BottomEdge": _on_body(partial(edge_of, side="bottom")),
    "TopLeftCorner": _on_body(partial(corner_of, corner="top left")),
    "TopRightCorner": _on_body(partial(corner_of, corner="top right")),
    "BottomLeftCorner": _on_body(partial(corner_of, corner="bottom left")),
    "BottomRightCorner": _on_body(partial(corner_of, corner="bottom right")),
}


def _rows(prefix: str, class_name: str, floor: Floor, *places: str) -> list[FeatureRow]:
    make = partial(FeatureRow, class_name=class_name, floor=floor)
    return [make(name=prefix + place, locate=_PLACES[place]) for place in places]


_tip = partial(FeatureRow, class_name="manipulator", floor=MANIPULATOR_FLOOR, choice="largest")
_post = partial(FeatureRow, class_name="landing_post", floor=POST_FLOOR)

FEATURES: Final[Mapping[str, FeatureRow]] = {
    row.name: row
    for row in (
        _tip(name="NeedleTip", locate=_on_body(partial(tip_of, side="right"))),
        _tip(name="NeedleTipBottom", locate=_on_body(partial(tip_of, side="bottom"))),
        *_rows("Lamella", "lamella", LAMELLA_FLOOR, "Centre", "LeftEdge", "RightEdge", "TopEdge", "BottomEdge"),
        FeatureRow(name="CoreFeature", class_name="lamella", floor=LAMELLA_FLOOR, locate=_on_body(centre_of)),
        _post(name="LandingPost", locate=facing_edge, faces_lamella=True),
        _post(name="LandingGridCentre", locate=_on_body(centre_of)),
        _post(name="LandingGridLeftEdge", locate=partial(inner_edge, side="left")),
        _post(name="LandingGridRightEdge", locate=partial(inner_edge, side="right")),
        *_rows("CopperAdapter", "copper_adaptor", BLOCK_FLOOR, "Centre", "TopEdge", "BottomEdge"),
        *_rows("VolumeBlock", "volume_block", BLOCK_FLOOR, "Centre", "TopEdge", "BottomEdge"),
        *_rows("VolumeBlock", "volume_block", BLOCK_FLOOR, "TopLeftCorner", "TopRightCorner"),
        *_rows("VolumeBlock", "volume_block", BLOCK_FLOOR, "BottomLeftCorner", "BottomRightCorner"),
    )
}
"""Every feature by name; ``ImageCentre`` of the predecessor needs no network and is not one of them."""
