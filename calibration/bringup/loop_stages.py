"""The analog loop part by part, against what the board's description says of it.

In the order of the signal: trans-impedance stages of the three layers, rectifier and clamp of the
hidden units (`loop_layers`), then both multipliers, the noise path and the integrators by short
runs (`calibration.loop`), and last how well the integrators hold while every word stands at the
zero that was found. No network is needed: references in place of cells make the layers.

A leak of an integrator and a zero of the drift's multiplier both move x by a share of itself and
cannot be told apart by that; a share beyond what a multiplier's zero can be is called a leak.

Nominal gains, clamps and full scales are those of the board's description; it states no tolerance,
so the limits are this project's choice: what a loop of such parts may be off by and still be made
up for by its calibration.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from calibration.arrays import FloatArray
from calibration.bringup.loop_layers import LAYERS, LayerBench, LayerResponse, Rectifier
from calibration.bringup.stage import Figure, Needs, Rig, Stage, StageResult
from calibration.loop import LoopCalibration, LoopParams, calibrate_loop
from calibration.startup.findings import Finding
from drivers.waveforms import Waveforms
from protocols.errors import InputError

NAME = "loop"
OUTPUT_OHM, OUTPUT_SIEMENS = 2.0e3, 100e-6
"""Of the last layer while the multipliers are looked at: its output is then up to 1 V."""
HELD_TICKS = 40
MOST_NAMED = 8
LEAK_ZERO = 0.1
"""A zero of f beyond it, towards decay, is no multiplier's: those of data sheets are a few per cent
of full scale at worst (this project's choice)."""


@dataclass(frozen=True)
class LoopStageParams:
    """Limits of the loop's parts; relative where nothing else is said.

    Attributes:
        stage_gain: of a trans-impedance stage against its feedback resistor.
        slope: of a rectifier between zero and clamp; below_volts: what it lets through below zero.
        clamp: of a hidden unit's clamp.
        path_gain: of the drift, score and noise paths against the description.
        zero: of the words f and g, of full scale.
        drift_volts_per_s: of an integrator by itself.
        hold_share: of the samples' full scale, that x may move while it is held by the zeros found.
        preset_share: of the same, that a preset x may be off by.
        starts, score_starts, candidates: of the runs, as in `calibration.loop`.
    """

    stage_gain: float = 0.05
    slope: float = 0.05
    below_volts: float = 2.0e-3
    clamp: float = 0.05
    path_gain: float = 0.25
    zero: float = 0.03
    drift_volts_per_s: float = 0.1
    hold_share: float = 0.03
    preset_share: float = 0.03
    starts: int = 4
    score_starts: int = 4
    candidates: int = 24

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise InputError(f"loop: {name}={value} must be a positive number.")

    def runs(self, seed: int) -> LoopParams:
        """Of the loop calibration: few runs, because the network is quiet."""
        return LoopParams(
            starts=self.starts,
            score_starts=self.score_starts,
            candidates=self.candidates,
            candidate_probes=2,
            seed=seed,
            largest_gain_error=0.1,
        )


def run(rig: Rig, params: LoopStageParams) -> StageResult:
    """Every part; the runs only where the layers are in order."""
    bench = LayerBench(rig.integrator, rig.description)
    rig.progress(0, 4, "loop: trans-impedance stages")
    responses = [bench.response(layer) for layer in range(LAYERS)]
    rig.progress(1, 4, "loop: rectifiers")
    rectifiers = [bench.rectifier(layer) for layer in range(LAYERS - 1)]
    figures = [*_stage_figures(params, responses), *_rectifier_figures(rig, params, rectifiers)]
    findings = [*_stages_off(params, responses), *_units_off(rig, params, rectifiers)]
    data = _layer_data(responses, rectifiers)
    if findings or not all(one.passed for one in figures):
        return StageResult(NAME, tuple(figures), tuple(findings), data=data)
    rig.progress(2, 4, "loop: multipliers and integrators")
    found = _calibrated(rig, bench, params)
    rig.progress(3, 4, "loop: hold")
    held = _held(rig, found)
    rig.progress(4, 4, "loop: hold")
    figures += _path_figures(rig, params, found, held)
    findings = _paths_off(params, found)
    data |= {"calibration": found.to_dict(), **held.to_dict()}
    return StageResult(NAME, tuple(figures), tuple(findings), data=data)


# --- runs -----------------------------------------------------------------------------------------


def _calibrated(rig: Rig, bench: LayerBench, params: LoopStageParams) -> LoopCalibration:
    least = bench.least_ohm
    bench.connect((least, least, OUTPUT_OHM), (0.0, 0.0, OUTPUT_SIEMENS))
    return calibrate_loop(rig.integrator, rig.description.loop, params.runs(rig.seed))


@dataclass(frozen=True, eq=False)
class Held:
    """Trajectories with every word at its zero: times (points,), x (n, points, 2) volts.

    `asked_volts` (n, 2) is what was preset.
    """

    times_s: FloatArray
    x_volts: FloatArray
    asked_volts: FloatArray

    @property
    def moved_volts(self) -> float:
        """Largest distance of any x from where it began."""
        return float(np.abs(self.x_volts - self.x_volts[:, :1]).max())

    @property
    def preset_volts(self) -> float:
        """Largest distance of a preset x from what was asked for."""
        return float(np.abs(self.x_volts[:, 0] - self.asked_volts).max())

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "held_s": self.times_s.tolist(),
            "held_volts": np.round(self.x_volts, 6).tolist(),
        }


