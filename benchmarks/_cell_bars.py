"""The bars of the cell model: each measured figure, what is allowed, what the simulation gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil.sim.cells import CellArray
from hil.sim.effects import Effects
from hil.sim.fit.figures import (
    NOISE_BINS,
    MedianCurve,
    Rows,
    lag_one,
    median_curve,
    quiet_readings,
    reread,
    reread_pairs,
    spread_at,
    transition_volts,
)
from hil.sim.fit.match import Simulated, simulate
from hil.sim.fit.replay import (
    Die,
    programming_windows,
    replay_cycling,
    replay_forming,
    replay_programming,
)
from hil.sim.fit.start import Tables
from hil.sim.profile import Profile

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

RESAMPLES = 400
MINIMUM_CELLS = 20
MEDIAN_RELATIVE = 0.10
MEDIAN_SIEMENS, MEDIAN_BELOW = 5e-6, 50e-6
TRANSITION_VOLTS = 0.05
SPREAD_RELATIVE = 0.25
NOISE_RELATIVE = 0.30
LAG_ABSOLUTE = 0.10  # this project's choice: the issue names no width for the autocorrelation
FORMING_VOLTS = 0.05
PULSES_ABSOLUTE = 5.0

MEDIAN_GROUPS = (
    ("set_gate", "SET over VWL, from low R, VBL 2 V, 200 ns"),
    ("set_line", "SET over VBL, from low R, VWL 3 V, 200 ns"),
    ("reset_gate", "RESET over VWL, from low R, VSL 2.8 V, 200 ns"),
    ("reset_line", "RESET over VSL, from low R, VWL 3.5 V, 200 ns"),
    ("high_100ns", "SET over VWL, from high R, VBL 2 V, 100 ns"),
    ("high_1us", "SET over VWL, from high R, VBL 2 V, 1 us"),
    ("high_10us", "SET over VWL, from high R, VBL 2 V, 10 us"),
)
SPREAD_GROUPS = (
    ("set_gate", "SET, VWL", (2.1, 2.2, 2.4), False),
    ("reset_gate", "RESET, VWL", (2.4, 2.5, 2.8), True),
)


@dataclass(frozen=True)
class Bar:
    """One figure: what was measured, what is allowed around it, what the simulation gives."""

    group: str
    name: str
    unit: str
    measured: float
    simulated: float
    low: float
    high: float

    @property
    def met(self) -> bool:
        """Whether the simulated figure lies within what is allowed (NaN does not)."""
        return bool(self.low <= self.simulated <= self.high)

    @property
    def strain(self) -> float:
        """Distance from the measured figure in units of the allowed distance; above 1 is missed."""
        if not np.isfinite(self.simulated):
            return float("inf")
        room = (
            self.high - self.measured
            if self.simulated > self.measured
            else (self.measured - self.low)
        )
        return abs(self.simulated - self.measured) / max(room, 1e-30)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**self.__dict__, "met": self.met}


def _allowed(measured: float, tolerance: float, band: tuple[float, float]) -> tuple[float, float]:
    """Stated tolerance or bootstrap band, whichever is wider, on each side."""
    return min(measured - tolerance, band[0]), max(measured + tolerance, band[1])


# --- bootstrap over the measured cells -------------------------------------------------------


def _draws(cells: int) -> I64:
    """RESAMPLES x cells: how often each cell is in each resample."""
    generator = np.random.Generator(np.random.Philox(20210731))
    picks = generator.integers(0, cells, (RESAMPLES, cells))
    return np.stack([np.bincount(row, minlength=cells) for row in picks])


def median_bands(rows: Rows, steps: F64) -> list[tuple[float, float]]:
    """95 % band of the median at each step, resampling the cells that reached it."""
    out = []
    volts = np.round(rows.volts, 4)
    for step in steps:
        here = np.flatnonzero(np.abs(volts - step) < 1e-6)
        here = here[np.argsort(rows.after_siemens[here])]
        names, owner = np.unique(rows.cell[here], return_inverse=True)
        weight = np.cumsum(_draws(names.size)[:, owner], axis=1)
        middle = (weight >= 0.5 * weight[:, -1:]).argmax(axis=1)
        medians = rows.after_siemens[here][middle]
        low, high = np.quantile(medians, [0.025, 0.975])
        out.append((float(low), float(high)))
    return out


def bootstrap(cells: int, figure: Callable[[I64], float]) -> tuple[float, float]:
    """95 % band of `figure(picked cells)` over resampled cells."""
    generator = np.random.Generator(np.random.Philox(20210731))
    values = [figure(generator.integers(0, cells, cells)) for _ in range(RESAMPLES)]
    low, high = np.nanquantile(values, [0.025, 0.975])
    return float(low), float(high)


# --- groups of bars --------------------------------------------------------------------------


def median_bars(tables: Tables, simulated: Simulated) -> list[Bar]:
    """Medians at every voltage step with at least MINIMUM_CELLS measured cells."""
    bars = []
    for name, group in MEDIAN_GROUPS:
        rows: Rows = getattr(tables, name)
        curve = median_curve(rows).at_least(MINIMUM_CELLS)
        have = median_curve(getattr(simulated, name))
        bands = median_bands(rows, curve.volts)
        for volts, measured, band in zip(curve.volts, curve.siemens, bands, strict=True):
            value = _at_step(have, float(volts))
            tolerance = MEDIAN_RELATIVE * measured
            if measured < MEDIAN_BELOW:
                tolerance = MEDIAN_SIEMENS
            low, high = _allowed(measured, tolerance, band)
            bars.append(
                Bar(group, f"median at {volts:.2f} V", "S", float(measured), value, low, high)
            )
    return bars


def _at_step(curve: MedianCurve, volts: float) -> float:
    here = np.flatnonzero(np.abs(curve.volts - volts) < 1e-6)
    return float(curve.siemens[here[0]]) if here.size else float("nan")


def transition_bars(tables: Tables, simulated: Simulated) -> list[Bar]:
    """Voltage at which the median of a RESET sweep passes half of its start."""
    bars = []
    for name, group in (
        ("reset_gate", "RESET transition, VWL"),
        ("reset_line", "RESET transition, VSL"),
    ):
        rows: Rows = getattr(tables, name)
        measured = transition_volts(median_curve(rows))
        value = _or_nan(lambda n=name: transition_volts(median_curve(getattr(simulated, n))))
        bars.append(
            Bar(
                group,
                "half of the start",
                "V",
                measured,
                value,
                measured - TRANSITION_VOLTS,
                measured + TRANSITION_VOLTS,
            )
        )
    return bars


def _or_nan(figure: Callable[[], float]) -> float:
    """A figure that a badly wrong simulation may not have at all."""
    try:
        return figure()
    except (IndexError, ValueError):
        return float("nan")


def spread_bars(tables: Tables, simulated: Simulated) -> list[Bar]:
    """Cycle-to-cycle and device-to-device spread, separately."""
    bars = []
    for name, title, steps, logarithmic in SPREAD_GROUPS:
        rows: Rows = getattr(tables, name)
        cells = int(rows.cell.max()) + 1
        for volts in steps:
            measured = spread_at(rows, volts, logarithmic)
            have = spread_at(getattr(simulated, name), volts, logarithmic)
            for kind in ("cycle_to_cycle", "device_to_device"):
                want = getattr(measured, kind)
                band = bootstrap(
                    cells,
                    lambda picked, r=rows, v=volts, lg=logarithmic, k=kind: getattr(
                        spread_at(r, v, lg, picked), k
                    ),
                )
                low, high = _allowed(want, SPREAD_RELATIVE * want, band)
                bars.append(
                    Bar(
                        f"{kind.replace('_', '-')} spread, {title}",
                        f"sd at {volts:.2f} V",
                        "ln G" if logarithmic else "S",
                        want,
                        getattr(have, kind),
                        low,
                        high,
                    )
                )
    return bars


def noise_bars(tables: Tables, simulated: Simulated) -> list[Bar]:
    """Deviation from reading to reading in five bins, and its autocorrelation."""
    want, have = (reread(*reread_pairs(rows.reset_gate)) for rows in (tables, simulated))
    bars = []
    for (low, high), w, h in zip(NOISE_BINS, want, have, strict=True):
        for kind in ("standard", "robust"):
            measured, value = getattr(w, kind), getattr(h, kind)
            bars.append(
                Bar(
                    "read noise, reading to reading",
                    f"{kind} deviation, {low * 1e6:.0f}-{high * 1e6:.0f} uS",
                    "relative",
                    measured,
                    value,
                    measured * (1 - NOISE_RELATIVE),
                    measured * (1 + NOISE_RELATIVE),
                )
            )
    measured, value = (lag_one(quiet_readings(rows.reset_gate)) for rows in (tables, simulated))
    bars.append(
        Bar(
            "read noise, reading to reading",
            "lag-1 autocorrelation",
            "",
            measured,
            value,
            measured - LAG_ABSOLUTE,
            measured + LAG_ABSOLUTE,
        )
    )
    return bars


def forming_bars(tables: Tables, die: Die, n: int) -> list[Bar]:
    """Median and quartiles of the forming voltage."""
    volts, _siemens = replay_forming(tables.forming, die, n)
    bars = []
    for share, name in ((0.25, "lower quartile"), (0.5, "median"), (0.75, "upper quartile")):
        measured = float(np.quantile(tables.forming.line_volts, share))
        value = float(np.quantile(volts, share)) if volts.size else float("nan")
        allowed = (measured - FORMING_VOLTS - 1e-9, measured + FORMING_VOLTS + 1e-9)
        bars.append(Bar("forming voltage, VWL 2 V", name, "V", measured, value, *allowed))
    return bars


def cycling_bars(tables: Tables, die: Die) -> list[Bar]:
    """Spread of the high resistance over cycling: within a cell, and between cells."""
    measured = np.log10(tables.cycling.high_resistance_siemens)
    high, _low = replay_cycling(tables.cycling, die)
    have = np.log10(high)
    bars = []
    for name, figure in (
        ("within a cell", lambda x: float(np.sqrt(x.var(axis=1, ddof=1).mean()))),
        ("between cells", lambda x: float(x.mean(axis=1).std(ddof=1))),
    ):
        want = figure(measured)
        band = bootstrap(len(measured), lambda picked, f=figure: f(measured[picked]))
        low, high_allowed = _allowed(want, SPREAD_RELATIVE * want, band)
        bars.append(
            Bar(
                "high resistance over 300 cycles",
                f"sd {name}",
                "log10 R",
                want,
                figure(have),
                low,
                high_allowed,
            )
        )
    return bars


def programming_bars(tables: Tables, die: Die, n: int) -> list[Bar]:
    """Pulses of plain incremental-step programming into the three windows below 10 kohm."""
    below = tables.programming.highest_ohm < 10e3
    measured = float(tables.programming.pulses[below].mean())
    pulses, _done = replay_programming(programming_windows(tables.programming, n), die)
    return [
        Bar(
            "incremental-step programming",
            "mean pulses, three windows",
            "pulses",
            measured,
            float(pulses.mean()),
            measured - PULSES_ABSOLUTE,
            measured + PULSES_ABSOLUTE,
        )
    ]


def all_bars(
    tables: Tables,
    profile: Profile,
    seed: int,
    copies: int,
    cells: type[CellArray] = CellArray,
    effects: Effects | None = None,
) -> tuple[list[Bar], Simulated]:
    """Every bar, and the simulated rows behind the medians (for the figures)."""
    simulated = simulate(tables, profile, seed, copies, effects, cells)
    die = Die(profile, seed + 50, 1, effects, cells)
    bars = [
        *median_bars(tables, simulated),
        *transition_bars(tables, simulated),
        *spread_bars(tables, simulated),
        *noise_bars(tables, simulated),
        *forming_bars(tables, die, 1000 * copies),
        *cycling_bars(tables, die),
        *programming_bars(tables, die, 600 * copies),
    ]
    return bars, simulated
