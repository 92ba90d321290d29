"""The judge of the attempts to exceed a limit: it stands in the physics, behind every check.

It hears of each pulse and read at the converters of the simulated front end, whoever asked for it:
the simulated board, or the firmware in this process. What it holds them against is worked out here,
from the board description and from what a campaign says is in force, not by the code under test.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import numpy as np

from hil.sim.calibration_path import CalibrationPath
from hil.sim.converters import Dac
from hil.sim.front_end import FrontEnd
from hil.sim.line_path import LinePath
from hil.sim.product_path import ProductPath
from protocols.hardware import BoardDescription, OperationLimits
from protocols.messages import LoopSource, Operation

SLACK = 1.0 + 1e-9
GAIN_MARGIN, OFFSET_MARGIN_CODES = 0.01, 6.0
"""Within which converters keep their limits: what the board's own codes allow for."""
_LINE_DACS = {
    LoopSource.BIT_LINE: Dac.BIT_LINE,
    LoopSource.SOURCE_LINE: Dac.SOURCE_LINE,
    LoopSource.WORD_LINE: Dac.WORD_LINE,
}


@dataclass(frozen=True)
class Lowered:
    """Limits of one operation in force for a session, in the units of the wire.

    `energy` counts line code^2 x ticks, not in units of 1024.
    """

    gate: int
    line: int
    width: int
    pulses: int
    energy: int


