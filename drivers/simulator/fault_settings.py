"""Faults on demand: what fails, and at which call, milling run or simulated time.

The faults are those that physics.md section 10 and vendor-fakes.md ask a simulator for; their durations are assumed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, field_validator

from fibsem_runtime.core import BeamType
from fibsem_runtime.hal.devices import Beam, Milling, Stage

ANY_CALL: Final = "any"

MOVE: Final = "stage.move_to"
RUN: Final = "milling.run"


def _calls() -> Iterator[str]:
    for device, protocol in (("stage", Stage), ("electron_beam", Beam), ("ion_beam", Beam), ("milling", Milling)):
        for name, member in vars(protocol).items():
            if callable(member) and not name.startswith("_"):
                yield f"{device}.{name}"


CALLS: Final = frozenset(_calls())
"""Every call that the runtime can make to a device, read from the protocols themselves."""

SETTING_CALLS: Final = frozenset(call for call in CALLS if call.split(".")[1].startswith("set_"))


class Part(BaseModel):
    """Part of the plan; frozen, unknown keys and infinite numbers forbidden."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class AtCall(Part):
    """The ``number``-th call of ``name`` (``stage.move_to``), counted over all restarts; ``any`` counts all calls."""

    at: Literal["call"]
    name: str = ANY_CALL
    number: int = Field(ge=1)

    @field_validator("name")
    @classmethod
    def _refuse_unknown(cls, name: str) -> str:
        if name != ANY_CALL and name not in CALLS:
            raise ValueError(f"no device has a call {name!r}; write {ANY_CALL} or one of {', '.join(sorted(CALLS))}")
        return name


class AtMilling(Part):
    """The ``number``-th run of the patterning engine at one ion current; a drift-corrected stage runs many times."""

    at: Literal["milling"]
    current_pa: float = Field(gt=0)
    number: int = Field(ge=1)


class AtTime(Part):
    """The first call that is under way ``elapsed_s`` simulated seconds after the instrument was switched on."""

    at: Literal["time"]
    elapsed_s: float = Field(ge=0)


Trigger: TypeAlias = Annotated[AtCall | AtMilling | AtTime, Field(discriminator="at")]


class Fault(Part):
    """What all faults have: when they strike, once."""

    possible_calls: ClassVar[frozenset[str]] = CALLS
    when: Trigger

    @field_validator("when")
    @classmethod
    def _refuse_impossible(cls, when: Trigger) -> Trigger:
        possible = cls.possible_calls
        named = RUN if isinstance(when, AtMilling) else when.name if isinstance(when, AtCall) else ANY_CALL
        if named not in {ANY_CALL, *possible}:
            raise ValueError(f"this fault cannot strike in {named}, only in {', '.join(sorted(possible))}")
        return when


class BeamTrip(Fault):
    """The source of a column goes off and stays off until a person has been there (the simulator is opened again).

    In a milling run it goes off ``after_s`` of its beam time, at its end at the latest; at a simulated time also within
    a run. The run returns the beam time really spent.
    """

    kind: Literal["beam_trip"]
    beam: BeamType = BeamType.ION
    after_s: float = Field(default=0.0, ge=0)


class SdkException(Fault):
    """The vendor's software raises instead of doing what was asked; the text is that of no real instrument."""

    kind: Literal["sdk_exception"]
    text: str = "ApplicationServerException: the application server has aborted the operation"


class LostAnswer(Fault):
    """A call that is not answered; with ``is_carried_out`` the order arrives and is obeyed all the same."""

    is_carried_out: bool = False


class ConnectionLost(LostAnswer):
    """Nothing is answered for ``duration_s`` of simulated time; each call gives up after ``reply_timeout_s``."""

    kind: Literal["connection_lost"]
    duration_s: float = Field(gt=0)
    reply_timeout_s: float = Field(default=5.0, gt=0)


class Hang(LostAnswer):
    """One call blocks for ``duration_s`` of simulated time and then gives up."""

    kind: Literal["hang"]
    duration_s: float = Field(gt=0)


class RefusedMove(Fault):
    """The stage stays where it is and says nothing."""

    possible_calls: ClassVar[frozenset[str]] = frozenset({MOVE})
    kind: Literal["refused_move"]


class ShortMove(Fault):
    """The stage stops after a fraction of its way on every axis and says nothing (vendor-fakes.md K7)."""

    possible_calls: ClassVar[frozenset[str]] = frozenset({MOVE})
    kind: Literal["short_move"]
    travelled_fraction: float = Field(default=0.5, ge=0, lt=1)


class RefusedSetting(Fault):
    """A beam keeps its setting and reads it back."""

    possible_calls: ClassVar[frozenset[str]] = SETTING_CALLS
    kind: Literal["refused_setting"]


AnyFault: TypeAlias = Annotated[
    BeamTrip | SdkException | ConnectionLost | Hang | RefusedMove | ShortMove | RefusedSetting,
    Field(discriminator="kind"),
]
