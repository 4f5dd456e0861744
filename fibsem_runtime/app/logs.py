"""Where log lines go: warnings to stderr for people, everything to the experiment's ``log.jsonl``."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from fibsem_runtime.core.errors import StorageError

_SHARED = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
)


def configure_logging(*, verbose: bool = False) -> None:
    """Send log lines of this process to stderr; stdout belongs to the command's answer."""
    structlog.configure(
        processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setLevel(logging.INFO if verbose else logging.WARNING)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_SHARED, processor=structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    # Damaged files are reported by the error that they raise; tifffile logs every tag of them on top.
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)


@contextmanager
def log_to_file(path: Path, *, run_id: str) -> Iterator[None]:
    """Append every log line of the block to ``path`` as JSON, each with ``run_id``."""
    try:
        handler = logging.FileHandler(path, encoding="utf-8")
    except OSError as error:
        raise StorageError(f"cannot write the log {path}: {error.strerror}; free disk space") from error
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_SHARED, processor=structlog.processors.JSONRenderer(sort_keys=True)
        )
    )
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        with structlog.contextvars.bound_contextvars(run_id=run_id):
            yield
    finally:
        root.removeHandler(handler)
        handler.close()
