"""What a fitted profile reached: measured and simulated figures side by side."""

from __future__ import annotations

import numpy as np

from hil.sim.fit.figures import (
    NOISE_BINS,
    lag_one,
    median_curve,
    quiet_readings,
    reread,
    reread_pairs,
    spread_at,
    transition_volts,
)
from hil.sim.fit.match import Simulated, simulate
from hil.sim.fit.replay import Die, programming_windows, replay_forming, replay_programming
from hil.sim.fit.start import Tables
from hil.sim.profile import Profile

Pairs = dict[str, dict[str, float]]


def reached_figures(tables: Tables, profile: Profile, seed: int, copies: int = 8) -> Pairs:
    """Figure by figure, {name: {measured, simulated}}; siemens, volts, or relative."""
    simulated = simulate(tables, profile, seed, copies)
    return {
        **_medians(tables, simulated),
        **_spreads(tables, simulated),
        **_noise(tables, simulated),
        **_forming(tables, profile, seed),
        **_programming(tables, profile, seed),
    }


def _pair(measured: float, simulated: float) -> dict[str, float]:
    return {"measured": float(measured), "simulated": float(simulated)}


def _medians(tables: Tables, simulated: Simulated) -> Pairs:
    out: Pairs = {}
    for name, volts in (
        ("set_gate", (2.1, 2.25, 2.4)),
        ("set_line", (0.75, 1.0, 1.25, 1.5)),
        ("reset_gate", (2.25, 2.5, 2.75, 3.0)),
        ("reset_line", (0.75, 1.0, 1.25, 1.5)),
        ("high_100ns", (2.3, 2.45, 2.6)),
        ("high_1us", (1.7, 1.9, 2.2, 2.6)),
        ("high_10us", (1.5, 1.7, 2.0, 2.6)),
    ):
        curves = [median_curve(getattr(rows, name)) for rows in (tables, simulated)]
        for v in volts:
            out[f"{name}_median_{v:.2f}V_siemens"] = _pair(*(float(c.at(v)) for c in curves))
        if name.startswith("reset"):
            out[f"{name}_transition_volts"] = _pair(*(transition_volts(c) for c in curves))
    return out


def _spreads(tables: Tables, simulated: Simulated) -> Pairs:
    out: Pairs = {}
    for name, volts, logarithmic in (
        ("set_gate", (2.1, 2.2, 2.4), False),
        ("reset_gate", (2.4, 2.5, 2.8), True),
    ):
        for v in volts:
            pair = [spread_at(getattr(r, name), v, logarithmic) for r in (tables, simulated)]
            label = f"{name}_{'ln' if logarithmic else 'siemens'}_{v:.2f}V"
            out[f"{label}_cycle_to_cycle"] = _pair(*(s.cycle_to_cycle for s in pair))
            out[f"{label}_device_to_device"] = _pair(*(s.device_to_device for s in pair))
    return out


def _noise(tables: Tables, simulated: Simulated) -> Pairs:
    pairs = [reread(*reread_pairs(rows.reset_gate)) for rows in (tables, simulated)]
    out: Pairs = {}
    for (low, high), want, have in zip(NOISE_BINS, *pairs, strict=True):
        label = f"reread_{low * 1e6:.0f}_{high * 1e6:.0f}uS"
        out[f"{label}_standard"] = _pair(want.standard, have.standard)
        out[f"{label}_robust"] = _pair(want.robust, have.robust)
    lag = [lag_one(quiet_readings(rows.reset_gate)) for rows in (tables, simulated)]
    out["reread_lag_one"] = _pair(*lag)
    return out


def _forming(tables: Tables, profile: Profile, seed: int) -> Pairs:
    volts, _siemens = replay_forming(tables.forming, Die(profile, seed), 8000)
    return {
        f"forming_{q * 100:.0f}percent_volts": _pair(
            np.quantile(tables.forming.line_volts, q), np.quantile(volts, q)
        )
        for q in (0.25, 0.5, 0.75)
    }


def _programming(tables: Tables, profile: Profile, seed: int) -> Pairs:
    below = tables.programming.highest_ohm < 10e3
    windows = programming_windows(tables.programming, 3000)
    pulses, _done = replay_programming(windows, Die(profile, seed))
    return {
        "incremental_step_pulses": _pair(tables.programming.pulses[below].mean(), pulses.mean())
    }
