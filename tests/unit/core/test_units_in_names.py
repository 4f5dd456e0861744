"""Rule 13 of house-style.md: a number with a dimension carries its unit in its name, everywhere, tested by walking."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SOURCES = sorted([*(ROOT / "fibsem_runtime").rglob("*.py"), *(ROOT / "drivers").rglob("*.py")])

SI = "m m2 m3 s rad v a c px hz kg k pa bytes"
SPOKEN = "um nm mm cm um2 um3 deg mrad us ms ns min h kv na mbar nc mc mb gb percent"
COMPOUND = "c_per_m3 m_per_s m3_per_c um3_per_nc nm_per_min um_per_s per_m per_s per_um counts_per_s px_per_m"
UNITS = tuple(f"_{unit}" for unit in f"{SI} {SPOKEN} {COMPOUND}".split())
DIMENSIONLESS = (
    "fraction",
    "ratio",
    "score",
    "count",
    "confidence",
    "exponent",
    "yield",
    "gain",
    "level",
    "weights",
    "percent",
)
"""Words for numbers without a dimension, alone or at the end of a name. ``level``: gray level of an image."""

UNIT_BESIDE = frozenset(
    "value asked found read wanted listed low high tolerance measured threshold measurements".split()
)
"""A quantity whose unit travels beside it: as an argument, a document's field or the axis that it belongs to."""

EXCEPTIONS: dict[str, str] = {
    "stigmation_x": "stigmator settings have no common unit; each instrument has its own scale",
    "stigmation_y": "stigmator settings have no common unit; each instrument has its own scale",
}
"""Names that carry no unit, with the reason."""

KERNELS = frozenset({"kernel", "with_memory"})
"""Decorators of compiled inner loops: mathematics on bare numbers, in the units that their docstring states."""


def floats_in(annotation: ast.expr | None) -> bool:
    """Tell whether an annotation says one float or a row of floats.

    Mappings name their units in their keys, and rows that mix floats with other things are records, not quantities.
    """
    match annotation:
        case ast.Name(id="float"):
            return True
        case ast.BinOp(left=left, right=right):
            return floats_in(left) or floats_in(right)
        case ast.Subscript(value=ast.Name(id="dict" | "Mapping" | "Callable" | "Literal")):
            return False
        case ast.Subscript(slice=ast.Tuple(elts=parts)):
            rest = [part for part in parts if not (isinstance(part, ast.Constant) and part.value is Ellipsis)]
            return all(floats_in(part) for part in rest)
        case ast.Subscript(slice=part):
            return floats_in(part)
    return False


def is_kernel(function: ast.FunctionDef) -> bool:
    """Tell whether a function is a compiled inner loop."""
    calls = (decorator.func if isinstance(decorator, ast.Call) else decorator for decorator in function.decorator_list)
    return any(isinstance(call, ast.Name) and call.id in KERNELS for call in calls)


class FloatNames(ast.NodeVisitor):
    """Collect line and name of every parameter, field and annotated attribute that holds floats."""

    def __init__(self) -> None:
        self.found: list[tuple[int, str]] = []

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        if is_kernel(node):
            return
        for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs):
            self._note(argument.annotation, argument.lineno, argument.arg)
        self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        match node.target:
            case ast.Name(id=name) | ast.Attribute(attr=name):
                self._note(node.annotation, node.lineno, name)

    def _note(self, annotation: ast.expr | None, line: int, name: str) -> None:
        if floats_in(annotation):
            self.found.append((line, name))


def float_names(tree: ast.AST) -> list[tuple[int, str]]:
    visitor = FloatNames()
    visitor.visit(tree)
    return visitor.found


def carries_its_unit(name: str) -> bool:
    lower = name.lower()
    if lower.endswith(UNITS) or name in UNIT_BESIDE or name in EXCEPTIONS:
        return True
    return any(lower == word or lower.endswith(f"_{word}") for word in DIMENSIONLESS)


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("def f(width: float, *, dwell_s: float = 1.0) -> float: ...", ["width", "dwell_s"]),
        ("class A:\n    speed: float | None = None\n    name: str", ["speed"]),
        ("limits: tuple[float, float] = (0, 1)\nfacts: dict[str, float] = {}", ["limits"]),
        ("@kernel\ndef f(x: float) -> None: ...", []),
        ("rows: list[tuple[float, ...]] = []\nrecord: tuple[str, float] = ('x', 1.0)", ["rows"]),
        ("kind: Literal['float'] = 'float'", []),
    ],
)
def test_the_walk_finds_what_it_should(code: str, names: list[str]) -> None:
    assert [name for _, name in float_names(ast.parse(code))] == names


def test_a_unit_or_a_word_for_none_is_needed() -> None:
    assert all(map(carries_its_unit, ["hfw_m", "UM3_PER_NC", "blur_px", "score", "gate_fraction", "asked"]))
    assert not any(map(carries_its_unit, ["width", "m", "hfw_meters", "angle", "underscore"]))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_float_carries_its_unit(path: Path) -> None:
    found = float_names(ast.parse(path.read_text("utf-8")))
    offenders = [f"{path.relative_to(ROOT)}:{line} {name}" for line, name in found if not carries_its_unit(name)]
    assert offenders == []
