"""A file is there completely or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from fibsem_runtime.core.errors import StorageError
from fibsem_runtime.core.files import remove_leftovers, replacing, write_text


def test_text_is_written_as_it_is(tmp_path: Path) -> None:
    write_text(tmp_path / "a.yaml", "hfw: 80 µm\r\n")
    assert (tmp_path / "a.yaml").read_bytes() == "hfw: 80 µm\r\n".encode()
    assert os.listdir(tmp_path) == ["a.yaml"]


@pytest.mark.parametrize("call", ["os.fsync", "os.replace"])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path, mocker: MockerFixture, call: str) -> None:
    write_text(tmp_path / "a.yaml", "old")
    mocker.patch(call, side_effect=OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    with pytest.raises(StorageError, match=r"a\.yaml: No space left on device; nothing was written") as caught:
        write_text(tmp_path / "a.yaml", "new")
    assert "\n" not in str(caught.value)
    assert (tmp_path / "a.yaml").read_text() == "old"
    assert os.listdir(tmp_path) == ["a.yaml"]


def test_a_folder_that_is_missing_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="No such file or directory"):
        write_text(tmp_path / "missing" / "a.yaml", "x")


def test_an_interrupted_writer_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), replacing(path) as stream:
        stream.write(b"half")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_what_killed_writers_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / ".frame.tif.0123.tmp").write_bytes(b"half")
    (tmp_path / "frame.tif").write_bytes(b"whole")
    (tmp_path / "notes.tmp").write_bytes(b"a person's own")
    remove_leftovers(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["frame.tif", "notes.tmp"]
