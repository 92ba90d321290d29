"""The integrator against a scripted loop: what is sent, how runs are split, what may go wrong."""

from __future__ import annotations

import numpy as np
import pytest

from drivers import integrator as module
from drivers.board import Board
from drivers.integrator import Integrator, LayerBlock, Waveforms
from drivers.transfer import Curves
from protocols import messages
from protocols.errors import BoardError, InputError, LimitError, SafetyError
from protocols.hardware import load_board
from protocols.messages import (
    InitialRequest,
    LoopLayerRequest,
    Noise,
    ProbeRequest,
    ProgressRequest,
    ProgressResponse,
    RunRequest,
    RunState,
    SafeReason,
    SamplesRequest,
    TraceRequest,
    WaveBeginRequest,
    WaveClassRequest,
    WaveCommitRequest,
    WaveLoadRequest,
)

REFERENCE = load_board("reference").model_copy(update={"rows": 16, "columns": 16})
CURVES = Curves.nominal(REFERENCE)
TICKS = 20
BLOCKS = [
    LayerBlock(0, 0, 3, 4, True, 10e3),
    LayerBlock(3, 0, 5, 4, True, 10e3),
    LayerBlock(8, 0, 5, 2, False, 10e3, 50e-6),
]


class Loop:
    """A board whose loop adds one code to what it is given; each poll finishes `per_poll`."""

    def __init__(self, peer, per_poll: int = 7) -> None:
        self.per_poll = per_poll
        self.initial = np.zeros((4096, 2), int)
        self.runs: list[RunRequest] = []
        self.done = 0
        self.state = RunState.IDLE
        peer.handlers |= {
            InitialRequest.CODE: self.store,
            RunRequest.CODE: self.run,
            ProgressRequest.CODE: self.progress,
            SamplesRequest.CODE: self.samples,
            TraceRequest.CODE: self.trace,
            ProbeRequest.CODE: self.probe,
        }

    def store(self, request):
        codes = [entry.x for entry in request.entries]
        self.initial[request.first : request.first + len(codes)] = codes
        return b"\x00"

    def run(self, request):
        self.runs.append(request)
        self.done, self.state = 0, RunState.RUNNING
        return messages.RunResponse(1_000_000 * request.count)

    def progress(self, request):
        run = self.runs[-1]
        self.done = min(run.count, self.done + self.per_poll)
        if self.done == run.count and self.state == RunState.RUNNING:
            self.state = RunState.DONE
        return ProgressResponse(5, run.run_id, self.state, self.done)

    def samples(self, request):
        return self._pairs(messages.SamplesResponse, request.first, request.count, 1)

    def trace(self, request):
        codes = self.initial[request.trajectory] + request.first + np.arange(request.count)[:, None]
        entry = messages.TraceResponseEntry
        return messages.TraceResponse(tuple(entry(tuple(pair)) for pair in codes.tolist()))

    def _pairs(self, kind, first, count, add):
        codes = self.initial[first : first + count] + add
        return kind(tuple(kind.ENTRY(tuple(pair)) for pair in codes.tolist()))

    def probe(self, request):
        sums = [request.samples * (2048 + i + request.x[0] - 2048) for i in range(10)]
        entry = messages.ProbeResponseEntry
        return messages.ProbeResponse(tuple(entry(value) for value in sums))


def waveforms(ticks: int = TICKS, tick_s: float = 5e-3) -> Waveforms:
    return Waveforms(
        tick_s,
        np.full(ticks, -0.1),
        np.full(ticks, 0.2),
        np.zeros(ticks),
        np.zeros((ticks, 2)),
        np.zeros((ticks, 14)),
    )


@pytest.fixture
def loop(peer):
    return Loop(peer)


@pytest.fixture
def integrator(link, loop):
    return Integrator(Board(link), CURVES, REFERENCE)


@pytest.fixture
def loaded(integrator):
    integrator.connect(BLOCKS)
    integrator.load(waveforms())
    return integrator


def sent(peer, kind):
    return [request for _, request in peer.executed if isinstance(request, kind)]


def initial(count: int):
    return np.random.default_rng(3).uniform(-0.1, 0.1, (count, 2))


def expected(volts):
    return CURVES.sample.to_si(CURVES.initial.to_code(volts) + 1)


def test_connect(integrator, peer, link):
    before = link.stats.round_trips
    integrator.connect(BLOCKS)
    assert link.stats.round_trips == before + 1
    assert sent(peer, LoopLayerRequest) == [
        LoopLayerRequest(0, 0, 0, 3, 4, 1, 500, 0),
        LoopLayerRequest(1, 3, 0, 5, 4, 1, 500, 0),
        LoopLayerRequest(2, 8, 0, 5, 2, 0, 500, 500),
    ]


