"""Stand-in for AutoScript's client, written from vendor-thermofisher.md and vendor-fakes.md; for tests only."""

from __future__ import annotations

import sys
from typing import Any

from . import build_information
from ._beams import Beams
from ._gas import Gas
from ._imaging import AutoFunctions, Detector, Imaging
from ._instrument import INSTRUMENTS
from ._others import Service, Vacuum
from ._patterning import Patterning
from ._specimen import Specimen

__all__ = ["SdbMicroscopeClient", "build_information"]


class SdbMicroscopeClient:
    """Client of one server; parts of it appear when it is connected."""

    def __init__(self) -> None:
        self.server_host: str | None = None

    def connect(self, host: str = "localhost", port: int = 7520) -> None:
        """Connect to a virtual instrument that a test has put behind ``host``."""
        sys.stdout.write(f"Client connecting to [{host}:{port}]...\n")
        instrument = INSTRUMENTS.get(host)
        if instrument is None or port != 7520:
            raise ConnectionRefusedError(f"No server answers at {host}:{port}.")
        self.server_host = host
        self._wire(instrument)
        with instrument.call(self, "connect", host, port):
            sys.stdout.write(f"Client connected to [{host}:{port}]\n")

    def _wire(self, instrument: Any) -> None:
        self.service = Service(instrument, self)
        self.imaging = Imaging(instrument, self)
        self.detector = Detector(instrument, self)
        self.beams = Beams(instrument, self)
        self.specimen = Specimen(instrument, self)
        self.patterning = Patterning(instrument, self)
        self.auto_functions = AutoFunctions(instrument, self)
        self.gas = Gas(instrument, self)
        self.vacuum = Vacuum(instrument, self)

    def disconnect(self) -> None:
        """Leave the server."""
        self.server_host = None
