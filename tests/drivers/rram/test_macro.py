"""The macro against a scripted board: codes on the wire, limits before it, records after it."""

from __future__ import annotations

import numpy as np
import pytest

from drivers.board import Board
from drivers.link import Link
from drivers.rram.geometry import Cells, Geometry
from drivers.rram.limits import Limits
from drivers.rram.macro import PULSE_RECORD, DryRun, Macro
from drivers.rram.pulses import PulseBatch
from drivers.stream import MemoryStream
from drivers.transfer import Curves
from protocols import messages
from protocols.errors import (
    ConfigError,
    InputError,
    LimitError,
    LinkTimeout,
    MessageError,
    SafetyError,
)
from protocols.hardware import load_board
from protocols.messages import (
    ArmRequest,
    DisarmRequest,
    Operation,
    PulseReadRequest,
    PulseReadResponse,
    PulseReadResponseEntry,
    ReadRequest,
    ReadResponse,
    ReadResponseEntry,
)

REFERENCE = load_board("reference")
GEOMETRY = Geometry(16, 16)
CURVES = Curves.nominal(REFERENCE)
OK = {"gate_volts": 2.0, "line_volts": 2.0, "width_s": 1e-6}
READ_VOLTS = 163 * 5.0 / 4095


class Recorder:
    def __init__(self) -> None:
        self.intents, self.outcomes = [], []

    def intent(self, batch, *, label):
        self.intents.append((batch, label))
        return 40 + len(self.intents)

    def outcome(self, token, start, records):
        self.outcomes.append((token, start, records.copy()))


class Chip:
    """A board's answers: a cell's reading is its row * 16 + column + 100, and time goes on."""

    def __init__(self, peer) -> None:
        self.peer = peer
        self.time_us = 1_000_000
        peer.handlers[ReadRequest.CODE] = self.read
        peer.handlers[PulseReadRequest.CODE] = self.pulse

    def read(self, request):
        self.time_us += 1000
        sums = [request.samples * self.code(e) for e in request.entries]
        return ReadResponse(self.time_us, tuple(ReadResponseEntry(value) for value in sums))

    def pulse(self, request):
        self.time_us += 1000
        entries = tuple(PulseReadResponseEntry(self.code(e)) for e in request.entries)
        return PulseReadResponse(self.time_us, entries)

    @staticmethod
    def code(entry) -> int:
        return entry.row * 16 + entry.column + 100


@pytest.fixture
def chip(peer):
    return Chip(peer)


@pytest.fixture
def recorder():
    return Recorder()


@pytest.fixture
def make_macro(link, chip, recorder):
    def make(**options) -> Macro:
        limits = options.pop("limits", Limits.of(REFERENCE.limits))
        return Macro(Board(link), GEOMETRY, CURVES, limits, recorder=recorder, **options)

    return make


@pytest.fixture
def macro(make_macro):
    return make_macro()


def siemens(code):
    return np.asarray(code) * 60e-6 / 4095 / READ_VOLTS


def sent(peer, kind):
    return [request for _, request in peer.executed if isinstance(request, kind)]


def test_read_in_siemens(macro, peer):
    cells = Cells.of([(0, 0), (3, 4), (0, 0)])
    assert macro.read(cells) == pytest.approx(siemens([100, 152, 100]))
    assert macro.read(cells, samples=8) == pytest.approx(siemens([100, 152, 100]))
    first, second = sent(peer, ReadRequest)
    assert (first.read_code, first.samples, second.samples) == (163, 1, 8)
    assert macro.time_s == pytest.approx(1.002)
    assert macro.read_volts == pytest.approx(READ_VOLTS)


def test_read_map_is_one_round_trip(macro, link):
    before = link.stats.round_trips
    found = macro.read_map()
    assert found.shape == (16, 16)
    assert found[3, 4] == pytest.approx(siemens(152))
    assert link.stats.round_trips == before + 1


def test_nothing_to_read(macro, peer):
    assert macro.read(Cells.of([])).shape == (0,)
    assert sent(peer, ReadRequest) == []


