"""The tick of the published firmware: what a run writes to the DACs and switches, and when.

Single precision throughout, one tick at a time as the interrupt does it. (`protocols.legacy_traces`
computes the same for a whole run at once; the tests hold the two against each other.)
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hil.sim.legacy_faults import LegacyFaults, LegacyTiming
from hil.sim.legacy_parser import Variables

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I32 = NDArray[np.int32]

DACS, OUTPUTS = 10, 4
NEVER = -1  # an output that was never written
MIDDLE = 2048
# (DAC 1-10, output A-D) in the order of writing: g2, f, t1 to t14, two noise words.
ORDER = ((9, 0), (9, 1), *((1 + k // 4, k % 4) for k in range(14)), (9, 2), (9, 3))
WORDS = len(ORDER)
_DAC_INDEX = np.array([dac - 1 for dac, _ in ORDER])
_OUTPUT_INDEX = np.array([output for _, output in ORDER])
_NOISE = WORDS - 2

_ONE, _HALF, _QUARTER = np.float32(1.0), np.float32(0.5), np.float32(0.25)
_STEP, _END, _END_AT_ZERO = np.float32(0.005), np.float32(1.2), np.float32(1.0025)
_BETA_0, _BETA_RISE = np.float32(0.001), np.float32(0.499)
_TWO_PI = np.float32(2.0 * 3.14159265358979)
_TABLE_ENTRIES = 512
_DRAW_STEPS = 8192
_GAUSS_DRAWS = 12


@dataclass
class RunRecord:
    """One run as an observer with a probe on every pin would see it.

    Attributes:
        index: number of the run since the board was first switched on, from 0.
        start_ns: when S1 and S3 rose.
        word_lead_ns: from a tick to its first word; 100 us more in the first and closing tick.
        skew_ns: (18,) when each word follows the first one of its tick.
        ticks_ns: time of each update and of the closing tick.
        codes: (ticks, 18) what the outputs hold after each of them.
        switches: (time in ns, name, level) in order.
        noise: (ticks, 2) noise without offset; zero while it is off.
        astray: (tick, DAC, output, code) of words that reached another output than their own.
        torn: (tick, DAC) of power-up words that a tick cut in two.
        ended: whether the closing tick has come.
    """

    index: int
    start_ns: int
    word_lead_ns: int
    skew_ns: NDArray[np.int64]
    ticks_ns: list[int] = field(default_factory=list)
    rows: list[I32] = field(default_factory=list)
    switches: list[tuple[int, str, int]] = field(default_factory=list)
    noise_rows: list[tuple[float, float]] = field(default_factory=list)
    astray: list[tuple[int, int, int, int]] = field(default_factory=list)
    torn: list[tuple[int, int]] = field(default_factory=list)
    ended: bool = False

    @property
    def codes(self) -> I32:
        """(ticks, 18) codes after each tick."""
        return np.array(self.rows, np.int32).reshape(-1, WORDS)

    @property
    def noise(self) -> F64:
        """(ticks, 2) noise without offset."""
        return np.array(self.noise_rows, np.float64).reshape(-1, 2)


class Sequencer:
    """DACs, switches and the run in progress."""

    def __init__(
        self,
        variables: Variables,
        faults: LegacyFaults,
        timing: LegacyTiming,
        seed: int,
        table_sine: bool,
        runs: int = 0,
    ) -> None:
        self.outputs = np.full((DACS, OUTPUTS), NEVER, np.int32)
        self.outputs[[0, 1, 2, 3, 8]] = MIDDLE
        self.switches = dict.fromkeys(("S1", "S2", "S3", "S4"), 0)
        self.run: RunRecord | None = None
        self.runs = runs
        self._variables, self._faults, self._timing = variables, faults, timing
        self._seed, self._table_sine = seed, table_sine
        self._t = np.float32(0.0)

    def start(self, now_ns: int) -> RunRecord:
        """Switches first, then the first update of the same tick."""
        skew = self._timing.word_ns if self._faults.skewed_updates else 0
        lead = self._timing.compute_ns
        self.run = RunRecord(self.runs, now_ns, lead, np.arange(WORDS, dtype=np.int64) * skew)
        self.runs += 1
        self._t = np.float32(0.0)
        self._switch(now_ns, ("S3", "S1"), 1)
        self._switch(now_ns + self._timing.switch_wait_ns, ("S4", "S2"), 1)
        return self.run

    def tick(self, now_ns: int, torn_dac: int | None = None) -> int:
        """One update, or the closing tick; returns how long the interrupt takes in ns.

        `torn_dac` is the DAC in the middle of whose word the main loop was interrupted: the first
        word of the tick for it is spoiled and does nothing (this project's choice of what a
        half-shifted word does).
        """
        run = self.run
        if run is None:
            return 0
        duration = self._timing.compute_ns + WORDS * self._timing.word_ns
        first = not run.rows
        closing = bool(self._t > (_END if self._faults.runs_past_zero else _END_AT_ZERO))
        values = np.zeros(WORDS, np.float32)
        now_t = self._t
        if closing:
            now_t = np.float32(0.0)
            self._switch(now_ns, ("S4", "S2"), 0)
            self._switch(now_ns + self._timing.switch_wait_ns, ("S3", "S1"), 0)
        else:
            self._drive(values, now_t)
        self._t = now_t + _STEP
        values[_NOISE:] = self._noise_words(run, now_t, closing)
        self._write(run, values, torn_dac)
        run.ticks_ns.append(now_ns)
        run.rows.append(self.outputs[_DAC_INDEX, _OUTPUT_INDEX].copy())
        if closing:
            run.ended = True
            self.run = None
        return duration + (self._timing.switch_wait_ns if first or closing else 0)

    def _switch(self, at_ns: int, names: tuple[str, str], level: int) -> None:
        for name in names:
            self.switches[name] = level
            if self.run is not None:
                self.run.switches.append((at_ns, name, level))

    # --- values ------------------------------------------------------------------------------

    def _drive(self, values: F32, t: np.float32) -> None:
        variables = self._variables
        tau = _ONE - t
        beta = tau * _BETA_RISE + _BETA_0
        angle = (_TWO_PI * variables.frequencies) * tau
        values[0] = _HALF * beta * variables.coef
        values[1] = -_QUARTER * beta
        values[2:9] = variables.scale * (self._sine(angle, 0.0) + variables.class_offsets[:7])
        values[9:16] = variables.scale * (self._sine(angle, 0.25) + variables.class_offsets[7:])

    def _sine(self, angle: F32, turn: float) -> F32:
        """Sine, or cosine with `turn` 0.25: exact, or by 512 entries and straight lines between."""
        if not self._table_sine:
            exact = angle.astype(np.float64)
            wave: F64 = np.cos(exact) if turn else np.sin(exact)
            return wave.astype(np.float32)
        place = (angle.astype(np.float64) / (2 * np.pi) + turn) % 1.0 * _TABLE_ENTRIES
        below = np.floor(place)
        step = 2 * np.pi / _TABLE_ENTRIES
        low, high = np.sin(step * below), np.sin(step * (below + 1))
        between: F64 = low + (place - below) * (high - low)
        return between.astype(np.float32)

    def _noise_words(self, run: RunRecord, now_t: np.float32, closing: bool) -> F32:
        variables, faults = self._variables, self._faults
        offsets = np.array([variables.offset_1, variables.offset_2], np.float32)
        noise = np.zeros(2, np.float64)
        if variables.noise_on and (faults.noise_left or not closing):
            t = self._t if faults.noise_late else now_t
            beta = float((_ONE - t) * _BETA_RISE + _BETA_0)
            law = beta if faults.noise_by_beta else float(np.sqrt(max(beta, 0.0)))
            noise = self._gauss(run).astype(np.float64) * law
        run.noise_rows.append((float(noise[0]), float(noise[1])))
        return (noise + offsets).astype(np.float32)

    def _gauss(self, run: RunRecord) -> F32:
        """Two sums of 12 draws of the hardware generator, keyed by seed, run and tick."""
        key = np.random.Philox(key=self._seed, counter=[0, len(run.rows), run.index, 0])
        draws = np.random.Generator(key).integers(1, _DRAW_STEPS + 1, (2, _GAUSS_DRAWS))
        sums: F32 = (draws.sum(axis=1) / _DRAW_STEPS).astype(np.float32) - np.float32(6.0)
        return sums * self._variables.noise_scale

    # --- words -------------------------------------------------------------------------------

    def _write(self, run: RunRecord, values: F32, torn_dac: int | None) -> None:
        if torn_dac is not None:
            run.torn.append((len(run.rows), torn_dac))
        for value, (dac, output) in zip(values, ORDER, strict=True):
            if dac == torn_dac:
                torn_dac = None
                continue
            code = _code(value) if self._faults.dac_overflow else min(_code(value), 4095)
            word = code | output << 12
            address = word >> 12
            if address >= OUTPUTS:
                continue  # some other command of the converter; what it does is not modelled
            self.outputs[dac - 1, address] = word & 0xFFF
            if address != output:
                run.astray.append((len(run.rows), dac, address, word & 0xFFF))


def _code(value: np.float32) -> int:
    """The 16 bits that a fraction becomes: negative numbers end at 0, large ones keep 16 bits."""
    return max(int(np.float32(MIDDLE) * (_ONE + value)), 0) & 0xFFFF
