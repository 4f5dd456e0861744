"""Enumerations: plain classes with constants, not `enum.Enum` (vendor-fakes.md T1)."""

from __future__ import annotations


class ImagingDevice:
    ELECTRON_BEAM = 1
    ION_BEAM = 2
    CCD_CAMERA = 3


class BeamType:
    ELECTRON = 1
    ION = 2


class CoordinateSystem:
    RAW = "Raw"
    SPECIMEN = "Specimen"


class ImageFileFormat:
    TIFF = "Tiff"
    RAW = "Raw"


class ImagingState:
    ACQUIRING = "Acquiring"
    IDLE = "Idle"


class PatterningState:
    IDLE = "Idle"
    RUNNING = "Running"
    PAUSED = "Paused"
    ERROR = "Error"


class PatternScanDirection:
    BOTTOM_TO_TOP = "BottomToTop"
    TOP_TO_BOTTOM = "TopToBottom"
    LEFT_TO_RIGHT = "LeftToRight"
    RIGHT_TO_LEFT = "RightToLeft"
    INNER_TO_OUTER = "InnerToOuter"
    OUTER_TO_INNER = "OuterToInner"
    DYNAMIC_ALL_DIRECTIONS = "DynamicAllDirections"
    DYNAMIC_INNER_TO_OUTER = "DynamicInnerToOuter"
    DYNAMIC_LEFT_TO_RIGHT = "DynamicLeftToRight"
    DYNAMIC_TOP_TO_BOTTOM = "DynamicTopToBottom"


class ScanningMode:
    FULL_FRAME = 1
    REDUCED_AREA = 2
    SPOT = 3


class StageAxis:
    X = "x"
    Y = "y"
    Z = "z"
    R = "r"
    T = "t"
    A = "a"


class VacuumState:
    PUMPED = "Pumped"
    PUMPING = "Pumping"
    VENTED = "Vented"
    VENTING = "Venting"
    PUMPED_FOR_WAFER_EXCHANGE = "PumpedForWaferExchange"
    ERROR = "Error"
    UNKNOWN = "Unknown"


class RetractableDeviceState:
    INSERTED = "Inserted"
    RETRACTED = "Retracted"
    BUSY = "Busy"
    ERROR = "Error"


class ManipulatorState:
    INSERTED = "Inserted"
    RETRACTED = "Retracted"


class ManipulatorCoordinateSystem:
    RAW = "Raw"
    STAGE = "Stage"


class ManipulatorSavedPosition:
    PARK = "Park"
    EUCENTRIC = "Eucentric"


class MultiChemInsertPosition:
    ELECTRON_DEFAULT = "Electron Default"
    ION_DEFAULT = "Ion Default"


class DetectorType:
    ETD = "ETD"
    TLD = "TLD"
    ICE = "ICE"
    CBS = "CBS"


class DetectorMode:
    SECONDARY_ELECTRONS = "SecondaryElectrons"
    BACKSCATTER_ELECTRONS = "BackscatterElectrons"
    SECONDARY_IONS = "SecondaryIons"
