"""Where a cell truly stands, from noisy readings, and how sure that is.

Readings scatter by state-dependent noise that is correlated from read to read and whose size
differs from programming to programming; and the mean itself moves in logarithmic time. So an
average says little about how far off it is, and nothing about later.

**One look** at a cell is a few blocks of readings in a row. With `r` the correlation of two
readings in a row, the noise of a block follows from that of the last reading before it, so that the
mean and that noise make a Kalman filter of two figures, started without any opinion on the mean.
In it every variance is in units of the noise's own, so one filter serves all sizes of the noise;
the sum of the squared innovations then weighs the sizes (lognormal by the model), and the mean is a
mixture of normals over them.

**Between looks** the mean moves as the model's relaxation has it: drift and a spread per root
decade of the time since the pulse, with heavy tails. A cell that was looked at when it was already
old hardly moves; one that was pulsed just now does. `inside` says how likely a cell is in its
window now; what is sure enough need not be read again.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from calibration.arrays import FloatArray, IntArray
from calibration.cell_model import CellModel
from calibration.cell_model.kernel import compiled, numbers
from calibration.programming.predictive_value import phi

_NODES = np.linspace(-2.4, 2.4, 9)  # of a normal figure, for sizes of the noise and of a move
_WEIGHTS = np.exp(-0.5 * _NODES**2)
_TAIL = 0.85  # of a half decade's heavy tail, over the decades between two looks (our choice)
_LEAST_DECADES = 0.01
_LONG_AGO_S = 1e6


class Look(NamedTuple):
    """What the readings since a cell was last looked at afresh say; arrays (n,).

    `mean` (siemens) and `noise` (siemens, of the last reading) are the filter's figures, `vm`,
    `vn`, `cov` their variances and covariance in units of the noise's variance; `chi2` (siemens
    squared) sums the squared innovations over their variances, `surprises` counts them;
    `reads` since the look began; `time_s` of its last reading, `pulsed_s` of the last pulse.
    """

    mean: FloatArray
    noise: FloatArray
    vm: FloatArray
    vn: FloatArray
    cov: FloatArray
    chi2: FloatArray
    surprises: IntArray
    reads: IntArray
    time_s: FloatArray
    pulsed_s: FloatArray

    @classmethod
    def none(cls, n: int) -> Look:
        """Nothing read yet; every cell's last pulse was long ago."""
        mean, noise, vm, vn, cov, chi2, time_s = np.zeros((7, n))
        surprises, reads = np.zeros((2, n), np.int64)
        pulsed_s = np.full(n, -_LONG_AGO_S)
        return cls(mean, noise, vm, vn, cov, chi2, surprises, reads, time_s, pulsed_s)


class Noise(NamedTuple):
    """The model's read noise and relaxation at each cell's target; (n,).

    `size` siemens, rms; `tail` of its lognormal size; `drift`, `spread` of ln G per decade and per
    root decade, `heavy` its tail; `onset_s` and `correlation` of all cells.
    """

    size: FloatArray
    tail: FloatArray
    drift: FloatArray
    spread: FloatArray
    heavy: FloatArray
    onset_s: float
    correlation: float

    @classmethod
    def of(cls, model: CellModel, siemens: FloatArray) -> Noise:
        """At levels (n,)."""
        flat, ln = numbers(model), np.log(siemens)
        return cls(
            siemens * np.interp(ln, flat.noise_ln, flat.noise_sigma),
            np.interp(ln, flat.noise_ln, flat.noise_tail),
            np.interp(ln, flat.relax_ln, flat.relax_drift),
            np.interp(ln, flat.relax_ln, flat.relax_sigma),
            np.interp(ln, flat.relax_ln, flat.relax_tail),
            model.relaxation.onset_s,
            model.read_noise.correlation,
        )


@compiled
def block_figures(samples: int, r: float) -> tuple[float, float, float, float]:  # pragma: no cover
    """Of the mean of a block, in units of one reading's noise: what it takes over from the reading
    before it, its variance, its covariance with its last reading, and what that takes over."""
    memory = r**samples
    if r == 0.0:
        return 0.0, 1.0 / samples, 1.0 / samples, 0.0
    takes = r * (1.0 - memory) / (1.0 - r) / samples
    last = (1.0 - memory) / (1.0 - r) / samples
    variance = (1.0 + r) / (1.0 - r) / samples - 2.0 * takes / (1.0 - r) / samples
    return takes, variance, last, memory


