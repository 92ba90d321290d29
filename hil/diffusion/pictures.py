"""From a sample to a picture: the decoder of a small variational autoencoder, in plain numpy.

    encoder   pixels (h w) -> rectified layers -> mean and logarithm of the variance, each (d,)
    decoder   latent (d,) -> rectified layers -> pixels in 0..1 by the logistic function

A latent unit is 1 / `scale` of a model unit: the score network works on latents divided by `scale`.
The prior of a class is a normal of unit variance about its own centre, as in the published
conditional network (Kingma & Welling 2014 for the method; the centres of three classes are the
published ones).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hil.diffusion.keyed import FloatArray
from hil.diffusion.network import Layer
from protocols.errors import DataError, ModelError


class Pictures(NamedTuple):
    """Pictures (n, h, w) from 0 to 1, their classes (n,), and what the classes are called."""

    images: FloatArray
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]


class Codec(Protocol):
    """Makes pictures of samples."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of a picture."""

    def decode(self, samples: ArrayLike) -> FloatArray:
        """(n, h, w) pictures, 0 black to 1 white, of samples (n, d) in model units."""


@dataclass(frozen=True)
class PixelCodec:
    """Samples that are pictures themselves: -1 is black, +1 is white."""

    shape: tuple[int, int]

    def decode(self, samples: ArrayLike) -> FloatArray:
        """See `Codec`; what leaves black or white is shown as black or white."""
        points = _points(samples, self.shape[0] * self.shape[1])
        return np.clip(0.5 * (points + 1.0), 0.0, 1.0).reshape(-1, *self.shape)

    def encode(self, images: ArrayLike) -> FloatArray:
        """(n, h w) samples of pictures (n, h, w)."""
        return 2.0 * _pictures(images, self.shape) - 1.0


@dataclass(frozen=True, eq=False)
class Vae:
    """A trained encoder and decoder.

    `encoder` and `decoder` are (weights (out, in), biases (out,)) per layer; the encoder's last
    layer gives the mean, then the logarithm of the variance. `centres` (classes, d) are the means
    of the classes' priors and `scale` the latent units in a model unit.

    Raises ModelError when the layers do not fit together.
    """

    encoder: tuple[Layer, ...]
    decoder: tuple[Layer, ...]
    centres: FloatArray
    shape: tuple[int, int]
    scale: float

    def __post_init__(self) -> None:
        pixels, size = self.shape[0] * self.shape[1], self.dimensions
        for name, layers, into, out in (
            ("encoder", self.encoder, pixels, 2 * size),
            ("decoder", self.decoder, size, pixels),
        ):
            sizes = [into, *(w.shape[0] for w, _ in layers)]
            fit = all(
                w.shape == (sizes[k + 1], sizes[k]) and b.shape == (sizes[k + 1],)
                for k, (w, b) in enumerate(layers)
            )
            if not layers or not fit or sizes[-1] != out:
                raise ModelError(
                    f"the {name}'s layers {[w.shape for w, _ in layers]} do not lead from {into} "
                    f"to {out} values."
                )

    @property
    def dimensions(self) -> int:
        """Latent dimensions."""
        return int(self.centres.shape[1])

    def decode(self, samples: ArrayLike) -> FloatArray:
        """See `Codec`; DataError for samples that are not (n, d) or not finite."""
        latent = _points(samples, self.dimensions) * self.scale
        return _logistic(_network(self.decoder, latent)).reshape(-1, *self.shape)

    def encode(self, images: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation (n, d) in model units of each picture's posterior.

        Raises DataError for pictures of another shape or values outside 0..1.
        """
        out = _network(self.encoder, _pictures(images, self.shape))
        mean, log_variance = np.split(out, 2, axis=1)
        return mean / self.scale, np.exp(0.5 * log_variance) / self.scale


def _network(layers: Sequence[Layer], signal: NDArray[np.float64]) -> FloatArray:
    for weight, bias in layers[:-1]:
        signal = np.maximum(signal @ weight.T + bias, 0.0)
    weight, bias = layers[-1]
    return np.asarray(signal @ weight.T + bias)


def _logistic(x: FloatArray) -> FloatArray:
    return 0.5 * (1.0 + np.tanh(0.5 * x))


def _points(samples: ArrayLike, size: int) -> FloatArray:
    points = np.asarray(samples, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != size:
        raise DataError(f"samples of shape {points.shape} are no pictures; (n, {size}) is needed.")
    if not np.isfinite(points).all():
        bad = int(np.sum(~np.isfinite(points).all(axis=1)))
        raise DataError(f"{bad} of {len(points)} samples are not finite; they show nothing.")
    return points


def _pictures(images: ArrayLike, shape: tuple[int, int]) -> FloatArray:
    """Pictures (n, h, w) as rows (n, h w)."""
    values = np.asarray(images, dtype=np.float64)
    if values.ndim != 3 or values.shape[1:] != shape:
        raise DataError(f"pictures of shape {values.shape}; (n, {shape[0]}, {shape[1]}) is needed.")
    if not ((values >= 0.0) & (values <= 1.0)).all():  # false for NaN as well
        raise DataError("a pixel is not within 0 and 1.")
    return values.reshape(len(values), -1)
