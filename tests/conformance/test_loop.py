"""Waveforms, layers, runs and samples on the wire."""

from __future__ import annotations

import struct
import zlib

import pytest

from protocols import messages
from protocols.messages import (
    DisarmRequest,
    HelloRequest,
    HelloResponse,
    InitialRequest,
    InitialRequestEntry,
    LoopLayerRequest,
    Noise,
    Part,
    ProbeRequest,
    ProgressRequest,
    PulseReadRequest,
    ReadRequest,
    RunRequest,
    RunState,
    SafeReason,
    SamplesRequest,
    TraceRequest,
    WaveBeginRequest,
    WaveClassRequest,
    WaveCommitRequest,
    WaveLoadRequest,
    WaveLoadRequestEntry,
)

TICKS = 10
TICK_US = 5000
ENTRIES = tuple(
    WaveLoadRequestEntry(2048 - 10 * i, 2048 + i, 5, (2048, 2048 + i), (2048 + 3 * i,) * 14)
    for i in range(TICKS)
)
CLASS = tuple(range(-7, 7))


def crc_of(entries, offsets=(0,) * 14) -> int:
    packed = b"".join(
        struct.pack("<19H", e.drift, e.score, e.noise, *e.offset, *e.embedding) for e in entries
    )
    return zlib.crc32(packed + struct.pack("<14h", *offsets))


def load(wire, entries=ENTRIES) -> None:
    wire.good(WaveBeginRequest(len(entries), TICK_US))
    for at in range(0, len(entries), 5):
        wire.good(WaveLoadRequest(at, entries[at : at + 5]))


def commit(wire, entries=ENTRIES) -> None:
    load(wire, entries)
    wire.good(WaveCommitRequest(crc_of(entries)))


def connect(target) -> None:
    width = target.description.loop.hidden_width
    sizes = ((3, width), (width + 1, width), (width + 1, 2))
    row = 0
    for layer, (inputs, outputs) in enumerate(sizes):
        target.wire.good(LoopLayerRequest(layer, row, 0, inputs, outputs, 1, 500, 0))
        row += inputs


def initial(wire, count: int) -> None:
    for at in range(0, count, 50):
        codes = [(1800 + i % 400, 2300 - i % 400) for i in range(at, min(at + 50, count))]
        wire.good(InitialRequest(at, tuple(InitialRequestEntry(pair) for pair in codes)))


def run_request(**changes) -> RunRequest:
    fields = {
        "run_id": 3,
        "first": 0,
        "count": 20,
        "capture_tick": TICKS,
        "noise": Noise.NONE,
        "seed": 1,
        "trajectory": 0,
        "trace_every": 0,
        "trace_count": 0,
    }
    return RunRequest(**{**fields, **changes})


def most_trajectories(target) -> int:
    """As many as the board holds: what its repeated hello says."""
    payload = target.wire.exchange(HelloRequest.CODE, HelloRequest(1).pack(), 0, 0)
    return HelloResponse.unpack(payload[1:]).trajectories_max


def finish(wire) -> messages.ProgressResponse:
    for _ in range(1000):
        now = wire.good(ProgressRequest())
        if now.run_state != RunState.RUNNING:
            return now
    raise AssertionError("the run does not end")


@pytest.fixture
def ready(target, wire):
    """A board with everything that a run needs."""
    connect(target)
    commit(wire)
    initial(wire, 20)
    return wire


# --- waveforms -----------------------------------------------------------------------------------


def test_waveforms_are_checked_by_crc(wire):
    load(wire)
    good = crc_of(ENTRIES)
    assert wire.refused(WaveCommitRequest(good ^ 1)) == (
        "crc_mismatch",
        {"expected": good ^ 1, "found": good},
    )
    wire.good(WaveCommitRequest(good))


def test_the_crc_covers_the_class_offsets(wire):
    load(wire)
    wire.good(WaveClassRequest(CLASS))
    assert wire.refused(WaveCommitRequest(crc_of(ENTRIES)))[0] == "crc_mismatch"
    wire.good(WaveCommitRequest(crc_of(ENTRIES, CLASS)))


def test_the_crc_is_in_the_order_of_the_ticks_not_of_loading(wire):
    wire.good(WaveBeginRequest(TICKS, TICK_US))
    wire.good(WaveLoadRequest(5, ENTRIES[5:]))
    assert wire.refused(WaveCommitRequest(crc_of(ENTRIES))) == ("not_ready", {"part": 0})
    wire.good(WaveLoadRequest(0, ENTRIES[:5]))
    wire.good(WaveCommitRequest(crc_of(ENTRIES)))


def test_one_bit_of_one_tick_changes_the_crc(wire):
    changed = (*ENTRIES[:-1], messages.WaveLoadRequestEntry(1, 2, 3, (4, 5), (6,) * 14))
    load(wire, changed)
    assert wire.refused(WaveCommitRequest(crc_of(ENTRIES)))[0] == "crc_mismatch"


