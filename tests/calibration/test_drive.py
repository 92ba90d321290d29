"""Trimming the drive: planted gains, mixtures and offsets come back; perturbed networks fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from calibration.drive import DriveParams, Field, fit_drive, fit_embedding, trim_drive
from calibration.twin import Twin
from hil.diffusion.model import load_model
from hil.diffusion.sampler import Solve, initial_conditions, trajectories
from hil.waveforms import LoopTiming, model_times
from protocols.errors import CalibrationError, InputError

MODEL = load_model("ring")
VPU = MODEL.volts_per_unit
TICKS = 200
TAU = model_times(MODEL, LoopTiming(5e-3, TICKS))
PARAMS = DriveParams()
SURE = replace(PARAMS, prior_sd=1e6)  # the data alone decide


def ideal_field(params: DriveParams = PARAMS) -> Field:
    ticks = params.probed(TICKS)
    start = initial_conditions(MODEL, 77, 0, params.points)
    paths = trajectories(MODEL, start, Solve(steps=TICKS, clamp=True))[:, ticks].swapaxes(0, 1)
    tau = TAU[ticks]
    return Field(
        ticks=ticks,
        beta=MODEL.schedule.beta(tau),
        x_volts=paths * VPU,
        s_volts=MODEL.score(paths, tau[:, None], clamp=True) * VPU,
        drift=0.5 * MODEL.kf,
        score=0.5 * MODEL.kg,
    )


FIELD = ideal_field()


def time(ticks: np.ndarray) -> np.ndarray:
    return 2.0 * np.asarray(ticks) / (TICKS - 1) - 1.0


def planted(field: Field) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """s' = A s + B x + C with A, B, C smooth in time; the output, and A, B, C at every tick."""

    def laws(ticks: np.ndarray) -> dict[str, np.ndarray]:
        t = time(ticks)
        size = np.sqrt(np.mean(field.s_volts**2))
        return {
            "A": 1.05 + 0.03 * t,
            "B": 0.04 - 0.05 * t**2,
            "C": size * np.stack([0.03 + 0.02 * t, -0.05 + 0.01 * t**3], axis=-1),
        }

    here = laws(field.ticks)
    output = (
        here["A"][:, None, None] * field.s_volts
        + here["B"][:, None, None] * field.x_volts
        + here["C"][:, None, :]
    )
    return output, laws(np.arange(TICKS))


def perturbed(seed: int, sd: float = 0.02) -> Twin:
    """The model's network with additive errors of each layer's largest weight."""
    rng = np.random.default_rng(seed)
    layers = [
        (w + sd * np.abs(w).max() * rng.normal(size=w.shape), b + sd * rng.normal(size=b.shape))
        for w, b in MODEL.layers
    ]
    return Twin(
        weights=[w for w, _ in layers],
        bias_volts=[b * VPU for _, b in layers],
        output_gain=MODEL.output_gain,
        clamp_volts=MODEL.hidden_clamp_units * VPU,
    )


def outputs(network: Twin, field: Field, offset: np.ndarray | float = 0.0) -> np.ndarray:
    """(k, n, 2) volts of a network at the field's points."""
    k, n, _ = field.x_volts.shape
    volts = np.repeat(MODEL.embedding(TAU[field.ticks]) * VPU + offset, n, axis=0)
    return network.outputs(field.x_volts.reshape(-1, 2), volts).reshape(k, n, 2)


def test_planted_gain_mixture_and_offset_are_recovered_and_taken_out() -> None:
    measured, truth = planted(FIELD)
    found = fit_drive(FIELD, measured, TICKS, SURE)
    np.testing.assert_allclose(found.score, 1.0 / truth["A"], rtol=1e-6)
    mixed = FIELD.score / truth["A"] * truth["B"]
    np.testing.assert_allclose(found.drift, (FIELD.drift - mixed) / FIELD.drift, atol=1e-6)
    still = -(FIELD.score / truth["A"])[:, None] * truth["C"]
    np.testing.assert_allclose(found.offset_volts, still, atol=1e-8)
    assert found.residual_before > 0.05
    assert found.residual_after < 1e-6
    assert found.probes == FIELD.s_volts.shape[0] * FIELD.s_volts.shape[1]


def test_the_trimmed_drive_gives_the_field_that_the_model_wants() -> None:
    measured, _ = planted(FIELD)
    found = fit_drive(FIELD, measured, TICKS, SURE)
    at = FIELD.ticks
    driven = (
        FIELD.drift * found.drift[at][:, None, None] * FIELD.x_volts
        + FIELD.score * found.score[at][:, None, None] * measured
        + found.offset_volts[at][:, None, :]
    )
    wanted = FIELD.drift * FIELD.x_volts + FIELD.score * FIELD.s_volts
    np.testing.assert_allclose(driven, wanted, atol=1e-8)


def test_nothing_wrong_means_nothing_changed() -> None:
    found = fit_drive(FIELD, FIELD.s_volts, TICKS, PARAMS)
    np.testing.assert_allclose(found.drift, 1.0)
    np.testing.assert_allclose(found.score, 1.0)
    np.testing.assert_allclose(found.offset_volts, 0.0, atol=1e-12)


