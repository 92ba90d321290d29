"""Where a technology is quiet: what a level's cell is off by, and the levels that are off least.

Three things move a cell off its target. The routine leaves it somewhere in its tolerance, as far
as a noisy confirming read can tell. It then relaxes in logarithmic time: ln G moves by a normal
number of standard deviation `sigma` per root decade, and by `drift` per decade in the mean. And
each solve sees it through read noise, relative to G. All of these depend on the level. The tables
are those of the planner's cell model (of a technology, or fitted to the chip at hand); that
relaxation goes with the logarithm of time at room temperature is this project's assumption.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from calibration.arrays import FloatArray
from calibration.cell_model import CellModel
from calibration.cell_model.laws import NoiseLaw, RelaxLaw
from calibration.mapping import MappingOptions, map_network
from calibration.placement import Placement
from calibration.programming import default_tolerance
from calibration.weight_error import expected_weight_error
from drivers.rram.geometry import Geometry
from protocols.errors import MappingError
from protocols.hardware import Converters, Loop

SigmaLaw = Callable[[FloatArray], FloatArray]
LOWER_EDGES_SIEMENS = tuple(n * 1e-6 for n in (10, 15, 20, 30, 40, 50, 60, 70, 80, 100, 120))
"""Not lower than 10 uS: RESET leaves the median measured cell there at 2 V of source line (data of
A. Levy et al., IEEE TED 2021); at 5 uS a dozen of 564 simulated cells stay away."""
COMMON_MODES = 65
"""Positions of a pair inside its window that are compared."""


@dataclass(frozen=True)
class LevelLaw:
    """How noisy and how restless cells are at each conductance; linear in ln G between knots.

    Attributes:
        noise: read noise, relative, and its correlation from read to read.
        relaxation: spread and drift of ln G per decade of time.
    """

    noise: NoiseLaw
    relaxation: RelaxLaw

    @classmethod
    def of(cls, model: CellModel) -> Self:
        """The law of a technology's model or of one that was fitted to a chip."""
        return cls(model.read_noise, model.relaxation)

    @classmethod
    def from_profile(cls, profile: str | Path | Mapping[str, Any]) -> Self:
        """The law of a profile file or of its content.

        Raises:
            CalibrationError: the file cannot be read, or a table is missing or wrong.
        """
        return cls.of(CellModel.from_profile(profile))

    def read_sd(self, siemens: FloatArray) -> FloatArray:
        """(n,) standard deviation of one reading of cells at `siemens` (n,)."""
        return siemens * _at(siemens, self.noise.siemens, self.noise.sigma)

    def averaged_sd(self, siemens: FloatArray, samples: int) -> FloatArray:
        """(n,) the same of the mean of `samples` readings in a row, which are correlated."""
        rho, lags = self.noise.correlation, np.arange(1, samples)
        factor = (samples + 2.0 * float(np.sum((samples - lags) * rho**lags))) / samples**2
        return math.sqrt(factor) * self.read_sd(siemens)

    def relaxation_sd(self, siemens: FloatArray, decades: float) -> FloatArray:
        """(n,) standard deviation of what cells move in some decades of time."""
        law = self.relaxation
        return siemens * _at(siemens, law.siemens, law.sigma) * math.sqrt(decades)

    def drift(self, siemens: FloatArray, decades: float) -> FloatArray:
        """(n,) mean of what cells move in some decades of time."""
        law = self.relaxation
        return siemens * _at(siemens, law.siemens, law.drift) * decades


def _at(siemens: FloatArray, knots: Sequence[float], table: Sequence[float]) -> FloatArray:
    ln = np.log(np.maximum(siemens, 1e-12))
    return np.asarray(np.interp(ln, np.log(knots), table))


