"""Bytes of the line in bulk: into the decoder, and as requests into the simulated board.

An input is what stands between two zeros: one would-be frame. Many go into one call, in pieces cut
anywhere. What must hold besides that nothing is raised: every block that is not empty is either a
frame or counted as dropped, a frame that is accepted encodes to a block that was there, and the
board answers every request frame once, with a frame of the same session, sequence and code whose
status is one of the table.
"""

from __future__ import annotations

import random
import struct

import numpy as np
from numpy.typing import NDArray

from fuzz.targets import FindingError
from hil.sim.board import SimBoard, make_board
from hil.sim.config import SimSettings
from protocols import messages as m
from protocols.codec import Field, Record
from protocols.frame import MAX_FRAME_BYTES, RESPONSE_BIT, Decoder, Frame, encode
from protocols.hardware import load_board

BATCH = 256
_SMALL = load_board("reference").model_copy(update={"rows": 40, "columns": 80})
_LIGHT = SimSettings(
    trajectories_max=64, ticks_max=16, trajectories_per_poll=16, trace_points_max=200
)
_KINDS = tuple(m.REQUESTS.values())
_WILD = 0.25  # share of fields that take any value of their wire type
_LONGEST_SESSION = 20_000


# --- decoder -----------------------------------------------------------------------------------


def feed_decoder(inputs: int, seed: int, first: int = 0) -> int:
    """Spoiled streams of frames into one decoder; how many inputs it was given, at least `inputs`.

    Raises:
        FindingError: an input was lost, doubled or made up.
    """
    decoder, given, number = Decoder(), 0, first
    while given < inputs:
        given += _feed_once(decoder, random.Random(f"decoder/{seed}/{number}"))
        number += 1
    return given


def _feed_once(decoder: Decoder, rng: random.Random) -> int:
    data = _spoiled_stream(rng) + b"\0"
    blocks = [block for block in data.split(b"\0") if block]
    before, frames = decoder.dropped, []
    cuts = sorted(rng.randrange(len(data)) for _ in range(rng.randrange(40)))
    for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        frames += decoder.feed(data[start:end])
    dropped = decoder.dropped - before
    if len(frames) + dropped != len(blocks):
        raise FindingError(f"{len(blocks)} blocks: {len(frames)} frames and {dropped} dropped")
    if not {encode(frame)[:-1] for frame in frames} <= set(blocks):
        raise FindingError("a frame that nobody sent")
    if len(decoder._tail) > MAX_FRAME_BYTES:
        raise FindingError("the decoder keeps more than a frame")
    return len(blocks)


