"""A supervisor that knows the simulated sample and answers every proposal with what is really there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from fibsem_runtime.core import Image, PixelPoint, SpecimenPosition
from fibsem_runtime.events import Proposal
from fibsem_runtime.hal import Kinematics
from fibsem_runtime.hal.truth import Truth
from fibsem_runtime.workflow import Answer
from fibsem_runtime.workflow.steps.align_site import TARGET


@dataclass(frozen=True, slots=True, kw_only=True)
class TruthSupervisor:
    """Correct every point to the truth: the middle of the site for a target, the key point for a feature.

    ``sites`` says where each lamella belongs. A feature that was proposed and is not there is taken out, one that is
    there and was missed is added. ``answered`` holds what was answered, in order.
    """

    truth: Truth
    kinematics: Kinematics
    sites: Mapping[str, SpecimenPosition]
    name: str = "the truth"
    answered: list[tuple[Proposal, Answer]] = field(default_factory=list)

    def decide(self, proposal: Proposal, image: Image | None) -> Answer:
        """Answer with the true places; a question without an image is none of points and is confirmed."""
        points = self._points(proposal, image) if image is not None else {}
        answer = Answer(action="correct" if image is not None else "accept", points=points)
        self.answered.append((proposal, answer))
        return answer

    def _points(self, proposal: Proposal, image: Image) -> dict[str, PixelPoint]:
        names = [item.feature for item in proposal.features]
        if names == [TARGET]:
            return {TARGET: self._shown_at(self.sites[proposal.lamella], image)}
        found = self.truth.frame(image.metadata.frame_id).key_points
        return {name: found[name].point for name in names if name in found and found[name].is_visible}

    def _shown_at(self, site: SpecimenPosition, image: Image) -> PixelPoint:
        """Return the pixel that shows a specimen point, hidden or not.

        A parallel projection: from what any pixel shows, the way to the site in the image plane is the way in pixels.
        """
        seen = image.metadata
        assert seen.stage_position is not None
        assert seen.beam is not None
        assert seen.beam_type is not None
        height_px, width_px = image.shape
        start = PixelPoint(width_px / 2, height_px / 2)
        shown = self.truth.specimen_point(seen.frame_id, start)
        view = self.kinematics.view(seen.stage_position, seen.beam_type, scan_rotation_rad=seen.beam.scan_rotation_rad)
        way_m = np.array([site.x_m - shown.x_m, site.y_m - shown.y_m, site.z_m - shown.z_m])
        return PixelPoint(
            start.x_px + float(way_m @ view.right) / image.pixel_size_m,
            start.y_px - float(way_m @ view.up) / image.pixel_size_m,
        )
