"""The measured protocols, done again on simulated cells: same order, same stopping rules.

Each measured cell has `copies` simulated ones, which differ in their draws alone. The time base
of the measurements is not known; READ_DELAY_S and the others are this project's assumption and
decide, together with the onset of the relaxation, how much a cell moves between two readings.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hil.sim.cells import CellArray
from hil.sim.draws import uniforms
from hil.sim.effects import Effects
from hil.sim.fit.data import CyclingData, FormingData, ProgrammingData, Sweep
from hil.sim.profile import Profile

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

READ_DELAY_S = 1e-3  # from a pulse to its verify read (assumption)
STEP_S = 0.2  # from a pulse to the next; the reading before a pulse comes right before it
REST_S = 10.0  # between two sweeps of a cell
STREAM_START = 901  # which measured start a simulated pulse gets

# When a sweep of a cell stopped, as its rows show: conductance above or below a limit.
STOP_ABOVE_SIEMENS = {
    "set-sweep-wl-200ns": 1 / 4200,
    "set-sweep-bl-200ns": 1 / 4000,
    "set-from-hrs-wl-100ns": 1 / 5500,
}
STOP_BELOW_SIEMENS = {"reset-sweep-wl-200ns": 1 / 100e3, "reset-sweep-sl-200ns": 1 / 100e3}


@dataclass(frozen=True)
class Replay:
    """Simulated rows of a sweep: one per pulse that was given, like the measured table."""

    cell: I64
    sweep: I64
    step: I64  # index into the swept voltages
    volts: F64
    before_siemens: F64
    after_siemens: F64


@dataclass(frozen=True)
class Die:
    """The simulated cells that a protocol is replayed on."""

    profile: Profile
    seed: int
    copies: int = 1  # simulated cells per measured one
    effects: Effects | None = None
    cells: type[CellArray] = CellArray

    def virgin(self, n: int) -> CellArray:
        """`n` cells that nobody touched."""
        return self.cells(self.profile, self.seed, CellArray.virgin_state(n), self.effects)


def fresh_cells(die: Die, n: int) -> CellArray:
    """`n` cells that are formed, with no history."""
    cells = die.virgin(n)
    cells.state["formed"] = 1
    cells.state["siemens"] = 1.6e-4
    return cells


def _keep_going(name: str, after: F64) -> NDArray[np.bool_]:
    above, below = STOP_ABOVE_SIEMENS.get(name), STOP_BELOW_SIEMENS.get(name)
    going = np.ones(after.size, bool)
    if above is not None:
        going &= after <= above
    if below is not None:
        going &= after >= below
    return going


def replay_sweep(data: Sweep, die: Die) -> Replay:
    """Sweep every cell as `data` did, from where the measured sweeps started.

    The swept voltage rises through the measured steps; one pulse, one verify read, and before the
    next pulse another read; a sweep stops by its rule.
    """
    first = data.first_rows()
    n = int(data.cell.max()) + 1
    sweeps = first.size // n
    starts = data.before_siemens[first].reshape(n, sweeps)
    steps = np.unique(np.round(data.volts, 4))
    polarity = 1 if data.name.startswith("set") else -1
    fixed = data.line_volts[0] if data.swept == "gate" else data.gate_volts[0]
    cells = fresh_cells(die, n * die.copies)
    rows: list[tuple[I64, I64, I64, F64, F64]] = []
    now = 0.0
    for sweep in range(sweeps):
        index = np.arange(n * die.copies)
        cells.set_conductance(index, np.tile(starts[:, sweep], die.copies), now)
        for step, volts in enumerate(steps):
            now += STEP_S
            before = cells.read(index, now)
            gate, line = (volts, fixed) if data.swept == "gate" else (fixed, volts)
            cells.pulse(index, polarity, gate, line, data.width_s[0], now)
            after = cells.read(index, now + READ_DELAY_S)
            here = np.full(index.size, step)
            rows.append((index, np.full(index.size, sweep), here, before, after))
            index = index[_keep_going(data.name, after)]
            if index.size == 0:
                break
        now += REST_S
    return _gather(rows, steps)


def replay_from_high(data: Sweep, die: Die) -> Replay:
    """Sweeps with a RESET before each point: every pulse starts from a measured high resistance.

    The RESET pulses of the measurement are not in its table, so a simulated pulse starts where a
    measured one of the same cell did (drawn from the rows of that cell).
    """
    first = data.first_rows()
    n = int(data.cell.max()) + 1
    sweeps = first.size // n
    steps = np.unique(np.round(data.volts, 4))
    ordered = data.before_siemens[np.argsort(data.cell, kind="stable")]
    counts = np.bincount(data.cell, minlength=n)
    edges = np.concatenate([[0], np.cumsum(counts)[:-1]])
    cells = fresh_cells(die, n * die.copies)
    rows: list[tuple[I64, I64, I64, F64, F64]] = []
    now = 0.0
    for sweep in range(sweeps):
        index = np.arange(n * die.copies)
        for step, volts in enumerate(steps):
            now += STEP_S
            pick = uniforms(die.seed, STREAM_START, index, sweep, step)
            owner = index % n
            start = ordered[edges[owner] + (pick * counts[owner]).astype(np.int64)]
            after = _one_pulse(cells, index, start, volts, data, now)
            here = np.full(index.size, step)
            rows.append((index, np.full(index.size, sweep), here, start, after))
            index = index[_keep_going(data.name, after)]
            if index.size == 0:
                break
    return _gather(rows, steps)


def _one_pulse(
    cells: CellArray, index: I64, start: F64, volts: float, data: Sweep, now: float
) -> F64:
    bounds = cells.profile.bounds
    inside = np.clip(start, bounds.lowest_siemens, bounds.highest_siemens)
    cells.set_conductance(index, inside, now)
    cells.pulse(index, 1, volts, data.line_volts[0], data.width_s[0], now)
    return cells.read(index, now + READ_DELAY_S)


def replay_single(data: Sweep, die: Die) -> Replay:
    """One SET per cell, each from its own measured high resistance (30,100 cells)."""
    n = data.cell.size
    index = np.arange(n * die.copies)
    cells = fresh_cells(die, n * die.copies)
    bounds = die.profile.bounds
    start = np.clip(
        np.tile(data.before_siemens, die.copies), bounds.lowest_siemens, bounds.highest_siemens
    )
    volts = np.tile(data.gate_volts, die.copies)
    cells.set_conductance(index, start, 0.0)
    cells.pulse(index, 1, volts, data.line_volts[0], data.width_s[0], STEP_S)
    after = cells.read(index, STEP_S + READ_DELAY_S)
    steps, step = np.unique(np.round(volts, 4), return_inverse=True)
    return Replay(index, np.zeros(index.size, np.int64), step, steps[step], start, after)


def _gather(rows: list[tuple[I64, I64, I64, F64, F64]], steps: F64) -> Replay:
    cell, sweep, step, before, after = (np.concatenate(part) for part in zip(*rows, strict=True))
    order = np.lexsort((step, sweep, cell))
    step = step[order]
    return Replay(cell[order], sweep[order], step, steps[step], before[order], after[order])


def replay_forming(data: FormingData, die: Die, n: int) -> tuple[F64, F64]:
    """Forming voltages and conductances of `n` cells: 0.05 V steps up from 1 V, VWL 2 V.

    The width of the measured forming pulses is not stated; the profile's reference width stands
    for it.
    """
    cells = die.virgin(n)
    volts = np.full(n, np.nan)
    gate = float(np.median(data.gate_volts))
    now = 0.0
    for line in np.round(np.arange(1.0, 4.501, 0.05), 3):
        left = np.flatnonzero(cells.state["formed"] == 0)
        cells.pulse(left, 1, gate, line, die.profile.forming.reference_width_s, now)
        volts[left[cells.state["formed"][left] == 1]] = line
        now += STEP_S
    formed = np.flatnonzero(np.isfinite(volts))
    return volts[formed], cells.read(formed, now)


# Amplitudes that the cycling and the programming tables do not state (assumptions).
CYCLE_SET = {"gate": 2.5, "line": 2.0, "width": 2e-7}
CYCLE_RESET = {"gate": 3.5, "line": 2.8, "width": 2e-7}


def replay_cycling(data: CyclingData, die: Die) -> tuple[F64, F64]:
    """High and low conductances of alternate RESET and SET pulses: shape (cells, cycles)."""
    n, cycles = data.high_resistance_siemens.shape
    cells = fresh_cells(die, n * die.copies)
    index = np.arange(n * die.copies)
    cells.set_conductance(index, 2.0e-4, 0.0)
    high, low = np.empty((index.size, cycles)), np.empty((index.size, cycles))
    now = 0.0
    for cycle in range(cycles):
        for polarity, pulse, out in ((-1, CYCLE_RESET, high), (1, CYCLE_SET, low)):
            now += STEP_S
            cells.pulse(index, polarity, pulse["gate"], pulse["line"], pulse["width"], now)
            out[:, cycle] = cells.read(index, now + READ_DELAY_S)
    return high, low


@dataclass(frozen=True)
class Ramp:
    """Plain incremental-step programming: a RESET, then SET pulses with a rising word line.

    The step is the authors' best one. The start is not stated: with 2.0 V, where their sweeps
    with this pulse start too, the cells that need one ramp alone take as many SET pulses as the
    measured ones within 0.8 in each window; 18 pulses is the longest measured ramp.
    """

    start_volts: float = 2.0
    step_volts: float = 0.1
    pulses: int = 18
    line_volts: float = 2.0
    width_s: float = 1e-7
    reset_gate_volts: float = 3.5
    reset_line_volts: float = 2.8
    reset_width_s: float = 2e-7
    cap: int = 200


def replay_programming(
    windows_siemens: F64, die: Die, ramp: Ramp | None = None
) -> tuple[F64, NDArray[np.bool_]]:
    """Pulses (the first RESET not counted) and success of each cell into its window.

    `windows_siemens` has shape (cells, 2). One verify read per pulse; a reading above the window
    costs a RESET and a new ramp; the cell stops at `ramp.cap` pulses.
    """
    ramp = ramp or Ramp()
    n = len(windows_siemens)
    low, high = windows_siemens[:, 0], windows_siemens[:, 1]
    cells = fresh_cells(die, n)
    everyone = np.arange(n)
    cells.set_conductance(everyone, 2.0e-4, 0.0)
    pulses, at = np.full(n, -1.0), np.full(n, -1)
    done = np.zeros(n, bool)
    now = STEP_S
    while True:
        index = everyone[~done & (pulses < ramp.cap)]
        if index.size == 0:
            return pulses, done
        reset = at[index] < 0
        gate = np.where(
            reset, ramp.reset_gate_volts, ramp.start_volts + ramp.step_volts * at[index]
        )
        line = np.where(reset, ramp.reset_line_volts, ramp.line_volts)
        width = np.where(reset, ramp.reset_width_s, ramp.width_s)
        cells.pulse(index, np.where(reset, -1, 1), gate, line, width, now)
        reading = cells.read(index, now + READ_DELAY_S)
        pulses[index] += 1
        done[index] = (reading >= low[index]) & (reading <= high[index])
        again = (reading > high[index]) & ~reset | (at[index] == ramp.pulses - 1)
        at[index] = np.where(again, -1, at[index] + 1)
        now += STEP_S


def programming_windows(data: ProgrammingData, n: int) -> F64:
    """The three windows below 10 kohm, laid over `n` cells in turn: shape (n, 2), siemens."""
    ohm = np.unique(np.stack([data.lowest_ohm, data.highest_ohm], axis=1), axis=0)
    ohm = ohm[ohm[:, 1] < 10e3]
    picked = ohm[np.arange(n) % len(ohm)]
    lowest = np.where(picked[:, 0] > 0, 1.0 / np.maximum(picked[:, 0], 1e-9), np.inf)
    return np.stack([1.0 / picked[:, 1], lowest], axis=1)
