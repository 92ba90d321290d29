"""`hil run`: samples of a network that is on the chip, and the report of them."""

from __future__ import annotations

from calibration.placement import Placement
from calibration.progress import Progress, silent
from hil.bench import Bench
from hil.diffusion.score_model import ScoreModel
from hil.jobs import rows
from hil.jobs.facts import (
    SHOWN_POINTS,
    board_facts,
    config_facts,
    layer_data,
    loop_rows,
    trajectory_data,
    waveform_data,
)
from hil.jobs.layers import measure_layers
from hil.jobs.network import record_loop, record_samples
from hil.record import RunFolder
from hil.report.data import ReportData
from hil.waveforms import Mode

TRACES = 24


def run_samples(
    bench: Bench,
    run: RunFolder,
    model: ScoreModel,
    placement: Placement,
    count: int,
    mode: Mode,
    progress: Progress | None = None,
) -> ReportData:
    """Calibrates, solves `count` samples, saves them in the run and makes the report's data.

    Raises:
        CalibrationError: the loop cannot be calibrated.
        ConfigError: tick, RC and duration do not fit together.
    """
    tell = progress or silent
    config = bench.config
    loop = rows.run_loop(bench, model, placement, tell)
    bench.integrator.load(loop.waveforms(mode))
    layers = measure_layers(bench, model, config.seed, placement.channels)
    samples = loop.run(count, mode, seed=config.seed, traces=TRACES, progress=tell)
    record_loop(run, loop)
    record_samples(run, samples)
    accounts = bench.accounts()
    software = rows.software if mode is Mode.ODE else rows.software_sde
    name = f"chip_{mode.value}"
    found = {
        "data": rows.data(model, count),
        "software" if mode is Mode.ODE else "software_sde": software(model, config.seed, count),
        name: rows.chip(samples, model),
    }
    return ReportData(
        title=f"{count} samples of {model.name!r}, {mode.name}",
        simulated=bench.is_simulated,
        summary=f"The analog loop solved {count} samples with the network that is on the chip.",
        run={"folder": run.path.name, **config_facts(config)},
        board=board_facts(bench.board.identity),
        chip={"id": config.chip.id},
        seed=config.seed,
        rows={key: row.metrics.to_dict() for key, row in found.items()},
        samples={key: row.samples[:SHOWN_POINTS] for key, row in found.items()},
        trajectories=trajectory_data(model, samples) if mode is Mode.ODE else None,
        waveforms=waveform_data(loop.waveforms(mode), mode.name),
        layers=layer_data(layers),
        loop=loop_rows(loop.calibration, bench.description.loop),
        bench_time={"whole run": accounts.bench_s},
        host_time={"this computer": accounts.host_s},
        modelled={"solve of one sample": (samples.board_s / count, "s")},
        notes=(f"{samples.clipped} coordinates of the initial conditions were clipped.",),
    )
