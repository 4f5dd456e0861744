"""The truth behind a fake TESCAN instrument, asked with the names that the driver gives its frames."""

from __future__ import annotations

from dataclasses import dataclass

from tescan.instrument import Instrument

from fibsem_runtime.core import PixelPoint, SpecimenPosition
from fibsem_runtime.hal.truth import FrameTruth, LamellaTruth, Site


@dataclass(frozen=True)
class FakeTruth:
    """Implement `fibsem_runtime.hal.truth.Truth`; a driver counts the frames of a column from 1, as the fake does."""

    fake: Instrument

    def sites(self) -> tuple[Site, ...]:
        """Return the places where work makes sense."""
        return self.fake.truth().sites()

    def specimen_point(self, frame_id: str, point: PixelPoint) -> SpecimenPosition:
        """Return the specimen point that a pixel of a frame shows."""
        return self.fake.truth().specimen_point(self._own_id(frame_id), point)

    def lamella(self, target: SpecimenPosition) -> LamellaTruth:
        """Measure the lamella at ``target``."""
        return self.fake.truth().lamella(target)

    def frame(self, frame_id: str) -> FrameTruth:
        """Return what a frame shows."""
        return self.fake.truth().frame(self._own_id(frame_id))

    def _own_id(self, frame_id: str) -> str:
        _, beam, number = frame_id.rsplit("-", 2)
        column = self.fake.ion if beam == "ion" else self.fake.electron
        return column.frame_ids[int(number) - 1]
