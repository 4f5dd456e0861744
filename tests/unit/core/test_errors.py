from __future__ import annotations

import inspect
import re

import pytest

from fibsem_runtime.core import errors
from fibsem_runtime.core.errors import Cancelled, FibsemError

ALL = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, FibsemError)]
FAMILIES = [kind for kind in ALL if kind.__base__ is FibsemError]
DRAWN = re.compile(r"^(?P<bars>[│ ]*)[├└]── (?P<name>\w+)\s+(?P<number>\d+)(?:\s+exit (?P<code>\d+))?", re.MULTILINE)


def drawn() -> dict[str, re.Match[str]]:
    return {match["name"]: match for match in DRAWN.finditer(errors.__doc__ or "")}


def test_the_tree_in_the_docstring_is_complete() -> None:
    assert set(drawn()) == {kind.__name__ for kind in ALL} - {"FibsemError"}


@pytest.mark.parametrize("kind", [kind for kind in ALL if kind is not FibsemError])
def test_every_error_has_the_number_and_exit_code_of_the_tree(kind: type[FibsemError]) -> None:
    line = drawn()[kind.__name__]
    assert int(line["number"]) == kind.number
    is_family = kind.__base__ is FibsemError
    assert is_family == (line["code"] is not None) == (line["bars"] == "")
    if is_family:
        assert int(line["code"]) == kind.exit_code


def test_numbers_are_unique_and_lie_in_the_range_of_their_family() -> None:
    numbers = [kind.number for kind in ALL]
    assert len(set(numbers)) == len(numbers)
    for family in FAMILIES:
        for member in family.__subclasses__():
            assert family.number < member.number < family.number + 100
            assert member.exit_code == family.exit_code


def test_exit_codes_are_unique_per_family_and_free_for_use() -> None:
    codes = [family.exit_code for family in FAMILIES]
    assert len(set(codes)) == len(codes)
    assert not {0, 1, 2} & set(codes)
    assert Cancelled.exit_code == 128 + 2


def test_a_stop_is_not_an_error_of_the_instrument_or_of_a_step() -> None:
    assert [kind for kind in FAMILIES if issubclass(Cancelled, kind)] == [Cancelled]


def test_a_message_is_what_is_printed() -> None:
    assert str(errors.StageLimitError("asked for x 60 mm")) == "asked for x 60 mm"
