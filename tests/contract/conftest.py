"""One instrument a driver for the whole session; every test finds it as it was opened."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fibsem_runtime.contract.instruments import Instrument, open_instrument
from fibsem_runtime.contract.participants import ask_consent, chosen_drivers, instrument_settings, rehearsals
from fibsem_runtime.core import BeamSettings, BeamType, CancelToken, ImageSettings
from fibsem_runtime.hal import Beam, Microscope, MillingSettings

FRAME = ImageSettings(width_px=384, height_px=256, hfw_m=120e-6, dwell_time_s=3e-6)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "opened" in metafunc.fixturenames:
        metafunc.parametrize("opened", chosen_drivers(metafunc.config), indirect=True, scope="module")


@pytest.fixture(scope="session")
def consent(request: pytest.FixtureRequest) -> None:
    ask_consent(request.config, chosen_drivers(request.config))


@pytest.fixture(scope="module")
def opened(request: pytest.FixtureRequest, consent: None) -> Iterator[Instrument]:
    config, name = request.config, request.param
    with open_instrument(name, instrument_settings(config), rehearsals(config).get(name)) as instrument:
        yield instrument


@pytest.fixture
def instrument(opened: Instrument) -> Iterator[Instrument]:
    yield opened
    opened.go_home()


@pytest.fixture
def microscope(instrument: Instrument) -> Microscope:
    return instrument.microscope


@pytest.fixture(params=list(BeamType), ids=lambda beam_type: beam_type.value.lower())
def beam(microscope: Microscope, request: pytest.FixtureRequest) -> Beam:
    return microscope.beam(request.param)


@pytest.fixture
def cancel() -> CancelToken:
    return CancelToken()


@pytest.fixture
def frame() -> ImageSettings:
    return FRAME


@pytest.fixture
def conditions(microscope: Microscope) -> MillingSettings:
    """Milling at the current and voltage that the ion beam has."""
    found: BeamSettings = microscope.ion_beam.settings()
    return MillingSettings(
        beam_current_a=found.beam_current_a,
        voltage_v=found.voltage_v,
        hfw_m=80e-6,
        application="ice",
        dose_c_per_m3=2e8,
    )
