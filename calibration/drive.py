"""Trim the drive: choose words and embedding of a solve so that the programmed network serves best.

What a programmed network gets wrong, the host can make up for without a pulse: the words f, g2 and
the two offset channels scale and shift the field tick by tick, and the 14 embedding voltages move
the kinks of both hidden layers tick by tick. The network is probed on the board where solutions
pass, the twin that was read back from its cells is refined with what its layers gave
(`calibration.repair_twin`), and words and embedding are fitted on that twin so that its solutions
end where the software's end (`calibration.repair_flow`). With the new drive loaded the network is
probed again, because a moved embedding shows parts of the layers that were in the dark.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from calibration.arrays import FloatArray, IntArray
from calibration.progress import Progress, silent
from calibration.repair_flow import Drive, FitParams, Flow, Reach, fit_flow, nominal_drive
from calibration.repair_twin import Probes, prediction_error, refine_twin
from calibration.twin import Twin
from protocols.errors import CalibrationError, InputError

LARGEST_SURPRISE = 0.5
"""Of the probed output, root mean square: a twin that is further off predicts nothing (this
project's choice; read noise alone makes some 0.05 to 0.1)."""
ProbeField = Callable[[Drive], Probes]
"""Loads a drive and probes the layers where solutions pass."""


@dataclass(frozen=True)
class DriveParams:
    """How much is probed, and how much is fitted.

    Attributes:
        ticks: ticks of a solve at which the network is probed, spread evenly.
        points: positions per tick.
        samples: conversions per probed output.
        passes: probe and fit so often the first time; later trims start from the last one.
        weight_sd: how far a weight as read back is expected to be off, over its layer's largest.
        trajectories: solutions whose ends are fitted.
        stride: ticks per step of their integration.
        degree, embedding_degree: of the polynomials in time that words and embedding are.
        word_sd: how far the words are expected to move, as a fraction of them.
        embedding_sd_volts: how far an embedding channel is expected to be moved.
        iterations: steps of the fit, at most.
        largest_change: no word is changed by more than this fraction.
        largest_error: ends may be off by this fraction of their size after the fit; more means a
            broken network.
    """

    ticks: int = 15
    points: int = 20
    samples: int = 2
    passes: int = 2
    weight_sd: float = 0.01
    trajectories: int = 600
    stride: int = 4
    degree: int = 4
    embedding_degree: int = 4
    word_sd: float = 0.05
    embedding_sd_volts: float = 0.01
    iterations: int = 20
    largest_change: float = 0.5
    largest_error: float = 0.2

    def __post_init__(self) -> None:
        lowest = {
            "ticks": 2,
            "points": 4,
            "samples": 1,
            "passes": 1,
            "trajectories": 10,
            "stride": 1,
            "degree": 0,
            "embedding_degree": 0,
            "iterations": 0,
        }
        for name, least in lowest.items():
            if getattr(self, name) < least:
                raise InputError(f"Drive trim: {name}={getattr(self, name)}; at least {least}.")
        for name in (
            "weight_sd",
            "word_sd",
            "embedding_sd_volts",
            "largest_change",
            "largest_error",
        ):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0.0):
                raise InputError(f"Drive trim: {name}={value}; a positive number is needed.")
        if not self.largest_change < 1.0:
            raise InputError(f"Drive trim: largest_change={self.largest_change}; less than 1.")

    def probed(self, count: int) -> IntArray:
        """The ticks that are probed, of `count`."""
        chosen = np.linspace(0, count - 1, min(self.ticks, count))
        return np.unique(np.round(chosen).astype(np.int64))

    def fit(self, last_sd: float = 0.0) -> FitParams:
        """What is free in a fit; with `last_sd` the last layer as well."""
        return FitParams(
            degree=self.degree,
            embedding_degree=self.embedding_degree,
            word_sd=self.word_sd,
            embedding_sd_volts=self.embedding_sd_volts,
            last_sd=last_sd,
            stride=self.stride,
            iterations=self.iterations,
        )


@dataclass(frozen=True)
class DriveTrim:
    """What is driven instead of the ideal network's words, and the twin that it was fitted on.

    Attributes:
        drive: words as factors, offsets and embedding, for each tick.
        twin: the network as measured, in the model's order.
        error_before, error_after: how far the twin's solutions end from the software's, over the
            size of the ends (Huber's mean as a root), with the ideal network's drive and with this
            one.
        probe_error: root mean square of the twin's output against the probes, over the output.
        probes: how many points were probed.
        coefficients: what the next trim starts from.
    """

    drive: Drive
    twin: Twin
    error_before: float
    error_after: float
    probe_error: float
    probes: int
    coefficients: FloatArray

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON: figures, words, and the embedding's coefficients."""
        drive = self.drive
        return {
            "error_before": self.error_before,
            "error_after": self.error_after,
            "probe_error": self.probe_error,
            "probes": self.probes,
            "drift": drive.drift.tolist(),
            "score": drive.score.tolist(),
            "offset_volts": drive.offset_volts.tolist(),
            "coefficients": self.coefficients.tolist(),
        }


def trim_drive(
    flow: Flow,
    twin: Twin,
    reach: Reach,
    probe: ProbeField,
    params: DriveParams | None = None,
    last: DriveTrim | None = None,
    progress: Progress | None = None,
) -> DriveTrim:
    """Probe the network that is connected and choose what to drive it with.

    Args:
        flow: the software's solutions.
        twin: the network as its cells read.
        reach: what the converters can give.
        probe: loads a drive on the board and probes the layers.
        params: None is the default.
        last: an earlier trim of the same network, which this one starts from.
        progress: counts passes.

    Raises:
        CalibrationError: no drive brings the ends within `largest_error`, or the probed output
            cannot be explained by the network's own layers.
    """
    chosen, report = params or DriveParams(), progress or silent
    drive = nominal_drive(flow) if last is None else last.drive
    coefficients = None if last is None else last.coefficients
    passes = chosen.passes if last is None else 1
    seen: list[Probes] = []
    for done in range(passes):
        report(done, passes, "trimming the drive")
        seen.append(probe(drive))
        refined = refine_twin(twin, joined(seen), chosen.weight_sd, flow.unit_volts)
        fit = fit_flow(refined, flow, reach, chosen.fit(), coefficients)
        drive, coefficients = fit.drive, fit.coefficients
    report(passes, passes, "trimming the drive")
    every = joined(seen)
    surprise = prediction_error(fit.twin, every)
    if not surprise < LARGEST_SURPRISE:
        raise CalibrationError(
            f"The programmed network's output is {surprise:.0%} off what its cells and its hidden "
            "layers make one expect: verify the cells and program them again."
        )
    if not fit.error_after < chosen.largest_error:
        raise CalibrationError(
            f"The programmed network's solutions end {fit.error_after:.0%} of their size away from "
            f"the software's however it is driven, and at most {chosen.largest_error:.0%} is "
            "allowed: verify the cells and program them again."
        )
    return DriveTrim(
        drive=drive,
        twin=fit.twin,
        error_before=fit.error_before,
        error_after=fit.error_after,
        probe_error=surprise,
        probes=len(every),
        coefficients=fit.coefficients,
    )


def joined(parts: list[Probes]) -> Probes:
    """All probes together."""
    first, second, output = (
        np.concatenate(layer) for layer in zip(*(p.outputs_volts for p in parts), strict=True)
    )
    return Probes(
        np.concatenate([part.x_volts for part in parts]),
        np.concatenate([part.embedding_volts for part in parts]),
        (first, second, output),
    )
