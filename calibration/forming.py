"""Forming: the first SET of a pristine cell, by a ramp of the bit line at a fixed word line.

All cells that are not formed yet get one pulse per round, all at the same voltage; a cell leaves
the ramp as soon as it reads above a threshold, so that no cell sees a higher voltage than it needs.
The word line limits the current. Defaults follow the measured 1T1R cells: word line 2 V, bit line
from 2 V in steps of 0.05 V, median forming voltage 3.15 V, 95 % of the cells below 3.45 V.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np

from calibration.arrays import BoolArray, FloatArray, IntArray
from calibration.progress import Progress, silent
from drivers.rram.geometry import Cells
from drivers.rram.macro import Macro
from drivers.rram.pulses import PulseBatch
from protocols.errors import InputError


@dataclass(frozen=True)
class FormParams:
    """The ramp. The board's limits hold beside it: a stop over them is refused before a pulse.

    Attributes:
        gate_volts: word line, which limits the current.
        start_volts, step_volts, stop_volts: bit line.
        width_s: pulse width.
        threshold_siemens: a cell that reads above it is formed. Pristine cells read below 1 uS,
            formed ones 50 to 180 uS (5 to 95 % of the measured cells).
        tries_at_stop: pulses at the last voltage before a cell is given up.
        armed_s: time for which the board is armed.
    """

    gate_volts: float = 2.0
    start_volts: float = 2.0
    step_volts: float = 0.05
    stop_volts: float = 4.2
    width_s: float = 1e-6
    threshold_siemens: float = 20e-6
    tries_at_stop: int = 2
    armed_s: float = 600.0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not (math.isfinite(value) and value > 0):
                raise InputError(f"Forming: {name}={value} must be a positive number.")
        if self.stop_volts < self.start_volts:
            raise InputError(
                f"Forming: stop_volts={self.stop_volts} is below start_volts={self.start_volts}."
            )

    @property
    def ramp_volts(self) -> FloatArray:
        """Bit-line voltage of each round."""
        steps = math.floor((self.stop_volts - self.start_volts) / self.step_volts + 1e-9)
        ramp = self.start_volts + self.step_volts * np.arange(steps + 1)
        return np.concatenate([ramp, np.full(self.tries_at_stop - 1, ramp[-1])])


@dataclass(frozen=True)
class FormResult:
    """What forming did to each cell, in the order of `cells`.

    Attributes:
        conductance_siemens: last reading.
        formed: whether the cell reads above the threshold.
        volts: bit-line voltage at which it formed; NaN where it was formed before or did not form.
        pulses: forming pulses.
        rounds: batches; `bench_s`: modelled or real time on the board's clock.
    """

    params: FormParams
    cells: Cells
    conductance_siemens: FloatArray
    formed: BoolArray
    volts: FloatArray
    pulses: IntArray
    rounds: int
    bench_s: float

    @property
    def failures(self) -> list[tuple[int, int, str]]:
        """(row, column, reason) of every cell that did not form."""
        text = (
            f"no forming up to {self.params.stop_volts:g} V on the bit line at "
            f"{self.params.gate_volts:g} V on the word line"
        )
        bad = np.flatnonzero(~self.formed)
        return [(int(self.cells.rows[k]), int(self.cells.columns[k]), text) for k in bad]

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON; NaN becomes None."""
        volts = [None if math.isnan(v) else float(v) for v in self.volts]
        return {
            "params": asdict(self.params),
            "cells": len(self.cells),
            "formed": int(self.formed.sum()),
            "rounds": self.rounds,
            "bench_s": self.bench_s,
            "rows": self.cells.rows.tolist(),
            "columns": self.cells.columns.tolist(),
            "volts": volts,
            "pulses": self.pulses.tolist(),
            "conductance_siemens": self.conductance_siemens.tolist(),
            "failures": self.failures,
        }


def form(
    macro: Macro,
    cells: Cells,
    params: FormParams | None = None,
    progress: Progress | None = None,
) -> FormResult:
    """Form the cells that are not formed yet; cells that read above the threshold are left alone.

    Raises:
        LimitError: the ramp goes over a limit of the board; refused before the first pulse.
        SafetyError: the board is in its safe state.
    """
    chosen, report = params or FormParams(), progress or silent
    _check_limits(macro, cells, chosen)
    start_s = macro.time_s
    conductance = macro.read(cells)
    formed = conductance > chosen.threshold_siemens
    volts, pulses, rounds = np.full(len(cells), np.nan), np.zeros(len(cells), np.int64), 0
    with macro.armed(chosen.armed_s, renewing=True):
        for line_volts in chosen.ramp_volts:
            open_cells = np.flatnonzero(~formed)
            report(int(formed.sum()), len(cells), f"forming at {line_volts:.2f} V", conductance)
            if not open_cells.size:
                break
            batch = _pulses(cells[open_cells], float(line_volts), chosen)
            conductance[open_cells] = macro.pulse_read(batch, label=f"form {line_volts:.2f} V")
            pulses[open_cells] += 1
            rounds += 1
            new = open_cells[conductance[open_cells] > chosen.threshold_siemens]
            formed[new], volts[new] = True, line_volts
    if macro.dry_run:
        conductance = macro.read(cells)
    report(int(formed.sum()), len(cells), "formed", conductance)
    return FormResult(
        chosen, cells, conductance, formed, volts, pulses, rounds, macro.time_s - start_s
    )


def _pulses(cells: Cells, line_volts: float, params: FormParams) -> PulseBatch:
    return PulseBatch.form(
        cells, gate_volts=params.gate_volts, line_volts=line_volts, width_s=params.width_s
    )


def _check_limits(macro: Macro, cells: Cells, params: FormParams) -> None:
    """The strongest pulse of the ramp, before the weakest is driven."""
    if len(cells):
        macro.limits.check(_pulses(cells[np.arange(1)], float(params.ramp_volts[-1]), params))
