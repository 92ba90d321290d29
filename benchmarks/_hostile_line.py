"""Acts over a line that damages bytes: is each executed once, is every reading the board's own?

Requests are `pulse_read` frames with 1 to 16 pulses on random cells, a tenth of them mixed with
reads, sent in batches of random length. The pulses are too weak to move a cell; what counts is that
the board drives each once. The witness stands inside of the board, behind the line: it keeps
what the board answered to each sequence number and counts what it executed.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from drivers.faults import FaultyStream, LineFaults
from drivers.link import Link
from drivers.stream import MemoryStream
from hil.sim.board import SimBoard, make_board
from hil.sim.config import SimSettings
from protocols import messages as m
from protocols.codec import Message
from protocols.errors import LinkError
from protocols.frame import Decoder
from protocols.hardware import load_board

RATE_PER_BYTE = 1e-3
ATTEMPTS = 100
MOST_ENTRIES = 16
LONGEST_BATCH = 96
READ_SHARE = 0.1
READ_CODE = 163
WEAK_CODE = 40  # 0.05 V: no cell of any profile moves
RENEW = 200_000  # requests of one session: the board's budget per cell and session ends
DAMAGED = "damaged"


@dataclass
class Tally:
    """What went over one line."""

    acts: int = 0
    twice: int = 0
    lost: int = 0
    wrong: int = 0
    errors: int = 0
    frames: int = 0
    requests: int = 0
    host_s: float = 0.0

    @property
    def frames_per_request(self) -> float:
        return self.frames / self.requests


class Witness:
    """Keeps the first answer of the board to every number that it executed."""

    def __init__(self, board: SimBoard) -> None:
        self.executed: dict[int, bytes] = {}
        self.twice = 0
        self._board = board
        self._execute = board._execute_in_session
        board._execute_in_session = self._watch  # type: ignore[method-assign]

    def _watch(self, frame: Any) -> bytes:
        self.twice += frame.sequence in self.executed
        answer = self._execute(frame)
        self.executed[frame.sequence] = answer
        return answer

    def forget(self) -> None:
        """A new session begins."""
        self.executed.clear()


def requests(rng: random.Random, count: int) -> list[Message]:
    """`count` random requests of programming."""
    out: list[Message] = []
    for _ in range(count):
        cells = [
            (rng.randrange(128), rng.randrange(128)) for _ in range(rng.randint(1, MOST_ENTRIES))
        ]
        if rng.random() < READ_SHARE:
            reads = tuple(m.ReadRequestEntry(r, c) for r, c in cells)
            out.append(m.ReadRequest(READ_CODE, 1, reads))
        else:
            pulses = tuple(
                m.PulseReadRequestEntry(r, c, rng.randrange(2), WEAK_CODE, WEAK_CODE, 10)
                for r, c in cells
            )
            out.append(m.PulseReadRequest(READ_CODE, pulses))
    return out


def campaign(acts: int, seed: int, rate: float = RATE_PER_BYTE) -> Tally:
    """Sends at least `acts` acts over a line with `rate` faults per byte, and judges them."""
    board = make_board(SimSettings(seed=seed), load_board("reference"))
    witness = Witness(board)
    line = FaultyStream(MemoryStream(board.receive), LineFaults.shared(rate, seed))
    link = Link(line, attempts=ATTEMPTS, nonce=seed)
    rng, tally = random.Random(seed), Tally()
    expected = np.zeros(board.chip.cells.state.size, np.int64)
    stock = requests(rng, 4096)
    began = time.perf_counter()
    while tally.acts < acts:
        _open(link, witness)
        until = min(tally.acts + RENEW, acts)
        while tally.acts < until and link.is_open:
            start = rng.randrange(len(stock) - LONGEST_BATCH)
            batch = stock[start : start + rng.randint(1, LONGEST_BATCH)]
            _exchange(link, batch, witness, expected, tally)
    tally.host_s = time.perf_counter() - began
    tally.frames = link.stats.frames_sent
    tally.twice += witness.twice
    driven = board.chip.cells.state["pulse_count"].astype(np.int64)
    tally.twice += int(np.maximum(driven - expected, 0).sum())
    tally.lost += int(np.maximum(expected - driven, 0).sum())
    return tally


def _open(link: Link, witness: Witness) -> None:
    link.open()
    witness.forget()
    link.call(m.ArmRequest(600_000))


def _exchange(
    link: Link,
    batch: list[Message],
    witness: Witness,
    expected: np.ndarray,
    tally: Tally,
) -> None:
    """One batch; what was acknowledged is compared with what the board says that it answered."""

    def hear(index: int, sequence: int, response: Message) -> None:
        request = batch[index]
        own = witness.executed.get(sequence)
        tally.lost += own is None
        tally.wrong += own is not None and not _same(own, response)
        tally.requests += 1
        if isinstance(request, m.PulseReadRequest):
            tally.acts += 1
            for entry in request.entries:
                expected[entry.row * 128 + entry.column] += 1

    try:
        link.call_many(batch, hear)
    except LinkError:
        tally.errors += 1


def _same(answer: bytes, response: Message) -> bool:
    """Whether the board's own answer holds just this response."""
    (frame,) = Decoder().feed(answer)
    return frame.payload[1:] == response.pack()
