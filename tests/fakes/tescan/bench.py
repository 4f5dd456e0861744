"""Which fake instruments answer, by host name; apart from the vendor's package, so that only a driver imports that."""

from __future__ import annotations

from tescan.instrument import Instrument

BENCH: dict[str, Instrument] = {}
