"""The whole board over the wire: waveforms, layers, runs, samples, traces, probe, time."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import pytest

from hil.sim.board import make_board
from hil.sim.config import SimSettings
from protocols import messages as m
from protocols.errors import ConfigError, InputError, TargetError
from protocols.frame import Frame, encode
from tests.hil.sim.board_host import (
    REFERENCE,
    Host,
    RefusedByBoardError,
    blocks_conductance,
    open_host,
    wave_codes,
)

SETTLED = SimSettings(effects={"relaxation": False, "drift": False})
TICK = m.WaveLoadRequestEntry(2048, 2048, 0, (2048, 2048), (2048,) * 14)


@pytest.fixture
def host() -> Host:
    return open_host()


def refusal(host: Host, request: Any) -> tuple[str, dict[str, int]]:
    with pytest.raises(RefusedByBoardError) as caught:
        host(request)
    return caught.value.name, caught.value.arguments


def ready(settings: SimSettings, count: int = 300, ticks: int = 40, noise: int = 100) -> Host:
    host = open_host(settings)
    host.board.set_conductances(blocks_conductance())
    host.load(wave_codes(ticks, noise))
    host.connect()
    rng = np.random.default_rng(2)
    host.initial(np.rint(2048 + 512 * rng.normal(size=(count, 2))).astype(int).clip(0, 4095))
    return host


# --- identity and time -----------------------------------------------------------------------


def test_hello_says_who_the_board_is(host: Host) -> None:
    hello = host.hello(1)
    assert hello.fingerprint == m.FINGERPRINT
    assert hello.protocol_version == m.PROTOCOL_VERSION
    assert (hello.rows, hello.columns, hello.window) == (128, 128, 8)
    assert hello.payload_bytes == m.PAYLOAD_BYTES
    assert hello.port == m.Port.SIM
    assert hello.build.rstrip(b"\0").isascii()
    assert hello.watchdog_ms == 2000
    assert hello.arm_ms_max == 600_000


def test_time_is_virtual_and_advances_as_asked(host: Host) -> None:
    before = host(m.StatusRequest()).time_us
    after = host(m.AdvanceRequest(3600 * 1_000_000)).time_us
    assert 3600e6 <= after - before < 3600e6 + 1000
    name, arguments = refusal(host, m.AdvanceRequest(2**64 - 1))
    assert (name, arguments["field"]) == ("out_of_range", 0)


def test_a_description_that_does_not_fit_the_wire_is_refused() -> None:
    for part, key, value in (("converters", "bits", 14), ("loop", "hidden_width", 15)):
        changed = getattr(REFERENCE, part).model_copy(update={key: value})
        with pytest.raises(ConfigError, match=key):
            make_board(SimSettings(), REFERENCE.model_copy(update={part: changed}))


def test_back_doors_check_what_they_get(host: Host) -> None:
    with pytest.raises(InputError, match="shape"):
        host.board.set_conductances(np.zeros((3, 3)))
    with pytest.raises(TargetError):
        host.board.set_conductances(np.full((128, 128), 1.0))
    host.board.set_conductances(blocks_conductance())
    formed = host.board.chip.cells.state["formed"].reshape(128, 128)
    np.testing.assert_array_equal(formed == 1, ~np.isnan(blocks_conductance()))


def test_bytes_may_come_in_any_pieces() -> None:
    whole, split = open_host(), open_host()
    block = b"".join(
        encode(Frame(whole.session, n, r.CODE, r.pack()))
        for n, r in enumerate((m.StatusRequest(), m.AdvanceRequest(5), m.ProgressRequest()), 1)
    )
    expected = whole.board.receive(block)
    assert b"".join(split.board.receive(block[k : k + 1]) for k in range(len(block))) == expected
    assert expected.count(b"\0") == 3


# --- the waveform store ----------------------------------------------------------------------


def test_waveforms_are_committed_by_their_crc(host: Host) -> None:
    host(m.WaveBeginRequest(3, 5000))
    host(m.WaveLoadRequest(1, (TICK, TICK)))
    assert refusal(host, m.WaveCommitRequest(0)) == ("not_ready", {"part": m.Part.WAVEFORMS})
    host(m.WaveLoadRequest(0, (TICK,)))
    crc = zlib.crc32(TICK.pack() * 3 + bytes(28))
    assert refusal(host, m.WaveCommitRequest(1)) == ("crc_mismatch", {"expected": 1, "found": crc})
    host(m.WaveCommitRequest(crc))
    offset = m.WaveClassRequest((-3,) * 14)
    host(offset)
    host(m.WaveCommitRequest(zlib.crc32(TICK.pack() * 3 + offset.pack())))
    np.testing.assert_array_equal(host.board.machine.store.waves().embedding, 2045)


def test_a_change_of_the_store_takes_the_commit_back(host: Host) -> None:
    host.load(wave_codes(10))
    host.connect()
    host.initial(np.full((1, 2), 2048))
    host.run(1, 10)
    host.finish()
    host(m.WaveLoadRequest(9, (TICK,)))
    run = m.RunRequest(2, 0, 1, 10, 0, 0, 0, 0, 0)
    assert refusal(host, run) == ("not_ready", {"part": m.Part.WAVEFORMS})


def test_the_store_refuses_what_does_not_fit(host: Host) -> None:
    not_begun = ("not_ready", {"part": m.Part.WAVEFORMS})
    assert refusal(host, m.WaveLoadRequest(0, (TICK,))) == not_begun
    assert refusal(host, m.WaveCommitRequest(0)) == not_begun
    assert refusal(host, m.WaveBeginRequest(1025, 5000))[1]["maximum"] == 1024
    assert refusal(host, m.WaveBeginRequest(10, 199))[1]["minimum"] == 200
    host(m.WaveBeginRequest(3, 5000))
    name, arguments = refusal(host, m.WaveLoadRequest(2, (TICK, TICK)))
    assert (name, arguments["value"], arguments["maximum"]) == ("out_of_range", 2, 1)


def test_a_class_offset_out_of_range_is_refused_whichever_comes_last(host: Host) -> None:
    high = m.WaveLoadRequestEntry(2048, 2048, 0, (2048, 2048), (4000,) * 14)
    host(m.WaveBeginRequest(2, 5000))
    host(m.WaveLoadRequest(1, (high,)))
    wanted = {"entry": 1, "value": 4100, "minimum": 0, "maximum": 4095}
    assert refusal(host, m.WaveClassRequest((100,) * 14)) == ("out_of_range", {"field": 0} | wanted)
    host(m.WaveBeginRequest(2, 5000))
    host(m.WaveClassRequest((100,) * 14))
    name, arguments = refusal(host, m.WaveLoadRequest(0, (TICK, high)))
    assert (name, arguments) == ("out_of_range", {"field": 4} | wanted)


# --- runs ------------------------------------------------------------------------------------


def test_a_run_says_what_it_still_needs(host: Host) -> None:
    run = m.RunRequest(1, 3, 2, 10, 0, 0, 0, 0, 0)
    assert refusal(host, run) == ("not_ready", {"part": m.Part.WAVEFORMS})
    host.load(wave_codes(10))
    assert refusal(host, run) == ("not_ready", {"part": m.Part.LAYERS})
    host.connect()
    host.initial(np.full((4, 2), 2048))
    assert refusal(host, run) == ("not_ready", {"part": m.Part.INITIAL_CONDITIONS})
    host(m.InitialRequest(4, (m.InitialRequestEntry((1, 2)),)))
    assert refusal(host, m.RunRequest(1, 3, 2, 11, 0, 0, 0, 0, 0))[1]["field"] == 3
    assert refusal(host, m.RunRequest(1, 4095, 2, 9, 0, 0, 0, 0, 0))[1]["field"] == 2
    assert refusal(host, m.RunRequest(1, 3, 2, 9, 0, 0, 2**32 - 1, 0, 0))[1]["field"] == 6
    assert refusal(host, m.RunRequest(1, 3, 2, 9, 0, 0, 0, 1, 3))[1]["field"] == 8
    host(run)


def test_layers_have_the_sizes_that_are_wired(host: Host) -> None:
    for field, change in ((3, {"inputs": 4}), (4, {"outputs": 13}), (1, {"first_row": 126})):
        fields = {
            "layer": 0,
            "first_row": 0,
            "first_column": 0,
            "inputs": 3,
            "outputs": 14,
            "differential": 1,
            "feedback_code": 500,
            "reference_code": 0,
        }
        name, arguments = refusal(host, m.LoopLayerRequest(**(fields | change)))
        assert (name, arguments["field"]) == ("out_of_range", field)
    name, arguments = refusal(host, m.LoopLayerRequest(0, 0, 101, 3, 14, 1, 500, 0))
    assert (arguments["field"], arguments["maximum"]) == (2, 100)


def test_a_run_answers_at_once_and_is_polled() -> None:
    host = ready(SimSettings(trajectories_per_poll=100))
    response = host.run(250, 40, run_id=9)
    assert response.duration_us == 250 * (1200 + 40 * 5000)
    start = host(m.StatusRequest()).time_us
    states = []
    while True:
        progress = host(m.ProgressRequest())
        states.append((progress.run_state, progress.done))
        if progress.run_state != m.RunState.RUNNING:
            break
        with pytest.raises(RefusedByBoardError, match="no_data"):
            host(m.SamplesRequest(progress.done - 1, 2))
    running, done = m.RunState.RUNNING, m.RunState.DONE
    assert states == [(running, 100), (running, 200), (done, 250)]
    assert progress.run_id == 9
    assert progress.time_us - start == pytest.approx(response.duration_us, rel=1e-4)
    assert refusal(host, m.SamplesRequest(249, 2)) == ("no_data", {"first": 249, "available": 250})


def test_blocks_of_a_poll_change_no_sample() -> None:
    captured = []
    for block in (1, 7, 256):
        host = ready(SimSettings(trajectories_per_poll=block), count=60)
        keys = {"noise": m.Noise.SEEDED, "seed": 5, "trajectory": 1000}
        host.run(60, 40, trace_every=8, trace_count=9, **keys)
        host.finish()
        traces = [[e.x for e in host(m.TraceRequest(k, 0, 6)).entries] for k in range(9)]
        captured.append((host.samples(60), np.array(traces)))
    for samples, traces in captured[1:]:
        np.testing.assert_array_equal(samples, captured[0][0])
        np.testing.assert_array_equal(traces, captured[0][1])
    np.testing.assert_array_equal(captured[0][1][:, -1], captured[0][0][:9])


def test_the_same_seed_gives_the_same_samples_wherever_the_run_is_cut() -> None:
    whole, halves = ready(SETTLED, 40), ready(SETTLED, 40)
    whole.run(40, 40, noise=m.Noise.SEEDED, seed=5, trajectory=70)
    whole.finish()
    parts = []
    for first in (0, 20):
        halves.run(20, 40, noise=m.Noise.SEEDED, seed=5, trajectory=70 + first, first=first)
        halves.finish()
        parts.append(halves.samples(20))
    np.testing.assert_array_equal(np.vstack(parts), whole.samples(40))


def test_seeds_and_noise_sources_differ() -> None:
    host = ready(SETTLED, 200)
    drawn = {}
    for name, changes in {
        "none": {},
        "seed 1": {"noise": m.Noise.SEEDED, "seed": 1},
        "seed 2": {"noise": m.Noise.SEEDED, "seed": 2},
        "hardware": {"noise": m.Noise.HARDWARE, "seed": 1},
        "hardware again": {"noise": m.Noise.HARDWARE, "seed": 1},
    }.items():
        host.run(200, 40, **changes)
        host.finish()
        drawn[name] = host.samples(200).astype(float)
    moved = {name: (x - drawn["none"]).ravel() for name, x in drawn.items() if name != "none"}
    names = list(moved)
    for i, a in enumerate(names):
        assert moved[a].std() > 1
        for b in names[i + 1 :]:
            assert abs(np.corrcoef(moved[a], moved[b])[0, 1]) < 0.15, (a, b)


def test_traces_begin_with_the_preset_as_converted() -> None:
    host = ready(SimSettings.ideal(), 5)
    host.run(5, 40, trace_every=40, trace_count=2)
    host.finish()
    initial = host.board.machine.runs._initial[:2]
    points = [host(m.TraceRequest(k, 0, 2)).entries for k in range(2)]
    np.testing.assert_array_equal([p[0].x for p in points], initial)
    np.testing.assert_array_equal([p[1].x for p in points], host.samples(5)[:2])
    assert refusal(host, m.TraceRequest(2, 0, 1)) == ("no_data", {"first": 2, "available": 2})
    assert refusal(host, m.TraceRequest(0, 1, 2)) == ("no_data", {"first": 1, "available": 2})


def test_the_probe_reads_at_read_level_without_arming() -> None:
    quiet = {"relaxation": False, "drift": False, "read_noise": False}
    host = ready(SimSettings(effects=quiet), 1)
    once = host(m.ProbeRequest(5, (2500, 2100), 1)).entries
    assert len(once) == 30
    many = [e.sum for e in host(m.ProbeRequest(5, (2500, 2100), 64)).entries]
    assert np.abs(np.array(many) / 64 - [e.sum for e in once]).max() < 12
    assert refusal(host, m.ProbeRequest(40, (1, 1), 1))[1]["maximum"] == 39


def test_a_run_takes_the_array_as_it_is_when_it_starts() -> None:
    host = ready(SimSettings(trajectories_per_poll=10), 20)
    host.run(20, 40)
    host(m.ProgressRequest())
    first = host.samples(10)
    host.board.set_conductances(blocks_conductance(seed=9))
    host.finish()
    later = host.samples(20)
    np.testing.assert_array_equal(later[:10], first)
    same = ready(SimSettings(trajectories_per_poll=10), 20)
    same.run(20, 40)
    same.finish()
    assert np.abs(same.samples(20)[10:] - later[10:]).max() < 400


def test_a_new_session_finds_an_empty_board() -> None:
    host = ready(SimSettings(), 5)
    host.run(5, 40)
    host.finish()
    host.hello(99)
    status = host(m.StatusRequest())
    assert (status.run_state, status.run_id, status.pulses) == (m.RunState.IDLE, 0, 0)
    assert refusal(host, m.SamplesRequest(0, 1)) == ("no_data", {"first": 0, "available": 0})
    run = m.RunRequest(1, 0, 1, 1, 0, 0, 0, 0, 0)
    assert refusal(host, run) == ("not_ready", {"part": m.Part.WAVEFORMS})


def test_two_boards_of_the_same_seeds_answer_alike() -> None:
    answers = []
    for _ in range(2):
        host = ready(SimSettings(seed=3, board_seed=4), 20)
        host(m.ArmRequest(1000))
        pulses = [(r, c, k % 2, 2500, 1800, 10) for k, (r, c) in enumerate(np.ndindex(3, 5))]
        readings = host.pulse_read(*pulses)
        host.run(20, 40, noise=m.Noise.SEEDED, seed=1)
        host.finish()
        answers.append((readings, host.samples(20).tolist(), host(m.StatusRequest())))
    assert answers[0] == answers[1]
