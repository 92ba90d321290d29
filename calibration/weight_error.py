"""What a spread of the conductances does to the weights, before a cell is touched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np

from calibration.arrays import FloatArray
from calibration.placement import Placement
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
        low, high = placement.window_siemens
        if not block.differential:
            high, low = high, block.reference_siemens
        layers.append(
            LayerError(
                largest=block.feedback_ohm * (high - low),
                rms=float(np.sqrt(np.mean(variance))),
                worst=float(np.sqrt(np.max(variance))),
            )
        )
    return WeightErrorReport(tuple(layers))
