"""Compiled code is never older than any file that it was compiled from."""

from __future__ import annotations

from pathlib import Path

import numba

from drivers.simulator import kernels


def test_the_code_is_kept_below_the_package_under_the_name_of_its_content() -> None:
    package = Path(kernels.__file__).parent
    assert Path(numba.config.CACHE_DIR).parent == package / "__pycache__"


def test_any_changed_file_gives_another_folder(tmp_path: Path) -> None:
    (tmp_path / "outer.py").write_text("a = 1\n")
    (tmp_path / "inner.py").write_text("b = 1\n")
    before = kernels._cache_folder(tmp_path)
    assert kernels._cache_folder(tmp_path) == before
    (tmp_path / "inner.py").write_text("b = 2\n")
    assert kernels._cache_folder(tmp_path) != before
