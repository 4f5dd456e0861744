"""What belongs to the Automation SDK alone: the package, images, needles, the second connection."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from essence_rigs import CONDITIONS, FRAME, SHAPES, Rig, guarded, retract, rig
from tescan.exposure import EngineState, Refused

from drivers.tescan import TescanPlugin, TescanSettings
from drivers.tescan.convert import to_engine_status, to_pixels
from fibsem_runtime.core import CancelToken
from fibsem_runtime.core.errors import (
    ConfigError,
    ConnectionLostError,
    HardwareError,
    InterlockError,
    NotSupportedError,
    VacuumError,
)
from fibsem_runtime.hal import Microscope, MillingState


@pytest.fixture(name="rig")
def the_rig() -> Iterator[Rig]:
    with rig("tescan") as found:
        yield found


def minimal() -> dict[str, Any]:
    with rig("tescan") as found:
        return found.settings


def test_a_missing_package_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = TescanSettings.model_validate(minimal())
    for name in [name for name in sys.modules if name.startswith("tescanautomation")]:
        monkeypatch.delitem(sys.modules, name)
    plugin = TescanPlugin()
    with pytest.raises(ConfigError, match="tescan-automation-sdk-install"):
        plugin.open(settings, seed=0, state_directory=None)
    (line,) = plugin.diagnose()
    assert "tescanautomation is missing" in line
    assert "sharksem" in line


def test_qt_is_not_left_behind_by_the_import(monkeypatch: pytest.MonkeyPatch) -> None:
    with rig("tescan") as found:
        for name in [name for name in sys.modules if name.startswith(("tescanautomation", "PySide6"))]:
            monkeypatch.delitem(sys.modules, name)
        with found.opened():
            assert "tescanautomation" in sys.modules
            assert not {"PySide6.QtCore", "tescanautomation.GUI", "tescanautomation.pyside6gui"} & set(sys.modules)


def test_an_instrument_that_does_not_answer_is_a_lost_connection(rig: Rig) -> None:
    with pytest.raises(ConnectionLostError, match="nobody-there:8300"):
        rig.open(host="nobody-there")


def test_the_instrument_names_itself_from_an_image_header(rig: Rig) -> None:
    with rig.opened() as microscope:
        assert (microscope.info.model, microscope.info.serial_number) == ("S8252X", "121-0169")
        frame = microscope.electron_beam.acquire(FRAME, cancel=CancelToken())
        assert frame.metadata.frame_id.startswith("121-0169-")


def test_an_acquisition_that_returns_nothing_is_an_error(rig: Rig) -> None:
    with rig.opened() as microscope:
        rig.fake.faults.answer("FIB.Scan.AcquireImageFromChannel", None)
        with pytest.raises(HardwareError, match="no image"):
            microscope.ion_beam.acquire(FRAME, cancel=CancelToken())


def test_a_frame_of_another_column_size_or_depth_is_thrown_away() -> None:
    document = SimpleNamespace(Header={"MAIN": {}, "SEM": {}}, Image=np.zeros((4, 4), np.uint8))
    assert to_pixels(document, bit_depth=8, section="SEM").shape == (4, 4)
    with pytest.raises(HardwareError, match="FIB frame"):
        to_pixels(document, bit_depth=8, section="FIB")
    with pytest.raises(HardwareError, match="16 bit"):
        to_pixels(document, bit_depth=16, section="SEM")


def test_a_state_of_drawbeam_that_means_nothing_is_an_error() -> None:
    with pytest.raises(HardwareError, match="Unknown"):
        to_engine_status((SimpleNamespace(name="Unknown"), 0.0, 0.0))


def test_a_corrupt_stream_is_opened_again(rig: Rig) -> None:
    """ValueError and TypeError are what a stream out of step looks like (vendor-tescan.md A2)."""
    with rig.opened() as microscope:
        for error in (ValueError("could not convert string to float: ''"), TypeError("None")):
            rig.fake.faults.fail("SEM.Optics.GetWD", error)
            with pytest.raises(ConnectionLostError, match="out of step"):
                microscope.electron_beam.settings()
            rig.fake.faults.clear()
            assert microscope.electron_beam.settings().working_distance_m == pytest.approx(7e-3)


def test_a_function_that_the_sdk_lacks_is_not_supported(rig: Rig) -> None:
    with rig.opened() as microscope, pytest.raises(NotSupportedError, match=r"no FIB\.Optics\.SetWD"):
        microscope.driver.link.call("FIB.Optics.SetWD", 7.0)  # type: ignore[attr-defined]


def test_a_closed_driver_refuses_and_leaves_no_thread(rig: Rig) -> None:
    before = threading.active_count()
    microscope = rig.open()
    assert threading.active_count() == before + 1
    microscope.driver.close()
    assert threading.active_count() == before
    with pytest.raises(ConnectionLostError, match="closed"):
        microscope.stage.position()


def test_needles_are_retracted_with_their_valves_closed(rig: Rig) -> None:
    with rig.opened() as microscope:
        retract(rig.fake, microscope)
        assert not any(line.valve_is_open for line in rig.fake.gas.values())
        assert {line.position for line in rig.fake.gas.values()} == {"Home"}
        assert rig.fake.manipulator.place_mm == (-8.918, 0.655, -4.849)
        names = rig.fake.faults.names()
        assert names.index("GIS.CloseValve") < names.index("GIS.MoveTo")


@pytest.mark.parametrize("state", [EngineState.RUNNING, EngineState.PAUSED])
def test_a_client_that_comes_back_disturbs_no_exposure(rig: Rig, state: EngineState) -> None:
    with rig.opened() as microscope:
        assert microscope.info.model != "unknown model"
        microscope.ion_beam.set_current(CONDITIONS.beam_current_a)
        microscope.milling.draw(SHAPES, CONDITIONS)
        rig.fake.engine.start()
        rig.fake.clock.sleep(1.0)
        if state is EngineState.PAUSED:
            rig.fake.engine.pause()
    rig.fake.faults.log.clear()
    with rig.opened() as microscope:
        assert microscope.info.model == "unknown model"
        assert not [name for name in rig.fake.faults.names() if name.startswith(("SEM.Scan", "SEM.Detector"))]
        assert rig.fake.engine.status()[0] is state
        microscope.driver.safe_state()
        assert microscope.milling.state() is MillingState.IDLE


def test_an_inserted_needle_forbids_stage_moves(rig: Rig) -> None:
    rig.fake.manipulator.place_mm = (0.0, 0.0, 5.85)
    with rig.opened() as microscope, pytest.raises(InterlockError, match="manipulator is inserted"):
        guarded(microscope).stage.move_to(microscope.stage.position(), cancel=CancelToken())


def test_a_manipulator_that_cannot_be_parked_keeps_nothing_else_from_being_made_safe(rig: Rig) -> None:
    rig.fake.manipulator.place_mm = (0.0, 0.0, 5.85)
    rig.fake.manipulator.is_calibrated = False
    with rig.opened() as microscope:
        with pytest.raises(HardwareError, match="not calibrated"):
            microscope.driver.safe_state()
        assert microscope.ion_beam.is_blanked()
        assert microscope.electron_beam.is_blanked()


def test_a_valve_that_does_not_close_is_reported_and_the_line_stays(rig: Rig) -> None:
    rig.fake.gas["Pt"].valve_is_open = True
    rig.fake.gas["Pt"].position = "Working"
    with rig.opened() as microscope:
        rig.fake.faults.answer("GIS.CloseValve", None)
        assert microscope.gas_injection is not None
        with pytest.raises(HardwareError, match="Pt: its valve still reads open"):
            microscope.gas_injection.retract(cancel=CancelToken())
        assert rig.fake.gas["Pt"].position == "Working"
        assert microscope.gas_injection.is_inserted()


def test_every_valve_is_closed_before_a_needle_moves_and_before_a_beam_is_blanked(rig: Rig) -> None:
    """safety.md section 2: patterning, valves, beams, needles."""
    for line in rig.fake.gas.values():
        line.valve_is_open, line.position = True, "Working"
    with rig.opened() as microscope:
        rig.fake.faults.log.clear()
        microscope.driver.safe_state()
        names = rig.fake.faults.names()
        last_valve = max(at for at, name in enumerate(names) if name == "GIS.CloseValve")
        assert names.count("GIS.CloseValve") == len(rig.fake.gas) >= 2
        assert last_valve < names.index("FIB.Scan.Stop") < names.index("GIS.MoveTo")


def test_a_valve_opens_only_with_its_own_needle_at_work(rig: Rig) -> None:
    first, second = rig.fake.gas
    with rig.opened() as microscope:
        gas = guarded(microscope).gas_injection
        assert gas is not None
        for line in (first, second):
            gas.prepare(line, cancel=CancelToken())
        gas.insert(first, cancel=CancelToken())
        with pytest.raises(InterlockError, match="not at its working position"):
            gas.open_valve(second)
        assert not rig.fake.gas[second].valve_is_open


def test_a_manipulator_that_may_hold_the_sample_stays_where_the_site_says_so(rig: Rig) -> None:
    rig.fake.manipulator.place_mm = (0.0, 0.0, 5.85)
    with rig.opened(safe_state_retracts_manipulator=False) as microscope:
        with pytest.raises(HardwareError, match="may hold the sample; it stays where it is"):
            microscope.driver.safe_state()
        assert rig.fake.manipulator.place_mm == (0.0, 0.0, 5.85)
        assert microscope.ion_beam.is_blanked()
        assert microscope.electron_beam.is_blanked()


def test_a_manipulator_that_holds_the_sample_is_not_even_asked_by_the_safe_state(rig: Rig) -> None:
    rig.fake.manipulator.place_mm = (0.0, 0.0, 5.85)
    with rig.opened() as microscope:
        assert microscope.manipulator is not None
        microscope.manipulator.hold(held=True)
        rig.fake.faults.log.clear()
        microscope.driver.safe_state()
        assert not [name for name in rig.fake.faults.names() if name.startswith("Nanomanipulator")]
        assert rig.fake.manipulator.place_mm == (0.0, 0.0, 5.85)


READ: dict[str, Callable[[Microscope], object]] = {
    "SEM.Beam.GetStatus": lambda m: m.electron_beam.is_on(),
    "SEM.Beam.GetVoltage": lambda m: m.electron_beam.settings(),
    "SEM.Beam.GetCurrent": lambda m: m.electron_beam.settings(),
    "SEM.Optics.GetWD": lambda m: m.electron_beam.settings(),
    "SEM.Optics.GetViewfield": lambda m: m.electron_beam.settings(),
    "SEM.Optics.GetImageShift": lambda m: m.electron_beam.settings(),
    "SEM.Optics.GetImageRotation": lambda m: m.electron_beam.settings(),
    "SEM.Detector.GetGainBlack": lambda m: m.electron_beam.detector(),
    "SEM.Scan.GetBlanker": lambda m: m.electron_beam.is_blanked(),
    "SEM.Scan.AcquireImageFromChannel": lambda m: m.electron_beam.acquire(FRAME, cancel=CancelToken()),
    "FIB.IsBusy": lambda m: m.ion_beam.set_blanked(blanked=True),
    "FIB.Beam.ReadProbeCurrent": lambda m: m.ion_beam.settings(),
    "Stage.GetPosition": lambda m: m.stage.position(),
    "DrawBeam.GetStatus": lambda m: m.milling.state(),
    "Chamber.GetStatus": lambda m: m.vacuum and m.vacuum.is_pumped(),
    "Chamber.GetPressure": lambda m: m.vacuum and m.vacuum.pressure_pa(),
    "Nanomanipulator.GetPosition": lambda m: m.manipulator and m.manipulator.is_inserted(),
    "Nanomanipulator.GetLimits": lambda m: m.manipulator and m.manipulator.limits,
    "GIS.GetPosition": lambda m: m.gas_injection and m.gas_injection.is_inserted(),
    "GIS.GetValveStatus": lambda m: m.gas_injection and m.gas_injection.close_valve("Pt"),
    "GIS.GetTemperatureReady": lambda m: m.gas_injection and m.gas_injection.is_ready("Pt"),
    "Camera.AcquireImage": lambda m: m.chamber_camera and m.chamber_camera.acquire(cancel=CancelToken()),
}


def test_no_answer_of_a_blocked_server_is_never_taken_for_a_value(rig: Rig) -> None:
    """It returns None (vendor-tescan.md B1); what cannot be read is an error of ours, which safe states can collect."""
    with rig.opened() as microscope:
        for name, read in READ.items():
            rig.fake.faults.answer(name, None)
            with pytest.raises(HardwareError):
                read(microscope)
            rig.fake.faults.clear()


def test_an_engine_that_does_not_answer_keeps_nothing_else_from_being_made_safe(rig: Rig) -> None:
    with rig.opened() as microscope:
        rig.fake.faults.answer("DrawBeam.GetStatus", None)
        with pytest.raises(HardwareError, match="could not stop milling"):
            microscope.driver.safe_state()
        assert "DrawBeam.Stop" in rig.fake.faults.names()
        assert microscope.ion_beam.is_blanked()
        assert microscope.electron_beam.is_blanked()


def test_devices_that_are_not_fitted_are_absent(rig: Rig) -> None:
    rig.fake.gas.clear()
    with rig.opened(manipulator=None) as microscope:
        assert microscope.gas_injection is None
        assert microscope.manipulator is None


def test_a_vented_chamber_forbids_images(rig: Rig) -> None:
    rig.fake.chamber.status = 4
    with rig.opened() as microscope, pytest.raises(VacuumError):
        guarded(microscope).ion_beam.acquire(FRAME, cancel=CancelToken())


def test_loading_twice_and_unloading_nothing_are_refused_by_the_fake_as_by_the_instrument(rig: Rig) -> None:
    """So that the driver's order is proven, not forgiven (S8)."""
    with pytest.raises(Refused):
        rig.fake.engine.unload()
    with pytest.raises(Refused):
        rig.fake.engine.estimate_s()
