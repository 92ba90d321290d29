"""The near end of the line for tests of the simulated board: as thin as can be."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from hil.sim.board import SimBoard, make_board
from hil.sim.config import SimSettings
from protocols import messages as m
from protocols.codec import Message
from protocols.frame import Decoder, Frame, encode
from protocols.hardware import BoardDescription, load_board

REFERENCE = load_board("reference")
READ_CODE = 164


class RefusedByBoardError(Exception):
    """A status other than ok."""

    def __init__(self, name: str, arguments: dict[str, int]) -> None:
        super().__init__(f"{name} {arguments}")
        self.name = name
        self.arguments = arguments


class Host:
    """Numbers its requests and unpacks the answers."""

    def __init__(self, board: SimBoard) -> None:
        self.board = board
        self.session = 0
        self.sequence = 0
        self._decoder = Decoder()

    def exchange(self, session: int, sequence: int, code: int, payload: bytes = b"") -> list[Frame]:
        block = encode(Frame(session, sequence, code, payload))
        return self._decoder.feed(self.board.receive(block))

    def hello(self, nonce: int = 7) -> m.HelloResponse:
        response = self.any(m.HelloRequest(nonce))
        assert isinstance(response, m.HelloResponse)
        self.session, self.sequence = response.session, 0
        return response

    def any(self, request: Message) -> Any:
        (frame,) = self.exchange(0, 0, request.CODE, request.pack())
        return unpack(frame)

    def __call__(self, request: Message) -> Any:
        self.sequence += 1
        (frame,) = self.exchange(self.session, self.sequence, request.CODE, request.pack())
        assert (frame.session, frame.sequence) == (self.session, self.sequence)
        return unpack(frame)

    def pulse_read(self, *pulses: Sequence[int], read_code: int = READ_CODE) -> list[int]:
        entries = tuple(m.PulseReadRequestEntry(*pulse) for pulse in pulses)
        return [e.reading for e in self(m.PulseReadRequest(read_code, entries)).entries]

    def read(self, *cells: tuple[int, int], samples: int = 1) -> list[int]:
        entries = tuple(m.ReadRequestEntry(*cell) for cell in cells)
        return [e.sum for e in self(m.ReadRequest(READ_CODE, samples, entries)).entries]

    def load(self, waves: dict[str, Any], tick_us: int = 5000) -> None:
        """Load and commit waveforms given as arrays of codes."""
        n = len(waves["drift"])
        columns = [np.asarray(waves[k]).tolist() for k in ("drift", "score", "noise")]
        wide = [[tuple(v) for v in np.asarray(waves[k]).tolist()] for k in ("offset", "embedding")]
        records = [m.WaveLoadRequestEntry(*row) for row in zip(*columns, *wide, strict=True)]
        crc = 0
        self(m.WaveBeginRequest(n, tick_us))
        for at in range(0, n, 5):
            request = m.WaveLoadRequest(at, tuple(records[at : at + 5]))
            crc = zlib.crc32(request.pack()[2:], crc)
            self(request)
        self(m.WaveCommitRequest(zlib.crc32(bytes(28), crc)))

    def connect(self, feedback_code: int = 2000) -> None:
        """Three differential blocks, block-diagonal from the corner."""
        self(m.LoopLayerRequest(0, 0, 0, 3, 14, 1, feedback_code, 0))
        self(m.LoopLayerRequest(1, 3, 28, 15, 14, 1, feedback_code, 0))
        self(m.LoopLayerRequest(2, 18, 56, 15, 2, 1, feedback_code, 0))

    def initial(self, codes: np.ndarray) -> None:
        for at in range(0, len(codes), 50):
            part = tuple(m.InitialRequestEntry(tuple(x)) for x in codes[at : at + 50].tolist())
            self(m.InitialRequest(at, part))

    def run(self, count: int, capture_tick: int, **changes: int) -> m.RunResponse:
        fields = {
            "run_id": 1,
            "first": 0,
            "count": count,
            "capture_tick": capture_tick,
            "noise": 0,
            "seed": 0,
            "trajectory": 0,
            "trace_every": 0,
            "trace_count": 0,
        }
        response = self(m.RunRequest(**(fields | changes)))
        assert isinstance(response, m.RunResponse)
        return response

    def finish(self) -> m.ProgressResponse:
        while (progress := self(m.ProgressRequest())).run_state == m.RunState.RUNNING:
            pass
        assert isinstance(progress, m.ProgressResponse)
        return progress

    def samples(self, count: int) -> np.ndarray:
        out = []
        for at in range(0, count, 52):
            part = self(m.SamplesRequest(at, min(52, count - at)))
            out += [entry.x for entry in part.entries]
        return np.array(out)


def unpack(frame: Frame) -> Any:
    if frame.payload[0]:
        status = m.STATUSES[frame.payload[0]]
        raise RefusedByBoardError(status.name, status.unpack(frame.payload))
    return m.RESPONSES[frame.code & 0x7F].unpack(frame.payload[1:])


def open_host(
    settings: SimSettings | None = None, description: BoardDescription = REFERENCE, **changes: Any
) -> Host:
    """A host that has said hello to a board in memory; `changes` are settings."""
    board = make_board(settings or SimSettings(**changes), description)
    host = Host(board)
    host.hello()
    return host


def blocks_conductance(seed: int = 3, spread: float = 20e-6) -> np.ndarray:
    """A network of random weights for `Host.connect`, NaN elsewhere."""
    rng = np.random.default_rng(seed)
    out = np.full((REFERENCE.rows, REFERENCE.columns), np.nan)
    row = column = 0
    for layer, (inputs, outputs) in enumerate(((3, 14), (15, 14), (15, 2))):
        dg = rng.normal(0, spread * (3 / inputs) ** 0.5, (inputs, outputs))
        dg = np.clip(dg * (0.3 if layer == 2 else 1.0), -60e-6, 60e-6)
        block = np.empty((inputs, 2 * outputs))
        block[:, ::2], block[:, 1::2] = 160e-6 + dg / 2, 160e-6 - dg / 2
        out[row : row + inputs, column : column + 2 * outputs] = block
        row, column = row + inputs, column + 2 * outputs
    return out


def wave_codes(ticks: int = 200, noise: int = 0) -> dict[str, np.ndarray]:
    """Codes like those of the published words: f = -beta / 4, g = beta / 4, sines and cosines."""
    tau = 1 - np.arange(ticks) / ticks
    beta = 0.001 + 0.499 * tau
    phase = 2 * np.pi * tau[:, None] * np.array([0.93, -0.84, 0.32, -0.4, 0.62, 0.31, -0.18])
    embedding = 0.5 * np.concatenate([np.sin(phase), np.cos(phase)], axis=1)
    return {
        "drift": code(-0.25 * beta),
        "score": code(0.25 * beta),
        "noise": np.full(ticks, noise),
        "offset": np.full((ticks, 2), 2048),
        "embedding": code(embedding),
    }


def code(fraction: Any) -> np.ndarray:
    return np.rint(2048 + 2048 * np.asarray(fraction)).astype(int).clip(0, 4095)
