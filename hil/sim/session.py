"""One session: whose it is, which request is next, and the answers that may be asked again.

A request is executed only when its number is the expected one. A number among the last `window`
answers is answered from memory, so that a request whose answer was lost is not executed twice; any
other number is refused with the expected one. A refused request consumes its number too.
"""

from __future__ import annotations

import struct
import zlib
from collections import deque

from hil.sim.refusal import RefusedError

NO_SESSION = 0


class Session:
    """The session in force; number 0 is none yet."""

    def __init__(self, window: int) -> None:
        self.number = NO_SESSION
        self.greeting = b""  # the answer to the hello that opened it
        self._nonce: int | None = None
        self._window = window
        self._expected = 1
        self._answers: deque[tuple[int, bytes]] = deque(maxlen=window)

    def knows(self, nonce: int) -> bool:
        """Whether a hello with this nonce opened the present session."""
        return nonce == self._nonce

    def open(self, nonce: int) -> None:
        """Start a new session. Its number is never 0 nor that of the session before."""
        number = zlib.crc32(struct.pack("<I", nonce)) & 0xFFFF
        while number in (NO_SESSION, self.number):
            number = (number + 1) & 0xFFFF
        self.number = number
        self._nonce = nonce
        self._expected = 1
        self._answers.clear()

    def remembered(self, session: int, sequence: int) -> bytes | None:
        """The answer to a repeated request, None for the request that is expected.

        Raises:
            RefusedError: another session, or neither expected nor remembered.
        """
        if session != self.number or self.number == NO_SESSION:
            raise RefusedError("bad_session", self.number)
        if sequence == self._expected:
            return None
        for known, answer in self._answers:
            if known == sequence:
                return answer
        raise RefusedError("bad_sequence", self._expected)

    def remember(self, sequence: int, answer: bytes) -> None:
        """The expected request has been answered; the next number is expected."""
        self._answers.append((sequence, answer))
        self._expected = (sequence + 1) & 0xFFFFFFFF
