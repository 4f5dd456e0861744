"""Two sockets to a SharkSEM server: control and data (vendor-tescan.md B1)."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from drivers.sharksem.wire import HEADER, SEND_RESPONSE, Argument, Body, Header, decode_header, encode_message
from fibsem_runtime.core.errors import ConnectionLostError

URGENT_PATIENCE_S: Final = 2.0
"""How long a stop waits for a call that another thread has under way before it takes a connection of its own."""

_CHUNK_BYTES: Final = 1 << 16


class MessageStream:
    """Messages of one socket; a message that has arrived in part is kept until the rest comes."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._buffer = bytearray()
        self._header: Header | None = None

    def next_message(self, timeout_s: float) -> tuple[Header, bytes] | None:
        """Return the next message, or None when it is not complete within ``timeout_s``.

        Raises `ConnectionLostError` when the other side has closed or the stream is out of step.
        """
        deadline_s = time.monotonic() + timeout_s
        while (message := self._complete_message()) is None:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                return None
            self._socket.settimeout(left_s)
            try:
                data = self._socket.recv(_CHUNK_BYTES)
            except TimeoutError:
                return None
            except OSError as error:
                raise ConnectionLostError(f"the connection to the SharkSEM server broke: {error}") from error
            if not data:
                raise ConnectionLostError("the SharkSEM server closed the connection")
            self._buffer += data
        return message

    def _complete_message(self) -> tuple[Header, bytes] | None:
        if self._header is None and len(self._buffer) >= HEADER.size:
            self._header = decode_header(bytes(self._buffer[: HEADER.size]))
            del self._buffer[: HEADER.size]
        if self._header is None or len(self._buffer) < self._header.body_size:
            return None
        header, self._header = self._header, None
        body = bytes(self._buffer[: header.body_size])
        del self._buffer[: header.body_size]
        return header, body


@dataclass(frozen=True, slots=True, kw_only=True)
class Channels:
    """The sockets of one open connection."""

    control: socket.socket
    data: socket.socket
    replies: MessageStream
    frames: MessageStream

    def close(self) -> None:
        """Close both sockets."""
        self.control.close()
        self.data.close()


