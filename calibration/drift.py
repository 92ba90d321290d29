"""How far programmed cells have moved since they were programmed, and where that leads.

Two readings of every cell, one from when it was programmed and one from now, give for each level
the move, its trend per decade of time and what is to be expected. The law behind the forecast is
that of `calibration.relaxation`: independent moves in logarithmic time, an assumption at room
temperature. Nothing here drives a cell.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise

import numpy as np

from calibration.arrays import BoolArray, FloatArray, IntArray
from calibration.programming import ProgramParams
from calibration.relaxation import RelaxationLaw, decades
from calibration.retrim_policy import State, choose, rms_of_weights
from calibration.retrim_result import RetrimParams
from drivers.rram.geometry import Cells
from protocols.errors import InputError

FEWEST_CELLS = 48  # below, the law of published cells is assumed
LEVEL_EDGES_SIEMENS = (0.0, 30e-6, 60e-6, 90e-6, 120e-6, 150e-6, 180e-6, 1.0)
HORIZONS_S = (3600.0, 86400.0, 30 * 86400.0)


@dataclass(frozen=True)
class LevelDrift:
    """The cells of one band of targets; moves are now minus then, in siemens.

    `per_decade` and `spread` are those of ln G by the law, in the middle of the band; `further_*`
    what is expected within the first of `HORIZONS_S` from now.
    """

    from_siemens: float
    to_siemens: float
    cells: int
    move_median_siemens: float
    move_rms_siemens: float
    moved: int
    per_decade: float
    spread: float
    further_siemens: float
    further_spread_siemens: float


@dataclass(frozen=True)
class DriftReport:
    """What has become of programmed cells; arrays (n,) in the order of `cells`.

    Attributes:
        then_siemens, now_siemens: the reading when programmed, and now.
        elapsed_s: time between them; `age_s`: of each cell at the first one.
        moved: out of tolerance now.
        renew: indices of the cells that a re-trim would pulse.
        law: the trend by level; `assumed` when too few cells were read to measure it.
        weight_error: rms error of the weights in siemens, "then", "now", and as expected after
            each of `HORIZONS_S` when nothing is done.
    """

    cells: Cells
    target_siemens: FloatArray
    then_siemens: FloatArray
    now_siemens: FloatArray
    elapsed_s: float
    age_s: FloatArray
    moved: BoolArray
    renew: IntArray
    law: RelaxationLaw
    assumed: bool
    levels: tuple[LevelDrift, ...]
    weight_error: dict[str, float]

    @property
    def move_siemens(self) -> FloatArray:
        """(n,) now minus then."""
        return self.now_siemens - self.then_siemens

    def summary(self) -> dict[str, float]:
        """Figures for a table."""
        move = self.move_siemens
        return {
            "elapsed_s": self.elapsed_s,
            "move_rms_siemens": float(np.sqrt(np.mean(move**2))) if move.size else 0.0,
            "move_most_siemens": float(np.abs(move).max(initial=0.0)),
            "cells_out_of_tolerance": int(self.moved.sum()),
            "cells_to_retrim": int(self.renew.size),
            **{f"weight_error_{when}_siemens": v for when, v in self.weight_error.items()},
        }

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return {
            **self.summary(),
            "law": self.law.to_dict(),
            "law_is_assumed": self.assumed,
            "levels": [asdict(level) for level in self.levels],
            "rows": self.cells.rows.tolist(),
            "columns": self.cells.columns.tolist(),
            "target_siemens": self.target_siemens.tolist(),
            "then_siemens": self.then_siemens.tolist(),
            "now_siemens": self.now_siemens.tolist(),
            "age_s": self.age_s.tolist(),
            "moved": np.flatnonzero(self.moved).tolist(),
            "renew": self.renew.tolist(),
        }


def drift_report(
    cells: Cells,
    targets: FloatArray,
    then: FloatArray,
    now: FloatArray,
    *,
    age_s: FloatArray,
    elapsed_s: float,
    partner: IntArray | None = None,
    tolerance_siemens: float | FloatArray | None = None,
    params: RetrimParams | None = None,
) -> DriftReport:
    """Compare two readings (n,) of programmed cells.

    Args:
        cells, targets: what was programmed.
        then, now: readings in siemens; `elapsed_s` between them.
        age_s: (n,) time from each cell's last pulse to the first reading.
        partner: as for `calibration.retrim.retrim`.
        tolerance_siemens: what counts as moved; None is the programming routines' default.
        params: what a re-trim would correct.

    Raises:
        InputError: the arrays do not fit together, or no time has passed.
    """
    n, chosen = len(cells), params or RetrimParams()
    if any(np.shape(a) != (n,) for a in (targets, then, now, age_s)) or not elapsed_s > 0.0:
        raise InputError(
            f"A drift report needs a target, two readings and an age of each of {n} cells, and "
            f"time between the readings (elapsed {elapsed_s} s)."
        )
    pairs = np.full(n, -1) if partner is None else partner
    passed = decades(age_s, elapsed_s)
    known = (then > 0.0) & (now > 0.0)
    assumed = int(known.sum()) < FEWEST_CELLS
    law = (
        RelaxationLaw.assumed()
        if assumed
        else RelaxationLaw.measured(then[known], now[known], passed[known])
    )
    tolerance = ProgramParams(tolerance_siemens=tolerance_siemens).tolerances(targets)
    state = _state(law, targets, now, age_s + elapsed_s, pairs, chosen.horizon_s)
    moved = np.abs(now - targets) > tolerance
    return DriftReport(
        cells=cells,
        target_siemens=targets,
        then_siemens=then,
        now_siemens=now,
        elapsed_s=elapsed_s,
        age_s=age_s,
        moved=moved,
        renew=_renewals(state, law, chosen),
        law=law,
        assumed=assumed,
        levels=_levels(law, targets, then, now, age_s + elapsed_s, moved),
        weight_error=_weight_errors(law, targets, then, now, age_s + elapsed_s, pairs),
    )


def _state(
    law: RelaxationLaw,
    targets: FloatArray,
    now: FloatArray,
    age_s: FloatArray,
    partner: IntArray,
    later_s: float,
) -> State:
    expected, rest = law.forecast(now, age_s, later_s)
    return State(targets, expected, rest, partner, np.zeros(partner.shape, np.bool_))


def _renewals(state: State, law: RelaxationLaw, params: RetrimParams) -> IntArray:
    return choose(
        state,
        law,
        params.waits_s[1:],
        params.horizon_s,
        window_siemens=(params.lowest_siemens, params.highest_siemens),
        programming_siemens=params.programming_siemens,
        fresh_s=1.0,
        least_gain=params.least_gain,
        least_siemens=params.least_siemens,
    ).touch


def _levels(
    law: RelaxationLaw,
    targets: FloatArray,
    then: FloatArray,
    now: FloatArray,
    age_s: FloatArray,
    moved: BoolArray,
) -> tuple[LevelDrift, ...]:
    expected, rest = law.forecast(now, age_s, HORIZONS_S[0])
    found = []
    for low, high in pairwise(LEVEL_EDGES_SIEMENS):
        mine = (targets >= low) & (targets < high)
        if not mine.any():
            continue
        move, middle = (now - then)[mine], np.array([np.median(targets[mine])])
        found.append(
            LevelDrift(
                from_siemens=float(targets[mine].min()),
                to_siemens=float(targets[mine].max()),
                cells=int(mine.sum()),
                move_median_siemens=float(np.median(move)),
                move_rms_siemens=float(np.sqrt(np.mean(move**2))),
                moved=int(moved[mine].sum()),
                per_decade=float(law.drift_at(middle)[0]),
                spread=float(law.spread_at(middle)[0]),
                further_siemens=float(np.mean((expected - now)[mine])),
                further_spread_siemens=float(np.sqrt(np.mean(rest[mine] ** 2))),
            )
        )
    return tuple(found)


def _weight_errors(
    law: RelaxationLaw,
    targets: FloatArray,
    then: FloatArray,
    now: FloatArray,
    age_s: FloatArray,
    partner: IntArray,
) -> dict[str, float]:
    found = {
        "then": rms_of_weights(then - targets, partner),
        "now": rms_of_weights(now - targets, partner),
    }
    once = (partner < 0) | (np.arange(partner.size) < partner)
    for later_s in HORIZONS_S:
        state = _state(law, targets, now, age_s, partner, later_s)
        rest = state.rest_siemens**2
        rest = rest + np.where(partner >= 0, rest[partner], 0.0)
        square = (state.weight_error() ** 2 + rest)[once]
        name = f"in_{later_s / 3600.0:.0f}h"
        found[name] = float(np.sqrt(square.mean())) if square.size else 0.0
    return found
