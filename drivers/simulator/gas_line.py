"""The gas injection of the simulator: one platinum line whose gas condenses on the cold sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from drivers.simulator.machine import Machine
from drivers.simulator.process_state import LayerKind
from drivers.simulator.welding import deposit_joins
from fibsem_runtime.core import BeamType, CancelToken
from fibsem_runtime.core.errors import InterlockError, NotSupportedError
from fibsem_runtime.core.units import NM, UM

LINE: Final = "Pt dep"
"""Name of the platinum line (vendor-thermofisher.md section 10)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedGas:
    """A needle over the sample; while its valve is open a layer grows below it."""

    machine: Machine

    @property
    def lines(self) -> Sequence[str]:
        """Return the only line."""
        return (LINE,)

    def is_inserted(self) -> bool:
        """Read whether the needle is near the sample."""
        return self.machine.state.chamber.is_gas_inserted

    def prepare(self, line: str, *, cancel: CancelToken) -> None:
        """Heat the line; it stays warm until it is retracted."""
        cancel.raise_if_cancelled()
        self._begin("heating a gas line", line)
        chamber = self.machine.state.chamber
        if not chamber.is_gas_warm:
            self.machine.spend(self.machine.settings.timing.gas_heating_s)
            chamber.is_gas_warm = True
            self.machine.save()

    def is_ready(self, line: str) -> bool:
        """Read whether the line is warm."""
        self._require_line(line)
        return self.machine.state.chamber.is_gas_warm

    def insert(self, line: str, *, cancel: CancelToken) -> None:
        """Bring the needle to the sample."""
        cancel.raise_if_cancelled()
        self._begin("inserting a gas needle", line)
        self._move(is_inserted=True)

    def open_valve(self, line: str) -> None:
        """Let gas flow; raise `InterlockError` for a needle that is out or cold."""
        self._begin("opening a gas valve", line)
        chamber = self.machine.state.chamber
        if not (chamber.is_gas_inserted and chamber.is_gas_warm and chamber.is_pumped):
            raise InterlockError(
                f"the valve of {line} was to be opened with the needle {'in' if chamber.is_gas_inserted else 'out'}, "
                f"{'warm' if chamber.is_gas_warm else 'cold'}, in a {'pumped' if chamber.is_pumped else 'vented'} "
                "chamber; it opens for a warm needle that is inserted in a vacuum"
            )
        if chamber.gas_since_s is None:
            chamber.gas_since_s = self.machine.clock.monotonic_s()
            self.machine.save()

    def close_valve(self, line: str) -> None:
        """Stop the flow and leave what has condensed so far; never refused, safe to call twice."""
        self._require_line(line)
        self._close()

    def retract(self, *, cancel: CancelToken) -> None:
        """Close the valve, park the needle and let the line cool; safe to call twice, also while milling."""
        self._close()
        cancel.raise_if_cancelled()
        self._move(is_inserted=False)
        self.machine.state.chamber.is_gas_warm = False
        self.machine.save()

    def _close(self) -> None:
        machine, chamber = self.machine, self.machine.state.chamber
        if chamber.gas_since_s is None:
            return
        flowed_s = machine.clock.monotonic_s() - chamber.gas_since_s
        chamber.gas_since_s = None
        settings = machine.settings.processes.deposition
        thickness_m = settings.gas_nm_per_s * NM * flowed_s
        deposit_joins(machine, thickness_m)
        machine.deposit(
            LayerKind.GAS,
            thickness_m,
            around_m=machine.view(BeamType.ELECTRON).origin,
            sigma_m=settings.gas_sigma_um * UM,
        )
        machine.save()

    def _move(self, *, is_inserted: bool) -> None:
        chamber = self.machine.state.chamber
        if chamber.is_gas_inserted != is_inserted:
            self.machine.spend(self.machine.settings.timing.gas_move_s)
            chamber.is_gas_inserted = is_inserted
            self.machine.save()

    def _begin(self, action: str, line: str) -> None:
        self._require_line(line)
        self.machine.begin(action)

    def _require_line(self, line: str) -> None:
        if line not in self.lines:
            raise NotSupportedError(f"the gas line {line!r} was asked for, the simulator has {', '.join(self.lines)}")