def test_noise_leaves_the_fit_unbiased() -> None:
    """The mean over many noisy probes is the truth: the noisy output is never a regressor."""
    measured, truth = planted(FIELD)
    rng = np.random.default_rng(4)
    noise = 0.2 * np.sqrt(np.mean(FIELD.s_volts**2))
    fits = [
        fit_drive(FIELD, measured + noise * rng.normal(size=measured.shape), TICKS, SURE)
        for _ in range(60)
    ]
    middle = slice(TICKS // 4, 3 * TICKS // 4)
    gains = np.array([1.0 / fit.score[middle].mean() for fit in fits])
    error = gains.mean() - 1.0 / (1.0 / truth["A"][middle]).mean()
    assert abs(error) < 4 * gains.std() / np.sqrt(len(fits))
    assert gains.std() < 0.05
    stills = np.array([fit.offset_volts[middle].mean(axis=0) for fit in fits])
    wanted = -(FIELD.score / truth["A"][:, None] * truth["C"])[middle].mean(axis=0)
    assert np.all(np.abs(stills.mean(axis=0) - wanted) < 4 * stills.std(axis=0) / np.sqrt(60))


def test_the_prior_holds_what_the_data_do_not_say() -> None:
    """Noise alone moves a guarded fit less than one that believes everything."""
    rng = np.random.default_rng(5)
    noisy = FIELD.s_volts + 0.1 * np.std(FIELD.s_volts) * rng.normal(size=FIELD.s_volts.shape)
    guarded, free = (fit_drive(FIELD, noisy, TICKS, p) for p in (PARAMS, SURE))
    assert np.abs(guarded.drift - 1).max() < np.abs(free.drift - 1).max()
    assert np.abs(guarded.drift - 1).max() < 0.2


def test_words_reduce_the_error_of_perturbed_networks() -> None:
    ratios = []
    for seed in range(8):
        found = fit_drive(FIELD, outputs(perturbed(seed), FIELD), TICKS, PARAMS)
        ratios.append(found.residual_after / found.residual_before)
    assert max(ratios) < 1.0
    assert np.median(ratios) < 0.8


@pytest.mark.parametrize("seed", range(4))
def test_the_embedding_offset_reduces_what_the_words_leave(seed: int) -> None:
    network = perturbed(seed)
    volts = MODEL.embedding(TAU[FIELD.ticks]) * VPU
    offset = fit_embedding(FIELD, network, volts, TICKS, PARAMS)
    plain = fit_drive(FIELD, outputs(network, FIELD), TICKS, PARAMS)
    trimmed = fit_drive(FIELD, outputs(network, FIELD, offset), TICKS, PARAMS)
    assert offset.shape == (MODEL.channels,)
    assert trimmed.residual_after < 0.95 * plain.residual_after
    assert np.abs(offset).max() < 0.05  # volts; a trim, not another network


def test_the_ideal_network_gets_no_embedding_offset() -> None:
    volts = MODEL.embedding(TAU[FIELD.ticks]) * VPU
    offset = fit_embedding(FIELD, perturbed(0, sd=0.0), volts, TICKS, PARAMS)
    np.testing.assert_allclose(offset, 0.0, atol=1e-6)


class Probed:
    """An integrator whose network gives what a function of (tick, x) says."""

    def __init__(self, law: Callable[[int, np.ndarray], np.ndarray]) -> None:
        self._law, self.asked = law, []

    def probe(self, tick: int, x_volts: np.ndarray, samples: int) -> list[np.ndarray]:
        self.asked.append((tick, len(x_volts), samples))
        return [np.zeros((len(x_volts), 14)), self._law(tick, x_volts)]


def scaled(factor: float) -> Probed:
    def law(tick: int, x: np.ndarray) -> np.ndarray:
        return factor * MODEL.score(x / VPU, TAU[tick], clamp=True) * VPU

    return Probed(law)


def test_trim_drive_probes_every_chosen_tick_and_tells_how_far_it_is() -> None:
    probed, told = scaled(1.1), []
    found = trim_drive(probed, FIELD, TICKS, SURE, lambda done, total, *_: told.append(done))
    assert [tick for tick, *_ in probed.asked] == FIELD.ticks.tolist()
    assert {(n, samples) for _, n, samples in probed.asked} == {(PARAMS.points, PARAMS.samples)}
    assert told[0] == 0
    assert told[-1] == len(FIELD.ticks)
    np.testing.assert_allclose(found.score, 1 / 1.1, rtol=1e-6)


@pytest.mark.parametrize("params", [PARAMS, SURE])
@pytest.mark.parametrize("factor", [-1.0, 0.0, 0.2, 1.8, 5.0])
def test_an_output_that_is_far_off_is_refused(factor: float, params: DriveParams) -> None:
    with pytest.raises(CalibrationError, match=r"times what it should be.*program them again"):
        trim_drive(scaled(factor), FIELD, TICKS, params)


def test_a_trim_has_plain_values_for_its_record() -> None:
    found = fit_drive(FIELD, FIELD.s_volts, TICKS, PARAMS).to_dict()
    assert np.shape(found["offset_volts"]) == (TICKS, 2)
    assert isinstance(found["drift"], list)
    assert isinstance(found["residual_after"], float)


@pytest.mark.parametrize(
    "change",
    [
        {"ticks": 1},
        {"points": 3},
        {"samples": 0},
        {"prior_sd": 0.0},
        {"prior_sd": float("nan")},
        {"largest_change": -0.1},
        {"degree": -1},
        {"iterations": -1},
        {"embedding_sd_volts": 0.0},
        {"embedding_sd_volts": float("inf")},
    ],
)
def test_parameters_are_checked(change: dict[str, float]) -> None:
    (name,) = change
    with pytest.raises(InputError, match=name):
        DriveParams(**change)


@pytest.mark.parametrize("count", [2, 5, 21, 200])
def test_probed_ticks_are_distinct_and_reach_both_ends(count: int) -> None:
    ticks = PARAMS.probed(count)
    assert ticks[0] == 0
    assert ticks[-1] == count - 1
    assert np.all(np.diff(ticks) > 0)
    assert len(ticks) == min(PARAMS.ticks, count)
