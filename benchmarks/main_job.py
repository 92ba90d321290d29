"""The main job on ten simulated chips: how good are the samples that a programmed chip gives?

    python benchmarks/main_job.py [--json FILE] [--quick] [--seeds S ...] [--part PART]

Part "demo" runs what `hil demo --seed S` runs, for S = 1 to 10 (chip, board and noise have the same
seed): forms a virgin macro, maps, programs and verifies the score network through the wire
protocol, re-trims and repairs it, and solves 2,000 samples by the probability-flow ODE and 2,000 by
the reverse SDE. The software solves the same equations from the same initial conditions. The first
chip also gives the comparison of the ideal loop with the software, on 50,000 initial conditions.

Part "stuck" does it with ten chips of which 1 % of the cells are stuck, and judges 50,000 samples
of each after every step: as programmed with the words of the ideal network, with the drive trimmed
(which every run does), re-trimmed, and repaired. Its bars are ratios to the software's KL
divergence with the same 50,000 initial conditions and the same reference set. Some minutes a chip.

Every chip is a simulated one: no silicon has run this. Exits with 1 when a bar is missed or a chip
could not be finished.
"""

from __future__ import annotations

import dataclasses
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

from _common import Bars, finish, missed_bars, option_parser, text_table
from _stuck_chips import COST_COLUMNS, QUALITY_COLUMNS, STUCK_BARS, stuck_chip_figures

from hil.config import BenchConfig
from hil.diffusion.metrics import evaluate, reference_set
from hil.diffusion.model import load_model, save_model
from hil.diffusion.noise_law import REVERSE_SDE
from hil.jobs.demo import DemoOptions, DemoResult, run_demo
from hil.jobs.session import session
from protocols.errors import HilError

CHIPS, QUICK_CHIPS = 10, 3
STUCK_SAMPLES, QUICK_STUCK_SAMPLES = 50_000, 5_000
PARTS = ("demo", "stuck")
SAMPLES, QUICK_SAMPLES = 2000, 1000
BASELINE, QUICK_BASELINE = 50_000, 5_000
IDEAL_BARS: Bars = {"ideal loop KL / software KL": (0.0, 1.2)}
MEDIAN_BARS: Bars = {  # column -> allowed for its median over the chips
    "ODE radius": (0.68, 0.72),
    "ODE spread": (0.03, 0.07),
    "ODE KL": (0.0, 0.06),
    "SDE KL ratio": (0.0, 1.3),
}
KL_AIM = 0.03
ODE_COLUMNS = {
    "ODE KL": "{:.4f}",
    "software ODE KL": "{:.4f}",
    "ODE sliced W1": "{:.4f}",
    "software ODE W1": "{:.4f}",
    "ODE radius": "{:.4f}",
    "ODE spread": "{:.4f}",
    "ODE Kuiper": "{:.4f}",
}
SDE_COLUMNS = {
    "SDE KL": "{:.4f}",
    "software SDE KL": "{:.4f}",
    "SDE KL ratio": "{:.2f}",
    "SDE sliced W1": "{:.4f}",
    "software SDE W1": "{:.4f}",
    "SDE W1 ratio": "{:.2f}",
    "SDE radius": "{:.4f}",
    "SDE spread": "{:.4f}",
}
PROGRAM_COLUMNS = {
    "cells": "{:.0f}",
    "in tolerance": "{:.0f}",
    "rms error uS": "{:.2f}",
    "pulses mean": "{:.1f}",
    "pulses p99": "{:.0f}",
    "round trips": "{:.0f}",
    "programming bench s": "{:.1f}",
    "whole job bench s": "{:.1f}",
    "whole job host s": "{:.1f}",
}
Figures = dict[str, float]
Found = dict[str, Any]


# --- one chip --------------------------------------------------------------------------------


def chip_config(seed: int, runs: Path) -> BenchConfig:
    """The bench of `hil demo --seed`, whatever bench file may lie in the working folder.

    The bars of the SDE are on the reverse SDE, whatever noise law the model's file holds.
    """
    model = dataclasses.replace(load_model("ring"), noise=REVERSE_SDE)
    bench = BenchConfig(runs=runs, model=str(save_model(model, runs / "ring.npz")))
    chip = bench.sim.model_copy(update={"seed": seed, "board_seed": seed})
    return bench.with_changes(source=f"chip {seed}", seed=seed, sim=chip)


def run_chip(seed: int, samples: int, baseline: int, runs: Path) -> DemoResult:
    """The main job on one virgin chip; its run folder is left in `runs`."""
    config = chip_config(seed, runs)
    asked = DemoOptions(samples=samples, baseline_samples=baseline, budget=False)
    with session(config, "demo", parameters={}, virgin_chip=True) as (run, bench):
        return run_demo(config, bench, run, asked)


