"""A fake TESCAN instrument behind a SharkSEM server on the loopback interface."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from sharksem.server import SharkServer
from tescan.instrument import Instrument, driver_settings

import drivers.sharksem
from drivers.sharksem import SharkSemPlugin


@contextmanager
def serving(instrument: Instrument, **options: Any) -> Iterator[tuple[SharkSemPlugin, SharkServer]]:
    """Serve an instrument, with its clock as the driver's."""
    plugin = SharkSemPlugin(make_clock=lambda: instrument.clock)
    server = SharkServer(instrument, **options)
    try:
        with mock.patch.object(drivers.sharksem, "plugin", plugin):
            yield plugin, server
    finally:
        server.close()


def shark_settings(server: SharkServer, **changes: Any) -> dict[str, Any]:
    """Return ``driver.settings`` for the server."""
    return driver_settings(host="127.0.0.1", port=server.port, **changes)


@contextmanager
def rehearse() -> Iterator[dict[str, Any]]:
    """Serve a fresh instrument for the contract suite and give the driver's settings."""
    with serving(Instrument()) as (_, server):
        yield shark_settings(server)
