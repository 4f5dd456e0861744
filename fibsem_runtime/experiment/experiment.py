"""One experiment on disk: documents in a database, images in files, one writing process."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar
from uuid import uuid4

from fibsem_runtime.core import Image
from fibsem_runtime.core.errors import ExperimentError, StorageError
from fibsem_runtime.core.files import remove_leftovers, sync_folder, write_text
from fibsem_runtime.events import AnyDocument, Correction, Document, ImageReference
from fibsem_runtime.experiment import images
from fibsem_runtime.experiment.database import Database
from fibsem_runtime.experiment.documents import DocumentLog, parse_documents
from fibsem_runtime.experiment.lock import ExperimentLock
from fibsem_runtime.experiment.rows import correction_row, document_row, image_row
from fibsem_runtime.experiment.schema import SCHEMA_VERSION, Base, ExperimentRow

DATABASE_FILE: Final = "experiment.sqlite"

DocumentT = TypeVar("DocumentT", bound=Document)


class Experiment:
    """Record and read one experiment; use as a context manager.

    Made by `create`, `resume` (both write) or `open` (reads, also while another process writes). What `record` and
    `save_image` return is on the disk and survives a power cut.
    """

    def __init__(self, directory: Path, lock: ExperimentLock | None) -> None:
        """Open the database of ``directory``; for writing when a lock is handed over."""
        self._directory = directory
        self._lock = lock
        self._database = Database(directory / DATABASE_FILE, read_only=lock is None)
        self._log = DocumentLog()
        try:
            self._database.verify()
            self._id = self._database.experiment().id
            self._read_new_documents()
        except ExperimentError:
            self.close()
            raise
        self._own_run_id = uuid4().hex

    @classmethod
    def create(cls, directory: Path, *, name: str = "", files: Mapping[str, str] | None = None) -> Self:
        """Make a new experiment with its text ``files`` (by file name) and open it for writing.

        All of it appears at once under its name. Raises `ExperimentError` when ``directory`` exists and is not empty,
        `StorageError` when the disk refuses; nothing is left behind then.
        """
        if directory.exists() and not _is_empty_folder(directory):
            raise ExperimentError(
                f"{directory} exists already; continue it with --resume or choose another folder for the experiment"
            )
        _build(directory, name or directory.name, files or {})
        return cls.resume(directory)

    @classmethod
    def resume(cls, directory: Path) -> Self:
        """Open an experiment for writing as a new run of it; raise `ExperimentError` when another process writes."""
        _require_experiment(directory)
        lock = ExperimentLock(directory)
        experiment = cls(directory, lock)
        remove_leftovers(directory)
        remove_leftovers(directory / images.FOLDER)
        return experiment

    @classmethod
    def open(cls, directory: Path) -> Self:
        """Open an experiment for reading."""
        _require_experiment(directory)
        return cls(directory, None)

    @property
    def directory(self) -> Path:
        """Return the directory of the experiment."""
        return self._directory

    @property
    def run_id(self) -> str:
        """Return the run that this process writes; when reading, the one that wrote last (empty before the first)."""
        return self._log.last_run_id if self._lock is None else self._own_run_id

    def record(self, document: DocumentT) -> DocumentT:
        """Write a document and return it with its sequence number; it is on the disk, or `StorageError` is raised."""
        (numbered,) = self.record_together([document])
        return numbered

    def record_together(self, documents: Sequence[DocumentT]) -> list[DocumentT]:
        """Write documents that are only true together: after a crash all of them are there, or none is."""
        self._require_writing()
        first = self._log.last_sequence + 1
        numbered = [d.model_copy(update={"sequence": first + index}) for index, d in enumerate(documents)]
        rows: list[Base] = []
        stored_documents = []
        for document in numbered:
            row, stored = document_row(self._id, document)
            rows.append(row)
            stored_documents.append(stored)
            if isinstance(document, Correction):
                rows.append(correction_row(self._id, document))
        kinds = sorted({document.kind for document in stored_documents})
        self._database.add(rows, f"the {' and '.join(kinds)} document")
        for stored in stored_documents:
            self._log.append(stored)
        return numbered

    def documents(self, *, kind: str | None = None, lamella: str | None = None) -> list[AnyDocument]:
        """Return the documents in order, of one kind and one lamella if given; ``lamella=""`` is the run itself."""
        if self._lock is None:
            self._read_new_documents()
        return self._log.select(kind, lamella)

    def save_image(self, image: Image, *, name: str) -> ImageReference:
        """Write an image file under a new name like ``name`` and register it; nothing is ever overwritten."""
        self._require_writing()
        reference = images.write_new_image(self._directory, image, name)
        try:
            self._database.add([image_row(self._id, reference, image)], f"the image {reference.path}")
        except StorageError:
            (self._directory / reference.path).unlink(missing_ok=True)
            raise
        return reference

    def load_image(self, reference: ImageReference) -> Image:
        """Read an image; raise `ExperimentError` when its file is missing or not the one that was recorded."""
        return images.read_verified_image(self._directory, reference)

    def close(self) -> None:
        """Close the database and let others write; safe to call twice."""
        self._database.close()
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read_new_documents(self) -> None:
        texts = self._database.documents_after(self._id, self._log.last_sequence)
        for document in parse_documents(texts, origin=self._database.name):
            self._log.append(document)

    def _require_writing(self) -> None:
        if self._lock is None or not self._lock.is_held:
            raise ExperimentError(f"{self._directory} is not open for writing; resume the experiment first")


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())


def _require_experiment(directory: Path) -> None:
    if not directory.is_dir():
        raise ExperimentError(f"there is no experiment {directory}; give the folder that a run printed")
    if not (directory / DATABASE_FILE).is_file():
        raise ExperimentError(
            f"{directory} is not an experiment, it has no {DATABASE_FILE}; give the folder that a run printed"
        )


def _build(directory: Path, name: str, files: Mapping[str, str]) -> None:
    """Write everything under a temporary name beside ``directory`` and rename it."""
    building = directory.with_name(f".{directory.name}.{uuid4().hex}.tmp")
    try:
        (building / images.FOLDER).mkdir(parents=True)
        for file_name, text in files.items():
            write_text(building / file_name, text)
        _create_database(building / DATABASE_FILE, name)
        sync_folder(building)
        if directory.exists():
            directory.rmdir()
        building.rename(directory)
        sync_folder(directory.parent)
    except OSError as error:
        raise StorageError(
            f"the experiment {directory} was not created: {error.strerror or error}; "
            "choose a folder you may write to or free disk space"
        ) from error
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _create_database(path: Path, name: str) -> None:
    database = Database(path)
    try:
        database.create(
            ExperimentRow(id=uuid4().hex, name=name, schema_version=SCHEMA_VERSION, created_at=datetime.now(UTC))
        )
    finally:
        database.close()
