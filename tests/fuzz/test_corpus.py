"""What long fuzzing found interesting stays harmless: the kept corpus is read again by every test run."""

from __future__ import annotations

from pathlib import Path

import pytest
from fuzz_targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"


@pytest.mark.parametrize("name", TARGETS)
def test_the_seeds_and_the_corpus_of_every_target_are_read(name: str) -> None:
    files = sorted((CORPUS / name).iterdir())
    assert files, f"no corpus for {name}: run tests/fuzz/fuzz.py"
    for content in (*TARGETS[name].seeds, *(file.read_bytes() for file in files)):
        TARGETS[name].run(content)


def test_the_corpus_is_small_and_has_no_folder_without_a_target() -> None:
    files = [path for path in CORPUS.rglob("*") if path.is_file()]
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)
    assert len(files) < 300
    assert sum(path.stat().st_size for path in files) < 500_000
