"""Hardware abstraction: device protocols, the microscope bundle, kinematics, guards and the driver registry."""

from fibsem_runtime.hal.attempts import attempt_all
from fibsem_runtime.hal.chain import KinematicChain
from fibsem_runtime.hal.conditions import milling_conditions
from fibsem_runtime.hal.devices import (
    AxisLimits,
    Beam,
    Driver,
    GasInjection,
    Manipulator,
    Milling,
    MillingProgress,
    MillingState,
    Stage,
    StageLimits,
    Vacuum,
)
from fibsem_runtime.hal.forward import BeamView
from fibsem_runtime.hal.guards import GuardSettings, check_limits, guard
from fibsem_runtime.hal.kinematics import Kinematics
from fibsem_runtime.hal.microscope import Microscope
from fibsem_runtime.hal.registry import DriverPlugin, available_drivers, find_driver
from fibsem_runtime.hal.route import safe_route
from fibsem_runtime.hal.shapes import (
    BitmapShape,
    CircleShape,
    CrossSection,
    LineShape,
    MillingSettings,
    PolygonShape,
    RectangleShape,
    ScanDirection,
    Shape,
    ShapeKind,
)
from fibsem_runtime.hal.truth import LamellaTruth, Truth

__all__ = [
    "AxisLimits",
    "Beam",
    "BeamView",
    "BitmapShape",
    "CircleShape",
    "CrossSection",
    "Driver",
    "DriverPlugin",
    "GasInjection",
    "GuardSettings",
    "KinematicChain",
    "Kinematics",
    "LamellaTruth",
    "LineShape",
    "Manipulator",
    "Microscope",
    "Milling",
    "MillingProgress",
    "MillingSettings",
    "MillingState",
    "PolygonShape",
    "RectangleShape",
    "ScanDirection",
    "Shape",
    "ShapeKind",
    "Stage",
    "StageLimits",
    "Truth",
    "Vacuum",
    "attempt_all",
    "available_drivers",
    "check_limits",
    "find_driver",
    "guard",
    "milling_conditions",
    "safe_route",
]