def _spoiled_stream(rng: random.Random) -> bytes:
    """Some hundred good frames, a share of their bytes changed, cut out or doubled."""
    draw = np.random.default_rng(rng.getrandbits(64))
    good = b"".join(
        encode(
            Frame(rng.getrandbits(16), rng.getrandbits(32), rng.getrandbits(8), rng.randbytes(n))
        )
        for n in (rng.choice((0, 1, 5, 20, 60)) for _ in range(BATCH // 8))
    )
    data = np.frombuffer(good * 8, np.uint8).copy()
    flips = draw.integers(0, data.size, int(data.size * rng.choice((0.001, 0.01, 0.05))))
    data[flips] = draw.integers(0, 256, flips.size, dtype=np.uint8)
    kind = rng.randrange(4)
    if kind == 0:
        return draw.integers(0, 256, data.size, dtype=np.uint8).tobytes()
    if kind == 1:
        data[data == 0] = draw.integers(0, 2, int((data == 0).sum()), dtype=np.uint8)
    if kind == 2:
        return _moved(data, draw).tobytes()
    return data.tobytes()


def _moved(data: NDArray[np.uint8], draw: np.random.Generator) -> NDArray[np.uint8]:
    parts = np.split(data, np.sort(draw.integers(0, data.size, 40)))
    return np.concatenate([parts[k] for k in draw.integers(0, len(parts), len(parts))])


# --- dispatcher --------------------------------------------------------------------------------


def feed_board(inputs: int, seed: int, first: int = 0) -> int:
    """Frames with a right checksum and anything in them into a simulated board; how many.

    Raises:
        FindingError: a request without its one answer, or an answer that is none.
    """
    given, number = 0, first
    while given < inputs:
        rng = random.Random(f"dispatcher/{seed}/{number}")
        given += _one_board(rng, min(_LONGEST_SESSION, inputs - given))
        number += 1
    return given


def _one_board(rng: random.Random, inputs: int) -> int:
    board = make_board(_LIGHT.model_copy(update={"seed": rng.getrandbits(32)}), _SMALL)
    talk, given = _Talk(), 0
    while given < inputs:
        sent = [talk.frame(rng) for _ in range(BATCH)]
        _exchange(board, sent, talk)
        given += len(sent)
    return given


class _Talk:
    """The host's side of a session that the board takes for real, most of the time."""

    def __init__(self) -> None:
        self.session, self.sequence = 0, 1

    def frame(self, rng: random.Random) -> Frame:
        kind = rng.choice(_KINDS)
        payload = _payload(rng, kind)
        code = kind.CODE if rng.random() < 0.97 else rng.getrandbits(8)
        session = self.session if rng.random() < 0.97 else rng.getrandbits(16)
        if rng.random() < 0.03:
            return Frame(session, rng.getrandbits(32), code, payload)
        sequence = self.sequence
        known = m.REQUESTS.get(code)
        in_session = known is None or known.SCOPE != "any"
        if session == self.session and in_session and not code & RESPONSE_BIT:
            self.sequence = (self.sequence + 1) & 0xFFFFFFFF
        return Frame(session, sequence, code, payload)

    def hear(self, answer: Frame) -> None:
        status = answer.payload[0]
        if answer.code == m.HelloRequest.CODE | RESPONSE_BIT and status == 0:
            found = m.HelloResponse.unpack(answer.payload[1:])
            if found.session != self.session:
                self.session, self.sequence = found.session, 1
        elif m.STATUSES[status].name == "bad_sequence":
            (self.sequence,) = struct.unpack_from("<I", answer.payload, 1)


def _exchange(board: SimBoard, sent: list[Frame], talk: _Talk) -> None:
    decoder = Decoder()
    answers = decoder.feed(board.receive(b"".join(encode(frame) for frame in sent)))
    requests = [frame for frame in sent if not frame.code & RESPONSE_BIT]
    if decoder.dropped or len(answers) != len(requests):
        raise FindingError(f"{len(requests)} requests, {len(answers)} answers")
    for request, answer in zip(requests, answers, strict=True):
        wanted = (request.session, request.sequence, request.code | RESPONSE_BIT)
        if (answer.session, answer.sequence, answer.code) != wanted or not answer.payload:
            raise FindingError(f"{wanted} was answered by {answer}")
        if answer.payload[0] not in m.STATUSES:
            raise FindingError(f"status {answer.payload[0]} is not in the table")
        talk.hear(answer)


def _payload(rng: random.Random, kind: type[m.Message]) -> bytes:
    """Fields in range or not, entries, and now and then a length that is wrong."""
    data = _packed(rng, kind)
    if kind.ENTRY is not None:
        data += b"".join(_packed(rng, kind.ENTRY) for _ in range(rng.choice((0, 1, 2, 8))))
    if rng.random() < 0.05:
        data = data[: rng.randrange(len(data) + 1)] + rng.randbytes(rng.choice((0, 1, 7)))
    return data[:900]


def _packed(rng: random.Random, kind: type[Record]) -> bytes:
    if rng.random() < 0.02:
        return rng.randbytes(kind.STRUCT.size)
    values: list[object] = []
    for field in kind.FIELDS:
        if field.type.startswith("bytes"):
            values.append(rng.randbytes(int(field.type[5:])))
        else:
            values += (_value(rng, field) for _ in range(field.count))
    return kind.STRUCT.pack(*values)


def _value(rng: random.Random, field: Field) -> int:
    if rng.random() < _WILD:
        bits = int(field.type[1:])
        low = -(1 << (bits - 1)) if field.type[0] == "i" else 0
        return rng.choice((low, low + (1 << bits) - 1, low + rng.getrandbits(bits)))
    if rng.random() < 0.6:
        return min(field.maximum, max(field.minimum, 0) + rng.randrange(20))
    return rng.randint(field.minimum, field.maximum)
