"""The score network in torch, for training: many perturbed copies side by side.

A *group* is one draw of weight errors, as one programmed chip would have them; tensors are (groups,
batch, features), so that one batched product serves all groups.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hil.diffusion.train_config import WeightNoise

__all__ = ["TorchNetwork", "WeightNoise", "perturb"]


@dataclass
class TorchNetwork:
    """Augmented layers (out, in + 1), bias last, and the embedding's fixed frequencies (w / 2,).

    `offsets` (classes, w) is what each class adds to the embedding, None without classes.
    """

    layers: list[Tensor]
    frequencies: Tensor
    output_gain: float
    offsets: Tensor | None = None

    @classmethod
    def random(
        cls,
        frequencies: Tensor,
        output_gain: float,
        generator: torch.Generator,
        *,
        dimensions: int = 2,
        hidden_layers: int = 2,
        n_classes: int = 0,
    ) -> TorchNetwork:
        """A fresh d -> w -> .. -> w -> d network, w = twice the number of frequencies."""
        width = 2 * len(frequencies)
        sizes = [dimensions, *[width] * hidden_layers, dimensions]
        layers = []
        for inputs, outputs in itertools.pairwise(sizes):
            weight = _uniform((outputs, inputs), generator) / math.sqrt(inputs)
            bias = 0.3 * _uniform((outputs, 1), generator)
            layers.append(torch.cat([weight, bias], dim=1).requires_grad_())
        offsets = None
        if n_classes:
            offsets = (0.5 * _uniform((n_classes, width), generator)).requires_grad_()
        return cls(layers, frequencies, output_gain, offsets)

    @property
    def parameters(self) -> list[Tensor]:
        """All that is trained: the layers, then the class offsets if there are classes."""
        return [*self.layers, *([] if self.offsets is None else [self.offsets])]

    def replace(self, parameters: Sequence[Tensor]) -> None:
        """Takes other values for all that is trained, in the order of `parameters`."""
        count = len(self.layers)
        self.layers = list(parameters[:count])
        self.offsets = None if self.offsets is None else parameters[count]

    def embedding(self, tau: Tensor) -> Tensor:
        """e(tau), shape tau.shape + (w,), without class offset."""
        phase = 2.0 * math.pi * tau[..., None] * self.frequencies
        return torch.cat([phase.sin(), phase.cos()], dim=-1)

    def perturbed(
        self, groups: int, noise: WeightNoise, generator: torch.Generator
    ) -> list[Tensor]:
        """One set of augmented layers (groups, out, in + 1) per draw of errors."""
        return [perturb(layer, groups, noise, generator) for layer in self.layers]

    def forward(
        self, layers: list[Tensor], x: Tensor, embedding: Tensor, limit: Tensor
    ) -> tuple[Tensor, ...]:
        """(score, a_1, .., a_h) for x (groups, batch, d); a_k is what enters the k-th rectifier.

        `embedding` is added before each of them; `limit` (groups, 1, 1) is each group's upper limit
        of the rectifiers.
        """
        entering, signal = [], x
        for layer in layers[:-1]:
            entering.append(_linear(layer, signal) + embedding)
            signal = torch.minimum(entering[-1].relu(), limit)
        return (self.output_gain * _linear(layers[-1], signal), *entering)


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
