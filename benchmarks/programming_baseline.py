"""How well and how fast plain ISPP programs a whole network, on simulated chips.

Each chip is formed, then programmed with the shipped score network through the wire protocol; the
table shows what the verifying reads say and what the cells really hold. Every figure is simulated:
no silicon has run this. Exits 1 when a bar is missed.
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

from calibration.forming import form
from calibration.mapping import map_network
from calibration.programming import SETTLE_LONG_S, CellStatus
from calibration.programming.ispp import Ispp, IsppParams
from drivers.board import Board
from drivers.link import Link
from drivers.rram.geometry import Geometry
from drivers.rram.limits import Limits
from drivers.rram.macro import Macro
from drivers.stream import MemoryStream
from drivers.transfer import Curves
from hil.diffusion.model import load_model
from hil.sim.board import make_board
from hil.sim.config import SimSettings
from protocols.hardware import BoardDescription, load_board

BARS = {  # figure over all chips -> (lowest, highest)
    "formed": (1.0, 1.0),
    "in_by_reading": (0.95, 1.0),
    "in_by_true_conductance": (0.80, 1.0),
    "pulses_mean": (0.0, 40.0),
    "pulses_p99": (0.0, 200.0),
    "round_trips": (0.0, 1500.0),
    "weight_error": (0.0, 0.045),
}
COLUMNS = (
    ("formed", "formed", "{:.3f}"),
    ("in_by_reading", "in, by reading", "{:.3f}"),
    ("in_by_true_conductance", "in, truly", "{:.3f}"),
    ("pulses_mean", "pulses mean", "{:.1f}"),
    ("pulses_median", "median", "{:.0f}"),
    ("pulses_p99", "p99", "{:.0f}"),
    ("round_trips", "round trips", "{:.0f}"),
    ("bench_s", "bench s", "{:.1f}"),
    ("rms_error_us", "true rms uS", "{:.2f}"),
    ("weight_error", "weight error", "{:.4f}"),
)


def program_chip(seed: int, description: BoardDescription, params: IsppParams) -> dict[str, Any]:
    """Form and program one chip; the figures of its row."""
    board = make_board(SimSettings(seed=seed, board_seed=seed), description)
    link = Link(MemoryStream(board.receive, f"sim chip {seed}"))
    link.open()
    geometry = Geometry(description.rows, description.columns)
    limits = Limits.of(description.limits)
    macro = Macro(Board(link), geometry, Curves.nominal(description), limits)
    model = load_model("ring")
    weights, biases = zip(*model.layers, strict=True)
    placement = map_network(
        weights,
        biases,
        geometry=geometry,
        loop=description.loop,
        converters=description.converters,
    )
    formed = form(macro, placement.cells)
    before = link.stats.round_trips
    result = Ispp(params, board.chip.advance).run(macro, placement.cells, placement.target_siemens)
    truth = board.true_conductances()[placement.cells.rows, placement.cells.columns]
    error = truth - placement.target_siemens
    failed = [CellStatus(int(s)).name.lower() for s in result.status[~result.in_tolerance]]
    return {
        **result.summary(),
        "chip": seed,
        "formed": float(formed.formed.mean()),
        "in_by_reading": float(result.in_tolerance.mean()),
        "in_by_true_conductance": float(np.mean(np.abs(error) <= result.tolerance_siemens)),
        "round_trips": link.stats.round_trips - before,
        "rms_error_us": 1e6 * float(np.sqrt(np.mean(error**2))),
        "weight_error": _weight_error(placement, truth),
        "failed": {name: failed.count(name) for name in sorted(set(failed))},
    }


def _weight_error(placement: Any, truth: np.ndarray) -> float:
    """rms error of the weights and biases over the layer's largest, worst layer."""
    wanted, found = (placement.weights_from(g) for g in (placement.target_siemens, truth))
    worst = 0.0
    for w, b, w2, b2 in zip(*wanted, *found, strict=True):
        error = np.concatenate([(w2 - w).ravel(), b2 - b])
        worst = max(worst, float(np.sqrt(np.mean(error**2)) / np.abs(w).max()))
    return worst


def summary(chips: list[dict[str, Any]]) -> dict[str, float]:
    """Means over chips."""
    return {key: float(np.mean([chip[key] for chip in chips])) for key, _, _ in COLUMNS}


def table(chips: list[dict[str, Any]], mean: dict[str, float]) -> str:
    heads = ["chip", *(head for _, head, _ in COLUMNS)]
    lines = [[str(c["chip"]), *(f.format(c[k]) for k, _, f in COLUMNS)] for c in chips]
    lines.append(["mean", *(f.format(mean[k]) for k, _, f in COLUMNS)])
    return text_table(heads, lines)


def main(argv: Sequence[str] | None = None) -> int:
    parser = option_parser(__doc__, "three chips instead of ten")
    parser.add_argument("--chips", type=int, default=10, help="how many (default: 10)")
    asked = parser.parse_args(argv)
    count = 3 if asked.quick else asked.chips
    started, params = time.perf_counter(), IsppParams(settle_s=SETTLE_LONG_S)
    chips = [program_chip(seed, load_board("reference"), params) for seed in range(1, count + 1)]
    mean, host_s = summary(chips), time.perf_counter() - started
    print("Plain ISPP of the shipped score network (simulated chips; bench time is modelled)")
    print(table(chips, mean))
    print(f"host time {host_s:.1f} s for {count} chips")
    figures = {"simulated": True, "mean": mean, "chips": chips}
    return finish(asked.json, figures, missed_bars(mean, BARS))


if __name__ == "__main__":
    sys.exit(main())
