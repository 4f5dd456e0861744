"""The server: two ports, several clients, chunks that get lost or come twice."""

from __future__ import annotations

import socket
import threading
from dataclasses import dataclass, field
from typing import Any

from tescan.column import Area
from tescan.exposure import Refused
from tescan.instrument import Instrument

from sharksem.functions import Function, busy_bits, functions
from sharksem.protocol import RESPOND, Request, arguments, chunk, message, picture, receive, values

WAIT_FLAGS = 0x7F00


class DropConnection(Exception):
    """Raised by a fault: the server closes both sockets of the client."""


class StaySilent(Exception):
    """Raised by a fault: the server does not answer, as when a message window blocks it."""


@dataclass(eq=False)
class Session:
    """One client."""

    control: socket.socket
    data_port: int = 0
    data: socket.socket | None = None
    ready: threading.Event = field(default_factory=threading.Event)

    def close(self) -> None:
        """Close both sockets."""
        for each in (self.control, self.data):
            if each is not None:
                each.close()


@dataclass
class Chunks:
    """How frames are cut and what happens to the pieces, by their number."""

    size_px: int = 20_000
    lost: set[int] = field(default_factory=set)
    repeated: set[int] = field(default_factory=set)
    drop_after: int | None = None


class SharkServer:
    """Serve one instrument until closed."""

    def __init__(self, instrument: Instrument, *, padded_floats: bool = True) -> None:
        self.instrument = instrument
        self.padded_floats = padded_floats
        self.chunks = Chunks()
        self.requests: list[Request] = []
        self._functions: dict[str, Function] = functions(instrument)
        self._sessions: list[Session] = []
        self._threads: list[threading.Thread] = []
        self._frame_count = 0
        self._control, self._data = _two_ports()
        self.port: int = self._control.getsockname()[1]
        self._start(self._accept_control)
        self._start(self._accept_data)

    def close(self) -> None:
        """Close everything and wait for the threads."""
        self.instrument.faults.release()
        for listener in (self._control, self._data):
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for session in self._sessions:
            _end(session)
        for thread in self._threads:
            thread.join(10)
        # A connection may have been accepted while the others were being closed.
        for session in self._sessions:
            _end(session)

    def _start(self, target: Any, *args: Any) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept_control(self) -> None:
        while True:
            try:
                sock, _ = self._control.accept()
            except OSError:
                return
            session = Session(sock)
            self._sessions.append(session)
            self._start(self._serve, session)

    def _accept_data(self) -> None:
        """Match a data connection with the client that registered its source port; refuse any other (K1)."""
        while True:
            try:
                sock, address = self._data.accept()
            except OSError:
                return
            session = next((each for each in reversed(self._sessions) if each.data_port == address[1]), None)
            if session is None:
                sock.close()
                continue
            session.data = sock
            session.ready.set()

    def _serve(self, session: Session) -> None:
        while (request := receive(session.control)) is not None:
            self.requests.append(request)
            try:
                self._answer(session, request)
            except StaySilent:
                continue
            except (DropConnection, OSError):
                break
        _end(session)

    def _answer(self, session: Session, request: Request) -> None:
        if request.name == "TcpRegDataPort":
            (session.data_port,) = arguments(request.body, "I")
            self._reply(session, request, (0,))
            return
        is_scan = request.name in ("ScScanXY", "FibScScanXY")
        is_camera = request.name == "CameraEnable"
        kinds, function = (
            ("UUUUUUUIU", None) if is_scan else ("IFFI", None) if is_camera else self._functions[request.name]
        )
        given = arguments(request.body, kinds)
        answered, answer = self.instrument.faults.meet(request.name, tuple(given))
        if answered:
            self._reply(session, request, answer)
            return
        with self.instrument.lock:
            if request.flags & WAIT_FLAGS & busy_bits(self.instrument):
                self._wait(request.flags)
            if is_camera:
                self._show_chamber(session)
                return
            if function is None:
                self._scan(session, request, given)
                return
            try:
                result = function(*given)
            except Refused:
                result = None
        if result is not None or request.flags & RESPOND:
            self._reply(session, request, result or ())

    def _wait(self, flags: int) -> None:
        """Let time pass until the flagged subsystems are idle (K4)."""
        while flags & WAIT_FLAGS & busy_bits(self.instrument):
            self.instrument.clock.sleep(0.5)

    def _reply(self, session: Session, request: Request, items: tuple[Any, ...]) -> None:
        session.control.sendall(
            message(request.name, values(items, padded=self.padded_floats), message_id=request.message_id)
        )

    def _scan(self, session: Session, request: Request, given: list[int]) -> None:
        """Answer with a frame id, or a negative number for a bad region (K11), then push the pixels."""
        is_ion = request.name.startswith("Fib")
        column = self.instrument.ion if is_ion else self.instrument.electron
        _, width, height, left, top, right, bottom, _, dwell_ns = given
        side = max(width, height)
        try:
            bits = getattr(column, "bits", 8)
            pixels = column.frame(side, side, dwell_ns, bits, Area(left, top, right, bottom))
        except Refused:
            self._reply(session, request, (-1,))
            return
        self._frame_count += 1
        self._reply(session, request, (self._frame_count,))
        raw = pixels.astype("<u2" if bits == 16 else "u1").tobytes()
        self._push(session, "FibScData" if is_ion else "ScData", self._frame_count, bits, raw)

    def _show_chamber(self, session: Session) -> None:
        """Push one picture of the chamber."""
        assert session.ready.wait(5) and session.data is not None
        session.data.sendall(picture(self.instrument.chamber.picture()))

    def _push(self, session: Session, name: str, frame_id: int, bits: int, raw: bytes) -> None:
        """Send the chunks, those of a second channel between them; lose and repeat some (K6)."""
        assert session.ready.wait(5) and session.data is not None
        size = self.chunks.size_px * bits // 8
        pieces = [(at * 8 // bits, raw[at : at + size]) for at in range(0, len(raw), size)]
        order = list(range(len(pieces)))
        for lost in sorted(self.chunks.lost & set(order), reverse=True):
            order[lost : lost + 2] = [*order[lost + 1 : lost + 2], *order[lost : lost + 2]]
        for repeated in self.chunks.repeated & set(order):
            order.insert(order.index(repeated) + 1, repeated)
        for count, number in enumerate(order):
            if count == self.chunks.drop_after:
                raise DropConnection
            index, data = pieces[number]
            session.data.sendall(chunk(name, frame_id, 1, index, 8, b"other channel"))
            session.data.sendall(chunk(name, frame_id, 0, index, bits, data))


def _end(session: Session) -> None:
    for each in (session.control, session.data):
        if each is not None:
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
    session.close()


def _two_ports() -> tuple[socket.socket, socket.socket]:
    """Return listeners on two ports in a row."""
    for _ in range(50):
        first = socket.create_server(("127.0.0.1", 0))
        try:
            return first, socket.create_server(("127.0.0.1", first.getsockname()[1] + 1))
        except OSError:
            first.close()
    raise RuntimeError("no two ports in a row are free")
