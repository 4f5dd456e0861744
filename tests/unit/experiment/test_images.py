"""An image that is referenced is there, unaltered; no image is ever overwritten."""

from __future__ import annotations

import hashlib
import os
import sqlite3

import numpy as np
import pytest
from frames import make_image
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fibsem_runtime.core.errors import ExperimentError
from fibsem_runtime.events import ImageReference
from fibsem_runtime.experiment import Experiment


def test_an_image_comes_back_with_its_metadata(experiment: Experiment) -> None:
    image = make_image()
    loaded = experiment.load_image(experiment.save_image(image, name="frame"))
    assert np.array_equal(loaded.data, image.data)
    assert loaded.metadata == image.metadata


def test_the_reference_names_file_hash_and_acquisition(experiment: Experiment) -> None:
    reference = experiment.save_image(make_image(frame_id="f-7"), name="lamella-01-rough-before-f-7-ib")
    content = (experiment.directory / reference.path).read_bytes()
    assert reference == ImageReference(
        path="images/lamella-01-rough-before-f-7-ib.tif", sha256=hashlib.sha256(content).hexdigest(), frame_id="f-7"
    )


def test_a_name_that_is_taken_gets_a_number(experiment: Experiment) -> None:
    references = [experiment.save_image(make_image(seed=seed), name="frame") for seed in range(3)]
    assert [r.path for r in references] == ["images/frame.tif", "images/frame-2.tif", "images/frame-3.tif"]
    for seed, reference in enumerate(references):
        assert np.array_equal(experiment.load_image(reference).data, make_image(seed=seed).data)


def test_a_file_that_the_database_does_not_know_is_not_overwritten(experiment: Experiment) -> None:
    (experiment.directory / "images" / "frame.tif").write_bytes(b"saved before a power cut")
    assert experiment.save_image(make_image(), name="frame").path == "images/frame-2.tif"
    assert (experiment.directory / "images" / "frame.tif").read_bytes() == b"saved before a power cut"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(name=st.text(max_size=300))
def test_any_name_becomes_a_file_inside_the_folder(experiment: Experiment, name: str) -> None:
    before = set(os.listdir(experiment.directory / "images"))
    reference = experiment.save_image(make_image(), name=name)
    (created,) = set(os.listdir(experiment.directory / "images")) - before
    assert reference.path == f"images/{created}"
    assert not created.startswith(".") and len(created) < 170


def test_an_altered_image_is_refused(experiment: Experiment) -> None:
    reference = experiment.save_image(make_image(), name="frame")
    path = experiment.directory / reference.path
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ExperimentError, match="was altered since it was recorded"):
        experiment.load_image(reference)


def test_a_missing_image_is_refused(experiment: Experiment) -> None:
    reference = experiment.save_image(make_image(), name="frame")
    (experiment.directory / reference.path).unlink()
    with pytest.raises(ExperimentError, match=r"cannot be read: No such file or directory; restore"):
        experiment.load_image(reference)


@pytest.mark.parametrize("path", ["/etc/passwd", "images/../config.yaml", "config.yaml", "../images/frame.tif"])
def test_a_reference_cannot_lead_out_of_the_images(experiment: Experiment, path: str) -> None:
    with pytest.raises(ExperimentError, match="lies outside"):
        experiment.load_image(ImageReference(path=path, sha256="0" * 64, frame_id=""))


def test_images_are_registered_in_the_database(experiment: Experiment) -> None:
    reference = experiment.save_image(make_image(), name="frame")
    with sqlite3.connect(experiment.directory / "experiment.sqlite") as connection:
        rows = connection.execute(
            "select path, sha256, beam_type, pixel_size_m, width_px, height_px from images"
        ).fetchall()
    connection.close()
    assert rows == [(reference.path, reference.sha256, "ION", 100e-9, 64, 48)]
