"""One connection to the AutoScript server: one thread calls it, one call at a time, each with a time limit.

The server keeps one active view and one device for the whole connection (vendor-thermofisher.md section 4). Jobs are
therefore whole actions (select the view, verify it, act) that nothing can come between.
"""

from __future__ import annotations

import contextlib
import queue
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any, TypeAlias, TypeVar

from drivers.thermofisher.fair_lock import FairLock
from drivers.thermofisher.sdk import Sdk
from drivers.thermofisher.settings import ThermoFisherSettings
from fibsem_runtime.core.errors import ConnectionLostError, FibsemError, HardwareError
from fibsem_runtime.core.units import format_duration

Client: TypeAlias = Any
"""An ``SdbMicroscopeClient``; AutoScript brings no types."""

T = TypeVar("T")


class Link:
    """One client with the thread that alone calls it; ``lost`` says why it is not used any more."""

    def __init__(self, client: Client) -> None:
        """Start the thread; a daemon, so that a call that hangs does not keep the process alive."""
        self.client = client
        self.lock = FairLock()
        self.lost = ""
        self._jobs: queue.SimpleQueue[tuple[Future[Any], Callable[[Client], Any]] | None] = queue.SimpleQueue()
        threading.Thread(target=self._work, name="autoscript", daemon=True).start()

    def submit(self, job: Callable[[Client], T]) -> Future[T]:
        """Hand a job to the thread."""
        future: Future[T] = Future()
        self._jobs.put((future, job))
        return future

    def end(self) -> None:
        """Let the thread end after its present job."""
        self._jobs.put(None)

    def _work(self) -> None:
        while (order := self._jobs.get()) is not None:
            future, job = order
            try:
                future.set_result(job(self.client))
            except BaseException as error:  # noqa: BLE001 - it is raised again in the thread that waits
                future.set_exception(error)


class Connection:
    """Call AutoScript from any thread and translate what goes wrong."""

    def __init__(self, sdk: Sdk, settings: ThermoFisherSettings) -> None:
        """Connect; raise `ConnectionLostError` when there is no answer."""
        self.sdk = sdk
        self._settings = settings
        self._is_open = True
        self._link = self._connect()

    def call(
        self,
        what: str,
        job: Callable[[Client], T],
        *,
        family: type[HardwareError] = HardwareError,
        limit_s: float | None = None,
    ) -> T:
        """Do ``job`` on the SDK thread and return its result; ``what`` reads after 'asked to'.

        Raises ``family`` with the vendor's text when the server refuses, `ConnectionLostError` when the connection is
        gone or ``limit_s`` of real time have passed; every later call is refused then, until `take_over`.
        """
        link = self._link
        with link.lock:
            if link.lost:
                raise ConnectionLostError(f"asked to {what}, but the connection is lost: {link.lost}")
            return self._finish(link, what, job, family, limit_s or self._settings.time_limits.call_s)

    def take_over(self) -> None:
        """Make sure that the next call is answered: replace a link that is lost or busy by a new one.

        Raises `ConnectionLostError` when the server does not answer a new client either, and on a closed driver.
        """
        if not self._is_open:
            raise ConnectionLostError("the driver is closed; open it again")
        link = self._link
        if not link.lost:
            if link.lock.acquire(self._settings.time_limits.takeover_s):
                link.lock.release()
                return
            self._lose(link, "another call blocked it while the safe state was asked for")
        self._link = self._connect()

    def close(self) -> None:
        """Disconnect; the instrument stays as it is. Safe to call twice."""
        if not self._is_open:
            return
        self._is_open = False
        link = self._link
        if link.lost:
            return
        try:
            self.call("disconnect", lambda client: client.disconnect())
        finally:
            self._lose(link, "the driver is closed; open it again")

    def _connect(self) -> Link:
        settings = self._settings
        address = f"{settings.host}:{settings.port}"
        link = Link(self.sdk.client_type())
        try:
            self._finish(
                link,
                f"connect to {address}",
                lambda client: _connect_quietly(client, settings),
                ConnectionLostError,
                settings.time_limits.call_s,
            )
        except HardwareError as error:
            self._lose(link, str(error))
            raise ConnectionLostError(
                f"{error}; start the microscope's AutoScript server and check driver.settings.host"
            ) from error
        return link

    def _finish(
        self, link: Link, what: str, job: Callable[[Client], T], family: type[HardwareError], limit_s: float
    ) -> T:
        future = link.submit(job)
        wait([future], timeout=limit_s)
        if not future.done():
            reason = f"no answer within {format_duration(limit_s)}"
            self._lose(link, f"{what}: {reason}")
            raise ConnectionLostError(f"asked to {what}, {reason}; look at the instrument, then open the driver again")
        try:
            return future.result()
        except FibsemError:
            raise
        except self.sdk.error_types as error:
            # A client that lost its server says so in server_host (vendor-thermofisher.md section 2, evidence M).
            if link.client.server_host is None:
                raise self._dropped(link, what, error) from error
            raise family(f"asked to {what}, the instrument answers: {error}") from error
        except (OSError, EOFError) as error:
            raise self._dropped(link, what, error) from error
        except (AttributeError, TypeError, ValueError) as error:
            raise HardwareError(
                f"asked to {what}, this AutoScript does not fit the driver: {error}; compare the versions of client, "
                "server and driver"
            ) from error

    def _dropped(self, link: Link, what: str, error: Exception) -> ConnectionLostError:
        self._lose(link, f"{what}: {error}")
        return ConnectionLostError(
            f"asked to {what}, the connection was lost: {error or type(error).__name__}; look at the instrument, then "
            "open the driver again"
        )

    def _lose(self, link: Link, reason: str) -> None:
        link.lost = reason
        link.end()


def _connect_quietly(client: Client, settings: ThermoFisherSettings) -> None:
    # AutoScript prints two lines when it connects (section 2); stdout belongs to the command line's results.
    with contextlib.redirect_stdout(sys.stderr):
        client.connect(settings.host, settings.port)
