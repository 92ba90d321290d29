"""How much of a programmed chip's relaxation re-trim takes away, on simulated chips.

Each chip is programmed by plain write-verify; its cells' true conductances an hour later give the
error that plain verify leaves. Then the same chip is re-trimmed, and its error an hour after that
is compared. Two kinds of targets: single cells uniform over the window, and the differential pairs
of the shipped score network. Relaxation at room temperature (independent increments in logarithmic
time) is an assumption of the simulator, fitted to bakes; every figure is simulated.

Exits 1 when a bar is missed.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

from _common import finish, missed_bars, option_parser, text_table
from _retrim import measure

from calibration.retrim import RetrimParams

BARS = {"uniform.ratio": (0.0, 0.5), "demo.ratio": (0.0, 0.5)}
COLUMNS = (
    ("plain_now", "plain, now %", "{:.2f}"),
    ("plain_1h", "1 h later %", "{:.2f}"),
    ("plain_as_old", "as old as re-trimmed %", "{:.2f}"),
    ("retrim_now", "re-trim, now %", "{:.2f}"),
    ("retrim_1h", "1 h later %", "{:.2f}"),
    ("ratio", "ratio", "{:.3f}"),
    ("pulses", "pulses", "{:.1f}"),
    ("extra_pulses", "extra", "{:.1f}"),
    ("extra_pulses_most", "most", "{:.0f}"),
    ("touched", "touched", "{:.2f}"),
    ("extra_reads", "extra reads", "{:.0f}"),
    ("extra_bench_s", "extra bench s", "{:.0f}"),
)


def relaxation(chips: int, params: RetrimParams | None = None, **more: Any) -> dict[str, Any]:
    """Rows per chip and means (root mean squares of errors) of both kinds of targets."""
    found: dict[str, Any] = {}
    for kind in ("uniform", "demo"):
        rows = [measure(kind, s, params or RetrimParams(), **more) for s in range(1, chips + 1)]
        found[kind] = {"chips": rows, "mean": mean_of(rows)}
    return found


def mean_of(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    """Errors pooled over chips as root mean squares, the rest as means."""
    mean = {key: float(np.mean([row[key] for row in rows])) for key, _, _ in COLUMNS}
    for key in ("plain_now", "plain_1h", "plain_as_old", "retrim_now", "retrim_1h"):
        mean[key] = float(np.sqrt(np.mean([row[key] ** 2 for row in rows])))
    mean["ratio"] = mean["retrim_1h"] / mean["plain_1h"]
    mean["ratio_worst"] = max(row["ratio"] for row in rows)
    return mean


def table(found: dict[str, Any]) -> str:
    heads = ["chip", *(head for _, head, _ in COLUMNS)]
    lines = [[f"{row['chip']:.0f}", *_cells(row)] for row in found["chips"]]
    return text_table(heads, [*lines, ["all", *_cells(found["mean"])]])


def _cells(row: dict[str, float]) -> list[str]:
    return [form.format(row[key]) for key, _, form in COLUMNS]


def main(argv: Sequence[str] | None = None) -> int:
    parser = option_parser(__doc__, "two chips instead of ten")
    parser.add_argument("--chips", type=int, default=10, help="how many (default: 10)")
    asked = parser.parse_args(argv)
    started = time.perf_counter()
    found = relaxation(2 if asked.quick else asked.chips)
    print("Weight error in per cent of range, plain ISPP against ISPP and re-trim (simulated;")
    print("relaxation in logarithmic time at room temperature is an assumption)")
    for kind, part in found.items():
        print(f"{kind}\n{table(part)}")
    print(f"host time {time.perf_counter() - started:.0f} s")
    bars = {f"{kind}.ratio": part["mean"]["ratio"] for kind, part in found.items()}
    return finish(asked.json, {"simulated": True, **found}, missed_bars(bars, BARS))


if __name__ == "__main__":
    sys.exit(main())
