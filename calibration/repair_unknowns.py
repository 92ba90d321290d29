"""What a fit of the loop may choose, and what bounds it; see `calibration.repair_flow`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration.arrays import FloatArray
from calibration.twin import Twin

WORDS = 4  # A, G, ω_1, ω_2


@dataclass(frozen=True)
class Reach:
    """What the converters of the loop can give.

    Attributes:
        drift, score: (lowest, highest) factor on each word's rate.
        offset_volts: (ticks,) largest |ω| in volts.
        embedding_volts: (lowest, highest) of what is driven, (channels,) each.
    """

    drift: tuple[float, float]
    score: tuple[float, float]
    offset_volts: FloatArray
    embedding_volts: tuple[FloatArray, FloatArray]


@dataclass(frozen=True)
class Flow:
    """Solutions that shall be reproduced, in volts and model time.

    Attributes:
        start_volts, end_volts: (n, 2) where the software's solutions start and end.
        beta: (ticks,) β of each tick.
        tick: model time of a tick.
        drift: the model's factor of x.
        score: (ticks,) the model's factor of s.
        embedding_volts: (ticks, channels) as the model has it, class offset included.
        noise_volts: (ticks, n, 2) what the noise adds in each tick; None for the ODE.
        unit_volts: one unit of the model.
    """

    start_volts: FloatArray
    end_volts: FloatArray
    beta: FloatArray
    tick: float
    drift: float
    score: FloatArray
    embedding_volts: FloatArray
    noise_volts: FloatArray | None
    unit_volts: float

    @property
    def ticks(self) -> int:
        """Length of a solve."""
        return len(self.beta)

    @property
    def size_volts(self) -> float:
        """Root mean square of the ends."""
        return float(np.sqrt(np.mean(np.sum(self.end_volts**2, axis=1))))


@dataclass(frozen=True)
class FitParams:
    """What is free, how far it is expected to move, and how the solutions are integrated.

    Attributes:
        degree, embedding_degree: of the polynomials of the words and of the embedding.
        word_sd: expected size of A, G and ω (in units).
        embedding_sd_volts: of each channel.
        last_sd: of a weight of the last layer, as a fraction of its largest; 0 leaves it alone.
        stride: ticks per step of the integration.
        iterations: at most.
    """

    degree: int = 4
    embedding_degree: int = 4
    word_sd: float = 0.05
    embedding_sd_volts: float = 0.01
    last_sd: float = 0.0
    stride: int = 4
    iterations: int = 20


@dataclass(frozen=True)
class Drive:
    """What is driven: words as factors, offsets and embedding in volts, for each tick.

    Attributes:
        drift, score: (ticks,) factors on the rates.
        offset_volts: (ticks, 2) ω.
        embedding_volts: (ticks, channels) the sum that is driven, class offset included.
    """

    drift: FloatArray
    score: FloatArray
    offset_volts: FloatArray
    embedding_volts: FloatArray


def nominal_drive(flow: Flow) -> Drive:
    """The drive of the ideal network."""
    one = np.ones(flow.ticks)
    return Drive(one, one, np.zeros((flow.ticks, 2)), flow.embedding_volts)


class Unknowns:
    """The vector of unknowns: coefficients of the words, of the embedding, and the last layer."""

    def __init__(
        self,
        twin: Twin,
        flow: Flow,
        reach: Reach,
        params: FitParams,
        last_range: tuple[FloatArray, FloatArray] | None,
    ) -> None:
        self._twin, self._flow, self._reach = twin, flow, reach
        self.channels: int = flow.embedding_volts.shape[1]
        self.word_basis = _basis(flow.ticks, params.degree)
        self.embedding_basis = _basis(flow.ticks, params.embedding_degree)
        self.words: int = WORDS * self.word_basis.shape[1]
        self.embedding: int = self.channels * self.embedding_basis.shape[1]
        self._last = np.column_stack([twin.weights[-1], twin.bias_volts[-1] / flow.unit_volts])
        self.last: int = self._last.size if params.last_sd > 0.0 else 0
        self._range = last_range
        sizes = (
            (self.words, params.word_sd),
            (self.embedding, params.embedding_sd_volts),
            (self.last, params.last_sd * float(np.abs(self._last).max())),
        )
        self.sd = np.concatenate([np.full(count, sd) for count, sd in sizes])

    @property
    def count(self) -> int:
        """How many unknowns there are."""
        return self.words + self.embedding + self.last

    def _parts(self, at: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        words, embedding, last = np.split(at, [self.words, self.words + self.embedding])
        return words.reshape(WORDS, -1), embedding.reshape(self.channels, -1), last

    def _free(self, at: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Words (ticks, 4) and embedding (ticks, channels) before they are held in range."""
        words, embedding, _ = self._parts(at)
        moved = self.word_basis @ words.T
        wanted = np.column_stack(
            [1.0 + moved[:, 0], 1.0 + moved[:, 1], self._flow.unit_volts * moved[:, 2:]]
        )
        return wanted, self._flow.embedding_volts + self.embedding_basis @ embedding.T

    def _bounds(self) -> tuple[FloatArray, FloatArray]:
        """(ticks, 4) lowest and highest of the words."""
        reach, most = self._reach, self._reach.offset_volts
        one = np.ones_like(most)
        low = np.column_stack([one * reach.drift[0], one * reach.score[0], -most, -most])
        return low, np.column_stack([one * reach.drift[1], one * reach.score[1], most, most])

    def drive(self, at: FloatArray) -> Drive:
        """What is driven: within reach, whatever the coefficients are."""
        words, embedding = self._free(at)
        held = np.clip(words, *self._bounds())
        volts = np.clip(embedding, *self._reach.embedding_volts)
        return Drive(held[:, 0], held[:, 1], held[:, 2:], volts)

    def twin(self, at: FloatArray) -> Twin:
        """The twin with the last layer of these unknowns, within its range."""
        if not self.last:
            return self._twin
        layer = self._layer(at)
        return self._twin.with_last(layer[:, :-1], layer[:, -1] * self._flow.unit_volts)

    def _layer(self, at: FloatArray) -> FloatArray:
        wanted = self._last + self._parts(at)[2].reshape(self._last.shape)
        return wanted if self._range is None else np.clip(wanted, *self._range)

    def slopes(self, at: FloatArray, stride: int) -> Slopes:
        """How the means over each step change with the coefficients; 0 where a bound holds."""
        words, embedding = self._free(at)
        low, high = self._bounds()
        moves = (words > low) & (words < high)
        lowest, highest = self._reach.embedding_volts
        sways = (embedding > lowest) & (embedding < highest)
        last = np.ones(self._last.shape)
        if self.last and self._range is not None:
            layer = self._last + self._parts(at)[2].reshape(self._last.shape)
            last = ((layer > self._range[0]) & (layer < self._range[1])).astype(np.float64)
        return Slopes(
            means(moves[:, :, None] * self.word_basis[:, None, :], stride),
            means(sways[:, :, None] * self.embedding_basis[:, None, :], stride),
            last,
        )


@dataclass(frozen=True)
class Slopes:
    """Derivatives of what is driven, averaged over each step; 0 where a bound holds.

    Attributes:
        words: (steps, 4, degree + 1) of A, G, ω by their coefficients.
        embedding: (steps, channels, degree + 1) of each channel by its coefficients.
        last: (2, width + 1) of the last layer's weights, 1 where free.
    """

    words: FloatArray
    embedding: FloatArray
    last: FloatArray


def _basis(ticks: int, degree: int) -> FloatArray:
    """(ticks, degree + 1) Legendre polynomials over a solve."""
    time = 2.0 * np.arange(ticks) / max(ticks - 1, 1) - 1.0
    return np.asarray(np.polynomial.legendre.legvander(time, degree))


def means(values: FloatArray, stride: int) -> FloatArray:
    """Means over steps of `stride` ticks along the first axis; the last step may be shorter."""
    first = np.arange(0, len(values), stride)
    counts = np.diff(np.append(first, len(values)))
    shape = (-1, *(1,) * (np.ndim(values) - 1))
    return np.asarray(np.add.reduceat(values, first, axis=0) / counts.reshape(shape))
