"""The run loop: calibrate the analog loop, start it n times, bring the samples home."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from calibration.arrays import IntArray
from calibration.drive import DriveParams, DriveTrim, trim_drive
from calibration.loop import LoopCalibration, LoopParams, calibrate_loop
from calibration.progress import Progress
from calibration.repair_flow import Drive, Flow, Reach
from calibration.repair_twin import Probes
from calibration.twin import Twin
from drivers.integrator import Integrator, RunOutput
from drivers.waveforms import CHANNELS, Waveforms
from hil.diffusion.noise_source import BoardNoise, NoiseSource, SeededNoise
from hil.diffusion.sampler import initial_conditions
from hil.diffusion.score_model import ScoreModel
from hil.noise_player import NoisePlayer
from hil.software_flow import ProbePoints, converters_reach, probe_points, software_flow
from hil.waveforms import LoopTiming, Mode, build_waveforms
from protocols.errors import CalibrationError, ConfigError
from protocols.hardware import BoardDescription
from protocols.messages import Noise

FloatArray = NDArray[np.float64]
ReadNetwork = Callable[[], tuple[Sequence[FloatArray], Sequence[FloatArray]]]
INTEGRATORS, LAYERS = 2, 3
"""Of the published loop, as are its embedding channels."""
FIRST_PART, LARGEST_PART = 512, 4096
"""Solves before the drive is trimmed again, at first and at most (this project's choice)."""


@dataclass(frozen=True)
class Samples:
    """What a run brought home, in model units.

    Attributes:
        x: captured outputs, shape (n, 2).
        initial: initial conditions as asked for, after clipping, shape (n, 2).
        clipped: how many coordinates of initial conditions were clipped.
        traces: whole trajectories, shape (k, points, 2), or None.
        trace_times: model time t of each point, shape (points,).
        mode: ODE or SDE.
        board_s: board time of all solves.
        labels: class of every sample, shape (n,), or None.
    """

    x: FloatArray
    initial: FloatArray
    clipped: int
    traces: FloatArray | None
    trace_times: FloatArray
    mode: Mode
    board_s: float
    labels: IntArray | None = None


@dataclass(frozen=True)
class _Plan:
    """What all parts of one run have in common."""

    mode: Mode
    noise: NoiseSource
    traces: int
    trace_every: int
    label: int | None
    count: int
    first: int
    progress: Progress | None

    def tell(self, progress: Progress, start: int) -> Callable[[int, int], None]:
        """The callback of the part from `start` on, which counts within the whole run."""
        return lambda done, _: progress(start + done, self.count, f"solving ({self.mode.name})")


class RunLoop:
    """Runs one model on one connected loop."""

    def __init__(
        self,
        integrator: Integrator,
        model: ScoreModel,
        description: BoardDescription,
        timing: LoopTiming,
        clip_volts: float,
        trim: DriveParams | None = None,
        read_network: ReadNetwork | None = None,
        trim_again: bool = True,
        channels: IntArray | None = None,
    ) -> None:
        """A run loop on a connected network.

        `trim` has the drive fitted to the network that is on the chip before a run and, with
        `trim_again`, during it; `read_network` reads that network's weights and biases back from
        its cells. `channels` is the model's hidden unit at each place of the macro (None: its own
        order), as the placement says.
        """
        self._integrator = integrator
        self._model = model
        self._description = description
        self._timing = timing
        largest = min(clip_volts, integrator.curves.initial.maximum)
        self._clip_units = largest / model.volts_per_unit
        self._check_fit()
        self._calibration: LoopCalibration | None = None
        self._trim_params = trim
        self._trim_again = trim_again
        self._read_network = read_network
        self._channels = channels
        self._trims: dict[tuple[Mode, int | None], DriveTrim] = {}
        self.history: list[tuple[Mode, DriveTrim]] = []

    def _check_fit(self) -> None:
        loop, model = self._description.loop, self._model
        shape = (model.dimensions, model.channels, len(model.layers))
        if shape != (INTEGRATORS, CHANNELS, LAYERS):
            raise ConfigError(
                f"model {model.name!r} has {shape[0]} dimensions, {shape[1]} hidden units and "
                f"{shape[2]} layers; the loop of one board has {INTEGRATORS} integrators, "
                f"{CHANNELS} embedding channels and {LAYERS} layers, so it cannot run this model"
            )
        clamp = model.hidden_clamp_units * model.volts_per_unit
        if not np.isclose(clamp, loop.hidden_clamp_volts, rtol=0.05):
            raise ConfigError(
                f"model {model.name!r} was trained for hidden voltages up to {clamp:g} V, the "
                f"board clamps at {loop.hidden_clamp_volts:g} V; change the model's volts_per_unit"
            )
        if not np.isclose(model.output_gain, loop.output_gain, rtol=1e-6):
            raise ConfigError(
                f"model {model.name!r} needs an output gain of {model.output_gain:g}, the board "
                f"has {loop.output_gain:g}"
            )
        if not np.isclose(model.volts_per_unit, loop.bias_volts, rtol=1e-6):
            raise ConfigError(
                f"the bias channel of the board is {loop.bias_volts:g} V, one unit of model "
                f"{model.name!r} is {model.volts_per_unit:g} V; they have to be equal"
            )

    def calibrate(self, params: LoopParams, progress: Progress | None = None) -> LoopCalibration:
        """Measures two gains, four zeros and the noise path, and keeps them for the runs.

        The network has to be connected.

        Raises:
            CalibrationError: the loop is dead, saturated or too noisy.
        """
        found = calibrate_loop(self._integrator, self._description.loop, params, progress)
        self._calibration = found
        return found

    @property
    def model(self) -> ScoreModel:
        """What it runs."""
        return self._model

    @property
    def calibration(self) -> LoopCalibration:
        """What `calibrate` found.

        Raises:
            CalibrationError: it was not called yet.
        """
        if self._calibration is None:
            raise CalibrationError("the loop has not been calibrated yet; calibrate it first")
        return self._calibration

    def trim(
        self,
        mode: Mode,
        params: DriveParams,
        progress: Progress | None = None,
        label: int | None = None,
    ) -> DriveTrim:
        """Fits words and embedding of `mode` to the network that is on the chip, and keeps them.

        The cells are read again (where the loop was given a way to do that) and the layers are
        probed on the board; an earlier trim of the same mode is where the fit starts.

        Raises:
            CalibrationError: not calibrated yet, or the network is too far off.
        """
        points = probe_points(self._model, self._timing, mode, params, self._clip_units, label)
        found = trim_drive(
            self.flow(mode, params, label),
            self._read_twin(),
            self.reach(mode, params, label),
            lambda drive: self._probe(mode, label, drive, points, params),
            params,
            self._trims.get((mode, label)),
            progress,
        )
        self._trims[mode, label] = found
        self.history.append((mode, found))
        return found

    def adopt(self, mode: Mode, trim: DriveTrim, label: int | None = None) -> None:
        """Drives this from now on; the next trim starts from it."""
        self._trims[mode, label] = trim

    def flow(self, mode: Mode, params: DriveParams, label: int | None = None) -> Flow:
        """The software's own solutions of the model, which a trimmed drive shall reproduce."""
        return software_flow(
            self._model, self._timing, mode, params.trajectories, self._clip_units, label
        )

    def reach(self, mode: Mode, params: DriveParams, label: int | None = None) -> Reach:
        """What the converters can give of this mode's drive."""
        return converters_reach(
            self._model,
            self._timing,
            mode,
            self.calibration,
            self._integrator.curves.embedding,
            params.largest_change,
            label,
        )

    def _probe(
        self,
        mode: Mode,
        label: int | None,
        drive: Drive,
        points: Sequence[ProbePoints],
        params: DriveParams,
    ) -> Probes:
        """Loads a drive and probes every layer; channels and outputs in the model's order."""
        self._integrator.load(self.waveforms(mode, label, drive))
        layers: list[list[FloatArray]] = [[], [], []]
        for each in points:
            outputs = self._integrator.probe(each.tick, each.x_volts, params.samples)
            for k, volts in enumerate(outputs):
                layers[k].append(self._in_model_order(volts) if k < len(outputs) - 1 else volts)
        embedding = [
            np.tile(drive.embedding_volts[each.tick], (len(each.x_volts), 1)) for each in points
        ]
        return Probes(
            np.concatenate([each.x_volts for each in points]),
            np.concatenate(embedding),
            (np.concatenate(layers[0]), np.concatenate(layers[1]), np.concatenate(layers[2])),
        )

    def _in_model_order(self, volts: FloatArray) -> FloatArray:
        """Hidden outputs (n, width) of the board in the model's order."""
        if self._channels is None:
            return volts
        found = np.empty_like(volts)
        found[:, self._channels] = volts
        return found

    def _read_twin(self) -> Twin:
        """The network as its cells read; the model's own where there is no way to read them."""
        model = self._model
        weights, biases = (
            (model.weights, model.biases) if self._read_network is None else self._read_network()
        )
        return Twin(
            weights=weights,
            bias_volts=[bias * model.volts_per_unit for bias in biases],
            output_gain=model.output_gain,
            clamp_volts=self._description.loop.hidden_clamp_volts,
        )

    def waveforms(
        self,
        mode: Mode,
        label: int | None = None,
        drive: Drive | None = None,
        draws: FloatArray | None = None,
    ) -> Waveforms:
        """What would be driven: `drive`, or what the last trim found, or the ideal network's.

        With `draws` (ticks, 2), standard normal numbers, the offset words play that noise.

        Raises:
            CalibrationError: not calibrated yet.
            ConfigError: tick, RC and duration do not fit together.
        """
        trim = self._trims.get((mode, label))
        return build_waveforms(
            self._model,
            self.calibration,
            self._timing,
            self._description,
            mode,
            label,
            drive if drive is not None or trim is None else trim.drive,
            self._channels,
            draws,
        )

    def run(
        self,
        count: int,
        mode: Mode,
        *,
        seed: int,
        traces: int = 0,
        trace_every: int = 4,
        label: int | None = None,
        noise: NoiseSource | None = None,
        first: int = 0,
        progress: Progress | None = None,
    ) -> Samples:
        """Solves `count` samples and fetches them.

        Where the drive is trimmed again and again, the samples are solved in parts, each twice as
        long as the one before up to a limit: cells relax in logarithmic time.

        Args:
            count: number of samples.
            mode: ODE or SDE.
            seed: keys initial conditions and noise together with the trajectory's number.
            traces: how many of the first trajectories are captured whole (of the first part).
            trace_every: ticks between their points.
            label: class of a conditional model.
            noise: of the SDE; None is the board's seeded generator with `seed`.
            first: number of the first trajectory.
            progress: called as samples come in.

        Raises:
            ConfigError: as for `waveforms`.
            InputError: a recorded noise stream is too short or of another number of ticks.
            CalibrationError: not calibrated, or the network is too far off to be trimmed.
            LinkError, BoardError, SafetyError: the board did not do it.
        """
        if count < 1:
            raise ConfigError(f"{count} samples were asked for; at least 1 is needed")
        vpu = self._model.volts_per_unit
        wanted = initial_conditions(self._model, seed, first, count)
        initial = np.clip(wanted, -self._clip_units, self._clip_units)
        source = SeededNoise(seed) if noise is None else noise
        plan = _Plan(mode, source, traces, trace_every, label, count, first, progress)
        parts = [self._solve(plan, initial[a:b] * vpu, a) for a, b in self._parts(count)]
        whole = parts[0].traces_volts
        points = 0 if whole is None else whole.shape[1]
        step = trace_every * self._model.capture_time / self._timing.ticks
        return Samples(
            x=np.concatenate([part.x_volts for part in parts]) / vpu,
            initial=initial,
            clipped=int(np.count_nonzero(initial != wanted)),
            traces=None if whole is None else whole / vpu,
            trace_times=np.asarray(np.arange(points) * step, dtype=np.float64),
            mode=mode,
            board_s=sum(part.duration_s for part in parts),
        )

    def _solve(self, plan: _Plan, initial_volts: FloatArray, start: int) -> RunOutput:
        """One part of a run: trim, load, solve. Trajectories are captured in the first part."""
        if self._trim_params is not None:
            self.trim(plan.mode, self._trim_params, label=plan.label)
        captured, number = plan.traces if start == 0 else 0, plan.first + start
        every = plan.trace_every if captured else 0
        tell = None if plan.progress is None else plan.tell(plan.progress, start)
        kind = _board_noise(plan)
        if kind is None:
            return NoisePlayer(
                self._integrator,
                plan.noise,
                self._timing.ticks,
                lambda draws: self.waveforms(plan.mode, plan.label, draws=draws),
            ).run(initial_volts, number, trace_every=every, trace_count=captured, progress=tell)
        self._integrator.load(self.waveforms(plan.mode, plan.label))
        return self._integrator.run(
            initial_volts,
            capture_tick=self._timing.ticks,
            noise=kind,
            seed=plan.noise.seed if isinstance(plan.noise, SeededNoise) else 0,
            first_trajectory=number,
            trace_every=every,
            trace_count=captured,
            progress=tell,
        )

    def _parts(self, count: int) -> list[tuple[int, int]]:
        """(start, stop) of the parts between two trims."""
        if self._trim_params is None or not self._trim_again:
            return [(0, count)]
        edges, size = [0], FIRST_PART
        while edges[-1] < count:
            edges.append(min(edges[-1] + size, count))
            size = min(2 * size, LARGEST_PART)
        return list(pairwise(edges))


def _board_noise(plan: _Plan) -> Noise | None:
    """What a board makes of a run's noise itself; None is a stream that is played to it."""
    if plan.mode is Mode.ODE:
        return Noise.NONE
    if isinstance(plan.noise, SeededNoise):
        return Noise.SEEDED
    return Noise.HARDWARE if isinstance(plan.noise, BoardNoise) else None
