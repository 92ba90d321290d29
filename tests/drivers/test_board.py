"""Typed commands: one exchange each, seconds where the wire has microseconds."""

from __future__ import annotations

import numpy as np
import pytest

from drivers.board import Board
from drivers.link import Link
from drivers.stream import MemoryStream
from protocols import messages
from protocols.errors import InputError, MessageError, SessionLost
from protocols.messages import Noise, Operation, Port, RunState, SafeReason

SECOND = 1_000_000
ENTRY = messages.PulseReadRequestEntry(1, 2, 0, 3, 4, 5)
WAVE = messages.WaveLoadRequestEntry(1, 2, 3, (4, 5), tuple(range(14)))


def answer(kind, **changes):
    fields = {f.name: 0 for f in kind.FIELDS}
    return kind(**{**fields, **changes})


# (what is called, the request that goes out, the answer that comes back, the result)
DIALOGUES = [
    (
        lambda board: board.arm(2.5),
        messages.ArmRequest(2500),
        messages.ArmResponse(3 * SECOND),
        3.0,
    ),
    (lambda board: board.disarm(), messages.DisarmRequest(), messages.DisarmResponse(), None),
    (
        lambda board: board.safe_clear(SafeReason.STOP),
        messages.SafeClearRequest(2),
        messages.SafeClearResponse(),
        None,
    ),
    (
        lambda board: board.limits_lower(
            Operation.RESET,
            gate_code_max=1,
            line_code_max=2,
            width_ticks_max=3,
            pulses_per_cell_max=4,
            energy_max=5,
            arm_s_max=0.006,
        ),
        messages.LimitsLowerRequest(1, 1, 2, 3, 4, 5, 6),
        messages.LimitsLowerResponse(),
        None,
    ),
    (
        lambda board: board.wave_begin(10, 5000),
        messages.WaveBeginRequest(10, 5000),
        messages.WaveBeginResponse(),
        None,
    ),
    (
        lambda board: board.wave_load(3, [WAVE]),
        messages.WaveLoadRequest(3, (WAVE,)),
        messages.WaveLoadResponse(),
        None,
    ),
    (
        lambda board: board.wave_class(range(14)),
        messages.WaveClassRequest(tuple(range(14))),
        messages.WaveClassResponse(),
        None,
    ),
    (
        lambda board: board.wave_commit(0xDEADBEEF),
        messages.WaveCommitRequest(0xDEADBEEF),
        messages.WaveCommitResponse(),
        None,
    ),
    (
        lambda board: board.loop_layer(messages.LoopLayerRequest(0, 1, 2, 3, 4, 1, 5, 6)),
        messages.LoopLayerRequest(0, 1, 2, 3, 4, 1, 5, 6),
        messages.LoopLayerResponse(),
        None,
    ),
    (
        lambda board: board.initial(5, np.array([[1, 2]])),
        messages.InitialRequest(5, (messages.InitialRequestEntry((1, 2)),)),
        messages.InitialResponse(),
        None,
    ),
    (
        lambda board: board.probe(3, (1, 2), 4).tolist(),
        messages.ProbeRequest(3, (1, 2), 4),
        messages.ProbeResponse(tuple(messages.ProbeResponseEntry(v) for v in (7, 8, 9))),
        [7, 8, 9],
    ),
    (
        lambda board: board.run(
            run_id=1,
            first=2,
            count=3,
            capture_tick=4,
            noise=Noise.SEEDED,
            seed=5,
            trajectory=6,
            trace_every=7,
            trace_count=8,
        ),
        messages.RunRequest(1, 2, 3, 4, 1, 5, 6, 7, 8),
        messages.RunResponse(SECOND // 2),
        0.5,
    ),
    (
        lambda board: board.advance(1.5),
        messages.AdvanceRequest(3 * SECOND // 2),
        messages.AdvanceResponse(9 * SECOND),
        9.0,
    ),
    (
        lambda board: board.samples(4, 1).tolist(),
        messages.SamplesRequest(4, 1),
        messages.SamplesResponse((messages.SamplesResponseEntry((1, 2)),)),
        [[1, 2]],
    ),
    (
        lambda board: board.trace(3, 4, 1).tolist(),
        messages.TraceRequest(3, 4, 1),
        messages.TraceResponse((messages.TraceResponseEntry((1, 2)),)),
        [[1, 2]],
    ),
]


@pytest.fixture
def board(link):
    return Board(link)


@pytest.mark.parametrize(
    ("call", "request_", "response", "result"), DIALOGUES, ids=[d[1].NAME for d in DIALOGUES]
)
def test_dialogue(board, peer, call, request_, response, result):
    peer.handlers[request_.CODE] = lambda _: response
    found = call(board)
    assert [request for _, request in peer.executed] == [request_]
    assert found == pytest.approx(result) if isinstance(result, float) else found == result


def test_status(board, peer):
    peer.handlers[messages.StatusRequest.CODE] = lambda _: answer(
        messages.StatusResponse,
        time_us=SECOND,
        safe_reason=3,
        armed_ms=1500,
        run_state=1,
        run_id=9,
        pulses=4,
    )
    found = board.status()
    assert (found.time_s, found.armed_s) == (pytest.approx(1.0), pytest.approx(1.5))
    assert (found.safe_reason, found.run_state) == (SafeReason.WATCHDOG, RunState.RUNNING)
    assert (found.run_id, found.pulses, found.reads) == (9, 4, 0)


def test_progress(board, peer):
    peer.handlers[messages.ProgressRequest.CODE] = lambda _: messages.ProgressResponse(1, 2, 2, 30)
    assert board.progress() == type(board.progress())(1e-6, 2, RunState.DONE, 30)


def test_stop_and_keep_alive(board, peer):
    assert board.stop() is SafeReason.STOP
    assert board.keep_alive() == (pytest.approx(5.0), SafeReason.NONE)


def test_identity(board, peer):
    found = board.identity
    assert (found.build, found.serial, found.port) == ("fake", 0xFA4E, Port.HOST)
    assert (found.rows, found.columns, found.window) == (16, 16, 8)
    assert found.limits[Operation.RESET].width_ticks_max == 50_000
    assert found.arm_s_max == pytest.approx(60.0)
    assert str(found) == "board fa4e (host, build fake), 16 x 16 cells"
    assert board.name == "board fa4e on fake"


def test_a_board_without_a_session(peer):
    with pytest.raises(SessionLost, match="never opened"):
        _ = Board(Link(MemoryStream(peer.receive))).identity


@pytest.mark.parametrize(
    ("kind", "entries"),
    [
        (messages.PulseReadRequest, 16),
        (messages.ReadRequest, 52),
        (messages.WaveLoadRequest, 5),
        (messages.InitialRequest, 54),
        (messages.SamplesRequest, 52),
        (messages.TraceRequest, 52),
    ],
)
def test_capacity_is_that_of_request_and_response(board, kind, entries):
    assert board.capacity(kind) == entries


def test_a_board_of_smaller_payloads(board, peer, link):
    peer.hello["payload_bytes"] = 64
    link.open()
    assert board.capacity(messages.PulseReadRequest) == 4
    assert board.capacity(messages.ReadRequest) == 13
    assert board.capacity(messages.SamplesRequest) == 15


def test_long_reads_are_cut_and_put_together(board, peer):
    peer.handlers[messages.ReadRequest.CODE] = lambda request: messages.ReadResponse(
        len(peer.executed),
        tuple(messages.ReadResponseEntry(e.row * 16 + e.column) for e in request.entries),
    )
    rows, columns = np.divmod(np.arange(130), 16)
    found = board.read(100, rows.tolist(), columns.tolist(), 2)
    assert found.codes.tolist() == list(range(130))
    assert found.time_s == pytest.approx(3e-6)
    assert [len(request.entries) for _, request in peer.executed] == [52, 52, 26]


def test_pulses_report_every_frame(board, peer):
    peer.handlers[messages.PulseReadRequest.CODE] = lambda request: messages.PulseReadResponse(
        7, tuple(messages.PulseReadResponseEntry(5) for _ in request.entries)
    )
    heard = []
    found = board.pulse_read(
        9, [ENTRY] * 40, lambda start, sequence, got: heard.append((start, sequence))
    )
    assert found.codes.tolist() == [5] * 40
    assert heard == [(0, 1), (16, 2), (32, 3)]
    assert board.pulse_read(9, []).codes.shape == (0,)


def product(request):
    """What tells vectors and columns apart."""
    vectors = [entry.code for entry in request.entries][:: request.inputs]
    columns = range(request.first_column, request.first_column + request.columns)
    return messages.MultiplyResponse(
        SECOND,
        tuple(messages.MultiplyResponseEntry(v * 200 + c) for v in vectors for c in columns),
    )


@pytest.mark.parametrize(
    ("inputs", "columns", "frames"),
    [
        (3, 4, [(10, 4)]),
        (105, 105, [(1, 105)] * 10),
        (20, 30, [(3, 30)] * 3 + [(1, 30)]),
        (50, 110, [(1, 105), (1, 5)] * 10),
    ],
)
def test_products_are_cut_by_vectors_and_columns(board, peer, inputs, columns, frames):
    peer.handlers[messages.MultiplyRequest.CODE] = product
    codes = np.tile(np.arange(10)[:, None], inputs)
    found = board.multiply(7, 9, columns, codes, 2, 1)
    assert found.codes.tolist() == [[v * 200 + 9 + c for c in range(columns)] for v in range(10)]
    assert found.time_s == pytest.approx(1.0)
    sent = [request for _, request in peer.executed]
    assert [(len(r.entries) // inputs, r.columns) for r in sent] == frames
    assert {(r.first_row, r.inputs, r.samples, r.scale) for r in sent} == {(7, inputs, 2, 1)}


def test_no_vectors_no_frames(board, peer):
    assert board.multiply(0, 0, 5, np.zeros((0, 3), np.int64)).codes.shape == (0, 5)
    assert peer.executed == []


@pytest.mark.parametrize(("shape", "columns"), [((2, 106), 3), ((2, 0), 3), ((4,), 3), ((2, 3), 0)])
def test_products_that_no_frame_can_have(board, peer, shape, columns):
    assert board.multiply_inputs_max == 105
    with pytest.raises(InputError, match="1 to 105 inputs, and at least one column"):
        board.multiply(0, 0, columns, np.zeros(shape, np.int64))
    assert peer.executed == []


def test_products_of_another_size(board, peer):
    peer.handlers[messages.MultiplyRequest.CODE] = lambda _: messages.MultiplyResponse(1, ())
    with pytest.raises(MessageError, match="asked for 5 values, 0 came back"):
        board.multiply(0, 0, 5, np.zeros((1, 3), np.int64))


def test_an_answer_of_another_size(board, peer):
    peer.handlers[messages.SamplesRequest.CODE] = lambda _: messages.SamplesResponse(())
    with pytest.raises(MessageError, match="asked for 3 values, 0 came back"):
        board.samples(0, 3)
