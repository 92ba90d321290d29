"""Menus that follow a cell model, and the wide one with which an unknown chip is first measured.

The standard menus sweep the voltages that the measured cells of one technology need. A technology
with other thresholds needs other ones: `wide_menu` covers what a third more or less would ask for,
coarsely; `menu_for` lays fine steps where a fitted model says that levels and depths change.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from calibration.arrays import FloatArray
from calibration.cell_model import CellModel
from calibration.cell_model.kernel import gate_level, numbers
from calibration.programming.menu import PulseMenu
from drivers.rram.limits import Limits
from protocols.messages import Operation

SHORT_S = (100e-9, 200e-9)
_RESET_S = 200e-9
_OPEN_VOLTS, _TOP_VOLTS = 3.5, 3.55  # gate of a SET that the bit line ends; and of the strongest
_LINE_VOLTS = (2.0, 2.6, 3.2)  # bit line of SETs that the gate ends
_RESET_LINE, _RESET_GATE = 2.8, 3.5
_RESET_TOP = (4.0, 3.2)
_FINE_SIEMENS = (70e-6, 215e-6)
_STEP = 0.015  # of the level, between entries
_TICK = 0.005  # V; entries lie on this grid
_DEPTHS = (-0.6, 1.6, 2.6)  # from where, to where fine, to where coarse


def wide_menu(set_width_s: Sequence[float] = SHORT_S) -> PulseMenu:
    """Coarse sweeps for technologies whose voltages differ by up to a third (this project's
    choice of steps); take what a board allows by `PulseMenu.within`."""
    parts = []
    for width in set_width_s:
        parts += _sets(_grid(1.3, 3.55, 0.05), _grid(0.26, 2.0, 0.04), 2.0, width)
    gates = np.append(_grid(1.4, 3.2, 0.05), (3.5, 4.0, 4.4))
    lines = np.append(_grid(0.26, 1.5, 0.04), (1.6, 1.8, 2.0, 2.4, 2.8, 3.2))
    return PulseMenu.join([*parts, *_resets(gates, lines)])


def menu_for(model: CellModel, limits: Limits, set_width_s: Sequence[float] = SHORT_S) -> PulseMenu:
    """The sweeps of `PulseMenu.default` where this model's cells respond, within the limits."""
    line = next((v for v in _LINE_VOLTS if v >= _line_for(model, 240e-6)), _LINE_VOLTS[-1])
    parts = []
    for width in set_width_s:
        gates = _spaced(*_gate_curve(model, float(np.log10(width))), _TOP_VOLTS)
        lines = _spaced(
            np.array(model.set.line_volts), np.array(model.set.line_levels_siemens), 2.4
        )
        parts += _sets(gates, lines, line, width)
    r = model.reset
    gates = _deep(np.array(r.gate_volts), np.array(r.gate_depth_ln), 0.025, (3.2, 3.5, 4.0, 4.4))
    lines = _deep(np.array(r.line_volts), np.array(r.line_depth_ln), 0.02, (2.0, 2.4, 2.8, 3.2))
    return PulseMenu.join([*parts, *_resets(gates, lines)]).within(limits)


def _sets(gates: FloatArray, lines: FloatArray, line: float, width: float) -> list[PulseMenu]:
    kind = Operation.SET
    return [
        PulseMenu.grid(kind, gate_volts=gates, line_volts=line, width_s=width),
        PulseMenu.grid(kind, gate_volts=_OPEN_VOLTS, line_volts=lines, width_s=width),
        PulseMenu.grid(kind, gate_volts=_TOP_VOLTS, line_volts=(2.5, 3.0, 3.5), width_s=width),
    ]


def _resets(gates: FloatArray, lines: FloatArray) -> list[PulseMenu]:
    kind, width = Operation.RESET, _RESET_S
    top_gate, top_line = _RESET_TOP
    return [
        PulseMenu.grid(kind, gate_volts=gates, line_volts=_RESET_LINE, width_s=width),
        PulseMenu.grid(kind, gate_volts=_RESET_GATE, line_volts=lines, width_s=width),
        PulseMenu.grid(kind, gate_volts=top_gate, line_volts=(2.8, top_line), width_s=width),
    ]


def _line_for(model: CellModel, siemens: float) -> float:
    return float(np.interp(siemens, model.set.line_levels_siemens, model.set.line_volts))


def _gate_curve(model: CellModel, log_width: float) -> tuple[FloatArray, FloatArray]:
    """Gate voltages, and the level at which each ends a SET of this width."""
    volts, flat = _grid(0.8, _TOP_VOLTS, _TICK), numbers(model)
    return volts, np.array([gate_level(float(v), log_width, flat) for v in volts])


def _spaced(volts: FloatArray, level: FloatArray, top: float) -> FloatArray:
    """Voltages whose levels rise by about `_STEP`, coarser outside of `_FINE_SIEMENS`."""
    low, high = _FINE_SIEMENS
    fine = np.exp(np.arange(np.log(low), np.log(high), _STEP))
    wished = np.concatenate([np.geomspace(20e-6, low, 12, endpoint=False), fine])
    rising = level + 1e-12 * np.arange(level.size)
    at = np.interp(wished, rising, volts, left=np.nan, right=np.nan)
    above = np.arange(np.nanmax(at), top + 0.015, 0.03)
    found = np.unique(np.round(np.concatenate([at[np.isfinite(at)], above, [top]]) / _TICK))
    return np.asarray(found[found * _TICK <= top + 1e-9] * _TICK)


def _deep(
    volts: FloatArray, depth: FloatArray, step: float, strong: tuple[float, ...]
) -> FloatArray:
    """Voltages in steps over the depths that are programmed, then coarser, then the strongest."""
    first, last, end = (float(np.interp(d, depth, volts)) for d in _DEPTHS)
    coarse = _grid(last + 2.0 * step, end, 2.5 * step)
    found = np.concatenate([_grid(first, last, step), coarse, strong])
    return np.unique(np.round(found / _TICK)) * _TICK


def _grid(start: float, stop: float, step: float) -> FloatArray:
    return np.round(np.arange(start, stop + step / 2.0, step) / _TICK) * _TICK
