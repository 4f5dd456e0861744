"""A labelled data set on disk in the AutoLamella layout, complete or not there at all.

``NAME.tif`` beside ``labels/NAME.tif`` (class indices) and ``instances/NAME.tif`` (object numbers), ``keypoints.csv``
with the columns of the predecessor's evaluator (interop.md section 11) and ``manifest.json`` with everything else.
"""

from __future__ import annotations

import csv
import io
import json
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from fibsem_runtime.app.dataset.bench import Shot
from fibsem_runtime.core import BeamType, Image
from fibsem_runtime.core.errors import ConfigError, StorageError
from fibsem_runtime.core.files import write_text
from fibsem_runtime.core.units import NM
from fibsem_runtime.hal.truth import FrameTruth, ObjectClass, ObjectTruth
from fibsem_runtime.imaging import write_image, write_mask

LABELS, INSTANCES = "labels", "instances"
KEYPOINTS, MANIFEST = "keypoints.csv", "manifest.json"
COLUMNS: Final = ("filename", "feature", "px.x", "px.y", "pixelsize", "corrected")
FORMAT: Final = 1


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Yield a folder that becomes ``folder`` when the block ends well and vanishes when it fails.

    Raises `ConfigError` for a place that is not free and `StorageError` when the disk refuses.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder} is not empty; give --out a new folder, nothing is ever written over")
    unfinished = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.tmp")
    try:
        unfinished.mkdir(parents=True)
        yield unfinished
        if folder.exists():
            folder.rmdir()
        unfinished.rename(folder)
    except OSError as error:
        raise StorageError(
            f"cannot write the data set {folder}: {error.strerror or error}; nothing was kept, "
            "free space on the disk or correct the folder's permissions, then try again"
        ) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


@dataclass(slots=True)
class DataSetWriter:
    """Writes frames into a folder and keeps what key points and manifest say of them."""

    folder: Path
    samples: list[dict[str, Any]] = field(default_factory=list)
    rows: list[tuple[str, ...]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in (LABELS, INSTANCES):
            (self.folder / name).mkdir()

    def add(self, name: str, scene: int, shot: Shot, truth: FrameTruth) -> None:
        """Write one frame with its labels."""
        image, pixel_size_m = shot.image, shot.image.pixel_size_m
        file = f"{name}.tif"
        write_image(self.folder / file, image)
        write_mask(self.folder / LABELS / file, truth.classes, pixel_size_m)
        write_mask(self.folder / INSTANCES / file, truth.instances, pixel_size_m)
        for feature, known in truth.key_points.items():
            if known.is_visible:
                place = (f"{known.point.x_px:.2f}", f"{known.point.y_px:.2f}")
                self.rows.append((file, feature, *place, repr(pixel_size_m), "False"))
        self.samples.append(_describe(file, scene, shot.state, image, truth))

    def finish(self, about: dict[str, Any]) -> None:
        """Write key points and manifest; ``about`` says how the data set came about."""
        table = io.StringIO()
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(self.rows)
        write_text(self.folder / KEYPOINTS, table.getvalue())
        classes = {str(int(c)): c.name.lower() for c in ObjectClass}
        document = {"format": FORMAT, **about, "classes": classes, "samples": self.samples}
        write_text(self.folder / MANIFEST, json.dumps(document, indent=1) + "\n")

    def count_by_class(self) -> dict[str, int]:
        """Return in how many frames each class is seen."""
        names = [c.name.lower() for c in ObjectClass if c is not ObjectClass.BACKGROUND]
        shown = [{o["class"] for o in sample["objects"]} for sample in self.samples]
        return {name: sum(name in classes for classes in shown) for name in names}


def _describe(file: str, scene: int, state: str, image: Image, truth: FrameTruth) -> dict[str, Any]:
    metadata = image.metadata
    beam = metadata.beam
    return {
        "file": file,
        "scene": scene,
        "state": state,
        "beam": (metadata.beam_type or BeamType.ION).value,
        "pixel_size_nm": round(image.pixel_size_m / NM, 4),
        "dwell_time_us": None if metadata.dwell_time_s is None else round(metadata.dwell_time_s * 1e6, 4),
        "current_pa": None if beam is None else round(beam.beam_current_a * 1e12, 3),
        "voltage_kv": None if beam is None else beam.voltage_v / 1e3,
        "objects": [_describe_object(one, truth) for one in truth.objects],
    }


def _describe_object(one: ObjectTruth, truth: FrameTruth) -> dict[str, Any]:
    """Return one object; ``box_px`` is left, top, right, bottom, a key point x, y and whether it is visible."""
    rows, columns = np.nonzero(truth.instances == one.instance)
    box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    return {
        "instance": one.instance,
        "class": one.object_class.name.lower(),
        "pixels": int(rows.size),
        "box_px": [int(edge) for edge in box],
        "thickness_nm": None if one.thickness_m is None else round(one.thickness_m / NM, 1),
        "attached_to": list(one.attached_to),
        "key_points": {
            name: [round(known.point.x_px, 2), round(known.point.y_px, 2), known.is_visible]
            for name, known in one.key_points.items()
        },
    }
