"""The documents of an experiment in memory, indexed the way steps ask for them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from pydantic import ValidationError

from fibsem_runtime.core.errors import ExperimentError
from fibsem_runtime.events import AnyDocument, parse_document


def parse_documents(texts: Iterable[str], *, origin: str) -> list[AnyDocument]:
    """Parse the JSON of stored documents; raise `ExperimentError` for one that this program does not know."""
    try:
        return [parse_document(text) for text in texts]
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ExperimentError(
            f"{origin} holds a document that this program does not know ({place}: {first['msg']}); "
            "open it with the version that wrote it, or restore it from a copy"
        ) from error


class DocumentLog:
    """Documents in the order of their sequence; a selection costs no more than its length."""

    def __init__(self) -> None:
        self._all: list[AnyDocument] = []
        self._by_kind: dict[str, list[AnyDocument]] = defaultdict(list)
        self._by_lamella: dict[str, list[AnyDocument]] = defaultdict(list)

    @property
    def last_sequence(self) -> int:
        """Return the number of the last document, 0 before the first."""
        return self._all[-1].sequence if self._all else 0

    @property
    def last_run_id(self) -> str:
        """Return the run of the last document, an empty text before the first."""
        return self._all[-1].run_id if self._all else ""

    def append(self, document: AnyDocument) -> None:
        """Add the document that is on disk after all others."""
        self._all.append(document)
        self._by_kind[document.kind].append(document)
        self._by_lamella[document.lamella].append(document)

    def select(self, kind: str | None, lamella: str | None) -> list[AnyDocument]:
        """Return the documents of a kind and a lamella, of all where None; an empty lamella is the run itself."""
        if lamella is None:
            return list(self._all if kind is None else self._by_kind.get(kind, ()))
        return [d for d in self._by_lamella.get(lamella, ()) if kind in (None, d.kind)]