@pytest.mark.parametrize(
    ("block", "kind", "words"),
    [
        (LayerBlock(14, 0, 3, 4, True, 1e4), InputError, "layer 2 takes rows 14 to 16"),
        (LayerBlock(0, 10, 3, 4, True, 1e4), InputError, "columns 10 to 17; the array has 16 x 16"),
        (LayerBlock(-1, 0, 3, 4, True, 1e4), InputError, "has no cells"),
        (LayerBlock(0, 0, 0, 4, True, 1e4), InputError, "has no cells"),
        (LayerBlock(0, 0, 3, 4, True, 1e6), LimitError, "feedback of layer 2 is 1e"),
        (LayerBlock(0, 0, 3, 4, False, 1e4, 1.0), LimitError, "reference of layer 2 is 1 S"),
    ],
)
def test_blocks_that_do_not_fit(integrator, peer, block, kind, words):
    with pytest.raises(kind, match=words):
        integrator.connect([*BLOCKS[:2], block])
    assert sent(peer, LoopLayerRequest) == []


def test_three_layers(integrator):
    with pytest.raises(InputError, match="three layers, 2 blocks"):
        integrator.connect(BLOCKS[:2])


def test_load_is_one_round_trip_in_order(integrator, peer, link):
    before = link.stats.round_trips
    integrator.load(waveforms())
    assert link.stats.round_trips == before + 1
    kinds = [type(request) for _, request in peer.executed]
    assert kinds == [WaveBeginRequest, *[WaveLoadRequest] * 4, WaveClassRequest, WaveCommitRequest]
    assert sent(peer, WaveBeginRequest) == [WaveBeginRequest(TICKS, 5000)]
    assert [request.first for request in sent(peer, WaveLoadRequest)] == [0, 5, 10, 15]
    assert sent(peer, WaveCommitRequest)[0].crc == waveforms().encode(CURVES).crc


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tick_s": 1.5e-6}, "not a whole number of 1 us"),
        ({"tick_s": 50e-6}, "too short for board fa4e.*needs 0.0001 s"),
        ({"ticks": 101}, "101 ticks; board fa4e on fake holds 100"),
    ],
)
def test_waveforms_that_the_board_cannot_play(integrator, peer, changes, words):
    with pytest.raises(LimitError, match=words):
        integrator.load(waveforms(**changes))
    assert peer.executed == []


def test_run_gives_samples_in_volts(loaded, peer):
    x = initial(60)
    out = loaded.run(x, noise=Noise.SEEDED, seed=9, first_trajectory=1000)
    assert out.x_volts == pytest.approx(expected(x))
    assert out.codes.shape == (60, 2)
    assert out.traces_volts is None
    assert out.duration_s == pytest.approx(60.0)
    (run,) = sent(peer, RunRequest)
    assert run == RunRequest(1, 0, 60, TICKS, Noise.SEEDED, 9, 1000, 0, 0)


def test_runs_are_split_and_trajectories_keep_their_numbers(loaded, peer):
    x = initial(250)  # the board takes 100
    seen = []
    out = loaded.run(x, capture_tick=7, first_trajectory=5, progress=lambda *now: seen.append(now))
    assert out.x_volts == pytest.approx(expected(x))
    assert [(r.run_id, r.count, r.trajectory) for r in sent(peer, RunRequest)] == [
        (1, 100, 5),
        (2, 100, 105),
        (3, 50, 205),
    ]
    assert {r.capture_tick for r in sent(peer, RunRequest)} == {7}
    assert seen[-1] == (250, 250)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_traces(loaded, peer):
    x = initial(30)
    out = loaded.run(x, trace_every=5, trace_count=4)
    assert out.traces_volts.shape == (4, 5, 2)
    start = CURVES.initial.to_code(x[:4])
    steps = np.arange(5)[:, None]
    assert out.traces_volts == pytest.approx(CURVES.sample.to_si(start[:, None, :] + steps))
    (run,) = sent(peer, RunRequest)
    assert (run.count, run.trace_every, run.trace_count) == (30, 5, 4)


def test_more_traces_than_the_board_holds_are_split(loaded, peer):
    x = initial(90)  # 100 points: 4 trajectories of 21 points at a time
    out = loaded.run(x, trace_every=1, trace_count=10)
    assert out.traces_volts.shape == (10, 21, 2)
    assert out.traces_volts[:, 0] == pytest.approx(
        CURVES.sample.to_si(CURVES.initial.to_code(x[:10]))
    )
    assert [(r.count, r.trajectory, r.trace_count) for r in sent(peer, RunRequest)] == [
        (4, 0, 4),
        (4, 4, 4),
        (82, 8, 2),
    ]
    assert out.x_volts == pytest.approx(expected(x))


