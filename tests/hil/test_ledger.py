"""A job that is cut off anywhere goes on from its journal, and ends as if nothing had happened."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.programming.ispp import Ispp, IsppParams
from drivers.board import Board
from drivers.integrator import Integrator
from drivers.rram.geometry import Cells, Geometry
from drivers.rram.limits import Limits
from drivers.rram.macro import Macro
from drivers.stream import MemoryStream
from drivers.transfer import Curves
from hil.journal import Journal
from hil.ledger import Exchange, Ledger
from hil.recorded_link import RecordedLink
from hil.session_state import SessionState
from hil.sim.board import SimBoard
from hil.sim.chip import Chip
from hil.sim.config import SimSettings
from protocols import frame
from protocols import messages as m
from protocols.errors import LinkError, RecordError
from protocols.hardware import load_board

DESCRIPTION = load_board("reference")
CELLS = Cells.block(0, 0, 4, 6)
TARGETS = np.linspace(80e-6, 200e-6, len(CELLS))


class Cut(Exception):
    """The host process ends here."""


class CutStream(MemoryStream):
    """Ends the host at one write: before it, or after the board has executed it."""

    def __init__(self, peer, at=None, before=True):
        super().__init__(peer)
        self.writes, self.at, self.before = 0, at, before

    def write(self, data):
        self.writes += 1
        if self.at is not None and self.writes > self.at:
            raise Cut
        if self.writes == self.at and self.before:
            raise Cut
        super().write(data)
        if self.writes == self.at:
            raise Cut


class CutLedger(Ledger):
    """A host that ends before a round of pulses ends before it is meant."""

    stream = None

    def intent(self, batch, *, label):
        stream = self.stream
        if stream.before and stream.at is not None and stream.writes + 1 >= stream.at:
            raise Cut
        return super().intent(batch, label=label)


class Host:
    """One process: a board that was just powered up, a link, and the journal of the run."""

    def __init__(self, chip, path, at=None, before=True):
        board = SimBoard(DESCRIPTION, chip.settings_, chip)
        journal = Journal.resume(path) if path.exists() else Journal.create(path)
        self.ledger = CutLedger.resume(journal)
        self.stream = CutStream(board.receive, at, before)
        self.ledger.stream = self.stream
        self.link = RecordedLink(self.stream, self.ledger, restoring=board.out_of_time)
        self.link.open()
        self.board = Board(self.link)
        curves = Curves.nominal(DESCRIPTION)
        limits = Limits.of(DESCRIPTION.limits)
        geometry = Geometry(DESCRIPTION.rows, DESCRIPTION.columns)
        self.macro = Macro(self.board, geometry, curves, limits, recorder=self.ledger)
        self.macro.lower_board_limits()
        self.integrator = Integrator(self.board, curves, DESCRIPTION)
        self.journal = journal


def new_chip(seed=3):
    settings = SimSettings(seed=seed)
    chip = Chip.open(None, settings, DESCRIPTION)
    chip.settings_ = settings
    flat = CELLS.rows * DESCRIPTION.columns + CELLS.columns
    chip.cells.set_conductance(flat, np.full(len(CELLS), 120e-6), 0.0)
    return chip


def job(host):
    """Programs the cells, with waits, and reads them once more."""
    params = IsppParams(settle_s=(0.0, 1.0, 0.0), pulse_budget=60)
    result = Ispp(params, lambda s: host.board.advance(s)).run(host.macro, CELLS, TARGETS)
    return result, host.macro.read(CELLS, samples=4)


def until_done(chip, path, cuts):
    """The job, ended at each of `cuts` (write number, before) in turn, and then to its end."""
    for at, before in cuts:
        try:
            host = Host(chip, path, at + 1, before)  # the hello is the first write
            done = job(host)
        except Cut:
            continue
        return done, host
    host = Host(chip, path)
    return job(host), host


@pytest.fixture
def undisturbed(tmp_path):
    chip = new_chip()
    (result, final), host = until_done(chip, tmp_path / "whole.sqlite", [])
    return chip, result, final, host.stream.writes


def same_state(a, b):
    return all(
        np.array_equal(a.cells.state[n], b.cells.state[n]) for n in a.cells.state.dtype.names
    )


def test_cut_between_requests_nothing_differs(undisturbed, tmp_path):
    chip, result, final, writes = undisturbed
    assert writes > 40
    rng = np.random.default_rng(1)
    for k, at in enumerate(sorted({3, 4, 5, writes - 2, *rng.integers(3, writes, 6).tolist()})):
        other = new_chip()
        (again, last), _ = until_done(other, tmp_path / f"{k}.sqlite", [(at, True)])
        assert same_state(chip, other), f"cut before write {at}"
        assert np.array_equal(again.reached_siemens, result.reached_siemens)
        assert np.array_equal(again.pulses, result.pulses)
        assert np.array_equal(last, final)
        assert chip.now_ns == other.now_ns


def test_cut_again_and_again_nothing_differs(undisturbed, tmp_path):
    chip, result, final, _ = undisturbed
    other = new_chip()
    cuts = [(9, True), (9, True), (14, True), (8, True), (20, True), (11, True)]
    (again, last), host = until_done(other, tmp_path / "j.sqlite", cuts)
    assert host.ledger.replayed > 20
    assert same_state(chip, other)
    assert np.array_equal(last, final)
    assert np.array_equal(again.status, result.status)


@pytest.mark.parametrize("at", [4, 12, 26])
def test_pulses_in_flight_are_read_and_never_sent_again(undisturbed, tmp_path, at):
    result = undisturbed[1]
    other = new_chip()
    (again, _), host = until_done(other, tmp_path / "j.sqlite", [(at, False)])
    with Journal.open_read(host.journal.path) as reader:
        acknowledged = len(reader.records())
        unknown = sum(len(intent.records) for intent in reader.unknown())
    flat = CELLS.rows * DESCRIPTION.columns + CELLS.columns
    driven = int(other.cells.state["pulse_count"][flat].sum()) - len(CELLS)
    assert acknowledged <= driven <= acknowledged + unknown
    assert host.ledger.unknown == unknown
    good = again.in_tolerance & result.in_tolerance
    assert good.sum() >= result.in_tolerance.sum() - 2
    # A resumed run that is cut again builds on the readings that stood in for the answers.
    (third, _), _ = until_done(other, host.journal.path, [])
    assert np.array_equal(third.reached_siemens, again.reached_siemens)


def test_no_cell_outside_the_job_is_touched(tmp_path):
    other = new_chip()
    until_done(other, tmp_path / "j.sqlite", [(9, False), (12, True), (10, False)])
    flat = CELLS.rows * DESCRIPTION.columns + CELLS.columns
    outside = np.ones(other.cells.state.size, bool)
    outside[flat] = False
    assert not other.cells.state["pulse_count"][outside].any()


def test_another_job_is_not_taken_for_the_same(undisturbed, tmp_path):
    path = tmp_path / "j.sqlite"
    other = new_chip()
    host = Host(other, path, 20)
    with pytest.raises(Cut):
        job(host)
    host = Host(other, path)
    with pytest.raises(RecordError, match="cannot be resumed"):
        Ispp(IsppParams()).run(host.macro, CELLS, TARGETS * 0.9)
    pulses = other.cells.state["pulse_count"].copy()
    assert np.array_equal(other.cells.state["pulse_count"], pulses)


def test_a_broken_line_is_an_error_that_can_be_resumed(undisturbed, tmp_path):
    final = undisturbed[2]
    other = new_chip()
    host = Host(other, tmp_path / "j.sqlite")
    at = iter(range(1000))
    write = host.stream.write
    host.stream.write = lambda data: write(data) if next(at) < 4 else None
    with pytest.raises(LinkError):
        job(host)
    host.journal.close()
    (_, last), host = until_done(other, tmp_path / "j.sqlite", [])
    assert host.ledger.replayed >= 4
    assert np.mean(np.abs(last - TARGETS) < 12e-6) > 0.9
    assert np.mean(np.abs(final - TARGETS) < 12e-6) > 0.9


def holds_pulses(data):
    blocks = [block for block in data.split(b"\0") if block]
    return any(frame.decode(block).code == m.PulseReadRequest.CODE for block in blocks)


def broken_often(chip, path, cells, targets, breaks=16):
    """A job whose line breaks at the first new pulses, again and again; then it goes well."""
    for cut in range(breaks + 1):
        host = Host(chip, path)
        call = host.stream.write

        def silent(data, call=call, host=host, cut=cut):
            if cut == breaks or host.ledger.replaying or not holds_pulses(data):
                call(data)

        host.stream.write = silent
        try:
            result = Ispp(IsppParams(pulse_budget=60)).run(host.macro, cells, targets)
            break
        except LinkError:
            host.journal.close()
    assert cut == breaks
    return result, breaks


def test_pulses_that_never_went_out_are_sent_when_the_job_goes_on(tmp_path):
    """A line that breaks at each round's first pulses must not use up the turns of the others."""
    cells, other, path = Cells.block(0, 0, 16, 12), new_chip(), tmp_path / "j.sqlite"
    flat = cells.rows * DESCRIPTION.columns + cells.columns
    other.cells.set_conductance(flat, np.full(len(cells), 120e-6), 0.0)
    formed = other.cells.state["pulse_count"][flat].copy()
    targets = np.linspace(80e-6, 190e-6, len(cells))
    result, breaks = broken_often(other, path, cells, targets)
    driven = other.cells.state["pulse_count"][flat] - formed
    assert np.all(driven <= result.pulses)
    assert np.all(result.pulses - driven <= breaks / 2 + 1)
    assert result.in_tolerance.mean() > 0.9


