"""TIFF with the vendor's tag 34682 (vendor-image-metadata.md section 2): the relations that hold in every real file."""

from __future__ import annotations

import math
from dataclasses import asdict
from datetime import datetime
from typing import Any

import tifffile

from ._metadata import Acquisition, tree

TAG = 34682


def write(path: str, image: Any) -> None:
    """Write pixels and ini text."""
    text = _ini(image.metadata.facts).encode("ascii") + b"\0"
    tifffile.imwrite(path, image.data, extratags=[(TAG, "s", 0, text, True)], metadata=None)


def read(path: str) -> tuple[Any, Any]:
    """Return pixels and metadata of a file that `write` wrote."""
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        found = page.tags[TAG].value  # tifffile parses the ini text into sections
        return page.asarray(), tree(_facts(found))


def _ini(facts: Acquisition) -> str:
    ion = facts.beam_name == "ion_beam"
    beam, scan = ("IBeam", "IScan") if ion else ("EBeam", "EScan")
    sign = -1 if math.cos(facts.scan_rotation_rad) > 0 else 1
    x, y, z, r, t = facts.stage
    offset_m = facts.eucentric_m - facts.system_eucentric_m
    sections = {
        "User": {"Date": f"{facts.acquired_at:%m/%d/%Y}", "Time": f"{facts.acquired_at:%I:%M:%S %p}"},
        "System": {"SystemType": facts.system, "EucWD": facts.system_eucentric_m},
        "Beam": {
            **{"Beam": beam, "Scan": scan, "HV": facts.voltage_v, "ScanRotation": facts.scan_rotation_rad},
            **{"BeamShiftX": facts.shift_x_m, "BeamShiftY": facts.shift_y_m},
        },
        beam: {
            **{"HFW": facts.hfw_m, "WD": facts.working_distance_m, "BeamCurrent": facts.current_a},
            **{"EucWD": facts.eucentric_m, "StageX": x + sign * facts.shift_x_m, "StageY": y + sign * facts.shift_y_m},
            **{"StageZ": z + offset_m, "StageR": r, "StageTa": t},
        },
        "Stage": {"StageX": x, "StageY": y, "StageZ": z, "StageR": r, "StageT": t},
        "Scan": {"PixelWidth": facts.pixel_size_m, "PixelHeight": facts.pixel_size_m, "Dwelltime": facts.dwell_time_s},
        "Image": {"ResolutionX": facts.width_px, "ResolutionY": facts.height_px},
        "Detectors": {"Number": 1, "Name": facts.detector},
        "Fake": {key: value for key, value in asdict(facts).items() if key != "stage"},
    }
    lines: list[str] = []
    for section, values in sections.items():
        lines.append(f"[{section}]")
        lines += [f"{key}={value!r}" if isinstance(value, float) else f"{key}={value}" for key, value in values.items()]
        lines.append("")
    return "\r\n".join(lines)


def _facts(found: dict[str, dict[str, Any]]) -> Acquisition:
    stage = found["Stage"]
    kept = dict(found["Fake"])
    kept["acquired_at"] = datetime.fromisoformat(str(kept["acquired_at"]))
    for name in ("width_px", "height_px"):
        kept[name] = int(kept[name])
    position = tuple(float(stage[name]) for name in ("StageX", "StageY", "StageZ", "StageR", "StageT"))
    return Acquisition(**kept, stage=position)  # type: ignore[arg-type]
