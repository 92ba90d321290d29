"""Requests that exercise every message, in an order that a host could use."""

from __future__ import annotations

import struct
import zlib

import numpy as np

from protocols import frame
from protocols import messages as m
from protocols.codec import Message

TICKS = 24


class Host:
    """Numbers requests and takes answers apart, nothing more."""

    def __init__(self, board) -> None:
        self.board = board
        self.session = 0
        self.next = 1

    def exchange(self, session: int, sequence: int, code: int, payload: bytes) -> bytes:
        data = frame.encode(frame.Frame(session, sequence, code, payload))
        (answer,) = frame.Decoder().feed(self.board.receive(data))
        assert (answer.session, answer.sequence, answer.code) == (session, sequence, code | 0x80)
        return answer.payload

    def hello(self, nonce: int = 5) -> m.HelloResponse:
        data = frame.encode(frame.Frame(0, 0, 1, m.HelloRequest(nonce).pack()))
        first = self.board.hello(data) if hasattr(self.board, "hello") else self.board.receive(data)
        (answer,) = frame.Decoder().feed(first)
        hello = m.HelloResponse.unpack(answer.payload[1:])
        self.session, self.next = hello.session, 1
        return hello

    def ask(self, request: Message) -> bytes:
        sequence, self.next = self.next, self.next + 1
        return self.exchange(self.session, sequence, request.CODE, request.pack())


def waves(rng: np.random.Generator, ticks: int = TICKS, noise: int = 40) -> list[Message]:
    """A store of random waveforms, committed."""
    codes = rng.integers(1500, 2600, (ticks, 18))
    entries = [
        m.WaveLoadRequestEntry(
            int(row[0]), int(row[1]), noise, (int(row[2]), int(row[3])),
            tuple(int(code) for code in row[4:]),
        )
        for row in codes
    ]  # fmt: skip
    raw = b"".join(
        struct.pack("<19H", e.drift, e.score, e.noise, *e.offset, *e.embedding) for e in entries
    )
    offsets = m.WaveClassRequest(tuple(int(v) for v in rng.integers(-200, 200, 14)))
    requests: list[Message] = [m.WaveBeginRequest(ticks, 5000), offsets]
    requests += [m.WaveLoadRequest(i, tuple(entries[i : i + 5])) for i in range(0, ticks, 5)]
    return [*requests, m.WaveCommitRequest(zlib.crc32(offsets.pack(), zlib.crc32(raw)))]


def layers() -> list[Message]:
    """The three blocks of the loop."""
    sizes = ((3, 14), (15, 14), (15, 2))
    return [
        m.LoopLayerRequest(k, 20 * k, 30, rows, outputs, 1, 1500, 0)
        for k, (rows, outputs) in enumerate(sizes)
    ]


def initial(rng: np.random.Generator, count: int) -> list[Message]:
    """Initial conditions."""
    codes = rng.integers(1500, 2600, (count, 2))
    pairs = [m.InitialRequestEntry((int(a), int(b))) for a, b in codes]
    return [m.InitialRequest(i, tuple(pairs[i : i + 50])) for i in range(0, count, 50)]


def run(run_id: int, count: int, noise: m.Noise) -> list[Message]:
    """A run to its end and what it captured."""
    start = m.RunRequest(run_id, 0, count, TICKS, noise, 0x1234567890ABCDEF, 77, 8, 3)
    fetch = [m.SamplesRequest(i, min(50, count - i)) for i in range(0, count, 50)]
    points = [m.TraceRequest(k, 0, TICKS // 8 + 1) for k in range(3)]
    return [start, m.StatusRequest(), m.ProgressRequest(), *fetch, *points]


def some(rng: np.random.Generator) -> Message:
    """One request with values around what is allowed."""

    def upto(most: int) -> int:
        return int(rng.integers(0, most + 1))

    pulses = tuple(
        m.PulseReadRequestEntry(
            upto(6) if upto(30) else upto(200), upto(6), upto(2), upto(2300), upto(2920),
            1 + upto(1000),
        )
        for _ in range(upto(16))
    )  # fmt: skip
    cells = tuple(m.ReadRequestEntry(upto(6), upto(6)) for _ in range(upto(54)))
    codes = tuple(m.LoopbackRequestEntry(upto(400)) for _ in range(upto(20)))
    resistors = tuple(m.ReadReferenceRequestEntry(upto(130), upto(3)) for _ in range(upto(9)))
    lines = tuple(
        m.LineCheckRequestEntry(upto(2), upto(130), upto(4), upto(130)) for _ in range(upto(5))
    )
    codes_of_rows = tuple(m.MultiplyRequestEntry(1700 + upto(700)) for _ in range(12))
    choices: list[Message] = [
        m.MultiplyRequest(
            upto(8), upto(8), 1 + upto(3), 1 + upto(40), upto(3), 1 + upto(15), codes_of_rows
        ),
        m.LineCheckRequest(upto(360), 1 + upto(8), lines),
        m.LoopbackRequest(upto(23), upto(3), 1 + upto(8), codes),
        m.ReadReferenceRequest(upto(360), 1 + upto(8), resistors),
        m.PulseReadRequest(upto(370), pulses),
        m.PulseReadRequest(upto(300), pulses[:3]),
        m.ReadRequest(upto(360), 1 + upto(8), cells),
        m.ArmRequest(1 + upto(100_000)),
        m.AdvanceRequest(1 + upto(3_000_000)),
        m.StatusRequest(),
        m.SafeClearRequest(upto(7)),
        m.DisarmRequest() if upto(5) == 0 else m.StatusRequest(),
        m.LimitsLowerRequest(
            upto(2),
            2000 + upto(900),
            2000 + upto(900),
            900 + upto(100),
            40,
            7_000_000 + upto(1_200_000),
            600_000 - upto(9),
        ),
        m.InitialRequest(upto(2100), (m.InitialRequestEntry((upto(4095), upto(4095))),)),
        m.SamplesRequest(upto(70), 1 + upto(51)),
        m.TraceRequest(upto(4), upto(4), 1 + upto(4)),
        m.RunRequest(upto(99), upto(60), 1 + upto(5), 1 + upto(TICKS), upto(2), 3, 4, upto(9), 2),
        m.ProgressRequest(),
        m.ProbeRequest(0, (upto(4095), upto(4095)), 1 + upto(63)),
        m.WaveBeginRequest(1 + upto(600), 5000) if upto(20) == 0 else m.StatusRequest(),
    ]
    return choices[int(rng.integers(len(choices)))]
