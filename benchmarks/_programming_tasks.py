"""What the programming benchmark asks for, who does it, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from _chips import ChipOnBoard, ChipShop, FormedChip
from numpy.typing import NDArray

from calibration.mapping import DIFFERENTIAL_WINDOW_SIEMENS
from calibration.programming import CellStatus, Programmer, ProgramParams, ProgramResult
from calibration.programming.choose import ALGORITHMS
from calibration.programming.ispp import Ramp
from calibration.programming.levels import LevelTable
from drivers.rram.macro import Macro

F64 = NDArray[np.float64]

TWO_BIT_OHM = ((0.0, 5000.0), (5770.0, 6010.0), (8510.0, 9310.0))
"""The windows below 10 kohm, on which the measured algorithms are compared."""
THREE_BIT_OHM = (
    (0.0, 4200.0),
    (4537.0, 4575.0),
    (5041.0, 5087.0),
    (5671.0, 5730.0),
    (6507.0, 6589.0),
    (7710.0, 7870.0),
    (10023.0, 10332.0),
    (80e3, np.inf),
)
HIGHEST_SIEMENS = 350e-6  # upper end of the windows that start at 0 ohm
ANALOG_SIEMENS = DIFFERENTIAL_WINDOW_SIEMENS
ANALOG_TOLERANCE = 0.025 * (ANALOG_SIEMENS[1] - ANALOG_SIEMENS[0])
RELAX_S = 3600.0
_STUCK = (CellStatus.STUCK_LOW, CellStatus.STUCK_HIGH)

# Gate voltages of FPPV's levels: of a sweep in steps of 0.02 V on the simulated cells those with
# the most cells in; the authors swept theirs on the measured ones.
FPPV_LEVELS = LevelTable((112.5e-6, 169.8e-6, 240e-6), (2.46, 2.68, 3.50))
# Its largest count in the authors' tables is 1000 pulses; that of ISPP is capped at 200.
PATIENT = {"pulse_budget": 1000, "tries_at_stop": 1000}


@dataclass(frozen=True)
class Task:
    """Targets and tolerances of n cells, in siemens, and how *in* is counted."""

    name: str
    target: F64
    tolerance: F64
    shared: Mapping[str, Any]

    @classmethod
    def windows(cls, name: str, ohm: tuple[tuple[float, float], ...], n: int) -> Task:
        """Windows of resistance laid over the cells in turn, counted by the verifying reading."""
        low = np.array([1.0 / high for _, high in ohm])
        high = np.array([1.0 / lo if lo > 0.0 else HIGHEST_SIEMENS for lo, _ in ohm])
        which = np.arange(n) % len(ohm)
        shared = {"count_in": "reading", "lowest_siemens": 2e-6, "highest_siemens": 300e-6}
        return cls(name, ((low + high) / 2)[which], ((high - low) / 2)[which], shared)

    @classmethod
    def analog(cls, n: int, seed: int) -> Task:
        """Uniform over the differential window; finished by averaged readings."""
        rng = np.random.Generator(np.random.Philox(seed))
        target = rng.uniform(*ANALOG_SIEMENS, n)
        return cls("analog", target, np.full(n, ANALOG_TOLERANCE), {})

    def first(self, n: int) -> Task:
        """The same for the first n cells."""
        return Task(self.name, self.target[:n], self.tolerance[:n], self.shared)

    def params(self, kind: type[ProgramParams], **own: Any) -> Any:
        """Parameters of an algorithm for this task."""
        return kind(**{"tolerance_siemens": self.tolerance, **self.shared, **own})


Make = Callable[[Task, ChipOnBoard], Programmer]


@dataclass(frozen=True)
class Contender:
    """An algorithm in a benchmark.

    Attributes:
        uncounted: pulses of each cell that do not count: the authors of the measured figures leave
            out the first RESET of their algorithms.
    """

    name: str
    make: Make
    uncounted: int = 0


def _of(name: str, **own: Any) -> Make:
    def make(task: Task, chip: ChipOnBoard) -> Programmer:
        known = ALGORITHMS[name]
        return known.programmer(task.params(known.params, **own), chip.wait)

    return make


def as_measured() -> dict[str, Contender]:
    """The measured algorithms with their authors' settings: 100 and 200 ns pulses."""
    ispp = {
        "set_gate": Ramp(2.0, 0.1, 3.5, 0.1, 2.0),
        "set_width_s": 100e-9,
        "reset_line": Ramp(2.8, 0.1, 3.2, 0.1, 2.8),
        "from_erased": True,
        "pulse_budget": 201,
    }
    fppv = {"levels": FPPV_LEVELS, "gate_step_volts": 0.0, **PATIENT}
    return {
        "ispp": Contender("ispp", _of("ispp", **ispp), uncounted=1),
        "fppv": Contender("fppv", _of("fppv", **fppv), uncounted=1),
        "coarse_fine": Contender("coarse_fine", _of("coarse_fine", **PATIENT), uncounted=1),
    }


def own_defaults(*names: str) -> dict[str, Contender]:
    """Algorithms with the defaults of this project, every pulse counted."""
    return {name: Contender(name, _of(name)) for name in names}


