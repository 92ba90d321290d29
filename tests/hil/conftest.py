"""A report of a whole demo run as it could be; shared by the tests of the report."""

from __future__ import annotations

import numpy as np
import pytest

from hil.report import (
    BudgetRow,
    LayerData,
    LoopRow,
    ProgrammingData,
    ReportData,
    TrajectoryData,
    WaveformData,
)

BLOCKS = ((3, 28), (15, 28), (15, 4))  # rows and columns of 2-14-14-2 with bias rows, in pairs


def ring(rng, n, mean=0.7, sd=0.04):
    angle, radius = rng.uniform(-np.pi, np.pi, n), rng.normal(mean, sd, n)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)


def programming(rng):
    rows, columns, group, r0, c0 = [], [], [], 0, 0
    for layer, (height, width) in enumerate(BLOCKS):
        r, c = np.divmod(np.arange(height * width), width)
        rows.append(r + r0)
        columns.append(c + c0)
        group.append(np.full(height * width, layer))
        r0, c0 = r0 + height, c0 + width
    row, column = np.concatenate(rows), np.concatenate(columns)
    n = len(row)
    target = np.where(rng.random(n) < 0.5, 230e-6, rng.uniform(100e-6, 230e-6, n))
    tolerance = np.interp(target, [120e-6, 205e-6], [6.1e-6, 2.2e-6])
    reached = target + 0.45 * tolerance * rng.normal(size=n)
    status = np.full(n, "in_tolerance", dtype="U16")
    reached[[17, 300]] = [31e-6, 214e-6]
    status[[17, 300]] = ["stuck_low", "budget"]
    return ProgrammingData(
        rows=row,
        columns=column,
        array_rows=128,
        array_columns=128,
        target_siemens=target,
        reached_siemens=reached,
        pulses=rng.negative_binomial(2, 0.1, n) + 2,
        status=status,
        tolerance_siemens=tolerance,
        round_trips=214,
        forming_volts=np.round(rng.normal(3.1, 0.18, n) / 0.05) * 0.05,
        group=np.concatenate(group),
    )


def trajectories(rng):
    time = np.linspace(0.0, 1.0, 51)
    start, end = rng.normal(size=(16, 1, 2)), ring(rng, 16)[:, None, :]
    s = (time**1.7)[None, :, None]
    chip = start * (1 - s) + end * s + 0.01 * rng.normal(size=(16, 51, 2))
    software_time = np.linspace(0.0, 1.0, 201)
    s = (software_time**1.7)[None, :, None]
    software = start * (1 - s) + (end + 0.03) * s
    return TrajectoryData(time, chip, software_time, software)


def waveforms(rng):
    tau = 1.0 - (np.arange(200) + 0.5) / 200
    frequency = np.array([0.93, -0.84, 0.32, -0.4, 0.62, 0.31, -0.18])
    phase = 2 * np.pi * tau[:, None] * frequency
    beta = 0.001 + tau * 0.499
    offset = np.round(np.outer(np.ones(200), [0.012, -0.004]) * 2048) / 2048
    noise = 0.2 * np.sqrt(beta)
    return WaveformData(
        tick_s=5e-3,
        drift=-0.25 * beta,
        score=0.5 * beta,
        embedding_volts=0.1 * np.concatenate([np.sin(phase), np.cos(phase)], axis=1),
        offset=offset,
        noise=noise,
        noise_drawn=offset + noise[:, None] * rng.normal(size=(200, 2)),
        mode="SDE",
    )


def metrics(kl, w1, mean, sd, n):
    names = ("kl_1d", "kl_2d", "sliced_w1", "radius_mean", "radius_sd", "angle_kuiper", "samples")
    return dict(zip(names, (kl, 40 * kl + 0.06, w1, mean, sd, 0.012, n), strict=True))


def synthetic() -> ReportData:
    """A whole demo run as it could be; no figure in it is a result."""
    rng = np.random.default_rng(20)
    sets = {
        "data": ring(rng, 20_000),
        "software": ring(rng, 20_000, 0.701, 0.045),
        "loop_ideal": ring(rng, 20_000, 0.699, 0.047),
        "chip_ode": ring(rng, 2000, 0.693, 0.056),
        "chip_sde": ring(rng, 2000, 0.68, 0.11),
    }
    layer = [rng.normal(size=2000) * s for s in (0.06, 0.08, 0.1)]
    return ReportData(
        title="Analog diffusion demo",
        summary="A virgin macro was formed, programmed with a trained score network and run.",
        run={"run": "2026-03-01-demo-001", "started": "2026-03-01 10:00", "numpy": "2.4"},
        board={"name": "sim", "serial number": 7, "firmware": "simulated", "array": "128 × 128"},
        chip={"id": "sim-001", "profile": "rram_1t1r_180nm", "effects off": "none"},
        seed=1,
        rows={
            "data": metrics(0.0002, 0.0021, 0.7, 0.04, 50_000),
            "software": metrics(0.0071, 0.009, 0.701, 0.045, 50_000),
            "loop_ideal": metrics(0.0078, 0.0096, 0.699, 0.047, 50_000),
            "chip_ode": metrics(0.031, 0.018, 0.693, 0.056, 2000),
            "chip_sde": metrics(0.14, None, 0.68, 0.11, 2000),
        },
        samples=sets,
        programming=programming(rng),
        trajectories=trajectories(rng),
        waveforms=waveforms(rng),
        layers=tuple(
            LayerData(f"layer {k + 1}", v, 0.98 * v + 0.003 * rng.normal(size=len(v)))
            for k, v in enumerate(layer)
        ),
        budget=(
            BudgetRow("everything on", {"sliced_w1": 0.018, "kl_1d": 0.031}, "all_on"),
            BudgetRow("everything off", {"sliced_w1": 0.0096, "kl_1d": 0.0078}, "all_off"),
            BudgetRow("programming error off", {"sliced_w1": 0.0108, "kl_1d": 0.012}),
            BudgetRow("read noise off", {"sliced_w1": 0.0165, "kl_1d": 0.027}),
            BudgetRow("relaxation off", {"sliced_w1": 0.0152, "kl_1d": 0.022}),
            BudgetRow("converter errors off", {"sliced_w1": 0.0176, "kl_1d": 0.03}),
            BudgetRow("integrator leak off", {"sliced_w1": 0.0181, "kl_1d": None}),
        ),
        loop=(
            LoopRow("drift gain kf", -3.71, "1/s", -4.0, 0.01),
            LoopRow("score gain kg", 4.4, "1/s", 4.0, 0.02),
            LoopRow("zero of f", 0.0031, "of full scale", 0.0, 0.0002),
            LoopRow("drift d1", 0.0121, "V/s", 0.0, 0.0004),
        ),
        bench_time={
            "forming": 41.0,
            "programming": 93.2,
            "loop calibration": 31.0,
            "solves": 4812.0,
        },
        host_time={"programming": 6.1, "solves": 3.4, "report": 5.0},
        modelled={"solve of one sample": (1.0, "s")},
        notes=("Repeat this run with: hil demo --seed 1",),
    )


@pytest.fixture(scope="session")
def report_data() -> ReportData:
    return synthetic()
