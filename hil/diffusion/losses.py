"""What training minimises: score matching, distance of solved samples, hardware wishes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

_HARMONICS = 8
_RHO_UNITS = 0.6
_RHO_LIMIT = 3.0
_SATURATION_MARGIN = 0.1
_SCORE_LIMIT = 15.0
_WEIGHT_LIMIT = 3.5
_OFFSET_LIMIT = 0.8
_FAR = 0.05  # squared radius error from which the radius distance grows linearly


def score_matching(score: Tensor, noise: Tensor, std: Tensor) -> Tensor:
    """Denoising score matching weighted by std^2 (Song et al. 2021, eq. 7): |std s + z|^2, mean."""
    return (std[..., None] * score + noise).square().sum(-1).mean()


def energy_distance(samples: Tensor, data: Tensor) -> Tensor:
    """Unbiased energy distance (Szekely & Rizzo 2013), (groups, batch, d) -> (groups,).

    2 E|x - y| - E|x - x'| - E|y - y'|, zero in the mean if and only if the laws agree.
    """
    pairs = samples.shape[1] * (samples.shape[1] - 1)
    between = torch.cdist(samples, data).mean((1, 2))
    within = torch.cdist(samples, samples).sum((1, 2)) + torch.cdist(data, data).sum((1, 2))
    return 2.0 * between - within / pairs


def radius_distance(samples: Tensor, data: Tensor) -> Tensor:
    """Squared Wasserstein-2 distance of the radii per group, (groups,); linear for far groups."""
    radius = (samples.square().sum(-1) + 1e-12).sqrt().sort(1)[0]
    squared = (radius - data.square().sum(-1).sqrt().sort(1)[0]).square().mean(1)
    linear = (squared.clamp_min(1e-9) * _FAR).sqrt()
    return torch.where(squared < _FAR, squared, linear)


def moment_distance(samples: Tensor, data: Tensor) -> Tensor:
    """Squared difference of angular moments, of points and of their radius, (groups,).

    E[exp(i k angle)] and E[rho exp(i k angle)] for k = 1..8, weighted by 1/k, with rho the radius
    counted from the data's mean in units of 5/3 of its standard deviation, at most +-3. The second
    sees a ring that is not round, which neither the radii nor the angles alone show.
    """
    radius = (samples.square().sum(-1) + 1e-6).sqrt()
    data_radius = data.square().sum(-1).sqrt()
    scale, centre = _RHO_UNITS / data_radius.std(), data_radius.mean()
    ours = _moments(samples, (scale * (radius - centre)).clamp(-_RHO_LIMIT, _RHO_LIMIT))
    theirs = _moments(data, scale * (data_radius - centre))
    order = torch.arange(1, _HARMONICS + 1).repeat(4)
    return ((ours - theirs).square() / order[:, None]).sum(0)


def _moments(points: Tensor, rho: Tensor) -> Tensor:
    """Means over the batch of cos, sin, rho cos, rho sin of k angle, (4 x 8, groups)."""
    angle = torch.atan2(points[..., 1], points[..., 0])
    phase = torch.arange(1, _HARMONICS + 1)[:, None, None] * angle
    cosine, sine = phase.cos(), phase.sin()
    return torch.cat([cosine, sine, rho * cosine, rho * sine]).mean(-1)


def spread_distance(samples: Tensor, data: Tensor) -> Tensor:
    """Squared difference of means plus that of covariances over the data's spread, (groups,).

    Both in squared units: where a set lies, how wide and how tilted it is.
    """
    ours, theirs = samples.mean(1), data.mean(1)
    apart = (ours - theirs).square().sum(-1)
    a, b = _covariance(samples - ours[:, None]), _covariance(data - theirs[:, None])
    wide = b.detach().diagonal(dim1=1, dim2=2).sum(1) + 1e-6
    return apart + (a - b).square().sum((1, 2)) / wide


def _covariance(centred: Tensor) -> Tensor:
    return centred.transpose(1, 2) @ centred / (centred.shape[1] - 1)


def offset_range(offsets: Tensor) -> Tensor:
    """Penalty on class offsets beyond 0.8 units: they share a converter with the embedding."""
    return 0.1 * (offsets.abs() - _OFFSET_LIMIT).clamp_min(0.0).square().sum()


def saturation(hidden: Sequence[Tensor], score: Tensor, limit: float) -> Tensor:
    """Penalty on hidden units near their limit and on scores beyond 15 units.

    Linear above the threshold, like the published penalty, but counted from the threshold on.
    """
    threshold = limit - _SATURATION_MARGIN
    near = [(units - threshold).clamp_min(0.0).mean() for units in hidden]
    return sum(near[1:], near[0]) + 0.02 * (score.abs() - _SCORE_LIMIT).clamp_min(0.0).mean()


def dynamic_range(layers: list[Tensor], strength: float) -> Tensor:
    """Penalty on each layer's largest weight, on weights over 3.5 and on biases above the largest.

    Conductance errors are additive and scale with the layer's largest weight, biases included.
    """
    total = torch.zeros(())
    for layer in layers:
        weight, bias = layer[:, :-1], layer[:, -1]
        largest = weight.abs().max()
        total = total + strength * largest.square()
        total = total + 0.1 * (bias.abs() - largest.detach()).clamp_min(0.0).square().sum()
        total = total + 0.1 * (weight.abs() - _WEIGHT_LIMIT).clamp_min(0.0).square().sum()
    return total
