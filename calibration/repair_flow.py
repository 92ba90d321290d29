"""Fit what is free so that a twin's solutions end where the software's do.

The loop integrates, with the twin's output s' and model time t,

    dx/dt = β(τ) [ drift (1 + A(τ)) x + score (1 + G(τ)) s'(x, e(τ) + ε(τ)) + u ω(τ) ]

from the initial conditions of the software's own solutions. A, G and ω (the words), ε (a table of
offsets of the embedding, channel by channel and tick by tick) and, where asked for, the last
layer's weights are chosen so that every solution ends where the software's ends. An error on the
way counts by what is left of it at the end, so the fit spends nothing on errors that the flow takes
out by itself, and is weighted by where samples go.

It is a Gauss-Newton iteration with Levenberg-Marquardt damping: solutions are integrated forward,
the derivatives of their ends backward (one adjoint per coordinate). Ends count by Huber's loss,
because a few solutions pass where a hair decides the side. A, G, ω and each channel of ε are
polynomials in time; what they give is held within what the converters reach, so that no word and
no embedding voltage can leave its range whatever is fitted. This project's own procedure; training
through a model of the hardware follows physics-aware training (Wright et al., Nature 601, 2022).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from calibration.arrays import FloatArray
from calibration.repair_unknowns import (
    WORDS,
    Drive,
    FitParams,
    Flow,
    Reach,
    Slopes,
    Unknowns,
    means,
    nominal_drive,
)
from calibration.twin import Response, Twin

__all__ = [
    "Drive",
    "Fit",
    "FitParams",
    "Flow",
    "Reach",
    "Shooting",
    "end_error",
    "fit_flow",
    "nominal_drive",
]

HUBER_FRACTION = 0.15  # of the ends' rms: beyond it an end counts linearly (this project's choice)
LEAST_GAIN = 0.003  # an iteration that gains less, as a fraction of the loss, is the last one
_TRIES = 6  # of the damping, each ten times stronger


@dataclass(frozen=True)
class Fit:
    """What was found.

    Attributes:
        drive: words and embedding.
        twin: with the last layer that was found; the given one's where that was not free.
        error_before, error_after: end-point error with and without the fit, see `end_error`.
        coefficients: of all unknowns, from which the next fit may start.
        iterations: steps that were taken.
    """

    drive: Drive
    twin: Twin
    error_before: float
    error_after: float
    coefficients: FloatArray
    iterations: int


def end_error(twin: Twin, flow: Flow, drive: Drive, stride: int = 4) -> float:
    """How far solutions end from the software's: Huber's mean as a root, over the ends' size."""
    ends = Shooting(flow, stride).ends(twin, drive)
    return float(np.sqrt(2.0 * _loss(ends - flow.end_volts, flow.size_volts))) / flow.size_volts


def fit_flow(
    twin: Twin,
    flow: Flow,
    reach: Reach,
    params: FitParams,
    start: FloatArray | None = None,
    last_range: tuple[FloatArray, FloatArray] | None = None,
) -> Fit:
    """Words, embedding and (if free) last layer that bring the twin's ends to the software's.

    Args:
        twin: the network as measured.
        flow: what it shall reproduce.
        reach: what the converters can give.
        params: what is free.
        start: coefficients of an earlier fit of the same kind; None starts from no change.
        last_range: lowest and highest weight of the last layer, (2, width + 1) each with the bias
            as the weight of one unit of voltage; None is no bound.
    """
    unknowns = Unknowns(twin, flow, reach, params, last_range)
    shooting = Shooting(flow, params.stride)
    none = np.zeros(unknowns.count)
    before = _loss(_ends(shooting, unknowns, none) - flow.end_volts, flow.size_volts)
    at = none if start is None or len(start) != unknowns.count else start
    at, after, taken = _descend(shooting, unknowns, at, params.iterations)
    if after >= before and start is not None:  # what helped another state of the chip does not here
        at, after, taken = _descend(shooting, unknowns, none, params.iterations)
    scale = np.sqrt(2.0) / flow.size_volts
    return Fit(
        drive=unknowns.drive(at),
        twin=unknowns.twin(at),
        error_before=float(scale * np.sqrt(before)),
        error_after=float(scale * np.sqrt(after)),
        coefficients=at,
        iterations=taken,
    )


@dataclass(frozen=True)
class _Step:
    """One step at its middle: the twin there, and the field's derivative by x."""

    x: FloatArray
    response: Response
    by_x: FloatArray


