"""The cells of a simulated chip: pulse them, read them, ask for their true conductance.

A `CellArray` is vectorised over flat cell indices and keeps no state of its own: the state is a
structured array that the caller passes in, so that it can live in a memory-mapped file. Every
draw is keyed by (seed, cell, pulse number, read number): batching and order change nothing.
"""

from __future__ import annotations

from typing import ClassVar, cast

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from scipy.special import erf

from hil.sim import cell_kernels as kernels
from hil.sim.cell_params import STATE_DTYPE, cell_parameters
from hil.sim.effects import Effects
from hil.sim.profile import Profile
from hil.sim.pulse_grid import PulseGrid
from protocols.errors import InputError, TargetError

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


class CellArray:
    """Cells of one die: `profile` (statistics), `seed` (which die), `state` (what was done to it).

    `swapped` plants a wiring fault: bit and source line exchanged, so that SET pulses act as RESET
    pulses and the other way round (a negative control). Cells of other kinds are subclasses that
    replace `_pulse`, `_read`, `_mean` and `_solve_noise`.

    Raises InputError when the state has another dtype or more than one dimension.
    """

    state_dtype: ClassVar[DTypeLike] = STATE_DTYPE
    kind: ClassVar[str] = "fitted"
    fingerprint: int = 0
    """What else than the profile makes these cells, as a number for the chip file."""
    grid: PulseGrid | None = None
    """The only pulses that the cells answer; None where any pulse within reason is."""

    def __init__(
        self,
        profile: Profile,
        seed: int,
        state: NDArray[np.void],
        effects: Effects | None = None,
        *,
        swapped: bool = False,
    ) -> None:
        if state.dtype != STATE_DTYPE or state.ndim != 1:
            raise InputError(
                f"Cell state must be a one-dimensional array of CellArray.state_dtype, got "
                f"{state.ndim} dimensions of {state.dtype}."
            )
        if not 0 <= int(seed) < 2**64:
            raise InputError(f"A chip's seed must lie in 0 to 2**64 - 1, got {seed}.")
        self.profile = profile
        self.seed = int(seed)
        self.effects = Effects.all() if effects is None else effects
        self.state = state
        self._raw = state.view(np.ndarray)  # numba does not take a memmap, but its memory
        self._parameters = cell_parameters(profile, self.seed, self.effects)
        self._sense = -1 if swapped else 1

    @classmethod
    def virgin_state(cls, n: int) -> NDArray[np.void]:
        """State of `n` cells that nobody touched: zeros."""
        return cast(NDArray[np.void], np.zeros(n, STATE_DTYPE))

    def __len__(self) -> int:
        return int(self.state.size)

    def pulse(
        self,
        index: ArrayLike,
        polarity: ArrayLike,
        v_gate_volts: ArrayLike,
        v_line_volts: ArrayLike,
        width_s: ArrayLike,
        now_s: ArrayLike,
    ) -> None:
        """One pulse per entry of `index`, in order; the other arguments are scalars or as long.

        `polarity` +1 is the SET direction (bit line positive), -1 the RESET direction (source
        line positive); `v_gate_volts` is the word line, `v_line_volts` the size of the line
        voltage. A SET-direction pulse on an unformed cell forms it if it is strong enough.
        Raises InputError for an index, voltage, width or time that is not physical.
        """
        cells = self._index(index)
        n = cells.size
        direction = np.atleast_1d(np.asarray(polarity)).astype(np.int64).ravel()
        if direction.size not in (1, n) or not np.isin(direction, (-1, 1)).all():
            raise InputError("polarity must be +1 (SET) or -1 (RESET), one for all or one each.")
        gate = self._values("v_gate_volts", v_gate_volts, n)
        line = self._values("v_line_volts", v_line_volts, n)
        width = self._values("width_s", width_s, n)
        if not (width > 0.0).all():
            raise InputError("A pulse width must be above 0 s.")
        now = self._values("now_s", now_s, n)
        self._pulse(cells, self._sense * direction, gate, line, width, now)

    def read(self, index: ArrayLike, now_s: ArrayLike) -> F64:
        """One noisy reading (siemens) per entry of `index`; a repeated entry is read again."""
        cells = self._index(index)
        out = np.empty(cells.size)
        now = self._values("now_s", now_s, cells.size)
        self._read(cells, now, out)
        return out

    def conductance(self, index: ArrayLike, now_s: ArrayLike) -> F64:
        """True long-run mean conductance (siemens) at `now_s`: relaxed, without read noise."""
        cells = self._index(index)
        out = np.empty(cells.size)
        now = self._values("now_s", now_s, cells.size)
        self._mean(cells, now, out)
        return out

    def solve_noise(self, index: ArrayLike, trajectories: ArrayLike) -> NDArray[np.float32]:
        """Relative deviation of each cell in each solve: shape (trajectories, cells).

        The slow read noise is taken as frozen within one solve and independent from solve to
        solve; it has the marginal law of the read noise. Keyed by (seed, cell, trajectory).
        """
        cells = self._index(index)
        numbers = np.atleast_1d(np.asarray(trajectories, dtype=np.int64)).ravel()
        if numbers.size and (numbers.min() < 0 or numbers.max() >= 2**32):
            raise InputError("Trajectory numbers must lie in 0 to 2**32 - 1.")
        out = np.empty((numbers.size, cells.size), np.float32)
        self._solve_noise(cells, numbers, out)
        return out

    def set_conductance(self, index: ArrayLike, siemens: ArrayLike, now_s: ArrayLike = 0.0) -> None:
        """The simulator's back door: put cells at a conductance, formed, as if just programmed.

        Counts as a pulse (so that the cell's draws are fresh), but ignores stuck cells' faults no
        more than a real pulse would: a stuck cell stays. Raises TargetError outside the bounds.
        """
        cells = self._index(index)
        value = self._values("siemens", siemens, cells.size)
        bounds = self.profile.bounds
        if ((value < bounds.lowest_siemens) | (value > bounds.highest_siemens)).any():
            raise TargetError(
                f"A conductance must lie within {bounds.lowest_siemens:.3g} and "
                f"{bounds.highest_siemens:.3g} S (profile {self.profile.name})."
            )
        kernels.place_cells(
            self._raw, cells, value, self._values("now_s", now_s, cells.size), self._parameters
        )

    def read_noise_sigma(self, siemens: ArrayLike) -> tuple[F64, F64]:
        """Standard and robust relative deviation of one reading at a conductance, as profiled.

        The robust one is 1.4826 times the median absolute deviation over cells; heavy tails make
        it the smaller of the two.
        """
        p = self._parameters[0]
        ln = np.log(np.asarray(siemens, dtype=np.float64))
        sigma = self.read_noise_sd(siemens)
        tail = np.asarray(np.interp(ln, p["noise_ln"], p["noise_tail"]))
        return sigma, sigma * robust_ratio(tail)

    def read_noise_sd(self, siemens: ArrayLike) -> F64:
        """Relative standard deviation of one reading at a conductance, as profiled."""
        p = self._parameters[0]
        ln = np.log(np.asarray(siemens, dtype=np.float64))
        return np.asarray(np.interp(ln, p["noise_ln"], p["noise_sigma"]))

    def _pulse(
        self, cells: I64, direction: I64, gate: F64, line: F64, width_s: F64, now_s: F64
    ) -> None:
        log_width, parameters = np.log10(width_s), self._parameters
        kernels.pulse_cells(self._raw, cells, direction, gate, line, log_width, now_s, parameters)

    def _read(self, cells: I64, now_s: F64, out: F64) -> None:
        kernels.read_cells(self._raw, cells, now_s, self._parameters, out)

    def _mean(self, cells: I64, now_s: F64, out: F64) -> None:
        kernels.mean_cells(self._raw, cells, now_s, self._parameters, out)

    def _solve_noise(self, cells: I64, trajectories: I64, out: NDArray[np.float32]) -> None:
        kernels.solve_noise_cells(self._raw, cells, trajectories, self._parameters, out)

    def _index(self, index: ArrayLike) -> NDArray[np.int64]:
        cells = np.atleast_1d(np.asarray(index)).ravel()
        if cells.size and cells.dtype.kind not in "iu":
            raise InputError(f"Cell indices must be integers, got {cells.dtype}.")
        cells = np.ascontiguousarray(cells, dtype=np.int64)
        if cells.size and (cells.min() < 0 or cells.max() >= self.state.size):
            bad = int(cells.min() if cells.min() < 0 else cells.max())
            raise InputError(f"Cell {bad} does not exist: this array has {self.state.size} cells.")
        return cells

    @staticmethod
    def _values(name: str, value: ArrayLike, n: int) -> F64:
        array = np.ascontiguousarray(np.atleast_1d(np.asarray(value, dtype=np.float64)).ravel())
        if array.size not in (1, n):
            raise InputError(f"{name} must be one value or {n} values, got {array.size}.")
        if not (np.isfinite(array).all() and (array >= 0.0).all()):
            raise InputError(f"{name} must be finite and not negative.")
        return array


def robust_ratio(tail: ArrayLike) -> F64:
    """Robust over standard deviation of a normal times exp(tail*z - tail**2), z normal.

    Computed by quadrature over z; 1 without a tail. Same shape as `tail`.
    """
    tails = np.asarray(tail, dtype=np.float64)
    z = np.linspace(-6.0, 6.0, 241)
    weight = np.exp(-0.5 * z**2)
    weight /= weight.sum()
    ratios = [1.4826 * _median_absolute(np.exp(t * z - t * t), weight) for t in tails.ravel()]
    return np.array(ratios).reshape(tails.shape)


def _median_absolute(scale: F64, weight: F64) -> float:
    """Median of |scale * normal| with `scale` distributed by `weight`, by bisection."""
    low, high = 0.0, 10.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        if float(np.sum(weight * erf(middle / scale / np.sqrt(2.0)))) < 0.5:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)