def test_readings_at_the_end_of_the_converter_are_counted(macro, chip, monkeypatch):
    monkeypatch.setattr(Chip, "code", staticmethod(lambda entry: 4095))
    found = macro.read(Cells.of([(0, 0), (1, 1)]))
    assert macro.saturated == 2
    assert found == pytest.approx([macro.full_scale_siemens] * 2)


def test_pulse_read_on_the_wire(macro, peer, recorder):
    cells = Cells.block(0, 0, 3, 15)
    batch = PulseBatch.reset(cells, gate_volts=2.5, line_volts=1.25, width_s=200e-9)
    with macro.armed():
        found = macro.pulse_read(batch, label="round 3")
    assert found == pytest.approx(siemens([100 + r * 16 + c for r, c in cells]))
    frames = sent(peer, PulseReadRequest)
    assert [len(frame.entries) for frame in frames] == [16, 16, 13]
    entry = frames[1].entries[0]
    assert (entry.row, entry.column, entry.operation) == (1, 1, Operation.RESET)
    assert (entry.gate_code, entry.line_code, entry.width_ticks) == (2047, 1023, 10)
    assert frames[0].read_code == 163
    ((intent, label),) = recorder.intents
    assert intent is batch
    assert label == "round 3"


def test_one_batch_is_one_round_trip(macro, link):
    with macro.armed():
        before = link.stats.round_trips
        macro.pulse_read(PulseBatch.set(Cells.all(GEOMETRY), **OK))
        assert link.stats.round_trips == before + 1


def test_records_of_every_frame(macro, link, recorder):
    cells = Cells.block(2, 0, 2, 16)
    with macro.armed():
        macro.pulse_read(PulseBatch.form(cells, **OK))
    assert [(token, start) for token, start, _ in recorder.outcomes] == [(41, 0), (41, 16)]
    records = np.concatenate([part for _, _, part in recorder.outcomes])
    assert records.dtype == PULSE_RECORD
    assert list(zip(records["row"].tolist(), records["column"].tolist(), strict=True)) == list(
        cells
    )
    assert set(records["operation"]) == {Operation.FORM}
    assert records["reading_code"].tolist() == [100 + r * 16 + c for r, c in cells]
    assert set(records["session"]) == {link.session}
    assert records["sequence"].tolist() == [2] * 16 + [3] * 16
    assert np.diff(records["time_us"].astype(int)).max() == 1000


def test_the_same_cell_twice_in_order(macro, peer):
    cells = Cells.of([(1, 1), (1, 1)])
    batch = PulseBatch.join([PulseBatch.reset(cells[:1], **OK), PulseBatch.set(cells[1:], **OK)])
    with macro.armed():
        macro.pulse_read(batch)
    (frame,) = sent(peer, PulseReadRequest)
    assert [entry.operation for entry in frame.entries] == [Operation.RESET, Operation.SET]


# --- arming --------------------------------------------------------------------------------------


def test_unarmed_pulses_are_refused_without_a_byte(macro, link):
    before = link.stats.bytes_sent
    with pytest.raises(SafetyError, match=r"put them inside `with macro\.armed\(\):`"):
        macro.pulse_read(PulseBatch.set(Cells.of([(0, 0)]), **OK))
    assert link.stats.bytes_sent == before


def test_armed_arms_and_disarms(macro, peer):
    with macro.armed(2.5), macro.armed(5.0):
        assert sent(peer, ArmRequest)[0].duration_ms == 2500
    assert len(sent(peer, ArmRequest)) == 2
    assert len(sent(peer, DisarmRequest)) == 1


def test_a_failure_inside_disarms(macro, peer):
    with pytest.raises(ZeroDivisionError), macro.armed():
        raise ZeroDivisionError
    assert len(sent(peer, DisarmRequest)) == 1
    with pytest.raises(SafetyError):
        macro.pulse_read(PulseBatch.set(Cells.of([(0, 0)]), **OK))


def test_a_failed_disarming_does_not_hide_the_failure(macro, peer):
    peer.handlers[DisarmRequest.CODE] = lambda _: messages.STATUSES[13].pack()
    with pytest.raises(ZeroDivisionError) as caught, macro.armed():
        raise ZeroDivisionError
    assert "Disarming failed as well" in caught.value.__notes__[0]


