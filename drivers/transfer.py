"""Codes to SI units and back: one straight line per converter, measured or nominal.

A value that no code stands for is refused, never clipped. What drives a cell is rounded towards
zero, so that rounding cannot lift a voltage or a width over a limit that it was checked against;
everything else is rounded to the nearest code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from protocols.errors import LimitError
from protocols.hardware import BoardDescription

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
_GRID_TOLERANCE = 1e-6  # codes; absorbs the rounding of 100e-9 / 20e-9 and its like


@dataclass(frozen=True, slots=True)
class Transfer:
    """`value = gain * code + offset` for `code_min` to `code_max`, in `unit`.

    `down` rounds towards code zero instead of to the nearest code.
    """

    gain: float
    offset: float
    code_min: int
    code_max: int
    unit: str
    down: bool = False

    @classmethod
    def bipolar(cls, full_scale: float, code_max: int, unit: str) -> Transfer:
        """Zero in the middle: fraction = (code - middle) / middle."""
        middle = (code_max + 1) // 2
        return cls(full_scale / middle, -full_scale, 0, code_max, unit)

    @property
    def minimum(self) -> float:
        """The smallest value that has a code."""
        return min(self._value(self.code_min), self._value(self.code_max))

    @property
    def maximum(self) -> float:
        """The largest value that has a code."""
        return max(self._value(self.code_min), self._value(self.code_max))

    def to_si(self, codes: ArrayLike) -> Floats:
        """Values of codes; fractional codes (means) are allowed."""
        return np.asarray(codes, dtype=np.float64) * self.gain + self.offset

    def to_code(
        self, values: ArrayLike, what: str = "value", axes: Sequence[str] = ("position",)
    ) -> Codes:
        """Codes of values, of the same shape. `what` and `axes` name a refused one.

        Raises:
            LimitError: a value is not finite or outside `minimum` to `maximum`.
        """
        wanted = np.asarray(values, dtype=np.float64)
        exact = (wanted - self.offset) / self.gain
        codes = np.floor(exact + _GRID_TOLERANCE) if self.down else np.rint(exact)
        bad = ~((codes >= self.code_min) & (codes <= self.code_max))
        if np.any(bad):
            raise LimitError(self._refusal(wanted, bad, what, axes))
        return codes.astype(np.int64)

    def _value(self, code: int) -> float:
        return self.gain * code + self.offset

    def _refusal(
        self, wanted: Floats, bad: NDArray[np.bool_], what: str, axes: Sequence[str]
    ) -> str:
        at = np.argwhere(bad)[0]
        value = wanted[tuple(at)]
        names = [*axes, *("axis",) * max(0, wanted.ndim - len(axes))]
        where = ", ".join(f"{name} {index}" for name, index in zip(names, at, strict=False))
        place = f" at {where}" if where else ""
        return (
            f"{what}{place} is {value:.6g} {self.unit}; the converter reaches {self.minimum:.6g} to"
            f" {self.maximum:.6g} {self.unit}. Nothing was driven"
        )


@dataclass(frozen=True)
class Curves:
    """The transfer curve of every converter of a board."""

    pulse_volts: Transfer
    width: Transfer
    read_amperes: Transfer
    word: Transfer
    noise: Transfer
    embedding: Transfer
    class_offset: Transfer
    initial: Transfer
    sample: Transfer
    probe: Transfer
    feedback: Transfer
    reference: Transfer

    @classmethod
    def nominal(cls, description: BoardDescription) -> Curves:
        """Curves of a board that deviates in nothing from its description."""
        of = description.converters
        top, middle = description.code_max, description.code_zero
        embedding = Transfer.bipolar(of.embedding_full_scale_volts, top, "V")
        ticks_max = (1 << 32) - 1
        return cls(
            pulse_volts=Transfer(of.pulse_full_scale_volts / top, 0.0, 0, top, "V", down=True),
            width=Transfer(of.width_tick_s, 0.0, 1, ticks_max, "s", down=True),
            read_amperes=Transfer(of.read_full_scale_amperes / top, 0.0, 0, top, "A"),
            word=Transfer.bipolar(1.0, top, "of full scale"),
            noise=Transfer(1.0 / middle, 0.0, 0, middle - 1, "of full scale"),
            embedding=embedding,
            class_offset=Transfer(embedding.gain, 0.0, -top, top, "V"),
            initial=Transfer.bipolar(of.initial_full_scale_volts, top, "V"),
            sample=Transfer.bipolar(of.sample_full_scale_volts, top, "V"),
            probe=Transfer.bipolar(of.probe_full_scale_volts, top, "V"),
            feedback=Transfer(of.feedback_ohm_per_code, 0.0, 1, top, "ohm"),
            reference=Transfer(of.reference_siemens_per_code, 0.0, 0, top, "S"),
        )
