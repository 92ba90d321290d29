"""Noise-aware training of a score network, in two stages.

1. Denoising score matching with fresh weight errors in every step: the network learns the score.
2. The network is solved through, a coarse loop of `ticks` held steps with one frozen set of weight
   errors per group, as so many imagined chips, and the distance of the solved samples from data is
   minimised (energy distance; for rings radii and angular moments, else means and covariances),
   next to score matching. Half of the groups have rectifiers that clamp, half have not; some are
   solved as the SDE. This is what makes the samples, not only the score, survive conductance
   errors.

A set with classes is learned class by class: every group has as many points of each, a class adds
its offsets to the embedding, and stage 2 compares the samples of a class with its own points. Some
labels are hidden from score matching, so that the same weights without offsets give the
unconditional score, which classifier-free guidance needs (Ho & Salimans, 2021).

One thread and keyed or seeded draws: the same configuration gives the same weights on the same
machine and torch build. Elsewhere rounding differs, and figures agree instead of bits.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from hil.diffusion import losses
from hil.diffusion.data import named_source
from hil.diffusion.noise_law import NoiseLaw
from hil.diffusion.references import check_figures
from hil.diffusion.score_model import InitialLaw, ScoreModel, TrainingRecord
from hil.diffusion.sources import Source
from hil.diffusion.torch_network import TorchNetwork
from hil.diffusion.train_config import TrainConfig, WeightNoise
from protocols.errors import InputError

__all__ = ["Progress", "TrainConfig", "WeightNoise", "train", "train_ring"]

Progress = Callable[[int, int, float], None]
"""Called as (step, total steps, smoothed loss of the running stage)."""

_NO_CLAMP = 1e9
_EARLIEST_TAU = 0.02


def train_ring(config: TrainConfig | None = None, progress: Progress | None = None) -> ScoreModel:
    """Trains the ring model and judges it; minutes on one core with the default configuration."""
    return train(config or TrainConfig(), progress)


def train(
    config: TrainConfig, progress: Progress | None = None, source: Source | None = None
) -> ScoreModel:
    """Trains a model on `source`, by default the data set that `config` names.

    The model's record holds the figures of its own samples, made by the software.

    Raises:
        InputError: the points of a group cannot be shared by the classes; a loss is not finite.
    """
    points = source or named_source(config.data)
    with _one_thread():
        run = _Run(config, progress, points)
        run.stage(config.score_steps, config.score_rate, 0.999, run.score_loss)
        loss = run.stage(config.solve_steps, config.solve_rate, 0.998, run.solve_loss)
    model = run.model(loss)
    record = dataclasses.replace(
        model.training,
        metrics=check_figures(model, points, config.check_samples, config.check_steps),
    )
    return dataclasses.replace(model, training=record)


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

    def __init__(self, config: TrainConfig, progress: Progress | None, source: Source) -> None:
        self.config = config
        self.progress = progress
        self.source = source
        self.n_classes = len(source.class_names)
        self.per_class = config.per_class(self.n_classes)
        self.dimensions = source.dimensions
        self.generator = torch.Generator().manual_seed(config.seed)
        frequencies = config.frequency_sd * self._normal(config.n_frequencies)
        self.network = TorchNetwork.random(
            frequencies,
            config.output_gain,
            self.generator,
            dimensions=self.dimensions,
            hidden_layers=config.hidden_layers,
            n_classes=self.n_classes,
        )
        self.step = 0
        # Every second group has rectifiers that saturate; the others must do without.
        self.limit = torch.full((config.groups, 1, 1), _NO_CLAMP)
        self.limit[::2] = config.clamp_units

    def stage(
        self, steps: int, rate: float, decay: float, loss_of: Callable[[float], Tensor]
    ) -> float:
        """Adam with a cosine rate for `steps`; leaves the weights' moving average in place."""
        trained = self.network.parameters
        optimizer = torch.optim.Adam(trained, lr=rate, betas=(0.9, 0.99), fused=True)
        average = [each.detach().clone() for each in trained]
        smoothed = 0.0
        for k in range(steps):
            optimizer.param_groups[0]["lr"] = rate * _cosine(k, steps)
            loss = loss_of(k / steps)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
            keep = min(decay, (k + 1) / (k + 10))
            for mean, each in zip(average, trained, strict=True):
                mean.lerp_(each.detach(), 1.0 - keep)
            if not math.isfinite(loss.item()):
                raise InputError(
                    f"training of {self.config.name!r}: the loss is not finite at step "
                    f"{self.step + 1}; lower the learning rate or check the data."
                )
            smoothed += (loss.item() - smoothed) * max(0.02, 1.0 / (k + 1))
            self.step += 1
            if self.progress is not None:
                self.progress(self.step, self.config.steps, smoothed)
        self.network.replace([mean.clone().requires_grad_() for mean in average])
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
        matching, score, hidden = self._matching(layers, self._points())
        limits = losses.saturation(hidden, score, config.clamp_units)
        return matching + config.saturation_weight * limits + self._range()

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
            + self._range()
        )

    def _range(self) -> Tensor:
        """Penalties on weights and offsets that the hardware could not give."""
        wide = losses.dynamic_range(self.network.layers, self.config.range_weight)
        offsets = self.network.offsets
        return wide if offsets is None else wide + losses.offset_range(offsets)

    @property
    def _n_sde(self) -> int:
        return int(self.config.groups * self.config.sde_share)

    def _distance(self, samples: Tensor, points: Tensor) -> Tensor:
        """Of solved samples from data, both (groups, batch, d); class by class."""
        config = self.config
        if self.n_classes:
            shape = (-1, self.per_class, self.dimensions)
            samples, points = samples.reshape(shape), points.reshape(shape)
        distance = losses.energy_distance(samples, points).mean()
        for weight, further in (
            (config.radius_weight, losses.radius_distance),
            (config.moment_weight, losses.moment_distance),
            (config.spread_weight, losses.spread_distance),
        ):
            if weight > 0.0:
                distance = distance + weight * further(samples, points).mean()
        return distance

    def _matching(
        self, layers: list[Tensor], points: Tensor
    ) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        """(loss, score, what enters each rectifier) of score matching, some labels hidden."""
        config = self.config
        shape = (config.groups, config.batch)
        tau = _EARLIEST_TAU + (1.0 - _EARLIEST_TAU) * torch.rand(shape, generator=self.generator)
        integral = config.beta_min * tau + 0.5 * (config.beta_max - config.beta_min) * tau.square()
        std = (-torch.expm1(-integral)).sqrt()
        noise = self._normal(*shape, self.dimensions)
        x = torch.exp(-0.5 * integral)[..., None] * points + std[..., None] * noise
        embedding = self.network.embedding(tau)
        offsets = self._offsets()
        if offsets is not None:
            shown = torch.rand((*shape, 1), generator=self.generator) >= config.masking
            embedding = embedding + shown * offsets
        score, *hidden = self.network.forward(layers, x, embedding, self.limit)
        return losses.score_matching(score, noise, std), score, tuple(hidden)

    def _offsets(self) -> Tensor | None:
        """Class offsets of the points of a group, (batch, w): they stand class by class."""
        offsets = self.network.offsets
        return None if offsets is None else offsets.repeat_interleave(self.per_class, 0)

    def _solve(self, layers: list[Tensor]) -> tuple[Tensor, Tensor]:
        """End points (groups, batch, d) of a coarse loop, words from each tick's middle."""
        config, n_sde = self.config, self._n_sde
        shape = (config.groups, config.batch, self.dimensions)
        coefficient = torch.full((config.groups, 1, 1), 0.5)
        coefficient[:n_sde] = 1.0
        x = config.initial_sd * self._normal(*shape)
        offset = config.offset_sd * self._normal(config.groups, 1, self.dimensions)
        limits, offsets = torch.zeros(()), self._offsets()
        dt = 1.0 / config.ticks

        def rate(x: Tensor, beta: float, embedding: Tensor) -> tuple[Tensor, Tensor]:
            """dx/dt with held words, and the penalty on what the hardware would saturate."""
            score, *hidden = self.network.forward(layers, x, embedding, self.limit)
            penalty = losses.saturation(hidden, score, config.clamp_units)
            return 0.5 * beta * x + coefficient * beta * score + offset, penalty

        for tick in range(config.ticks):
            tau = 1.0 - (tick + 0.5) * dt
            beta = float(config.schedule.beta(tau))
            embedding = self.network.embedding(torch.tensor(tau))
            if offsets is not None:
                embedding = embedding + offsets
            push, penalty = rate(x, beta, embedding)
            limits = limits + penalty * dt
            if config.heun:
                push = 0.5 * (push + rate(x + dt * push, beta, embedding)[0])
            x = x + dt * push
            if n_sde:
                kick = config.sde_scale * math.sqrt(beta * dt) * self._normal(n_sde, *shape[1:])
                x = torch.cat([x[:n_sde] + kick, x[n_sde:]])
        return x, limits

    def _points(self) -> Tensor:
        """This step's data (groups, batch, d); every step has points of its own."""
        groups, each = self.config.groups, self.per_class
        n, seed = groups * each, self.config.seed
        labels: list[int | None] = [*range(self.n_classes)] or [None]
        parts = [self.source.draw(n, seed, self.step * n, label) for label in labels]
        shaped = [part.astype(np.float32).reshape(groups, each, -1) for part in parts]
        return torch.from_numpy(np.concatenate(shaped, axis=1))

    def _normal(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.generator)

    def model(self, loss: float) -> ScoreModel:
        """The trained network as a model."""
        config = self.config
        layers = [layer.detach().double().numpy() for layer in self.network.layers]
        offsets = self.network.offsets
        return ScoreModel(
            name=config.name,
            weights=tuple(layer[:, :-1] for layer in layers),
            biases=tuple(layer[:, -1] for layer in layers),
            frequencies=self.network.frequencies.double().numpy(),
            class_offsets=np.zeros((0, 2 * config.n_frequencies))
            if offsets is None
            else offsets.detach().double().numpy(),
            class_names=self.source.class_names,
            beta_min=config.beta_min,
            beta_max=config.beta_max,
            initial=InitialLaw(sd=config.initial_sd),
            noise=NoiseLaw(scale=config.noise_scale),
            output_gain=config.output_gain,
            hidden_clamp_units=config.clamp_units,
            volts_per_unit=config.volts_per_unit,
            training=TrainingRecord(config.data, config.seed, config.steps, loss),
        )


def _cosine(k: int, steps: int) -> float:
    warm_up = min(1.0, (k + 1) / 100)
    return warm_up * (0.5 * (1.0 + math.cos(math.pi * k / steps)) + 0.01)
