"""Milling stages: what a person writes, what the instrument gets, what is refused and how it is said."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fibsem_runtime.core import ImagePoint
from fibsem_runtime.core.errors import StepError
from fibsem_runtime.hal.shapes import CrossSection
from fibsem_runtime.milling import DriftCorrectedStrategy, Material, MillingStage, StandardStrategy, dose_c_per_m3

TEXT = """
name: polish_1
current_pa: 60
strategy: {kind: drift_corrected, interval_s: 40}
pattern: {kind: trench, width_um: 9, spacing_um: 0.24, upper_height_um: 0.35, lower_height_um: 0.35, depth_um: 20,
          cross_section: CleaningCrossSection}
"""


def stage(**changes: object) -> MillingStage:
    return MillingStage.model_validate(yaml.safe_load(TEXT) | changes)


def test_what_a_person_writes_becomes_si() -> None:
    settings = stage().settings()
    assert settings.beam_current_a == 60e-12
    assert (settings.voltage_v, settings.hfw_m) == (30e3, pytest.approx(80e-6))
    assert settings.application == "ice"
    assert settings.dose_c_per_m3 == dose_c_per_m3(Material.ICE, CrossSection.CLEANING)
    assert stage().realign_interval_s == 40
    assert stage(strategy={"kind": "standard"}).realign_interval_s is None


@given(current_pa=st.integers(1, 4000))
def test_both_units_of_current_say_the_same(current_pa: int) -> None:
    in_na = stage(current_pa=None, current_na=current_pa / 1000)
    assert in_na.beam_current_a == pytest.approx(stage(current_pa=current_pa).beam_current_a, rel=1e-12)


def test_a_rate_measured_on_the_instrument_replaces_the_table() -> None:
    measured = stage(removal_rate_um3_per_nc=8.0)
    assert measured.beam_time_s() == pytest.approx(stage().beam_time_s() * 5 / 8)
    assert stage(application="Si-ccs").settings().application == "Si-ccs"


def test_slots_are_milled_over_their_whole_area() -> None:
    slots = stage(pattern={"kind": "micro_expansion"})
    assert slots.cross_section is CrossSection.RECTANGLE
    assert stage().cross_section is CrossSection.CLEANING


def test_stages_survive_yaml() -> None:
    for strategy in (StandardStrategy(), DriftCorrectedStrategy(interval_s=25)):
        before = stage(strategy=strategy.model_dump())
        assert MillingStage.model_validate(yaml.safe_load(yaml.safe_dump(before.model_dump(mode="json")))) == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"current_na": 1}, "stage polish_1 needs exactly one of current_na and current_pa"),
        ({"current_pa": None}, "stage polish_1 needs exactly one of current_na and current_pa"),
        ({"current_pa": 0}, "current_pa"),
        ({"voltage_kv": 5}, r"stage polish_1 mills at 5 kV, removal rates are known from 20 kV; give removal_rate"),
        ({"name": "two words"}, "name"),
        ({"name": ""}, "name"),
        ({"hfw_um": 5}, "hfw_um"),
        ({"material": "cheese"}, "material"),
        ({"strategy": {"kind": "drift_corrected", "interval_s": 1}}, "interval_s"),
        (
            {"pattern": {"kind": "trench", "width_um": 90}},
            r"pattern of stage polish_1 does not fit its field: it reaches x",
        ),
        ({"speed": 3}, "speed"),
    ],
)
def test_an_impossible_stage_says_what_to_do(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        stage(**changes)


def test_low_voltage_is_allowed_with_a_measured_rate() -> None:
    assert stage(voltage_kv=5, removal_rate_um3_per_nc=2).settings().voltage_v == 5000


def test_a_target_from_which_the_pattern_leaves_the_field_is_refused_before_anything_is_milled() -> None:
    near = stage().shapes(ImagePoint(30e-6, 20e-6))
    assert near[0].centre.x_m == pytest.approx(30e-6)
    with pytest.raises(StepError, match=r"stage polish_1 around the target at x 38.00 µm, y 0.00 µm does not fit"):
        stage().shapes(ImagePoint(38e-6, 0))
