"""Pulses and reads on the array: codes and ticks in, ADC codes out, virtual time accounted.

Each pulse lasts its set-up and its width, each conversion `read_s`; the order on the time axis is
pulse, read, pulse, read... as on the bench, also where the arithmetic is done for many cells at
once. Batching so changes no figure. A line driver settles exponentially, so a pulse reaches
1 - exp(-width / pulse_settling_s) of its voltage (first order; taken at the pulse's end).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hil.sim import draws
from hil.sim.array import Array, Index
from hil.sim.calibration_path import CalibrationPath
from hil.sim.chip import NANOSECONDS, Chip
from hil.sim.config import SimSettings
from hil.sim.converters import STREAM_READ_NOISE, Adc, Codes, Converters, Dac, Tia
from hil.sim.line_path import LinePath
from hil.sim.product_path import ProductPath
from hil.sim.pulse_grid import NOT_ON_GRID, GridPulse
from hil.sim.read_law import REFERENCE_VOLTS
from hil.sim.upsets import SAG, PowerLostError, PowerSupply
from hil.sim.watch import Watch
from hil.sim.watched_lines import Pulses, WatchedLines
from protocols.hardware import BoardDescription
from protocols.messages import Operation

F64 = NDArray[np.float64]

_CONVERSIONS = 65536
"""At most this many are worked out at once."""


class FrontEnd:
    """The pulse and read path of one board, in front of one chip."""

    def __init__(
        self,
        chip: Chip,
        array: Array,
        converters: Converters,
        description: BoardDescription,
        settings: SimSettings,
    ) -> None:
        effects = settings.switched()
        self.array = array
        self.converters = converters
        self.supply = PowerSupply(settings.upsets, chip.now_ns)
        self.saturated = 0  # conversions at an end of the read ADC
        self._chip = chip
        self._scales = description.converters
        self._tia = Tia.of(description, settings)
        self.watched = WatchedLines(Watch(), description, settings)
        parts = (self._tia, description, settings, self.watched)
        self.calibration = CalibrationPath(chip, converters, *parts)
        self.lines = LinePath(chip, array, converters, *parts)
        self.products = ProductPath(chip, array, converters, self._tia, description, settings)
        self._settling_s = settings.pulse_settling_s if effects.settling else 0.0
        self._exchanged = not np.array_equal(converters.reached_by[:3], np.arange(3))
        self._stretched = settings.board_faults.pulse_width or 1.0
        self._loaded = settings.board_faults.pulse_amplitude or 1.0
        self._tick_ns = _ns(description.converters.width_tick_s)
        self._setup_ns = _ns(description.timing.pulse_overhead_s)
        self._read_ns = _ns(description.timing.read_s)

    def duration_ns(self, width_ticks: Codes) -> int:
        """Virtual time of a batch of pulses, each with its read."""
        each = self._setup_ns + self._read_ns
        return int(width_ticks.sum()) * self._tick_ns + each * width_ticks.size

    def pulse_read(
        self,
        index: Index,
        operation: Codes,
        gate_code: Codes,
        line_code: Codes,
        width_ticks: Codes,
        read_code: int,
    ) -> Codes:
        """Give each cell its pulse, in order, and read it; the readings' codes."""
        lasting = self._setup_ns + width_ticks * self._tick_ns + self._read_ns
        read_at = self._chip.now_ns + np.cumsum(lasting)
        pulse_s = (read_at - self._read_ns) / NANOSECONDS
        gate, amplitude = self._amplitudes(operation, gate_code, line_code)
        polarity = _polarity(operation)
        width_s = self._widths_s(width_ticks)
        line = self._settled(amplitude, width_s)
        if not self.watched.watch.nobody:
            ends_ns = read_at - self._read_ns
            lasting_ns = width_ticks * self._tick_ns
            shown = Pulses(index, operation, gate, amplitude, width_s, ends_ns, lasting_ns)
            self.watched.pulses(shown)
            self.watched.reads(index, read_at, self._read_volts(read_code))
        if self._chip.cells.grid is not None:
            point = self._points(operation, gate_code, line_code, width_ticks)
            gate, line = self._chip.cells.grid.volts(point)
        driven, sags = self.supply.lasts_for(index.size)
        if sags:
            line[driven - 1] *= SAG
            driven -= 1 if self._chip.cells.grid is not None else 0  # a sagging pulse has no row
        readings = np.zeros(index.size, np.int64)
        for k in _distinct(index, index.size if self.array.pulses_stay_apart else 1):
            if k.start >= driven:
                break
            k = slice(k.start, min(k.stop, driven))
            self.array.pulse(index[k], polarity[k], gate[k], line[k], width_s[k], pulse_s[k])
            readings[k] = self._convert(index[k], read_at[k], read_code)
        self._chip.advance_ns(int(lasting[:driven].sum()))
        if self.supply.lost:
            raise PowerLostError
        return readings

    def read(self, index: Index, read_code: int, samples: int) -> Codes:
        """Sums of `samples` conversions of each cell, one cell after the other."""
        cell_at = self._chip.now_ns + np.arange(index.size) * samples * self._read_ns
        if not self.watched.watch.nobody:
            ends = self._chip.now_ns + self._read_ns * (1 + np.arange(index.size * samples))
            self.watched.reads(index.repeat(samples), ends, self._read_volts(read_code))
        sums = np.zeros(index.size, np.int64)
        for part in _distinct(index, index.size):
            cells = index[part]
            # Wiring that joins cells reads some twice a sample: then the order is that of samples.
            at_once = max(1, _CONVERSIONS // cells.size) if self.array.wiring is None else 1
            for first in range(0, samples, at_once):
                sample = np.arange(first, min(first + at_once, samples))
                at = cell_at[part] + (sample[:, None] + 1) * self._read_ns
                later = (sample[-1] - sample)[:, None]  # samples of the same cell that follow
                codes = self._convert(np.tile(cells, sample.size), at.ravel(), read_code, later)
                sums[part] += codes.reshape(at.shape).sum(axis=0)
        self._chip.advance_ns(index.size * samples * self._read_ns)
        return sums

    def _amplitudes(self, operation: Codes, gate_code: Codes, line_code: Codes) -> tuple[F64, F64]:
        """Gate and line voltage that each pulse at the edge of the array goes to."""
        full = self._scales.pulse_full_scale_volts
        channel = np.where(operation == Operation.RESET, Dac.SOURCE_LINE, Dac.BIT_LINE)
        gate_code, line_code = self._arriving(channel, gate_code, line_code)
        gate = full * self.converters.unipolar(Dac.WORD_LINE, gate_code)
        line = full * self.converters.unipolar(channel, line_code) * self._loaded
        return gate, line

    def _arriving(self, channel: Codes, gate_code: Codes, line_code: Codes) -> tuple[Codes, Codes]:
        """The codes that the outputs follow: the line that is not pulsed is written with 0."""
        if not self._exchanged:
            return gate_code, line_code
        written = np.zeros((channel.size, 3), np.int64)
        written[:, Dac.WORD_LINE] = gate_code
        pulse = np.arange(channel.size)
        written[pulse, channel] = line_code
        out = self.converters.arriving(np.arange(3), written)
        return out[:, Dac.WORD_LINE], out[pulse, channel]

    def _volts(
        self, operation: Codes, gate_code: Codes, line_code: Codes, width_ticks: Codes
    ) -> tuple[F64, F64]:
        """Gate and line voltage that each pulse has reached when it ends."""
        gate, amplitude = self._amplitudes(operation, gate_code, line_code)
        return gate, self._settled(amplitude, self._widths_s(width_ticks))

    def _widths_s(self, width_ticks: Codes) -> F64:
        return width_ticks.astype(np.float64) * self._scales.width_tick_s * self._stretched

    def _settled(self, line: F64, width_s: F64) -> F64:
        """What a pulse has reached of its voltage when it ends."""
        if self._settling_s <= 0.0:
            return line
        return np.asarray(line * -np.expm1(-width_s / self._settling_s))

    def off_grid(
        self, operation: Codes, gate_code: Codes, line_code: Codes, width_ticks: Codes
    ) -> tuple[int, GridPulse] | None:
        """The first pulse that these cells have no answer to, with the nearest one that they have.

        None where every pulse has one: always, unless the cells know measured pulses alone.
        """
        grid = self._chip.cells.grid
        if grid is None:
            return None
        bad = np.flatnonzero(
            self._points(operation, gate_code, line_code, width_ticks) == NOT_ON_GRID
        )
        if not bad.size:
            return None
        k = int(bad[0])
        part = slice(k, k + 1)
        gate, line = self._asked_volts(gate_code[part], line_code[part])
        width_s = float(width_ticks[k]) * self._scales.width_tick_s
        sense = int(_polarity(operation[part])[0])
        return k, grid.nearest(sense, float(gate[0]), float(line[0]), width_s)

    def code_of(self, volts: float) -> int:
        """The code that stands for a voltage of a pulse."""
        return round(volts / self._scales.pulse_full_scale_volts * self.converters.code_max)

    def ticks_of(self, width_s: float) -> int:
        """The ticks of a pulse width."""
        return round(width_s / self._scales.width_tick_s)

    def _points(
        self, operation: Codes, gate_code: Codes, line_code: Codes, width_ticks: Codes
    ) -> Codes:
        """Grid point of each pulse: that of the voltage that comes out, or else of the one asked.

        Hosts with calibrated converters ask for codes whose voltage comes out right; others ask
        for the code that stands for it. (The error of a converter is up to two of the measured
        steps; what the measuring bench had of it is in its rows.)
        """
        grid = self._chip.cells.grid
        if grid is None:
            return np.full(operation.size, NOT_ON_GRID, np.int64)
        polarity = _polarity(operation)
        width_s = width_ticks.astype(np.float64) * self._scales.width_tick_s
        gate, line = self._volts(operation, gate_code, line_code, width_ticks)
        found = grid.find(polarity, gate, line, width_s)
        asked = grid.find(polarity, *self._asked_volts(gate_code, line_code), width_s)
        return np.asarray(np.where(found == NOT_ON_GRID, asked, found))

    def _asked_volts(self, gate_code: Codes, line_code: Codes) -> tuple[F64, F64]:
        per_code = self._scales.pulse_full_scale_volts / self.converters.code_max
        return gate_code.astype(np.float64) * per_code, line_code.astype(np.float64) * per_code

    def _nominal_volts(self, read_code: int) -> tuple[float, float]:
        """What a read code and the code of the reference stand for."""
        per_code = self._scales.pulse_full_scale_volts / self.converters.code_max
        return read_code * per_code, round(REFERENCE_VOLTS / per_code) * per_code

    def _read_volts(self, read_code: int) -> float:
        """What the bit-line driver gives during a read."""
        drive = self.converters.lone_unipolar(Dac.BIT_LINE, np.asarray([read_code]))[0]
        return float(self._scales.pulse_full_scale_volts * drive)

    def _convert(self, index: Index, at_ns: Codes, read_code: int, later: Codes | int = 0) -> Codes:
        """Conversions of distinct cells, or of the same ones several times over.

        `at_ns` is the end of each; `later` (times, 1), how many of the same cells follow it.
        """
        volts = self._read_volts(read_code)
        siemens = self.array.read(index, at_ns / NANOSECONDS)
        amperes = self.array.law.over_voltage(siemens, *self._nominal_volts(read_code)) * volts
        amperes = self._tia.through(index % self.array.columns, amperes) + self._tia.hum(at_ns)
        number = self._chip.cells.state["read_count"][index].astype(np.int64)
        number = (number.reshape(np.size(later), -1) - later).ravel()
        noise = draws.normals(self.converters.noise_seed, STREAM_READ_NOISE, index, number)
        fraction = amperes / self._scales.read_full_scale_amperes
        out = self.converters.convert_unipolar(Adc.READ, fraction, noise)
        self.saturated += int(np.count_nonzero(out == self.converters.code_max))
        return out


def _polarity(operation: Codes) -> Codes:
    return np.where(operation == Operation.RESET, -1, 1)


def _ns(seconds: float) -> int:
    return round(seconds * NANOSECONDS)


def _distinct(index: Index, longest: int) -> list[slice]:
    """Cut a batch into runs of distinct cells, each at most `longest` long."""
    parts, start, seen = [], 0, set[int]()
    for k, cell in enumerate(index.tolist()):
        if cell in seen or k - start >= longest:
            parts.append(slice(start, k))
            start, seen = k, set()
        seen.add(cell)
    if index.size:
        parts.append(slice(start, index.size))
    return parts