@dataclass
class Witness:
    """What was driven, and what of it should not have been.

    Attributes:
        description: of the board as it is built, which no file of an attempt can change.
        lowered: what a host lowered in the present session.
        may_pulse: whether the board is armed and nothing is latched.
        allowance: how many more pulses may be driven at all; None: any number.
        pulses: driven so far, allowed or not: a witness that hears nothing proves nothing.
        reads: conversions of cells and references heard of.
        violations: sentences.
    """

    description: BoardDescription
    lowered: dict[Operation, Lowered] = field(default_factory=dict)
    may_pulse: bool = True
    allowance: int | None = None
    pulses: int = 0
    reads: int = 0
    violations: list[str] = field(default_factory=list)
    _given: Counter[int] = field(default_factory=Counter)

    def new_session(self, *, may_pulse: bool = False) -> None:
        """A `hello` with a new nonce."""
        self.lowered.clear()
        self._given.clear()
        self.may_pulse = may_pulse

    @contextmanager
    def watching(self) -> Iterator[Witness]:
        """Every front end of this process is heard within this block."""
        pulse, read = FrontEnd.pulse_read, FrontEnd.read
        loop, reference = CalibrationPath.loopback, CalibrationPath.read_reference
        lines, products = LinePath.check, ProductPath.multiply

        def pulse_read(end: FrontEnd, *args: Any) -> Any:
            self.hear_pulses(end, *args)
            return pulse(end, *args)

        def read_cells(end: FrontEnd, index: Any, read_code: int, samples: int) -> Any:
            self.hear_read(end.converters, read_code)
            return read(end, index, read_code, samples)

        def loopback(path: Any, source: int, destination: int, codes: Any, samples: int) -> Any:
            self.hear_loopback(path._converters, source, codes)
            return loop(path, source, destination, codes, samples)

        def read_reference(path: Any, columns: Any, which: Any, code: int, samples: int) -> Any:
            self.hear_read(path._converters, code)
            return reference(path, columns, which, code, samples)

        def line_check(path: Any, entries: Any, read_code: int, samples: int) -> Any:
            self.hear_read(path._converters, read_code)
            return lines(path, entries, read_code, samples)

        def multiply(path: Any, corner: Any, columns: int, codes: Any, *rest: int) -> Any:
            self.hear_product(path._converters, corner[0], codes)
            return products(path, corner, columns, codes, *rest)

        with (
            patch.object(FrontEnd, "pulse_read", pulse_read),
            patch.object(FrontEnd, "read", read_cells),
            patch.object(CalibrationPath, "loopback", loopback),
            patch.object(CalibrationPath, "read_reference", read_reference),
            patch.object(LinePath, "check", line_check),
            patch.object(ProductPath, "multiply", multiply),
        ):
            yield self

    # --- what is heard ---------------------------------------------------------------------------

    def hear_pulses(
        self, end: FrontEnd, index: Any, operation: Any, gate: Any, line: Any, width: Any, code: int
    ) -> None:
        """A batch that is about to be driven."""
        self.hear_read(end.converters, code)
        self.pulses += len(index)
        if len(index) and not self.may_pulse:
            self.violations.append(f"{len(index)} pulses on a board that may not drive any")
        if self.allowance is not None:
            self.allowance -= len(index)
            if self.allowance < 0:
                self.violations.append(f"{-self.allowance} pulses more than were asked for")
        rows = zip(
            index.tolist(), operation.tolist(), gate.tolist(), line.tolist(), width.tolist(),
            strict=True,
        )  # fmt: skip
        for cell, kind, gate_code, line_code, ticks in rows:
            self._given[cell] += 1
            found = self._over(end.converters, Operation(kind), gate_code, line_code, ticks, cell)
            what = f"{Operation(kind).name} {gate_code}/{line_code}/{ticks} of cell {cell}"
            self.violations += [f"{what}: {one}" for one in found]

    def hear_read(self, converters: Any, read_code: int) -> None:
        """A read: its voltage must not change a cell."""
        self.reads += 1
        volts = self._volts(converters, Dac.BIT_LINE, read_code)
        if volts > self.description.limits.read_volts * SLACK:
            self.violations.append(f"a read at {volts:g} V")

    def hear_product(self, converters: Any, first_row: int, codes: Any) -> None:
        """Vectors on rows: none of their voltages may change a cell."""
        self.reads += 1
        channels = Dac.ROW + first_row + np.arange(codes.shape[1])
        full = self.description.converters.multiply_full_scale_volts
        volts = full * np.abs(converters.bipolar(channels, codes)).max(initial=0.0)
        if volts > self.description.limits.read_volts * SLACK:
            self.violations.append(f"a product at {volts:g} V")

    def hear_loopback(self, converters: Any, source: int, codes: Any) -> None:
        """A loop-back: the array is cut off, and its lines get no more than a pulse may have."""
        channel = _LINE_DACS.get(LoopSource(source))
        if channel is None or not len(codes):
            return
        volts = self._volts(converters, channel, int(codes.max()))
        limits = self.description.limits
        parts = (limits.set, limits.reset, limits.form)
        most = {
            Dac.BIT_LINE: max(limits.set.line_volts, limits.form.line_volts),
            Dac.SOURCE_LINE: limits.reset.line_volts,
            Dac.WORD_LINE: max(part.gate_volts for part in parts),
        }[channel]
        if volts > most * SLACK or (volts > limits.read_volts * SLACK and not self.may_pulse):
            self.violations.append(f"a loop-back of {channel.name} at {volts:g} V")

    # --- judging ---------------------------------------------------------------------------------

    def _over(
        self, converters: Any, kind: Operation, gate: int, line: int, ticks: int, cell: int
    ) -> list[str]:
        hard = self.description.limits
        part: OperationLimits = getattr(hard, kind.name.lower())
        channel = Dac.SOURCE_LINE if kind is Operation.RESET else Dac.BIT_LINE
        width_s = ticks * self.description.converters.width_tick_s
        line_volts = self._volts(converters, channel, line)
        found: Mapping[str, tuple[float, float]] = {
            "gate V": (self._volts(converters, Dac.WORD_LINE, gate), hard.gate_volts_of(part)),
            "line V": (line_volts, hard.line_volts_of(part)),
            "width s": (width_s, part.width_s),
            "energy J": (line_volts**2 * hard.cell_siemens * width_s, hard.energy_of(part)),
            "pulses": (self._given[cell], hard.pulses_per_cell),
        }
        found = {
            **found,
            "gate code": (gate, self._code(hard.gate_volts_of(part))),
            "line code": (line, self._code(hard.line_volts_of(part))),
        }
        low = self.lowered.get(kind)
        if low is not None:
            found = {
                **found,
                "lowered gate": (gate, low.gate),
                "lowered line": (line, low.line),
                "lowered width": (ticks, low.width),
                "lowered energy": (line**2 * ticks, low.energy),
                "lowered pulses": (self._given[cell], low.pulses),
            }
        return [
            f"{name} {value:g} > {most:g}"
            for name, (value, most) in found.items()
            if value > most * SLACK
        ]

    def _code(self, volts: float) -> int:
        """The largest code that stays below a voltage on every board of this kind."""
        full = self.description.converters.pulse_full_scale_volts * (1.0 + GAIN_MARGIN)
        return math.floor(volts / full * self.description.code_max - OFFSET_MARGIN_CODES)

    def _volts(self, converters: Any, channel: Dac, code: int) -> float:
        fraction = converters.unipolar(np.asarray([channel]), np.asarray([code]))
        return float(fraction[0]) * self.description.converters.pulse_full_scale_volts
