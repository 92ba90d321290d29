"""Line checks: what the ends of a line show, and the current of all its cells, at the read level.

This project's choice of hardware (`protocols/boards/reference.yaml`): the far end of every line
comes back to a switch matrix of its own, and a driver can be heard behind a series resistor.
While ends are probed every gate is closed and what is not driven is pulled to ground, so that a
line shows the drive at its far end, and so does a line that is joined to it; one that is open or
grounded shows nothing, and the driver's end tells these two apart. Ends are positions on the span
of the line drivers, converted by the read input of the ADC.

The current of a bit line is that of all its cells with every gate open and the source lines joined
at the ADC's input, that of a column all its cells through its own stage with every bit line driven.
Pristine cells, with 10 Mohm each, so give a current that can be seen. The gates are open as for a
read, or at the code of their driver that is asked for. Read noise of a line
is that of its cells added up as independent, drawn once for all conversions of an entry, because it
is slow against them. Nothing here counts as a read of a cell.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hil.sim import draws
from hil.sim.array import Array
from hil.sim.chip import NANOSECONDS, Chip
from hil.sim.chip_faults import LEAK_SIEMENS
from hil.sim.config import SimSettings
from hil.sim.converters import (
    STREAM_LINE_CURRENT,
    STREAM_LINE_NOISE,
    Adc,
    Codes,
    Converters,
    Dac,
    Tia,
)
from hil.sim.read_law import REFERENCE_VOLTS
from hil.sim.transistors import Transistors
from hil.sim.watched_lines import WatchedLines
from protocols.hardware import BoardDescription
from protocols.messages import ArrayLine, LineProbe

F64 = NDArray[np.float64]

_DRIVERS = {
    ArrayLine.BIT_LINE: Dac.BIT_LINE,
    ArrayLine.SOURCE_LINE: Dac.SOURCE_LINE,
    ArrayLine.WORD_LINE: Dac.WORD_LINE,
}


class LinePath:
    """What `line_check` converts on one board."""

    def __init__(
        self,
        chip: Chip,
        array: Array,
        converters: Converters,
        tia: Tia,
        description: BoardDescription,
        settings: SimSettings,
        watched: WatchedLines,
    ) -> None:
        self._chip, self._array, self._converters, self._tia = chip, array, converters, tia
        self._scales = description.converters
        self._watched = watched
        self._noisy = settings.switched().read_noise
        self._transistors = Transistors(description, settings)
        self._leaky = settings.chip_faults.leaky_row
        self._read_ns = round(description.timing.read_s * NANOSECONDS)

    def check(self, asked: Codes, read_code: int, samples: int) -> Codes:
        """Sums of `samples` conversions; `asked` (n, 4) is driven, line, probe, probed."""
        each = samples * self._read_ns
        self._show(asked, read_code, each)
        ends = self._chip.now_ns + np.arange(asked.shape[0] * samples) * self._read_ns
        at_ns = (ends + self._read_ns).reshape(-1, samples)
        fraction = np.zeros(at_ns.shape)
        for k, (driven, line, probe, probed) in enumerate(asked.tolist()):
            if probe == LineProbe.CURRENT:
                kind = ArrayLine(driven)
                fraction[k] = self._current(kind, line, read_code, probed, at_ns[k])
            else:
                fraction[k] = self._end(ArrayLine(driven), line, probe, probed, read_code)
        low, high = at_ns & 0xFFFFFFFF, at_ns >> 32
        noise = draws.normals(
            self._converters.noise_seed, STREAM_LINE_NOISE, np.zeros_like(at_ns), low, high
        )
        out = self._converters.convert_unipolar(Adc.READ, fraction, noise)
        self._chip.advance_ns(asked.shape[0] * each)
        return np.asarray(out.sum(axis=1), np.int64)

    def _end(self, driven: ArrayLine, line: int, probe: int, probed: int, code: int) -> float:
        """Position on the span of the drivers."""
        drive = self._driven(driven, code)
        wiring = self._array.wiring
        if probe == LineProbe.NEAR:
            return drive if wiring is None else drive * wiring.near_end(driven, line)
        if wiring is None:
            return drive * float(probe == driven and probed == line)
        return drive * wiring.far_end(driven, line, ArrayLine(probe), probed)

    def _driven(self, kind: ArrayLine, code: int) -> float:
        """Fraction of the drivers' span that a kind of line is driven at."""
        return float(self._converters.lone_unipolar(_DRIVERS[kind], np.asarray([code]))[0])

    def _show(self, asked: Codes, read_code: int, each_ns: int) -> None:
        """The lines that move, one after the other."""
        if self._watched.watch.nobody:
            return
        for k, (driven, line, _, _) in enumerate(asked.tolist()):
            kind, start = ArrayLine(driven), self._chip.now_ns + k * each_ns
            volts = self._scales.pulse_full_scale_volts * self._driven(kind, read_code)
            self._watched.line(kind, line, (start, start + each_ns), volts)

    def _current(
        self, driven: ArrayLine, line: int, code: int, gate_code: int, at_ns: Codes
    ) -> F64:
        """Fraction of the read path's full scale, for each conversion; gate code 0 is open."""
        rows, columns = self._array.rows, self._array.columns
        by_row = driven is ArrayLine.BIT_LINE
        cells = line * columns + np.arange(columns) if by_row else np.arange(rows) * columns + line
        full = self._scales.pulse_full_scale_volts
        siemens = self._array.conductance(cells, float(at_ns[0]) / NANOSECONDS)
        nominal = code * full / self._converters.code_max
        siemens = self._array.law.over_voltage(siemens, nominal, REFERENCE_VOLTS)
        if gate_code and self._chip.in_socket:
            share = self._converters.unipolar(Dac.WORD_LINE, np.asarray([gate_code]))
            siemens = self._transistors.behind(siemens, cells % columns, full * float(share[0]))
        drive = full * float(self._converters.unipolar(Dac.BIT_LINE, np.asarray([code]))[0])
        amperes = self._noisy_sum(siemens, line, int(at_ns[0])) * drive
        amperes += self._leak(by_row, line) * drive
        if not by_row:
            amperes = float(self._tia.through(np.asarray([line]), np.asarray([amperes]))[0])
        heard = amperes + self._tia.hum(at_ns)
        return np.asarray(heard / self._scales.read_full_scale_amperes)

    def _leak(self, by_row: bool, line: int) -> float:
        """Siemens that a leaky row adds to the current of a line: even over its columns."""
        if self._leaky is None or not self._chip.in_socket or (by_row and line != self._leaky):
            return 0.0
        return LEAK_SIEMENS if by_row else LEAK_SIEMENS / self._array.columns

    def _noisy_sum(self, siemens: F64, line: int, at_ns: int) -> float:
        total = float(siemens.sum())
        if not self._noisy or total == 0.0:
            return total
        sigma = self._chip.cells.read_noise_sd(np.maximum(siemens, 1e-12))
        seed = self._converters.noise_seed
        key = (np.asarray([line]), at_ns & 0xFFFFFFFF, at_ns >> 32)
        drawn = float(draws.normals(seed, STREAM_LINE_CURRENT, *key)[0])
        return total + drawn * float(np.sqrt(np.sum((sigma * siemens) ** 2)))