def _held(rig: Rig, found: LoopCalibration) -> Held:
    """x with the words that should leave it alone."""
    loop, ticks = rig.description.loop, HELD_TICKS
    radius = 0.6 * rig.integrator.curves.sample.maximum
    angle = 2.0 * np.pi * np.arange(6) / 6.0
    start = radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    rig.integrator.load(
        Waveforms(
            tick_s=loop.tick_s,
            drift=np.full(ticks, float(found.drift_word(np.zeros(1))[0])),
            score=np.full(ticks, float(found.score_word(np.zeros(1))[0])),
            noise=np.zeros(ticks),
            offset=np.tile(found.rest_offset(), (ticks, 1)),
            embedding_volts=np.zeros((ticks, loop.hidden_width)),
        )
    )
    every = ticks // 8
    got = rig.integrator.run(start, trace_every=every, trace_count=len(start), seed=rig.seed)
    traces = np.asarray(got.traces_volts)
    times = np.arange(traces.shape[1], dtype=np.float64) * every * loop.tick_s
    return Held(times, traces, start)


# --- judging --------------------------------------------------------------------------------------

_LAYER = ("first hidden layer", "second hidden layer", "output layer")
_STAGE_REMEDY = "Check that stage's op-amp, its supply and its feedback resistor"
_UNIT_REMEDY = "Check that unit's rectifier and the clamp's reference"
_ZERO_REMEDY = "Trim the offset of that multiplier, and check its supply"
_LEAK_REMEDY = "Clean the board at the integrators' capacitors and check hold and reset switches"


def _stage_figures(params: LoopStageParams, responses: list[LayerResponse]) -> list[Figure]:
    return [
        Figure(
            f"trans-impedance of the {_LAYER[k]}, largest deviation",
            float(np.abs(one.gain - 1.0).max()),
            high=params.stage_gain,
            what=_STAGE_REMEDY,
        )
        for k, one in enumerate(responses)
    ]


def _stages_off(params: LoopStageParams, responses: list[LayerResponse]) -> list[Finding]:
    return [
        Finding(
            "loop_stage",
            (k, unit),
            f"trans-impedance stage {unit} of the {_LAYER[k]} gives {one.gain[unit]:.2f} of what"
            " its feedback resistor says",
            _STAGE_REMEDY,
        )
        for k, one in enumerate(responses)
        for unit in np.flatnonzero(~(np.abs(one.gain - 1.0) <= params.stage_gain)).tolist()
    ][:MOST_NAMED]


def _rectifier_figures(rig: Rig, params: LoopStageParams, found: list[Rectifier]) -> list[Figure]:
    clamp, figures = rig.description.loop.hidden_clamp_volts, []
    for k, one in enumerate(found):
        off = float(np.abs(one.clamp_volts / clamp - 1.0).max())
        bent = float(np.abs(one.slope - 1.0).max())
        figures += [
            Figure(
                f"rectifiers of the {_LAYER[k]}, slope's deviation",
                bent,
                high=params.slope,
                what=_UNIT_REMEDY,
            ),
            Figure(
                f"rectifiers of the {_LAYER[k]}, output below zero",
                one.below_volts,
                "V",
                high=params.below_volts,
                what=_UNIT_REMEDY,
            ),
            Figure(
                f"clamps of the {_LAYER[k]}, deviation", off, high=params.clamp, what=_UNIT_REMEDY
            ),
        ]
    return figures


