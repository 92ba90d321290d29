"""Trim the drive: choose the words of a solve so that the programmed network's field fits best.

A programmed network's output s' differs from that of the ideal one, s. The loop integrates

    dx/dt / β  =  α(τ) x + γ(τ) s'(x, τ) + ω(τ)

and α, γ, ω are words that the host chooses: f, g2 and the two offset channels. So s' is probed on
the board at points that solutions pass through, and s' = A s + B x + C is fitted with A, B and C
smooth in τ. Then γ = c / A, α = a - γ B and ω = -γ C give the field a x + c s that the model wants,
as far as that many figures can. Errors of the conductances that act like a gain or an offset of the
field are so taken out without a pulse.

Before that, the embedding is trimmed: with the conductances as read (`calibration.twin`) a constant
is added to each of its channels so that what no word can take out becomes smallest. What is left is
reported as the residual. Both procedures are this project's own.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np

from calibration.arrays import FloatArray, IntArray
from calibration.progress import Progress, silent
from calibration.twin import Twin
from drivers.integrator import Integrator
from protocols.errors import CalibrationError, InputError


@dataclass(frozen=True)
class DriveParams:
    """How much is probed.

    Attributes:
        ticks: ticks of a solve at which the network is probed, spread evenly.
        points: positions per tick.
        samples: conversions per probed output.
        prior_sd: how far the output is expected to be off, as a fraction of it.
        degree: of the polynomials in time that A, B and C are.
        embedding_sd_volts: how far an embedding channel is expected to be moved.
        iterations: linearised steps of the embedding trim.
        largest_change: the output may be off by this fraction; more means a broken network.
    """

    ticks: int = 21
    points: int = 40
    samples: int = 2
    prior_sd: float = 0.1
    degree: int = 4
    embedding_sd_volts: float = 0.01
    iterations: int = 8
    largest_change: float = 0.5

    def __post_init__(self) -> None:
        lowest = {"ticks": 2, "points": 4, "samples": 1, "degree": 0, "iterations": 0}
        for name, least in lowest.items():
            if getattr(self, name) < least:
                raise InputError(f"Drive trim: {name}={getattr(self, name)}; at least {least}.")
        for name in ("prior_sd", "embedding_sd_volts", "largest_change"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0.0):
                raise InputError(f"Drive trim: {name}={value}; a positive number is needed.")

    def probed(self, count: int) -> IntArray:
        """The ticks that are probed, of `count`."""
        chosen = np.linspace(0, count - 1, min(self.ticks, count))
        return np.unique(np.round(chosen).astype(np.int64))


@dataclass(frozen=True)
class Field:
    """What the loop should integrate, at the probed ticks.

    Attributes:
        ticks: (k,) their numbers.
        beta: (k,) β there, the weight of an error of the field.
        x_volts: (k, n, 2) where.
        s_volts: (k, n, 2) the ideal network's output there.
        drift, score: a and c of the module's equation.
    """

    ticks: IntArray
    beta: FloatArray
    x_volts: FloatArray
    s_volts: FloatArray
    drift: float
    score: float

    @property
    def weight(self) -> FloatArray:
        """(k, 1, 1) of an error at each tick."""
        return np.asarray(np.sqrt(self.beta / self.beta.mean())[:, None, None])


@dataclass(frozen=True)
class DriveTrim:
    """What the drive is changed by, for each tick of a solve.

    Attributes:
        drift, score: (ticks,) factors on the rates of the drift and the score word.
        offset_volts: (ticks, 2) ω, to be multiplied by β to give volts per model time.
        residual_before, residual_after: root mean square over the probes, weighted with β, of the
            output's error over that of the output: of the whole error, and of what the fit leaves
            (read noise included).
        probes: how many.
    """

    drift: FloatArray
    score: FloatArray
    offset_volts: FloatArray
    residual_before: float
    residual_after: float
    probes: int

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in asdict(self).items()}


def trim_drive(
    integrator: Integrator,
    field: Field,
    ticks: int,
    params: DriveParams | None = None,
    progress: Progress | None = None,
) -> DriveTrim:
    """Probe the network that is connected and choose the words that fit its field best.

    The waveforms of the solve have to be loaded: a probe holds the embedding of one tick.

    Args:
        integrator: the loop.
        field: where and what it should be.
        ticks: length of the solve.
        params: None is the default.
        progress: counts probed ticks.

    Raises:
        CalibrationError: the network's output is off by more than `largest_change`.
    """
    chosen, report = params or DriveParams(), progress or silent
    measured = np.empty_like(field.s_volts)
    for k, tick in enumerate(field.ticks):
        report(k, len(field.ticks), "probing the network's field")
        measured[k] = integrator.probe(int(tick), field.x_volts[k], chosen.samples)[-1]
    report(len(field.ticks), len(field.ticks), "probing the network's field")
    trim = fit_drive(field, measured, ticks, chosen)
    gain = 1.0 / trim.score
    worst = float(gain[np.abs(gain - 1.0).argmax()])
    if not abs(worst - 1.0) < chosen.largest_change:
        raise CalibrationError(
            f"The programmed network's output is {worst:.2f} times what it should be, and at most "
            f"{chosen.largest_change:.0%} can be trimmed: verify the cells and program them again."
        )
    return trim


def fit_drive(field: Field, measured: FloatArray, ticks: int, params: DriveParams) -> DriveTrim:
    """The drive for outputs `measured` (k, n, 2) in volts; the arithmetic of `trim_drive`.

    The measured output is the response of the regression, because it is noisy and s and x are not:
    as a regressor it would bias the gains. Where s and x are nearly proportional (early in a solve)
    A and B cannot be told apart; so deviations from the ideal network are expected to be of the
    size `prior_sd`, against the scatter of the output as the noise.
    """
    matrix = _design(field, ticks, params)
    weight = field.weight
    wanted = (weight * (measured - field.s_volts)).reshape(-1)
    found = _ridge(matrix, wanted, np.full(matrix.shape[1], _rms(wanted) / params.prior_sd))
    every = found.reshape(4, -1) @ _basis(np.arange(ticks), ticks, params.degree).T  # (4, ticks)
    size, reach = _rms(field.s_volts), _rms(field.x_volts)
    gain, mixed, still = 1.0 + every[0], size / reach * every[1], size * every[2:]
    score = field.score / gain
    return DriveTrim(
        drift=(field.drift - score * mixed) / field.drift,
        score=score / field.score,
        offset_volts=-(score * still).T,
        residual_before=_rms(wanted) / _rms(weight * field.s_volts),
        residual_after=_rms(wanted - matrix @ found) / _rms(weight * field.s_volts),
        probes=int(np.prod(field.s_volts.shape[:2])),
    )


def fit_embedding(
    field: Field, twin: Twin, embedding_volts: FloatArray, ticks: int, params: DriveParams
) -> FloatArray:
    """(channels,) volts to add to each embedding channel.

    Args:
        field: where and what the network should be.
        twin: the network as its conductances were read.
        embedding_volts: (k, channels) at the probed ticks.
        ticks: length of the solve.
        params: widths of the priors and number of linearised steps.

    The words of `fit_drive` are fitted along, so that the embedding is spent on what they cannot
    do. The best of all steps is returned, which may be no change.
    """
    k, n, _ = field.x_volts.shape
    channels = embedding_volts.shape[1]
    x = field.x_volts.reshape(-1, 2)
    words, weight = _design(field, ticks, params), field.weight
    offset = best = np.zeros(channels)
    lowest = np.inf
    for _ in range(params.iterations + 1):
        s, slope = twin.sensitivity(x, np.repeat(embedding_volts + offset, n, axis=0))
        wanted = (weight * (s.reshape(k, n, 2) - field.s_volts)).reshape(-1)
        noise = _rms(wanted)
        priors = np.full(words.shape[1], noise / params.prior_sd)
        left = wanted - words @ _ridge(words, wanted, priors)
        if _rms(left) < lowest:
            lowest, best = _rms(left), offset
        moved = -(weight[..., None] * slope.reshape(k, n, 2, channels)).reshape(-1, channels)
        priors = np.append(priors, np.full(channels, noise / params.embedding_sd_volts))
        step = _ridge(np.hstack([words, moved]), wanted, priors)[words.shape[1] :]
        offset = offset + 0.7 * step
    return best


def _design(field: Field, ticks: int, params: DriveParams) -> FloatArray:
    """Weighted columns of A, B, C_1, C_2 times each polynomial, (k n 2, 4 b)."""
    s, x = field.s_volts, field.x_volts
    size = _rms(s)
    signals = np.zeros((*s.shape, 4))
    signals[..., 0], signals[..., 1] = s, size / _rms(x) * x
    signals[:, :, 0, 2] = signals[:, :, 1, 3] = size
    basis = _basis(field.ticks, ticks, params.degree)
    design = signals[..., None] * basis[:, None, None, None, :]  # (k, n, 2, 4, b)
    return np.asarray((field.weight[..., None, None] * design).reshape(s.size, -1))


def _ridge(matrix: FloatArray, wanted: FloatArray, priors: FloatArray) -> FloatArray:
    """Least squares with each unknown expected at 0; `priors` are noise over its expected size."""
    found, *_ = np.linalg.lstsq(
        np.concatenate([matrix, np.diag(priors)]),
        np.concatenate([wanted, np.zeros(len(priors))]),
        rcond=None,
    )
    return np.asarray(found)


def _basis(ticks: IntArray, count: int, degree: int) -> FloatArray:
    """(k, degree + 1) Legendre polynomials over a solve of `count` ticks."""
    return np.asarray(
        np.polynomial.legendre.legvander(2.0 * ticks / max(count - 1, 1) - 1.0, degree)
    )


def _rms(values: FloatArray) -> float:
    return float(np.sqrt(np.mean(values**2)))
