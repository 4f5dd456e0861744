"""Values, frames, units, errors, clock and cancel token: what every layer speaks in."""

from fibsem_runtime.core import errors
from fibsem_runtime.core.cancel import CancelToken
from fibsem_runtime.core.clock import Clock, SimulatedClock, WallClock
from fibsem_runtime.core.frames import (
    BeamType,
    ImagePoint,
    PixelPoint,
    RelativeArea,
    SpecimenPosition,
    StagePosition,
    image_to_pixel,
    pixel_to_image,
)
from fibsem_runtime.core.image import Image, ImageMetadata, InstrumentInfo, Pixels
from fibsem_runtime.core.settings import BeamSettings, DetectorSettings, ImageSettings, MicroscopeState

__all__ = [
    "BeamSettings",
    "BeamType",
    "CancelToken",
    "Clock",
    "DetectorSettings",
    "Image",
    "ImageMetadata",
    "ImagePoint",
    "ImageSettings",
    "InstrumentInfo",
    "MicroscopeState",
    "PixelPoint",
    "Pixels",
    "RelativeArea",
    "SimulatedClock",
    "SpecimenPosition",
    "StagePosition",
    "WallClock",
    "errors",
    "image_to_pixel",
    "pixel_to_image",
]
