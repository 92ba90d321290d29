"""The analog loop of a board: codes in, codes out.

    dx_i/dt = kf_i (f + f0_i) x_i + kg_i (g + g0_i) s_i + kn_i (n_i + n0_i) + d_i - x_i / tau
    h_1 = clamp(relu(W_1 [x, bias] + e)),  h_2 = clamp(relu(W_2 [h_1, bias] + e)),
    s = clamp(gain W_3 [h_2, bias])

with W = R_fb dG from the array (`loop_network.py`), f, g, n, e held words (`loop_drive.py`) and
the deviations of this board (`loop_errors.py`). The structure is that of the published network
and firmware; every figure is nominal in the board description or drawn from the settings.
With every effect off these are exactly the equations above on the quantised codes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil.sim import draws, loop_kernels, loop_reference
from hil.sim.array import Array
from hil.sim.chip import NANOSECONDS
from hil.sim.config import SimSettings
from hil.sim.converters import (
    STREAM_HARDWARE_NOISE,
    STREAM_PROBE_NOISE,
    STREAM_SAMPLE_NOISE,
    Adc,
    Codes,
    Converters,
    Dac,
)
from hil.sim.loop_drive import Drive, Waves, drive_of
from hil.sim.loop_errors import LoopErrors
from hil.sim.loop_kernels import Stages
from hil.sim.loop_network import LayerBlock, Network, network_of
from hil.sim.loop_segments import Segments, segments_of
from protocols.hardware import BoardDescription

F64 = NDArray[np.float64]
Numbers = NDArray[np.int64]

BLOCK = 4096
"""Trajectories that are solved at once: as many networks of their own are in memory."""

KNOWN = 256
"""Held ticks whose drive is kept."""

PROBE_TRAJECTORIES = 1 << 31
"""Probes take their frozen cell noise from trajectory numbers from here on."""


@dataclass(frozen=True)
class Plan:
    """A run, ready to be solved: what was frozen when it started."""

    network: Network
    drive: Drive
    segments: Segments
    segment_of_tick: Numbers  # (capture ticks + 1,), first segment of each tick
    capture_tick: int
    noisy: bool
    seed: Any  # np.uint64: the kernels take 64 bits without sign


class AnalogLoop:
    """The loop of one board. It keeps nothing from run to run but a count of saturations."""

    def __init__(
        self,
        array: Array,
        converters: Converters,
        description: BoardDescription,
        settings: SimSettings,
    ) -> None:
        self.errors = LoopErrors.of(description, settings)
        self.stages = _stages(description, settings)
        self.saturated = 0  # noise words and samples at an end of their converter
        self._known: dict[bytes, tuple[Drive, Segments]] = {}
        self._array = array
        self._converters = converters
        self._description = description
        self._settings = settings
        compiled = settings.kernel == "c"
        self._solve = loop_kernels.solve if compiled else loop_reference.advance
        self._layers = loop_kernels.layers if compiled else loop_reference.outputs

    def plan(
        self,
        blocks: Sequence[LayerBlock],
        waves: Waves,
        capture_tick: int,
        *,
        now_s: float,
        noisy: bool = False,
        seed: int = 0,
    ) -> Plan:
        """Freeze what a run needs: the array as it is at `now_s`, and the drive of its ticks."""
        drive, segments = self._driven(waves, capture_tick)
        network = network_of(blocks, self._array, self.errors, now_s)
        first = np.searchsorted(segments.tick, np.arange(capture_tick + 1))
        return Plan(network, drive, segments, first, capture_tick, noisy, np.uint64(seed))

    def _driven(self, waves: Waves, capture_tick: int) -> tuple[Drive, Segments]:
        drive = drive_of(waves, self._description, self._settings, self._converters, self.errors)
        hold_s = 0.5 / self._settings.loop_noise_bandwidth_hz
        hold_ns = round(hold_s * NANOSECONDS) if self.stages.noise > 0.0 else 0
        return drive, segments_of(round(waves.tick_s * NANOSECONDS), capture_tick, hold_ns)

    def _held(self, waves: Waves) -> tuple[Drive, Segments]:
        """Of the words of one tick; a calibration probes the same ones over and over."""
        key = waves.content()
        if key not in self._known:
            if len(self._known) == KNOWN:
                self._known.clear()
            self._known[key] = self._driven(waves, 1)
        return self._known[key]

    def hardware_seed(self, number: int) -> int:
        """Seed of the board's own noise in its run number `number`."""
        seed, low = self._converters.noise_seed, number % (1 << 32)
        words = draws.words(seed, STREAM_HARDWARE_NOISE, low)
        return int(words[0]) << 32 | int(words[1])

    def preset(self, x_codes: Codes) -> F64:
        """Voltages (n, 2) that the initial-condition channels give."""
        channels = np.array([Dac.INITIAL, Dac.INITIAL + 1])
        fraction = self._converters.bipolar(channels, self._converters.arriving(channels, x_codes))
        volts = self._description.converters.initial_full_scale_volts * fraction
        bound = self.stages.integrator_clamp
        return np.clip(volts, -bound, bound)

    def solve(
        self,
        plan: Plan,
        x_codes: Codes,
        trajectories: Numbers,
        trace_every: int = 0,
        trace_count: int = 0,
    ) -> tuple[Codes, Codes]:
        """Solve from x_codes (n, 2); the trajectory numbers key every draw.

        Returns the codes (n, 2) at the capture tick, and those of the first `trace_count`
        trajectories, shape (trace_count, capture_tick // trace_every + 1, 2); point 0 is the
        preset.
        """
        every = trace_every if trace_count else plan.capture_tick + 1
        traces = np.empty((trace_count, plan.capture_tick // every + 1, 2))
        x = self.preset(x_codes)
        traces[:, 0] = x[:trace_count]
        x = self.advance(plan, x, trajectories, 0, plan.capture_tick, traces, every)
        ticks = np.arange(traces.shape[1]) * every
        kept = self.sample(traces, trajectories[:trace_count, None], ticks)
        return self.sample(x, trajectories, plan.capture_tick), kept

    def step(self, plan: Plan, x_volts: F64, trajectories: Numbers, tick: int) -> F64:
        """x (n, 2) one tick later. All ticks in order give exactly what `solve` gives."""
        return self.advance(plan, x_volts, trajectories, tick, tick + 1)

    def advance(
        self,
        plan: Plan,
        x_volts: F64,
        trajectories: Numbers,
        first_tick: int,
        last_tick: int,
        traces: F64 | None = None,
        trace_every: int = 1,
        deviations: NDArray[np.float32] | None = None,
    ) -> F64:
        """x (n, 2), volts, from the start of `first_tick` to the start of `last_tick`.

        `deviations` are those of `frozen_noise`, for a caller that has them already.
        """
        x = np.array(x_volts, np.float64, order="C", ndmin=2)
        numbers = np.atleast_1d(np.asarray(trajectories, np.int64))
        kept = np.empty((0, 1, 2)) if traces is None else traces
        for start in range(0, len(x), BLOCK):
            part = slice(start, start + BLOCK)
            noise = (
                self.frozen_noise(plan.network, numbers[part]) if deviations is None else deviations
            )
            self.saturated += self._solve(
                x[part],
                kept[part],
                numbers[part],
                trace_every,
                int(plan.segment_of_tick[first_tick]),
                int(plan.segment_of_tick[last_tick]),
                plan.seed,
                plan.noisy,
                plan.segments,
                plan.drive,
                plan.network,
                noise if deviations is None else noise[part],
                self.stages,
            )
        return x

    def frozen_noise(self, network: Network, trajectories: Numbers) -> NDArray[np.float32]:
        """Relative deviation (trajectories, cells) of the network's cells, one for each solve."""
        return self._array.chip.cells.solve_noise(network.cells, trajectories)

    def probe(
        self,
        blocks: Sequence[LayerBlock],
        waves: Waves,
        tick: int,
        x_codes: Codes,
        *,
        samples: int,
        number: int,
        now_s: float,
    ) -> Codes:
        """Sums (outputs,) of `samples` conversions of every output with the integrators held.

        `number` counts the probes of a chip and keys their noise. The electronic noise is taken
        as fresh in each conversion. The words of the tick are held: none of them is late.
        """
        drive, segments = self._held(waves.held(tick))
        network = network_of(blocks, self._array, self.errors, now_s)
        x = np.repeat(self.preset(x_codes.reshape(1, 2)), samples, axis=0)
        outputs = 2 * drive.embedding.shape[1] + 2
        lanes = draws.normal_lanes(
            self._converters.noise_seed,
            STREAM_PROBE_NOISE,
            number % (1 << 32),
            np.arange(samples * outputs),
            0,
            2,
        ).reshape(samples, outputs, 2)
        frozen = np.full(samples, PROBE_TRAJECTORIES + number % PROBE_TRAJECTORIES)
        noise = np.repeat(self.frozen_noise(network, frozen[:1]), samples, axis=0)
        electronic = self.stages.noise * lanes[..., 0]
        volts = self._layers(x, frozen, electronic, segments, drive, network, noise, self.stages)
        fraction = volts / self._description.converters.probe_full_scale_volts
        codes = self._converters.convert_bipolar(Adc.PROBE, fraction, lanes[..., 1])
        return np.asarray(codes.sum(axis=0), np.int64)

    def sample(self, x_volts: F64, trajectories: Numbers, ticks: int | Numbers) -> Codes:
        """Conversions of x (..., 2), volts; their noise is keyed by trajectory and tick."""
        noise = draws.normal_lanes(
            self._converters.noise_seed, STREAM_SAMPLE_NOISE, trajectories, ticks, 0, 2
        )
        channels = np.array([Adc.SAMPLE, Adc.SAMPLE + 1])
        fraction = x_volts / self._description.converters.sample_full_scale_volts
        codes = self._converters.convert_bipolar(channels, fraction, noise)
        ends = (codes == 0) | (codes == self._converters.code_max)
        self.saturated += int(np.count_nonzero(ends))
        return codes


def _stages(description: BoardDescription, settings: SimSettings) -> Stages:
    loop, effects = description.loop, settings.switched()
    return Stages(
        bias=loop.bias_volts,
        hidden_clamp=loop.hidden_clamp_volts if effects.hidden_clamp else np.inf,
        tia_saturation=settings.tia_saturation_volts if effects.tia_saturation else np.inf,
        output_gain=loop.output_gain,
        output_clamp=loop.output_clamp_volts,
        integrator_clamp=loop.integrator_clamp_volts,
        noise=settings.loop_noise_sd_volts if effects.loop_noise else 0.0,
        noise_seed=np.uint64(settings.board_seed),
    )