def chip_figures(result: DemoResult) -> Figures:
    """One chip's line of both tables."""
    row = {name: found.metrics for name, found in result.rows.items()}
    ode, sde, software_sde = row["chip_ode"], row["chip_sde"], row["software_sde"]
    program = result.programmed.program.summary()
    same = result.rows["software"].samples[: ode.samples]  # a trajectory's start goes by its number
    software_ode = evaluate(same, reference_set(result.model.training.data))
    return {
        "ODE KL": ode.kl_1d,
        "software ODE KL": software_ode.kl_1d,
        "ODE sliced W1": ode.sliced_w1,
        "software ODE W1": software_ode.sliced_w1,
        "ODE radius": ode.radius_mean,
        "ODE spread": ode.radius_sd,
        "ODE Kuiper": ode.angle_kuiper,
        "SDE KL": sde.kl_1d,
        "software SDE KL": software_sde.kl_1d,
        "SDE KL ratio": ratio(sde.kl_1d, software_sde.kl_1d),
        "SDE sliced W1": sde.sliced_w1,
        "software SDE W1": software_sde.sliced_w1,
        "SDE W1 ratio": ratio(sde.sliced_w1, software_sde.sliced_w1),
        "SDE radius": sde.radius_mean,
        "SDE spread": sde.radius_sd,
        "cells": program["cells"],
        "in tolerance": program["in_tolerance"],
        "rms error uS": 1e6 * result.programmed.verify.statistics().rms,
        "pulses mean": program["pulses_mean"],
        "pulses p99": program["pulses_p99"],
        "round trips": program["round_trips"],
        "programming bench s": program["bench_s"],
        "whole job bench s": result.accounts.bench_s,
        "whole job host s": result.accounts.host_s,
    }


def ratio(figure: float, reference: float) -> float:
    """Quotient of two figures that are not negative; NaN, which misses every bar, without one."""
    return figure / reference if reference > 0.0 else float("nan")


def ideal_figures(result: DemoResult) -> Figures:
    """The ideal loop against the software: same network, initial conditions and reference set."""
    software, ideal = (result.rows[name].metrics for name in ("software", "loop_ideal"))
    return {
        "initial conditions": ideal.samples,
        "software KL": software.kl_1d,
        "ideal loop KL": ideal.kl_1d,
        "ideal loop KL / software KL": ratio(ideal.kl_1d, software.kl_1d),
        "ideal loop sliced W1 / software sliced W1": ratio(ideal.sliced_w1, software.sliced_w1),
    }


# --- all chips -------------------------------------------------------------------------------


def run_chips(
    seeds: Sequence[int], samples: int, baseline: int
) -> tuple[dict[int, Figures], Figures, list[str]]:
    """Figures of each chip that was finished, of the ideal loop, and a sentence per failure."""
    chips: dict[int, Figures] = {}
    ideal: Figures = {}
    failures = []
    for seed in seeds:
        began = time.perf_counter()
        count = samples if ideal else baseline
        try:
            with tempfile.TemporaryDirectory(prefix="main-job-") as runs:
                result = run_chip(seed, samples, max(count, samples), Path(runs))
        except HilError as error:
            failures.append(f"chip {seed} was not finished: {type(error).__name__}: {error}")
            print(failures[-1], file=sys.stderr, flush=True)
            continue
        chips[seed] = chip_figures(result)
        ideal = ideal or ideal_figures(result)
        seconds = time.perf_counter() - began
        print(f"chip {seed}: {seconds:.0f} s with its references", file=sys.stderr, flush=True)
    return chips, ideal, failures


def run_stuck_chips(seeds: Sequence[int], samples: int) -> tuple[dict[int, Figures], list[str]]:
    """Figures of each chip with stuck cells that was finished, and a sentence per failure."""
    chips: dict[int, Figures] = {}
    failures = []
    for seed in seeds:
        try:
            with tempfile.TemporaryDirectory(prefix="main-job-") as folder:
                chips[seed] = stuck_chip_figures(seed, samples, Path(folder))
        except HilError as error:
            named = f"chip {seed} with stuck cells"
            failures.append(f"{named} was not finished: {type(error).__name__}: {error}")
            print(failures[-1], file=sys.stderr, flush=True)
    return chips, failures


def over_chips(
    chips: dict[int, Figures],
    names: Sequence[str] = (*ODE_COLUMNS, *SDE_COLUMNS, *PROGRAM_COLUMNS),
) -> dict[str, Figures]:
    """Median, lowest and highest of each column; NaN where no chip was finished."""
    columns = {
        name: np.array([chip[name] for chip in chips.values()] or [np.nan]) for name in names
    }
    kinds: dict[str, Callable[[NDArray[np.float64]], np.floating]] = {
        "median": np.median,
        "lowest": np.min,
        "highest": np.max,
    }
    return {
        kind: {name: float(figure(column)) for name, column in columns.items()}
        for kind, figure in kinds.items()
    }


def missed(ideal: Figures, median: Figures, failures: Sequence[str]) -> list[str]:
    """One sentence per bar that is missed and per chip that was not finished."""
    ideal = ideal or dict.fromkeys(IDEAL_BARS, float("nan"))
    over = [f"median {sentence}" for sentence in missed_bars(median, MEDIAN_BARS)]
    return [*failures, *missed_bars(ideal, IDEAL_BARS), *over]


# --- what is printed -------------------------------------------------------------------------


