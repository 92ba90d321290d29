"""Products of a block with vectors of voltages: what `multiply` converts on one board.

    I_c = sum_r G_rc(v_r) v_r,        code = middle (1 + I_c / (2^scale full scale of the reads))

This project's choice of hardware (`protocols/boards/reference.yaml`): each bit line has a bipolar
DAC of its own, with errors of its own; one column after the other has its gates opened, and its
trans-impedance stage gives the current to the read input of the ADC, zero in the middle of its
span. The feedback is switched by matched resistors: a column's relative error is that of its reads,
whatever the scale.

A cell's conductance is that behind its own lines, as for reads, and depends on the voltage of its
row as a reading does (`hil/sim/read_law.py`). What relaxes does so in logarithmic time, so a block
is taken as it was at the last of the moments that part the time since its last pulse by `MOMENT`: a
function of time and of what was done to the block alone, worked out once for many vectors. Read
noise of a column is that of its cells added up as independent: one draw with the variance
sum_r (sigma_rc G_rc v_r)^2 for each vector, held for all its conversions, because it is slow
against them. Nothing here counts as a read of a cell.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hil.sim import draws
from hil.sim.array import Array
from hil.sim.chip import NANOSECONDS, Chip
from hil.sim.config import SimSettings
from hil.sim.converters import (
    STREAM_PRODUCT_CURRENT,
    STREAM_PRODUCT_NOISE,
    Adc,
    Codes,
    Converters,
    Dac,
    Tia,
)
from hil.sim.read_law import REFERENCE_VOLTS
from protocols.hardware import BoardDescription

F64 = NDArray[np.float64]

_Block = tuple[str, int, int, int]
"""What is in the socket, first cell, shape."""

MOMENT = 1.05
"""Ratio of the times since the last pulse at which a block is looked at (this project's choice)."""

_SHORTEST_S = 1e-6
_BLOCKS_KEPT = 64
_LEAST_SIEMENS = 1e-12  # of which a relative noise is known


class ProductPath:
    """What `multiply` converts on one board.

    Attributes:
        saturated: conversions at an end of the ADC.
    """

    def __init__(
        self,
        chip: Chip,
        array: Array,
        converters: Converters,
        tia: Tia,
        description: BoardDescription,
        settings: SimSettings,
    ) -> None:
        self._chip, self._array, self._converters, self._tia = chip, array, converters, tia
        self._scales = description.converters
        self._noisy = settings.switched().read_noise
        self._read_ns = round(description.timing.read_s * NANOSECONDS)
        self._vector_ns = round(description.timing.vector_s * NANOSECONDS)
        self.saturated = 0
        self._known: dict[_Block, tuple[tuple[float, float, int], tuple[F64, F64]]] = {}

    def multiply(
        self, corner: tuple[int, int], columns: int, codes: Codes, scale: int, samples: int
    ) -> Codes:
        """Sums of `samples` conversions, shape (n, columns).

        `corner` is the block's first row and column, `codes` (n, inputs) are of its rows, one
        vector after the other; the full scale of the reads is doubled `scale` times.
        """
        vectors, inputs = codes.shape
        if not vectors:
            return np.zeros((0, columns), np.int64)
        rows = corner[0] + np.arange(inputs)
        column = corner[1] + np.arange(columns)
        fraction = self._converters.bipolar(Dac.ROW + rows, codes)
        volts = self._scales.multiply_full_scale_volts * fraction
        at_ns = self._ends_ns(vectors, columns, samples)
        amperes = self._currents(rows, column, volts, at_ns[:, 0, 0])
        amperes = self._tia.through(column, amperes)[:, :, None] + self._tia.hum(at_ns)
        out = self._converted(column, amperes, scale, at_ns)
        self._chip.advance_ns(int(at_ns[-1, -1, -1]) - self._chip.now_ns)
        return out

    def _ends_ns(self, vectors: int, columns: int, samples: int) -> Codes:
        """(vectors, columns, samples) when each conversion ends."""
        ends = self._read_ns * (1 + np.arange(columns * samples, dtype=np.int64))
        each = self._vector_ns + int(ends[-1])
        starts = self._chip.now_ns + self._vector_ns + each * np.arange(vectors, dtype=np.int64)
        return (starts[:, None] + ends).reshape(vectors, columns, samples)

    def _currents(self, rows: Codes, columns: Codes, volts: F64, at_ns: Codes) -> F64:
        """(n, columns) currents into the stages, read noise included; volts (n, rows)."""
        index = self._array.flat(rows[:, None], columns[None, :])
        siemens, variances = self._block(index)
        shares = self._array.law.over_voltages(siemens, volts, REFERENCE_VOLTS) * volts[:, :, None]
        total: F64 = shares.sum(axis=1)
        if not self._noisy:
            return total
        variance = np.einsum("nrc,nrc,rc->nc", shares, shares, variances)
        keys = np.broadcast_to(columns, total.shape)
        low, high = at_ns[:, None] & 0xFFFFFFFF, at_ns[:, None] >> 32
        seed = self._converters.noise_seed
        drawn = draws.normals(seed, STREAM_PRODUCT_CURRENT, keys, low, high)
        return np.asarray(total + drawn * np.sqrt(variance))

    def _block(self, index: Codes) -> tuple[F64, F64]:
        """Conductances of the cells of a block and relative variances of their readings."""
        array, flat = self._array, index.ravel()
        if array.law.has_traps or array.wiring is not None:
            return self._taken(index, self._chip.now_s)
        state = self._chip.cells.state
        last_s = float(state["last_pulse_time_s"][flat].max())
        at_s = moment(last_s, self._chip.now_s)
        pulses = int(state["pulse_count"][flat].sum(dtype=np.int64))
        block = (self._chip.fitted, int(flat[0]), *index.shape)
        when = (at_s, last_s, pulses)
        known = self._known.pop(block, None)
        if known is None or known[0] != when:
            known = when, self._taken(index, at_s)
        self._known[block] = known  # the latest is the last to be forgotten
        if len(self._known) > _BLOCKS_KEPT:
            del self._known[next(iter(self._known))]
        return known[1]

    def _taken(self, index: Codes, at_s: float) -> tuple[F64, F64]:
        siemens = self._array.standing(index.ravel(), at_s)
        sigma = self._chip.cells.read_noise_sd(np.maximum(siemens, _LEAST_SIEMENS))
        return siemens.reshape(index.shape), (sigma**2).reshape(index.shape)

    def _converted(self, columns: Codes, amperes: F64, scale: int, at_ns: Codes) -> Codes:
        """Sums of conversions of currents (n, columns, samples)."""
        middle, top = self._converters.code_zero, self._converters.code_max
        full = self._scales.read_full_scale_amperes * 2.0**scale
        low, high = at_ns & 0xFFFFFFFF, at_ns >> 32
        keys = np.broadcast_to(columns[:, None], at_ns.shape)
        seed = self._converters.noise_seed
        noise = draws.normals(seed, STREAM_PRODUCT_NOISE, keys, low, high)
        position = middle / top * (1.0 + amperes / full)
        out = self._converters.convert_unipolar(Adc.READ, position, noise)
        self.saturated += int(np.count_nonzero((out == 0) | (out == top)))
        return np.asarray(out.sum(axis=2), np.int64)


def moment(since_s: float, now_s: float) -> float:
    """The latest moment up to `now_s` on a logarithmic grid of the time since `since_s`."""
    passed = now_s - since_s
    if passed <= _SHORTEST_S:
        return now_s
    steps = math.floor(math.log(passed) / math.log(MOMENT))
    return since_s + float(MOMENT**steps)
