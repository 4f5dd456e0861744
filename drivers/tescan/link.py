"""The connection to the Automation SDK: one socket, one thread, a time limit on every call.

The SDK is not safe from several threads: concurrent calls corrupt its stream (vendor-tescan.md A2). All calls run on
one worker thread that owns the ``Automation`` object. A call that does not return in time poisons its worker; the next
call opens a new connection.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from fibsem_runtime.core.errors import ConnectionLostError, FibsemError, HardwareError, NotSupportedError

T = TypeVar("T")

URGENT_PATIENCE_S = 2.0
"""How long a stop waits for a call that another thread has under way before it takes a connection of its own."""

_STREAM_ERRORS = (TypeError, ValueError)
"""What any getter raises when the stream is out of step or the server is blocked (vendor-tescan.md A2, B1)."""


class Worker:
    """A thread that owns one connection and does one call after the other."""

    def __init__(self, connect: Callable[[], Any]) -> None:
        self._jobs: queue.SimpleQueue[tuple[Callable[[Any], Any], Future[Any]] | None] = queue.SimpleQueue()
        self._connect = connect
        self._thread = threading.Thread(target=self._serve, name="tescan-sdk", daemon=True)
        self._thread.start()

    def submit(self, job: Callable[[Any], Any]) -> Future[Any]:
        """Queue a call that receives the ``Automation`` object."""
        future: Future[Any] = Future()
        self._jobs.put((job, future))
        return future

    def end(self) -> None:
        """Let the thread end after what is queued."""
        self._jobs.put(None)

    def join(self, timeout_s: float) -> None:
        """Wait for the end of the thread."""
        self._thread.join(timeout_s)

    def _serve(self) -> None:
        sdk: Any = None
        while (item := self._jobs.get()) is not None:
            job, future = item
            try:
                sdk = sdk if sdk is not None else self._connect()
                future.set_result(job(sdk))
            except BaseException as error:  # noqa: BLE001 - the error belongs to the caller, who raises it
                future.set_exception(error)
        if sdk is not None:
            # The connection is given up; what the vendor says about that helps nobody.
            with suppress(Exception):
                sdk.Disconnect()


@dataclass(kw_only=True)
class Link:
    """Call the SDK by dotted name and turn what it raises into errors of the runtime."""

    connect: Callable[[], Any]
    address: str
    call_timeout_s: float
    _worker: Worker | None = field(default=None, init=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, init=False)
    _is_closed: bool = field(default=False, init=False)

    def call(
        self, name: str, *args: Any, family: type[HardwareError] = HardwareError, timeout_s: float | None = None
    ) -> Any:
        """Call ``name`` (for example ``SEM.Optics.GetWD``) and return its result.

        Raises ``family`` with the vendor's text for an error of the SDK, `NotSupportedError` for a function that this
        version lacks, `ConnectionLostError` when the connection is broken, out of step or silent.
        """
        return self.do(name, lambda sdk: _find(sdk, name)(*args), family=family, timeout_s=timeout_s)

    def read(
        self,
        name: str,
        convert: Callable[[Any], T],
        *args: Any,
        family: type[HardwareError] = HardwareError,
        timeout_s: float | None = None,
    ) -> T:
        """Call ``name`` and return its answer as ``convert`` makes it; see `call`.

        A blocked server answers with nothing at all (vendor-tescan.md B1): a ``TypeError`` or ``ValueError`` of
        ``convert`` is a broken stream like one that the SDK itself raises, never a value.
        """
        found: T = self.do(name, lambda sdk: convert(_find(sdk, name)(*args)), family=family, timeout_s=timeout_s)
        return found

    def value(self, name: str) -> Any:
        """Return a constant of the SDK, for example ``FIB.Beam.Status.BeamOn``."""
        return self.do(name, lambda sdk: _find(sdk, name))

    def do(
        self,
        what: str,
        job: Callable[[Any], Any],
        *,
        family: type[HardwareError] = HardwareError,
        timeout_s: float | None = None,
    ) -> Any:
        """Run ``job`` on the thread of the connection; see `call`."""
        limit_s = self.call_timeout_s if timeout_s is None else timeout_s
        with self._lock:
            future = self._live_worker(what).submit(job)
            try:
                return future.result(limit_s)
            except FibsemError:
                raise
            except TimeoutError as error:
                self._drop()
                raise ConnectionLostError(
                    f"{what}: no answer from TESCAN at {self.address} within {limit_s:g} s; look for a message window "
                    "at the instrument"
                ) from error
            except (*_STREAM_ERRORS, OSError) as error:
                self._drop()
                raise ConnectionLostError(
                    f"{what}: the connection to TESCAN at {self.address} is broken or out of step ({_text(error)}); it "
                    "is opened again with the next call"
                ) from error
            except Exception as error:
                raise family(f"{what}: TESCAN says {_text(error)}") from error

    @contextmanager
    def urgent(self) -> Iterator[Link]:
        """Yield this link, or a new connection while another thread holds this one up."""
        if self._lock.acquire(timeout=URGENT_PATIENCE_S):
            try:
                yield self
            finally:
                self._lock.release()
            return
        second = Link(connect=self.connect, address=self.address, call_timeout_s=self.call_timeout_s)
        try:
            yield second
        finally:
            second.close()

    def close(self) -> None:
        """End the connection; further calls are refused."""
        self._is_closed = True
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.end()
            worker.join(self.call_timeout_s)

    def _live_worker(self, what: str) -> Worker:
        if self._is_closed:
            raise ConnectionLostError(f"{what} was asked of a connection that is closed; open the driver again")
        if self._worker is None:
            self._worker = Worker(self._connected)
        return self._worker

    def _connected(self) -> Any:
        try:
            return self.connect()
        except Exception as error:
            raise ConnectionLostError(
                f"no TESCAN instrument answers at {self.address} ({_text(error)}); check host and port, and that "
                "Essence runs"
            ) from error

    def _drop(self) -> None:
        if self._worker is not None:
            self._worker.end()
            self._worker = None


def _find(sdk: Any, name: str) -> Any:
    found = sdk
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError as error:
            raise NotSupportedError(f"this TESCAN Automation SDK has no {name}; nothing was done") from error
    return found


def _text(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