@compiled
def hear(
    cell: Any, reading: FloatArray, samples: int, fresh: bool, correlation: float, look: Any
) -> None:  # pragma: no cover - compiled
    """Add the mean of a block of readings to the look at each of `cell`; `fresh` begins anew."""
    takes, variance, last, memory = block_figures(samples, correlation)
    for n in range(cell.size):
        c, x = cell[n], reading[n]
        if fresh or look.reads[c] == 0:
            look.mean[c], look.noise[c] = x, 0.0
            look.vm[c], look.vn[c], look.cov[c] = variance, 1.0, -last
            look.chi2[c], look.surprises[c], look.reads[c] = 0.0, 0, samples
            continue
        vm, vn, cov = look.vm[c], look.vn[c], look.cov[c]
        off = x - look.mean[c] - takes * look.noise[c]
        s = vm + 2.0 * takes * cov + takes**2 * vn + variance - takes**2
        gain = (vm + takes * cov) / s
        gain_noise = (memory * (cov + takes * vn) + last - takes * memory) / s
        look.mean[c] += gain * off
        look.noise[c] = memory * look.noise[c] + gain_noise * off
        look.vm[c] = vm - gain**2 * s
        look.vn[c] = memory**2 * vn + 1.0 - memory**2 - gain_noise**2 * s
        look.cov[c] = memory * cov - gain * gain_noise * s
        look.chi2[c] += off**2 / s
        look.surprises[c] += 1
        look.reads[c] += samples


@compiled
def inside(
    cell: Any, at_s: Any, low: FloatArray, high: FloatArray, look: Any, law: Any, out: FloatArray
) -> None:  # pragma: no cover - compiled
    """How likely each of `cell` (k,) is between its `low` and `high` (n,) at its time `at_s` (k,),
    by the `look` at all n cells; into `out` (k,)."""
    size = np.empty(_NODES.size)
    weight = np.empty(_NODES.size)
    for n in range(cell.size):
        c = cell[n]
        best = -1e300
        for j in range(_NODES.size):
            size[j] = law.size[c] * np.exp(law.tail[c] * _NODES[j] - law.tail[c] ** 2)
            weight[j] = -0.5 * _NODES[j] ** 2
            if look.surprises[c] > 0:
                weight[j] -= look.surprises[c] * np.log(size[j]) + 0.5 * look.chi2[c] / size[j] ** 2
            best = max(best, weight[j])
        total = 0.0
        for j in range(_NODES.size):
            weight[j] = np.exp(weight[j] - best)
            total += weight[j]
        age = max(look.time_s[c] - look.pulsed_s[c], 0.0) + law.onset_s
        decades = np.log10(max(at_s[n] - look.time_s[c], 0.0) / age + 1.0)
        mean = look.mean[c] * np.exp(law.drift[c] * decades)
        move = look.mean[c] * law.spread[c] * np.sqrt(decades)
        out[n] = 0.0
        for j in range(_NODES.size):
            variance = look.vm[c] * size[j] ** 2
            share = weight[j] / total
            if share < 1e-4:
                continue
            if decades < _LEAST_DECADES:
                out[n] += share * _between(low[c], high[c], mean, np.sqrt(variance))
            else:
                out[n] += share * _moved(low[c], high[c], mean, variance, move, law.heavy[c])


@compiled
def _moved(
    low: float, high: float, mean: float, variance: float, move: float, heavy: float
) -> float:  # pragma: no cover - compiled
    tail, total, found = _TAIL * heavy, 0.0, 0.0
    for j in range(_NODES.size):
        size = move * np.exp(tail * _NODES[j] - tail * tail)
        found += _WEIGHTS[j] * _between(low, high, mean, np.sqrt(variance + size * size))
        total += _WEIGHTS[j]
    return found / total


@compiled
def _between(low: float, high: float, mean: float, sd: float) -> float:  # pragma: no cover
    sd = max(sd, 1e-12)
    return float(phi((high - mean) / sd) - phi((low - mean) / sd))
