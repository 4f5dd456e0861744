"""The database below an experiment: durable writes, typed errors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from sqlite3 import Connection

from sqlalchemy import Select, create_engine, event, select
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry

from fibsem_runtime.core.errors import ConfigError, ExperimentError, StorageError
from fibsem_runtime.experiment.schema import SCHEMA_VERSION, Base, ExperimentRow


def sqlite_url(path: Path) -> URL:
    """Return the URL of a database file."""
    return URL.create("sqlite", database=str(path))


class Database:
    """Rows in and out; a write is on the disk when it returns, or nothing of it is."""

    def __init__(self, url: URL | str, *, read_only: bool = False) -> None:
        """Prepare the engine; nothing is opened before the first use."""
        try:
            self._url = make_url(url)
            self._engine = create_engine(self._url)
        except (ArgumentError, ImportError) as error:
            raise ConfigError(f"cannot use the database {url}: {error}") from error
        if self._url.get_backend_name() == "sqlite":
            _make_durable(self._engine, read_only=read_only)

    @property
    def name(self) -> str:
        """Return what messages call the database; never with a password."""
        return self._url.database or self._url.render_as_string(hide_password=True)

    def create_tables(self) -> None:
        """Create what is missing of the schema."""
        try:
            Base.metadata.create_all(self._engine)
        except DBAPIError as error:
            raise StorageError(f"{self.name} was not created: {_reason(error)}; free disk space and try again") from error

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

    def texts(self, query: Select[tuple[str]]) -> list[str]:
        """Return the text column of all rows of a query."""
        return list(self._read(query))

    def number(self, query: Select[tuple[int]]) -> int:
        """Return the one number of a query."""
        return int(self._read(query)[0])

    def experiment(self, experiment_id: str) -> ExperimentRow | None:
        """Return one experiment; raise `ExperimentError` when it was written by a newer program."""
        found = self._read(select(ExperimentRow).where(ExperimentRow.id == experiment_id))
        if found and found[0].schema_version > SCHEMA_VERSION:
            raise ExperimentError(
                f"{self.name} has schema {found[0].schema_version}, this program knows up to {SCHEMA_VERSION}; "
                "open it with the version that wrote it, or a newer one"
            )
        return found[0] if found else None

    def close(self) -> None:
        """Close all connections; safe to call twice."""
        self._engine.dispose()

    def _read[RowT](self, query: Select[tuple[RowT]]) -> Sequence[RowT]:
        try:
            with Session(self._engine, expire_on_commit=False) as session:
                return session.scalars(query).all()
        except DBAPIError as error:
            raise ExperimentError(f"{self.name} cannot be read: {_reason(error)}; restore it from a copy") from error


def _reason(error: DBAPIError) -> str:
    return " ".join(str(error.orig).split())


def _make_durable(engine: Engine, *, read_only: bool) -> None:
    """Make every commit of SQLite reach the disk before it returns, and let readers in while a run writes."""

    @event.listens_for(engine, "connect")
    def _configure(connection: Connection, _record: ConnectionPoolEntry) -> None:
        pragmas = ["busy_timeout = 10000", "foreign_keys = ON", "synchronous = FULL", "fullfsync = ON"]
        pragmas.append("query_only = ON" if read_only else "journal_mode = WAL")
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}").close()
