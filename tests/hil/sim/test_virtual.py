"""The virtual front end: transactions that are wrong are refused, those that are right do what the
simulated board does. The codes themselves are compared in tests/conformance/test_differential.py.
"""

from __future__ import annotations

import struct

import numpy as np
import pytest

from hil.sim.chip import Chip
from hil.sim.config import SimSettings
from hil.sim.virtual import HEAD, Inputs, Op, VirtualFrontEnd
from protocols.errors import ConfigError, MessageError
from protocols.hardware import load_board

BOARD = load_board("reference")
OPEN = struct.pack("<HBBHH", 2, 1, 0, 128, 128)
LAYERS = b"".join(
    struct.pack("<HHHHBBHH", 20 * k, 30, rows, outputs, 1, 0, 1500, 0)
    for k, (rows, outputs) in enumerate(((3, 14), (15, 14), (15, 2)))
)


def transaction(op: int, time_ns: int = 0, body: bytes = b"") -> bytes:
    return HEAD.pack(HEAD.size - 2 + len(body), op, 0, time_ns) + body


@pytest.fixture
def front_end() -> VirtualFrontEnd:
    settings = SimSettings(board_seed=77)
    found = VirtualFrontEnd(BOARD, settings, Chip.open(None, settings, BOARD))
    found.answer(transaction(Op.OPEN, 0, OPEN))
    return found


def ask(front_end: VirtualFrontEnd, op: int, time_ns: int = 0, body: bytes = b"") -> bytes:
    """The body of an answer without fault."""
    answer = front_end.answer(transaction(op, time_ns, body))
    length, fault, _ = struct.unpack_from("<HHH", answer)
    assert (length, fault) == (len(answer) - 2, 0)
    return answer[6:]


def run(front_end: VirtualFrontEnd, ticks: int = 4, tick_us: int = 5000) -> None:
    body = struct.pack("<HHHBBIQ", 1, 1, ticks, 0, 0, tick_us, 0) + LAYERS
    assert ask(front_end, Op.RUN, 0, body) == bytes(8)


def test_power_up_tells_serial_time_and_the_ticks_wanted(front_end):
    front_end.chip.advance(2.0)
    front_end.ticks_per_transaction = 3
    found = struct.unpack("<QQHH", ask(front_end, Op.OPEN, 0, OPEN))
    assert found == (77, 2_000_000_000, 3, 0)


def test_the_board_owns_time(front_end):
    ask(front_end, Op.TIME, 5_000)
    assert front_end.chip.now_ns == 5_000
    ask(front_end, Op.INPUTS, 5_000)
    with pytest.raises(ConfigError, match="1 ns behind its chip's"):
        front_end.answer(transaction(Op.TIME, 4_999))


def test_a_power_up_begins_a_new_time(front_end):
    ask(front_end, Op.TIME, 5_000)
    ask(front_end, Op.OPEN, 0, OPEN)
    ask(front_end, Op.TIME, 10)
    assert front_end.chip.now_ns == 5_010


def test_a_pulse_lasts_as_long_as_the_description_says(front_end):
    pulse = struct.pack("<HHHHBBHHI", 163, 1, 3, 4, 0, 0, 1000, 1000, 50)
    assert len(ask(front_end, Op.PULSE_READ, 100, pulse)) == 2
    timing, tick_s = BOARD.timing, BOARD.converters.width_tick_s
    lasting_s = timing.pulse_overhead_s + 50 * tick_s + timing.read_s
    assert front_end.chip.now_ns == 100 + round(1e9 * lasting_s)


def test_known_cells_are_read(front_end):
    wanted = np.full((128, 128), np.nan)
    wanted[3, 4:7] = [50e-6, 100e-6, 200e-6]
    front_end.set_conductances(wanted)
    assert front_end.true_conductances()[3, 4:7] == pytest.approx(wanted[3, 4:7], rel=0.05)
    cells = struct.pack("<HBBHH6H", 163, 16, 0, 3, 0, 3, 4, 3, 5, 3, 6)
    sums = struct.unpack("<3I", ask(front_end, Op.READ, 0, cells))
    volts = 163 * BOARD.converters.pulse_full_scale_volts / 4095
    siemens = np.array(sums) / 16 / 4095 * BOARD.converters.read_full_scale_amperes / volts
    assert siemens == pytest.approx(wanted[3, 4:7], rel=0.15)