@dataclass(frozen=True)
class Outlook:
    """How the cells will be programmed, and when they will be used.

    Attributes:
        law: what the technology does.
        tolerance: (n,) siemens of tolerance at targets (n,).
        share: standard deviation of the confirming reading over the tolerance. A routine that
            stops at half the tolerance leaves about 0.5 (simulated): a half of cells end inside the
            aim, the others moved out of it and stayed within the tolerance.
        confirm_samples: readings averaged in the confirming read.
        confirmed_after_s: time between a cell's last pulse and its last confirming read.
        used_after_s: time between a cell's last pulse and its use.
    """

    law: LevelLaw
    tolerance: SigmaLaw = default_tolerance
    share: float = 0.5
    confirm_samples: int = 8
    confirmed_after_s: float = 100.0
    used_after_s: float = 3600.0

    def __post_init__(self) -> None:
        for name in ("share", "confirm_samples", "confirmed_after_s", "used_after_s"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise MappingError(f"{name}={value}: a positive number is needed.")

    @property
    def decades(self) -> float:
        """Decades of time from the last confirming read to the use; 0 when that is before."""
        onset = self.law.relaxation.onset_s
        ratio = (self.used_after_s + onset) / (self.confirmed_after_s + onset)
        return max(0.0, math.log10(ratio))

    def parts(self, siemens: FloatArray) -> dict[str, FloatArray]:
        """Standard deviation (n,) of cells at `siemens` (n,) by cause."""
        averaged = self.law.averaged_sd(siemens, self.confirm_samples)
        return {
            "programming": np.hypot(self.share * self.tolerance(siemens), averaged),
            "read noise": self.law.read_sd(siemens),
            "relaxation": self.law.relaxation_sd(siemens, self.decades),
        }

    def sigma(self, siemens: FloatArray) -> FloatArray:
        """(n,) standard deviation of cells at `siemens` (n,), all causes together."""
        return np.sqrt(sum(part**2 for part in self.parts(siemens).values()))


def quiet_targets(placement: Placement, sigma: SigmaLaw) -> Placement:
    """The same weights with every pair moved to where its two arms together are off least.

    Of a single-ended placement nothing can be moved: it comes back as it is.
    """
    partner = placement.partner()
    up = np.flatnonzero((placement.sign > 0) & (partner >= 0))
    if not up.size:
        return placement
    low, high = placement.window_siemens
    target = placement.target_siemens.copy()
    difference = target[up] - target[partner[up]]
    first = np.maximum(low, low + difference)
    room = high - low - np.abs(difference)
    share = np.linspace(1.0, 0.0, COMMON_MODES)[:, None]  # from the top: it wins a draw
    positive = first + share * room
    cost = sigma(positive.ravel()) ** 2 + sigma((positive - difference).ravel()) ** 2
    best = np.argmin(cost.reshape(positive.shape), axis=0)
    chosen = positive[best, np.arange(up.size)]
    target[up], target[partner[up]] = chosen, chosen - difference
    return placement.with_targets(np.clip(target, low, high))


@dataclass(frozen=True)
class LevelChoice:
    """One way to place the levels, and the weight error that it would have.

    Attributes:
        window_siemens, anchor: of `MappingOptions`; the anchor "quiet" is `quiet_targets`.
        relative: root mean square over the layers of their expected rms weight error over their
            largest weight.
    """

    window_siemens: tuple[float, float]
    anchor: str
    relative: float


def compare_levels(
    weights: Sequence[FloatArray],
    biases: Sequence[FloatArray],
    sigma: SigmaLaw,
    *,
    geometry: Geometry,
    loop: Loop,
    converters: Converters,
    options: MappingOptions | None = None,
) -> list[LevelChoice]:
    """Every lower edge of the window with every arm convention, the quietest first.

    The upper edge is that of the options: it is what nearly every cell reaches. A lower edge
    widens the range that a weight is spread over, and lets cells down to where they are restless.

    Raises:
        MappingError: the network fits with none of them.
    """
    base = options or MappingOptions()
    top = base.window[1]
    edges = [e for e in (*LOWER_EDGES_SIEMENS, base.window[0]) if e < 0.9 * top]
    if base.scheme == "single_ended":
        edges = [e for e in edges if e < base.reference_siemens]
    found, refused = [], None
    for low in sorted({round(e, 9) for e in edges}):
        chosen = replace(base, window_siemens=(low, top))
        try:
            found += _choices(weights, biases, sigma, chosen, geometry, loop, converters)
        except MappingError as error:
            refused = error
    if not found:
        raise refused or MappingError("No window to compare.")
    return sorted(found, key=lambda choice: choice.relative)


def _choices(
    weights: Sequence[FloatArray],
    biases: Sequence[FloatArray],
    sigma: SigmaLaw,
    options: MappingOptions,
    geometry: Geometry,
    loop: Loop,
    converters: Converters,
) -> list[LevelChoice]:
    def of(anchor: str, placement: Placement) -> LevelChoice:
        layers = expected_weight_error(placement, sigma).layers
        relative = math.sqrt(sum(layer.relative**2 for layer in layers) / len(layers))
        return LevelChoice(options.window, anchor, relative)

    placed = {
        anchor: map_network(
            weights,
            biases,
            geometry=geometry,
            loop=loop,
            converters=converters,
            options=replace(options, anchor=anchor),
        )
        for anchor in ("top", "centre", "bottom")
    }
    if options.scheme == "single_ended":
        return [of(options.anchor, placed["top"])]
    found = [of(anchor, placement) for anchor, placement in placed.items()]
    return [*found, of("quiet", quiet_targets(placed["top"], sigma))]
