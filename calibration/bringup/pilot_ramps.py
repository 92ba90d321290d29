"""Ramps of pulses on a few cells, each step of which is kept: how cells answer at first."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np

from calibration.arrays import BoolArray, FloatArray, IntArray
from drivers.rram.geometry import Cells
from drivers.rram.macro import Macro
from drivers.rram.pulses import PulseBatch
from protocols.errors import InputError

Kind = Literal["form", "reset", "set"]
ARMED_S = 60.0


@dataclass(frozen=True)
class Ramp:
    """One kind of pulse whose voltage rises; volts and seconds.

    Attributes:
        start_volts, step_volts, stop_volts: of the line (forming, RESET) or of the word line (SET).
        fixed_volts: of the other one.
        width_s: of every pulse.
    """

    start_volts: float
    step_volts: float
    stop_volts: float
    fixed_volts: float
    width_s: float

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if not (math.isfinite(value) and value > 0.0):
                raise InputError(f"pilot ramp: {each.name}={value} must be a positive number.")
        if self.stop_volts < self.start_volts:
            raise InputError(
                f"pilot ramp: stop_volts={self.stop_volts} is below start_volts={self.start_volts}."
            )

    @property
    def volts(self) -> FloatArray:
        """Of each step."""
        steps = math.floor((self.stop_volts - self.start_volts) / self.step_volts + 1e-9)
        return np.asarray(self.start_volts + self.step_volts * np.arange(steps + 1))

    def says(self, kind: Kind) -> str:
        """For a question to a person."""
        swept, fixed = _ELECTRODES[kind]
        return (
            f"{swept} {self.start_volts:g} to {self.stop_volts:g} V in steps of"
            f" {self.step_volts:g} V, {fixed} {self.fixed_volts:g} V, {self.width_s * 1e6:g} us"
        )


_ELECTRODES: dict[Kind, tuple[str, str]] = {
    "form": ("bit line", "word line"),
    "reset": ("source line", "word line"),
    "set": ("word line", "bit line"),
}


@dataclass(frozen=True, eq=False)
class Response:
    """What a ramp did to cells.

    Attributes:
        kind, cells, volts: what was driven; volts (steps,), as far as the ramp went.
        before_siemens: (cells,).
        siemens: (steps, cells) readings; a cell that had got there keeps its last one.
        at_volts: (cells,) of the step at which each cell got there; NaN where it did not, or was
            there before.
        done: (cells,) whether it got there.
        pulses: (cells,).
    """

    kind: Kind
    cells: Cells
    volts: FloatArray
    before_siemens: FloatArray
    siemens: FloatArray
    at_volts: FloatArray
    done: BoolArray
    pulses: IntArray

    @property
    def after_siemens(self) -> FloatArray:
        """(cells,) at the end of the ramp."""
        return self.siemens[-1] if len(self.siemens) else self.before_siemens

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "kind": self.kind,
            "cells": [list(cell) for cell in self.cells],
            "volts": np.round(self.volts, 6).tolist(),
            "before_siemens": np.round(self.before_siemens, 12).tolist(),
            "siemens": np.round(self.siemens, 12).tolist(),
            "at_volts": [None if math.isnan(v) else round(v, 6) for v in self.at_volts.tolist()],
            "done": self.done.tolist(),
            "pulses": self.pulses.tolist(),
        }


def batch_of(kind: Kind, cells: Cells, ramp: Ramp, volts: float) -> PulseBatch:
    """One step's pulses."""
    if kind == "set":
        gate, line = volts, ramp.fixed_volts
        return PulseBatch.set(cells, gate_volts=gate, line_volts=line, width_s=ramp.width_s)
    make = PulseBatch.form if kind == "form" else PulseBatch.reset
    return make(cells, gate_volts=ramp.fixed_volts, line_volts=volts, width_s=ramp.width_s)


def drive(
    macro: Macro, kind: Kind, cells: Cells, ramp: Ramp, reached: Callable[[FloatArray], BoolArray]
) -> Response:
    """One pulse per step on every cell that is not there yet.

    Args:
        reached: from readings (n,), which of them are where the ramp shall bring cells.

    Raises:
        LimitError: the ramp's end is over a limit; refused before its first pulse.
    """
    macro.limits.check(batch_of(kind, cells[:1], ramp, float(ramp.volts[-1])))
    before = macro.read(cells, 4)
    now, done = before.copy(), np.asarray(reached(before))
    at_volts, pulses = np.full(len(cells), np.nan), np.zeros(len(cells), np.int64)
    steps: list[FloatArray] = []
    with macro.armed(ARMED_S, renewing=True):
        for volts in ramp.volts.tolist():
            left = np.flatnonzero(~done)
            if not left.size:
                break
            batch = batch_of(kind, cells[left], ramp, volts)
            now[left] = macro.pulse_read(batch, label=f"pilot {kind} {volts:.2f} V")
            pulses[left] += 1
            new = left[reached(now[left])]
            done[new], at_volts[new] = True, volts
            steps.append(now.copy())
    siemens = np.array(steps).reshape(len(steps), len(cells))
    return Response(kind, cells, ramp.volts[: len(steps)], before, siemens, at_volts, done, pulses)
