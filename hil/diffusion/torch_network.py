"""The score network in torch, for training: many perturbed copies side by side.

A *group* is one draw of weight errors, as one programmed chip would have them; tensors are (groups,
batch, features), so that one batched product serves all groups.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

SigmaOfWeight = Callable[[Tensor], Tensor]
"""Maps weights as fractions of the layer's largest one to a sigma in the same fractions."""


@dataclass(frozen=True)
class WeightNoise:
    """Errors that training must live with; biases are weights of a bias row and err likewise.

    `additive`: standard deviation as a fraction of the layer's largest |weight|, because an error
    of conductance does not know the weight. `spread` groups draw theirs uniformly between 0 and
    twice that figure, so that clean and bad chips are both seen. `sigma_of_weight`, where given,
    replaces the constant by a function of the weight (the mapped cell's sigma(G)), and is
    multiplied by the same draw. `multiplicative`: weight times (1 + eps), eps ~ N(0, sigma), and
    |eps| > `multiplicative_limit` redrawn uniformly within the limit (published `add_noise`).
    """

    additive: float = 0.02
    multiplicative: float = 0.05
    multiplicative_limit: float = 0.1
    spread: bool = True
    sigma_of_weight: SigmaOfWeight | None = None


@dataclass
class TorchNetwork:
    """Augmented layers (out, in + 1), bias last, and the embedding's fixed frequencies (7,)."""

    layers: list[Tensor]
    frequencies: Tensor
    output_gain: float

    @classmethod
    def random(
        cls, frequencies: Tensor, output_gain: float, generator: torch.Generator
    ) -> TorchNetwork:
        """A fresh 2 -> h -> h -> 2 network, h = twice the number of frequencies."""
        width = 2 * len(frequencies)
        layers = []
        for inputs, outputs in ((2, width), (width, width), (width, 2)):
            weight = _uniform((outputs, inputs), generator) / math.sqrt(inputs)
            bias = 0.3 * _uniform((outputs, 1), generator)
            layers.append(torch.cat([weight, bias], dim=1).requires_grad_())
        return cls(layers, frequencies, output_gain)

    def embedding(self, tau: Tensor) -> Tensor:
        """e(tau), shape tau.shape + (14,)."""
        phase = 2.0 * math.pi * tau[..., None] * self.frequencies
        return torch.cat([phase.sin(), phase.cos()], dim=-1)

    def perturbed(
        self, groups: int, noise: WeightNoise, generator: torch.Generator
    ) -> list[Tensor]:
        """One set of augmented layers (groups, out, in + 1) per draw of errors."""
        return [perturb(layer, groups, noise, generator) for layer in self.layers]

    def forward(
        self, layers: list[Tensor], x: Tensor, embedding: Tensor, limit: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(score, a_1, a_2) for x (groups, batch, 2); a_k is what enters the k-th rectifier.

        `limit` (groups, 1, 1) is each group's upper limit of the rectifiers.
        """
        first = _linear(layers[0], x) + embedding
        second = _linear(layers[1], torch.minimum(first.relu(), limit)) + embedding
        score = _linear(layers[2], torch.minimum(second.relu(), limit))
        return self.output_gain * score, first, second


def perturb(layer: Tensor, groups: int, noise: WeightNoise, generator: torch.Generator) -> Tensor:
    """`groups` copies of an augmented layer with multiplicative, then additive errors."""
    shape = (groups, *layer.shape)
    largest = layer[:, :-1].abs().max()
    copies = layer.expand(shape)
    if noise.multiplicative > 0.0:
        copies = copies * (1.0 + _limited_normal(shape, noise, generator))
    if noise.additive > 0.0 or noise.sigma_of_weight is not None:
        sigma: float | Tensor = noise.additive
        if noise.sigma_of_weight is not None:
            sigma = noise.sigma_of_weight((layer / largest).detach())
        if noise.spread:
            sigma = sigma * 2.0 * torch.rand((groups, 1, 1), generator=generator)
        copies = copies + torch.randn(shape, generator=generator) * sigma * largest
    return copies


def _limited_normal(
    shape: tuple[int, ...], noise: WeightNoise, generator: torch.Generator
) -> Tensor:
    eps = noise.multiplicative * torch.randn(shape, generator=generator)
    redrawn = noise.multiplicative_limit * _uniform(shape, generator)
    return torch.where(eps.abs() > noise.multiplicative_limit, redrawn, eps)


def _uniform(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return 2.0 * torch.rand(shape, generator=generator) - 1.0


def _linear(layer: Tensor, x: Tensor) -> Tensor:
    return torch.baddbmm(layer[:, None, :, -1], x, layer[:, :, :-1].transpose(1, 2))
