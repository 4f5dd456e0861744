"""The sputter coater of Arctis and Hydra (vendor-thermofisher.md section 12)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from drivers.thermofisher.conditions import CURRENT_TOLERANCE_PERCENT
from drivers.thermofisher.connection import Client, Connection
from drivers.thermofisher.settings import ThermoFisherSettings
from fibsem_runtime.core import CancelToken
from fibsem_runtime.hal.attempts import attempt_all, restored
from fibsem_runtime.hal.guards.readback import check_ratio


@dataclass(frozen=True, slots=True, kw_only=True)
class ThermoFisherCoater:
    """Prepare, run, recover; the chamber is brought back whatever happens in between."""

    connection: Connection
    config: ThermoFisherSettings

    def coat(self, *, duration_s: float, current_a: float, cancel: CancelToken) -> None:
        """Sputter for ``duration_s`` and bring the chamber back.

        The server sputters in one call, which is not cancelled. Raises `RefusedSettingError` when the current does not
        read back (nothing was sputtered) and `HardwareError` naming what failed, the bringing back included.
        """
        cancel.raise_if_cancelled()
        with restored(
            lambda: attempt_all([("bring the chamber back after sputtering", self._recover)]),
            "{failures}; look at the coater and the vacuum before anything else is done",
        ):
            self._prepare(current_a)
            cancel.raise_if_cancelled()
            self._do("sputter", lambda client: client.specimen.sputter_coater.run(duration_s), duration_s)

    def _prepare(self, current_a: float) -> None:
        pressure_pa = self.config.sputter.pressure_pa

        def order(client: Client) -> float:
            coater = client.specimen.sputter_coater
            coater.prepare()
            if pressure_pa is not None:
                client.vacuum.pump(self.connection.sdk.structures.VacuumSettings(pressure=pressure_pa))
            coater.current.value = current_a
            return float(coater.current.value)

        found_a = self._do("prepare the chamber for sputtering", order)
        check_ratio(
            "a sputter current of",
            asked=current_a,
            found=found_a,
            tolerance_percent=CURRENT_TOLERANCE_PERCENT,
            unit="A",
        )

    def _recover(self) -> None:
        self._do("bring the chamber back", lambda client: client.specimen.sputter_coater.recover())

    def _do(self, what: str, job: Callable[[Client], float | None], duration_s: float = 0.0) -> float:
        return self.connection.call(what, job, limit_s=self.config.time_limits.vacuum_s + duration_s) or 0.0