class Shooting:
    """Solutions by the midpoint rule, and the derivatives of their ends."""

    def __init__(self, flow: Flow, stride: int) -> None:
        self.flow, self.stride = flow, stride
        ticks = np.arange(flow.ticks)
        self._first = ticks[::stride]
        self.length = flow.tick * np.diff(np.append(self._first, flow.ticks))
        self.beta = means(flow.beta, stride)
        self._score = means(flow.score, stride)
        noise = flow.noise_volts
        self._noise = None if noise is None else np.add.reduceat(noise, self._first, axis=0)

    def ends(self, twin: Twin, drive: Drive) -> FloatArray:
        """(n, 2) volts at the end."""
        *_, (x, _) = self._march(twin, drive, slopes=False)
        return x

    def derivatives(
        self, twin: Twin, drive: Drive, slopes: Slopes, last: bool
    ) -> tuple[FloatArray, FloatArray]:
        """Ends (n, 2) and their derivatives by the unknowns, (n, 2, count)."""
        marched = list(self._march(twin, drive, slopes=True))
        x = marched[-1][0]
        n, flow = len(x), self.flow
        rates = means(drive.score, self.stride) * self._score
        adjoint = np.tile(np.eye(2), (n, 1, 1))  # of each end coordinate by x
        words = np.zeros((n, 2, *slopes.words.shape[1:]))
        embedding = np.zeros((n, 2, *slopes.embedding.shape[1:]))
        layer = np.zeros((n, 2, *slopes.last.shape))
        for k in reversed(range(len(marched))):
            step = marched[k][1]
            if step is None:
                continue
            length = self.length[k] * self.beta[k]
            middle = adjoint + 0.5 * self.length[k] * (adjoint @ step.by_x)
            by_words = self._by_words(middle * length, step, self._score[k])
            words += by_words[..., None] * slopes.words[k]
            pull = (length * rates[k]) * (middle @ step.response.by_embedding)
            embedding += pull[..., None] * slopes.embedding[k]
            if last:
                inputs = np.column_stack([step.response.hidden_volts, np.full(n, flow.unit_volts)])
                gain = length * rates[k] * twin.output_gain
                layer += gain * middle[..., None] * inputs[:, None, None, :]
            adjoint = adjoint + self.length[k] * (middle @ step.by_x)
        parts = [words.reshape(n, 2, -1), embedding.reshape(n, 2, -1)]
        if last:
            parts.append((layer * slopes.last).reshape(n, 2, -1))
        return x, np.concatenate(parts, axis=2)

    def _by_words(self, weight: FloatArray, step: _Step, score: float) -> FloatArray:
        """(n, 2, 4) how the ends change with A, G and ω of one step."""
        flow = self.flow
        found = np.empty((len(weight), 2, WORDS))
        found[..., 0] = flow.drift * (weight @ step.x[..., None])[..., 0]
        found[..., 1] = score * (weight @ step.response.s_volts[..., None])[..., 0]
        found[..., 2:] = flow.unit_volts * weight
        return found

    def _march(
        self, twin: Twin, drive: Drive, slopes: bool
    ) -> Iterator[tuple[FloatArray, _Step | None]]:
        """The state after each step, with the step's middle where slopes are wanted."""
        flow, x = self.flow, self.flow.start_volts
        drift = flow.drift * means(drive.drift, self.stride)
        score = self._score * means(drive.score, self.stride)
        offset = means(drive.offset_volts, self.stride)
        embedding = means(drive.embedding_volts, self.stride)
        for k, length in enumerate(self.length):
            noise = 0.0 if self._noise is None else self._noise[k]
            s = twin.outputs(x, embedding[k])
            rate = self.beta[k] * (drift[k] * x + score[k] * s + offset[k])
            middle = x + 0.5 * (length * rate + noise)
            step = None
            if slopes:
                response = twin.response(middle, embedding[k])
                by_x = self.beta[k] * (drift[k] * np.eye(2) + score[k] * response.by_x)
                step, s = _Step(middle, response, by_x), response.s_volts
            else:
                s = twin.outputs(middle, embedding[k])
            x = x + length * self.beta[k] * (drift[k] * middle + score[k] * s + offset[k]) + noise
            yield x, step


def _descend(
    shooting: Shooting, unknowns: Unknowns, at: FloatArray, iterations: int
) -> tuple[FloatArray, float, int]:
    """Coefficients, loss and steps taken of the damped Gauss-Newton iteration from `at`."""
    flow = shooting.flow
    ends, slope = _linearised(shooting, unknowns, at)
    loss, damping = _loss(ends - flow.end_volts, flow.size_volts), 1.0
    for taken in range(iterations):
        for _ in range(_TRIES):
            tried = at - _step(ends - flow.end_volts, slope, unknowns, at, loss, damping, flow)
            new_loss = _loss(_ends(shooting, unknowns, tried) - flow.end_volts, flow.size_volts)
            if new_loss < loss:
                break
            damping *= 10.0
        else:
            return at, loss, taken
        gain = loss - new_loss
        at, damping = tried, max(damping / 3.0, 1e-3)
        if gain < LEAST_GAIN * loss:
            return at, new_loss, taken + 1
        loss = new_loss
        ends, slope = _linearised(shooting, unknowns, at)
    return at, loss, iterations


def _step(
    error: FloatArray,
    slope: FloatArray,
    unknowns: Unknowns,
    at: FloatArray,
    loss: float,
    damping: float,
    flow: Flow,
) -> FloatArray:
    """One step: least squares with Huber's weights, every unknown expected at 0 with its sd."""
    size = np.sqrt(np.sum(error**2, axis=1))
    most = HUBER_FRACTION * flow.size_volts
    root = np.sqrt(np.minimum(1.0, most / np.maximum(size, 1e-12 * most)))
    a = (slope * root[:, None, None]).reshape(-1, unknowns.count)
    b = (error * root[:, None]).reshape(-1)
    prior = 2.0 * loss / unknowns.sd**2  # the noise of the ends is what is left of them
    normal = a.T @ a + np.diag((1.0 + damping) * prior)
    return np.asarray(np.linalg.solve(normal, a.T @ b + prior * at))


def _linearised(
    shooting: Shooting, unknowns: Unknowns, at: FloatArray
) -> tuple[FloatArray, FloatArray]:
    slopes = unknowns.slopes(at, shooting.stride)
    return shooting.derivatives(
        unknowns.twin(at), unknowns.drive(at), slopes, last=unknowns.last > 0
    )


def _ends(shooting: Shooting, unknowns: Unknowns, at: FloatArray) -> FloatArray:
    return shooting.ends(unknowns.twin(at), unknowns.drive(at))


def _loss(error: FloatArray, size_volts: float) -> float:
    """Mean of Huber's loss of the end points' distance, in volts squared."""
    most = HUBER_FRACTION * size_volts
    distance = np.sqrt(np.sum(error**2, axis=1))
    small = 0.5 * distance**2
    return float(np.mean(np.where(distance < most, small, most * (distance - 0.5 * most))))
