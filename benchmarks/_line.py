"""A serial line as a model: what a conversation would take on it, byte by byte.

`ModelledLine` is a stream between the host and a board in this process. It has its own clock:

- Bytes leave in each direction one after the other, ten bits each (start, eight, stop) at the baud
  rate; the two directions are independent (full duplex). What the host writes while the line is
  still busy queues behind it, as in the operating system's buffer.
- The board takes no time: its answer to a frame starts in the moment in which the frame's last byte
  has arrived, or when the answer before it has left.
- An answer is there for the host when its last byte has arrived. A host that waits for it lets the
  clock go on to that moment.
- The host's own processor time between two calls of the stream goes by on the clock, times
  `host_factor`; that of the board, which is simulated inside of these calls, does not. With 0 the
  line alone is counted, and the figures are the same on every computer.

What is not in it: the latency of a USB bridge (1 ms per transfer at full speed, up to 16 ms where
its latency timer is not lowered), losses, flow control.
"""

from __future__ import annotations

import time
from collections import deque

from drivers.stream import Stream

BITS_PER_BYTE = 10


class ModelledLine:
    """A stream to a board that answers inside of `write`, with the time that a line would take."""

    def __init__(self, board: Stream, baud: int, host_factor: float = 1.0) -> None:
        self.name = f"{board.name} over {baud} baud (modelled)"
        self._board = board
        self._byte_s = BITS_PER_BYTE / baud
        self._host_factor = host_factor
        self._arriving: deque[tuple[float, bytes]] = deque()
        self._left = time.thread_time()
        self.reset()

    def reset(self) -> None:
        """Start the account anew, with an empty line."""
        self.now_s = self._out_free_s = self._back_free_s = 0.0
        self.out_bytes = self.back_bytes = 0
        self._arriving.clear()

    @property
    def out_share(self) -> float:
        """Part of the time in which bytes went to the board."""
        return self.out_bytes * self._byte_s / self.now_s

    @property
    def back_share(self) -> float:
        """Part of the time in which bytes came back."""
        return self.back_bytes * self._byte_s / self.now_s

    def write(self, data: bytes) -> None:
        """Queue frames on the line; their answers are on their way from then on."""
        self._enter()
        *blocks, rest = data.split(b"\x00")
        if rest:
            raise ValueError("the model takes whole frames")
        start_s = max(self.now_s, self._out_free_s)
        for block in blocks:
            one = block + b"\x00"
            start_s += len(one) * self._byte_s
            self.out_bytes += len(one)
            self._board.write(one)
            self._answer(start_s, self._board.read(0.0))
        self._out_free_s = start_s
        self._leave()

    def _answer(self, asked_s: float, data: bytes) -> None:
        if data:
            self._back_free_s = max(asked_s, self._back_free_s) + len(data) * self._byte_s
            self.back_bytes += len(data)
            self._arriving.append((self._back_free_s, data))

    def read(self, timeout_s: float) -> bytes:
        """What has arrived; where nothing has, the clock goes on to the next answer."""
        self._enter()
        data = b""
        if self._arriving and self._arriving[0][0] <= self.now_s + timeout_s:
            self.now_s = max(self.now_s, self._arriving[0][0])
        while self._arriving and self._arriving[0][0] <= self.now_s:
            data += self._arriving.popleft()[1]
        self._leave()
        return data

    def close(self) -> None:
        """Close the board's stream."""
        self._board.close()

    def _enter(self) -> None:
        self.now_s += self._host_factor * (time.thread_time() - self._left)

    def _leave(self) -> None:
        self._left = time.thread_time()
