"""Value proxies: ``value`` with limits that the server enforces (vendor-fakes.md T3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from autoscript_core.common import ApplicationServerException

from ._instrument import Instrument
from .structures import Limits, Limits2d


class Value:
    """One setting of the server."""

    is_controllable = True

    def __init__(
        self,
        instrument: Instrument,
        client: Any,
        name: str,
        *,
        get: Callable[[], Any],
        put: Callable[[Any], None] | None = None,
        limits: Callable[[], Any] | None = None,
        available: Callable[[], list[Any]] | None = None,
    ) -> None:
        self._server = (instrument, client, name)
        self._get, self._put, self._limits, self._available = get, put, limits, available

    @property
    def value(self) -> Any:
        instrument, client, name = self._server
        with instrument.call(client, name):
            return self._get()

    @value.setter
    def value(self, asked: Any) -> None:
        instrument, client, name = self._server
        with instrument.call(client, f"{name}=", asked) as fault:
            if self._put is None:
                raise ApplicationServerException(f"{name} cannot be set.")
            instrument.refuse_while_milling(f"Changing {name}")
            if self._limits is not None:
                refuse_outside(name, asked, self._limits())
            instrument.spend(instrument.options.setting_s)
            if fault != "ignore":
                self._put(asked)

    @property
    def limits(self) -> Any:
        instrument, client, name = self._server
        with instrument.call(client, f"{name}.limits"):
            if self._limits is None:
                raise AttributeError(f"{name} has no limits")
            return self._limits()

    @property
    def available_values(self) -> list[Any]:
        instrument, client, name = self._server
        with instrument.call(client, f"{name}.available_values"):
            if self._available is None:
                raise AttributeError(f"{name} has no available_values")
            return self._available()


def refuse_outside(name: str, asked: Any, limits: Any) -> None:
    """Raise as the server does; it never clips."""
    pairs = (
        ((asked.x, limits.limits_x), (asked.y, limits.limits_y)) if isinstance(limits, Limits2d) else ((asked, limits),)
    )
    for value, allowed in pairs:
        if not allowed.min <= value <= allowed.max:
            raise ApplicationServerException(
                f"The value {value} of {name} is out of range [{allowed.min}, {allowed.max}]."
            )


def range_of(low: float, high: float) -> Limits:
    """Return limits."""
    return Limits(low, high)
