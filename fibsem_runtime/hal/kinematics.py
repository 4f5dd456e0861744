"""One exact solver for stage moves, poses and projections of every instrument.

A driver declares its `KinematicChain`; nothing here knows a vendor. Every answer is one small linear solve over the
forward chain of `fibsem_runtime.hal.forward`, whose docstring says which sign conventions are verified on hardware and
which are not. Checked against the vectors of vendor-geometry.md section 11.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from fibsem_runtime.core import BeamType, ImagePoint, SpecimenPosition, StagePosition
from fibsem_runtime.core.errors import MotionError
from fibsem_runtime.core.units import format_angle
from fibsem_runtime.hal.chain import KinematicChain
from fibsem_runtime.hal.forward import (
    BeamView,
    Matrix,
    Vector,
    chamber_view,
    placement,
    stage_axes,
    to_specimen_position,
    to_vector,
)

SMALLEST_VIEWING_ANGLE_RAD: Final = math.radians(2.0)
"""Angle between beam and sample surface below which an image says nothing about places along it (assumed).

A move read from such an image is stretched 29 times, and so is every error; vendor-geometry.md section 5 asks for a
limit without naming one. The flattest milling angle in the references is 3° (physics.md section 2).
"""

_SMALLEST_SOLVABLE_RATIO: Final = 0.02
"""Smallest sine between directions that a move may be resolved into (assumed; 1.1°)."""

_HALF_TURN_TOLERANCE_RAD: Final = math.radians(5.0)
"""Tolerance of a rotation pose (vendor-geometry.md section 4)."""


@dataclass(frozen=True, slots=True)
class Kinematics:
    """Solve moves and projections for one chain; all results are targets, nothing is moved."""

    chain: KinematicChain

    def view(
        self,
        position: StagePosition,
        beam_type: BeamType,
        *,
        scan_rotation_rad: float = 0.0,
        shift: ImagePoint = ImagePoint(0.0, 0.0),
    ) -> BeamView:
        """Return what a beam sees of the specimen, in the specimen frame."""
        seen = chamber_view(self.chain, beam_type, scan_rotation_rad=scan_rotation_rad, shift=shift)
        place = placement(self.chain, position)
        back = place.rotation.T
        return BeamView(
            centre_m=back @ (seen.centre_m - place.translation_m),
            right=back @ seen.right,
            up=back @ seen.up,
            towards_column=back @ seen.towards_column,
        )

    def project(
        self,
        point: SpecimenPosition,
        position: StagePosition,
        beam_type: BeamType,
        *,
        scan_rotation_rad: float = 0.0,
        shift: ImagePoint = ImagePoint(0.0, 0.0),
    ) -> ImagePoint:
        """Return where the image of a beam shows a specimen point."""
        view = self.view(position, beam_type, scan_rotation_rad=scan_rotation_rad, shift=shift)
        return view.project(to_vector(point))

    def specimen_point(self, position: StagePosition) -> SpecimenPosition:
        """Return the specimen point that is at coincidence when the stage stands at ``position``."""
        place = placement(self.chain, position)
        return to_specimen_position(-place.rotation.T @ place.translation_m)

    def centre_on(self, point: SpecimenPosition, pose: StagePosition) -> StagePosition:
        """Return the position with rotation and tilt of ``pose`` that brings ``point`` to coincidence."""
        place = placement(self.chain, pose)
        return self._moved(pose, -(place.rotation @ to_vector(point) + place.translation_m))

    def is_at_coincidence(self, point: SpecimenPosition, position: StagePosition, *, tolerance_m: float) -> bool:
        """Tell whether both beams, unshifted, see ``point`` within ``tolerance_m`` of their image centres."""
        return all(self.project(point, position, beam_type).length_m <= tolerance_m for beam_type in BeamType)

    def stable_move(
        self, here: StagePosition, beam_type: BeamType, offset: ImagePoint, *, scan_rotation_rad: float = 0.0
    ) -> StagePosition:
        """Return where the stage must go to centre what a beam's image shows at ``offset``, along the sample surface.

        What both beams look at stays common to both (vendor-geometry.md section 5). A beam shift may be set; it counts
        as part of where the centre is and must stay as it is. Raises `MotionError` when the beam sees the surface
        nearly edge-on.
        """
        surface = placement(self.chain, here).rotation[:, :2]
        seen = chamber_view(self.chain, beam_type, scan_rotation_rad=scan_rotation_rad)
        self._refuse_grazing(here, beam_type)
        along = np.linalg.solve(np.stack((seen.right, seen.up)) @ surface, np.array([offset.x_m, offset.y_m]))
        return self._moved(here, -surface @ along)

    def vertical_move(
        self,
        here: StagePosition,
        offset_y_m: float,
        *,
        scan_rotation_rad: float = 0.0,
        seen_in: BeamType = BeamType.ION,
    ) -> StagePosition:
        """Return where the stage must go so that what one image shows at height ``offset_y_m`` comes to y = 0.

        The image of the other beam stays as it is: seen in the ion image the sample moves along the electron beam, seen
        in the electron image along the ion beam (vendor-geometry.md section 6). With a feature centred in the other
        image this restores coincidence. Raises `MotionError` when the scan rotation makes that motion invisible in y.
        """
        other = BeamType.ELECTRON if seen_in is BeamType.ION else BeamType.ION
        image = chamber_view(self.chain, seen_in, scan_rotation_rad=scan_rotation_rad)
        kept = chamber_view(self.chain, other)
        travel = float(image.up @ kept.towards_column)
        if abs(travel) < _SMALLEST_SOLVABLE_RATIO:
            raise MotionError(
                f"height cannot be read from y of the {seen_in.value.lower()} image at a scan rotation of "
                f"{format_angle(scan_rotation_rad)}; set the scan rotation to 0° or 180°"
            )
        return self._moved(here, -kept.towards_column * (offset_y_m / travel))

    def electron_pose(self, position: StagePosition) -> StagePosition:
        """Return the pose in which the electron beam meets the surface at a right angle.

        This and the other poses keep the specimen point that is at coincidence there (compucentric, and eucentric as
        far as the tilt axis runs through coincidence): what the electron beam has in its image centre at the right
        height stays in the centre of both images.
        """
        return self._pose(position, self.chain.rotation_reference_rad, self.chain.pretilt_rad)

    def ion_pose(self, position: StagePosition) -> StagePosition:
        """Return the pose in which the ion beam meets the surface at a right angle (vendor-geometry.md section 3).

        Half a turn from the reference; a compustage turns the grid over instead, so that the beam meets its back.
        """
        t_rad = self.chain.ion_column_tilt_rad - self.chain.pretilt_rad
        if self.chain.is_compustage:
            return self._pose(position, position.r_rad, t_rad - math.pi)
        return self._pose(position, self.chain.rotation_reference_rad + math.pi, t_rad)

    def milling_pose(self, position: StagePosition, milling_angle_rad: float) -> StagePosition:
        """Return the pose with this angle between ion beam and surface: r = reference, t = m + f + p - 90°."""
        t_rad = milling_angle_rad + self.chain.ion_column_tilt_rad + self.chain.pretilt_rad - math.pi / 2
        return self._pose(position, self.chain.rotation_reference_rad, t_rad)

    def milling_angle(self, position: StagePosition) -> float:
        """Return the angle in radians between ion beam and sample surface; negative when it meets the back."""
        return self._viewing_angle(position, BeamType.ION)

    def ion_stretch_ratio(self, position: StagePosition) -> float:
        """Return how much longer along image y a flat sample is in the electron image than in the ion image.

        sin(m + f) / sin(m) at the milling angle m (vendor-geometry.md section 6). Raises `MotionError` when a beam sees
        the surface nearly edge-on or the beams see different faces of it.
        """
        for beam_type in BeamType:
            self._refuse_grazing(position, beam_type)
        surface = placement(self.chain, position).rotation[:, :2]
        electron, ion = (self._image_axes(beam_type) @ surface for beam_type in (BeamType.ELECTRON, BeamType.ION))
        ratio = float((electron @ np.linalg.inv(ion))[1, 1])
        if ratio <= 0:
            raise MotionError(
                f"at a tilt of {format_angle(position.t_rad)} the beams see different faces of the sample; "
                "compare images at a pose where both see the same"
            )
        return ratio

    def rotate(self, position: StagePosition, r_rad: float) -> StagePosition:
        """Return the position at rotation ``r_rad`` that keeps the point at coincidence there (compucentric)."""
        return self.centre_on(self.specimen_point(position), replace(position, r_rad=r_rad))

    def _pose(self, position: StagePosition, r_rad: float, t_rad: float) -> StagePosition:
        r_rad = position.r_rad if self.chain.is_compustage else nearest_turn(r_rad, position.r_rad)
        return self.centre_on(self.specimen_point(position), replace(position, r_rad=r_rad, t_rad=t_rad))

    def _moved(self, here: StagePosition, content_m: Vector) -> StagePosition:
        """Return the position that moves the sample by ``content_m`` in the chamber, rotation and tilt unchanged."""
        axes = stage_axes(self.chain, here.t_rad)
        if abs(np.linalg.det(axes)) < _SMALLEST_SOLVABLE_RATIO:
            raise MotionError(
                f"at a tilt of {format_angle(here.t_rad)} the stage axes y and z are parallel and cannot make the "
                "move; tilt back first"
            )
        dx_m, dy_m, dz_m = np.linalg.solve(axes, content_m)
        return replace(here, x_m=here.x_m + float(dx_m), y_m=here.y_m + float(dy_m), z_m=here.z_m + float(dz_m))

    def _image_axes(self, beam_type: BeamType) -> Matrix:
        seen = chamber_view(self.chain, beam_type)
        return np.stack((seen.right, seen.up))

    def _viewing_angle(self, position: StagePosition, beam_type: BeamType) -> float:
        normal = placement(self.chain, position).normal
        towards_column = chamber_view(self.chain, beam_type).towards_column
        in_plane_m = float(np.linalg.norm(np.cross(normal, towards_column)))
        return math.atan2(float(normal @ towards_column), in_plane_m)

    def _refuse_grazing(self, position: StagePosition, beam_type: BeamType) -> None:
        angle_rad = self._viewing_angle(position, beam_type)
        if abs(angle_rad) < SMALLEST_VIEWING_ANGLE_RAD:
            raise MotionError(
                f"the {beam_type.value.lower()} beam sees the sample at {format_angle(angle_rad)}, needed are "
                f"{format_angle(SMALLEST_VIEWING_ANGLE_RAD)} or more to read places along its surface from the image; "
                "tilt to a steeper view"
            )


def nearest_turn(r_rad: float, here_rad: float) -> float:
    """Return ``r_rad`` plus the whole turns that make the rotation from ``here_rad`` the shortest.

    Two ways that are equally long within read-back noise (5° about half a turn) are decided in favour of fewer whole
    turns, so that going there and back does not wind up.
    """
    nearest = round((here_rad - r_rad) / math.tau)
    ways_rad = {turns: abs(r_rad + turns * math.tau - here_rad) for turns in (nearest - 1, nearest, nearest + 1)}
    shortest_rad = min(ways_rad.values())
    turns = min((t for t in ways_rad if ways_rad[t] <= shortest_rad + 2 * _HALF_TURN_TOLERANCE_RAD), key=abs)
    return r_rad + turns * math.tau