def test_what_the_board_senses(front_end):
    front_end.open_interlock()
    assert front_end.answer(transaction(Op.INPUTS))[4] == Inputs.INTERLOCK_OPEN
    front_end.close_interlock()
    assert front_end.answer(transaction(Op.INPUTS))[4] == 0


def test_a_planted_fault_comes_once_and_drives_nothing(front_end):
    pulse = struct.pack("<HHHHBBHHI", 163, 1, 3, 4, 0, 0, 1000, 1000, 50)
    front_end.plant_fault(42)
    before = front_end.chip.cells.state.copy()
    answer = front_end.answer(transaction(Op.PULSE_READ, 0, pulse))
    assert struct.unpack("<HHH", answer) == (4, 42, 0)
    assert np.array_equal(front_end.chip.cells.state, before)
    assert len(ask(front_end, Op.PULSE_READ, 0, pulse)) == 2


def test_ticks_must_come_in_order(front_end):
    run(front_end)
    words = np.full((2, 18), 2048, "<u2").tobytes()
    ticks = struct.pack("<HHBBH", 0, 2, 0, 0, 0) + words
    with pytest.raises(MessageError, match="ticks 0 to 2 of 4"):
        front_end.answer(transaction(Op.TICKS, 0, ticks))
    ask(front_end, Op.PRESET, 0, struct.pack("<IHH", 0, 2048, 2048))
    ask(front_end, Op.TICKS, 0, ticks)
    with pytest.raises(MessageError, match="tick 2 is due"):
        front_end.answer(transaction(Op.TICKS, 0, ticks))


@pytest.mark.parametrize(
    ("body", "error", "text"),
    [
        (struct.pack("<HBBHH", 1, 1, 0, 128, 128), MessageError, "speaks version 1"),
        (struct.pack("<HBBHH", 2, 1, 0, 64, 128), ConfigError, "array of 64 x 128"),
        (b"\0", MessageError, "8 are needed"),
    ],
)
def test_another_firmware_is_refused(front_end, body, error, text):
    with pytest.raises(error, match=text):
        front_end.answer(transaction(Op.OPEN, 0, body))


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        (b"", "0 bytes are no transaction"),
        (HEAD.pack(11, Op.SAFE, 0, 0), "says 11 bytes and has 10"),
        (transaction(0x55), "operation 0x55"),
        (transaction(Op.SAFE, 0, b"x"), "came with 1 bytes"),
        (transaction(Op.TICKS, 0, struct.pack("<HHBBH", 0, 0, 1, 0, 0)), "without a run"),
        (transaction(Op.PRESET, 0, struct.pack("<IHH", 0, 1, 1)), "without a run"),
        (transaction(Op.READ, 0, struct.pack("<HBBHH", 1, 1, 0, 2, 0)), "for 2 records"),
        (transaction(Op.READ, 0, struct.pack("<HBBHHHH", 1, 1, 0, 1, 0, 128, 0)), "outside"),
        (
            transaction(Op.MULTIPLY, 0, struct.pack("<HHHHBBH", 0, 0, 2, 2, 0, 1, 1)),
            "for 2 records",
        ),
        (
            transaction(Op.MULTIPLY, 0, struct.pack("<HHHHBBH", 127, 0, 2, 2, 0, 1, 0)),
            "a block outside",
        ),
        (transaction(Op.PROBE, 0, bytes(34)), "are no layers"),
        (transaction(Op.PROBE, 0, bytes(34) + bytes(42)), "cannot have"),
    ],
)
def test_what_is_no_transaction_is_refused(front_end, request_, text):
    with pytest.raises(MessageError, match=text):
        front_end.answer(request_)


def test_ticks_shorter_than_the_converters_can_follow(front_end):
    with pytest.raises(ConfigError, match=r"ticks of 100 us.*sim.tick_us_min"):
        run(front_end, tick_us=100)