def test_more_traces_than_trajectories(loaded):
    assert loaded.run(initial(2), trace_every=10, trace_count=5).traces_volts.shape == (2, 3, 2)


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"capture_tick": 0}, InputError, "the waveforms have 1 to 20"),
        ({"capture_tick": 21}, InputError, "the waveforms have 1 to 20"),
        ({"trace_count": 3}, InputError, "trace_every and trace_count above 0"),
        ({"trace_every": -1}, InputError, "above 0"),
    ],
)
def test_runs_that_make_no_sense(loaded, peer, options, kind, words):
    with pytest.raises(kind, match=words):
        loaded.run(initial(3), **options)
    assert sent(peer, RunRequest) == []


def test_a_trajectory_longer_than_the_store(integrator, peer):
    peer.hello["trace_points_max"] = 20
    integrator.board.link.open()
    integrator.load(waveforms())
    with pytest.raises(LimitError, match="21 points; board fa4e on fake holds 20"):
        integrator.run(initial(3), trace_every=1, trace_count=1)


def test_nothing_loaded(integrator):
    with pytest.raises(InputError, match="no waveforms are loaded"):
        integrator.run(initial(3))


def test_a_failed_load_leaves_nothing_loaded(loaded, peer):
    peer.handlers[WaveCommitRequest.CODE] = lambda _: messages.STATUSES[11].pack(1, 2)
    with pytest.raises(BoardError, match="load them again"):
        loaded.load(waveforms())
    with pytest.raises(InputError, match="no waveforms are loaded"):
        loaded.run(initial(3))


@pytest.mark.parametrize(
    ("x", "kind", "words"),
    [
        (np.zeros(2), InputError, r"shape \(2,\), \(n, 2\) volts"),
        (np.zeros((2, 3)), InputError, r"shape \(2, 3\)"),
        ([[0.0, 0.5]], LimitError, "initial condition at trajectory 0, integrator 1 is 0.5 V"),
        ([[np.nan, 0.0]], LimitError, "trajectory 0, integrator 0 is nan"),
    ],
)
def test_initial_conditions_that_are_refused(loaded, peer, x, kind, words):
    with pytest.raises(kind, match=words):
        loaded.run(x)
    assert sent(peer, InitialRequest) == []


def test_no_initial_conditions_no_run(loaded, peer):
    assert loaded.run(np.zeros((0, 2))).x_volts.shape == (0, 2)
    assert sent(peer, RunRequest) == []


# --- a run that does not end well ----------------------------------------------------------------


def test_an_aborted_run(loaded, loop, peer):
    status = {f.name: 0 for f in messages.StatusResponse.FIELDS}
    status["safe_reason"] = SafeReason.WATCHDOG
    peer.handlers[messages.StatusRequest.CODE] = lambda _: messages.StatusResponse(**status)
    peer.handlers[ProgressRequest.CODE] = lambda _: ProgressResponse(5, 1, RunState.ABORTED, 3)
    with pytest.raises(SafetyError, match=r"run 1 was aborted after 3 .*safe state: watchdog"):
        loaded.run(initial(10))


@pytest.mark.parametrize(
    ("run_id", "state", "words"),
    [
        (1, RunState.LATE, "is late"),
        (77, RunState.DONE, "says run 77 is"),
        (1, RunState.IDLE, "idle"),
    ],
)
def test_a_run_that_is_lost(loaded, peer, run_id, state, words):
    peer.handlers[ProgressRequest.CODE] = lambda _: ProgressResponse(5, run_id, state, 3)
    with pytest.raises(BoardError, match=words):
        loaded.run(initial(10))


def test_a_run_that_stands_still(loaded, loop, monkeypatch):
    clock = iter(range(0, 10_000, 10))
    monkeypatch.setattr(module.time, "sleep", lambda _: None)
    loop.per_poll = 0

    class Clock:
        sleep = staticmethod(lambda _: None)
        monotonic = staticmethod(lambda: next(clock))

    monkeypatch.setattr(module, "time", Clock)
    with pytest.raises(BoardError, match="has stood at 0 trajectories for 30 s"):
        loaded.run(initial(10))


def test_an_interrupt_stops_the_board(loaded, peer):
    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        loaded.run(initial(100), progress=interrupt)
    assert peer.stops == 1


# --- probing -------------------------------------------------------------------------------------


def test_probe_layer_by_layer(loaded, peer):
    layers = loaded.probe(3, [0.0, 0.1], samples=4)
    assert [layer.shape for layer in layers] == [(4,), (4,), (2,)]
    assert np.concatenate(layers) == pytest.approx(CURVES.probe.to_si(2048 + np.arange(10)))
    assert sent(peer, ProbeRequest) == [ProbeRequest(3, (2048, 2560), 4)]


def test_many_probes_in_one_round_trip(loaded, link):
    before = link.stats.round_trips
    layers = loaded.probe(0, initial(25))
    assert [layer.shape for layer in layers] == [(25, 4), (25, 4), (25, 2)]
    assert link.stats.round_trips == before + 1


def test_probing_before_connecting(integrator):
    with pytest.raises(InputError, match="probes 10 outputs, its layers have 30"):
        integrator.probe(0, [0.0, 0.0])
