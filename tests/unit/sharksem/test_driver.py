"""What belongs to SharkSEM alone: sockets, chunks, blocked servers, moves that can be stopped."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest
import sharksem_bench
from essence_rigs import FRAME, SMALL, Rig, rig
from sharksem.protocol import message
from sharksem.server import DropConnection, SharkServer, StaySilent
from tescan.instrument import Instrument

from drivers.sharksem.wire import SEND_RESPONSE
from fibsem_runtime.core import CancelToken
from fibsem_runtime.core.errors import (
    BeamError,
    Cancelled,
    ConnectionLostError,
    HardwareError,
    InterlockError,
    NotSupportedError,
)
from fibsem_runtime.hal import Microscope

SHORT = {"call_s": 0.3}


@pytest.fixture(name="rig")
def the_rig() -> Iterator[Rig]:
    with rig("sharksem") as found:
        yield found


def server_of(rig: Rig) -> SharkServer:
    assert rig.server is not None
    return rig.server


def frames(microscope: Microscope, *, bit_depth: int = 8) -> bytes:
    settings = replace(FRAME, bit_depth=bit_depth)
    return microscope.electron_beam.acquire(settings, cancel=CancelToken()).data.tobytes()


def test_text_lengths_of_both_styles_are_understood() -> None:
    for padded in (True, False):
        fake = Instrument(simulator_settings=SMALL)
        with sharksem_bench.serving(fake, padded_floats=padded) as (plugin, server):
            settings = plugin.settings_model.model_validate(sharksem_bench.shark_settings(server))
            microscope = plugin.open(settings, seed=0, state_directory=None)
            assert microscope.stage.position().z_m == pytest.approx(0.039)
            microscope.driver.close()


@pytest.mark.parametrize("bit_depth", [8, 16])
def test_lost_and_repeated_chunks_do_not_show_in_the_frame(bit_depth: int) -> None:
    def taken(lost: set[int], repeated: set[int]) -> bytes:
        with rig("sharksem") as found:
            chunks = server_of(found).chunks
            chunks.size_px, chunks.lost, chunks.repeated = 100, lost, repeated
            with found.opened() as microscope:
                return frames(microscope, bit_depth=bit_depth)

    assert taken({2, 7}, {0, 5}) == taken(set(), set())


def test_a_connection_that_drops_in_mid_frame_is_an_error_and_the_next_frame_comes(rig: Rig) -> None:
    chunks = server_of(rig).chunks
    chunks.size_px, chunks.drop_after = 100, 3
    with rig.opened() as microscope:
        with pytest.raises(ConnectionLostError, match="closed the connection"):
            frames(microscope)
        chunks.drop_after = None
        assert len(frames(microscope)) == FRAME.width_px * FRAME.height_px


def test_a_server_that_is_blocked_ends_with_the_time_limit(rig: Rig) -> None:
    def silent() -> None:
        raise StaySilent

    with rig.opened(time_limits=SHORT) as microscope:
        rig.fake.faults.by_name["GetWD"] = silent
        with pytest.raises(ConnectionLostError, match=r"GetWD at 127\.0\.0\.1:\d+: no answer within 0\.3 s"):
            microscope.electron_beam.settings()
        rig.fake.faults.clear()
        assert microscope.electron_beam.settings().working_distance_m == pytest.approx(7e-3)


def test_an_answer_to_another_question_drops_the_connection(rig: Rig) -> None:
    with rig.opened() as microscope:
        session = next(each for each in reversed(server_of(rig)._sessions))
        session.control.sendall(message("GetViewField", b""))
        with pytest.raises(ConnectionLostError, match="the answer is GetViewField's"):
            microscope.stage.position()
        assert microscope.stage.position().z_m == pytest.approx(0.039)


def test_nobody_there_is_a_lost_connection(rig: Rig) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(ConnectionLostError, match="no SharkSEM server answers"):
        rig.open(port=port)


def test_the_data_channel_is_registered_before_it_is_connected(rig: Rig) -> None:
    with rig.opened() as microscope:
        first = server_of(rig).requests[0]
        assert first.name == "TcpRegDataPort"
        assert first.flags & SEND_RESPONSE
        frames(microscope)


def test_setters_ask_for_no_reply_and_getters_do(rig: Rig) -> None:
    with rig.opened() as microscope:
        microscope.electron_beam.set_working_distance(7.2e-3)
        flags = {request.name: request.flags for request in server_of(rig).requests}
        assert flags["GetWD"] & SEND_RESPONSE
        assert not flags["SetWD"] & SEND_RESPONSE


def test_a_current_is_read_when_the_optics_are_idle(rig: Rig) -> None:
    with rig.opened() as microscope:
        rig.fake.electron.busy_delay_s = 0.0
        rig.fake.electron.be_busy(4.0)
        started_s = microscope.clock.monotonic_s()
        microscope.electron_beam.settings()
        assert microscope.clock.monotonic_s() - started_s >= 4.0


def test_a_voltage_change_that_blocks_the_server_is_waited_for(rig: Rig) -> None:
    with rig.opened() as microscope:
        started_s = microscope.clock.monotonic_s()
        assert microscope.electron_beam.set_voltage(5e3) == pytest.approx(5e3)
        assert microscope.clock.monotonic_s() - started_s >= 20


def test_a_scan_that_the_server_refuses_is_an_error(rig: Rig) -> None:
    with rig.opened() as microscope:
        rig.fake.faults.answer("FibScScanXY", (-1,))
        with pytest.raises(BeamError, match="with -1"):
            microscope.ion_beam.acquire(FRAME, cancel=CancelToken())


def test_a_cancelled_frame_is_stopped(rig: Rig) -> None:
    asked: list[int] = []

    class Late(CancelToken):
        def raise_if_cancelled(self) -> None:
            asked.append(1)
            if len(asked) == 4:
                self.cancel("stop pressed")
            super().raise_if_cancelled()

    server_of(rig).chunks.size_px = 100
    with rig.opened() as microscope:
        with pytest.raises(Cancelled, match="stop pressed"):
            microscope.electron_beam.acquire(FRAME, cancel=Late())
        microscope.stage.position()
        assert [name for name in rig.fake.faults.names() if name != "StgGetPosition"][-1] == "ScStopScan"
        # What still arrives of that frame is not taken for the next one.
        assert len(frames(microscope)) == FRAME.width_px * FRAME.height_px


def test_a_cancelled_move_stops_where_it_is(rig: Rig) -> None:
    with rig.opened() as microscope:
        here = microscope.stage.position()
        asked: list[int] = []

        class Late(CancelToken):
            def raise_if_cancelled(self) -> None:
                asked.append(1)
                if len(asked) == 6:
                    self.cancel("stop pressed")
                super().raise_if_cancelled()

        with pytest.raises(Cancelled, match="stop pressed"):
            microscope.stage.move_to(replace(here, x_m=here.x_m + 1e-3), cancel=Late())
        found = microscope.stage.position()
        assert "StgStop" in rig.fake.faults.names()
        assert here.x_m < found.x_m < here.x_m + 1e-3
        rig.fake.clock.sleep(60)
        assert microscope.stage.position() == found


def test_a_stage_that_is_lost_sight_of_while_it_moves_is_stopped_over_a_new_connection(rig: Rig) -> None:
    with rig.opened() as microscope:
        here = microscope.stage.position()
        rig.fake.faults.fail("StgIsBusy", DropConnection("gone"))
        with pytest.raises(ConnectionLostError):
            microscope.stage.move_to(replace(here, x_m=here.x_m + 1e-3), cancel=CancelToken())
        rig.fake.faults.clear()
        stopped = microscope.stage.position()
        assert rig.fake.faults.names()[-2:] == ["StgStop", "StgGetPosition"]
        rig.fake.clock.sleep(60)
        assert microscope.stage.position() == stopped


def test_only_leading_axes_are_sent(rig: Rig) -> None:
    with rig.opened() as microscope:
        here = microscope.stage.position()
        microscope.stage.move_to(replace(here, y_m=20e-6), cancel=CancelToken())
        (sent,) = (call.args for call in rig.fake.faults.log if call.name == "StgMoveTo")
        assert sent == pytest.approx((0.0, 0.02))


def test_limits_are_the_instruments_own(rig: Rig) -> None:
    with rig.opened() as microscope:
        limits = microscope.stage.limits
        assert (limits.x_m.low, limits.z_m.high) == pytest.approx((-0.06, 0.09))
    rig.fake.faults.answer("StgGetLimits", tuple([0.0] * 10))
    with pytest.raises(HardwareError, match="has no motor"):
        rig.open()


@pytest.mark.parametrize("configuration", [0, 1, 4])
def test_an_instrument_without_drawbeam_is_refused_on_opening(rig: Rig, configuration: int) -> None:
    rig.fake.faults.answer("DrwGetConfig", (configuration,))
    with pytest.raises(NotSupportedError, match="DrawBeam"):
        rig.open()


def test_an_ion_shift_under_another_name_is_found_by_that_name(rig: Rig) -> None:
    with rig.opened(ion_shift_name="Beam Shift") as microscope:
        with pytest.raises(NotSupportedError, match="'Image Shift', 'Rotation'"):
            microscope.ion_beam.settings()
    with rig.opened() as microscope:
        assert microscope.ion_beam.settings().shift.length_m == 0


def test_devices_that_sharksem_does_not_reach_are_absent(rig: Rig) -> None:
    with rig.opened() as microscope:
        assert microscope.gas_injection is None
        assert microscope.manipulator is None
        assert microscope.vacuum is not None


def test_several_clients_work_at_once(rig: Rig) -> None:
    with rig.opened() as one, rig.opened() as two:
        assert one.stage.position() == two.stage.position()
        assert len(frames(one)) == len(frames(two))


@pytest.mark.parametrize("function", ["HVGetBeam", "FibHVGetBeam"])
@pytest.mark.parametrize("state", [1000, -1])
def test_nothing_is_vented_before_both_beams_are_off_for_certain(rig: Rig, function: str, state: int) -> None:
    """1000 is a change of the high voltage, -1 unknown: neither is on, neither is off (vendor-tescan.md B4)."""
    with rig.opened() as microscope:
        for equipment in (microscope.electron_equipment, microscope.ion_equipment):
            assert equipment.source is not None
            equipment.source.turn_off()
        rig.fake.faults.answer(function, (state,))
        assert microscope.pump is not None
        with pytest.raises(InterlockError, match=f"{function} reads {state}"):
            microscope.pump.vent(cancel=CancelToken())
        assert "VacVent" not in rig.fake.faults.names()


def test_a_beam_whose_high_voltage_still_changes_does_not_count_as_switched_off(rig: Rig) -> None:
    with rig.opened(time_limits={"beam_on_s": 5.0}) as microscope:
        source = microscope.electron_equipment.source
        assert source is not None
        rig.fake.faults.answer("HVGetBeam", (1000,))
        with pytest.raises(HardwareError, match="did not go off within 5 s"):
            source.turn_off()
