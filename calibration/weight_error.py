"""What spreads and shifts of the conductances do to the weights, before a cell is touched."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

import numpy as np

from calibration.arrays import FloatArray
from calibration.placement import Placement
from drivers.integrator import LayerBlock
from protocols.errors import MappingError


@dataclass(frozen=True)
class LayerError:
    """Expected error of one layer's weights (biases included, as the weights they are driven as).

    Attributes:
        largest: the layer's largest |weight| that the window can hold.
        rms: root mean square over the layer's weights of their standard deviation, model units.
        worst: the largest standard deviation of a weight, model units.
    """

    largest: float
    rms: float
    worst: float

    @property
    def relative(self) -> float:
        """rms over the largest weight: the figure that sample quality depends on."""
        return self.rms / self.largest


@dataclass(frozen=True)
class WeightErrorReport:
    """Expected weight error per layer."""

    layers: tuple[LayerError, ...]

    @property
    def relative(self) -> float:
        """The worst layer's rms error over its largest weight."""
        return max(layer.relative for layer in self.layers)

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        layers = [{**asdict(layer), "relative": layer.relative} for layer in self.layers]
        return {"relative": self.relative, "layers": layers}


@dataclass(frozen=True)
class LayerBudget:
    """Expected error of one layer's weights by cause, rms over the layer, in model units.

    Attributes:
        largest: the layer's largest |weight| that the window can hold.
        parts: rms error by cause. Random causes are standard deviations, systematic ones (drift,
            bad cells, lines) what they shift the weights by.
    """

    largest: float
    parts: Mapping[str, float]

    @property
    def total(self) -> float:
        """All causes together, added in squares."""
        return math.sqrt(sum(part**2 for part in self.parts.values()))

    @property
    def relative(self) -> float:
        """The total over the largest weight."""
        return self.total / self.largest


@dataclass(frozen=True)
class ErrorBudget:
    """Expected weight error by layer and cause."""

    layers: tuple[LayerBudget, ...]

    @property
    def relative(self) -> float:
        """The worst layer's total over its largest weight."""
        return max(layer.relative for layer in self.layers)

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        layers = [
            {
                "largest": layer.largest,
                "parts": dict(layer.parts),
                "total": layer.total,
                "relative": layer.relative,
            }
            for layer in self.layers
        ]
        return {"relative": self.relative, "layers": layers}


def error_budget(
    placement: Placement,
    spreads: Mapping[str, FloatArray],
    shifts: Mapping[str, FloatArray],
) -> ErrorBudget:
    """Weight error of a placement whose cells deviate.

    Args:
        placement: the network.
        spreads: standard deviations (n,) in siemens by cause; independent from cell to cell.
        shifts: known deviations (n,) in siemens by cause; those of a pair may cancel.

    Raises:
        MappingError: not one finite number per cell.
    """
    for name, values in (*spreads.items(), *shifts.items()):
        if values.shape != (len(placement),) or not np.all(np.isfinite(values)):
            raise MappingError(f"{name}: one finite deviation for each cell is needed.")
    layers = []
    for index, block in enumerate(placement.blocks):
        mine = np.flatnonzero(placement.layer == index)
        count = block.inputs * block.outputs
        parts = {
            name: block.feedback_ohm * math.sqrt(float(np.sum(values[mine] ** 2)) / count)
            for name, values in spreads.items()
        }
        for name, values in shifts.items():
            sums = np.zeros((block.outputs, block.inputs))
            where = (placement.output[mine], placement.input[mine])
            np.add.at(sums, where, placement.sign[mine] * values[mine])
            parts[name] = block.feedback_ohm * float(np.sqrt(np.mean(sums**2)))
        layers.append(LayerBudget(block.feedback_ohm * _usable(placement, block), parts))
    return ErrorBudget(tuple(layers))


def realised_error(wanted: Placement, siemens: FloatArray) -> list[float]:
    """Rms error of each layer's weights (biases as they are driven) at conductances (n,)."""
    off = {"all": np.asarray(siemens, dtype=np.float64) - wanted.target_siemens}
    return [layer.parts["all"] for layer in error_budget(wanted, {}, off).layers]


def _usable(placement: Placement, block: LayerBlock) -> float:
    """The largest conductance difference that the window holds."""
    low, high = placement.window_siemens
    return high - (low if block.differential else block.reference_siemens)


def expected_weight_error(
    placement: Placement, sigma_siemens: Callable[[FloatArray], FloatArray]
) -> WeightErrorReport:
    """Standard deviation of the weights when a cell at G deviates by sigma_siemens(G).

    Deviations of different cells are taken as independent, so those of a pair add in squares.

    Raises:
        MappingError: `sigma_siemens` gives a negative or not finite deviation.
    """
    sigma = np.asarray(sigma_siemens(placement.target_siemens), dtype=np.float64)
    if sigma.shape != placement.target_siemens.shape or not np.all(
        np.isfinite(sigma) & (sigma >= 0.0)
    ):
        raise MappingError("sigma_siemens must give one finite deviation >= 0 per conductance.")
    layers = []
    for index, block in enumerate(placement.blocks):
        mine = placement.layer == index
        variance = np.zeros((block.outputs, block.inputs))
        where = (placement.output[mine], placement.input[mine])
        np.add.at(variance, where, (block.feedback_ohm * sigma[mine]) ** 2)
        layers.append(
            LayerError(
                largest=block.feedback_ohm * _usable(placement, block),
                rms=float(np.sqrt(np.mean(variance))),
                worst=float(np.sqrt(np.max(variance))),
            )
        )
    return WeightErrorReport(tuple(layers))
