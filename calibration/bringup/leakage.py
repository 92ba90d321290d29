"""The chip at 0.1 V: lines that are open or shorted, what leaks, shorted cells, whose chip it is.

Both ends of every line first, with the gates closed; then the current of all cells of each line
with the gates open (a dead line shows none) and with them closed (what is left is leakage); then
every cell once. Last, now that nothing is shorted, the chip is compared with the one on record.

A leak is told by two small voltages, so that an offset of the read path is none. Limits: a leak is
too much where each cell of the line adds more than one ADC code to a read, which the board's
description gives; a cell is shorted above the largest conductance that a cell can have, which is in
the hard limits of the description.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from calibration.arrays import FloatArray, IntArray
from calibration.bringup.line_currents import (
    CLOSED_CODE,
    Line,
    amperes_of,
    bit_line_code,
    bit_lines,
    columns,
    line_codes,
)
from calibration.bringup.stage import Figure, Needs, Rig, Stage, StageResult
from calibration.startup import lines
from calibration.startup.converters import Subject
from calibration.startup.findings import Finding, StartupParams
from calibration.startup.identity import identify
from drivers.rram.geometry import Cells
from drivers.rram.macro import Macro
from protocols.errors import InputError

NAME = "leakage"
MOST_NAMED = 8
"""Lines or cells that are named one by one."""
MOST_KEPT = 256
"""Conducting cells that are handed on to later stages."""
CONDUCTING_SIEMENS = 1e-6
"""A cell that reads above it was formed, or is shorted; as in programming."""


@dataclass(frozen=True)
class LeakageParams:
    """Effort and limits; what the description does not give is this project's choice.

    Attributes:
        volts: of the bit lines, at most 0.1.
        samples: conversions of each line's current.
        leak_codes_per_cell: ADC codes that a cell's share of a line's leak may add to a read.
        shorted_share: of the cells that may be shorted.
        recognise: whether the chip is compared with the one on record.
    """

    volts: float = 0.1
    samples: int = 32
    leak_codes_per_cell: float = 1.0
    shorted_share: float = 0.01
    recognise: bool = True

    def __post_init__(self) -> None:
        if not 0.0 < self.volts <= 0.1:
            raise InputError(f"leakage: volts={self.volts}: above 0 and at most 0.1 V.")
        if not 1 <= self.samples <= 64:
            raise InputError(f"leakage: samples={self.samples}: 1 to 64 are allowed.")
        for name in ("leak_codes_per_cell", "shorted_share"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0.0):
                raise InputError(f"leakage: {name}={value} must be a positive number.")


def run(rig: Rig, params: LeakageParams) -> StageResult:
    """The lines, their leaks, the cells, the chip; stops at the first part with a finding."""
    at = Subject(
        rig.board,
        rig.description,
        StartupParams(line_volts=params.volts),
        bit_line_code(rig.macro, params.volts),
    )
    rig.progress(0, 4, "ends of every line")
    found = lines.check_ends(at)
    if not found:
        rig.progress(1, 4, "current of every line")
        _, codes = lines.read_map(at)
        found, _ = lines.check_cells(at, codes)
    if found:
        return StageResult(NAME, (_line_figure(found),), tuple(found))
    leaks = line_leaks(rig.macro, params)
    rig.progress(2, 4, "every cell")
    cells = read_cells(rig.macro, params.volts)
    figures = (
        _line_figure([]),
        *_leak_figures(rig, leaks, params),
        _short_figure(rig, cells, params),
    )
    findings = [*_leaky(rig, leaks, params), *_shorted(rig, cells, figures[-1])]
    data = _data(rig, leaks, cells)
    if findings:
        return StageResult(NAME, figures, tuple(findings), data=data)
    rig.progress(3, 4, "which chip it is")
    result = _recognised(rig, params, figures, data)
    rig.progress(4, 4, "which chip it is")
    return result


# --- measuring ------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Leaks:
    """Siemens of each bit line (rows,) and column (columns,) with closed gates."""

    bit_lines: FloatArray
    columns: FloatArray


def line_leaks(macro: Macro, params: LeakageParams) -> Leaks:
    """What every line conducts with its gates closed, by the currents at two voltages."""
    rows, columns_ = (_leak(macro, part, params) for part in (bit_lines(macro), columns(macro)))
    return Leaks(rows, columns_)


def _leak(macro: Macro, which: list[Line], params: LeakageParams) -> FloatArray:
    half, full = (bit_line_code(macro, share * params.volts) for share in (0.5, 1.0))
    low, high = (
        amperes_of(macro, line_codes(macro, which, code, [CLOSED_CODE], params.samples))[:, 0]
        for code in (half, full)
    )
    volts = macro.curves.bit_line.to_si([half, full])
    return np.asarray((high - low) / (volts[1] - volts[0]))


def read_cells(macro: Macro, volts: float) -> FloatArray:
    """Conductance of every cell at a small voltage, one conversion each, (rows, columns)."""
    code, cells = bit_line_code(macro, volts), Cells.all(macro.geometry)
    got = macro.board.read(code, cells.rows.tolist(), cells.columns.tolist(), 1)
    siemens = amperes_of(macro, np.asarray(got.codes, np.float64)) / float(
        macro.curves.bit_line.to_si(code)
    )
    return np.asarray(siemens.reshape(macro.geometry.rows, macro.geometry.columns))


# --- judging --------------------------------------------------------------------------------------


def _line_figure(found: list[Finding]) -> Figure:
    return Figure("lines that are open, shorted or dead", float(len(found)), high=0.0)


def leak_limits(rig: Rig, params: LeakageParams) -> tuple[float, float]:
    """The largest leak of a bit line and of a column, siemens."""
    scales = rig.description.converters
    per_code = scales.read_full_scale_amperes / rig.description.code_max / rig.macro.read_volts
    each = params.leak_codes_per_cell * per_code
    return each * rig.description.columns, each * rig.description.rows


def _leak_figures(rig: Rig, leaks: Leaks, params: LeakageParams) -> list[Figure]:
    parts = zip(
        ("bit line", "column"),
        (leaks.bit_lines, leaks.columns),
        leak_limits(rig, params),
        strict=True,
    )
    what = "Dry and clean the socket; look for a damaged gate oxide at that line"
    return [
        Figure(
            f"largest leak of a {name}, gates closed", float(part.max()), "S", high=high, what=what
        )
        for name, part, high in parts
    ]


def _leaky(rig: Rig, leaks: Leaks, params: LeakageParams) -> list[Finding]:
    found = []
    limits = leak_limits(rig, params)
    for word, part, high in zip(
        ("row", "column"), (leaks.bit_lines, leaks.columns), limits, strict=True
    ):
        line = {"row": "bit line", "column": "source line"}[word]
        over = np.flatnonzero(part > high)
        found += [
            Finding(
                f"leaky_{word}",
                (n,),
                f"{line} {n} leaks {part[n] * 1e6:.1f} uS with its gates closed, "
                f"{high * 1e6:.1f} uS are allowed",
                f"Dry and clean the socket; if it stays, leave {word} {n} out or use another chip",
            )
            for n in over[np.argsort(-part[over])][:MOST_NAMED].tolist()
        ]
    return found


def _short_figure(rig: Rig, cells: FloatArray, params: LeakageParams) -> Figure:
    shorted = np.count_nonzero(cells > rig.description.limits.cell_siemens)
    most = math.floor(params.shorted_share * cells.size)
    return Figure("cells that are shorted", float(shorted), high=float(most), what=_OTHER_CHIP)


_OTHER_CHIP = "Use another chip; shorted cells load their lines in every product"


def _shorted(rig: Rig, cells: FloatArray, figure: Figure) -> list[Finding]:
    if figure.passed:
        return []
    most = rig.description.limits.cell_siemens
    worst = _largest(cells, most, MOST_NAMED)
    named = ", ".join(f"({r}, {c})" for r, c in worst.tolist())
    return [
        Finding(
            "shorted_cells",
            tuple(worst.ravel().tolist()),
            f"{figure.value:.0f} cells conduct more than the {most * 1e6:.0f} uS that a cell can"
            f" have, {figure.high:.0f} are allowed: {named}",
            _OTHER_CHIP,
        )
    ]


def _largest(cells: FloatArray, least: float, count: int) -> IntArray:
    """(n, 2) rows and columns of the cells above `least`, the largest first."""
    rows, places = np.nonzero(cells > least)
    order = np.argsort(-cells[rows, places], kind="stable")[:count]
    return np.stack([rows[order], places[order]], axis=1)


def _data(rig: Rig, leaks: Leaks, cells: FloatArray) -> dict[str, Any]:
    conducting = _largest(cells, CONDUCTING_SIEMENS, MOST_KEPT)
    return {
        "bit_line_leak_siemens": leaks.bit_lines.tolist(),
        "column_leak_siemens": leaks.columns.tolist(),
        "shorted": _largest(cells, rig.description.limits.cell_siemens, MOST_KEPT).tolist(),
        "conducting": conducting.tolist(),
        "conducting_count": int(np.count_nonzero(cells > CONDUCTING_SIEMENS)),
        "median_cell_siemens": float(np.median(cells)),
    }


def _recognised(
    rig: Rig, params: LeakageParams, figures: tuple[Figure, ...], data: dict[str, Any]
) -> StageResult:
    if not params.recognise:
        return StageResult(NAME, figures, data=data)
    found = identify(rig.macro, rig.description, rig.expected, rig.chip)
    rig.keep_map(found)
    data |= {"identity": found.to_dict(), "moved": bool(found.moved)}
    advice = () if found.verdict != "unknown" else (f"Chip not recognised: {found.sentence}",)
    return StageResult(NAME, figures, tuple(found.findings), advice, data)


STAGE = Stage(
    name=NAME,
    title="open, short and leakage of the chip",
    needs=Needs(fixture="chip"),
    params=LeakageParams,
    run=run,
    plan="reads every line and every cell at 0.1 V at most, and the chip's map at the read"
    " voltage; drives no pulse",
)
