"""A document is complete by itself: what is written is what is read, and nothing else is a document."""

from __future__ import annotations

import json
from typing import get_args

import pytest
from documents import document, one_of_each
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fibsem_runtime.events import AnyDocument, CorrectionClass, Document, StepFinished, parse_document
from fibsem_runtime.events.documents import Correction

EXAMPLES = one_of_each()


def test_the_examples_cover_every_kind() -> None:
    assert {type(example) for example in EXAMPLES} == set(get_args(AnyDocument))


def test_every_kind_has_its_own_name() -> None:
    kinds = [example.kind for example in EXAMPLES]
    assert len(set(kinds)) == len(kinds)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.kind)
def test_a_document_is_read_as_it_was_written(example: AnyDocument) -> None:
    assert parse_document(example.model_dump_json()) == example


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.kind)
def test_an_unknown_key_is_refused(example: AnyDocument) -> None:
    tree = json.loads(example.model_dump_json()) | {"surprise": 1}
    with pytest.raises(ValidationError, match="surprise"):
        parse_document(json.dumps(tree))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.kind)
def test_a_document_cannot_be_changed(example: AnyDocument) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        example.lamella = "another"


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.kind)
def test_the_time_zone_is_kept(example: AnyDocument) -> None:
    read = parse_document(example.model_dump_json())
    assert read.wall_time.utcoffset() == example.wall_time.utcoffset()


@given(st.dictionaries(st.text(max_size=8), st.floats(allow_nan=False, allow_infinity=False), max_size=4))
def test_measurements_keep_every_bit(measurements: dict[str, float]) -> None:
    written = document(StepFinished, status="completed", duration_s=1.0, measurements=measurements)
    assert parse_document(written.model_dump_json()) == written


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_bytes_that_are_no_document_are_a_validation_error(raw: bytes) -> None:
    with pytest.raises(ValidationError):
        parse_document(raw)


@given(st.sampled_from(EXAMPLES), st.data())
def test_a_damaged_document_is_read_as_a_document_or_refused(example: AnyDocument, data: st.DataObject) -> None:
    raw = bytearray(example.model_dump_json().encode())
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        assert isinstance(parse_document(bytes(raw)), Document)
    except ValidationError:
        pass


def test_a_class_that_is_not_in_the_list_is_refused() -> None:
    (example,) = [e for e in EXAMPLES if isinstance(e, Correction)]
    tree = json.loads(example.model_dump_json())
    assert tree["classification"] in get_args(CorrectionClass)
    with pytest.raises(ValidationError, match="classification"):
        parse_document(json.dumps(tree | {"classification": "correct"}))


def test_a_wall_time_without_its_zone_is_refused() -> None:
    with pytest.raises(ValidationError, match="timezone"):
        document(StepFinished, status="completed", duration_s=1.0, wall_time="2026-11-24T19:30:00")
