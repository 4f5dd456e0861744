"""One simulated instrument without disturbances for pictures, and somebody who knows where everything is."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from drivers.simulator.truth import SimulatorTruth
from fibsem_runtime.core import BeamType, CancelToken, Image, ImageSettings, SpecimenPosition, StagePosition
from fibsem_runtime.hal import Kinematics, Manipulator, Microscope, find_driver, milling_conditions, safe_route
from fibsem_runtime.hal.manipulator import ManipulatorPose, ManipulatorPosition
from fibsem_runtime.hal.truth import SiteKind
from fibsem_runtime.milling import MillingStage, Pattern

SEED = 4
DISTURBANCES = ("drift", "stage_recall", "height", "tilt_axis", "rotation_centre", "column_offset", "current_shift")


class Session:
    """One simulated instrument without disturbances, its needle brought where it is meant to be."""

    def __init__(self, scene: dict[str, Any], *, scan_rotation_deg: float = 0.0) -> None:
        """Open the simulator with a scene."""
        plugin = find_driver("simulator")
        off = {name: {"enabled": False} for name in (*DISTURBANCES, "current_focus")}
        settings = plugin.settings_model.model_validate({"scene": scene, "disturbances": off})
        self.microscope: Microscope = plugin.open(settings, seed=SEED, state_directory=None)
        truth = plugin.truth(self.microscope)
        assert isinstance(truth, SimulatorTruth)
        self.truth = truth
        self.kinematics = Kinematics(self.microscope.chain)
        self.cancel = CancelToken()
        for beam in BeamType:
            self.microscope.beam(beam).set_scan_rotation(math.radians(scan_rotation_deg))

    def place(self, kind: SiteKind, number: int = 0) -> SpecimenPosition:
        """Return the site of a kind that is nearest, or next to that, to the middle of what carries it."""
        places = [site.position for site in self.truth.sites() if site.kind is kind]
        middle_m = np.median([[place.x_m, place.y_m] for place in places], axis=0)
        return sorted(places, key=lambda place: math.dist((place.x_m, place.y_m), middle_m))[number]

    def go(self, pose: Callable[[StagePosition], StagePosition], place: SpecimenPosition) -> None:
        """Bring a place to coincidence in a pose."""
        target = self.kinematics.centre_on(place, pose(self.microscope.stage.position()))
        for waypoint in safe_route(self.microscope.stage.position(), target):
            self.microscope.stage.move_to(waypoint, cancel=self.cancel)

    def mill(self, pattern: Pattern, current_na: float, hfw_um: float = 150) -> None:
        """Mill a pattern at coincidence."""
        stage = MillingStage(name="stage", current_na=current_na, hfw_um=hfw_um, pattern=pattern)
        with milling_conditions(self.microscope, stage.settings()):
            self.microscope.milling.draw(stage.shapes(), stage.settings())
            self.microscope.milling.run(cancel=self.cancel)
            self.microscope.milling.stop()

    @property
    def manipulator(self) -> Manipulator:
        """Return the needle, which every simulator has."""
        assert self.microscope.manipulator is not None
        return self.microscope.manipulator

    def needle(self, *places_um: tuple[float, float, float]) -> None:
        """Bring the tip itself from place to place, µm from coincidence; insert the needle before when it is out."""
        if not self.manipulator.is_inserted():
            self.manipulator.insert(ManipulatorPose.STANDBY, cancel=self.cancel)
        for place_um in places_um:
            here = self.manipulator.position()
            way_m = np.array(place_um) * 1e-6 - self.tip_m()
            x_m, y_m, z_m = map(float, np.array([here.x_m, here.y_m, here.z_m]) + way_m)
            self.manipulator.move_to(ManipulatorPosition(x_m=x_m, y_m=y_m, z_m=z_m), cancel=self.cancel)

    def tip_m(self) -> np.ndarray:
        """Return where the tip is in the chamber."""
        tip_m = self.truth.needle_tip()
        assert tip_m is not None
        return np.array(tip_m)

    def approach(self, start_um: tuple[float, float], until_um: float) -> float:
        """Go down at x and z, then on in steps of half a micrometre until something holds the tip up; return its x."""
        x_um, z_um = start_um
        self.needle((x_um, 0, z_um + 30), (x_um, 0, z_um))
        while x_um < until_um:
            x_um += 0.5
            self.needle((x_um, 0, z_um))
            if self.tip_m()[0] < (x_um - 0.05) * 1e-6:
                return x_um
        raise RuntimeError(f"no contact up to x = {until_um:g} um")

    def retract(self) -> None:
        """Park the needle with what hangs on it."""
        self.manipulator.retract(cancel=self.cancel)

    def shoot(self, beam_type: BeamType, hfw_um: float, current_pa: float) -> Image:
        """Take a frame of 1 µs, the detector's levels set for it by the instrument."""
        beam = self.microscope.beam(beam_type)
        beam.set_current(current_pa / 1e12)
        settings = ImageSettings(hfw_m=hfw_um * 1e-6)
        beam.acquire(replace(settings, width_px=48, height_px=32), cancel=self.cancel)
        beam.auto_contrast(cancel=self.cancel)
        return beam.acquire(settings, cancel=self.cancel)
