"""Chips with stuck cells, step by step: programmed, re-trimmed, repaired (for main_job.py).

Each chip is brought up, re-trimmed and repaired as `hil demo` does it. After every step its samples
are judged on a copy of the chip, so that the hours of solving 50,000 samples do not age the chip
that the next step works on: the chip of one step is minutes older than that of the step before, and
the cells of every copy relax on while it solves, with the drive trimmed again from time to time.
"""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

from _common import Bars

from calibration.placement import Placement
from calibration.repair import RepairResult
from calibration.retrim import RetrimResult
from hil.bench import Accounts
from hil.config import BenchConfig
from hil.diffusion.metrics import Metrics
from hil.diffusion.model import load_model
from hil.diffusion.score_model import ScoreModel
from hil.jobs import rows
from hil.jobs.bring_up import BroughtUp, bring_up
from hil.jobs.network import Programmed
from hil.jobs.repair import repair_network
from hil.jobs.retrim import retrim_programmed
from hil.jobs.session import session
from hil.waveforms import Mode

Figures = dict[str, float]
STUCK_FRACTION = 0.01  # half of them stuck low, half stuck high
STUCK_BARS: Bars = {  # column -> allowed for its median over the chips
    "programmed KL ratio": (0.0, 2.5),
    "repaired KL ratio": (0.0, 1.5),
}
QUALITY_COLUMNS = {
    "software KL": "{:.4f}",
    "ideal words KL": "{:.4f}",
    "programmed KL": "{:.4f}",
    "re-trimmed KL": "{:.4f}",
    "repaired KL": "{:.4f}",
    "ideal words KL ratio": "{:.2f}",
    "programmed KL ratio": "{:.2f}",
    "re-trimmed KL ratio": "{:.2f}",
    "repaired KL ratio": "{:.2f}",
    "software W1": "{:.4f}",
    "repaired W1": "{:.4f}",
}
COST_COLUMNS = {
    "bad cells": "{:.0f}",
    "pulses per cell": "{:.1f}",
    "re-trim pulses per cell": "{:.1f}",
    "repair pulses per cell": "{:.2f}",
    "bring-up bench s": "{:.0f}",
    "re-trim bench s": "{:.0f}",
    "repair bench s": "{:.0f}",
    "weight error uS": "{:.2f}",
    "re-trimmed weight error uS": "{:.2f}",
    "end error programmed %": "{:.2f}",
    "end error repaired %": "{:.2f}",
}


def stuck_config(seed: int, folder: Path) -> BenchConfig:
    """The bench of a chip with stuck cells that lives in `folder`."""
    bench = BenchConfig(runs=folder / "runs")
    half = 0.5 * STUCK_FRACTION
    errors = {"stuck_low_fraction": half, "stuck_high_fraction": half}
    sim = bench.sim.model_copy(update={"seed": seed, "board_seed": seed, **errors})
    chip = bench.chip.model_copy(update={"folder": folder / "chips"})
    return bench.with_changes(source=f"chip {seed}", seed=seed, sim=sim, chip=chip)


class StuckChip:
    """One chip in its own folder and what is measured of it."""

    def __init__(self, seed: int, samples: int, folder: Path) -> None:
        self.config, self.samples = stuck_config(seed, folder / "chip"), samples
        self.model: ScoreModel = load_model(self.config.model)
        self._folder = folder

    def bring_up(self) -> tuple[BroughtUp, Accounts]:
        """Form, map round bad cells and program."""
        with session(self.config, "program", parameters={}) as (run, bench):
            return bring_up(bench, run, self.model), bench.accounts()

    def retrim(self, programmed: Programmed) -> tuple[Programmed, RetrimResult]:
        """Wait and correct what moved."""
        with session(self.config, "retrim", parameters={}) as (run, bench):
            return retrim_programmed(bench, run, programmed)

    def repair(self, placement: Placement) -> RepairResult:
        """Re-program the last layer with the chip in the loop."""
        with session(self.config, "repair", parameters={}) as (run, bench):
            loop = rows.run_loop(bench, self.model, placement)
            return repair_network(bench, run, loop, placement)

    def quality(self, placement: Placement, *, trimmed: bool = True) -> Metrics:
        """ODE samples of a copy of the chip as it is now."""
        copy = self._folder / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self._folder / "chip" / "chips", copy / "chips")
        config = stuck_config(self.config.seed, copy)
        loop_section = config.loop.model_copy(update={"trim_drive": trimmed})
        config = config.with_changes(loop=loop_section)
        with session(config, "run", parameters={}) as (_, bench):
            loop = rows.run_loop(bench, self.model, placement)
            found = loop.run(self.samples, Mode.ODE, seed=config.seed)
        return rows.chip(found, self.model).metrics


def stuck_chip_figures(seed: int, samples: int, folder: Path) -> Figures:
    """One chip's line of both tables; `folder` is used for its files.

    Raises:
        HilError: a step failed.
    """
    began, chip = time.perf_counter(), StuckChip(seed, samples, folder)
    brought, accounts = chip.bring_up()
    programmed = brought.programmed
    found = {
        "software": rows.software(chip.model, seed, samples).metrics,
        "ideal words": chip.quality(programmed.placement, trimmed=False),
        "programmed": chip.quality(programmed.placement),
    }
    programmed, retrim = chip.retrim(programmed)
    found["re-trimmed"] = chip.quality(programmed.placement)
    repair = chip.repair(programmed.placement)
    found["repaired"] = chip.quality(repair.placement)
    cells = len(programmed.placement)
    seconds = time.perf_counter() - began
    print(f"chip {seed} with stuck cells: {seconds:.0f} s", file=sys.stderr, flush=True)
    return {
        **quality_figures(found),
        "bad cells": float(sum(brought.mapped.report.bad_cells.values())),
        "pulses per cell": float(brought.programmed.program.pulses.mean()),
        "re-trim pulses per cell": float(retrim.pulses.sum()) / cells,
        "repair pulses per cell": repair.pulses / cells,
        "bring-up bench s": accounts.bench_s,
        "re-trim bench s": retrim.bench_s,
        "repair bench s": repair.bench_s,
        "weight error uS": 1e6 * retrim.error_before_siemens,
        "re-trimmed weight error uS": 1e6 * retrim.error_after_siemens,
        "end error programmed %": 100.0 * repair.error_ideal_drive,
        "end error repaired %": 100.0 * repair.error_after,
    }


def quality_figures(found: dict[str, Metrics]) -> Figures:
    """KL of every step, over that of the software, and the sliced W1 of both ends."""
    software = found["software"].kl_1d
    figures = {f"{step} KL": metrics.kl_1d for step, metrics in found.items()}
    steps = [step for step in found if step != "software"]
    none = float("nan")  # misses every bar
    figures |= {
        f"{step} KL ratio": found[step].kl_1d / software if software > 0.0 else none
        for step in steps
    }
    ends = ("software", "repaired")
    return {**figures, **{f"{step} W1": found[step].sliced_w1 for step in ends}}
