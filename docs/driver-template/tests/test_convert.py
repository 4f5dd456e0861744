"""What the contract cannot know: the vendor's units and errors."""

from __future__ import annotations

import math

import pytest
from acme_fibsem.convert import to_axes, to_position, vendor_errors
from acme_fibsem.memory import AcmeError

from fibsem_runtime.core import StagePosition
from fibsem_runtime.core.errors import MotionError

POSE = StagePosition(x_m=1e-3, y_m=-2e-3, z_m=4e-3, r_rad=math.pi, t_rad=-0.5)


def test_a_position_there_and_back_is_the_same() -> None:
    assert to_axes(POSE)["r"] == pytest.approx(180)
    assert to_position(to_axes(POSE)) == POSE


def test_the_vendors_text_is_kept() -> None:
    with (
        pytest.raises(MotionError, match=r"could not move the stage: the instrument says E42"),
        vendor_errors("move the stage", MotionError),
    ):
        raise AcmeError("E42 axis value out of domain")
