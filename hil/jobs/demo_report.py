"""What a run found, as the plain data of a report."""

from __future__ import annotations

from hil.bench import Bench
from hil.config import BenchConfig
from hil.diffusion.metrics import data_row
from hil.jobs.demo import ROW_TITLES, DemoResult
from hil.jobs.facts import (
    SHOWN_POINTS,
    board_facts,
    config_facts,
    layer_data,
    loop_rows,
    trajectory_data,
    waveform_data,
)
from hil.record import RunFolder
from hil.report.collect import programming_data
from hil.report.data import BudgetRow, ReportData


def report_data(
    config: BenchConfig, bench: Bench, run: RunFolder, result: DemoResult
) -> ReportData:
    """The report of `hil demo`."""
    in_tolerance = int(result.programmed.program.in_tolerance.sum())
    return ReportData(
        title="The main job, end to end",
        simulated=bench.is_simulated,
        summary=(
            f"A virgin macro was formed, the network {result.model.name!r} was mapped to "
            f"{len(result.programmed.placement.cells)} cells ({in_tolerance} in tolerance), "
            f"re-trimmed and repaired, and the analog loop solved {len(result.ode.x)} samples by "
            f"the probability-flow ODE and {len(result.sde.x)} by the reverse SDE."
        ),
        run={"folder": run.path.name, **config_facts(config)},
        board=board_facts(bench.board.identity),
        chip={"id": config.chip.id, "profile": config.sim.profile, "seed": config.sim.seed},
        seed=config.seed,
        rows={name: row.metrics.to_dict() for name, row in result.rows.items()},
        row_titles=ROW_TITLES,
        samples={name: row.samples[:SHOWN_POINTS] for name, row in result.rows.items()},
        programming=programming_data(
            result.programmed.program,
            bench.geometry,
            forming=result.forming,
            placement=result.programmed.placement,
        ),
        trajectories=trajectory_data(result.model, result.ode),
        waveforms=waveform_data(result.waveforms, "SDE"),
        layers=layer_data(result.layers),
        budget=budget_rows(result),
        loop=loop_rows(result.calibration, bench.description.loop),
        bench_time={"whole job (simulated clock)": result.accounts.bench_s},
        host_time={"this computer": result.accounts.host_s},
        modelled={"solve of one sample": (result.ode.board_s / len(result.ode.x), "s")},
        notes=(
            *repair_notes(result),
            f"Repeat this run with: hil demo --seed {config.seed} --samples {len(result.ode.x)}",
            f"{result.ode.clipped} coordinates of the initial conditions were clipped.",
        ),
    )


def repair_notes(result: DemoResult) -> tuple[str, ...]:
    """What re-trim and repair did and what they cost."""
    retrim, repair = result.retrim, result.repair
    pulses = int(retrim.pulses.sum())
    return (
        f"Re-trim: {int((retrim.pulses > 0).sum())} cells were pulsed again, {pulses} pulses in "
        f"{retrim.bench_s:.0f} s of bench time; rms error of the weights "
        f"{retrim.error_before_siemens * 1e6:.2f} uS before, "
        f"{retrim.error_after_siemens * 1e6:.2f} uS after.",
        f"Repair: solutions of the measured network end {repair.error_ideal_drive:.2%} of their "
        f"size off with the ideal network's words, {repair.error_before:.2%} with trimmed words "
        f"and embedding, {repair.error_after:.2%} after {len(repair.rounds)} rounds on the last "
        f"layer ({repair.pulses} pulses, {repair.bench_s:.0f} s); it stopped because "
        f"{repair.reason}.",
    )


def budget_rows(result: DemoResult) -> tuple[BudgetRow, ...]:
    """The error budget, beside data against data with as many samples."""
    if not result.budget:
        return ()
    count = result.budget[0].metrics.samples
    ideal = data_row(count, result.model.training.data)
    lines = [BudgetRow(b.name, dict(b.metrics.to_dict()), b.kind) for b in result.budget]
    return (*lines, BudgetRow(f"data, {count} samples", dict(ideal.to_dict()), "data"))
