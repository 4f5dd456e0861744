"""The JSON text that our TIFF files carry in their ImageDescription (interop.md sections 1 and 2).

The tree is that of fibsemOS v8, so that its tools open our files. fibsemOS ignores unknown keys at the top level; the
block `OWN_KEY` there holds our metadata as they are, because v8 cannot say which facts are unknown.
"""

from __future__ import annotations

import json
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from fibsem_runtime.core import BeamSettings, BeamType, DetectorSettings, Image, ImageMetadata

OWN_KEY: Final = "fibsem_runtime"
_OWN_FORMAT: Final = 1
_METADATA: Final = TypeAdapter(ImageMetadata)


def describe(image: Image) -> str:
    """Write everything known about ``image`` as ASCII JSON that starts with its shape, as tifffile expects."""
    metadata = image.metadata
    tree: dict[str, Any] = {
        "shape": list(image.shape),
        "version": "v8",
        "image": _image_block(image),
        "pixel_size": _point(metadata.pixel_size_m, metadata.pixel_size_m) if metadata.pixel_size_m else None,
        "microscope_state": _state_block(metadata),
        "user": {"name": None, "email": None, "organization": None, "hostname": None},
        "experiment": {},
        "system_info": _system_block(metadata),
        "hardware_geometry": {},
        OWN_KEY: {"format": _OWN_FORMAT, "metadata": _METADATA.dump_python(metadata, mode="json")},
    }
    return json.dumps(tree)


def parse_own(block: object) -> ImageMetadata | None:
    """Return the metadata of an `OWN_KEY` block, or None when it is not one that this version understands."""
    if not isinstance(block, dict) or block.get("format") != _OWN_FORMAT:
        return None
    try:
        return _METADATA.validate_python(block.get("metadata"))
    except ValidationError:
        return None


def _point(x: object, y: object) -> dict[str, object]:
    return {"x": x, "y": y}


def _full_size_px(image: Image) -> tuple[int, int]:
    """Return width and height of the full frame that the image was cut from."""
    height_px, width_px = image.shape
    area = image.metadata.reduced_area
    if area is None:
        return width_px, height_px
    return round(width_px / area.width_fraction), round(height_px / area.height_fraction)


def _image_block(image: Image) -> dict[str, Any]:
    metadata = image.metadata
    width_px, height_px = _full_size_px(image)
    area = metadata.reduced_area
    hfw_m = metadata.pixel_size_m * width_px if metadata.pixel_size_m else None
    return {
        "beam_type": metadata.beam_type.value if metadata.beam_type else None,
        "resolution": [width_px, height_px],
        "dwell_time": metadata.dwell_time_s,
        "hfw": metadata.beam.hfw_m if metadata.beam else hfw_m,
        "autocontrast": False,
        "save": False,
        "path": None,
        "filename": metadata.frame_id or None,
        "reduced_area": None
        if area is None
        else {
            "left": area.left_fraction,
            "top": area.top_fraction,
            "width": area.width_fraction,
            "height": area.height_fraction,
        },
        "line_integration": None,
        "scan_interlacing": None,
        "frame_integration": None,
        "drift_correction": False,
    }


def _state_block(metadata: ImageMetadata) -> dict[str, Any]:
    """Return the observed state; as in fibsemOS only the acquiring beam's blocks are filled."""
    stage = metadata.stage_position
    state: dict[str, Any] = {
        "timestamp": metadata.acquired_at.timestamp() if metadata.acquired_at else None,
        "stage_position": {
            "name": None,
            "x": stage.x_m if stage else None,
            "y": stage.y_m if stage else None,
            "z": stage.z_m if stage else None,
            "r": stage.r_rad if stage else None,
            "t": stage.t_rad if stage else None,
            "coordinate_system": "RAW",
        },
        "electron_beam": None,
        "ion_beam": None,
        "electron_detector": None,
        "ion_detector": None,
        "objective_position": None,
    }
    if metadata.beam_type is not None:
        side = "electron" if metadata.beam_type is BeamType.ELECTRON else "ion"
        state[f"{side}_beam"] = _beam_block(metadata.beam, metadata)
        state[f"{side}_detector"] = _detector_block(metadata.detector)
    return state


def _beam_block(beam: BeamSettings | None, metadata: ImageMetadata) -> dict[str, Any] | None:
    if beam is None:
        return None
    return {
        "beam_type": metadata.beam_type.value if metadata.beam_type else None,
        "working_distance": beam.working_distance_m,
        "beam_current": beam.beam_current_a,
        "voltage": beam.voltage_v,
        "hfw": beam.hfw_m,
        "resolution": None,
        "dwell_time": metadata.dwell_time_s,
        "stigmation": _point(beam.stigmation_x, beam.stigmation_y),
        "shift": _point(beam.shift.x_m, beam.shift.y_m),
        "scan_rotation": beam.scan_rotation_rad,
        "preset": None,
    }


def _detector_block(detector: DetectorSettings | None) -> dict[str, Any] | None:
    if detector is None:
        return None
    return {
        "type": detector.name,
        "mode": detector.mode,
        "brightness": detector.brightness_fraction,
        "contrast": detector.contrast_fraction,
    }


def _system_block(metadata: ImageMetadata) -> dict[str, Any]:
    info = metadata.instrument
    if info is None:
        return {}
    return {
        "manufacturer": info.manufacturer,
        "model": info.model,
        "serial_number": info.serial_number,
        "software_version": info.software_version,
        "application": OWN_KEY,
    }
