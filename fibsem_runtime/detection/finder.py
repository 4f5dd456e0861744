"""From a class map to found features: which body, is it believable, where on it, how sure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from fibsem_runtime.core import PixelPoint
from fibsem_runtime.core.errors import ConfigError
from fibsem_runtime.core.units import UM
from fibsem_runtime.detection.confidence import BodyCues, Cues, log_odds, measure_body, measure_cues
from fibsem_runtime.detection.features import FEATURES, FeatureRow, Floor
from fibsem_runtime.detection.locators import Miss, Spot, Target
from fibsem_runtime.detection.segmentation import Body, BodyGroup, Box, Segmentation, find_bodies

_FRAME_AREA_PX: Final = 1536 * 1024
_LAMELLA: Final = "lamella"

_SPECK_FRACTION: Final = 0.05
"""A region smaller than this part of the largest of its class is a speck and competes with nothing (assumed; a polished
lamella seen edge-on has an eighth of the area of a rough one)."""

_DOUBTFUL_SPECK_FRACTION: Final = 0.25
_DOUBT_SCORE: Final = 1.0
"""A region whose mean share has odds lower by a factor of e than the largest's is one already below this part (assumed;
what was nearer to the image's middle than the lamella in training images, and was none, had a fifth of its area)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One feature on the class map; ``point`` in pixels of the image is None when not found, ``reason`` says why."""

    name: str
    point: PixelPoint | None
    reason: str = ""
    cues: Cues | None = None
    box: Box | None = None
    area_px: float | None = None
    rival_count: int = 0


@dataclass(slots=True, kw_only=True)
class Finder:
    """Find features on one class map; bodies of a class are searched for, and measured, once."""

    segmentation: Segmentation
    classes: Sequence[str]
    pixel_size_m: float | None
    near: PixelPoint
    _groups: dict[str, BodyGroup | str] = field(default_factory=dict)
    _measured: dict[int, BodyCues] = field(default_factory=dict)

    def find(self, row: FeatureRow) -> Finding:
        """Return the feature of one row, or why it is not found."""
        group = self._believable(row)
        if isinstance(group, str):
            return Finding(name=row.name, point=None, reason=group)
        body = group.bodies[0] if row.choice == "largest" else self._nearest(group)
        spot = row.locate(Target(body=body, bodies=group, towards=self._towards(row)))
        if isinstance(spot, Miss):
            reason = f"the {_spoken(row.class_name)} is in the image, but {spot.reason}"
            return Finding(name=row.name, point=None, reason=reason)
        return Finding(
            name=row.name,
            point=self.segmentation.to_image(spot.x_px, spot.y_px),
            cues=measure_cues(body, self._shared_cues(body), group.bodies, spot, self._floor_px(row.floor)),
            box=body.image_box,
            area_px=body.area_px,
            rival_count=len(group.bodies) - 1,
        )

    def _believable(self, row: FeatureRow) -> BodyGroup | str:
        """Return the bodies of a class above its floor, or the reason why there is none."""
        if row.class_name not in self._groups:
            self._groups[row.class_name] = self._search(row)
        return self._groups[row.class_name]

    def _search(self, row: FeatureRow) -> BodyGroup | str:
        bodies = find_bodies(self.segmentation, self.classes.index(row.class_name))
        if not bodies:
            return f"no {_spoken(row.class_name)} in the image"
        largest_px, floor_px = bodies[0].area_px, self._floor_px(row.floor)
        if largest_px < floor_px:
            return (
                f"the largest region of {_spoken(row.class_name)} has {self._area(largest_px)}, "
                f"a real one has at least {self._area(floor_px)}"
            )
        large = [body for body in bodies if body.area_px >= floor_px]
        sure = [body for body in large if body.body_share >= row.floor.share_fraction]
        if not sure:
            return (
                f"the largest region of {_spoken(row.class_name)} has a mean share of {large[0].body_share:.2f}, "
                f"a real one has at least {row.floor.share_fraction:.2f}"
            )
        return BodyGroup(bodies=tuple(body for body in sure if not _is_speck(body, sure[0])))

    def _shared_cues(self, body: Body) -> BodyCues:
        if id(body) not in self._measured:
            self._measured[id(body)] = measure_body(body)
        return self._measured[id(body)]

    def _floor_px(self, floor: Floor) -> float:
        """Return the floor in pixels of the image."""
        maps = self.segmentation
        least_px = floor.least_map_count * maps.pixel_area
        if self.pixel_size_m is None:
            return max(least_px, floor.pixel_count * maps.shape[0] * maps.shape[1] * maps.pixel_area / _FRAME_AREA_PX)
        return max(least_px, floor.area_um2 * UM**2 / self.pixel_size_m**2)

    def _area(self, area_px: float) -> str:
        if self.pixel_size_m is None:
            return f"{area_px:.0f} px"
        return f"{area_px * (self.pixel_size_m / UM) ** 2:.2g} µm²"

    def _nearest(self, group: BodyGroup) -> Body:
        x, y = self.segmentation.to_map(self.near)
        return min(group.bodies, key=lambda body: math.hypot(body.centre_px[0] - x, body.centre_px[1] - y))

    def _towards(self, row: FeatureRow) -> Spot:
        """Return what the feature faces: the lamella's centre where it matters and is there, else ``near``."""
        if row.faces_lamella and _LAMELLA in self.classes:
            lamellae = self._believable(FEATURES["LamellaCentre"])
            if not isinstance(lamellae, str):
                centre = self._nearest(lamellae).centre_px
                return Spot(x_px=centre[0], y_px=centre[1])
        x, y = self.segmentation.to_map(self.near)
        return Spot(x_px=x, y_px=y)


def select_rows(names: Sequence[str], supported: Sequence[str]) -> Mapping[str, FeatureRow]:
    """Return the rows of the asked features in the asked order; raise `ConfigError` for one that cannot be found."""
    unknown = [name for name in names if name not in FEATURES or name not in supported]
    if unknown or not names:
        raise ConfigError(
            f"the model finds no feature {unknown[0] if unknown else '(none asked)'!r}; it finds {', '.join(supported)}"
        )
    return {name: FEATURES[name] for name in names}


def _is_speck(body: Body, largest: Body) -> bool:
    """Return whether a region competes with nothing beside the largest."""
    part = body.pixel_count / largest.pixel_count
    is_doubtful = log_odds(body.body_share) < log_odds(largest.body_share) - _DOUBT_SCORE
    return part < (_DOUBTFUL_SPECK_FRACTION if is_doubtful else _SPECK_FRACTION)


def _spoken(class_name: str) -> str:
    return class_name.replace("_", " ")
