"""What decides a training: the errors it must live with and every number of its two stages.

Nothing here needs torch, so that a task can say how it is trained without loading it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from hil.diffusion.schedule import VpSchedule
from protocols.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    SigmaOfWeight = Callable[[Tensor], Tensor]
    """Maps weights as fractions of the layer's largest one to a sigma in the same fractions."""

THREE_CENTRES = ((2.0 * math.sqrt(3.0), 2.0), (-2.0 * math.sqrt(3.0), 2.0), (0.0, -4.0))
"""Prior means of three classes, latent units; as published."""


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


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides the weights; the defaults reproduce the shipped ring model.

    beta law, x(T) and `noise_scale` go into the model file. The network has `hidden_layers` of
    2 x `n_frequencies` units. `groups` x `batch` points per step; the points of a conditional set
    are the same number of each class, so that `batch` is a multiple of the number of classes.
    `masking` is the share of those points whose label is hidden, which trains the unconditional
    score as well. `sde_share` of the groups are solved as the SDE in stage 2, with noise of
    `sde_scale`: less than the proper 1, whose blur no weights of this size could undo. The
    `*_weight` fields are the factors of the losses; `radius_weight` and `moment_weight` are for
    rings, `spread_weight` is for means and covariances, per class where there are classes.
    `ticks` held steps are solved in stage 2, by Euler or (`heun`) to second order, without which
    samples that travel far fall short of where the loop ends. `check_samples` solved in
    `check_steps` give the figures of the training record.
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
    hidden_layers: int = 2
    output_gain: float = 5.0
    clamp_units: float = 1.5
    volts_per_unit: float = 0.1
    groups: int = 16
    batch: int = 128
    masking: float = 0.1
    score_steps: int = 3000
    score_rate: float = 5e-3
    score_noise: WeightNoise = field(default_factory=lambda: WeightNoise(additive=0.01))
    solve_steps: int = 3500
    solve_rate: float = 3e-3
    solve_noise: WeightNoise = field(default_factory=lambda: WeightNoise(additive=0.025))
    ticks: int = 20
    heun: bool = False
    offset_sd: float = 0.01
    sde_share: float = 0.375
    sde_weight: float = 0.6
    sde_scale: float = 0.45
    radius_weight: float = 10.0
    moment_weight: float = 0.1
    spread_weight: float = 0.0
    score_weight: float = 0.002
    saturation_weight: float = 0.5
    range_weight: float = 3e-4
    check_samples: int = 50_000
    check_steps: int = 1000

    def __post_init__(self) -> None:
        if min(self.score_steps, self.solve_steps) < 0 or min(self.groups, self.batch - 1) < 1:
            raise InputError(
                f"training needs steps >= 0, groups >= 1 and batch >= 2; got {self.score_steps} "
                f"and {self.solve_steps} steps, {self.groups} groups of {self.batch}."
            )
        if not 0.0 <= self.masking < 1.0 or min(self.hidden_layers, self.n_frequencies) < 1:
            raise InputError(
                f"training needs masking from 0 to below 1, hidden layers and frequencies; got "
                f"{self.masking}, {self.hidden_layers} and {self.n_frequencies}."
            )

    @property
    def schedule(self) -> VpSchedule:
        """The beta law."""
        return VpSchedule(self.beta_min, self.beta_max)

    @property
    def steps(self) -> int:
        """Steps of both stages."""
        return self.score_steps + self.solve_steps

    def fitting(self, n_classes: int) -> TrainConfig:
        """The same with a batch that the classes share, as large or larger, 16 points each."""
        if n_classes == 0:
            return self
        each = max(math.ceil(self.batch / n_classes), 16)
        return replace(self, batch=each * n_classes)

    def per_class(self, n_classes: int) -> int:
        """Points of each class in a group; InputError when they cannot be equally many."""
        count, left = divmod(self.batch, max(n_classes, 1))
        if left or count < 2:
            raise InputError(
                f"training: {self.batch} points in a group cannot be shared by {n_classes} "
                "classes; take a multiple of the classes, at least two points each."
            )
        return count


@dataclass(frozen=True)
class VaeConfig:
    """Everything that decides an encoder and decoder.

    `centres` (classes, d) are the priors' means in latent units and `scale` the latent units in a
    model unit. The loss is the pixels' cross-entropy plus `prior_weight` times the divergence from
    the class's prior, both per picture; 3 is the published weight.
    """

    centres: tuple[tuple[float, ...], ...] = THREE_CENTRES
    scale: float = 8.0
    hidden: tuple[int, ...] = (96, 48)
    prior_weight: float = 3.0
    steps: int = 4000
    batch: int = 256
    seed: int = 0


def circle(classes: int, radius: float) -> tuple[tuple[float, float], ...]:
    """Prior means of `classes` classes, evenly on a circle; the first lies on the first axis."""
    angles = [2.0 * math.pi * k / classes for k in range(classes)]
    return tuple((radius * math.cos(a), radius * math.sin(a)) for a in angles)
