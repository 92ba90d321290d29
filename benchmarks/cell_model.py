"""Are the simulated cells like the measured ones? Measured against simulated, bar by bar.

    python benchmarks/cell_model.py [--data DIR] [--quick] [--json FILE] [--figures DIR]
                                    [--profile NAME] [--all] [--triple-c2c] [--swap-polarity]

Replays the measured protocols (order of the pulses, stopping rules, one verify read per pulse) on
simulated cells and compares where measured rows exist. A bar is met within its stated tolerance or
the 95 % bootstrap band of the measured cells, whichever is wider. The measurements are not part of
this project: `--data` or the environment variable HIL_MEASURED_DATA names their folder (see
`hil sim fit`). `--triple-c2c` and `--swap-polarity` are negative controls: with them it must fail.

Exits with 0 when every bar is met, 1 when one is missed, 2 without the measurements.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

from _cell_bars import Bar, all_bars
from _cell_figures import draw_figures
from _common import MISSED, PASSED, keep, option_parser

from hil.sim.cells import CellArray
from hil.sim.fit import read_tables
from hil.sim.perturb import tripled_spread
from hil.sim.profile import DEFAULT_PROFILE, load_profile
from protocols.errors import HilError

SEED = 7
COPIES, QUICK_COPIES = 24, 8
NO_DATA = 2


class SwappedCells(CellArray):
    """Negative control: SET pulses act as RESET pulses and the other way round."""

    def pulse(
        self,
        index: ArrayLike,
        polarity: ArrayLike,
        v_gate_volts: ArrayLike,
        v_line_volts: ArrayLike,
        width_s: ArrayLike,
        now_s: ArrayLike,
    ) -> None:
        """A pulse of the other polarity."""
        swapped = -np.asarray(polarity)
        super().pulse(index, swapped, v_gate_volts, v_line_volts, width_s, now_s)


def number(value: float, unit: str) -> str:
    """A figure for the table; conductances in uS."""
    return f"{value * 1e6:.2f} uS" if unit == "S" else f"{value:.4g} {unit}".strip()


def print_table(bars: list[Bar], everything: bool) -> None:
    """One row per bar; a group of many voltage steps shows its worst, unless `everything`."""
    print(f"{'':4}{'figure':<78}{'measured':>15}{'simulated':>15}   allowed")
    for group, members in groupby(bars, key=lambda bar: bar.group):
        rows = list(members)
        shown = rows if everything or len(rows) <= 12 else [max(rows, key=lambda bar: bar.strain)]
        missed = sum(not bar.met for bar in rows)
        if len(shown) < len(rows):
            print(f"    {group}: {len(rows)} voltage steps, {missed} missed; the worst:")
        for bar in shown:
            allowed = f"{number(bar.low, bar.unit)} to {number(bar.high, bar.unit)}"
            print(
                f"{'ok' if bar.met else 'MISS':<4}{group + ', ' + bar.name:<78}"
                f"{number(bar.measured, bar.unit):>15}{number(bar.simulated, bar.unit):>15}"
                f"   {allowed}"
            )


def arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = option_parser(__doc__, "fewer simulated cells")
    parser.add_argument("--data", type=Path, help="folder of the measurements")
    parser.add_argument("--profile", default=DEFAULT_PROFILE, help="profile name or file")
    parser.add_argument("--seed", type=int, default=SEED, help="seed of the simulated cells")
    parser.add_argument("--all", action="store_true", help="print every voltage step")
    parser.add_argument("--figures", type=Path, help="draw PNG figures into this folder")
    parser.add_argument("--triple-c2c", action="store_true", help="negative control: must fail")
    parser.add_argument("--swap-polarity", action="store_true", help="negative control: must fail")
    options = parser.parse_args(argv)
    if options.data is None and os.environ.get("HIL_MEASURED_DATA"):
        options.data = Path(os.environ["HIL_MEASURED_DATA"])
    return options


def main(argv: list[str] | None = None) -> int:
    options = arguments(argv)
    if options.data is None:
        print(
            "The measurements are not part of this project: name their folder with --data or "
            "HIL_MEASURED_DATA. Nothing was compared."
        )
        return NO_DATA
    began = time.perf_counter()
    try:
        tables, profile = read_tables(options.data), load_profile(options.profile)
    except HilError as error:
        print(error)
        return NO_DATA
    if options.triple_c2c:
        profile = tripled_spread(profile)
    cells = SwappedCells if options.swap_polarity else CellArray
    copies = QUICK_COPIES if options.quick else COPIES
    bars, simulated = all_bars(tables, profile, options.seed, copies, cells)
    print(f"Profile {profile.name}; simulated cells per measured cell: {copies}; all simulated.")
    print_table(bars, options.all)
    missed = [bar for bar in bars if not bar.met]
    seconds = time.perf_counter() - began
    print(
        f"{len(bars) - len(missed)} of {len(bars)} bars met, {len(missed)} missed. {seconds:.0f} s"
    )
    keep(
        options.json,
        {
            "missed": [f"{bar.group}, {bar.name}" for bar in missed],
            "bars": [bar.as_dict() for bar in bars],
        },
    )
    if options.figures:
        draw_figures(options.figures, tables, simulated, bars)
        print(f"Figures in {options.figures}.")
    return MISSED if missed else PASSED


if __name__ == "__main__":
    raise SystemExit(main())