def test_waveforms_that_the_board_cannot_hold(target):
    hello = target.wire.hello()
    wire = target.wire
    many = hello.ticks_max + 1
    assert wire.refused(WaveBeginRequest(many, TICK_US)) == (
        "out_of_range",
        {"field": 0, "entry": 0, "value": many, "minimum": 1, "maximum": hello.ticks_max},
    )
    name, found = wire.refused(WaveBeginRequest(5, hello.tick_us_min - 1))
    assert (name, found["field"], found["minimum"]) == ("out_of_range", 1, hello.tick_us_min)
    wire.good(WaveBeginRequest(hello.ticks_max, hello.tick_us_min))


def test_ticks_beyond_the_announced_length(wire):
    wire.good(WaveBeginRequest(TICKS, TICK_US))
    name, found = wire.refused(WaveLoadRequest(6, ENTRIES[:5]))
    assert (name, found["field"], found["value"], found["maximum"]) == ("out_of_range", 0, 6, 5)
    assert wire.refused(WaveLoadRequest(0xFFFF, ENTRIES[:1]))[0] == "out_of_range"


def test_nothing_is_loaded_before_it_begins(wire):
    for request in (WaveLoadRequest(0, ENTRIES[:1]), WaveClassRequest(CLASS), WaveCommitRequest(0)):
        assert wire.refused(request) == ("not_ready", {"part": Part.WAVEFORMS})


def test_loading_again_needs_a_new_commit(target, ready):
    ready.good(run_request())
    finish(ready)
    ready.good(WaveLoadRequest(0, ENTRIES[:1]))
    assert ready.refused(run_request()) == ("not_ready", {"part": Part.WAVEFORMS})
    ready.good(WaveCommitRequest(crc_of(ENTRIES)))
    ready.good(run_request())


def test_an_embedding_that_leaves_its_converter_with_its_class_offset(wire):
    high = WaveLoadRequestEntry(2048, 2048, 0, (2048, 2048), (4000,) * 14)
    wire.good(WaveBeginRequest(1, TICK_US))
    wire.good(WaveLoadRequest(0, (high,)))
    assert wire.refused(WaveClassRequest((96,) * 14))[0] == "out_of_range"
    wire.good(WaveClassRequest((95,) * 14))


# --- layers --------------------------------------------------------------------------------------


def test_layers_must_fit_into_the_array(target, wire):
    width = target.description.loop.hidden_width
    rows, columns = target.description.rows, target.description.columns
    layer = LoopLayerRequest(0, rows - 3, columns - 2 * width, 3, width, 1, 500, 0)
    wire.good(layer)
    for field, changed in (
        (1, LoopLayerRequest(0, rows - 2, 0, 3, width, 1, 500, 0)),
        (2, LoopLayerRequest(0, 0, columns - 2 * width + 1, 3, width, 1, 500, 0)),
    ):
        name, found = wire.refused(changed)
        assert (name, found["field"]) == ("out_of_range", field)
    wire.good(LoopLayerRequest(0, 0, columns - width, 3, width, 0, 500, 500))


# --- runs ----------------------------------------------------------------------------------------


def test_what_a_run_still_needs(target, wire):
    assert wire.refused(run_request()) == ("not_ready", {"part": Part.WAVEFORMS})
    commit(wire)
    assert wire.refused(run_request()) == ("not_ready", {"part": Part.LAYERS})
    assert wire.refused(ProbeRequest(0, (2048, 2048), 1)) == ("not_ready", {"part": Part.LAYERS})
    connect(target)
    assert wire.refused(run_request()) == ("not_ready", {"part": Part.INITIAL_CONDITIONS})
    initial(wire, 19)
    assert wire.refused(run_request()) == ("not_ready", {"part": Part.INITIAL_CONDITIONS})
    initial(wire, 20)
    wire.good(run_request())


def test_a_run_from_start_to_samples(ready):
    idle = ready.good(ProgressRequest())
    assert (idle.run_state, idle.done) == (RunState.IDLE, 0)
    assert ready.good(run_request()).duration_us >= 20 * TICKS * TICK_US
    end = finish(ready)
    assert (end.run_id, end.run_state, end.done) == (3, RunState.DONE, 20)
    codes = [one.x for one in ready.good(SamplesRequest(0, 20)).entries]
    assert len(codes) == 20
    assert len(set(codes)) > 10
    assert ready.good(SamplesRequest(7, 3)).entries == tuple(
        messages.SamplesResponseEntry(x) for x in codes[7:10]
    )
    assert ready.refused(SamplesRequest(18, 3)) == ("no_data", {"first": 18, "available": 20})


def test_a_run_needs_no_arming_but_no_stop_either(ready):
    payload = ready.exchange(0x02, b"", 0, 0)
    assert payload[0] == 0
    assert ready.refused(run_request()) == ("safe_state", {"reason": SafeReason.STOP})


