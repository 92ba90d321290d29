"""A stepped run from its open macros to the data of its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from calibration.arrays import FloatArray
from calibration.progress import Progress, silent
from hil.config import BenchConfig
from hil.diffusion.noise_source import NoiseSource
from hil.diffusion.pictures import Codec
from hil.diffusion.references import codec_of
from hil.diffusion.sampler import Solve, initial_conditions, solve
from hil.diffusion.score_model import ScoreModel
from hil.jobs import rows
from hil.jobs.classes import Asked
from hil.jobs.facts import SHOWN_POINTS, board_facts
from hil.jobs.pictures import class_data, every
from hil.jobs.session import session
from hil.record import RunFolder
from hil.report.data import LayerData, ReportData, Text
from hil.tiled.calibration import TileCalibration
from hil.tiled.network import TiledNetwork
from hil.tiled.programming import weight_errors
from hil.tiled.rack import Member, Opener, Rack, open_rack
from hil.tiled.sampling import (
    LayerCheck,
    Products,
    SteppedSamples,
    Wanted,
    check_layers,
    product_options,
    take_samples,
)
from hil.waveforms import Mode

PRODUCTS_KIND = "products"
STEPPED_NOTE = (
    "Stepped: matrix-vector products were analog, on the macros; biases, embedding, rectifiers, "
    "output gain and the integration of held ticks (Heun's method) were arithmetic of this "
    "computer. Bench time is that of the wire and the converters, not an analog chip's."
)


@dataclass(frozen=True)
class SteppedRun:
    """What a stepped run is made with."""

    config: BenchConfig
    model: ScoreModel
    network: TiledNetwork
    asked: Asked
    mode: Mode
    noise: NoiseSource | None = None


@dataclass(frozen=True)
class _Found:
    """What came of it."""

    samples: SteppedSamples
    calibrations: Sequence[TileCalibration]
    layers: Sequence[LayerCheck]
    weight_error: tuple[float, ...]
    boards: Mapping[str, dict[str, Text]]
    simulated: bool
    calibration_s: float
    host_s: float


def run_stepped(
    run: RunFolder,
    job: SteppedRun,
    bench_text: str | None = None,
    progress: Progress | None = None,
) -> ReportData:
    """Opens the macros, calibrates the products, solves, and makes the report's data.

    Every macro has a run of its own (kind `products`) beside this one.

    Raises:
        HilError: whatever a macro says, with its name.
    """
    tell, benches = progress or silent, job.config.each_macro()
    codec = codec_of(job.model)  # before anything is opened
    openers: dict[str, Opener] = {
        name: partial(
            session,
            benches[name],
            PRODUCTS_KIND,
            parameters={"stepped": run.path.name, "macro": name, "model": job.config.model},
            bench_text=bench_text,
        )
        for name in job.network.placements
    }
    with open_rack(openers) as rack:
        run.update(members={name: each.run.path.name for name, each in rack.members.items()})
        found = _measure(run, rack, job, tell)
    _record(run, found)
    return _report(run, job, found, codec)


def _report(run: RunFolder, job: SteppedRun, found: _Found, codec: Codec | None) -> ReportData:
    table, benches, names = _rows(job, found.samples), job.config.each_macro(), rack_names(job)
    macros = f"{len(names)} macro{'s' if len(names) > 1 else ''}"
    boards = {
        f"{name}: {key}": value
        for name, each in found.boards.items()
        for key, value in each.items()
    }
    return ReportData(
        title=f"{job.asked.in_words(job.model)} samples of {job.model.name!r}, {job.mode.name}, "
        "stepped",
        simulated=found.simulated,
        summary=f"{job.asked.count} samples were solved stepped on {macros}. {STEPPED_NOTE}",
        run={"folder": run.path.name, **_facts(job, found)},
        board=boards,
        chip={name: benches[name].chip.id for name in names},
        seed=job.config.seed,
        rows={key: row.metrics.to_dict() for key, row in table.items()},
        row_titles=_titles(job),
        samples={key: row.samples[:: every(row, SHOWN_POINTS)] for key, row in table.items()},
        classes=class_data(job.model, table, codec, SHOWN_POINTS),
        layers=_layers(job.model, found.layers),
        bench_time={
            "reading the cells, calibrating the products": found.calibration_s,
            "products of the solves (wire and converters)": found.samples.bench_s,
        },
        host_time={"this computer": found.host_s},
        notes=(STEPPED_NOTE,),
    )


def rack_names(job: SteppedRun) -> list[str]:
    """The macros that hold a part of the network."""
    return list(job.network.placements)


def _measure(run: RunFolder, rack: Rack, job: SteppedRun, tell: Progress) -> _Found:
    section, seed = job.config.stepped, job.config.seed
    products, calibrations = Products.calibrated(
        rack, job.network, product_options(section), seed, tell
    )
    layers = check_layers(products, job.model, seed, job.asked.labels[0])
    wanted = Wanted(job.asked.each, job.mode, seed, job.asked.labels, job.noise)
    samples = take_samples(products, job.model, wanted, section, tell)
    accounts = rack.each(lambda member: member.bench.accounts())
    run.journal.event("product_calibration", {"tiles": [c.to_dict() for c in calibrations]})
    return _Found(
        samples=samples,
        calibrations=calibrations,
        layers=layers,
        weight_error=weight_errors(job.model.weights, products.weights()),
        boards=rack.each(_board),
        simulated=any(rack.each(lambda member: member.bench.is_simulated).values()),
        calibration_s=products.calibration_s,
        host_s=max(each.host_s for each in accounts.values()),
    )


def _board(member: Member) -> dict[str, Text]:
    return board_facts(member.bench.board.identity)


def _record(run: RunFolder, found: _Found) -> None:
    """Samples and where they came from, and what was measured of the products."""
    samples = found.samples
    name = f"samples_{samples.mode.value}"
    arrays = {"x": samples.x, "initial": samples.initial, "labels": samples.labels}
    run.save_arrays(f"{name}.npz", arrays)
    run.journal.array(f"{name}_initial", samples.initial)
    facts: dict[str, Any] = {
        "count": len(samples.x),
        "products_s": samples.bench_s,
        "vectors": samples.vectors,
    }
    run.journal.event(name, facts)
    run.save_json(
        "product-calibration.json", {"tiles": [each.to_dict() for each in found.calibrations]}
    )


def _rows(job: SteppedRun, samples: SteppedSamples) -> dict[str, rows.Row]:
    """Data, software with the same ticks and method, and the macros: sample by sample."""
    model, asked, config = job.model, job.asked, job.config
    sde = job.mode is Mode.SDE
    parts = []
    for number, label in enumerate(asked.labels):
        first = number * asked.each
        start = initial_conditions(model, config.seed, first, asked.each)
        how = Solve(
            steps=config.stepped.ticks,
            heun=True,
            sde=sde,
            seed=config.seed,
            first=first,
            label=label,
            noise=job.noise,
        )
        parts.append(solve(model, start, how))
    labels = asked.of_samples
    return {
        "data": rows.data(model, asked.each, asked.labels),
        "software_sde" if sde else "software": rows.row(np.concatenate(parts), model, labels),
        f"chip_{job.mode.value}": rows.row(samples.x, model, labels),
    }


def _titles(job: SteppedRun) -> dict[str, str]:
    ticks = job.config.stepped.ticks
    software = "software_sde" if job.mode is Mode.SDE else "software"
    return {
        software: f"software (Heun, {ticks} ticks)",
        f"chip_{job.mode.value}": f"macros, stepped ({ticks} ticks)",
    }


def _layers(model: ScoreModel, found: Sequence[LayerCheck]) -> tuple[LayerData, ...]:
    volt = model.volts_per_unit
    return tuple(LayerData(each.name, each.ideal * volt, each.measured * volt) for each in found)


def _facts(job: SteppedRun, found: _Found) -> dict[str, Text]:
    tiling, section = job.network.tiling, job.config.stepped
    gains = np.concatenate([each.gain for each in found.calibrations])
    noise = float(np.median(np.concatenate([each.residual for each in found.calibrations])))
    return {
        "model": job.config.model,
        "layers": ", ".join(f"{inputs} -> {outputs}" for outputs, inputs in tiling.shapes),
        "mapping": job.config.mapping.scheme,
        "tiles": len(tiling.tiles),
        "cells": tiling.cells,
        "ticks": f"{section.ticks}, two evaluations each (Heun)",
        "input voltage": f"{section.input_volts:g} V",
        "gain of products": f"{gains.mean():.4f}, sd {gains.std():.4f} over outputs",
        "noise of a product": f"{noise:.1%} of an output's rms",
        "error of layer outputs": ", ".join(f"{error:.1%}" for error in layer_errors(found.layers))
        + " of each layer's rms",
        "weight error as read": ", ".join(f"{error:.2%}" for error in found.weight_error)
        + " of each layer's largest weight (rms)",
        "vectors multiplied": found.samples.vectors,
    }


def layer_errors(found: Sequence[LayerCheck]) -> list[float]:
    """Per layer: rms difference of measured and ideal outputs, over the rms of the ideal ones."""
    return [_relative(each.measured, each.ideal) for each in found]


def _relative(measured: FloatArray, ideal: FloatArray) -> float:
    power = float(np.mean(ideal**2))
    return float(np.sqrt(np.mean((measured - ideal) ** 2) / max(power, 1e-30)))
