"""Settings and positions: keyword constructors, every field None by default (vendor-fakes.md T2)."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np


class _Structure:
    """Base with fields that are None unless given."""

    FIELDS: ClassVar[tuple[str, ...]] = ()

    def __init__(self, *values: Any, **named: Any) -> None:
        unknown = set(named) - set(self.FIELDS)
        if unknown or len(values) > len(self.FIELDS):
            raise TypeError(f"{type(self).__name__} has no field {', '.join(sorted(unknown)) or len(values)}")
        for name in self.FIELDS:
            setattr(self, name, None)
        for name, value in {**dict(zip(self.FIELDS, values, strict=False)), **named}.items():
            setattr(self, name, value)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and all(getattr(self, n) == getattr(other, n) for n in self.FIELDS)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{n}={getattr(self, n)!r}' for n in self.FIELDS)})"


class Point(_Structure):
    FIELDS = ("x", "y")

    def __add__(self, other: Any) -> Point:
        x, y = (other.x, other.y) if isinstance(other, Point) else (other[0], other[1])
        return Point(self.x + x, self.y + y)


class Limits(_Structure):
    FIELDS = ("min", "max")


class Limits2d(_Structure):
    FIELDS = ("limits_x", "limits_y")


class Rectangle(_Structure):
    FIELDS = ("left", "top", "width", "height")


class StagePosition(_Structure):
    FIELDS = ("x", "y", "z", "r", "t", "coordinate_system")


class CompustagePosition(_Structure):
    FIELDS = ("x", "y", "z", "a", "coordinate_system")


class ManipulatorPosition(_Structure):
    FIELDS = ("x", "y", "z", "r", "coordinate_system")


class MoveSettings(_Structure):
    FIELDS = ("rotate_compucentric", "link_z_y")


class GrabFrameSettings(_Structure):
    FIELDS = (
        *("resolution", "dwell_time", "bit_depth", "reduced_area", "line_integration", "scan_interlacing"),
        *("frame_integration", "drift_correction", "views"),
    )


class GetImageSettings(_Structure):
    FIELDS = ("wait_for_frame",)


class RunAutoCbSettings(_Structure):
    FIELDS = ("method", "resolution", "number_of_frames", "reduced_area")


class RunAutoFocusSettings(_Structure):
    FIELDS = ("method", "resolution", "reduced_area", "number_of_frames", "working_distance_step")


class BitmapPatternDefinition(_Structure):
    FIELDS = ("points",)


class VacuumSettings(_Structure):
    FIELDS = ("pressure",)


class _Node(_Structure):
    """Branch of an image's metadata."""

    def __init__(self, **named: Any) -> None:
        for name, value in named.items():
            setattr(self, name, value)


class AdornedImage:
    """Pixels with the metadata tree."""

    def __init__(self, data: Any = None, metadata: Any = None) -> None:
        self.data = data
        self.metadata = metadata

    @property
    def width(self) -> int:
        return int(self.data.shape[1])

    @property
    def height(self) -> int:
        return int(self.data.shape[0])

    @property
    def bit_depth(self) -> int:
        return 8 * int(np.asarray(self.data).dtype.itemsize)

    def __repr__(self) -> str:
        return f"AdornedImage(width={self.width}, height={self.height}, bit_depth={self.bit_depth})"

    def save(self, path: str) -> None:
        """Write a TIFF with the metadata in tag 34682."""
        from ._tiff import write

        write(path, self)

    @classmethod
    def load(cls, path: str) -> AdornedImage:
        """Read a TIFF that was written by `save`."""
        from ._tiff import read

        data, metadata = read(path)
        return cls(data=data, metadata=metadata)
