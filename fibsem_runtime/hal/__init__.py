"""Hardware abstraction: device protocols, the microscope bundle, kinematics, guards and the driver registry."""

from fibsem_runtime.hal.attempts import attempt_all
from fibsem_runtime.hal.axes import AxisLimits
from fibsem_runtime.hal.chain import KinematicChain
from fibsem_runtime.hal.chamber import ChamberCamera, Pump, Vacuum
from fibsem_runtime.hal.conditions import milling_conditions
from fibsem_runtime.hal.devices import (
    Beam,
    Driver,
    Milling,
    MillingProgress,
    MillingState,
    Stage,
    StageLimits,
)
from fibsem_runtime.hal.equipment import (
    AutoFocus,
    ColumnEquipment,
    Detectors,
    LiveView,
    PlasmaSource,
    Presets,
    Source,
    Spot,
    Stigmator,
)
from fibsem_runtime.hal.forward import BeamView
from fibsem_runtime.hal.gas import GasInjection, SputterCoater, gas_flow
from fibsem_runtime.hal.guards import GuardSettings, check_limits, guard
from fibsem_runtime.hal.kinematics import Kinematics
from fibsem_runtime.hal.manipulator import (
    Manipulator,
    ManipulatorChain,
    ManipulatorLimits,
    ManipulatorPose,
    ManipulatorPosition,
    image_move,
)
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
    "AutoFocus",
    "AxisLimits",
    "Beam",
    "BeamView",
    "BitmapShape",
    "ChamberCamera",
    "CircleShape",
    "ColumnEquipment",
    "CrossSection",
    "Detectors",
    "Driver",
    "DriverPlugin",
    "GasInjection",
    "GuardSettings",
    "KinematicChain",
    "Kinematics",
    "LamellaTruth",
    "LineShape",
    "LiveView",
    "Manipulator",
    "ManipulatorChain",
    "ManipulatorLimits",
    "ManipulatorPose",
    "ManipulatorPosition",
    "Microscope",
    "Milling",
    "MillingProgress",
    "MillingSettings",
    "MillingState",
    "PlasmaSource",
    "PolygonShape",
    "Presets",
    "Pump",
    "RectangleShape",
    "ScanDirection",
    "Shape",
    "ShapeKind",
    "Source",
    "Spot",
    "SputterCoater",
    "Stage",
    "StageLimits",
    "Stigmator",
    "Truth",
    "Vacuum",
    "attempt_all",
    "available_drivers",
    "check_limits",
    "find_driver",
    "gas_flow",
    "guard",
    "image_move",
    "milling_conditions",
    "safe_route",
]
