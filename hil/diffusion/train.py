"""Noise-aware training of the ring's score network, in two stages.

1. Denoising score matching with fresh weight errors in every step: the network learns the score.
2. The network is solved through, a coarse loop of `ticks` held steps with one frozen set of weight
   errors per group, as so many imagined chips, and the distance of the solved samples from data is
   minimised (energy distance, radii, angular moments), next to score matching. Half of the groups
   have rectifiers that clamp, half have not; some are solved as the SDE. This is what makes the
   samples, not only the score, survive conductance errors.

One thread and keyed or seeded draws: the same configuration gives the same weights on the same
machine and torch build. Elsewhere rounding differs, and figures agree instead of bits.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from hil.diffusion import losses
from hil.diffusion.data import draw
from hil.diffusion.metrics import evaluate, reference_set
from hil.diffusion.sampler import Solve, initial_conditions, solve
from hil.diffusion.schedule import VpSchedule
from hil.diffusion.score_model import InitialLaw, NoiseLaw, ScoreModel, TrainingRecord
from hil.diffusion.torch_network import TorchNetwork, WeightNoise
from protocols.errors import InputError

Progress = Callable[[int, int, float], None]
"""Called as (step, total steps, smoothed loss of the running stage)."""

CHECK_SEED = 11
_NO_CLAMP = 1e9
_EARLIEST_TAU = 0.02


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides the weights; the defaults reproduce the shipped ring model.

    beta law, x(T) and `noise_scale` go into the model file. `groups` x `batch` points per step;
    `sde_share` of the groups are solved as the SDE in stage 2, with noise of `sde_scale`: less than
    the proper 1, whose blur no weights of this size could undo. The `*_weight` fields are the
    factors of the losses.
    """

    name: str = "ring"
    data: str = "ring"
    seed: int = 0
    beta_min: float = 0.001
    beta_max: float = 0.4
    initial_sd: float = 0.6
    noise_scale: float = 1.0
    n_frequencies: int = 7
    frequency_sd: float = 0.5
    output_gain: float = 5.0
    clamp_units: float = 1.5
    groups: int = 16
    batch: int = 128
    score_steps: int = 3000
    score_rate: float = 5e-3
    score_noise: WeightNoise = field(default_factory=lambda: WeightNoise(additive=0.01))
    solve_steps: int = 3500
    solve_rate: float = 3e-3
    solve_noise: WeightNoise = field(default_factory=lambda: WeightNoise(additive=0.025))
    ticks: int = 20
    offset_sd: float = 0.01
    sde_share: float = 0.375
    sde_weight: float = 0.6
    sde_scale: float = 0.45
    radius_weight: float = 10.0
    moment_weight: float = 0.1
    score_weight: float = 0.002
    saturation_weight: float = 0.5
    range_weight: float = 3e-4
    check_samples: int = 50_000

    def __post_init__(self) -> None:
        if min(self.score_steps, self.solve_steps) < 0 or min(self.groups, self.batch - 1) < 1:
            raise InputError(
                f"training needs steps >= 0, groups >= 1 and batch >= 2; got {self.score_steps} "
                f"and {self.solve_steps} steps, {self.groups} groups of {self.batch}."
            )

    @property
    def schedule(self) -> VpSchedule:
        """The beta law."""
        return VpSchedule(self.beta_min, self.beta_max)

    @property
    def steps(self) -> int:
        """Steps of both stages."""
        return self.score_steps + self.solve_steps


def train_ring(config: TrainConfig | None = None, progress: Progress | None = None) -> ScoreModel:
    """Trains the ring model and judges it; minutes on one core with the default configuration."""
    return train(config or TrainConfig(), progress)


def train(config: TrainConfig, progress: Progress | None = None) -> ScoreModel:
    """Trains a model on the data set that `config` names; the record holds its own figures."""
    with _one_thread():
        run = _Run(config, progress)
        run.stage(config.score_steps, config.score_rate, 0.999, run.score_loss)
        loss = run.stage(config.solve_steps, config.solve_rate, 0.998, run.solve_loss)
    model = run.model(loss)
    figures = _figures(model, config)
    record = dataclasses.replace(model.training, metrics=figures)
    return dataclasses.replace(model, training=record)


