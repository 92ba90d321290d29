"""A run that comes tick by tick: the analog loop driven by the words that a firmware loads."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hil.sim.converters import Codes
from hil.sim.loop_drive import Waves, drive_of
from hil.sim.loop_network import LayerBlock
from hil.sim.machine import Machine
from protocols.errors import MessageError

WORDS = 18
"""Words of a tick: drift, score, two of noise, fourteen of embedding."""

_NOISE = slice(2, 4)
_BY_TICK = ("rate", "score", "embedding")


class VirtualRun:
    """One run: the network frozen when it began, and the trajectory that is being solved."""

    def __init__(
        self, machine: Machine, blocks: Sequence[LayerBlock], capture_tick: int, tick_s: float
    ) -> None:
        self._machine = machine
        self._tick_s = tick_s
        self._words = np.full((capture_tick, WORDS), machine.description.code_zero, np.int64)
        self._plan = machine.loop.plan(
            blocks, self.waves(self._words, tick_s), capture_tick, now_s=machine.chip.now_s
        )
        self._trajectory = np.zeros(1, np.int64)
        self._deviations = np.zeros((1, 0), np.float32)
        self._x: NDArray[np.float64] | None = None
        self._tick = 0
        self._last_changed = False  # the word before counts for a word that comes late

    @staticmethod
    def waves(words: NDArray[np.int64], tick_s: float) -> Waves:
        """Words (ticks, 18) as they reach the converters, noise and class offset in them."""
        none = np.zeros(len(words), np.int64)
        return Waves(tick_s, words[:, 0], words[:, 1], none, words[:, _NOISE], words[:, 4:])

    def preset(self, trajectory: int, x_codes: tuple[int, int]) -> None:
        """Integrators to x, held, before the first tick."""
        loop, self._trajectory = self._machine.loop, np.array([trajectory], np.int64)
        self._deviations = loop.frozen_noise(self._plan.network, self._trajectory)
        self._x = loop.preset(np.array([x_codes], np.int64))
        self._tick = 0
        self._last_changed = False

    def advance(self, first: int, words: NDArray[np.uint16]) -> None:
        """The next ticks from `first` on, each with its words (ticks, 18).

        Raises:
            MessageError: a tick was left out, or is beyond the capture.
        """
        last = first + len(words)
        if self._x is None or first != self._tick or last > len(self._words):
            raise MessageError(
                f"the firmware drives ticks {first} to {last} of {len(self._words)}, tick "
                f"{self._tick} is due"
            )
        if len(words):
            self._load(first, last, words.astype(np.int64))
            self._x = self._machine.loop.advance(
                self._plan, self._x, self._trajectory, first, last, deviations=self._deviations
            )
            self._tick = last

    def convert(self) -> Codes:
        """Codes (1, 2) of both integrators as they are now.

        Raises:
            MessageError: there was no preset.
        """
        if self._x is None:
            raise MessageError("the firmware converts integrators that were never preset")
        return self._machine.loop.sample(self._x, self._trajectory, self._tick)

    def _load(self, first: int, last: int, words: NDArray[np.int64]) -> None:
        """Put words into the plan; only noise differs from one trajectory to the next."""
        part = slice(first, last)
        held = self._words[part]
        drive = self._plan.drive
        drive.offset_codes[part] = words[:, _NOISE]
        held[:, _NOISE] = words[:, _NOISE]
        changed = held != words
        if not (changed.any() or self._last_changed):
            return
        self._last_changed = bool(changed[-1].any())
        held[:] = words
        start = max(first - 1, 0)
        machine = self._machine
        anew = drive_of(
            self.waves(self._words[start:last], self._tick_s),
            machine.description,
            machine.settings,
            machine.converters,
            machine.loop.errors,
        )
        for name in _BY_TICK:
            getattr(drive, name)[part] = getattr(anew, name)[first - start :]