def test_a_lost_line_inside_armed_is_the_error_that_is_seen(macro, line):
    line.script.extend(["ok"] * 4 + ["drop"] * 200)  # hello and arm pass
    with pytest.raises(LinkTimeout), macro.armed():
        macro.pulse_read(PulseBatch.set(Cells.of([(0, 0)]), **OK))


def test_arming_too_long(macro, peer):
    with pytest.raises(LimitError, match="arming for 61 s"), macro.armed(61.0):
        pass
    assert sent(peer, ArmRequest) == []


# --- limits --------------------------------------------------------------------------------------


def test_over_a_limit_nothing_is_sent_and_nothing_recorded(macro, peer, recorder):
    cells = Cells.all(GEOMETRY)
    volts = np.full(len(cells), 2.0)
    volts[-1] = 3.61
    with macro.armed(), pytest.raises(LimitError, match=r"SET of cell \(15, 15\): line_volts"):
        macro.pulse_read(PulseBatch.set(cells, **{**OK, "line_volts": volts}))
    assert sent(peer, PulseReadRequest) == []
    assert recorder.intents == []


def test_the_boards_own_limit_counts_when_it_is_lower(make_macro, peer):
    peer.hello["set_gate_max"] = 1500
    macro = make_macro()
    assert macro.limits.bound(Operation.SET, "gate_volts").value == pytest.approx(1.8315, abs=1e-3)
    with macro.armed(), pytest.raises(LimitError, match="set in the firmware of board fa4e"):
        macro.pulse_read(PulseBatch.set(Cells.of([(0, 0)]), **OK))


@pytest.fixture
def link(peer, line):
    """As everywhere, but opened late: tests change the board's limits first."""

    class Late(Link):
        @property
        def hello(self):
            if self._hello is None:
                self.open()
            return super().hello

    return Late(MemoryStream(line.receive, "fake"), nonce=1, attempts=4)


def test_a_pulse_at_the_limit_is_driven(macro, peer):
    bound = macro.limits.bound(Operation.FORM, "line_volts").value
    with macro.armed():
        macro.pulse_read(
            PulseBatch.form(Cells.of([(0, 0)]), gate_volts=2.0, line_volts=bound, width_s=1e-6)
        )
    (frame,) = sent(peer, PulseReadRequest)
    assert frame.entries[0].line_code == 3000


def test_the_pulse_budget_is_counted_over_batches_and_frames(make_macro, peer):
    limits = Limits.of(REFERENCE.limits).lowered({"pulses_per_cell": 5})
    macro = make_macro(limits=limits)
    twice = Cells.of([(2, 3), (0, 0), (2, 3)])
    with macro.armed():
        macro.pulse_read(PulseBatch.set(twice, **OK))
        macro.pulse_read(PulseBatch.set(twice, **OK))
        with pytest.raises(LimitError, match=r"cell \(2, 3\) would have had 6 pulses.*bench file"):
            macro.pulse_read(PulseBatch.set(twice, **OK))
        macro.pulse_read(PulseBatch.set(twice[:2], **OK))
    assert len(sent(peer, PulseReadRequest)) == 3


def test_the_pulse_budget_is_that_of_the_session(make_macro, link):
    macro = make_macro(limits=Limits.of(REFERENCE.limits).lowered({"pulses_per_cell": 1}))
    one = PulseBatch.set(Cells.of([(0, 0)]), **OK)
    with macro.armed():
        macro.pulse_read(one)
    link.open()
    with macro.armed():
        macro.pulse_read(one)


def test_cells_outside_the_array(macro):
    with pytest.raises(InputError, match=r"cell \(16, 0\)"):
        macro.read(Cells.of([(16, 0)]))
    with macro.armed(), pytest.raises(InputError, match=r"cell \(0, 99\)"):
        macro.pulse_read(PulseBatch.set(Cells.of([(0, 99)]), **OK))