def test_busy_while_running(target, ready):
    count = most_trajectories(target)
    initial(ready, count)
    ready.good(run_request(run_id=77, count=count))
    busy = ("busy", {"run_id": 77})
    for request in (
        run_request(),
        ReadRequest(100, 1, (messages.ReadRequestEntry(0, 0),)),
        WaveBeginRequest(5, TICK_US),
        InitialRequest(0, (InitialRequestEntry((1, 1)),)),
        ProbeRequest(0, (2048, 2048), 1),
        PulseReadRequest(100, (messages.PulseReadRequestEntry(0, 0, 0, 1, 1, 1),)),
    ):
        assert ready.refused(request) == busy, request
    assert ready.status().run_state == RunState.RUNNING
    ready.exchange(0x02, b"", 0, 0)
    now = ready.good(ProgressRequest())
    assert (now.run_id, now.run_state) == (77, RunState.ABORTED)
    assert now.done < count


def test_disarming_ends_a_run(ready):
    initial(ready, 2000)
    ready.good(run_request(count=2000))
    ready.good(DisarmRequest())
    assert ready.good(ProgressRequest()).run_state == RunState.ABORTED


def test_a_new_session_forgets_what_was_loaded(ready):
    ready.hello(2)
    assert ready.refused(run_request()) == ("not_ready", {"part": Part.WAVEFORMS})
    assert ready.good(ProgressRequest()).run_state == RunState.IDLE


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"capture_tick": TICKS + 1}, 3),
        ({"first": 0xFFFF}, 2),
        ({"count": 0xFFFF}, 2),
        ({"trajectory": 0xFFFFFFFF}, 6),
        ({"trace_every": 1, "trace_count": 21}, 8),
    ],
)
def test_runs_that_the_board_cannot_do(ready, changes, field):
    name, found = ready.refused(run_request(**changes))
    assert (name, found["field"]) == ("out_of_range", field)
    assert ready.good(ProgressRequest()).run_state == RunState.IDLE


def test_initial_conditions_beyond_the_store(target):
    hello = target.wire.hello()
    pair = (InitialRequestEntry((1, 2)), InitialRequestEntry((3, 4)))
    target.wire.good(InitialRequest(hello.trajectories_max - 2, pair))
    name, found = target.wire.refused(InitialRequest(hello.trajectories_max - 1, pair))
    assert (name, found["field"]) == ("out_of_range", 0)


def test_the_same_run_twice_gives_the_same_samples(ready):
    found = []
    for _ in range(2):
        ready.good(run_request(noise=Noise.SEEDED, seed=5))
        finish(ready)
        found.append(ready.good(SamplesRequest(0, 20)))
    assert found[0] == found[1]
    ready.good(run_request(noise=Noise.SEEDED, seed=6))
    finish(ready)
    assert ready.good(SamplesRequest(0, 20)) != found[0]


def test_noise_goes_with_the_number_of_the_trajectory(ready):
    """Split into two runs, or solved in one: the same trajectories."""
    ready.good(run_request(noise=Noise.SEEDED, trajectory=100))
    finish(ready)
    whole = ready.good(SamplesRequest(0, 20)).entries
    ready.good(run_request(noise=Noise.SEEDED, first=12, count=8, trajectory=112))
    finish(ready)
    assert ready.good(SamplesRequest(0, 8)).entries == whole[12:]


# --- traces and probes ---------------------------------------------------------------------------


def test_traces_begin_with_the_initial_condition_and_end_with_the_sample(ready):
    ready.good(run_request(trace_every=2, trace_count=3))
    finish(ready)
    samples = ready.good(SamplesRequest(0, 20)).entries
    points = TICKS // 2 + 1
    for number in range(3):
        trace = ready.good(TraceRequest(number, 0, points)).entries
        assert len(trace) == points
        # The converters' own errors come between: a handful of codes.
        start = (1800 + number, 2300 - number)
        assert max(abs(a - b) for a, b in zip(trace[0].x, start, strict=True)) <= 30
        last = zip(trace[-1].x, samples[number].x, strict=True)
        assert max(abs(a - b) for a, b in last) <= 5
    assert ready.refused(TraceRequest(3, 0, 1)) == ("no_data", {"first": 3, "available": 3})
    assert ready.refused(TraceRequest(0, points, 1)) == (
        "no_data",
        {"first": points, "available": points},
    )


def test_runs_without_traces_have_none(ready):
    ready.good(run_request())
    finish(ready)
    assert ready.refused(TraceRequest(0, 0, 1))[0] == "no_data"


def test_probe_gives_every_output_of_every_layer(target, ready):
    width = target.description.loop.hidden_width
    once = ready.good(ProbeRequest(0, (2048, 2048), 1)).entries
    assert len(once) == 2 * width + 2
    assert all(one.sum <= 4095 for one in once)
    many = ready.good(ProbeRequest(0, (2048, 2048), 64)).entries
    assert all(abs(b.sum / 64 - a.sum) < 10 for a, b in zip(once, many, strict=True))


def test_probe_sees_the_embedding_of_its_tick(ready):
    first, last = (ready.good(ProbeRequest(t, (2048, 2048), 16)).entries for t in (0, TICKS - 1))
    assert last[0].sum > first[0].sum, "27 codes more of embedding"
    name, found = ready.refused(ProbeRequest(TICKS, (2048, 2048), 1))
    assert (name, found["maximum"]) == ("out_of_range", TICKS - 1)
