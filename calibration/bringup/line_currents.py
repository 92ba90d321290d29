"""Currents of whole lines with a gate voltage of choice, at the read level; no cell is selected."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from calibration.arrays import FloatArray
from drivers.rram.macro import Macro
from protocols.messages import ArrayLine, LineCheckRequestEntry, LineProbe, Operation

CLOSED_CODE = 1
"""Gate code of closed gates: 0 asks for the gate bias of reads."""
Line = tuple[ArrayLine, int]


def bit_lines(macro: Macro) -> list[Line]:
    """Every bit line."""
    return [(ArrayLine.BIT_LINE, n) for n in range(macro.geometry.rows)]


def columns(macro: Macro) -> list[Line]:
    """Every column, by its source line."""
    return [(ArrayLine.SOURCE_LINE, n) for n in range(macro.geometry.columns)]


def bit_line_code(macro: Macro, volts: float) -> int:
    """The bit-line code of a small voltage. Raises LimitError above the read level."""
    macro.limits.check_read(volts)
    code = int(macro.curves.bit_line.to_code(volts, "bit line"))
    return min(code, macro.board.identity.read_code_max)


def gate_codes(macro: Macro, volts: Sequence[float]) -> list[int]:
    """Word-line codes of gate voltages; the largest is that of an open gate, as for a SET."""
    most = macro.board.identity.limits[Operation.SET].gate_code_max
    codes = macro.curves.word_line.to_code(np.asarray(volts, np.float64), "word line")
    return [max(CLOSED_CODE, min(int(code), most)) for code in codes]


def line_codes(
    macro: Macro, lines: Sequence[Line], code: int, gates: Sequence[int], samples: int
) -> FloatArray:
    """Mean ADC codes (lines, gates) of all cells of each line at a bit-line code."""
    asked = [
        LineCheckRequestEntry(kind, number, LineProbe.CURRENT, gate)
        for kind, number in lines
        for gate in gates
    ]
    got = macro.board.line_check(code, asked, samples).codes / samples
    return np.asarray(got).reshape(len(lines), len(gates))


def amperes_of(macro: Macro, codes: FloatArray) -> FloatArray:
    """Currents of mean ADC codes."""
    return macro.curves.read_amperes.to_si(codes)
