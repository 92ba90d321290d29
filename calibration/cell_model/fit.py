"""Adapt a model to a chip's own records: where pulses lead, how far they spread, read noise.

Three steps. *Location*: a dozen numbers move and stretch the curves of the start model (SET gate
voltages by width and by level, bit-line voltages, RESET voltages and depth) until the mean outcome
that the model expects of each row is the measured one; robust least squares, each row in units of
the spread that the model expects of it, with a weak pull towards the start. *Spread*: rows are
drawn from the model with the same cells and pulses, and the spreads over cells and from pulse to
pulse are scaled until the drawn ones match the measured ones. *Read noise*: likewise, by rows
without a pulse between.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.special import ndtri

from calibration.arrays import BoolArray, FloatArray
from calibration.cell_model.data import READ_ONLY, ResponseData
from calibration.cell_model.kernel import (
    LATENTS,
    after_reset,
    after_set,
    compiled,
    numbers,
)
from calibration.cell_model.model import CellModel
from calibration.cell_model.moves import SIGMA, SIZE, moved
from protocols.errors import CalibrationError
from protocols.messages import Operation

F64 = NDArray[np.float64]

FEWEST_ROWS = 200  # with a pulse; fewer say too little about a dozen numbers
_STAGES = ((1500, 15), (4000, 8))  # of the location: rows (more tell little more), steps
_SAMPLES = 16
_FLOOR_LN = 0.02  # what the form of the curves may miss anyway
_SPREAD_RANGE = (0.3, 3.0)
MISFIT = 1.2
"""Mean square of residuals in the model's own deviations beyond which its laws do not explain the
rows. Simulated technologies of the same laws have 0.7 to 1.0, the chip of measured rows 1.5."""
_FURTHEST = 5.0  # residuals beyond count as this


def fit_model(records: ResponseData, start: CellModel) -> CellModel:
    """`start` adapted to `records`; `figures` says what was reached. Where the laws do not explain
    the rows (`misfit` beyond `MISFIT`) the model keeps them.

    Raises:
        CalibrationError: fewer than `FEWEST_ROWS` pulses, or only one operation among them.
    """
    pulses = records[np.flatnonzero(records.operation != READ_ONLY)]
    counts = [int((pulses.operation == int(k)).sum()) for k in (Operation.SET, Operation.RESET)]
    if len(pulses) < FEWEST_ROWS or min(counts) < FEWEST_ROWS // 4:
        raise CalibrationError(
            f"{counts[0]} SET and {counts[1]} RESET rows are too few to fit a cell model to; "
            f"{FEWEST_ROWS} are needed, and some of each. Measure more cells or pulses."
        )
    pulses = pulses[_answering(pulses)]
    model, cost = _located(pulses, start)
    model = _spread(pulses, model)
    again = records[np.flatnonzero(records.operation == READ_ONLY)]
    model, noise = _noisy(again, model)
    wrong = _misfit(pulses, model)
    figures = {
        "rows": float(len(pulses)),
        "robust_residual": cost,
        "read_noise_scale": noise,
        "misfit": wrong,
    }
    return replace(model, figures=figures, records=pulses if wrong > MISFIT else None)


def _answering(rows: ResponseData) -> NDArray[np.int64]:
    """Rows of cells that moved at all: stuck cells say nothing about the others."""
    ln = np.log(rows.siemens_after)
    _, which = np.unique(rows.cell, return_inverse=True)
    most, least = np.full(which.max() + 1, -np.inf), np.full(which.max() + 1, np.inf)
    np.maximum.at(most, which, ln)
    np.minimum.at(least, which, ln)
    return np.flatnonzero((most - least)[which] > 0.5)


# --- location ----------------------------------------------------------------------------------


def _located(rows: ResponseData, start: CellModel) -> tuple[CellModel, float]:
    z, x = _figures(), np.zeros(SIZE)
    for most, steps in _STAGES:
        some = _thinned(rows, most)
        measured = np.log(some.siemens_after)
        expected = _expected(some, moved(start, x), z)
        noise = _reading_sd(measured, start)
        scale = np.sqrt(expected[:, 1] ** 2 + noise**2 + _FLOOR_LN**2)

        def misses(x: F64, some: ResponseData = some, scale: F64 = scale) -> F64:
            mean = _expected(some, moved(start, x), z)[:, 0]
            return np.concatenate([(np.log(some.siemens_after) - mean) / scale, x / SIGMA])

        found = least_squares(
            misses, x, loss="soft_l1", x_scale=SIGMA, diff_step=[1e-3], max_nfev=steps
        )
        x = found.x
    residual = misses(x)[: len(some)]
    return moved(start, x), float(1.4826 * np.median(np.abs(residual)))


def _thinned(rows: ResponseData, most: int) -> ResponseData:
    order = np.random.Generator(np.random.Philox(1)).permutation(len(rows))[:most]
    return rows[np.sort(order)]


def _figures() -> F64:
    """(samples, LATENTS + 2) latent figures whose mean outcome is expected."""
    from scipy.stats import qmc  # takes half a second to load, and most commands fit nothing

    points = qmc.Sobol(LATENTS + 2, scramble=True, seed=3).random(16)[:_SAMPLES]
    z = ndtri(points)
    z -= z.mean(axis=0)
    return np.ascontiguousarray(z / z.std(axis=0))


def _expected(rows: ResponseData, model: CellModel, z: F64) -> F64:
    """(rows, 2) middle and standard deviation of ln G after each pulse.

    The middle is the mean of the central half of the sampled cells: outcomes have long tails
    (weak cells, pulses that do nothing), to which the robust fit does not listen either.
    """
    each = np.broadcast_to(z, (len(rows), *z.shape))
    found = np.sort(_outcomes(*_pulses(rows), each, numbers(model)), axis=1)
    quarter = found.shape[1] // 4
    return np.stack([found[:, quarter:-quarter].mean(axis=1), found.std(axis=1)], axis=1)


def _pulses(rows: ResponseData) -> tuple[Any, F64, F64, F64, F64]:
    log_width = np.log10(rows.width_s)
    return (
        rows.operation,
        np.log(rows.siemens_before),
        rows.gate_volts,
        rows.line_volts,
        log_width,
    )


@compiled
def _outcomes(
    operation: Any, ln: F64, gate: F64, line: F64, log_width: F64, z: Any, m: Any
) -> F64:  # pragma: no cover - compiled
    """(rows, samples) ln G after each pulse in each sampled cell."""
    out = np.empty((ln.size, z.shape[1]))
    for k in range(ln.size):
        for n in range(z.shape[1]):
            if operation[k] == 0:
                out[k, n] = after_set(ln[k], gate[k], line[k], log_width[k], z[k, n], m)
            else:
                out[k, n] = after_reset(ln[k], gate[k], line[k], log_width[k], z[k, n], m)
    return out


def _reading_sd(ln: F64, model: CellModel) -> F64:
    law = model.read_noise
    return np.interp(ln, np.log(law.siemens), law.sigma)


def _misfit(rows: ResponseData, model: CellModel) -> float:
    """Mean square of the residuals over their expected deviation, both operations alike."""
    expected, measured = _expected(rows, model, _figures()), np.log(rows.siemens_after)
    noise = _reading_sd(measured, model)
    scale = np.sqrt(expected[:, 1] ** 2 + noise**2 + _FLOOR_LN**2)
    square = np.clip((measured - expected[:, 0]) / scale, -_FURTHEST, _FURTHEST) ** 2
    kinds = (Operation.SET, Operation.RESET)
    return float(np.mean([square[rows.operation == int(kind)].mean() for kind in kinds]))


# --- spread ------------------------------------------------------------------------------------


def _spread(rows: ResponseData, model: CellModel) -> CellModel:
    """Spreads over cells and from pulse to pulse scaled to the measured ones."""
    z, rng = _figures(), np.random.Generator(np.random.Philox(2))
    expected = _expected(rows, model, z)
    cells, which = np.unique(rows.cell, return_inverse=True)
    draw = rng.standard_normal((len(rows), 1, LATENTS + 2))
    draw[:, 0, :LATENTS] = rng.standard_normal((cells.size, LATENTS))[which]
    noise = _reading_sd(np.log(rows.siemens_after), model)
    drawn = _outcomes(*_pulses(rows), draw, numbers(model))[:, 0]
    drawn = drawn + 0.5 * noise * rng.standard_normal(len(rows))
    factors = {}
    for operation in (Operation.SET, Operation.RESET):
        telling = (rows.operation == int(operation)) & (expected[:, 1] > 1.5 * noise)
        pair = [
            _deviations((ln - expected[:, 0]) / np.maximum(expected[:, 1], 1e-3), which, telling)
            for ln in (np.log(rows.siemens_after), drawn)
        ]
        ratio = [
            float(np.clip(m / max(d, 1e-9), *_SPREAD_RANGE)) for m, d in zip(*pair, strict=True)
        ]
        factors[operation] = ratio if telling.sum() >= FEWEST_ROWS else [1.0, 1.0]
    return _scaled(model, factors[Operation.SET], factors[Operation.RESET])


def _deviations(t: FloatArray, which: NDArray[np.int64], telling: BoolArray) -> tuple[float, float]:
    """Robust standard deviation of the cells' medians, and of the rows about them."""
    medians, rest = [], []
    order = np.argsort(which[telling], kind="stable")
    values, owner = t[telling][order], which[telling][order]
    for part in np.split(values, np.flatnonzero(np.diff(owner)) + 1):
        if part.size >= 4:
            medians.append(float(np.median(part)))
            rest.append(part - np.median(part))
    if not rest:
        return 1.0, 1.0
    return _robust(np.asarray(medians)), _robust(np.concatenate(rest))


