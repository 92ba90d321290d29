"""A score model: everything that a bench must know to run one trained network.

In the analog loop, with loop time t from 0 to `duration` and tau = 1 - t / duration,

    dx/dt = kf 1/2 beta(tau) x + kg c beta(tau) s(x, tau) + n(t)

with c = 1/2 and n = 0 for the probability-flow ODE, and c = 1 for the reverse SDE, whose noise is
n = noise.scale sqrt(kg beta(tau)) times white noise of unit density per coordinate. Held for a
tick of length dt, n is noise.scale sqrt(kg beta(tau) / dt) times a standard normal number, redrawn
every tick. So kf and kg are the gains from the words 1/2 beta and c beta to a rate in 1 / model
time. With kf = kg and scale 1 this is the proper reverse SDE; a smaller scale runs the same drift
at a lower temperature, which sharpens samples that a shallow network would blur.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hil.diffusion.keyed import FloatArray
from hil.diffusion.network import Layer, embedding, forward
from hil.diffusion.schedule import VpSchedule
from protocols.errors import ModelError

DIMENSIONS = 2
ODE_COEFFICIENT = 0.5
SDE_COEFFICIENT = 1.0


@dataclass(frozen=True)
class InitialLaw:
    """Law of x(T): independent normal coordinates with standard deviation `sd`, in model units."""

    kind: str = "normal"
    sd: float = 1.0


@dataclass(frozen=True)
class NoiseLaw:
    """Noise of the SDE mode, see the module's docstring; `scale` 1 is the reverse SDE's own."""

    kind: str = "proper"
    scale: float = 1.0


@dataclass(frozen=True)
class TrainingRecord:
    """How the weights came about; `metrics` holds figures of the software baseline by name."""

    data: str = "ring"
    seed: int = 0
    steps: int = 0
    loss: float = 0.0
    metrics: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, eq=False)
class ScoreModel:
    """One trained network with the law of its loop; arrays are read-only float64.

    `weights[k]` is (out, in), `biases[k]` (out,), `frequencies` (7,), `class_offsets`
    (n_classes, 14), in model units; `volts_per_unit` is the voltage of one model unit (this
    project's choice, as is its default). `hidden_clamp_units` is where the rectifiers saturate.
    """

    name: str
    weights: tuple[FloatArray, ...]
    biases: tuple[FloatArray, ...]
    frequencies: FloatArray
    class_offsets: FloatArray
    beta_min: float
    beta_max: float
    kf: float = 1.0
    kg: float = 1.0
    initial: InitialLaw = InitialLaw()
    noise: NoiseLaw = NoiseLaw()
    output_gain: float = 5.0
    duration: float = 1.0
    capture_time: float = 1.0
    volts_per_unit: float = 0.1
    hidden_clamp_units: float = 1.5
    training: TrainingRecord = TrainingRecord()

    def __post_init__(self) -> None:
        for key in ("weights", "biases"):
            object.__setattr__(self, key, tuple(_frozen(a) for a in getattr(self, key)))
        for key in ("frequencies", "class_offsets"):
            object.__setattr__(self, key, _frozen(getattr(self, key)))

    @property
    def layers(self) -> tuple[Layer, ...]:
        """(weights, biases) of each layer."""
        return tuple(zip(self.weights, self.biases, strict=True))

    @property
    def schedule(self) -> VpSchedule:
        """The beta law."""
        return VpSchedule(self.beta_min, self.beta_max)

    @property
    def channels(self) -> int:
        """Embedding channels, which is also the width of the hidden layers."""
        return 2 * len(self.frequencies)

    @property
    def n_classes(self) -> int:
        """Number of classes, 0 for an unconditional model."""
        return len(self.class_offsets)

    def tau(self, t: ArrayLike) -> FloatArray:
        """Diffusion time of loop time t."""
        return np.asarray(1.0 - np.asarray(t, dtype=np.float64) / self.duration)

    def embedding(self, tau: ArrayLike) -> FloatArray:
        """e(tau), shape tau.shape + (14,): all sines, then all cosines, without class offset."""
        return embedding(self.frequencies, tau)

    def injected(self, tau: ArrayLike, label: int | None = None) -> FloatArray:
        """What is added before both rectifiers: e(tau) plus the offsets of class `label`.

        Raises ModelError when the model has no such class.
        """
        e = self.embedding(tau)
        if label is None:
            return e
        if not 0 <= label < self.n_classes:
            raise ModelError(
                f"model {self.name!r} has {self.n_classes} classes; class {label} does not exist."
            )
        return np.asarray(e + self.class_offsets[label])

    def layer_outputs(
        self,
        x: ArrayLike,
        tau: ArrayLike,
        weights: Sequence[Layer] | None = None,
        *,
        label: int | None = None,
        clamp: bool = False,
    ) -> tuple[FloatArray, ...]:
        """(h_1, h_2, s) for x (..., 2); tau broadcasts against x's leading axes.

        `weights` replaces the model's own (weights, biases) pairs, for instance by those read back
        from a chip. `clamp` applies the hardware's limit of `hidden_clamp_units`.
        """
        return forward(
            self.layers if weights is None else weights,
            self.output_gain,
            np.asarray(x, dtype=np.float64),
            self.injected(tau, label),
            self.hidden_clamp_units if clamp else None,
        )

    def score(
        self,
        x: ArrayLike,
        tau: ArrayLike,
        weights: Sequence[Layer] | None = None,
        *,
        label: int | None = None,
        clamp: bool = False,
    ) -> FloatArray:
        """s(x, tau), same shape as x (..., 2); arguments as for `layer_outputs`."""
        return self.layer_outputs(x, tau, weights, label=label, clamp=clamp)[-1]

    def with_layers(self, layers: Sequence[Layer]) -> ScoreModel:
        """The same model with other weights and biases, for instance those of a programmed chip.

        Raises ModelError when a shape differs or a value is not finite.
        """
        new = [
            (np.asarray(w, dtype=np.float64), np.asarray(b, dtype=np.float64)) for w, b in layers
        ]
        shapes = [(w.shape, b.shape) for w, b in new]
        if shapes != [(w.shape, b.shape) for w, b in self.layers]:
            raise ModelError(f"layers of shapes {shapes} do not fit model {self.name!r}.")
        if not all(np.isfinite(w).all() and np.isfinite(b).all() for w, b in new):
            raise ModelError(f"a weight or bias given to model {self.name!r} is not finite.")
        return dataclasses.replace(
            self, weights=tuple(w for w, _ in new), biases=tuple(b for _, b in new)
        )


def _frozen(array: NDArray[np.float64]) -> FloatArray:
    copy = np.array(array, dtype=np.float64)
    copy.setflags(write=False)
    return copy
