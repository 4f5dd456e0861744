"""DrawBeam through SharkSEM (vendor-tescan.md B5)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

from drivers.essence.ports import EngineStatus, Layer
from drivers.sharksem.connection import SharkConnection
from drivers.sharksem.convert import check_drawbeam, to_phase
from drivers.sharksem.layer import to_xml
from fibsem_runtime.core.errors import NotSupportedError
from fibsem_runtime.hal.shapes import ShapeKind

_LAYER: Final = 0
_CONFIGURATIONS: Final = {0: "none", 1: "offline", 4: "no licence"}
"""Answers of ``DrwGetConfig`` with which nothing is milled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SharkDrawBeam:
    """Implement `drivers.essence.ports.DrawBeamPort`."""

    connection: SharkConnection

    @property
    def shape_kinds(self) -> frozenset[ShapeKind]:
        """Return rectangles: the attributes of other objects in a layer's XML are not public."""
        return frozenset({ShapeKind.RECTANGLE})

    def require_licence(self) -> None:
        """Raise `NotSupportedError` when the instrument has no DrawBeam that mills."""
        found = self.connection.ask_int("DrwGetConfig")
        if found in _CONFIGURATIONS:
            raise NotSupportedError(
                f"this instrument cannot mill over SharkSEM: DrawBeam is {_CONFIGURATIONS[found]}; look at its licence"
            )

    def load(self, layer: Layer) -> None:
        """Load the layer as XML."""
        self._command("DrwLoadLayer", _LAYER, to_xml(layer))

    def unload(self) -> None:
        """Unload the layer."""
        self._command("DrwUnloadLayer", _LAYER)

    def estimate_s(self) -> float:
        """Return how long the loaded layer takes."""
        code, seconds = self.connection.ask("DrwEstimateTime", "IF", _LAYER)
        check_drawbeam("DrwEstimateTime", int(code))
        return float(seconds)

    def status(self) -> EngineStatus:
        """Read what the engine does."""
        status, total_s, elapsed_s = self.connection.ask("DrwGetStatus", "IFF")
        return EngineStatus(phase=to_phase(int(status)), total_s=float(total_s), elapsed_s=float(elapsed_s))

    def start(self) -> None:
        """Begin to mill."""
        self._command("DrwStart", _LAYER)

    def pause(self) -> None:
        """Interrupt."""
        self._command("DrwPause")

    def resume(self) -> None:
        """Go on."""
        self._command("DrwResume")

    def stop(self) -> None:
        """End the exposure."""
        self._command("DrwStop")

    @contextmanager
    def urgent(self) -> Iterator[SharkDrawBeam]:
        """Yield the engine over a second connection while another thread holds the first up."""
        with self.connection.urgent() as connection:
            yield self if connection is self.connection else replace(self, connection=connection)

    def _command(self, name: str, *arguments: int | str) -> None:
        check_drawbeam(name, self.connection.ask_int(name, *arguments))