def chip_table(
    columns: dict[str, str], chips: dict[int, Figures], statistics: dict[str, Figures]
) -> str:
    """One line per chip, then the statistics over chips."""
    rows: dict[str, Figures] = {str(seed): figures for seed, figures in chips.items()}
    lines = [
        [name, *(form.format(figures[column]) for column, form in columns.items())]
        for name, figures in {**rows, **statistics}.items()
    ]
    return text_table(["chip", *columns], lines)


def bar_table(ideal: Figures, median: Figures) -> str:
    """Every bar with what was found."""
    found = {**median, **(ideal or dict.fromkeys(IDEAL_BARS, float("nan")))}
    lines = []
    for name, (low, high) in {**IDEAL_BARS, **MEDIAN_BARS}.items():
        of = name if name in IDEAL_BARS else f"{name}, median of chips"
        met = "ok" if low <= found[name] <= high else "MISS"
        lines.append([of, f"{found[name]:.4f}", f"{low:g} to {high:g}", met])
    return text_table(["figure", "simulated", "bar", ""], lines)


def report(
    chips: dict[int, Figures], statistics: dict[str, Figures], ideal: Figures, samples: int
) -> None:
    titles = {
        f"Programmed chips, {samples} samples by ODE each (simulated)": ODE_COLUMNS,
        f"Programmed chips, {samples} samples by SDE each (simulated)": SDE_COLUMNS,
        "Programming and time (simulated; bench s is the board's clock)": PROGRAM_COLUMNS,
    }
    for title, columns in titles.items():
        print(f"{title}\n{chip_table(columns, chips, statistics)}\n")
    print("Ideal loop against software (simulated)")
    for name, value in ideal.items():
        print(f"{name:42} {value:.4g}" if isinstance(value, float) else f"{name:42} {value}")
    print("\n" + bar_table(ideal, statistics["median"]))
    reached = "reached" if statistics["median"]["ODE KL"] <= KL_AIM else "not reached"
    print(f"the aim beyond the bar, a median ODE KL of {KL_AIM:g}, is {reached}")


def report_stuck(chips: dict[int, Figures], statistics: dict[str, Figures], samples: int) -> None:
    titles = {
        f"Chips with 1 % stuck cells, {samples} samples by ODE after each step (simulated)": (
            QUALITY_COLUMNS
        ),
        "What the steps cost and leave (simulated; bench s is the board's clock)": COST_COLUMNS,
    }
    for title, columns in titles.items():
        print(f"\n{title}\n{chip_table(columns, chips, statistics)}")
    median = statistics["median"]
    lines = [
        [f"{name}, median of chips", f"{median[name]:.4f}", f"{low:g} to {high:g}", met]
        for name, (low, high) in STUCK_BARS.items()
        for met in ["ok" if low <= median[name] <= high else "MISS"]
    ]
    print("\n" + text_table(["figure", "simulated", "bar", ""], lines))


def demo_part(seeds: Sequence[int], quick: bool) -> tuple[Found, list[str]]:
    """Figures and missed bars of the chips of `hil demo`."""
    samples = QUICK_SAMPLES if quick else SAMPLES
    began = time.perf_counter()
    chips, ideal, failures = run_chips(seeds, samples, QUICK_BASELINE if quick else BASELINE)
    statistics = over_chips(chips)
    report(chips, statistics, ideal, samples)
    print(f"{len(chips)} of {len(seeds)} chips in {time.perf_counter() - began:.0f} s of host time")
    figures = {
        "samples": samples,
        "chips": [{"chip": seed, **line} for seed, line in chips.items()],
        **statistics,
        "ideal_loop": ideal,
    }
    return figures, missed(ideal, statistics["median"], failures)


def stuck_part(seeds: Sequence[int], quick: bool) -> tuple[Found, list[str]]:
    """Figures and missed bars of the chips with stuck cells."""
    samples = QUICK_STUCK_SAMPLES if quick else STUCK_SAMPLES
    chips, failures = run_stuck_chips(seeds, samples)
    statistics = over_chips(chips, (*QUALITY_COLUMNS, *COST_COLUMNS))
    report_stuck(chips, statistics, samples)
    over = missed_bars(statistics["median"], STUCK_BARS)
    lines = [{"chip": seed, **line} for seed, line in chips.items()]
    found = {"samples": samples, "chips": lines, **statistics}
    return {"stuck": found}, [*failures, *(f"median {sentence}" for sentence in over)]


def main(argv: Sequence[str] | None = None) -> int:
    parser = option_parser(__doc__, "three chips, fewer samples")
    parser.add_argument("--seeds", type=int, nargs="+", metavar="S", help="these chips instead")
    parser.add_argument("--part", choices=PARTS, help="only this part; default: both")
    asked = parser.parse_args(argv)
    seeds = asked.seeds or range(1, 1 + (QUICK_CHIPS if asked.quick else CHIPS))
    figures: Found = {"simulated": True}
    over: list[str] = []
    for name, part in (("demo", demo_part), ("stuck", stuck_part)):
        if asked.part in (None, name):
            found, misses = part(seeds, asked.quick)
            figures |= found
            over += misses
    return finish(asked.json, figures, over)


if __name__ == "__main__":
    sys.exit(main())
