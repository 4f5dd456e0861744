"""The truth of one frame: which object every pixel shows, and where the objects' key points are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from drivers.simulator.post_points import post_points
from drivers.simulator.region import Region
from drivers.simulator.scenery import Layer, look_through
from drivers.simulator.silhouette import PLACES, look_at
from drivers.simulator.things import Thing
from fibsem_runtime.core import PixelPoint
from fibsem_runtime.hal.truth import IMAGE_CENTRE, FrameTruth, KeyPointTruth, ObjectClass, ObjectTruth

Instances = NDArray[np.uint16]

_NEAR_PX: Final = 2
"""A key point is seen when the object shows within so many pixels of it: edges lie between two pixels."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Shown:
    """One object with its number and its part in the frame."""

    thing: Thing
    instance: int
    pixel_count: int
    key_points: Mapping[str, KeyPointTruth]


def frame_truth(layers: Sequence[Layer], frame: Region, things: Sequence[Thing]) -> FrameTruth:
    """Return the truth of the pixels of ``frame``, whose ``left_px`` and ``top_px`` are those of its reduced area.

    A pixel belongs to the object that its centre shows; objects are numbered from 1 in the order of ``things``, also
    those that the frame does not show, so that an object keeps its number in all frames of one state of the sample.
    """
    seen = look_through(layers, frame)
    classes = np.zeros(seen.numbers.shape, np.uint8)
    instances: Instances = np.zeros(seen.numbers.shape, np.uint16)
    for number, thing in enumerate(things, start=1):
        window = _window(thing, layers, frame)
        part = seen.part(*window)
        belongs = (part.numbers == thing.body) & thing.holds(part.places)
        classes[window][belongs], instances[window][belongs] = thing.object_class, number
    counts = np.bincount(instances.ravel(), minlength=len(things) + 1)
    shown = [
        Shown(
            thing=thing,
            instance=number,
            pixel_count=int(counts[number]),
            key_points=_key_points(thing, layers, frame, instances == number),
        )
        for number, thing in enumerate(things, start=1)
        if counts[number]
    ]
    return FrameTruth(
        classes=classes,
        instances=instances,
        objects=tuple(_object_truth(one) for one in shown),
        key_points=_of_the_frame(shown, frame) | _of_the_posts(shown, classes),
    )


def _window(thing: Thing, layers: Sequence[Layer], frame: Region) -> tuple[slice, slice]:
    """Return the rows and columns of a frame that an object can be in."""
    view = next(layer.view for layer in layers if layer.number == thing.body)
    x_m, y_m = view.across(thing.corners() - view.origin)
    x = x_m / frame.pixel_size_m + frame.full_width_px / 2 - frame.left_px
    y = frame.full_height_px / 2 - frame.top_px - y_m / frame.pixel_size_m
    rows, columns = (slice(max(0, int(v.min()) - 1), max(0, int(v.max()) + 2)) for v in (y, x))
    return rows, columns


def _object_truth(one: Shown) -> ObjectTruth:
    return ObjectTruth(
        instance=one.instance,
        object_class=one.thing.object_class,
        thickness_m=one.thing.thickness_m,
        attached_to=one.thing.attached_to,
        key_points=one.key_points,
    )


def _key_points(
    thing: Thing, layers: Sequence[Layer], frame: Region, seen: NDArray[np.bool_]
) -> dict[str, KeyPointTruth]:
    silhouette = look_at(thing, layers, frame)
    if silhouette is None:
        return {}
    found = {name: place(silhouette) for name, place in PLACES.get(thing.object_class, {}).items()}
    return {
        name: KeyPointTruth(point=point, is_visible=_is_visible(point, seen))
        for name, point in found.items()
        if point is not None
    }


def _is_visible(point: PixelPoint, seen: NDArray[np.bool_]) -> bool:
    """Tell whether a point lies in the frame, ``seen``: (height, width) bool, and its object shows beside it."""
    height, width = seen.shape
    if not (0 <= point.x_px <= width and 0 <= point.y_px <= height):
        return False
    row, column = int(point.y_px), int(point.x_px)
    near = (slice(max(0, at - _NEAR_PX), at + _NEAR_PX + 1) for at in (row, column))
    return bool(seen[tuple(near)].any())


def _of_the_frame(shown: Sequence[Shown], frame: Region) -> dict[str, KeyPointTruth]:
    """Return one key point of each name: that of the object which detection.md section 2 chooses."""
    middle = PixelPoint(frame.width_px / 2, frame.height_px / 2)
    points = {IMAGE_CENTRE: KeyPointTruth(point=middle, is_visible=True)}
    for object_class in ObjectClass:
        chosen = [one for one in shown if one.thing.object_class is object_class and one.key_points]
        if chosen:
            is_largest = object_class is ObjectClass.MANIPULATOR
            best = max(chosen, key=lambda one: one.pixel_count if is_largest else -_distance_px(one, middle))
            points.update(best.key_points)
    return points


def _of_the_posts(shown: Sequence[Shown], classes: NDArray[np.uint8]) -> dict[str, KeyPointTruth]:
    """Return the points of posts that depend on the frame or on the lamella that is to land there."""
    middle = next(
        (
            known.point
            for one in shown
            if one.thing.object_class in (ObjectClass.LAMELLA, ObjectClass.VOLUME_BLOCK)
            for known in list(one.key_points.values())[:1]
        ),
        PixelPoint(classes.shape[1] / 2, classes.shape[0] / 2),
    )
    found = post_points(classes == ObjectClass.LANDING_POST, towards=middle)
    return {name: KeyPointTruth(point=point, is_visible=True) for name, point in found.items()}


def _distance_px(one: Shown, middle: PixelPoint) -> float:
    """Return how far the first key point of an object, its centre, lies from the middle of the frame."""
    point = next(iter(one.key_points.values())).point
    return float(np.hypot(point.x_px - middle.x_px, point.y_px - middle.y_px))
