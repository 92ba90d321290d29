"""Volts of pulses and products as codes, and the board's own limits in volts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drivers.identity import Identity
from drivers.rram.limits import Bound, Limits
from drivers.rram.pulses import PulseBatch
from drivers.transfer import Curves, Transfer
from protocols.energy import energy_code
from protocols.errors import LimitError
from protocols.messages import Operation

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
_TOLERANCE = 1e-9  # relative, of a voltage that is just at its limit


class LineCodes:
    """Volts of pulses as codes of their lines, never above the code of their limit.

    Measured curves round to the nearest code, which may lie up to half a step above a voltage that
    is just at its limit: there the code below is taken.
    """

    def __init__(self, curves: Curves, limits: Limits, identity: Identity) -> None:
        self._curves = curves
        self._read_max = curves.bit_line.at_most(limits.bounds["read_volts"].value)
        own = Bound(identity.multiply_code_max * curves.multiply_volts.gain, "firmware")
        self._rows = min(limits.bounds["read_volts"], own, key=lambda bound: bound.value)
        self.gate_max = np.array(
            [curves.word_line.at_most(limits.amplitude_volts(kind, "gate")) for kind in Operation]
        )
        self.line_max = np.array(
            [
                line_of(kind, curves).at_most(limits.amplitude_volts(kind, "line"))
                for kind in Operation
            ]
        )
        self.energy_max = np.array(
            [
                min(self._energy(kind, limits), identity.limits[kind].energy_max)
                for kind in Operation
            ]
        )

    def _energy(self, kind: Operation, limits: Limits) -> int:
        """The energy limit of an operation in the units of the wire."""
        codes = np.arange(int(self.line_max[kind]) + 1)
        volts = line_of(kind, self._curves).to_si(codes).tolist()
        width_max = int(self._curves.width.to_code(limits.bound(kind, "width_s").value))
        joules = limits.bound(kind, "energy_joules").value
        tick_s = self._curves.width.gain
        return energy_code(joules, limits.cell_siemens, tick_s, volts, width_max)

    def read(self, volts: float) -> int:
        """The code of the read voltage."""
        code = int(self._curves.bit_line.to_code(volts, "the read voltage"))
        return min(code, self._read_max)

    def rows(self, volts: Floats) -> Codes:
        """Codes (n, inputs) of the rows' own DACs, for products.

        Raises:
            LimitError: an input is not finite or beyond the read level, of either sign.
        """
        over = ~(np.abs(volts) <= self._rows.value * (1 + _TOLERANCE))
        if over.any():
            vector, row = np.argwhere(over)[0]
            raise LimitError(
                f"input {row} of vector {vector} is {volts[vector, row]:g} V; products are made at"
                f" the read level, at most {self._rows.value:g} V of either sign (set in the"
                f" {self._rows.source}). Nothing was driven"
            )
        curve = self._curves.multiply_volts
        codes = np.rint((volts - curve.offset) / curve.gain).astype(np.int64)
        middle, most = round(-curve.offset / curve.gain), int(self._rows.value / curve.gain + 1e-6)
        return np.asarray(np.clip(codes, middle - most, middle + most))

    def gate(self, batch: PulseBatch) -> Codes:
        """Codes of the word lines."""
        codes = self._curves.word_line.to_code(batch.gate_volts, "gate voltage")
        return np.asarray(np.minimum(codes, self.gate_max[batch.operation]), np.int64)

    def line(self, batch: PulseBatch) -> Codes:
        """Codes of the bit lines, or of the source lines of a RESET."""
        bit, source = self._curves.bit_line, self._curves.source_line
        reset = batch.operation == Operation.RESET
        volts, codes = batch.line_volts, np.zeros(len(batch), np.int64)
        for curve, mask in ((bit, ~reset), (source, reset)):
            if mask.any():
                wanted = np.where(mask, volts, curve.minimum)
                codes[mask] = curve.to_code(wanted, "line voltage")[mask]
        return np.asarray(np.minimum(codes, self.line_max[batch.operation]), np.int64)


def line_of(operation: Operation, curves: Curves) -> Transfer:
    """The line that carries the amplitude of an operation."""
    return curves.source_line if operation is Operation.RESET else curves.bit_line


def built_in(identity: Identity, curves: Curves) -> dict[str, float]:
    """The board's own limits in SI units, under the names of `Limits.bounds`."""
    bounds = {
        "read_volts": float(curves.bit_line.to_si(identity.read_code_max)),
        "pulses_per_cell": float(identity.pulses_per_cell_max),
        "arm_s": identity.arm_s_max,
    }
    for operation, own in identity.limits.items():
        kind, line = operation.name.lower(), line_of(operation, curves)
        bounds[f"{kind}.gate_volts"] = float(curves.word_line.to_si(own.gate_code_max))
        bounds[f"{kind}.line_volts"] = float(line.to_si(own.line_code_max))
        bounds[f"{kind}.width_s"] = float(curves.width.to_si(own.width_ticks_max))
    return bounds
