"""The fingerprint of a chip: is every chip known again after a day, and never taken for another?

Two hundred simulated chips in four states of their lives are put on record on one board, through
the whole read path. Then a day passes, a third of the programmed cells is programmed anew and some
more are formed, and they are read again on another board, whose columns have other gains and
offsets. Programmed chips all hold the same network at the same cells: only what is a chip's own may
tell them apart. Every chip is asked whether it is itself, and every pair whether one is the other.
Simulated figures.

Bars: no chip is refused or left undecided, no pair is confused or left undecided, and the scores of
pairs are distributed as the stated rate of error takes them to be (mean 0, standard deviation 1).
Chips with no cell left that was never formed are asked as well, for what is said of them: that it
cannot be said.

    python -m benchmarks.fingerprint                 about three minutes
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks._common import finish, missed_bars, option_parser, text_table
from calibration.startup import ChipMap, StartupParams
from calibration.startup.fingerprint import OTHER, SAME, UNKNOWN, compare
from calibration.startup.identity import identify, look_at_cells
from drivers.board import Board
from drivers.link import Link
from drivers.rram.geometry import Geometry
from drivers.rram.limits import Limits
from drivers.rram.macro import Macro
from drivers.stream import MemoryStream
from drivers.transfer import Curves
from hil.sim.board import make_board
from hil.sim.config import SimSettings
from protocols.hardware import load_board

CHIPS, QUICK_CHIPS, FULL_CHIPS = 200, 20, 4
DAY_S = 86_400.0
BOARD = load_board("reference")
STATES = ("virgin", "block", "every line", "nine tenths")
"""What is formed: nothing, 33 x 28 cells, some on every line, nine of ten cells at random."""
OTHER_BOARD = {"board_seed": 2, "tia_gain_sd": 0.01, "tia_offset_sd_amperes": 20e-9}
REPROGRAMMED, NEWLY_FORMED = 1.0 / 3.0, 64
BARS = {
    "refused": (0.0, 0.0),
    "not_decided": (0.0, 0.0),
    "confused_pairs": (0.0, 0.0),
    "not_decided_pairs": (0.0, 0.0),
    "pulses": (0.0, 0.0),
    "other_score_mean": (-0.1, 0.1),
    "other_score_sd": (0.9, 1.1),
    "wrong_of_full_chips": (0.0, 0.0),
}
Map = NDArray[np.float64]


class Visit:
    """A chip of a seed in the socket of a board."""

    def __init__(self, chip: int, **board: Any) -> None:
        self.sim = make_board(SimSettings(seed=1000 + chip, **board), BOARD)
        link = Link(MemoryStream(self.sim.receive), nonce=1)
        link.open()
        geometry, limits = Geometry(BOARD.rows, BOARD.columns), Limits.of(BOARD.limits)
        self.macro = Macro(Board(link), geometry, Curves.nominal(BOARD), limits)

    def program(self, siemens: Map) -> None:
        """Cells at conductances (rows, columns) at once; NaN leaves one alone."""
        self.sim.set_conductances(siemens)

    def identify(self, expected: ChipMap | None) -> tuple[str, ChipMap, float]:
        """The verdict, the whole map and the board time until the verdict."""
        start_s = self.macro.board.status().time_s
        found = identify(self.macro, BOARD, expected, "C7")
        spent_s = self.macro.board.status().time_s - start_s
        lines = found.chip_map.lines
        cells = found.chip_map.cells or look_at_cells(self.macro, lines, StartupParams())
        return found.verdict, ChipMap(lines, cells), spent_s


@dataclass
class Tally:
    """What became of the chips.

    Attributes:
        records, later: maps of each chip before and after.
        verdicts, pairs: (state, verdict) of chips of themselves, and of pairs.
        same, other: scores.
        first_s, again_s: board time of a first and of later looks.
    """

    records: list[ChipMap] = field(default_factory=list)
    later: list[ChipMap] = field(default_factory=list)
    verdicts: Counter[tuple[str, str]] = field(default_factory=Counter)
    pairs: Counter[tuple[str, str]] = field(default_factory=Counter)
    same: list[float] = field(default_factory=list)
    expected: list[float] = field(default_factory=list)
    other: list[float] = field(default_factory=list)
    first_s: list[float] = field(default_factory=list)
    again_s: list[float] = field(default_factory=list)
    pulses: int = 0


def network(state: str) -> Map:
    """The conductances that every chip of a state holds; NaN where a cell was never formed."""
    rng = np.random.default_rng(7)
    siemens = rng.uniform(5e-6, 200e-6, (BOARD.rows, BOARD.columns))
    there = np.zeros(siemens.shape, bool)
    if state == "block":
        there[10:43, 20:48] = True
    elif state == "every line":
        there[np.arange(128), 5 * np.arange(128) % 128] = True
        there[30:80, 10:110] = True
    elif state == "nine tenths":
        there = rng.random(siemens.shape) < 0.9
    elif state == "full":
        there[:] = True
    return np.where(there, siemens, np.nan)


def changed(siemens: Map, chip: int) -> Map:
    """What is programmed between the visits; NaN where nothing is."""
    rng = np.random.default_rng([1, chip])
    again = np.isfinite(siemens) & (rng.random(siemens.shape) < REPROGRAMMED)
    new = np.where(again, rng.uniform(5e-6, 200e-6, siemens.shape), np.nan)
    if np.isfinite(siemens).any():
        free = np.flatnonzero(np.isnan(siemens))
        chosen = rng.choice(free, min(NEWLY_FORMED, free.size // 4), replace=False)
        new.ravel()[chosen] = 1e-4
    return new


def visit_twice(tally: Tally, chip: int, state: str) -> None:
    """Puts a chip on record, lets a day of work pass, and asks it who it is."""
    visit = Visit(chip)
    visit.program(network(state))
    visit.macro.board.advance(60.0 + 97.0 * chip)
    _, record, first_s = visit.identify(None)
    again = Visit(chip, **OTHER_BOARD)
    again.program(network(state))
    again.macro.board.advance(60.0 + 97.0 * chip + DAY_S / 2)
    again.program(changed(network(state), chip))
    again.macro.board.advance(DAY_S / 2)
    verdict, later, again_s = again.identify(record)
    likeness = compare(later, record, StartupParams())
    tally.records.append(record)
    tally.later.append(later)
    tally.verdicts[state, verdict] += 1
    tally.same.append(likeness.score)
    tally.expected.append(likeness.expected_score)
    tally.first_s.append(first_s)
    tally.again_s.append(again_s)
    tally.pulses += visit.macro.board.status().pulses + again.macro.board.status().pulses


def ask_pairs(tally: Tally, states: list[str]) -> None:
    """Asks each chip's later map whether it is that of every earlier chip."""
    params = StartupParams()
    for k, later in enumerate(tally.later):
        for n in range(k):
            found = compare(later, tally.records[n], params)
            kind = states[k] if states[k] == states[n] else "different states"
            tally.pairs[kind, found.verdict] += 1
            tally.other.append(found.score)


