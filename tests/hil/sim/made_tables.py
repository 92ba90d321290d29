"""A small made-up set of measured tables, for the code that resamples the real ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

CELLS, SWEEPS = 12, 4


def write_tables(folder: Path, seed: int = 1) -> Path:
    """All tables that empirical cells read; SET saturates with the gate, RESET deepens."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)

    def sweep(
        name: str,
        polarity: int,
        width_ns: float,
        fixed: float,
        volts: np.ndarray,
        start: Callable[[], float],
        steps: bool,
        gate_swept: bool = True,
    ) -> None:
        rows = []
        for cell in range(CELLS):
            own = rng.normal(0.0, 0.05)
            for _ in range(SWEEPS):
                now = first = start()
                for v in volts:
                    read = first if name == "set-sweep-wl-200ns" else now  # stale, as measured
                    before = read * np.exp(rng.normal(0, 0.003))
                    aim = response(polarity, float(v) + own + rng.normal(0, 0.03))
                    after = max(now, aim) if polarity > 0 else min(now, aim)
                    line, gate = (fixed, v) if gate_swept else (v, fixed)
                    noisy = after * np.exp(rng.normal(0, 0.003))
                    rows.append((cell, width_ns, line, gate, 1 / before, 1 / noisy))
                    now = after if steps else start()
        np.savetxt(folder / f"{name}.tsv", np.array(rows), delimiter="\t", fmt="%.9g")

    def low() -> float:
        return 160e-6

    def high() -> float:
        return float(8e-6 * np.exp(rng.normal(0, 0.5)))

    coarse, fine = np.arange(0, 3.01, 0.05).round(4), np.arange(1.9, 2.51, 0.02).round(4)
    sweep("set-sweep-wl-200ns", 1, 200, 2.0, coarse, low, True)
    sweep("set-sweep-bl-200ns", 1, 200, 3.0, coarse, low, True, gate_swept=False)
    sweep("reset-sweep-wl-200ns", -1, 200, 2.8, coarse, low, True)
    sweep("reset-sweep-sl-200ns", -1, 200, 3.5, coarse, low, True, gate_swept=False)
    for name, width in (("wl-100ns", 100), ("wl-1us", 1000), ("wl-10us", 10000), ("bl-100ns", 300)):
        fixed = 3.3 if name == "bl-100ns" else 2.0
        sweep(f"set-from-hrs-{name}", 1, width, fixed, fine, high, False)
    sweep("set-noreset-wl-400ns", 1, 400, 2.0, np.arange(1, 2.5, 0.01).round(4), high, True)
    volts = rng.choice(np.arange(2.5, 3.5, 0.05).round(4), 80)
    form = np.column_stack([np.arange(80), np.full(80, 2.0), volts, np.full(80, 7e3), np.ones(80)])
    np.savetxt(folder / "form.tsv", form, delimiter="\t", fmt="%.9g")
    return folder


def response(polarity: int, volts: float) -> float:
    """Conductance that a pulse leads to."""
    if polarity > 0:
        return 240e-6 * float(np.clip((volts - 1.9) / 0.8, 0.0, 1.0)) + 1e-6
    return 160e-6 * float(np.exp(-4.0 * np.clip(volts - 2.1, 0.0, 1.0)))
