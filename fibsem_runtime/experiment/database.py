"""The database below an experiment: durable writes, typed errors."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import Connection

from sqlalchemy import create_engine, event, select, text
from sqlalchemy.engine import URL, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry

from fibsem_runtime.core.errors import ExperimentError, StorageError
from fibsem_runtime.experiment.schema import SCHEMA_VERSION, Base, DocumentRow, ExperimentRow


class Database:
    """Rows in and out; a write is on the disk when it returns, or nothing of it is."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        """Prepare the engine; nothing is opened before the first use."""
        self.name = str(path)
        self._engine = create_engine(_url(path, read_only=read_only))
        _make_durable(self._engine, read_only=read_only)

    def create(self, experiment: ExperimentRow) -> None:
        """Create what is missing of the schema and add the experiment."""
        try:
            Base.metadata.create_all(self._engine)
        except DBAPIError as error:
            raise StorageError(
                f"{self.name} was not created: {_reason(error)}; free disk space and try again"
            ) from error
        self.add([experiment], "the experiment")

    def add(self, rows: Sequence[Base], what: str) -> None:
        """Insert all rows in one transaction; raise `StorageError` naming ``what`` when none was written."""
        try:
            with Session(self._engine) as session, session.begin():
                for row in rows:
                    session.add(row)
                    session.flush()
        except DBAPIError as error:
            raise StorageError(
                f"{what} was not written to {self.name}: {_reason(error)}; free disk space, then resume"
            ) from error

    def verify(self) -> None:
        """Raise `ExperimentError` when the file is not a database or its pages are damaged."""
        try:
            with self._engine.connect() as connection:
                found = str(connection.execute(text("PRAGMA quick_check(1)")).scalar())
        except DBAPIError as error:
            raise self._unreadable(_reason(error)) from error
        if found != "ok":
            raise self._unreadable(" ".join(found.split()))

    def experiment(self) -> ExperimentRow:
        """Return the one experiment; raise `ExperimentError` when there is none or a newer program wrote it."""
        with self._reading() as session:
            found = session.scalars(select(ExperimentRow)).all()
        if len(found) != 1:
            raise ExperimentError(
                f"{self.name} holds {len(found)} experiments, expected is one; restore it from a copy"
            )
        if found[0].schema_version > SCHEMA_VERSION:
            raise ExperimentError(
                f"{self.name} has schema {found[0].schema_version}, this program knows up to {SCHEMA_VERSION}; "
                "open it with the version that wrote it, or a newer one"
            )
        return found[0]

    def documents_after(self, experiment_id: str, sequence: int) -> Sequence[str]:
        """Return the JSON of all documents with a higher number than ``sequence``, in order."""
        query = (
            select(DocumentRow.json)
            .where(DocumentRow.experiment_id == experiment_id, DocumentRow.sequence > sequence)
            .order_by(DocumentRow.sequence)
        )
        with self._reading() as session:
            return session.scalars(query).all()

    def close(self) -> None:
        """Close all connections; safe to call twice."""
        self._engine.dispose()

    @contextmanager
    def _reading(self) -> Iterator[Session]:
        try:
            with Session(self._engine, expire_on_commit=False) as session:
                yield session
        except DBAPIError as error:
            raise self._unreadable(_reason(error)) from error

    def _unreadable(self, reason: str) -> ExperimentError:
        return ExperimentError(f"{self.name} cannot be read: {reason}; restore it from a copy")


def _url(path: Path, *, read_only: bool) -> URL:
    """Return the URL of a database file; a read-only one is never created by looking at it.

    A folder that cannot be written to (an archive) cannot hold the files that several connections share, so that its
    database is opened as one that does not change.
    """
    if not read_only:
        return URL.create("sqlite", database=str(path))
    query = {"mode": "ro", "uri": "true"}
    if not os.access(path.parent, os.W_OK):
        query["immutable"] = "1"
    return URL.create("sqlite", database=path.absolute().as_uri(), query=query)


def _reason(error: DBAPIError) -> str:
    return " ".join(str(error.orig).split())


def _make_durable(engine: Engine, *, read_only: bool) -> None:
    """Make every commit of SQLite reach the disk before it returns, and let readers in while a run writes."""

    @event.listens_for(engine, "connect")
    def _configure(connection: Connection, _record: ConnectionPoolEntry) -> None:
        pragmas = ["busy_timeout = 10000", "foreign_keys = ON", "synchronous = FULL", "fullfsync = ON"]
        if not read_only:
            pragmas.append("journal_mode = WAL")
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}").close()
