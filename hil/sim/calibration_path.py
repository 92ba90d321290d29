"""The board's own references: loop-backs of the DACs, the voltage ladder, reference resistors.

A loop-back cuts the array off and takes one DAC output, or a tap of the ladder, to an ADC input.
Matched resistors scale the source's span to that of the input, bottom to bottom and top to top, so
that what counts is the position on the span:

    unipolar  position = fraction of full scale          bipolar  position = (fraction + 1) / 2

A reference resistor takes the place of the array in the read path of one column: the bit-line
driver's voltage over the resistor is a current that passes the column's trans-impedance stage and
the read input of the ADC like a cell's. Which way the signals take is this project's choice
(`protocols/boards/reference.yaml`).

Noise of a conversion is keyed by (channel or column, end of the conversion in nanoseconds): time
only goes on, so no conversion is ever drawn twice.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hil.sim import draws
from hil.sim.chip import NANOSECONDS, Chip
from hil.sim.config import SimSettings
from hil.sim.converters import (
    STREAM_LOOPBACK_NOISE,
    STREAM_REFERENCE_NOISE,
    Adc,
    Codes,
    Converters,
    Dac,
    Tia,
)
from hil.sim.watched_lines import WatchedLines
from protocols.hardware import LADDER_STEPS, BoardDescription
from protocols.hardware import Converters as Scales
from protocols.messages import AdcInput, LoopSource

F64 = NDArray[np.float64]

_UNIPOLAR = {
    LoopSource.BIT_LINE: Dac.BIT_LINE,
    LoopSource.SOURCE_LINE: Dac.SOURCE_LINE,
    LoopSource.WORD_LINE: Dac.WORD_LINE,
}
_BIPOLAR = {
    LoopSource.INITIAL_1: int(Dac.INITIAL),
    LoopSource.INITIAL_2: Dac.INITIAL + 1,
    LoopSource.DRIFT: int(Dac.DRIFT),
    LoopSource.SCORE: int(Dac.SCORE),
    LoopSource.NOISE_1: int(Dac.NOISE),
    LoopSource.NOISE_2: Dac.NOISE + 1,
}


def channel_volts(scales: Scales, source: LoopSource) -> float:
    """Full scale of a DAC channel's output."""
    if source in _UNIPOLAR:
        return scales.pulse_full_scale_volts
    if source in (LoopSource.INITIAL_1, LoopSource.INITIAL_2):
        return scales.initial_full_scale_volts
    if source >= LoopSource.EMBEDDING_1:
        return scales.embedding_full_scale_volts
    return scales.probe_full_scale_volts  # words have no volts in the description (a choice)


class CalibrationPath:
    """What `loopback` and `read_reference` convert on one board."""

    def __init__(
        self,
        chip: Chip,
        converters: Converters,
        tia: Tia,
        description: BoardDescription,
        settings: SimSettings,
        watched: WatchedLines,
    ) -> None:
        self._chip, self._converters, self._tia = chip, converters, tia
        self._scales = description.converters
        self._watched = watched
        self._width = description.loop.hidden_width
        self._partner = settings.board_faults.partner
        self._ladder = 1.0 + settings.ladder_error
        ohms = np.array(description.references.ohms) * (1.0 + settings.reference_ohm_error)
        self._siemens = np.concatenate([[0.0], 1.0 / ohms])
        self._read_ns = round(description.timing.read_s * NANOSECONDS)

    def duration_ns(self, count: int, samples: int) -> int:
        """Virtual time of `count` entries."""
        return count * samples * self._read_ns

    def loopback(self, source: int, destination: int, codes: Codes, samples: int) -> Codes:
        """Sums of `samples` conversions of each code, one code after the other."""
        self._show(LoopSource(source), codes, samples)
        position = self._position(LoopSource(source), codes)
        noise = self._noise(STREAM_LOOPBACK_NOISE, destination, codes.size, samples)
        if destination == AdcInput.READ:
            out = self._converters.convert_unipolar(Adc.READ, position[:, None], noise)
        else:
            fraction = 2.0 * position[:, None] - 1.0
            out = self._converters.convert_bipolar(destination, fraction, noise)
        self._chip.advance_ns(self.duration_ns(codes.size, samples))
        return np.asarray(out.sum(axis=1), np.int64)

    def read_reference(
        self, columns: Codes, resistors: Codes, read_code: int, samples: int
    ) -> Codes:
        """Sums of `samples` conversions of each resistor through its column's read path."""
        code = np.asarray([read_code])
        drive = self._converters.lone_unipolar(Dac.BIT_LINE, code)
        volts = self._scales.pulse_full_scale_volts * drive
        amperes = self._tia.through(columns, self._siemens[resistors] * volts)
        noise = self._noise(STREAM_REFERENCE_NOISE, columns[:, None], columns.size, samples)
        heard = amperes[:, None] + self._tia.hum(self._ends_ns(columns.size, samples))
        fraction = heard / self._scales.read_full_scale_amperes
        out = self._converters.convert_unipolar(Adc.READ, fraction, noise)
        self._chip.advance_ns(self.duration_ns(columns.size, samples))
        return np.asarray(out.sum(axis=1), np.int64)

    def _position(self, source: LoopSource, codes: Codes) -> F64:
        """Where on the span a source stands."""
        if source is LoopSource.REFERENCE:
            return np.asarray(codes / LADDER_STEPS * self._ladder)
        if source in _UNIPOLAR:
            return self._converters.lone_unipolar(_UNIPOLAR[source], codes)
        number = source - LoopSource.EMBEDDING_1
        if number >= self._width:
            return np.full(codes.shape, 0.5)  # a channel that this board does not have
        channel = _BIPOLAR.get(source, Dac.EMBEDDING + number)
        return 0.5 * (1.0 + self._converters.lone_bipolar(channel, codes))

    def _show(self, source: LoopSource, codes: Codes, samples: int) -> None:
        """The output that moves: the partner's where two channels have changed places."""
        if self._watched.watch.nobody or source is LoopSource.REFERENCE:
            return
        name = self._partner.get(source.name.lower(), source.name.lower())
        moving = LoopSource[name.upper()]
        if moving in _UNIPOLAR:
            fraction = self._converters.unipolar(_UNIPOLAR[moving], codes)
        else:
            number = moving - LoopSource.EMBEDDING_1
            channel = _BIPOLAR.get(moving, Dac.EMBEDDING + number)
            fraction = self._converters.bipolar(channel, codes)
        each_ns = samples * self._read_ns
        starts = self._chip.now_ns + each_ns * np.arange(codes.size)
        volts = fraction * channel_volts(self._scales, moving)
        self._watched.channel(name, starts, each_ns, volts)

    def _noise(self, stream: int, key: int | Codes, count: int, samples: int) -> F64:
        """(count, samples) standard normals."""
        at_ns = self._ends_ns(count, samples)
        keys = np.broadcast_to(np.asarray(key), at_ns.shape)
        low, high = at_ns & 0xFFFFFFFF, at_ns >> 32
        return draws.normals(self._converters.noise_seed, stream, keys, low, high)

    def _ends_ns(self, count: int, samples: int) -> Codes:
        """(count, samples) when each conversion ends."""
        ends = 1 + np.arange(count * samples, dtype=np.int64).reshape(count, samples)
        return np.asarray(self._chip.now_ns + ends * self._read_ns)
