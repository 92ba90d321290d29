"""The law of the noise that a solve adds, and of the score's coefficient that goes with it.

The reverse of the forward process of `schedule` has a whole family of equations with the same
marginals (Song et al., ICLR 2021, section 4.3 and appendix D.1; Karras et al., NeurIPS 2022,
appendix B.5): with loop time t,

    dx/dt = kf 1/2 beta x + kg c beta s(x, tau) + n(t),   c = (1 + lambda^2) / 2,

where n is white noise of density lambda sqrt(kg beta) per coordinate. lambda = 0 is the
probability-flow ODE and lambda = 1 the reverse SDE. All members sample the same law when s is the
exact score; a small network's s is not, noise then repairs some errors and adds others, and which
member samples best is a property of the network (`noise_study` finds it).

Two kinds of noise, c free in both:

    "proper"     density = scale sqrt(kg beta)
    "published"  density = scale kg beta sqrt(PUBLISHED_TICK)

The published firmware drives noise in proportion to beta instead of its root and holds it for its
tick of 5 ms in a solve of 1 s, whatever that tick does to the variance (a property of its timer.c).
Held for that tick its noise is `scale kg beta` times a standard normal number, which is what the
second kind says; on any other tick this project keeps the density and not the height, so that the
law means the same whatever the tick. The volts that the published noise word makes are not known,
so its `scale` compares with no setting of that firmware.

From tau = `until` down to 0 the noise is off and c is 1/2: the solve ends as the ODE, which does
not blur what the last steps have to sharpen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from protocols.errors import InputError

FloatArray = NDArray[np.float64]

ODE_COEFFICIENT = 0.5
SDE_COEFFICIENT = 1.0
PROPER, PUBLISHED = KINDS = ("proper", "published")
PUBLISHED_TICK = 1 / 200
"""Of the published solve: 5 ms of 1 s."""
LARGEST_SCALE = 100.0
_HOW = (
    "strength=S[,until=TAU] names a law that keeps the marginals; [kind=proper|published,]scale=S"
    "[,coefficient=C][,until=TAU] sets the fields one by one"
)


@dataclass(frozen=True)
class NoiseLaw:
    """Noise and score coefficient of the SDE mode; the default is the reverse SDE's own.

    Attributes:
        kind: "proper" (noise as the root of beta) or "published" (as beta).
        scale: of the noise, see the module's docstring; 0 is no noise.
        coefficient: c, of the score, while the noise is on.
        until: the tau at which the noise ends and c falls to that of the ODE; 0 is never.
    """

    kind: str = PROPER
    scale: float = 1.0
    coefficient: float = SDE_COEFFICIENT
    until: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(f"noise of kind {self.kind!r}; allowed are {', '.join(KINDS)}.")
        for name, low, high in (
            ("scale", 0.0, LARGEST_SCALE),
            ("coefficient", 0.0, LARGEST_SCALE),
            ("until", 0.0, 1.0),
        ):
            value = getattr(self, name)
            if not (math.isfinite(value) and low <= value <= high):
                raise InputError(f"noise.{name} is {value!r}; {low:g} to {high:g} is allowed.")

    @classmethod
    def preserving(cls, strength: float, until: float = 0.0) -> NoiseLaw:
        """The member lambda = `strength` of the family that leaves the marginals as they are."""
        return cls(PROPER, strength, 0.5 * (1.0 + strength**2), until)

    @classmethod
    def parse(cls, text: str) -> NoiseLaw:
        """The law that an option names.

        "strength=0.6,until=0.25" is a member of the family (`preserving`); "kind=published,scale=5,
        coefficient=0.5" sets the fields one by one, with the defaults where one is left out.

        Raises InputError for anything else.
        """
        values = dict(part.partition("=")[::2] for part in text.replace(" ", "").split(","))
        kind = values.pop("kind", PROPER)
        try:
            given = {key: float(value) for key, value in values.items()}
        except ValueError:
            raise InputError(f"noise law {text!r}: {_HOW}") from None
        if "strength" in given and kind == PROPER and set(given) <= {"strength", "until"}:
            return cls.preserving(given["strength"], given.get("until", 0.0))
        if not values or not set(given) <= {"scale", "coefficient", "until"}:
            raise InputError(f"noise law {text!r}: {_HOW}")
        return cls(kind, **given)

    def score_coefficient(self, tau: ArrayLike) -> FloatArray:
        """c at each tau."""
        return np.where(self._on(tau), self.coefficient, ODE_COEFFICIENT)

    def _on(self, tau: ArrayLike) -> NDArray[np.bool_]:
        """Whether the noise is on."""
        at = np.asarray(tau, dtype=np.float64)
        return np.ones(at.shape, dtype=bool) if self.until == 0.0 else at > self.until

    def density(self, beta: ArrayLike, kg: float, tau: ArrayLike) -> FloatArray:
        """Of the white noise, per coordinate, in units / sqrt(model time).

        Held for a tick of length dt (model time) the noise is a rate of this over sqrt(dt) times a
        standard normal number. `beta` and `tau` have one shape.
        """
        b = np.asarray(beta, dtype=np.float64)
        size = np.sqrt(kg * b) if self.kind == PROPER else kg * b * math.sqrt(PUBLISHED_TICK)
        return np.where(self._on(tau), self.scale * size, 0.0)

    def __str__(self) -> str:
        """In words, for tables."""
        until = f", until tau {self.until:g}" if self.until > 0.0 else ""
        return f"{self.kind}, scale {self.scale:g}, c {self.coefficient:g}{until}"


REVERSE_SDE = NoiseLaw()