def test_a_read_voltage_that_could_change_a_cell(make_macro):
    with pytest.raises(LimitError, match=r"read voltage of 0\.46 V"):
        make_macro(read_volts=0.46)
    with pytest.raises(LimitError, match="firmware of board fa4e"):
        make_macro(limits=no_read_limit(), read_volts=0.6)


def no_read_limit() -> Limits:
    hard = REFERENCE.limits.model_copy(update={"read_volts": 1.0})
    return Limits.of(hard)


def test_a_description_of_another_array(link, chip):
    with pytest.raises(ConfigError, match="has 16 x 16 cells, its description 128 x 128"):
        Macro(Board(link), Geometry(128, 128), CURVES, Limits.of(REFERENCE.limits))


def test_limits_go_to_the_board(make_macro, peer):
    limits = Limits.of(REFERENCE.limits).lowered({"set.gate_volts": 2.0, "reset.width_s": 1e-6})
    make_macro(limits=limits).lower_board_limits()
    lowered = {r.operation: r for r in sent(peer, messages.LimitsLowerRequest)}
    assert lowered[0].gate_max == 1638
    assert lowered[1].width_max == 50
    assert lowered[2].line_max == 3000
    assert {r.pulses_per_cell_max for r in lowered.values()} == {1000}


# --- refusals and dry runs -----------------------------------------------------------------------


def test_a_refused_frame_leaves_the_records_of_the_others(macro, chip, peer, recorder):
    def refuse_second(request):
        if len(sent(peer, PulseReadRequest)) == 2:
            return messages.STATUSES[16].pack(7)
        return chip.pulse(request)

    peer.handlers[PulseReadRequest.CODE] = refuse_second
    batch = PulseBatch.set(Cells.all(GEOMETRY), **OK)
    with macro.armed(), pytest.raises(SafetyError, match=r"fault 7.*"):
        macro.pulse_read(batch)
    starts = [start for _, start, _ in recorder.outcomes]
    assert starts[0] == 0
    assert 16 not in starts
    assert len(starts) == len(sent(peer, PulseReadRequest)) - 1


def test_a_board_that_answers_too_little(macro, peer):
    peer.handlers[ReadRequest.CODE] = lambda _: ReadResponse(1, (ReadResponseEntry(1),))
    with pytest.raises(MessageError, match="asked for 3 values, 1 came back"):
        macro.read(Cells.of([(0, 0)] * 3))


def test_dry_run_drives_nothing(link, chip, peer):
    counted = DryRun()
    macro = Macro(
        Board(link), GEOMETRY, CURVES, Limits.of(REFERENCE.limits), recorder=counted, dry_run=True
    )
    with macro.armed():
        found = macro.pulse_read(PulseBatch.set(Cells.block(0, 0, 2, 2), **OK))
        with pytest.raises(LimitError):
            macro.pulse_read(PulseBatch.set(Cells.of([(0, 0)]), **{**OK, "gate_volts": 4.0}))
    assert np.isnan(found).all()
    assert sent(peer, ArmRequest) == sent(peer, PulseReadRequest) == []
    assert str(counted) == (
        "dry run: 4 pulses (4 SET) in 1 batches would be driven, up to 2 V gate, 2 V line and"
        " 1e-06 s; nothing was driven"
    )
    assert str(DryRun()) == "dry run: no pulse would be driven"
    assert macro.read(Cells.of([(0, 0)]))[0] > 0


# --- by hand -------------------------------------------------------------------------------------


def test_one_pulse_from_the_keyboard(macro, peer):
    found = macro.pulse(3, 4, "reset", gate_volts=2.0, line_volts=1.0, width_s=1e-7)
    assert found == pytest.approx(float(siemens(152)))
    kinds = [type(request) for _, request in peer.executed]
    assert kinds == [ArmRequest, PulseReadRequest, DisarmRequest]
    with macro.armed():
        macro.pulse(3, 4, Operation.SET, 2.0, 1.0, 1e-7)
    assert len(sent(peer, ArmRequest)) == 2


def test_a_kind_of_pulse_that_is_none(macro):
    with pytest.raises(InputError, match="'erase' is no kind of pulse; known are set, reset, form"):
        macro.pulse(0, 0, "erase", 1.0, 1.0, 1e-7)
