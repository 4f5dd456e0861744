"""Which images of a step are shown, and what is drawn on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from fibsem_runtime.app.report.pictures import Picture, PictureBook
from fibsem_runtime.core import PixelPoint
from fibsem_runtime.core.units import UM
from fibsem_runtime.corrections import CHANGED
from fibsem_runtime.events import Correction, ImageAcquired, ImageReference

BEFORE: Final = "before"
AFTER: Final = "after"
"""Purposes that steps give their images, and titles of the figures made of them."""

_DETAIL_WIDTH_M: Final = 4 * UM
"""Eight times the placement tolerance of detection.md section 8, so that a move within it can be seen."""
_TRACKING: Final = ("align",)
"""Images whose purpose begins so are taken by the dozen to follow the drift; they are listed, not shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A point drawn on an image."""

    kind: Literal["predicted", "decided", "site"]
    point: PixelPoint
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One image with its caption; ``problem`` says why there is no picture."""

    title: str
    path: str
    picture: Picture | None
    problem: str = ""
    acquired: ImageAcquired | None = None
    marks: Sequence[Mark] = ()


def make_figure(
    book: PictureBook, title: str, reference: ImageReference, *, acquired: ImageAcquired | None, marks: Sequence[Mark]
) -> Figure:
    """Return a figure of a whole image."""
    return _figure(title, reference, book.whole(reference), acquired, marks)


def _figure(
    title: str,
    reference: ImageReference,
    found: Picture | str,
    acquired: ImageAcquired | None,
    marks: Sequence[Mark],
) -> Figure:
    picture, problem = (None, found) if isinstance(found, str) else (found, "")
    return Figure(title=title, path=reference.path, picture=picture, problem=problem, acquired=acquired, marks=marks)


def step_figures(book: PictureBook, images: Sequence[ImageAcquired], earlier: Sequence[ImageAcquired]) -> list[Figure]:
    """Return before and after of a step, and its measurement image if it took one.

    ``earlier`` are the images of the steps before: a step that takes no image first is compared with the last of them
    that shows the same beam.
    """
    shown = [image for image in images if not image.purpose.startswith(_TRACKING)]
    if not shown:
        return []
    after = next((image for image in reversed(shown) if image.purpose == AFTER), shown[-1])
    before = next((image for image in shown if image.purpose == BEFORE), None) or _last_like(after, earlier)
    chosen = [(BEFORE, before or shown[0]), (AFTER, after)]
    chosen += [(image.purpose, image) for image in shown if image.purpose == "thickness"][-1:]
    titles = {id(image): title for title, image in reversed(chosen)}
    return [
        make_figure(book, title, image.image, acquired=image, marks=())
        for title, image in chosen
        if titles[id(image)] == title
    ]


def _last_like(image: ImageAcquired, earlier: Sequence[ImageAcquired]) -> ImageAcquired | None:
    return next(
        (
            candidate
            for candidate in reversed(earlier)
            if candidate.beam_type is image.beam_type
            and candidate.hfw_m == image.hfw_m
            and not candidate.purpose.startswith(_TRACKING)
        ),
        None,
    )


def correction_figures(
    book: PictureBook, corrections: Sequence[Correction], images: Sequence[ImageAcquired]
) -> list[Figure]:
    """Return, for each image on which a person changed something, the whole image and a detail of each change."""
    by_path: dict[str, list[Correction]] = {}
    for correction in corrections:
        by_path.setdefault(correction.image.path, []).append(correction)
    acquired = {image.image.path: image for image in images}
    figures: list[Figure] = []
    for path, group in by_path.items():
        changed = [correction for correction in group if correction.classification in CHANGED]
        if not changed:
            continue
        marks = [mark for correction in group for mark in correction_marks(correction)]
        taken = acquired.get(path)
        figures.append(make_figure(book, "corrected on", group[0].image, acquired=taken, marks=marks))
        figures += [_detail(book, correction, taken) for correction in changed]
    return figures


def _detail(book: PictureBook, correction: Correction, taken: ImageAcquired | None) -> Figure:
    marks = correction_marks(correction)
    found = book.detail(correction.image, [mark.point for mark in marks], _DETAIL_WIDTH_M)
    return _figure(f"{correction.feature}: {correction.classification}", correction.image, found, taken, marks)


def correction_marks(correction: Correction) -> list[Mark]:
    """Return the proposed and the decided point of a correction, as far as they are known."""
    marks: list[Mark] = []
    if correction.predicted is not None:
        marks.append(Mark(kind="predicted", point=correction.predicted))
    if correction.decided is not None:
        marks.append(Mark(kind="decided", point=correction.decided, label=correction.feature))
    return marks