def _robust(values: FloatArray) -> float:
    return float(1.4826 * np.median(np.abs(values - np.median(values))))


def _scaled(model: CellModel, of_set: list[float], of_reset: list[float]) -> CellModel:
    s, r, d = model.set, model.reset, model.drive
    device, cycle = of_set
    new_set = replace(
        s,
        device_gain=s.device_gain * device,
        device_log_width=s.device_log_width * device,
        device_line_volts=s.device_line_volts * device,
        cycle_gain=s.cycle_gain * cycle,
        cycle_log_width=s.cycle_log_width * cycle,
        cycle_line_volts=s.cycle_line_volts * cycle,
    )
    device_r, cycle_r = of_reset
    new_reset = replace(
        r,
        device_depth_ln=r.device_depth_ln * device_r,
        cycle_depth_ln=r.cycle_depth_ln * cycle_r,
        cycle_gate_volts=r.cycle_gate_volts * cycle_r,
        cycle_line_volts=r.cycle_line_volts * cycle_r,
    )
    new_drive = replace(
        d,
        set_gain=d.set_gain * device,
        reset_gate_volts=d.reset_gate_volts * device_r,
        reset_line_volts=d.reset_line_volts * device_r,
    )
    return replace(model, set=new_set, reset=new_reset, drive=new_drive)


# --- read noise --------------------------------------------------------------------------------


def _noisy(rows: ResponseData, model: CellModel) -> tuple[CellModel, float]:
    """Read noise scaled to the measured differences of readings that follow each other."""
    if len(rows) < FEWEST_ROWS:
        return model, 1.0
    law = model.read_noise
    ln = np.log(rows.siemens_before)
    rng = np.random.Generator(np.random.Philox(4))
    tail = np.interp(ln, np.log(law.siemens), law.tail)
    size = _reading_sd(ln, model) * np.exp(tail * rng.standard_normal(ln.size) - tail**2)
    drawn = size * np.sqrt(2.0 * (1.0 - law.correlation)) * rng.standard_normal(ln.size)
    unit = np.maximum(_reading_sd(ln, model), 1e-6)
    measured = np.median(np.abs(np.log(rows.siemens_after) - ln) / unit)
    scale = float(np.clip(measured / np.median(np.abs(drawn) / unit), *_SPREAD_RANGE))
    noise = replace(law, sigma=tuple(value * scale for value in law.sigma))
    return replace(model, read_noise=noise), scale
