"""A recorded noise stream played on a board, trajectory by trajectory.

A board makes its own noise while it solves, from a seed or from its generator. A stream that was
recorded elsewhere has no such way in: its numbers are written into the offset words of the noise
channels, which the waveform store has for each tick. The store holds one trajectory's noise, so
every trajectory is a load and a run of its own: slow (a thousand times the frames of a seeded run
for a thousand samples), and exact to the converter's step, whose rounding is carried on from tick
to tick.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.integrator import Integrator, RunOutput
from drivers.waveforms import Waveforms
from hil.diffusion.noise_source import NoiseSource
from protocols.errors import LimitError
from protocols.messages import Noise

FloatArray = NDArray[np.float64]
AXES = 2


@dataclass(frozen=True)
class NoisePlayer:
    """Plays `source` on `integrator`; `waveforms_of` makes the words of draws (ticks, 2)."""

    integrator: Integrator
    source: NoiseSource
    ticks: int
    waveforms_of: Callable[[FloatArray], Waveforms]

    def run(
        self,
        initial_volts: FloatArray,
        first: int,
        *,
        trace_every: int = 0,
        trace_count: int = 0,
        progress: Callable[[int, int], None] | None = None,
    ) -> RunOutput:
        """Solves trajectories `first`.. from initial_volts (n, 2), one load each.

        Raises:
            InputError: the source has no numbers for one of them.
            LimitError: a number leaves the range of the noise channels; nothing of it was loaded.
        """
        count = len(initial_volts)
        draws = self._draws(first, count)
        parts = []
        for k in range(count):
            self._load(draws[k], first + k)
            traced = int(k < trace_count)
            parts.append(
                self.integrator.run(
                    initial_volts[k : k + 1],
                    capture_tick=self.ticks,
                    noise=Noise.NONE,
                    first_trajectory=first + k,
                    trace_every=trace_every if traced else 0,
                    trace_count=traced,
                )
            )
            if progress is not None:
                progress(k + 1, count)
        traces = [part.traces_volts for part in parts if part.traces_volts is not None]
        return RunOutput(
            np.concatenate([part.x_volts for part in parts]),
            np.concatenate([part.codes for part in parts]),
            np.concatenate(traces) if traces else None,
            sum(part.duration_s for part in parts),
        )

    def _draws(self, first: int, count: int) -> FloatArray:
        """(count, ticks, 2), asked for before anything is loaded."""
        each = [self.source.draws(first, count, AXES, k, self.ticks) for k in range(self.ticks)]
        return np.stack(each, axis=1)

    def _load(self, draws: FloatArray, trajectory: int) -> None:
        try:
            self.integrator.load(self.waveforms_of(draws))
        except LimitError as error:
            raise LimitError(
                f"{self.source.name}, trajectory {trajectory}: {error}. A recorded number cannot "
                "be played at this strength: lower the model's noise, use longer ticks, or cut the "
                "recording"
            ) from error