def test_cells_are_not_stuck_for_pulses_that_may_never_have_been_driven(tmp_path):
    """The line breaks in every round after all of its pulses went out, and before the board got
    one: each cell is read, and what it did not hear does not count against it."""
    result, breaks = broken_often(new_chip(), tmp_path / "j.sqlite", CELLS, TARGETS)
    assert np.all(result.pulses[result.pulses > 0] > breaks)
    assert result.in_tolerance.mean() > 0.9


def test_what_a_session_forgets_is_told_again(tmp_path):
    """Limits, layers, waveforms and arming, in this order; a disarmed board is not armed."""
    state = SessionState()
    lower = m.LimitsLowerRequest(0, 10, 10, 10, 10, 10, 10)
    begin, load = m.WaveBeginRequest(2, 1000), m.WaveCommitRequest(1)
    state.observe([m.ArmRequest(5), lower, begin, load])
    assert state.requests() == [lower, begin, load, m.ArmRequest(5)]
    state.observe([m.DisarmRequest(), begin])
    assert state.requests() == [lower, begin]


def test_exchanges_survive_packing():
    requests = [m.ArmRequest(5), m.StatusRequest()]
    exchange = Exchange.of(requests, [b"\0abc", None])
    again = Exchange.unpack(exchange.pack(), 0)
    assert again == exchange
    assert again.fits(requests)
    assert not again.fits(requests[::-1])
