"""What a simulator knows and a workflow must not: for tests, labelled data sets and the report's score only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any, Final, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from fibsem_runtime.core import ImagePoint, PixelPoint, SpecimenPosition


class ObjectClass(IntEnum):
    """Number the six classes of index masks (detection.md section 1)."""

    BACKGROUND = 0
    LAMELLA = 1
    MANIPULATOR = 2
    LANDING_POST = 3
    COPPER_ADAPTOR = 4
    VOLUME_BLOCK = 5


IMAGE_CENTRE: Final = "ImageCentre"

_EDGES: Final = ("TopEdge", "BottomEdge")

KEY_POINTS: Final[Mapping[ObjectClass, tuple[str, ...]]] = {
    ObjectClass.LAMELLA: (
        *(f"Lamella{place}" for place in ("Centre", "LeftEdge", "RightEdge", *_EDGES)),
        "CoreFeature",
    ),
    ObjectClass.MANIPULATOR: ("NeedleTip", "NeedleTipBottom"),
    ObjectClass.LANDING_POST: (
        "LandingPost",
        *(f"LandingGrid{place}" for place in ("Centre", "LeftEdge", "RightEdge")),
    ),
    ObjectClass.COPPER_ADAPTOR: tuple(f"CopperAdapter{place}" for place in ("Centre", *_EDGES)),
    ObjectClass.VOLUME_BLOCK: tuple(
        f"VolumeBlock{place}"
        for place in (
            *("Centre", *_EDGES),
            *("TopLeftCorner", "TopRightCorner", "BottomLeftCorner", "BottomRightCorner"),
        )
    ),
}
"""The key points of each class (detection.md section 2); `IMAGE_CENTRE` belongs to none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPointTruth:
    """Where a key point is in a frame, possibly beyond its border; not visible there when outside or hidden."""

    point: PixelPoint
    is_visible: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectTruth:
    """One object that a frame shows: its number in the instance map, what it is, how thick and what holds it.

    ``thickness_m`` is that of `LamellaTruth`, None for what is no lamella or not cut through. ``key_points`` holds the
    points of its class that can be said of it; one that has no place, such as an edge on the middle row of something
    that is hollow there, is missing.
    """

    instance: int
    object_class: ObjectClass
    thickness_m: float | None
    attached_to: tuple[str, ...]
    key_points: Mapping[str, KeyPointTruth]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FrameTruth:
    """What every pixel of a frame shows, by the rays that drew it.

    ``classes``: (height, width) uint8, `ObjectClass`; ``instances``: (height, width) uint16, the number of the object,
    0 for background. ``key_points`` are those of the whole frame, each of the object that detection.md chooses: the
    nearest to the image centre, for the manipulator the largest.
    """

    classes: NDArray[np.uint8]
    instances: NDArray[np.uint16]
    objects: tuple[ObjectTruth, ...]
    key_points: Mapping[str, KeyPointTruth]


@dataclass(frozen=True, slots=True, kw_only=True)
class LamellaTruth:
    """What stands at a target: ``None`` where no lamella is left.

    Thickness is along the normal of the lamella, median over its central half; ``offset`` is the lamella's centre from
    the target in the plane across the ion beam; ``attached_to`` names the bodies that hold it.
    """

    thickness_m: float | None
    thickness_min_m: float | None
    thickness_max_m: float | None
    offset: ImagePoint | None
    attached_to: tuple[str, ...]


class SiteKind(StrEnum):
    """Name what makes a place worth working at."""

    CELL = "cell"
    WAFFLE = "waffle"
    BLOCK = "block"
    POST = "post"
    MESH = "mesh"


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A place of the sample: a cell's middle, a place of a slab or a block, the end of a post, a bar of a mesh."""

    kind: SiteKind
    position: SpecimenPosition
    width_m: float


@runtime_checkable
class SceneSource(Protocol):
    """What the plug-in of a simulator offers besides: samples and detectors that differ from seed to seed."""

    def scene_names(self) -> tuple[str, ...]:
        """Return the scenes there are."""

    def vary(self, settings: Any, scene: str, *, seed: int) -> Any:
        """Return settings with the sample of a scene, drawn from ``seed``, seen by a detector that varies as well.

        What disturbs poses is switched off, so that they vary only as the operator wants. Raises `ConfigError` for a
        scene that there is not.
        """


class Truth(Protocol):
    """Answers about the simulated sample."""

    def sites(self) -> tuple[Site, ...]:
        """Return the places of the sample where work makes sense."""

    def specimen_point(self, frame_id: str, point: PixelPoint) -> SpecimenPosition:
        """Return the specimen point that a pixel of an acquired frame shows."""

    def lamella(self, target: SpecimenPosition) -> LamellaTruth:
        """Measure the lamella whose centre should be at ``target``."""

    def frame(self, frame_id: str) -> FrameTruth:
        """Return class, object and key points of everything that an acquired frame shows."""