def figures_of(tally: Tally, full: Tally) -> dict[str, float]:
    """What the bars are about, and what else is worth keeping."""
    verdicts, pairs = _totals(tally.verdicts), _totals(tally.pairs)
    other = np.asarray(tally.other)
    wrong = sum(n for (_, v), n in (full.verdicts + full.pairs).items() if v != UNKNOWN)
    return {
        "chips": float(len(tally.records)),
        "pairs": float(len(other)),
        "refused": float(verdicts[OTHER]),
        "not_decided": float(verdicts[UNKNOWN]),
        "confused_pairs": float(pairs[SAME]),
        "not_decided_pairs": float(pairs[UNKNOWN]),
        "pulses": float(tally.pulses),
        "same_score_lowest": min(tally.same),
        "same_less_expected_lowest": float(np.min(np.subtract(tally.same, tally.expected))),
        "expected_score_lowest": min(tally.expected),
        "other_score_mean": float(other.mean()),
        "other_score_sd": float(other.std()),
        "other_score_highest": float(other.max()),
        "stated_error_rate": StartupParams().error_rate,
        "bound": compare(tally.later[0], tally.records[0], StartupParams()).bound,
        "first_look_board_s": float(np.mean(tally.first_s)),
        "later_look_board_s": float(np.mean(tally.again_s)),
        "wrong_of_full_chips": float(wrong),
    }


def _totals(of: Counter[tuple[str, str]]) -> Counter[str]:
    out: Counter[str] = Counter()
    for (_, verdict), count in of.items():
        out[verdict] += count
    return out


def table(tally: Tally) -> str:
    """One line per state."""
    verdicts = (SAME, OTHER, UNKNOWN)
    lines = []
    for state in (*STATES, "different states"):
        own = [str(tally.verdicts[state, v]) for v in verdicts]
        lines.append([state, *own, *(str(tally.pairs[state, v]) for v in verdicts)])
    heads = ("state", "same", "other", "unknown", "pairs: same", "other", "unknown")
    return text_table(heads, lines)


def main() -> int:
    """The campaign."""
    options = option_parser(__doc__, f"{QUICK_CHIPS} chips, a few seconds").parse_args()
    began, tally, full = time.perf_counter(), Tally(), Tally()
    states = [STATES[k % len(STATES)] for k in range(QUICK_CHIPS if options.quick else CHIPS)]
    for chip, state in enumerate(states):
        visit_twice(tally, chip, state)
    ask_pairs(tally, states)
    for chip in range(FULL_CHIPS):
        visit_twice(full, chip, "full")
    ask_pairs(full, ["full"] * FULL_CHIPS)
    figures = figures_of(tally, full)
    print(table(tally))
    for name, value in figures.items():
        print(f"{name:28} {value:.4g}")
    print(f"host time {time.perf_counter() - began:.0f} s; every figure is simulated")
    return finish(options.json, figures, missed_bars(figures, BARS))


if __name__ == "__main__":
    raise SystemExit(main())