@dataclass(frozen=True)
class Outcome:
    """What one algorithm did to the cells of one chip.

    Attributes:
        result: what it says; `pulses`: (n,) that count.
        truth, relaxed: (n,) true conductances at the end and an hour later.
        round_trips: on the line, with arming.
        host_s: host time; planning_s: that part of it that is not spent in pulses and reads.
        stuck: (n,) cells that no pulse moves, known from the back door.
    """

    algorithm: str
    result: ProgramResult
    pulses: NDArray[np.int64]
    truth: F64
    relaxed: F64
    round_trips: int
    host_s: float
    planning_s: float
    stuck: NDArray[np.bool_]


def run(
    shop: ChipShop,
    chip: FormedChip,
    task: Task,
    contender: Contender,
    clock: Callable[[], float],
) -> Outcome:
    """One algorithm on its own copy of a chip."""
    with shop.copy(chip) as copy:
        cells = chip.cells
        stuck = copy.truth(cells) == copy.board.chip.profile.faults.stuck_high_siemens
        before, began = copy.link.stats.round_trips, clock()
        spent = _timed(copy.macro, clock)
        result = contender.make(task, copy).run(copy.macro, cells, task.target)
        host_s, trips = clock() - began, copy.link.stats.round_trips - before
        truth = copy.truth(cells)
        copy.wait(RELAX_S)
        pulses = np.maximum(result.pulses - contender.uncounted, 0)
        relaxed = copy.truth(cells)
    return Outcome(
        contender.name,
        result,
        pulses,
        truth,
        relaxed,
        trips,
        host_s,
        host_s - sum(spent),
        stuck,
    )


def _timed(macro: Macro, clock: Callable[[], float]) -> list[float]:
    """Watches a macro: the list grows by the time of every call that drives or reads."""
    spent: list[float] = []

    def watched(call: Callable[..., F64]) -> Callable[..., F64]:
        def timed(*args: Any, **kwargs: Any) -> F64:
            began = clock()
            found = call(*args, **kwargs)
            spent.append(clock() - began)
            return found

        return timed

    for name in ("read", "pulse_read"):
        setattr(macro, name, watched(getattr(macro, name)))
    return spent


def figures(outcomes: list[Outcome]) -> dict[str, float]:
    """Figures over the cells of all chips; stuck cells are left out of all but their own."""
    alive = np.concatenate([~o.stuck for o in outcomes])
    target = np.concatenate([o.result.target_siemens for o in outcomes])
    tolerance = np.concatenate([o.result.tolerance_siemens for o in outcomes])
    truth = np.concatenate([o.truth for o in outcomes])
    relaxed = np.concatenate([o.relaxed for o in outcomes])
    pulses = np.concatenate([o.pulses for o in outcomes])[alive]
    reads = np.concatenate([o.result.reads for o in outcomes])[alive]
    by_reading = np.concatenate([o.result.in_tolerance for o in outcomes])[alive]
    said = np.concatenate([np.isin(o.result.status, _STUCK) for o in outcomes])[alive]
    within = (np.abs(truth - target) <= tolerance)[alive]
    top = (target >= 150e-6)[alive]
    return {
        "cells": float(alive.sum()),
        "pulses_mean": float(pulses.mean()),
        "pulses_median": float(np.median(pulses)),
        "pulses_p99": float(np.percentile(pulses, 99)),
        "in_by_reading": float(by_reading.mean()),
        "in_or_reported": float((by_reading | said).mean()),
        "in_truly": float(within.mean()),
        "in_truly_above_150": float(within[top].mean()) if top.any() else float("nan"),
        "in_truly_below_150": float(within[~top].mean()) if (~top).any() else float("nan"),
        "rms_error_us": 1e6 * _rms((truth - target)[alive]),
        "rms_relaxed_us": 1e6 * _rms((relaxed - target)[alive]),
        "reads_mean": float(reads.mean()),
        "round_trips": float(np.mean([o.round_trips for o in outcomes])),
        "rounds": float(np.mean([o.result.rounds for o in outcomes])),
        "bench_s": float(np.mean([o.result.bench_s for o in outcomes])),
        "host_s": float(np.sum([o.host_s for o in outcomes])),
        **_stuck_figures(outcomes),
    }


def _stuck_figures(outcomes: list[Outcome]) -> dict[str, float]:
    """How stuck cells that are not where they should be were found."""
    out = [o.stuck & ~o.result.in_tolerance for o in outcomes]
    found = [np.isin(o.result.status, _STUCK) for o in outcomes]
    missed = sum(int((a & ~b).sum()) for a, b in zip(out, found, strict=True))
    most = max(
        (int(o.result.pulses[a].max(initial=0)) for o, a in zip(outcomes, out, strict=True)),
        default=0,
    )
    return {
        "stuck_cells": float(sum(int(o.stuck.sum()) for o in outcomes)),
        "stuck_not_reported": float(missed),
        "stuck_pulses_most": float(most),
    }


def _rms(values: F64) -> float:
    return float(np.sqrt(np.mean(values**2)))
