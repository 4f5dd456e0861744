"""The lock that keeps an experiment to one writing process; the operating system releases it on any death."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from fibsem_runtime.core.errors import ExperimentError, StorageError

if sys.platform == "win32":
    import msvcrt

    # Windows forbids reading a locked byte; the lock lies beyond the text that names the holder.
    _LOCKED_BYTE = 4096

    def _lock(descriptor: int) -> None:
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


class ExperimentLock:
    """Hold ``experiment.lock`` of a directory until `release` or the end of the process."""

    def __init__(self, directory: Path) -> None:
        """Take the lock; raise `ExperimentError` naming the process that holds it."""
        path = directory / "experiment.lock"
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise StorageError(
                f"cannot lock {directory}: {error.strerror}; choose a folder you may write to"
            ) from error
        try:
            _lock(self._descriptor)
        except OSError as error:
            holder = (
                os.pread(self._descriptor, 64, 0).decode("ascii", "replace").strip() if hasattr(os, "pread") else ""
            )
            os.close(self._descriptor)
            raise ExperimentError(
                f"{directory} is in use by another run (process {holder or 'unknown'}); wait for it or stop it"
            ) from error
        self._name_holder()

    def _name_holder(self) -> None:
        """Write the process number for the message to others; the lock holds without it."""
        try:
            os.ftruncate(self._descriptor, 0)
            os.lseek(self._descriptor, 0, os.SEEK_SET)
            os.write(self._descriptor, f"{os.getpid()}\n".encode("ascii"))
        except OSError as error:
            self.release()
            raise StorageError(f"cannot write the lock file: {error.strerror}; free some disk space") from error

    @property
    def is_held(self) -> bool:
        """Tell whether the lock was not released yet."""
        return self._descriptor >= 0

    def release(self) -> None:
        """Let others in; safe to call twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
