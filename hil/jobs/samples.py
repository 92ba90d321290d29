"""`hil run`: samples of a network that is on the chip, and the report of them."""

from __future__ import annotations

from typing import Any

from calibration.placement import Placement
from calibration.progress import Progress, silent
from hil.bench import Bench
from hil.diffusion.noise_source import NoiseSource
from hil.diffusion.references import codec_of
from hil.diffusion.score_model import ScoreModel
from hil.jobs import rows
from hil.jobs.classes import Asked, solve_classes
from hil.jobs.facts import (
    SHOWN_POINTS,
    board_facts,
    config_facts,
    layer_data,
    loop_rows,
    waveform_data,
)
from hil.jobs.layers import measure_layers
from hil.jobs.network import record_loop, record_samples
from hil.jobs.pictures import class_data, every
from hil.record import RunFolder
from hil.report.data import ReportData
from hil.runloop import Samples
from hil.waveforms import Mode

TRACES = 24


def run_samples(
    bench: Bench,
    run: RunFolder,
    model: ScoreModel,
    placement: Placement,
    asked: Asked,
    mode: Mode,
    progress: Progress | None = None,
    noise: NoiseSource | None = None,
) -> ReportData:
    """Calibrates, solves what is asked for, saves it in the run and makes the report's data.

    `noise` is that of the SDE mode; None is the board's generator, keyed.

    Raises:
        CalibrationError: the loop cannot be calibrated.
        ConfigError: tick, RC and duration do not fit together.
        ModelError: a file that belongs beside the model's is missing or damaged.
    """
    tell = progress or silent
    config = bench.config
    codec = codec_of(model)  # before anything is driven
    loop = rows.run_loop(bench, model, placement, tell)
    bench.integrator.load(loop.waveforms(mode))
    layers = measure_layers(bench, model, config.seed, placement.channels)
    samples, paths = solve_classes(loop, model, asked, mode, config.seed, TRACES, tell, noise)
    record_loop(run, loop)
    record_samples(run, samples)
    accounts = bench.accounts()
    found = _rows(model, samples, asked, mode, config.seed)
    return ReportData(
        title=f"{asked.in_words(model)} samples of {model.name!r}, {mode.name}",
        simulated=bench.is_simulated,
        summary=(
            f"The analog loop solved {asked.count} samples with the network that is on the chip."
        ),
        run={"folder": run.path.name, **config_facts(config)},
        board=board_facts(bench.board.identity),
        chip={"id": config.chip.id},
        seed=config.seed,
        rows={key: row.metrics.to_dict() for key, row in found.items()},
        samples={key: row.samples[:: every(row, SHOWN_POINTS)] for key, row in found.items()},
        classes=class_data(model, found, codec, SHOWN_POINTS),
        trajectories=paths if mode is Mode.ODE else None,
        waveforms=waveform_data(loop.waveforms(mode, asked.labels[0]), mode.name),
        layers=layer_data(layers),
        loop=loop_rows(loop.calibration, bench.description.loop),
        bench_time={"whole run": accounts.bench_s},
        host_time={"this computer": accounts.host_s},
        modelled={"solve of one sample": (samples.board_s / asked.count, "s")},
        notes=(
            f"{samples.clipped} coordinates of the initial conditions were clipped.",
            *_noise_notes(model, mode, noise),
        ),
    )


def _noise_notes(model: ScoreModel, mode: Mode, noise: NoiseSource | None) -> tuple[str, ...]:
    """The law of the noise and where it came from."""
    if mode is Mode.ODE:
        return ()
    source = "the board's keyed draws" if noise is None else noise.name
    return (f"Noise law: {model.noise}. Source of the noise: {source}.",)


def _rows(
    model: ScoreModel, samples: Samples, asked: Asked, mode: Mode, seed: int
) -> dict[str, rows.Row]:
    """Data, software and chip: the same number of each class, trajectory by trajectory."""
    software = rows.software if mode is Mode.ODE else rows.software_sde
    return {
        "data": rows.data(model, asked.each, asked.labels),
        "software" if mode is Mode.ODE else "software_sde": software(
            model, seed, asked.each, asked.labels
        ),
        f"chip_{mode.value}": rows.chip(samples, model),
    }


def class_results(data: ReportData) -> dict[str, Any]:
    """Per row and class the sliced Wasserstein-1 distance, for `hil run --json`."""
    if data.classes is None:
        return {}
    return {
        "classes": {
            row: dict(zip(data.classes.names, values.tolist(), strict=True))
            for row, values in data.classes.sliced_w1.items()
        }
    }
