"""Software that solves the same equation on a processor, in the forms that a chip is held against.

    published  eager torch as the published repository samples: Euler, and in each step the
               embedding of every sample's own time, computed anew (structure after its my_sde.py)
    eager      the best that eager torch was brought to here: words and embedding once per step,
               blocks that stay in the cache, results in place, Heun's rule on words from the middle
               of each step

Both are the probability-flow ODE in single precision. A form that is compiled has the same
interface (`Form`) and lives where its kernel does.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from hil.diffusion.keyed import FloatArray
from hil.diffusion.noise_law import ODE_COEFFICIENT
from hil.diffusion.score_model import ScoreModel

BLOCK = 8192
"""Samples that are solved at once: their state and both hidden layers stay in a core's cache."""


class Form(Protocol):
    """One way to solve: `solve` gives the ends of trajectories that start at x0 (n, d)."""

    @property
    def key(self) -> str:
        """Short name, for JSON."""
        ...

    @property
    def name(self) -> str:
        """In words, for tables."""
        ...

    def solve(self, x0: FloatArray, steps: int, label: int | None = None) -> FloatArray:
        """Ends (n, d) in model units."""
        ...


@dataclass(frozen=True)
class PublishedTorch:
    """The published loop, step by step."""

    model: ScoreModel
    key: str = "published"
    name: str = "as published (eager torch, Euler)"

    def solve(self, x0: FloatArray, steps: int, label: int | None = None) -> FloatArray:
        """See `Form`."""
        model, dt = self.model, self.model.capture_time / steps
        x = torch.from_numpy(np.asarray(x0, dtype=np.float32))
        offset = self._offset(label)
        with torch.no_grad():
            for k in range(steps):
                tau = torch.full((len(x), 1), 1.0 - k * dt / model.duration)
                beta = model.beta_min + tau * (model.beta_max - model.beta_min)
                score = self._score(x, tau, offset)
                drift = 0.5 * model.kf * beta * x + ODE_COEFFICIENT * model.kg * beta * score
                x = x + drift * dt
        return x.double().numpy()

    def _offset(self, label: int | None) -> Tensor:
        shift = self.model.injected(0.0, label) - self.model.injected(0.0)
        return torch.from_numpy(shift.astype(np.float32))

    @cached_property
    def _layers(self) -> list[torch.nn.Linear]:
        layers = []
        for weight, bias in self.model.layers:
            layer = torch.nn.Linear(weight.shape[1], weight.shape[0])
            layer.weight.data = torch.from_numpy(weight.astype(np.float32))
            layer.bias.data = torch.from_numpy(bias.astype(np.float32))
            layers.append(layer)
        return layers

    def _score(self, x: Tensor, tau: Tensor, offset: Tensor) -> Tensor:
        frequencies = torch.from_numpy(self.model.frequencies.astype(np.float32))
        phase = 2.0 * torch.pi * tau * frequencies
        embedding = torch.cat([torch.sin(phase), torch.cos(phase)], dim=1) + offset
        signal = x
        for layer in self._layers[:-1]:
            signal = torch.relu(layer(signal) + embedding)
        score: Tensor = self.model.output_gain * self._layers[-1](signal)
        return score


@dataclass(frozen=True)
class EagerTorch:
    """Eager torch at its best here; see the module's docstring. `heun` False is Euler."""

    model: ScoreModel
    heun: bool = True
    key: str = "eager"
    name: str = "best eager torch (Heun)"

    def solve(self, x0: FloatArray, steps: int, label: int | None = None) -> FloatArray:
        """See `Form`."""
        start = np.asarray(x0, dtype=np.float32)
        ends = np.empty(start.shape)
        tables = _Tables.of(self.model, steps, label, middle=self.heun)
        with torch.inference_mode():
            for low in range(0, len(start), BLOCK):
                part = torch.from_numpy(np.ascontiguousarray(start[low : low + BLOCK].T))
                ends[low : low + BLOCK] = self._march(tables, part).T.numpy()
        return ends

    def _march(self, tables: _Tables, x: Tensor) -> Tensor:
        """The end of a block (d, n)."""
        dt = self.model.capture_time / len(tables.growth)
        for k in range(len(tables.growth)):
            first = tables.rate(x, k)
            if self.heun:
                second = tables.rate(torch.add(x, first, alpha=dt), k)
                x = x.add_(first.add_(second), alpha=0.5 * dt)
            else:
                x = x.add_(first, alpha=dt)
        return x


@dataclass(frozen=True)
class _Tables:
    """What does not depend on the state: matrices, biases with the embedding, words."""

    hidden: list[Tensor]
    bias: list[Tensor]  # (steps, width, 1) each
    output: Tensor
    output_bias: Tensor
    growth: list[float]
    pull: list[float]

    @classmethod
    def of(cls, model: ScoreModel, steps: int, label: int | None, *, middle: bool) -> _Tables:
        at = np.arange(steps) + (0.5 if middle else 0.0)
        tau = model.tau(model.capture_time * at / steps)
        beta, injected = model.schedule.beta(tau), model.injected(tau, label)

        def tensor(values: FloatArray) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))

        weight, bias = model.layers[-1]
        return cls(
            hidden=[tensor(w) for w, _ in model.layers[:-1]],
            bias=[tensor((b + injected)[..., None]) for _, b in model.layers[:-1]],
            output=tensor(model.output_gain * weight),
            output_bias=tensor((model.output_gain * bias)[:, None]),
            growth=(0.5 * model.kf * beta).tolist(),
            pull=(ODE_COEFFICIENT * model.kg * beta).tolist(),
        )

    def rate(self, x: Tensor, step: int) -> Tensor:
        """dx/dt of a block (d, n)."""
        signal = x
        for weight, bias in zip(self.hidden, self.bias, strict=True):
            signal = torch.addmm(bias[step], weight, signal).relu_()
        score = torch.addmm(self.output_bias, self.output, signal)
        return score.mul_(self.pull[step]).add_(x, alpha=self.growth[step])
