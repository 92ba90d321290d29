"""The runs of the loop calibration: which words are held from where, and what is measured.

Each experiment holds its words for a few ticks from several initial conditions. The trajectories
are captured at a few points; at the same points the network is probed, so that both integrals that
the regression needs (`calibration.loop_fit`) are measured and none is modelled.

The cells' read noise disturbs the network's output. So the score runs hold embeddings that drive
the hidden units far to one side each, into the rectifier's clamp or below zero, where the noise of
the first two layers does not pass; which of many random patterns is quiet and gives a large output
is found by probing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from calibration.arrays import FloatArray
from calibration.loop_fit import Observations, simpson_weights
from calibration.progress import Progress
from drivers.integrator import Integrator
from drivers.transfer import Transfer
from drivers.waveforms import Waveforms
from protocols.errors import CalibrationError, InputError
from protocols.hardware import Loop

AXES = 2
GENTLER_TRIES = 3
"""How often a score run that saturates is repeated with half the word."""


@dataclass(frozen=True)
class LoopParams:
    """Runs of the calibration. The defaults make 168 solves.

    Attributes:
        drift_word: size of f in the growth and decay runs.
        largest_score_word: upper limit of g; it is chosen so that x moves by `move_volts`.
        radius_volts: initial conditions of the quiet runs lie within this circle; those of the
            score runs within half of it.
        move_volts: movement that a run aims at: large against a converter's step, small enough to
            stay inside its range.
        ticks: length of the drift, rest and offset runs; `score_ticks` that of the score runs (the
            cells' read noise is slow: many short solves say more than few long ones).
        starts: initial conditions of a drift run; each offset and rest run has half as many.
        score_starts: initial conditions of each of the eight score runs.
        points: points of a trajectory at which x is converted and s probed; odd.
        probe_samples: conversions per probed output.
        candidates: embeddings that are tried; `candidate_probes` probes of each.
        loudest_output: largest output wanted, as a share of the output clamp.
        offset_steps: expected offset of the converters that measure x and s, in their steps.
        seed: key of the runs' noise, as in `Integrator.run`, and of the candidates.
        largest_gain_error: relative standard deviation of a gain above which it is refused.
        plausible: a gain may be this factor off its nominal figure, either way.
    """

    drift_word: float = 0.5
    largest_score_word: float = 0.8
    radius_volts: float = 0.2
    move_volts: float = 0.1
    ticks: int = 48
    score_ticks: int = 16
    starts: int = 8
    score_starts: int = 16
    points: int = 5
    probe_samples: int = 4
    candidates: int = 48
    candidate_probes: int = 6
    loudest_output: float = 0.8
    offset_steps: float = 2.0
    seed: int = 0
    largest_gain_error: float = 0.02
    plausible: float = 3.0

    def __post_init__(self) -> None:
        for name in ("drift_word", "largest_score_word", "loudest_output"):
            if not 0.0 < getattr(self, name) < 1.0:
                raise InputError(f"Loop calibration: {name}={getattr(self, name)} not in (0, 1).")
        if self.points < 3 or self.points % 2 == 0:
            raise InputError(f"Loop calibration: points={self.points} must be odd, from 3.")
        for name in ("ticks", "score_ticks"):
            if getattr(self, name) < 1 or getattr(self, name) % (self.points - 1):
                raise InputError(
                    f"Loop calibration: {name}={getattr(self, name)} must be a multiple of "
                    f"points - 1 = {self.points - 1}."
                )
        if min(self.starts, self.score_starts) < 4 or self.candidates < 2:
            raise InputError("Loop calibration: 4 initial conditions and 2 candidates are needed.")
        if self.candidate_probes < 2:
            raise InputError("Loop calibration: candidate_probes must be at least 2.")


@dataclass(frozen=True)
class Experiment:
    """Runs with the same held words."""

    name: str
    drift: float
    score: float
    offset: float
    ticks: int
    embedding_volts: FloatArray  # (hidden width,)
    x0_volts: FloatArray  # (n, 2)


@dataclass(frozen=True)
class Loud:
    """An embedding with a large and quiet output on one axis, and that output in volts."""

    embedding_volts: FloatArray
    output_volts: FloatArray  # (2,)


class LoopBench:
    """The runs, and what they cost."""

    def __init__(
        self, integrator: Integrator, loop: Loop, params: LoopParams, progress: Progress
    ) -> None:
        self.integrator, self.loop, self.params, self.progress = integrator, loop, params, progress
        self.solves = self.probes = self.groups = 0
        half = params.starts - params.starts // 2
        self.total = 3 * params.starts + 4 * half + 8 * params.score_starts
        self.bench_s = 0.0
        self.word = integrator.curves.word
        self.silence = np.zeros(loop.hidden_width)

    def held(self, word: float) -> float:
        """The word that the converter really holds for a wanted one (fractions of full scale)."""
        return float(self.word.to_si(self.word.to_code(word, "held word")))

    @property
    def offset_sd(self) -> tuple[float, float]:
        """Prior of kf o_x and kg o_s: offsets of `offset_steps` converter steps, in volts/s."""
        steps, curves = self.params.offset_steps, self.integrator.curves
        return (
            steps * abs(curves.sample.gain * self.loop.drift_rate_per_s),
            steps * abs(curves.probe.gain * self.loop.score_rate_per_s),
        )

    def starts(self, count: int, radius_volts: float, turn: float = 0.0) -> FloatArray:
        """(count, 2) initial conditions: a golden-angle spiral from half to the full radius."""
        k = np.arange(count)
        angle = turn + k * math.pi * (3.0 - math.sqrt(5.0))
        radius = radius_volts * np.sqrt(0.25 + 0.75 * (k + 0.5) / count)
        return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)

    # --- which experiments ---------------------------------------------------------------------

    def loud_embeddings(self) -> list[Loud]:
        """Two embeddings for each axis, of opposite output if there are such, whose output is large
        against its own noise.

        Raises:
            CalibrationError: the network is (nearly) silent whatever the embedding.
        """
        p = self.params
        tables = self._candidates()
        self._load(0.0, 0.0, 0.0, tables)
        still = np.zeros((p.candidate_probes, AXES))
        read = np.stack([self._probe(still, tick) for tick in range(p.candidates)])
        mean, noise = read.mean(axis=1), read.std(axis=1, ddof=1)
        limit = p.loudest_output * self.loop.output_clamp_volts
        usable = np.all(np.abs(mean) < limit, axis=1)
        quality = np.abs(mean) / np.hypot(noise, 0.02 * np.abs(mean) + 1e-3)
        quality[~usable] = -1.0
        chosen = [k for axis in range(AXES) for k in _best_two(mean[:, axis], quality[:, axis])]
        for axis in range(AXES):
            self._check_loud(float(np.abs(mean[chosen, axis]).max()))
        return [Loud(tables[k], mean[k]) for k in chosen]

    def _candidates(self) -> FloatArray:
        """(candidates, hidden width) embeddings in volts, up to full scale."""
        p, converter = self.params, self.integrator.curves.embedding
        level = min(-converter.minimum, converter.maximum)
        steps = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])
        shape = (p.candidates, self.loop.hidden_width)
        return level * np.random.default_rng(p.seed).choice(
            steps, shape, p=[0.3, 0.1, 0.2, 0.1, 0.3]
        )

    def _check_loud(self, output_volts: float) -> None:
        p = self.params
        duration_s = p.score_ticks * self.loop.tick_s
        reach = abs(self.loop.score_rate_per_s) * p.largest_score_word * duration_s
        if reach * output_volts < 0.1 * p.move_volts:
            raise CalibrationError(
                f"The network's output is only {output_volts * 1e3:.2f} mV on one axis at the best "
                f"of {p.candidates} embeddings: too little to measure the score gain. Is the "
                "network programmed and connected?"
            )

    def loud_experiments(self, embeddings: Sequence[Loud]) -> list[Experiment]:
        """Rest and both signs of g at f = 0, at every loud embedding."""
        p, out = self.params, []
        duration_s = p.score_ticks * self.loop.tick_s
        for k, loud in enumerate(embeddings):
            size = float(np.abs(loud.output_volts).max())
            needed = p.move_volts / (abs(self.loop.score_rate_per_s) * duration_s * size)
            word = self.held(min(needed, p.largest_score_word))
            x0 = self.starts(p.score_starts, 0.5 * p.radius_volts, float(k))
            few = self.starts(p.starts - p.starts // 2, 0.5 * p.radius_volts, 0.5 + k)
            e = loud.embedding_volts
            out.append(Experiment("rest", 0.0, 0.0, 0.0, p.ticks, e, few))
            out.append(Experiment("score up", 0.0, word, 0.0, p.score_ticks, e, x0))
            out.append(Experiment("score down", 0.0, -word, 0.0, p.score_ticks, e, x0))
        return out

    def quiet_experiments(self, g0: float) -> list[Experiment]:
        """Growth, decay and both offset words, with the score word at its own zero `g0`.

        Otherwise the cells' read noise would come in through g0.
        """
        p, quiet, e = self.params, self.held(-g0), self.silence
        x0 = self.starts(p.starts, p.radius_volts)
        duration_s = p.ticks * self.loop.tick_s
        offset = self.held(min(p.move_volts / (self.loop.noise_rate_volts_per_s * duration_s), 0.9))
        up = self.held(-p.drift_word if self.loop.drift_rate_per_s < 0.0 else p.drift_word)
        small, n = 0.5 * x0, p.ticks
        return [
            Experiment("growth", up, quiet, 0.0, n, e, 0.8 * x0),
            Experiment("decay", -up, quiet, 0.0, n, e, x0),
            Experiment("offset up", 0.0, quiet, offset, n, e, small[::2]),
            Experiment("offset down", 0.0, quiet, -offset, n, e, small[1::2]),
        ]

    # --- measuring -----------------------------------------------------------------------------

    def measure(self, experiments: Sequence[Experiment]) -> list[list[Observations]]:
        """Run experiments; the observations of each, one set per axis."""
        first = self.groups
        self.groups += len(experiments)
        return [self._in_range(first + k, experiment) for k, experiment in enumerate(experiments)]

    def _in_range(self, group: int, experiment: Experiment) -> list[Observations]:
        """Run an experiment; a score run that leaves the converter's range again, more gently.

        The score word is chosen from the network's output at x = 0; an output that grows with x can
        carry a trajectory further than that says.
        """
        for _ in range(GENTLER_TRIES):
            try:
                return self._measure(group, experiment)
            except _SaturatedError:
                if experiment.score == 0.0:
                    raise
                experiment = replace(experiment, score=self.held(0.5 * experiment.score))
        return self._measure(group, experiment)

    def _measure(self, group: int, experiment: Experiment) -> list[Observations]:
        p, count = self.params, len(experiment.x0_volts)
        held = np.tile(experiment.embedding_volts, (experiment.ticks, 1))
        self._load(experiment.drift, experiment.score, experiment.offset, held)
        self.progress(self.solves, self.total, f"loop: {experiment.name}", None)
        output = self.integrator.run(
            experiment.x0_volts,
            capture_tick=experiment.ticks,
            seed=p.seed,
            first_trajectory=self.solves,
            trace_every=experiment.ticks // (p.points - 1),
            trace_count=count,
        )
        self.solves += count
        self.bench_s += output.duration_s
        traces = output.traces_volts
        if traces is None or traces.shape != (count, p.points, AXES):
            shape = None if traces is None else traces.shape
            raise CalibrationError(
                f"The board captured trajectories of shape {shape}, not {(count, p.points, AXES)}."
            )
        _refuse_saturated(experiment.name, traces, self.integrator.curves.sample)
        scores = self._probe(traces.reshape(-1, AXES)).reshape(traces.shape)
        duration_s = experiment.ticks * self.loop.tick_s
        weights = simpson_weights(p.points, duration_s)
        return [
            Observations(
                group=np.full(count, group),
                drift=np.full(count, experiment.drift),
                score=np.full(count, experiment.score),
                offset=np.full(count, experiment.offset),
                duration_s=np.full(count, duration_s),
                moved_volts=traces[:, -1, axis] - traces[:, 0, axis],
                x_integral=traces[:, :, axis] @ weights,
                s_integral=scores[:, :, axis] @ weights,
            )
            for axis in range(AXES)
        ]

    def _load(self, drift: float, score: float, offset: float, embedding: FloatArray) -> None:
        """Constant words; `embedding` (ticks, hidden width) in volts."""
        ticks = len(embedding)
        self.integrator.load(
            Waveforms(
                tick_s=self.loop.tick_s,
                drift=np.full(ticks, drift),
                score=np.full(ticks, score),
                noise=np.zeros(ticks),
                offset=np.full((ticks, AXES), offset),
                embedding_volts=embedding,
            )
        )

    def _probe(self, x_volts: FloatArray, tick: int = 0) -> FloatArray:
        """(n, 2) outputs of the network at x (n, 2) and the embedding of a tick, volts."""
        self.probes += len(x_volts)
        return self.integrator.probe(tick, x_volts, samples=self.params.probe_samples)[-1]


def _best_two(mean: FloatArray, quality: FloatArray) -> list[int]:
    """The best candidate of each sign of the output, or the two best if all have the same sign."""
    order = np.argsort(-quality, kind="stable")
    first = int(order[0])
    other = [int(k) for k in order[1:] if mean[k] * mean[first] < 0.0 and quality[k] > 0.0]
    return [first, other[0] if other else int(order[1])]


class _SaturatedError(CalibrationError):
    """A trajectory has reached the end of the sample converter."""


def _refuse_saturated(name: str, traces: FloatArray, converter: Transfer) -> None:
    low, high = converter.minimum, converter.maximum
    margin = 0.005 * (high - low)
    out = (traces <= low + margin) | (traces >= high - margin)
    if out.any():
        raise _SaturatedError(
            f"Loop calibration, {name} runs: {int(out.any(axis=(1, 2)).sum())} of {len(traces)} "
            f"trajectories reach the end of the sample converter ({low:g} to {high:g} V). The loop "
            "is faster than its description says; calibrate with fewer ticks or smaller words."
        )
