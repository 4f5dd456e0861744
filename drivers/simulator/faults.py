"""Let the devices fail as the fault plan of the settings says: one wrapper around every device of the simulator."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, TypeVar, cast

from drivers.simulator.fault_settings import (
    ANY_CALL,
    RUN,
    AnyFault,
    AtCall,
    AtMilling,
    AtTime,
    BeamTrip,
    ConnectionLost,
    Hang,
    LostAnswer,
    RefusedMove,
    RefusedSetting,
    SdkException,
)
from drivers.simulator.machine import Machine
from fibsem_runtime.core import BeamType, StagePosition
from fibsem_runtime.core.errors import ConnectionLostError, HardwareError

DeviceT = TypeVar("DeviceT")

READ_BACK = {
    "set_current": "beam_current_a",
    "set_voltage": "voltage_v",
    "set_working_distance": "working_distance_m",
    "set_shift": "shift",
    "set_scan_rotation": "scan_rotation_rad",
}
"""Which of its settings a beam reads back after a call; blanking has a call of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call to one device, not made yet."""

    name: str
    device: Any
    method: Callable[..., Any]
    arguments: inspect.BoundArguments

    def make(self, **changed: object) -> Any:
        """Make the call with some arguments replaced, and return what it returns."""
        self.arguments.arguments.update(changed)
        return self.method(*self.arguments.args, **self.arguments.kwargs)


class FaultInjector:
    """Count the calls to all devices of one machine and let each fault of its plan strike once."""

    def __init__(self, machine: Machine) -> None:
        """Serve one machine; what was counted and what has struck is part of its state."""
        self._machine = machine

    def wrap(self, device: DeviceT, name: str) -> DeviceT:
        """Return a device that fails according to plan, or itself when nothing is planned."""
        if not self._machine.settings.faults:
            return device
        return cast("DeviceT", _FaultyDevice(self, device, name))

    def pass_on(self, call: Call) -> Any:
        """Make a call, or let it fail when a fault is due."""
        self._count(call)
        self._refuse_without_connection(call)
        fault = self._next_fault(call)
        if fault is None:
            return call.make()
        return self._strike(fault, call)

    def _count(self, call: Call) -> None:
        state = self._machine.state.faults
        for name in (ANY_CALL, call.name):
            state.call_counts[name] = state.call_counts.get(name, 0) + 1
        drawing = self._machine.state.drawing
        if call.name == RUN and drawing is not None:
            current = _current_key(drawing.settings.beam_current_a)
            state.milling_counts[current] = state.milling_counts.get(current, 0) + 1

    def _refuse_without_connection(self, call: Call) -> None:
        machine = self._machine
        state = machine.state.faults
        if machine.clock.monotonic_s() >= state.lost_until_s:
            return
        machine.spend(state.reply_timeout_s)
        machine.save()
        raise ConnectionLostError(
            f"{call.name} was not answered within {state.reply_timeout_s:g} s, the connection to the instrument is "
            "lost; look at the instrument and its network, then resume"
        )

    def _next_fault(self, call: Call) -> AnyFault | None:
        """Return the first fault of the plan that is due, and note that it has struck."""
        state = self._machine.state.faults
        for number, fault in enumerate(self._machine.settings.faults):
            if number not in state.struck and call.name in fault.possible_calls and self._is_due(fault, call):
                state.struck.append(number)
                return fault
        return None

    def _is_due(self, fault: AnyFault, call: Call) -> bool:
        state, when = self._machine.state.faults, fault.when
        if isinstance(when, AtCall):
            return when.name in (ANY_CALL, call.name) and state.call_counts.get(when.name, 0) >= when.number
        if isinstance(when, AtMilling):
            drawing = self._machine.state.drawing
            current = _current_key(when.current_pa / 1e12)
            is_it = drawing is not None and _current_key(drawing.settings.beam_current_a) == current
            return call.name == RUN and is_it and state.milling_counts[current] >= when.number
        reached_s = self._machine.clock.monotonic_s()
        if isinstance(fault, BeamTrip) and call.name == RUN:
            reached_s += self._planned_s(call)
        return reached_s >= when.elapsed_s

    def _planned_s(self, call: Call) -> float:
        """Return the beam time that a run of the patterning engine was asked for."""
        drawing = self._machine.state.drawing
        if drawing is None:
            return 0.0
        left_s = drawing.total_s - drawing.milled_s
        asked_s: float | None = call.arguments.arguments.get("duration_s")
        return left_s if asked_s is None else min(left_s, asked_s)

    def _strike(self, fault: AnyFault, call: Call) -> Any:
        if isinstance(fault, BeamTrip):
            return self._trip(fault, call)
        if isinstance(fault, LostAnswer):
            return self._lose_answer(fault, call)
        self._machine.save()
        if isinstance(fault, SdkException):
            raise HardwareError(f"{call.name} failed: {fault.text}; look at the instrument's own messages")
        if isinstance(fault, RefusedSetting):
            return _read_back(call)
        return _stop_on_the_way(call, 0.0 if isinstance(fault, RefusedMove) else fault.travelled_fraction)

    def _trip(self, fault: BeamTrip, call: Call) -> Any:
        if call.name != RUN or fault.beam is not BeamType.ION:
            self._switch_off(fault.beam)
            return call.make()
        after_s = fault.after_s
        if isinstance(fault.when, AtTime):
            after_s += max(0.0, fault.when.elapsed_s - self._machine.clock.monotonic_s())
        progress = call.make(duration_s=min(after_s, self._planned_s(call)))
        self._switch_off(fault.beam)
        return progress

    def _switch_off(self, beam_type: BeamType) -> None:
        self._machine.beam_state(beam_type).is_on = False
        self._machine.save()

    def _lose_answer(self, fault: ConnectionLost | Hang, call: Call) -> Any:
        machine = self._machine
        if fault.is_carried_out:
            call.make()
        if isinstance(fault, ConnectionLost):
            machine.state.faults.lost_until_s = machine.clock.monotonic_s() + fault.duration_s
            machine.state.faults.reply_timeout_s = fault.reply_timeout_s
            self._refuse_without_connection(call)
        machine.spend(fault.duration_s)
        machine.save()
        raise ConnectionLostError(
            f"{call.name} was not answered within {fault.duration_s:g} s, the instrument's software hangs; look at the "
            "instrument, then resume"
        )


class _FaultyDevice:
    """A device whose calls go through the injector; one for all kinds, so that no call can be forgotten."""

    def __init__(self, injector: FaultInjector, device: object, name: str) -> None:
        self._injector = injector
        self._device = device
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        found = getattr(self._device, attribute)
        if attribute.startswith("_") or not callable(found):
            return found

        def pass_on(*values: object, **named: object) -> Any:
            arguments = inspect.signature(found).bind(*values, **named)
            call = Call(name=f"{self._name}.{attribute}", device=self._device, method=found, arguments=arguments)
            return self._injector.pass_on(call)

        return pass_on


def switch_on_beams(machine: Machine) -> None:
    """Switch on what has tripped: a client is opened by a person who has looked at the instrument."""
    for beam_type in BeamType:
        machine.beam_state(beam_type).is_on = True


def _current_key(beam_current_a: float) -> str:
    """Return a current in whole femtoamperes as text, for the state file."""
    return str(round(beam_current_a * 1e15))


def _read_back(call: Call) -> Any:
    setting = call.name.split(".")[1]
    if setting == "set_blanked":
        return call.device.is_blanked()
    return getattr(call.device.settings(), READ_BACK[setting])


def _stop_on_the_way(call: Call, travelled_fraction: float) -> Any:
    """Move a fraction of the way on every axis; a stage that does not start at all is not asked to move."""
    if travelled_fraction == 0:
        return call.device.position()
    here, target = asdict(call.device.position()), asdict(call.arguments.arguments["target"])
    reached = {axis: start + travelled_fraction * (target[axis] - start) for axis, start in here.items()}
    return call.make(target=StagePosition(**reached))