def _units_off(rig: Rig, params: LoopStageParams, found: list[Rectifier]) -> list[Finding]:
    clamp, findings = rig.description.loop.hidden_clamp_volts, []
    for k, one in enumerate(found):
        bad = np.abs(one.slope - 1.0) > params.slope
        bad |= np.abs(one.clamp_volts / clamp - 1.0) > params.clamp
        findings += [
            Finding(
                "loop_unit",
                (k, unit),
                f"unit {unit} of the {_LAYER[k]} does not rectify or clamp as it should (slope"
                f" {one.slope[unit]:.2f}, clamp at {one.clamp_volts[unit] * 1e3:.0f} mV)",
                _UNIT_REMEDY,
            )
            for unit in np.flatnonzero(bad).tolist()
        ]
    return findings[:MOST_NAMED]


def _path_figures(
    rig: Rig, params: LoopStageParams, found: LoopCalibration, held: Held
) -> list[Figure]:
    loop, full = rig.description.loop, rig.integrator.curves.sample.maximum
    gains = (
        ("drift", found.kf_per_s / loop.drift_rate_per_s),
        ("score", found.kg_per_s / loop.score_rate_per_s),
        ("noise", found.kn_volts_per_s / loop.noise_rate_volts_per_s),
    )
    low, high = 1.0 - params.path_gain, 1.0 + params.path_gain
    rc = "Check the RC of the integrators and the multiplier's scale"
    worst = max(abs(d) for d in found.d_volts_per_s)
    return [
        *(
            Figure(f"gain of the {name} path, of nominal", g, "", low, high, rc)
            for name, g in gains
        ),
        Figure(
            "zero of f, with the integrators' leak",
            found.f0,
            "",
            -params.zero,
            params.zero,
            _ZERO_REMEDY,
        ),
        Figure("zero of g", found.g0, "", -params.zero, params.zero, _ZERO_REMEDY),
        Figure(
            "drift of an integrator by itself",
            worst,
            "V/s",
            high=params.drift_volts_per_s,
            what="Trim the integrators' offset",
        ),
        Figure(
            "preset x, largest error",
            held.preset_volts,
            "V",
            high=params.preset_share * full,
            what="Check preset and hold switches",
        ),
        Figure(
            f"x held for {held.times_s[-1] * 1e3:.0f} ms, largest movement",
            held.moved_volts,
            "V",
            high=params.hold_share * full,
            what=_LEAK_REMEDY,
        ),
    ]


def _paths_off(params: LoopStageParams, found: LoopCalibration) -> list[Finding]:
    findings = []
    rate = found.kf_per_s * found.f0
    if rate < 0.0 and abs(found.f0) > LEAK_ZERO:
        findings.append(
            Finding(
                "integrator_leak",
                (),
                f"the integrators leak: with every word at zero x decays by {-rate:.2f} per second"
                f" (time constant {-1.0 / rate:.2f} s)",
                _LEAK_REMEDY,
            )
        )
    elif abs(found.f0) > params.zero:
        findings.append(_zero("drift", "f", found.f0, params.zero))
    if abs(found.g0) > params.zero:
        findings.append(_zero("score", "g", found.g0, params.zero))
    return findings


def _zero(path: str, word: str, value: float, limit: float) -> Finding:
    return Finding(
        "multiplier_zero",
        (path,),
        f"the {path} multiplier's zero of {word} is off by {value:+.3f} of full scale,"
        f" {limit:.3f} is allowed",
        _ZERO_REMEDY,
    )


def _layer_data(responses: list[LayerResponse], rectifiers: list[Rectifier]) -> dict[str, Any]:
    return {
        "layers": [
            {
                "expected_volts": one.expected_volts.tolist(),
                "moved_volts": np.round(one.moved_volts, 7).tolist(),
                "gain": one.gain.tolist(),
                "residual_volts": one.residual_volts,
            }
            for one in responses
        ],
        "rectifiers": [
            {
                "input_volts": one.input_volts.tolist(),
                "output_volts": np.round(one.output_volts, 7).tolist(),
                "slope": one.slope.tolist(),
                "clamp_volts": one.clamp_volts.tolist(),
            }
            for one in rectifiers
        ],
    }


STAGE = Stage(
    name=NAME,
    title="the analog loop, part by part",
    needs=Needs(fixture="chip"),
    params=LoopStageParams,
    run=run,
    plan="probes the layers and lets the integrators run some 50 times for a quarter of a second; "
    "no cell sees more than the read level",
)
