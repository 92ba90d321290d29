"""How many pulses programming takes, how well it lands and what it costs, on simulated chips.

    python benchmarks/programming.py [--quick] [--json FILE] [--figures FOLDER] [--only SECTION ...]
                                     [--triple-c2c] [--swap-polarity]

All algorithms get the same formed chips, each its own copy, and reach them through the wire
protocol. *In* is counted in two ways: by the verifying reading, as the authors of the measured
figures did, and by the true conductance at the end. Every figure is simulated: no silicon has run
this; bench time is modelled. Sections:

  two_bit    the measured algorithms first reproduce their measured pulse counts (+-20 %) on the
             resistance windows below 10 kohm; then the project's own
  three_bit  eight windows
  analog     targets over the differential window, +-2.5 % of it; converters and line resistance
             are measured first (one SET of a quarter of the cells of a copy; counted apart)
  network    the shipped score network with the defaults of a bench file
  unknown    technologies that differ by up to 30 %, with stuck and weak cells
  other      cells that are not this project's equations: measured rows (with HIL_MEASURED_DATA
             or --data) and a physics model
  large      one chip of 512 x 512 cells: host time, and the planning's share of it

Negative controls, with which it must fail: `--triple-c2c` (three times the cycle-to-cycle spread)
and `--swap-polarity` (SET acts as RESET). Exits 1 when a bar is missed.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

from _chips import ChipShop
from _common import finish, missed_bars, option_parser, text_table
from _programming_bars import AIMS, bars_of, figures_of
from _programming_figures import draw
from _programming_sections import SECTIONS, Setting

COLUMNS = (
    ("pulses_mean", "mean", "{:.2f}"),
    ("pulses_median", "median", "{:.0f}"),
    ("pulses_p99", "p99", "{:.0f}"),
    ("in_by_reading", "in, reading", "{:.4f}"),
    ("in_truly", "in, truly", "{:.4f}"),
    ("rms_error_us", "rms uS", "{:.2f}"),
    ("rms_relaxed_us", "after 1 h", "{:.2f}"),
    ("reads_mean", "reads", "{:.1f}"),
    ("round_trips", "trips", "{:.0f}"),
    ("bench_s", "bench s", "{:.1f}"),
    ("host_s", "host s", "{:.1f}"),
)


def table(rows: dict[str, dict[str, float]]) -> str:
    """One line per algorithm."""
    heads = ["algorithm", "cells", *(head for _, head, _ in COLUMNS)]
    lines = [
        [name, f"{row['cells']:.0f}", *(form.format(row[key]) for key, _, form in COLUMNS)]
        for name, row in rows.items()
    ]
    return text_table(heads, lines)


def reach(rows: dict[str, dict[str, float]]) -> str:
    """What no pulse within the limits of the board brings into its window; "" where not asked."""
    return "".join(
        f"{name}: {row['out_of_reach']:.0f} of {row['cells']:.0f} cells stay short of their window "
        f"at the strongest SET that the board allows (12 tries of 200 ns); in of the others: "
        f"{row['in_by_reading_of_reachable']:.4f}\n"
        for name, row in rows.items()
        if "out_of_reach" in row
    )


def _options(argv: Sequence[str] | None) -> Any:
    parser = option_parser(__doc__, "fewer chips and cells")
    parser.add_argument("--figures", type=Path, metavar="FOLDER", help="draw PNG figures here")
    parser.add_argument("--only", nargs="+", choices=tuple(SECTIONS), help="these sections only")
    parser.add_argument("--data", type=Path, help="folder of the measurements, for empirical cells")
    parser.add_argument("--chips", type=int, help="how many (default: 10; quick: 2)")
    parser.add_argument("--rows", type=int, help="rows of 128 cells (default: 64; quick: 12)")
    parser.add_argument("--triple-c2c", action="store_true", help="negative control: must fail")
    parser.add_argument("--swap-polarity", action="store_true", help="negative control: must fail")
    return parser.parse_args(argv)


def _setting(asked: Any) -> Setting:
    data = asked.data or os.environ.get("HIL_MEASURED_DATA")
    return Setting(
        chips=asked.chips or (2 if asked.quick else 10),
        rows=asked.rows or (12 if asked.quick else 64),
        quick=asked.quick,
        tripled=asked.triple_c2c,
        swapped=asked.swap_polarity,
        data=str(data) if data else None,
    )


def main(argv: Sequence[str] | None = None) -> int:
    asked = _options(argv)
    setting, began = _setting(asked), time.perf_counter()
    names = asked.only or list(SECTIONS)
    sections: dict[str, dict[str, dict[str, float]]] = {}
    print("Programming on simulated chips; no silicon has run this, bench time is modelled.")
    with ChipShop() as shop:
        for name in names:
            started = time.perf_counter()
            sections[name] = SECTIONS[name](setting, shop)
            print(f"\n{name} ({time.perf_counter() - started:.0f} s)\n{table(sections[name])}")
            print(reach(sections[name]), end="")
    found = figures_of(sections)
    missed = missed_bars(found, bars_of(sections))
    for key, (low, high) in bars_of(sections).items():
        print(
            f"{'MISS' if key_missed(key, missed) else 'ok':<5}{key}: {found[key]:.4g}"
            f" (bar {low:g} to {high:g})"
        )
    for key, aim in AIMS.items():
        if key in found:
            reached = "reached" if found[key] >= aim else "not reached"
            print(f"aim  {key}: {found[key]:.4g} of all cells ({aim:g} is {reached})")
    if asked.figures:
        draw(asked.figures, sections)
        print(f"Figures in {asked.figures}.")
    host_s = time.perf_counter() - began
    print(f"{host_s:.0f} s for {setting.chips} chips of {setting.rows * 128} cells")
    kept = {"simulated": True, "host_s": host_s, "sections": sections, "figures": found}
    return finish(asked.json, kept, missed)


def key_missed(key: str, missed: Sequence[str]) -> bool:
    """Whether the sentence of a missed bar is about this figure."""
    return any(sentence.startswith(f"{key} is ") for sentence in missed)


if __name__ == "__main__":
    sys.exit(main())