def _figures(model: ScoreModel, config: TrainConfig) -> dict[str, float]:
    """The software baseline's figures, for the training record; none when the solve diverges."""
    start = initial_conditions(model, CHECK_SEED, 0, config.check_samples)
    samples = solve(model, start, Solve(steps=1000))
    if not np.isfinite(samples).all():
        return {}
    figures = evaluate(samples, reference_set(config.data)).to_dict()
    return {key: round(float(value), 6) for key, value in figures.items()}


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Run:
    """One training run: the network, its generator and the count of steps and points used."""

    def __init__(self, config: TrainConfig, progress: Progress | None) -> None:
        self.config = config
        self.progress = progress
        self.generator = torch.Generator().manual_seed(config.seed)
        frequencies = config.frequency_sd * self._normal(config.n_frequencies)
        self.network = TorchNetwork.random(frequencies, config.output_gain, self.generator)
        self.step = 0
        # Every second group has rectifiers that saturate; the others must do without.
        self.limit = torch.full((config.groups, 1, 1), _NO_CLAMP)
        self.limit[::2] = config.clamp_units

    def stage(
        self, steps: int, rate: float, decay: float, loss_of: Callable[[float], Tensor]
    ) -> float:
        """Adam with a cosine rate for `steps`; leaves the weights' moving average in place."""
        layers = self.network.layers
        optimizer = torch.optim.Adam(layers, lr=rate, betas=(0.9, 0.99), fused=True)
        average = [layer.detach().clone() for layer in layers]
        smoothed = 0.0
        for k in range(steps):
            optimizer.param_groups[0]["lr"] = rate * _cosine(k, steps)
            loss = loss_of(k / steps)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(layers, 1.0)
            optimizer.step()
            keep = min(decay, (k + 1) / (k + 10))
            for mean, layer in zip(average, layers, strict=True):
                mean.lerp_(layer.detach(), 1.0 - keep)
            smoothed += (loss.item() - smoothed) * max(0.02, 1.0 / (k + 1))
            self.step += 1
            if self.progress is not None:
                self.progress(self.step, self.config.steps, smoothed)
        self.network.layers = [mean.clone().requires_grad_() for mean in average]
        return smoothed

    def score_loss(self, done: float) -> Tensor:
        """Stage 1: score matching under errors that grow over the first third of the stage."""
        config = self.config
        ramp = min(1.0, 3.0 * done)
        noise = dataclasses.replace(
            config.score_noise,
            additive=ramp * config.score_noise.additive,
            multiplicative=ramp * config.score_noise.multiplicative,
        )
        layers = self.network.perturbed(config.groups, noise, self.generator)
        matching, first, second, score = self._matching(layers, self._points())
        limits = losses.saturation(first, second, score, config.clamp_units)
        return (
            matching
            + config.saturation_weight * limits
            + losses.dynamic_range(self.network.layers, config.range_weight)
        )

    def solve_loss(self, done: float) -> Tensor:
        """Stage 2: distance of solved samples from data, per imagined chip."""
        del done
        config = self.config
        layers = self.network.perturbed(config.groups, config.solve_noise, self.generator)
        samples, limits = self._solve(layers)
        points = self._points()
        n_sde = self._n_sde
        distance = self._distance(samples[n_sde:], points[n_sde:])
        if n_sde:
            sde = self._distance(samples[:n_sde], points[:n_sde])
            distance = distance + config.sde_weight * sde
        matching = self._matching(layers, points)[0]
        return (
            distance
            + config.score_weight * matching
            + config.saturation_weight * limits
            + losses.dynamic_range(self.network.layers, config.range_weight)
        )

    @property
    def _n_sde(self) -> int:
        return int(self.config.groups * self.config.sde_share)

    def _distance(self, samples: Tensor, points: Tensor) -> Tensor:
        return (
            losses.energy_distance(samples, points).mean()
            + self.config.radius_weight * losses.radius_distance(samples, points).mean()
            + self.config.moment_weight * losses.moment_distance(samples, points).mean()
        )

    def _matching(
        self, layers: list[Tensor], points: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        config = self.config
        shape = (config.groups, config.batch)
        tau = _EARLIEST_TAU + (1.0 - _EARLIEST_TAU) * torch.rand(shape, generator=self.generator)
        integral = config.beta_min * tau + 0.5 * (config.beta_max - config.beta_min) * tau.square()
        std = (-torch.expm1(-integral)).sqrt()
        noise = self._normal(*shape, 2)
        x = torch.exp(-0.5 * integral)[..., None] * points + std[..., None] * noise
        score, first, second = self.network.forward(
            layers, x, self.network.embedding(tau), self.limit
        )
        return losses.score_matching(score, noise, std), first, second, score

    def _solve(self, layers: list[Tensor]) -> tuple[Tensor, Tensor]:
        """End points (groups, batch, 2) of a coarse loop, words from each tick's middle."""
        config, n_sde = self.config, self._n_sde
        shape = (config.groups, config.batch, 2)
        coefficient = torch.full((config.groups, 1, 1), 0.5)
        coefficient[:n_sde] = 1.0
        x = config.initial_sd * self._normal(*shape)
        offset = config.offset_sd * self._normal(config.groups, 1, 2)
        limits = torch.zeros(())
        dt = 1.0 / config.ticks
        for tick in range(config.ticks):
            tau = 1.0 - (tick + 0.5) * dt
            beta = float(config.schedule.beta(tau))
            embedding = self.network.embedding(torch.tensor(tau))
            score, first, second = self.network.forward(layers, x, embedding, self.limit)
            limits = limits + losses.saturation(first, second, score, config.clamp_units) * dt
            x = x + dt * (0.5 * beta * x + coefficient * beta * score + offset)
            if n_sde:
                kick = config.sde_scale * math.sqrt(beta * dt) * self._normal(n_sde, *shape[1:])
                x = torch.cat([x[:n_sde] + kick, x[n_sde:]])
        return x, limits

    def _points(self) -> Tensor:
        """This step's data (groups, batch, 2); every step has points of its own."""
        n = self.config.groups * self.config.batch
        points = draw(self.config.data, n, self.config.seed, first=self.step * n)
        return torch.from_numpy(points.astype(np.float32)).view(-1, self.config.batch, 2)

    def _normal(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.generator)

    def model(self, loss: float) -> ScoreModel:
        """The trained network as a model."""
        config = self.config
        layers = [layer.detach().double().numpy() for layer in self.network.layers]
        return ScoreModel(
            name=config.name,
            weights=tuple(layer[:, :-1] for layer in layers),
            biases=tuple(layer[:, -1] for layer in layers),
            frequencies=self.network.frequencies.double().numpy(),
            class_offsets=np.zeros((0, 2 * config.n_frequencies)),
            beta_min=config.beta_min,
            beta_max=config.beta_max,
            initial=InitialLaw(sd=config.initial_sd),
            noise=NoiseLaw(scale=config.noise_scale),
            output_gain=config.output_gain,
            hidden_clamp_units=config.clamp_units,
            training=TrainingRecord(config.data, config.seed, config.steps, loss),
        )


def _cosine(k: int, steps: int) -> float:
    warm_up = min(1.0, (k + 1) / 100)
    return warm_up * (0.5 * (1.0 + math.cos(math.pi * k / steps)) + 0.01)
