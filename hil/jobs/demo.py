"""The main job, end to end, on a virgin simulated chip: `hil demo`.

Form, map, program, verify, calibrate the loop, run it in both modes, compare with the software and
with an ideal loop, draw up an error budget, leave a report. Every step goes through the wire
protocol; only the ideal loop's conductances and the error budget use the simulator's back door.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from calibration.forming import FormResult
from calibration.loop import LoopCalibration
from calibration.progress import Progress, silent
from drivers.waveforms import Waveforms
from hil.bench import Accounts, Bench
from hil.config import BenchConfig
from hil.diffusion.model import load_model
from hil.diffusion.score_model import ScoreModel
from hil.jobs import rows
from hil.jobs.budget import BudgetLine, error_budget
from hil.jobs.layers import LayerOutputs, measure_layers
from hil.jobs.network import (
    Programmed,
    form_cells,
    place,
    program_cells,
    record_loop,
    record_samples,
)
from hil.record import RunFolder
from hil.runloop import Samples
from hil.waveforms import Mode

TRACES = 24
ROW_ORDER = ("data", "software", "software_sde", "loop_ideal", "chip_ode", "chip_sde")


@dataclass(frozen=True)
class DemoOptions:
    """How much of everything; the defaults are those of `hil demo`."""

    samples: int = 2000
    baseline_samples: int = 50_000
    budget: bool = True


@dataclass(frozen=True)
class DemoResult:
    """All that the report shows."""

    model: ScoreModel
    forming: FormResult
    programmed: Programmed
    calibration: LoopCalibration
    waveforms: Waveforms
    layers: list[LayerOutputs]
    ode: Samples
    sde: Samples
    rows: dict[str, rows.Row]
    budget: list[BudgetLine]
    accounts: Accounts

    def to_json(self) -> dict[str, Any]:
        """The object that `hil demo --json` prints."""
        summary = self.programmed.program.summary()
        metrics = {k: row.metrics for k, row in self.rows.items() if k != "software_sde"}
        keys = ("cells", "in_tolerance", "pulses_mean", "pulses_p99", "round_trips")
        return {
            "rows": {name: row.to_dict() for name, row in metrics.items()},
            "references": {"software_sde": self.rows["software_sde"].metrics.to_dict()},
            "programming": {key: summary[key] for key in keys},
            "loop": self.calibration.to_dict(),
            "budget": {line.name: line.metrics.to_dict() for line in self.budget},
            "time": {"bench_s": self.accounts.bench_s, "host_s": self.accounts.host_s},
        }


def run_demo(
    config: BenchConfig,
    bench: Bench,
    run: RunFolder,
    options: DemoOptions,
    progress: Progress | None = None,
) -> DemoResult:
    """The whole main job on an open bench with a virgin simulated chip.

    Raises:
        HilError: whatever step fails says why; what was done until then is in the journal.
    """
    tell = progress or silent
    model = load_model(config.model)
    placement = place(model, config)
    forming = form_cells(bench, run, placement, tell)
    programmed = program_cells(bench, run, placement, tell)
    loop = rows.run_loop(bench, model, placement, tell)
    bench.integrator.load(loop.waveforms(Mode.ODE))
    layers = measure_layers(bench, model, config.seed)
    ode = loop.run(options.samples, Mode.ODE, seed=config.seed, traces=TRACES, progress=tell)
    sde = loop.run(options.samples, Mode.SDE, seed=config.seed, progress=tell)
    waveforms = loop.waveforms(Mode.SDE)
    record_loop(run, loop)
    for samples in (ode, sde):
        record_samples(run, samples)
    accounts = bench.accounts()
    found = _compare(config, model, programmed, options, tell)
    found |= {"chip_ode": rows.chip(ode, model), "chip_sde": rows.chip(sde, model)}
    return DemoResult(
        model=model,
        forming=forming,
        programmed=programmed,
        calibration=loop.calibration,
        waveforms=waveforms,
        layers=layers,
        ode=ode,
        sde=sde,
        rows={name: found[name] for name in ROW_ORDER},
        budget=_budget(config, bench, model, programmed, options, tell),
        accounts=accounts,
    )


def _compare(
    config: BenchConfig,
    model: ScoreModel,
    programmed: Programmed,
    options: DemoOptions,
    tell: Progress,
) -> dict[str, rows.Row]:
    count = options.baseline_samples
    tell(0, 3, "software: Euler ODE")
    found = {"data": rows.data(model, count), "software": rows.software(model, config.seed, count)}
    tell(1, 3, "software: SDE")
    found["software_sde"] = rows.software_sde(model, config.seed, options.samples)
    tell(2, 3, "loop with ideal weights")
    found["loop_ideal"] = rows.loop_ideal(config, model, programmed.placement, count)
    tell(3, 3, "references")
    return found


def _budget(
    config: BenchConfig,
    bench: Bench,
    model: ScoreModel,
    programmed: Programmed,
    options: DemoOptions,
    tell: Progress,
) -> list[BudgetLine]:
    if not options.budget or bench.simulated is None:
        return []
    cells = programmed.placement.cells
    true = bench.simulated.true_conductances()[cells.rows, cells.columns]
    return error_budget(
        config, model, programmed.placement, np.asarray(true), options.samples, tell
    )
