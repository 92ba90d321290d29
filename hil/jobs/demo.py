"""The main job, end to end, on a virgin simulated chip: `hil demo`.

Form, map round the cells that did not form, program, verify, calibrate the loop and run it; wait
and re-trim what moved, repair the last layer with the chip in the loop, run it again in both modes;
compare with the software and with an ideal loop, draw up an error budget, leave a report. Every
step goes through the wire protocol; only the ideal loop's conductances and the error budget use the
simulator's back door.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from calibration.forming import FormResult
from calibration.loop import LoopCalibration
from calibration.mapping_chip import Mapped
from calibration.placement import Placement
from calibration.progress import Progress, silent
from calibration.repair import RepairResult
from calibration.retrim import RetrimResult
from drivers.waveforms import Waveforms
from hil.bench import Accounts, Bench
from hil.config import BenchConfig
from hil.diffusion.model import load_model
from hil.diffusion.score_model import ScoreModel
from hil.jobs import rows
from hil.jobs.bring_up import BroughtUp, bring_up
from hil.jobs.budget import BudgetLine, error_budget
from hil.jobs.layers import LayerOutputs, measure_layers
from hil.jobs.network import Programmed, record_loop, record_samples
from hil.jobs.repair import repair_network
from hil.jobs.retrim import retrim_programmed
from hil.record import RunFolder
from hil.runloop import Samples
from hil.waveforms import Mode
from protocols.errors import ChipError

TRACES = 24
ROW_ORDER = (
    "data",
    "software",
    "software_sde",
    "loop_ideal",
    "chip_programmed",
    "chip_ode",
    "chip_sde",
)
ROW_TITLES = {"chip_programmed": "chip as programmed, ODE", "chip_ode": "chip repaired, ODE"}


@dataclass(frozen=True)
class DemoOptions:
    """How much of everything; the defaults are those of `hil demo`."""

    samples: int = 2000
    baseline_samples: int = 50_000
    budget: bool = True


@dataclass(frozen=True)
class DemoResult:
    """All that the report shows; `programmed` is the network after re-trim and repair."""

    model: ScoreModel
    forming: FormResult
    programmed: Programmed
    mapped: Mapped
    retrim: RetrimResult
    repair: RepairResult
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
            "retrim": self.retrim.summary(),
            "repair": self.repair.summary(),
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
    brought = bring_up(bench, run, model, progress=tell)
    forming = _formed(brought)
    loop = rows.run_loop(bench, model, brought.programmed.placement, tell)
    bench.integrator.load(loop.waveforms(Mode.ODE))
    layers = measure_layers(bench, model, config.seed, brought.programmed.placement.channels)
    first = loop.run(options.samples, Mode.ODE, seed=config.seed, progress=tell)
    programmed, retrim = retrim_programmed(bench, run, brought.programmed, progress=tell)
    repair = repair_network(bench, run, loop, programmed.placement, tell)
    programmed = replace(programmed, placement=repair.placement)
    ode = loop.run(options.samples, Mode.ODE, seed=config.seed, traces=TRACES, progress=tell)
    sde = loop.run(options.samples, Mode.SDE, seed=config.seed, progress=tell)
    waveforms = loop.waveforms(Mode.SDE)
    record_loop(run, loop)
    for samples in (ode, sde):
        record_samples(run, samples)
    accounts = bench.accounts()
    chips = {"chip_programmed": first, "chip_ode": ode, "chip_sde": sde}
    found = _compare(config, model, brought.mapped.wanted, options, tell)
    found |= {name: rows.chip(samples, model) for name, samples in chips.items()}
    return DemoResult(
        model=model,
        forming=forming,
        programmed=programmed,
        mapped=brought.mapped,
        retrim=retrim,
        repair=repair,
        calibration=loop.calibration,
        waveforms=waveforms,
        layers=layers,
        ode=ode,
        sde=sde,
        rows={name: found[name] for name in ROW_ORDER},
        budget=_budget(config, bench, model, programmed, options, tell),
        accounts=accounts,
    )


def _formed(brought: BroughtUp) -> FormResult:
    if brought.forming is None:
        raise ChipError("no cell of the virgin chip was formed; the demo starts from a virgin chip")
    return brought.forming


def _compare(
    config: BenchConfig,
    model: ScoreModel,
    wanted: Placement,
    options: DemoOptions,
    tell: Progress,
) -> dict[str, rows.Row]:
    count = options.baseline_samples
    tell(0, 3, "software: Euler ODE")
    found = {"data": rows.data(model, count), "software": rows.software(model, config.seed, count)}
    tell(1, 3, "software: SDE")
    found["software_sde"] = rows.software_sde(model, config.seed, options.samples)
    tell(2, 3, "loop with ideal weights")
    found["loop_ideal"] = rows.loop_ideal(config, model, wanted, count)
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
