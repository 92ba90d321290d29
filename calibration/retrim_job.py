"""One re-trim: the state of every cell between two rounds."""

from __future__ import annotations

import numpy as np

from calibration.arrays import FloatArray, IntArray
from calibration.programming import CellStatus, Programmer
from calibration.pulse_clock import PulseClock
from calibration.relaxation import RelaxationLaw, decades
from calibration.retrim_policy import State, choose, rms_of_weights
from calibration.retrim_result import RetrimParams, RetrimResult, RetrimRound
from drivers.rram.geometry import Cells
from drivers.rram.macro import Macro
from protocols.errors import InputError

READINGS = 2  # of every cell in every round
FEWEST_CELLS = 48  # read twice: below, the law of the measured cells is assumed
FRESH_RANGE_S = (0.3, 10.0)
"""How old a cell may be taken to be when its programmer has looked at it for the last time."""
HOPELESS = (CellStatus.STUCK_LOW, CellStatus.STUCK_HIGH, CellStatus.UNFORMED)


class RetrimJob:
    """The state of every cell between two rounds; arrays (n,)."""

    def __init__(
        self,
        macro: Macro,
        cells: Cells,
        targets: FloatArray,
        params: RetrimParams,
        partner: IntArray | None,
        age_s: FloatArray | float,
    ) -> None:
        n = len(cells)
        self.macro, self.cells, self.params = macro, cells, params
        self.target = _checked_targets(cells, targets)
        self.nominal = self.target.copy()
        self.partner = _checked_partners(partner, n)
        self.start_s = macro.time_s
        self.pulsed_s = macro.time_s - np.broadcast_to(np.asarray(age_s, np.float64), (n,))
        self.counts = np.zeros((n, 2), np.int64)
        self.hopeless = np.zeros(n, np.bool_)
        self.given_law: RelaxationLaw | None = None
        self.reads = 0
        self.rounds: list[RetrimRound] = []
        self.learned: list[tuple[FloatArray, ...]] = []
        self.read()
        self.before = self.reading.copy()
        self.fresh_s = float(np.clip(np.median(age_s), *FRESH_RANGE_S))

    def read(self) -> None:
        """Two readings of every cell: their mean, and the noise of it as they differ."""
        one, two = (self.macro.read(self.cells, samples=self.params.samples) for _ in range(2))
        self.reads += READINGS * self.params.samples * len(self.cells)
        self.reading = 0.5 * (one + two)
        self.noise_ln = np.abs(one - two) / np.maximum(one + two, 1e-12)
        self.read_s = np.full(len(self.cells), self.macro.time_s)

    def learn(self, before: FloatArray, read_s: FloatArray, noise_ln: FloatArray) -> None:
        """Adds what happened between the last readings and these; no pulse was in between."""
        same = (read_s > self.pulsed_s) & ~self.hopeless & (self.reading > 0.0) & (before > 0.0)
        passed = decades(read_s - self.pulsed_s, self.read_s - read_s)
        noise = np.sqrt(noise_ln**2 + self.noise_ln**2)
        rows = (before, self.reading, passed, noise)
        self.learned.append(tuple(column[same] for column in rows))

    @property
    def law(self) -> RelaxationLaw | None:
        """The law as far as it is known; None while too few cells were read twice."""
        if self.given_law is not None:
            return self.given_law
        columns = [np.concatenate(parts) for parts in zip(*self.learned, strict=True)]
        return RelaxationLaw.measured(*columns) if columns[0].size >= FEWEST_CELLS else None

    def round(self, programmer: Programmer, number: int, wait_s: float) -> None:
        """Read, learn, decide, pulse."""
        before, read_s, noise_ln, reads = self.reading, self.read_s, self.noise_ln, self.reads
        self.read()
        self.learn(before, read_s, noise_ln)
        law = self.law or RelaxationLaw.assumed()
        left = self.params.waits_s[number + 1 :]
        state = self.state(law, sum(left) + self.params.horizon_s)
        choice = choose(
            state,
            law,
            left,
            self.params.horizon_s,
            window_siemens=(self.params.lowest_siemens, self.params.highest_siemens),
            programming_siemens=self.params.programming_siemens,
            fresh_s=self.fresh_s,
            least_gain=self.params.least_gain,
            least_siemens=self.params.least_siemens,
        )
        error = rms_of_weights(self.reading - self.target, self.partner)
        forecast = rms_of_weights(state.expected_siemens - state.target_siemens, self.partner)
        pulses = 0
        if choice.touch.size:
            pulses = self.renew(programmer, choice.touch, choice.aim_siemens)
            self.shift(choice.touch, choice.settled_siemens)
        self.rounds.append(
            RetrimRound(wait_s, choice.touch.size, pulses, self.reads - reads, error, forecast)
        )

    def state(self, law: RelaxationLaw, left_s: float) -> State:
        """What the decision is made from."""
        age_s = self.macro.time_s - self.pulsed_s
        expected, rest = law.forecast(self.reading, age_s, left_s)
        used_up = self.counts.sum(axis=1) >= self.params.pulse_budget
        return State(self.target, expected, rest, self.partner, self.hopeless | used_up)

    def renew(self, programmer: Programmer, touch: IntArray, aim: FloatArray) -> int:
        """Programs the chosen cells; how many pulses that took."""
        with PulseClock(self.macro) as clock:
            done = programmer.run(self.macro, self.cells[touch], aim)
        self.counts[touch, 0] += done.sets
        self.counts[touch, 1] += done.resets
        self.reads += int(done.reads.sum())
        age_s = clock.ages(self.cells[touch])
        pulsed = done.pulses > 0
        if pulsed.any():
            self.fresh_s = float(np.clip(np.median(age_s[pulsed]), *FRESH_RANGE_S))
        self.pulsed_s[touch[pulsed]] = self.macro.time_s - age_s[pulsed]
        self.hopeless[touch] |= np.isin(done.status, [int(s) for s in HOPELESS])
        self.reading[touch] = done.reached_siemens
        self.read_s[touch] = self.macro.time_s
        self.noise_ln[touch] = 0.0
        return int(done.pulses.sum())

    def shift(self, touch: IntArray, settled: FloatArray) -> None:
        """Moves the targets of both arms of a corrected pair alike: the weight stays what it is."""
        paired = self.partner[touch] >= 0
        moved = np.where(paired, settled - self.target[touch], 0.0)
        self.target[touch] += moved
        self.target[self.partner[touch][paired]] += moved[paired]

    def result(self) -> RetrimResult:
        """Reads everything once more and sums up."""
        self.read()
        before = rms_of_weights(self.before - self.nominal, self.partner)
        return RetrimResult(
            cells=self.cells,
            target_siemens=self.target,
            before_siemens=self.before,
            reading_siemens=self.reading,
            pulses=self.counts.sum(axis=1),
            sets=self.counts[:, 0].copy(),
            resets=self.counts[:, 1].copy(),
            reads=self.reads,
            hopeless=self.hopeless,
            age_s=self.macro.time_s - self.pulsed_s,
            rounds=tuple(self.rounds),
            law=self.law if self.learned else self.given_law,
            error_before_siemens=before,
            error_after_siemens=rms_of_weights(self.reading - self.target, self.partner),
            bench_s=self.macro.time_s - self.start_s,
        )


def _checked_targets(cells: Cells, targets: FloatArray) -> FloatArray:
    wanted = np.array(targets, dtype=np.float64)
    if wanted.shape != (len(cells),) or not np.all(np.isfinite(wanted) & (wanted > 0.0)):
        raise InputError(f"Re-trim needs one positive target for each of {len(cells)} cells.")
    return wanted


def _checked_partners(partner: IntArray | None, n: int) -> IntArray:
    if partner is None:
        return np.full(n, -1)
    found = np.asarray(partner)
    if found.shape != (n,) or found.max(initial=-1) >= n or found.min(initial=0) < -1:
        raise InputError(f"partner must hold, for each of {n} cells, one of them or -1.")
    paired = np.flatnonzero(found >= 0)
    if np.any(found[found[paired]] != paired):
        raise InputError("partner must be mutual: the partner of a cell's partner is the cell.")
    return found.astype(np.int64)
