"""A board that fails as boards do: resets, brown-outs, hangs, late answers, full buffers.

`BoardUpsets` says how often, from a seed; `UpsetBoard` stands between the line and any board that
can be powered up again: the simulated one, or the firmware in this process. The chip keeps what was
done to it; the board forgets everything, as after any power-up.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Annotated, Protocol

from pydantic import BaseModel, ConfigDict, Field

Rate = Annotated[float, Field(ge=0, le=1)]

NEVER = 1 << 62
SAG = 0.5
"""Part of the line voltage that a pulse has left when the supply sags (this project's choice)."""


class BoardUpsets(BaseModel):
    """How often a board is upset, and from which seed.

    Attributes:
        reset: probability, per pulse, that the board resets right after it: the pulse was driven,
            nobody will hear of it.
        brown_out: the same, but the supply sags in the middle of the pulse, which so has half of
            its voltage.
        hang: probability, per piece of traffic, that the board stops listening until its hardware
            watchdog resets it, `hang_pieces` pieces later.
        late: probability, per piece, that the answers to it come only with those to the next one.
        overrun: probability, per piece, that the receive buffer is full: what is behind its first
            `buffer_bytes` is lost.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    reset: Rate = 0.0
    brown_out: Rate = 0.0
    hang: Rate = 0.0
    late: Rate = 0.0
    overrun: Rate = 0.0
    hang_pieces: Annotated[int, Field(ge=1, le=1000)] = 5
    buffer_bytes: Annotated[int, Field(ge=1, le=1 << 16)] = 256
    seed: Annotated[int, Field(ge=0, lt=1 << 64)] = 0


class PowerLostError(Exception):
    """The board has lost its power in the middle of what it was doing. Never leaves `hil.sim`."""


class PowerSupply:
    """The supply behind a front end: says how many pulses of a batch it lasts for.

    `lost` is set while the board is without power. `now_ns` is the chip's clock: what happens is
    keyed by it as well, so that a job that is taken up does not meet the same fate at the same
    place.
    """

    def __init__(self, upsets: BoardUpsets, now_ns: int = 0) -> None:
        self.upsets = upsets
        self.lost = False
        self._random = _random(upsets, now_ns)
        self._planted = NEVER

    def plant_reset(self, after_pulses: int) -> None:
        """Let the board reset right after that many more pulses."""
        self._planted = after_pulses

    def lasts_for(self, pulses: int) -> tuple[int, bool]:
        """How many of the next `pulses` are driven, and whether the last of them sags.

        Sets `lost` when the power goes with them.
        """
        planted = self._planted
        if planted <= pulses:
            self.lost, self._planted = True, NEVER
            return planted, False
        self._planted -= pulses if planted != NEVER else 0
        reset, both = self.upsets.reset, self.upsets.reset + self.upsets.brown_out
        for number in range(pulses if both > 0.0 else 0):
            drawn = self._random.random()
            if drawn < both:
                self.lost = True
                return number + 1, drawn >= reset
        return pulses, False


class Powered(Protocol):
    """A board that was just powered up."""

    def receive(self, data: bytes) -> bytes:
        """Bytes from the line; the bytes of the answers."""


class UpsetBoard:
    """The line's end of a board that is upset now and then.

    Args:
        power_up: gives the board as it is after power-up, in front of the same chip.
        upsets: how often.
        now_ns: the chip's clock, as in `PowerSupply`.

    `count` says how often the board was powered up again, `met` how often each upset of the line
    happened.
    """

    def __init__(
        self, power_up: Callable[[], Powered], upsets: BoardUpsets, now_ns: int = 0
    ) -> None:
        self._power_up = power_up
        self._upsets = upsets
        self._random = _random(upsets, now_ns, 1)
        self._hung = 0
        self._held = b""
        self.count = 0
        self.met = {"hang": 0, "late": 0, "overrun": 0}
        self._board = power_up()

    def receive(self, data: bytes) -> bytes:
        """One piece of traffic; what the board answers, if it does."""
        if self._hung:
            self._hung -= 1
            if not self._hung:
                self._restart()
            return b""
        if self._meets("hang"):
            self._hung = self._upsets.hang_pieces
            return b""
        if self._meets("overrun"):
            data = data[: self._upsets.buffer_bytes]
        try:
            answers = self._board.receive(data)
        except PowerLostError:
            self._restart()
            return b""
        held, self._held = self._held, b""
        if self._meets("late"):
            self._held = answers
            return held
        return held + answers

    def _restart(self) -> None:
        self.count += 1
        self._held = b""
        self._board = self._power_up()

    def _meets(self, kind: str) -> bool:
        happens = bool(self._random.random() < getattr(self._upsets, kind))
        if happens:
            self.met[kind] += 1
        return happens


def _random(upsets: BoardUpsets, now_ns: int, stream: int = 0) -> random.Random:
    return random.Random(upsets.seed + stream + (now_ns << 64))
