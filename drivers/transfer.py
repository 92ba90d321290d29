"""Codes to SI units and back: a straight line per converter, or a curve that was measured.

A value that no code stands for is refused, never clipped. What drives a cell is rounded towards
zero where nominal lines are all that is known, so that rounding cannot lift a voltage or a width
over a limit that it was checked against; everything else is rounded to the nearest code. Measured
curves of the lines round to the nearest code as well: a voltage is then within half a step, and who
checks limits caps the code (`Transfer.at_most`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

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

    @property
    def uncertainty(self) -> float:
        """Standard deviation of what `to_si` says, at worst; 0 where nobody has looked."""
        return 0.0

    def to_si(self, codes: ArrayLike) -> Floats:
        """Values of codes; fractional codes (means) are allowed."""
        return self._effective(np.asarray(codes, dtype=np.float64)) * self.gain + self.offset

    def at_most(self, value: float) -> int:
        """The largest code that gives no more than `value`, for limits of what drives; a limit
        beyond the ends of the converter is its end."""
        exact = self._exact(np.asarray((value - self.offset) / self.gain))
        return int(np.clip(np.floor(exact.max() + _GRID_TOLERANCE), self.code_min, self.code_max))

    def to_code(
        self, values: ArrayLike, what: str = "value", axes: Sequence[str] = ("position",)
    ) -> Codes:
        """Codes of values, of the same shape. `what` and `axes` name a refused one.

        Raises:
            LimitError: a value is not finite or outside `minimum` to `maximum`.
        """
        wanted = np.asarray(values, dtype=np.float64)
        exact = self._exact((wanted - self.offset) / self.gain)
        codes = np.floor(exact + _GRID_TOLERANCE) if self.down else np.rint(exact)
        bad = ~((codes >= self.code_min) & (codes <= self.code_max))
        if np.any(bad):
            raise LimitError(self._refusal(wanted, bad, what, axes))
        return codes.astype(np.int64)

    def _effective(self, codes: Floats) -> Floats:
        """The code that an ideal converter would need for what these codes give."""
        return codes

    def _exact(self, effective: Floats) -> Floats:
        """The inverse of `_effective`, before rounding."""
        return effective

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


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredTransfer(Transfer):
    """A line and what a board was measured to deviate from it.

    A code c counts as c + d(c) on the line, with d interpolated between `knots`. With several
    channels the last axis of codes and values is the channel.

    Attributes:
        knots: (k,) codes, rising, from the converter's first to its last.
        deviation: (channels, k) codes.
        sd_codes: standard deviation of `deviation`, at worst.
        relative_sd: relative standard deviation of the voltage that everything is compared with.
    """

    knots: Floats = field(default_factory=lambda: np.zeros(0))
    deviation: Floats = field(default_factory=lambda: np.zeros((0, 0)))
    sd_codes: float = 0.0
    relative_sd: float = 0.0

    @property
    def minimum(self) -> float:
        """The smallest value that every channel has a code for."""
        return max(min(ends) for ends in self._ends())

    @property
    def maximum(self) -> float:
        """The largest value that every channel has a code for."""
        return min(max(ends) for ends in self._ends())

    @property
    def uncertainty(self) -> float:
        """Standard deviation of what `to_si` says, at the end of the range."""
        end = max(abs(self.minimum), abs(self.maximum))
        return math.hypot(self.sd_codes * self.gain, self.relative_sd * end)

    def _ends(self) -> list[tuple[float, float]]:
        ends = np.array([self.code_min, self.code_max], dtype=np.float64)
        rows = [(ends + np.interp(ends, self.knots, d)) * self.gain for d in self.deviation]
        return [(float(a) + self.offset, float(b) + self.offset) for a, b in rows]

    def _effective(self, codes: Floats) -> Floats:
        return self._by_channel(codes, lambda c, d: c + np.interp(c, self.knots, d))

    def _exact(self, effective: Floats) -> Floats:
        return self._by_channel(effective, lambda e, d: _inverse(e, self.knots, d))

    def _by_channel(self, values: Floats, work: Callable[[Floats, Floats], Floats]) -> Floats:
        if len(self.deviation) == 1:
            return np.asarray(work(values, self.deviation[0]))
        if values.shape[-1:] != (len(self.deviation),):
            values = np.broadcast_to(values[..., None], (*values.shape, len(self.deviation)))
        parts = [work(values[..., k], d) for k, d in enumerate(self.deviation)]
        return np.stack(parts, axis=-1)


def _inverse(effective: Floats, knots: Floats, deviation: Floats) -> Floats:
    """Codes whose effective code is given; beyond the ends the deviation stays what it is there."""
    there = knots + deviation
    out = np.interp(effective, there, knots)
    out = np.where(effective < there[0], effective - deviation[0], out)
    return np.where(effective > there[-1], effective - deviation[-1], out)


@dataclass(frozen=True, eq=False)
class ColumnCurves:
    """Trans-impedance stages in the read path: true current = (current - offset) / gain.

    Attributes:
        gain: (columns,) of each column, 1 is nominal.
        offset_amperes: (columns,).
        relative_sd: relative standard deviation of a conductance that comes of them, the tolerance
            of the reference resistors included.
    """

    gain: Floats
    offset_amperes: Floats
    relative_sd: float

    def true(self, amperes: Floats, columns: Codes) -> Floats:
        """Currents into the stages of the columns given."""
        out: Floats = (amperes - self.offset_amperes[columns]) / self.gain[columns]
        return out


@dataclass(frozen=True)
class Curves:
    """The transfer curve of every converter of a board.

    `pulse_volts` is what the lines share by the description; `bit_line`, `source_line` and
    `word_line` are those lines as far as they are known. `columns` is None while nobody has
    measured the read paths. `multiply_volts` is that of the rows' DACs, `multiply_amperes` that of
    products at the full scale of the reads.
    """

    pulse_volts: Transfer
    bit_line: Transfer
    source_line: Transfer
    word_line: Transfer
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
    multiply_volts: Transfer
    multiply_amperes: Transfer
    columns: ColumnCurves | None = None

    @classmethod
    def nominal(cls, description: BoardDescription) -> Curves:
        """Curves of a board that deviates in nothing from its description."""
        of = description.converters
        top, middle = description.code_max, description.code_zero
        embedding = Transfer.bipolar(of.embedding_full_scale_volts, top, "V")
        ticks_max = (1 << 32) - 1
        line = Transfer(of.pulse_full_scale_volts / top, 0.0, 0, top, "V", down=True)
        return cls(
            pulse_volts=line,
            bit_line=line,
            source_line=line,
            word_line=line,
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
            multiply_volts=Transfer.bipolar(of.multiply_full_scale_volts, top, "V"),
            multiply_amperes=Transfer.bipolar(of.read_full_scale_amperes, top, "A"),
        )