@dataclass(kw_only=True)
class SharkConnection:
    """Call functions by name; one call at a time, each with a time limit.

    After a time-out or a broken stream the connection is dropped, because its stream is out of step (B1); the next call
    opens a new one.
    """

    host: str
    port: int
    call_timeout_s: float
    lock: threading.RLock = field(default_factory=threading.RLock, init=False)
    _channels: Channels | None = field(default=None, init=False)
    _message_id: int = field(default=0, init=False)
    _is_closed: bool = field(default=False, init=False)

    def ask(
        self, name: str, kinds: str, *arguments: Argument, wait_flags: int = 0, timeout_s: float | None = None
    ) -> list[Argument]:
        """Call ``name`` and return the values of its reply, one a letter of ``kinds`` (I, U, F, S).

        ``wait_flags`` lets the server run it only when the flagged subsystems are idle (B2).
        """
        limit_s = self.call_timeout_s if timeout_s is None else timeout_s
        with self.lock, self._dropped_on_error(name):
            self._send(name, arguments, SEND_RESPONSE | wait_flags)
            message = self._open(name).replies.next_message(limit_s)
            if message is None:
                raise ConnectionLostError(
                    f"no answer within {limit_s:g} s; look for a message window at the instrument"
                )
            header, body = message
            if header.name != name:
                raise ConnectionLostError(f"the stream is out of step: the answer is {header.name}'s")
            return Body(body).read(kinds)

    def ask_int(self, name: str, *arguments: Argument, timeout_s: float | None = None) -> int:
        """Call a function that returns one integer."""
        return int(self.ask(name, "I", *arguments, timeout_s=timeout_s)[0])

    def ask_float(self, name: str, *arguments: Argument, wait_flags: int = 0, timeout_s: float | None = None) -> float:
        """Call a function that returns one number."""
        return float(self.ask(name, "F", *arguments, wait_flags=wait_flags, timeout_s=timeout_s)[0])

    def ask_text(self, name: str, *arguments: Argument) -> str:
        """Call a function that returns one string."""
        return str(self.ask(name, "S", *arguments)[0])

    def tell(self, name: str, *arguments: Argument, wait_flags: int = 0) -> None:
        """Send a command that has no reply; what became of it is seen when the value is read back."""
        with self.lock, self._dropped_on_error(name):
            self._send(name, arguments, wait_flags)

    def next_data(self, timeout_s: float) -> tuple[Header, bytes] | None:
        """Return the next message of the data channel, or None when none is complete in time."""
        with self.lock, self._dropped_on_error("the data channel"):
            return self._open("the data channel").frames.next_message(timeout_s)

    @contextmanager
    def urgent(self) -> Iterator[SharkConnection]:
        """Yield this connection, or a new one while another thread holds this one up."""
        if self.lock.acquire(timeout=URGENT_PATIENCE_S):
            try:
                yield self
            finally:
                self.lock.release()
            return
        second = SharkConnection(host=self.host, port=self.port, call_timeout_s=self.call_timeout_s)
        try:
            yield second
        finally:
            second.close()

    def drop(self) -> None:
        """Close the sockets; the next call opens new ones."""
        with self.lock:
            channels, self._channels = self._channels, None
            if channels is not None:
                channels.close()

    def close(self) -> None:
        """End the connection; further calls are refused."""
        self._is_closed = True
        self.drop()

    @contextmanager
    def _dropped_on_error(self, name: str) -> Iterator[None]:
        try:
            yield
        except ConnectionLostError as error:
            self.drop()
            raise ConnectionLostError(f"{name} at {self.host}:{self.port}: {error}") from error

    def _send(self, name: str, arguments: tuple[Argument, ...], flags: int) -> None:
        channels = self._open(name)
        self._message_id = (self._message_id + 1) % 2**32
        message = encode_message(name, arguments, message_id=self._message_id, flags=flags)
        try:
            channels.control.settimeout(self.call_timeout_s)
            channels.control.sendall(message)
        except OSError as error:
            raise ConnectionLostError(f"the connection to the SharkSEM server broke: {error}") from error

    def _open(self, name: str) -> Channels:
        if self._is_closed:
            raise ConnectionLostError(f"{name} was asked of a connection that is closed; open the driver again")
        if self._channels is None:
            self._channels = open_channels(self.host, self.port, self.call_timeout_s)
        return self._channels


def open_channels(host: str, port: int, timeout_s: float) -> Channels:
    """Connect control, register the data port, connect data: in this order (B1).

    The server tells clients apart by the source port of the data connection, which is therefore bound and registered
    first. Raises `ConnectionLostError` when nobody answers.
    """
    opened: list[socket.socket] = []
    try:
        control = socket.create_connection((host, port), timeout=timeout_s)
        opened.append(control)
        data = socket.socket(control.family, socket.SOCK_STREAM)
        opened.append(data)
        data.settimeout(timeout_s)
        data.bind(("", 0))
        for each in opened:
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        control.sendall(encode_message("TcpRegDataPort", [int(data.getsockname()[1])], flags=SEND_RESPONSE))
        replies = MessageStream(control)
        if replies.next_message(timeout_s) is None:
            raise ConnectionLostError("the server does not answer; check that remote control is enabled in Essence")
        data.connect((host, port + 1))
    except OSError as error:
        _close_all(opened)
        raise ConnectionLostError(
            f"no SharkSEM server answers ({error}); check host, port and that remote control is enabled in Essence"
        ) from error
    except ConnectionLostError:
        _close_all(opened)
        raise
    return Channels(control=control, data=data, replies=replies, frames=MessageStream(data))


def _close_all(sockets: list[socket.socket]) -> None:
    for each in sockets:
        each.close()
