"""A score model: everything that a bench must know to run one trained network.

In the analog loop, with loop time t from 0 to `duration` and tau = 1 - t / duration,

    dx/dt = kf 1/2 beta(tau) x + kg c beta(tau) s(x, tau) + n(t)

with c = 1/2 and n = 0 for the probability-flow ODE; for the SDE c and n are those of the model's
own noise law (`noise_law`), by default the reverse SDE's. So kf and kg are the gains from the words
1/2 beta and c beta to a rate in 1 / model time.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hil.diffusion.keyed import FloatArray
from hil.diffusion.network import Layer, embedding, forward
from hil.diffusion.noise_law import REVERSE_SDE, NoiseLaw
from hil.diffusion.schedule import VpSchedule
from protocols.errors import ModelError


@dataclass(frozen=True)
class InitialLaw:
    """Law of x(T): independent normal coordinates with standard deviation `sd`, in model units."""

    kind: str = "normal"
    sd: float = 1.0


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

    The network is d -> w -> .. -> w -> d: d latent dimensions, at least one hidden layer, all as
    wide as the embedding has channels, because every hidden layer gets the same embedding.
    `weights[k]` is (out, in), `biases[k]` (out,), `frequencies` (w / 2,), `class_offsets`
    (n_classes, w), in model units; `volts_per_unit` is the voltage of one model unit (this
    project's choice, as is its default). `hidden_clamp_units` is where the rectifiers saturate.

    `class_names` says what the classes are called (empty: by number), `task` what the model was
    trained for, `decoder` which file beside the model's own turns its samples into pictures, and
    `reference` which one holds the points that they are judged by (None: the task's own data).
    `folder` is where the model was read from, None for one that was not.

    Raises ModelError when the shapes are not those of such a network.
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
    noise: NoiseLaw = REVERSE_SDE
    output_gain: float = 5.0
    duration: float = 1.0
    capture_time: float = 1.0
    volts_per_unit: float = 0.1
    hidden_clamp_units: float = 1.5
    training: TrainingRecord = TrainingRecord()
    task: str = ""
    decoder: str | None = None
    reference: str | None = None
    class_names: tuple[str, ...] = ()
    folder: Path | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for key in ("weights", "biases"):
            object.__setattr__(self, key, tuple(_frozen(a) for a in getattr(self, key)))
        for key in ("frequencies", "class_offsets"):
            object.__setattr__(self, key, _frozen(getattr(self, key)))
        _check_shapes(self)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """(weights, biases) of each layer."""
        return tuple(zip(self.weights, self.biases, strict=True))

    @property
    def dimensions(self) -> int:
        """Latent dimensions d: coordinates of a sample."""
        return int(self.weights[0].shape[1])

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

    def class_name(self, label: int) -> str:
        """What class `label` is called; ModelError when there is no such class."""
        self.check_label(label)
        return self.class_names[label] if self.class_names else str(label)

    def check_label(self, label: int) -> None:
        """Raises ModelError when the model has no class of this number."""
        if self.n_classes == 0:
            raise ModelError(
                f"model {self.name!r} is unconditional: class {label} does not exist. Leave the "
                "label out, or name a conditional model."
            )
        if not 0 <= label < self.n_classes:
            raise ModelError(
                f"model {self.name!r} has {self.n_classes} classes, 0 to {self.n_classes - 1}; "
                f"class {label} does not exist."
            )

    def tau(self, t: ArrayLike) -> FloatArray:
        """Diffusion time of loop time t."""
        return np.asarray(1.0 - np.asarray(t, dtype=np.float64) / self.duration)

    def embedding(self, tau: ArrayLike) -> FloatArray:
        """e(tau), tau.shape + (channels,): all sines, then all cosines, without class offset."""
        return embedding(self.frequencies, tau)

    def injected(self, tau: ArrayLike, label: int | None = None) -> FloatArray:
        """What is added before both rectifiers: e(tau) plus the offsets of class `label`.

        Raises ModelError when the model has no such class.
        """
        e = self.embedding(tau)
        if label is None:
            return e
        self.check_label(label)
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
        """(h_1, .., s) for x (..., d); tau broadcasts against x's leading axes.

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
        """s(x, tau), same shape as x (..., d); arguments as for `layer_outputs`."""
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


def _check_shapes(model: ScoreModel) -> None:
    """Refuses what is no d -> w -> .. -> w -> d network with one embedding for all layers."""
    name, layers = model.name, model.layers
    if len(layers) < 2 or any(np.ndim(w) != 2 for w in model.weights):
        raise ModelError(f"model {name!r}: at least two layers of weights (out, in) are needed.")
    outputs = [w.shape[0] for w in model.weights]
    widths = sorted(set(outputs[:-1]))
    if widths != [model.channels]:
        raise ModelError(
            f"model {name!r} has hidden layers of {', '.join(map(str, widths))} units and an "
            f"embedding of {model.channels} channels; all hidden layers get the same embedding, "
            "so all of them must be as wide as it has channels."
        )
    inputs = [w.shape[1] for w in model.weights]
    if inputs != [outputs[-1], *outputs[:-1]] or outputs[-1] < 1:
        raise ModelError(
            f"model {name!r}: layers of shapes {[w.shape for w in model.weights]} are no network "
            "from d coordinates to d coordinates."
        )
    for number, (weight, bias) in enumerate(layers, start=1):
        if bias.shape != weight.shape[:1]:
            raise ModelError(f"model {name!r}: layer {number} has biases of shape {bias.shape}.")
    offsets = model.class_offsets
    if offsets.ndim != 2 or offsets.shape[1] != model.channels:
        raise ModelError(
            f"model {name!r}: class_offsets has shape {offsets.shape}; (classes, "
            f"{model.channels}) is needed."
        )
    if model.class_names and len(model.class_names) != len(offsets):
        raise ModelError(
            f"model {name!r} has {len(offsets)} classes and {len(model.class_names)} names."
        )


def _frozen(array: NDArray[np.float64]) -> FloatArray:
    copy = np.array(array, dtype=np.float64)
    copy.setflags(write=False)
    return copy
