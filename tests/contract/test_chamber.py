"""The chamber: pressure, pumping and venting, and its camera, which leaves the beams' images as they were."""

from __future__ import annotations

import pytest

from fibsem_runtime.contract.instruments import Instrument
from fibsem_runtime.core import BeamType, CancelToken, ImageSettings
from fibsem_runtime.core.errors import Cancelled, ImageFileError, InterlockError, VacuumError
from fibsem_runtime.hal import Microscope

ATMOSPHERE_PA = 1e5
WORKING_PRESSURE_PA = 1e-1
"""High vacuum is below 0.1 Pa by definition (ISO 3529-1); dual-beams read 1e-5 to 1e-3 Pa."""


def test_a_pumped_chamber_has_a_high_vacuum(microscope: Microscope) -> None:
    if microscope.vacuum is None:
        pytest.skip("the instrument does not tell its vacuum")
    assert microscope.vacuum.is_pumped()
    assert 0 < microscope.vacuum.pressure_pa() < WORKING_PRESSURE_PA


def test_the_chamber_is_not_vented_with_a_beam_on(microscope: Microscope, cancel: CancelToken) -> None:
    if microscope.pump is None:
        pytest.skip("the instrument cannot be pumped by command")
    assert microscope.electron_beam.is_on()
    with pytest.raises(InterlockError, match="switch it off first"):
        microscope.pump.vent(cancel=cancel)
    assert microscope.vacuum is None or microscope.vacuum.is_pumped()


def test_venting_and_pumping_come_to_their_ends(
    instrument: Instrument, frame: ImageSettings, cancel: CancelToken
) -> None:
    """Not on a real instrument: nobody vents a chamber by a test."""
    microscope = instrument.microscope
    pump, sources = microscope.pump, [microscope.equipment(beam_type).source for beam_type in BeamType]
    if pump is None or None in sources:
        pytest.skip("the instrument cannot be pumped by command with its beams off")
    if not instrument.is_rehearsed:
        pytest.skip("an instrument is not vented by a test: let a person run pump.vent and pump.pump once")
    for source in sources:
        assert source is not None
        source.turn_off()
    pump.vent(cancel=cancel)
    if microscope.vacuum is not None:
        assert not microscope.vacuum.is_pumped()
        assert microscope.vacuum.pressure_pa() == pytest.approx(ATMOSPHERE_PA, rel=0.2)
        with pytest.raises(VacuumError):
            microscope.electron_beam.acquire(frame, cancel=cancel)
    pump.pump(cancel=cancel)
    assert microscope.vacuum is None or microscope.vacuum.is_pumped()


def test_a_cancelled_token_pumps_nothing(microscope: Microscope, cancel: CancelToken) -> None:
    if microscope.pump is None:
        pytest.skip("the instrument cannot be pumped by command")
    cancel.cancel("stop pressed")
    with pytest.raises(Cancelled):
        microscope.pump.pump(cancel=cancel)


def test_the_chamber_camera_gives_a_gray_picture_without_metres(microscope: Microscope, cancel: CancelToken) -> None:
    if microscope.chamber_camera is None:
        pytest.skip("the instrument has no chamber camera")
    picture = microscope.chamber_camera.acquire(cancel=cancel)
    assert min(picture.shape) > 16
    assert picture.data.std() > 0
    assert picture.metadata.beam_type is None
    assert picture.metadata.acquired_at is not None
    with pytest.raises(ImageFileError, match="pixel size"):
        _ = picture.pixel_size_m


def test_the_camera_leaves_the_beams_images_as_they_were(
    microscope: Microscope, frame: ImageSettings, cancel: CancelToken
) -> None:
    if microscope.chamber_camera is None:
        pytest.skip("the instrument has no chamber camera")
    for beam_type in BeamType:
        microscope.chamber_camera.acquire(cancel=cancel)
        image = microscope.beam(beam_type).acquire(frame, cancel=cancel)
        assert image.metadata.beam_type is beam_type
        assert image.pixel_size_m == pytest.approx(frame.pixel_size_m)


def test_a_cancelled_token_takes_no_picture(microscope: Microscope, cancel: CancelToken) -> None:
    if microscope.chamber_camera is None:
        pytest.skip("the instrument has no chamber camera")
    cancel.cancel("stop pressed")
    with pytest.raises(Cancelled):
        microscope.chamber_camera.acquire(cancel=cancel)
