"""Training of the small variational autoencoder whose latents the score network learns."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from hil.diffusion.keyed import FloatArray
from hil.diffusion.network import Layer
from hil.diffusion.pictures import Pictures, Vae
from hil.diffusion.train_config import VaeConfig
from protocols.errors import InputError

Progress = Callable[[int, int, float], None]
_RATE = 2e-3


def train_vae(pictures: Pictures, config: VaeConfig, progress: Progress | None = None) -> Vae:
    """An encoder and decoder of pictures (n, h, w).

    One thread and seeded draws, as the training of a score network. Raises InputError when there is
    not one centre per class.
    """
    if len(config.centres) != len(pictures.class_names):
        raise InputError(
            f"{len(config.centres)} centres for {len(pictures.class_names)} classes of pictures."
        )
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _Training(pictures, config).run(progress)
    finally:
        torch.set_num_threads(before)


class _Training:
    """Layers, data and draws of one training."""

    def __init__(self, pictures: Pictures, config: VaeConfig) -> None:
        self.config = config
        self.shape = (pictures.images.shape[1], pictures.images.shape[2])
        flat = pictures.images.reshape(len(pictures.images), -1).astype(np.float32)
        self.pixels = torch.from_numpy(flat)
        self.labels = torch.from_numpy(pictures.labels)
        self.centres = torch.tensor(config.centres, dtype=torch.float32)
        self.generator = torch.Generator().manual_seed(config.seed)
        size, n_pixels = self.centres.shape[1], flat.shape[1]
        self.encoder = self._layers((n_pixels, *config.hidden, 2 * size))
        self.decoder = self._layers((size, *reversed(config.hidden), n_pixels))

    def _layers(self, sizes: tuple[int, ...]) -> list[tuple[Tensor, Tensor]]:
        layers = []
        for inputs, outputs in itertools.pairwise(sizes):
            weight = torch.randn((outputs, inputs), generator=self.generator)
            layers.append(
                (
                    (weight * math.sqrt(2.0 / inputs)).requires_grad_(),
                    torch.zeros(outputs).requires_grad_(),
                )
            )
        return layers

    def run(self, progress: Progress | None) -> Vae:
        config = self.config
        trained = [tensor for layer in (*self.encoder, *self.decoder) for tensor in layer]
        optimizer = torch.optim.Adam(trained, lr=_RATE)
        smoothed = 0.0
        for step in range(config.steps):
            falling = 0.5 * (1.0 + math.cos(math.pi * step / config.steps)) + 0.01
            optimizer.param_groups[0]["lr"] = _RATE * falling
            loss = self._loss()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            smoothed += (loss.item() - smoothed) * max(0.02, 1.0 / (step + 1))
            if progress is not None:
                progress(step + 1, config.steps, smoothed)
        return Vae(
            encoder=tuple(_plain(layer) for layer in self.encoder),
            decoder=tuple(_plain(layer) for layer in self.decoder),
            centres=np.array(config.centres, dtype=np.float64),
            shape=self.shape,
            scale=config.scale,
        )

    def _loss(self) -> Tensor:
        picked = torch.randint(len(self.pixels), (self.config.batch,), generator=self.generator)
        pixels, centres = self.pixels[picked], self.centres[self.labels[picked]]
        mean, log_variance = _network(self.encoder, pixels).chunk(2, dim=1)
        noise = torch.randn(mean.shape, generator=self.generator)
        latent = mean + (0.5 * log_variance).exp() * noise
        logits = _network(self.decoder, latent)
        entropy = torch.nn.functional.binary_cross_entropy_with_logits(
            logits, pixels, reduction="sum"
        )
        apart = (mean - centres).square() + log_variance.exp() - 1.0 - log_variance
        return (entropy + self.config.prior_weight * 0.5 * apart.sum()) / len(picked)


def _network(layers: list[tuple[Tensor, Tensor]], signal: Tensor) -> Tensor:
    for weight, bias in layers[:-1]:
        signal = torch.nn.functional.linear(signal, weight, bias).relu()
    return torch.nn.functional.linear(signal, *layers[-1])


def _plain(layer: tuple[Tensor, Tensor]) -> Layer:
    weight, bias = (tensor.detach().double().numpy() for tensor in layer)
    return _array(weight), _array(bias)


def _array(values: FloatArray) -> FloatArray:
    return np.array(values, dtype=np.float64)
