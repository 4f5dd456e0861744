"""A simulated microscope whose operator draws lots: where to look, how to image, what to mill."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from fibsem_runtime.app.dataset.ranges import RANGES, Draw
from fibsem_runtime.core import BeamType, CancelToken, Image, ImagePoint, ImageSettings, SpecimenPosition, StagePosition
from fibsem_runtime.core.units import UM
from fibsem_runtime.hal import Kinematics, Microscope, milling_conditions, safe_route
from fibsem_runtime.hal.truth import Truth
from fibsem_runtime.milling import MillingStage


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """One frame with what had been done to the sample by then, in words."""

    image: Image
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """One simulated microscope with its truth, the draws of its scene and the size of its frames."""

    microscope: Microscope
    kinematics: Kinematics
    truth: Truth
    draw: Draw
    width_px: int
    bit_depth: int
    cancel: CancelToken

    def set_scan_rotation(self, scan_rotation_rad: float) -> None:
        """Turn the scan of both beams, as an operator does once a session."""
        for beam_type in BeamType:
            self.microscope.beam(beam_type).set_scan_rotation(scan_rotation_rad)

    def go_to(self, pose: StagePosition, point: SpecimenPosition) -> None:
        """Bring a specimen point to coincidence with the rotation and tilt of a pose."""
        self._move(self.kinematics.centre_on(point, pose))

    def mill(self, stage: MillingStage, offset: ImagePoint = ImagePoint(0.0, 0.0)) -> None:
        """Mill a stage at the middle of the ion image, or beside it."""
        with milling_conditions(self.microscope, stage.settings()):
            self.microscope.milling.draw(stage.shapes(offset), stage.settings())
            try:
                self.microscope.milling.run(cancel=self.cancel)
            finally:
                self.microscope.milling.stop()
        self.cancel.raise_if_cancelled()

    def shoot(self, beam_type: BeamType, state: str, *, hfw_um: tuple[float, ...] = RANGES.hfw_um) -> Shot:
        """Take a frame with drawn field, exposure, current, focus and levels; the middle is off by a drawn distance."""
        self.cancel.raise_if_cancelled()
        draw = self.draw
        settings = draw.frame(self.width_px, self.bit_depth, hfw_um=hfw_um)
        spread_m = RANGES.place_spread_fraction * settings.hfw_m
        aside = ImagePoint(draw.normal() * spread_m, draw.normal() * spread_m)
        self._set_up(beam_type, settings)
        with self._aside(beam_type, aside):
            image = self.microscope.beam(beam_type).acquire(settings, cancel=self.cancel)
        return Shot(image=image, state=state)

    @contextmanager
    def _aside(self, beam_type: BeamType, aside: ImagePoint) -> Iterator[None]:
        """Look beside coincidence for as long as the block runs: by the stage, by the beam while the needle is in."""
        beam, here = self.microscope.beam(beam_type), self.microscope.stage.position()
        manipulator = self.microscope.manipulator
        if manipulator is not None and manipulator.is_inserted():
            limit_m = beam.shift_limit_m
            beam.set_shift(ImagePoint(*(max(-limit_m, min(limit_m, -along)) for along in (aside.x_m, aside.y_m))))
        else:
            rotation_rad = beam.settings().scan_rotation_rad
            self._move(self.kinematics.stable_move(here, beam_type, aside, scan_rotation_rad=rotation_rad))
        try:
            yield
        finally:
            if beam.settings().shift != ImagePoint(0.0, 0.0):
                beam.set_shift(ImagePoint(0.0, 0.0))
            if self.microscope.stage.position() != here:
                self._move(here)

    def _set_up(self, beam_type: BeamType, settings: ImageSettings) -> None:
        """Choose current, voltage and focus; let the instrument set the levels of this field, then alter them."""
        beam, draw = self.microscope.beam(beam_type), self.draw
        if beam_type is BeamType.ELECTRON:
            beam.set_voltage(draw.choice(RANGES.electron_voltage_kv) * 1e3)
        beam.set_current(draw.current_a(beam_type, beam.available_currents_a))
        chain = self.microscope.chain
        focused_m = (
            chain.eucentric_working_distance_electron_m
            if beam_type is BeamType.ELECTRON
            else chain.eucentric_working_distance_ion_m
        )
        beam.set_working_distance(focused_m + draw.normal() * RANGES.focus_error_um * UM)
        # A small frame tells the column which field the levels are for.
        small = replace(settings, width_px=48, height_px=32, dwell_time_s=1e-7, line_integration_count=1)
        beam.acquire(small, cancel=self.cancel)
        levels = beam.auto_contrast(cancel=self.cancel)
        brightness, contrast = (
            min(1.0, max(0.0, level + draw.normal() * RANGES.level_spread_fraction))
            for level in (levels.brightness_fraction, levels.contrast_fraction)
        )
        detectors = self.microscope.equipment(beam_type).detectors
        if detectors is not None:
            detectors.set_levels(brightness_fraction=brightness, contrast_fraction=contrast)

    def _move(self, target: StagePosition) -> None:
        for waypoint in safe_route(self.microscope.stage.position(), target):
            self.microscope.stage.move_to(waypoint, cancel=self.cancel)


def shoot_both(bench: Bench, state: str, *, hfw_um: tuple[float, ...] = RANGES.hfw_um) -> Iterator[Shot]:
    """Yield a frame of either beam, in one of five cases two of the ion beam."""
    yield bench.shoot(BeamType.ION, state, hfw_um=hfw_um)
    if bench.draw.happens(0.2):
        yield bench.shoot(BeamType.ION, state, hfw_um=hfw_um)
    if bench.draw.happens(0.6):
        yield bench.shoot(BeamType.ELECTRON, state, hfw_um=hfw_um)
