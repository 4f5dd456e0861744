"""Fake of ``tescanautomation.DrawBeam``: metres, A, s, m³/A/s, degrees."""

from __future__ import annotations

import math
from enum import Enum
from typing import Any

from fibsem_runtime.core import ImagePoint
from fibsem_runtime.hal import CircleShape, CrossSection, LineShape, RectangleShape, ScanDirection, Shape


class Status(Enum):
    """What ``GetStatus`` returns first."""

    ProjectNotLoaded = 0
    ProjectLoadedExpositionIdle = 1
    ProjectLoadedExpositionInProgress = 2
    ProjectLoadedExpositionPaused = 3
    Unknown = 4


class DepthUnit(Enum):
    """Unit of a depth."""

    Meter = "m"
    Second = "s"


class IEtching:
    """Settings of an etching layer."""

    def __init__(
        self,
        syncWriteField: bool,
        writeFieldSize: float,
        beamCurrent: float,
        spotSize: float,
        rate: float,
        dwellTime: float,
        parallel: bool = False,
        preset: str | None = None,
        spacing: float = 1.0,
    ) -> None:
        self.writeFieldSize = writeFieldSize
        self.beamCurrent = beamCurrent
        self.spotSize = spotSize
        self.rate = rate
        self.dwellTime = dwellTime
        self.parallel = parallel
        self.spacing = spacing


class Layer:
    """Objects with common settings. The milled line of an object with angle 0 travels as ``advances`` says."""

    advances = ScanDirection.BOTTOM_TO_TOP

    def __init__(self, name: str, settings: IEtching) -> None:
        self.name = name
        self.settings = settings
        self.shapes: list[Shape] = []
        self.dot: tuple[ImagePoint, float] | None = None

    def addRectangleFilled(self, *args: Any, **kwargs: Any) -> None:
        self._add(CrossSection.RECTANGLE, *args, **kwargs)

    def addRectanglePolish(self, *args: Any, **kwargs: Any) -> None:
        self._add(CrossSection.CLEANING, *args, **kwargs)

    def addRectangleStairs(self, *args: Any, **kwargs: Any) -> None:
        self._add(CrossSection.REGULAR, *args, **kwargs)

    def addLine(
        self,
        BeginX: float,
        BeginY: float,
        EndX: float,
        EndY: float,
        Depth: float,
        DepthUnit: DepthUnit = DepthUnit.Meter,
    ) -> None:
        assert DepthUnit.value == "m", "the fake knows depths in metres only"
        start, end = ImagePoint(BeginX, BeginY), ImagePoint(EndX, EndY)
        self.shapes.append(LineShape(start=start, end=end, width_m=self.settings.spotSize, depth_m=Depth))

    def addAnnulusFilled(
        self,
        CenterX: float,
        CenterY: float,
        RadiusA: float,
        RadiusB: float,
        Depth: float,
        DepthUnit: DepthUnit = DepthUnit.Meter,
    ) -> None:
        assert DepthUnit.value == "m", "the fake knows depths in metres only"
        self.shapes.append(
            CircleShape(
                centre=ImagePoint(CenterX, CenterY),
                outer_diameter_m=2 * RadiusA,
                inner_diameter_m=2 * RadiusB,
                depth_m=Depth,
            )
        )

    def addDot(self, CenterX: float, CenterY: float, Depth: float, DepthUnit: DepthUnit = DepthUnit.Meter) -> None:
        assert DepthUnit.value == "s", "the fake knows timed dots only"
        self.dot = ImagePoint(CenterX, CenterY), Depth

    def _add(
        self,
        kind: CrossSection,
        CenterX: float,
        CenterY: float,
        Depth: float,
        Width: float,
        Height: float,
        Angle: float = 0.0,
        DepthUnit: DepthUnit = DepthUnit.Meter,
        ExpositionFactor: float = 1.0,
        ScanningPath: str = "Flyback",
    ) -> None:
        assert DepthUnit.value == "m", "the fake knows depths in metres only"
        self.shapes.append(
            RectangleShape(
                centre=ImagePoint(CenterX, CenterY),
                width_m=Width,
                height_m=Height,
                depth_m=Depth,
                rotation_rad=math.radians(Angle),
                scan_direction=self.advances,
                cross_section=kind,
            )
        )
