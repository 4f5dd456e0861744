"""A model folder is trusted only when its manifest is complete and its file is the one that was measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from fibsem_runtime.core.errors import ModelError
from fibsem_runtime.detection import list_models, read_manifest
from fibsem_runtime.detection.manifest import MANIFEST_NAME, sha256_of, verified_file, write_manifest

GOOD: dict[str, Any] = {
    "name": "tiny",
    "version": "1",
    "description": "A model.",
    "files": {"fp32": {"file": "model.onnx", "sha256": "0" * 64}},
    "classes": ["background", "lamella"],
    "input": {"width_px": 768, "height_px": 512},
    "features": ["LamellaCentre"],
    "licence": "MIT",
}


def write(folder: Path, content: Any) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / MANIFEST_NAME).write_text(yaml.safe_dump(content), encoding="utf-8")
    return folder


def changed(**changes: Any) -> dict[str, Any]:
    return {key: value for key, value in (GOOD | changes).items() if value is not None}


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    manifest = read_manifest(write(tmp_path / "a", GOOD))
    (tmp_path / "b").mkdir()
    write_manifest(tmp_path / "b", manifest)
    assert read_manifest(tmp_path / "b") == manifest
    assert list_models(tmp_path) == ["a", "b"]
    assert not list(tmp_path.glob("**/*.part"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (changed(licence=None), "licence"),
        (changed(colour="red"), "colour"),
        (changed(classes=["background", "background"]), "differ"),
        (changed(files={}), "files"),
        (changed(files={"fp64": {"file": "model.onnx", "sha256": "0" * 64}}), "fp64"),
        (changed(files={"fp32": {"file": "../model.onnx", "sha256": "0" * 64}}), "file"),
        (changed(files={"fp32": {"file": "model.onnx", "sha256": "abc"}}), "sha256"),
        (changed(input={"width_px": 700, "height_px": 512}), "width_px"),
        (changed(calibration={"NeedleTip": {"offset_score": 1}}), "NeedleTip"),
        (changed(pixel_size_range={"min_nm": 100, "max_nm": 10}), "min_nm"),
        ([1, 2], "dictionary"),
    ],
)
def test_a_malformed_manifest_is_one_line_that_names_the_fault(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        read_manifest(write(tmp_path / "m", content))
    assert "\n" not in str(caught.value)


@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=300))
def test_any_bytes_in_place_of_a_manifest_are_a_model_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / MANIFEST_NAME).write_bytes(data)
    with pytest.raises(ModelError):
        read_manifest(folder)


def test_yaml_that_would_run_code_is_refused(tmp_path: Path) -> None:
    (tmp_path / MANIFEST_NAME).write_text("!!python/object/apply:os.system ['touch pwned']", encoding="utf-8")
    with pytest.raises(ModelError, match="not YAML"):
        read_manifest(tmp_path)


def test_a_missing_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no model at .*nowhere"):
        read_manifest(tmp_path / "nowhere")


def test_a_manifest_without_end_is_not_read(tmp_path: Path) -> None:
    (tmp_path / MANIFEST_NAME).write_bytes(b"#" * (2**20 + 1))
    with pytest.raises(ModelError, match="1024 KiB"):
        read_manifest(tmp_path)


def test_an_altered_absent_or_unknown_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"weights")
    content = changed(files={"fp32": {"file": "model.onnx", "sha256": sha256_of(path)}})
    manifest = read_manifest(write(tmp_path, content))
    assert verified_file(tmp_path, manifest, "fp32") == path
    path.write_bytes(b"other weights")
    with pytest.raises(ModelError, match="SHA-256"):
        verified_file(tmp_path, manifest, "fp32")
    path.unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        verified_file(tmp_path, manifest, "fp32")
    with pytest.raises(ModelError, match="no int8 file"):
        verified_file(tmp_path, manifest, "int8")
