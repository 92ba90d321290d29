"""Figures of the programming benchmark: pulses and cells in, per section and algorithm."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from _programming_bars import MEASURED_PULSES, Rows, Sections

SIMULATED, MEASURED = "#d1495b", "#33415c"


def draw(folder: Path, sections: Sections) -> None:
    """Write programming_SECTION.png for each section into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    plt.rcParams.update({"font.size": 9, "axes.grid": True, "grid.alpha": 0.25})
    for name, rows in sections.items():
        if not rows:
            continue
        figure = _section(name, rows)
        figure.savefig(folder / f"programming_{name}.png", dpi=140)
        plt.close(figure)


def _section(name: str, rows: Rows) -> Any:
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    at, labels = np.arange(len(rows)), list(rows)
    _pulses(left, name, rows, at)
    for offset, key, alpha in ((-0.2, "in_by_reading", 1.0), (0.2, "in_truly", 0.45)):
        out = [max(1.0 - row[key], 1e-5) for row in rows.values()]
        label = key.replace("_", " ")
        right.bar(at + offset, out, 0.38, color=SIMULATED, alpha=alpha, label=label)
    right.set_yscale("log")
    right.set_ylabel("share of cells that are out")
    right.legend(fontsize=8)
    for axis in (left, right):
        axis.set_xticks(at, labels)
    figure.suptitle(f"{name.replace('_', ' ')} (simulated)", fontsize=10)
    return figure


def _pulses(axis: Any, name: str, rows: Mapping[str, Mapping[str, float]], at: Any) -> None:
    means = [row["pulses_mean"] for row in rows.values()]
    tails = [row["pulses_p99"] for row in rows.values()]
    axis.bar(at, means, 0.6, color=SIMULATED, label="simulated, mean")
    axis.plot(at, tails, "_", color=SIMULATED, markersize=14, label="simulated, p99")
    if name == "two_bit":
        known = [(k, MEASURED_PULSES[n]) for k, n in enumerate(rows) if n in MEASURED_PULSES]
        axis.plot(*zip(*known, strict=True), "D", color=MEASURED, label="measured, mean")
    axis.set_yscale("log")
    axis.set_ylabel("pulses per cell")
    axis.legend(fontsize=8)
