"""Calibrate the analog loop: two gains, their zeros, two integrator drifts and the noise path.

    dx_i/dt = kf (f + f0) x_i + kg (g + g0) s_i + kn n_i + d_i

Short runs with held words from several initial conditions, with the chip's own network in place
(`calibration.loop_runs`): g = 0 gives pure exponential growth and decay (kf), f = 0 with a probed
network output gives kg, both at 0 give what is left (zeros and drifts), the offset words give kn.
All of it is one linear regression (`calibration.loop_fit`), axis by axis; the words are common to
both axes, so the figures that a run can use are means of the two, and the axes are a diagnostic.

The procedure is that of the facts on the published systems, section 2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from calibration.arrays import FloatArray
from calibration.loop_fit import AxisFit, Observations, fit_axis
from calibration.loop_runs import AXES, Experiment, LoopBench, LoopParams
from calibration.progress import Progress, silent
from drivers.integrator import Integrator
from protocols.errors import CalibrationError
from protocols.hardware import Loop

__all__ = ["LoopCalibration", "LoopParams", "calibrate_loop"]


@dataclass(frozen=True)
class LoopCalibration:
    """What one board's loop does with its words. Arrays have one entry per axis.

    Attributes:
        kf_per_s, kg_per_s: rates at a word of full scale, weighted means of the axes.
        f0, g0: zeros of the words, fractions of full scale; the integrators' leak is part of f0.
        kn_volts_per_s: rate of the noise channels at full scale.
        d_volts_per_s: (2,) drift of each integrator with both words at their zeros; the noise
            channels' zeros are part of it.
        kf_axes, kg_axes, f0_axes, g0_axes, kn_axes: (2,) the axes apart, a diagnostic.
        sd: standard deviations of the figures above by the same names: what noise leaves uncertain.
            Scale errors of the converters that measure x and s come on top, as quotients in kg.
        x_offset_volts, s_offset_volts: (2,) offsets of the converters that measured x and s.
        residual_volts: standard deviation of what the model leaves, of the quiet runs and of the
            score runs (where the cells' read noise is).
    """

    kf_per_s: float
    kg_per_s: float
    f0: float
    g0: float
    kn_volts_per_s: float
    d_volts_per_s: tuple[float, float]
    kf_axes: tuple[float, float]
    kg_axes: tuple[float, float]
    f0_axes: tuple[float, float]
    g0_axes: tuple[float, float]
    kn_axes: tuple[float, float]
    sd: dict[str, float]
    x_offset_volts: tuple[float, float]
    s_offset_volts: tuple[float, float]
    residual_volts: tuple[float, float]
    solves: int
    probes: int
    bench_s: float

    def drift_word(self, rate_per_s: FloatArray) -> FloatArray:
        """Words f that give x the rates wanted."""
        return np.asarray(rate_per_s, dtype=np.float64) / self.kf_per_s - self.f0

    def score_word(self, rate_per_s: FloatArray) -> FloatArray:
        """Words g that give the network's output the rates wanted."""
        return np.asarray(rate_per_s, dtype=np.float64) / self.kg_per_s - self.g0

    def rest_offset(self) -> FloatArray:
        """(2,) offset words of the noise channels that cancel the integrators' drifts."""
        return -np.asarray(self.d_volts_per_s) / self.kn_volts_per_s

    @classmethod
    def nominal(cls, loop: Loop) -> LoopCalibration:
        """What a board without any error would be calibrated to: for plans, never for a run."""
        none = (0.0, 0.0)
        kf, kg, kn = loop.drift_rate_per_s, loop.score_rate_per_s, loop.noise_rate_volts_per_s
        return cls(
            kf_per_s=kf,
            kg_per_s=kg,
            f0=0.0,
            g0=0.0,
            kn_volts_per_s=kn,
            d_volts_per_s=none,
            kf_axes=(kf, kf),
            kg_axes=(kg, kg),
            f0_axes=none,
            g0_axes=none,
            kn_axes=(kn, kn),
            sd={},
            x_offset_volts=none,
            s_offset_volts=none,
            residual_volts=none,
            solves=0,
            probes=0,
            bench_s=0.0,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> LoopCalibration:
        """The inverse of `to_dict`.

        Raises:
            CalibrationError: a key is missing or unknown, or a value is of another kind.
        """
        try:
            fields: dict[str, Any] = {
                key: _pair(value) if isinstance(value, list | tuple) else value
                for key, value in data.items()
            }
            return cls(**fields)
        except (TypeError, ValueError, IndexError) as error:
            raise CalibrationError(f"Not a loop calibration: {error}.") from error


def calibrate_loop(
    integrator: Integrator,
    loop: Loop,
    params: LoopParams | None = None,
    progress: Progress | None = None,
) -> LoopCalibration:
    """Measure the loop with the network that is connected to it (`Integrator.connect`).

    Args:
        integrator: the driver of the loop; its waveforms are overwritten.
        loop: nominal figures of the board.
        params: None is the default.
        progress: counts solves.

    Raises:
        CalibrationError: the loop does not move, runs into the ends of a converter, or its figures
            are implausible or too uncertain.
    """
    bench = LoopBench(integrator, loop, params or LoopParams(), progress or silent)
    loud = bench.loud_experiments(bench.loud_embeddings())
    rows = bench.measure(loud)
    first = [
        fit_axis(_joined([r[axis] for r in rows]), bench.offset_sd, partial=True)
        for axis in range(AXES)
    ]
    g0 = _combined([fit.ratio("kg_g0", "kg") for fit in first], "g0")[0]
    quiet = bench.quiet_experiments(g0)
    rows += bench.measure(quiet)
    fits = [fit_axis(_joined([r[axis] for r in rows]), bench.offset_sd) for axis in range(AXES)]
    result = _result(fits, loud + quiet, bench)
    _check(result, loop, bench.params)
    return result


def _joined(parts: Sequence[Observations]) -> Observations:
    names = Observations.__dataclass_fields__
    return Observations(**{n: np.concatenate([getattr(p, n) for p in parts]) for n in names})


def _pair(values: Sequence[float]) -> tuple[float, float]:
    return float(values[0]), float(values[1])


def _combined(axes: Sequence[tuple[float, float]], name: str) -> tuple[float, float]:
    """Mean of the axes, weighted by what each knows, and its standard deviation.

    The weights allow for axes that differ by half a percent (gains) or a thousandth of full scale
    (zeros), so that a very sure axis does not speak for both.
    """
    value, sd = (np.array(part) for part in zip(*axes, strict=True))
    differ = 1e-3 if name in ("f0", "g0") else 5e-3 * float(np.abs(value).max())
    weight = 1.0 / (sd**2 + differ**2)
    weight /= weight.sum()
    return float(weight @ value), float(np.sqrt(np.sum((weight * sd) ** 2)))


def _result(
    fits: Sequence[AxisFit], experiments: Sequence[Experiment], bench: LoopBench
) -> LoopCalibration:
    kf, kg, kn, d = ([fit.term(name) for fit in fits] for name in ("kf", "kg", "kn", "d"))
    f0 = [fit.ratio("kf_f0", "kf") for fit in fits]
    g0 = [fit.ratio("kg_g0", "kg") for fit in fits]
    named = {"kf": kf, "kg": kg, "kn": kn, "f0": f0, "g0": g0}
    both = {name: _combined(axes, name) for name, axes in named.items()}
    sd = {name: value[1] for name, value in both.items()}
    sd |= {f"d_{axis + 1}": d[axis][1] for axis in range(AXES)}
    score = np.array([e.name.startswith("score") for e in experiments])
    left = np.array([fit.residual_volts for fit in fits])
    axes = {f"{name}_axes": _pair([value[0] for value in values]) for name, values in named.items()}
    return LoopCalibration(
        kf_per_s=both["kf"][0],
        kg_per_s=both["kg"][0],
        f0=both["f0"][0],
        g0=both["g0"][0],
        kn_volts_per_s=both["kn"][0],
        d_volts_per_s=_pair([value[0] for value in d]),
        **axes,
        sd=sd,
        x_offset_volts=_pair([fit.ratio("kf_ox", "kf")[0] for fit in fits]),
        s_offset_volts=_pair([fit.ratio("kg_os", "kg")[0] for fit in fits]),
        residual_volts=(float(left[:, ~score].max()), float(left[:, score].max())),
        solves=bench.solves,
        probes=bench.probes,
        bench_s=bench.bench_s,
    )


def _check(result: LoopCalibration, loop: Loop, params: LoopParams) -> None:
    """Refuse figures that no working loop has."""
    for name, value, nominal, sd in (
        ("drift gain kf", result.kf_per_s, loop.drift_rate_per_s, result.sd["kf"]),
        ("score gain kg", result.kg_per_s, loop.score_rate_per_s, result.sd["kg"]),
        ("noise gain kn", result.kn_volts_per_s, loop.noise_rate_volts_per_s, result.sd["kn"]),
    ):
        ratio = value / nominal
        if not 1.0 / params.plausible < ratio < params.plausible:
            raise CalibrationError(
                f"The {name} comes out as {value:.4g}, the board's description says {nominal:.4g}: "
                "the loop is dead, wired otherwise or of another board. Nothing was calibrated."
            )
        if sd > params.largest_gain_error * abs(value):
            raise CalibrationError(
                f"The {name} is uncertain by {sd / abs(value):.1%}, more than the "
                f"{params.largest_gain_error:.1%} allowed; use more initial conditions."
            )
    if not all(math.isfinite(v) for v in (result.f0, result.g0, *result.d_volts_per_s)):
        raise CalibrationError("The zeros of the loop are not finite numbers.")
