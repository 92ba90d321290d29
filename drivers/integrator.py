"""The analog loop: connect layers, load waveforms, solve, fetch samples; volts and seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from drivers.board import Board, RunProgress
from drivers.transfer import Curves
from drivers.waveforms import Waveforms
from protocols import messages
from protocols.codec import Message
from protocols.errors import BoardError, InputError, LimitError, SafetyError
from protocols.hardware import BoardDescription
from protocols.messages import Noise, RunState

__all__ = ["Integrator", "LayerBlock", "RunOutput", "Waveforms"]

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Progress = Callable[[int, int], None]
_POLL_S = 0.005
_STALL_S = 30.0


@dataclass(frozen=True, slots=True)
class LayerBlock:
    """A block of the array as one layer. `inputs` counts rows, the last of them the bias row.

    A differential layer takes two neighbouring columns per output (first the positive one), a
    single-ended one takes one column against `reference_siemens`.
    """

    first_row: int
    first_column: int
    inputs: int
    outputs: int
    differential: bool
    feedback_ohm: float
    reference_siemens: float = 0.0

    @property
    def columns(self) -> int:
        """How many columns the layer takes."""
        return self.outputs * (2 if self.differential else 1)


@dataclass(frozen=True, slots=True)
class RunOutput:
    """What a run gave: `x_volts` (n, 2) at the capture, its `codes`, and captured trajectories.

    `traces_volts` is (trace_count, points, 2), or None when none were asked for. `duration_s` is
    the time of all runs on the board's own account.
    """

    x_volts: Floats
    codes: Codes
    traces_volts: Floats | None
    duration_s: float


@dataclass(frozen=True, slots=True)
class _Plan:
    """What all parts of one run have in common."""

    capture_tick: int
    noise: Noise
    seed: int
    first_trajectory: int
    trace_every: int
    trace_points: int


class Integrator:
    """The two integrators of a board with the layers around them."""

    def __init__(self, board: Board, curves: Curves, description: BoardDescription) -> None:
        self.board = board
        self.curves = curves
        self.description = description
        self._waveforms: Waveforms | None = None
        self._outputs: tuple[int, ...] = ()
        self._run_id = 0

    # --- preparing ---------------------------------------------------------------------------

    def connect(self, blocks: Sequence[LayerBlock]) -> None:
        """Connect three blocks as the layers of the loop, first to last.

        Raises:
            InputError: not three blocks, or one that does not fit into the array.
            LimitError: a feedback resistor or reference that the board cannot set.
        """
        if len(blocks) != 3:
            raise InputError(f"the loop has three layers, {len(blocks)} blocks were given")
        requests: list[Message] = [self._layer(i, block) for i, block in enumerate(blocks)]
        self.board.link.call_many(requests)
        self._outputs = tuple(block.outputs for block in blocks)

    def load(self, waveforms: Waveforms) -> None:
        """Load waveforms and have the board confirm their CRC; one round trip.

        Raises:
            LimitError: a channel leaves its converter's range (names channel and tick), or the
                board cannot hold that many ticks or one so short.
        """
        tick_us = self._tick_us(waveforms)
        codes = waveforms.encode(self.curves)
        size = self.board.capacity(messages.WaveLoadRequest)
        loads = [
            messages.WaveLoadRequest(at, codes.entries[at : at + size])
            for at in range(0, waveforms.ticks, size)
        ]
        self._waveforms = None
        self.board.link.call_many(
            [
                messages.WaveBeginRequest(waveforms.ticks, tick_us),
                *loads,
                messages.WaveClassRequest(codes.class_offset),
                messages.WaveCommitRequest(codes.crc),
            ]
        )
        self._waveforms = waveforms

    # --- solving -----------------------------------------------------------------------------

    def run(
        self,
        initial_volts: ArrayLike,
        *,
        capture_tick: int | None = None,
        noise: Noise = Noise.NONE,
        seed: int = 0,
        first_trajectory: int = 0,
        trace_every: int = 0,
        trace_count: int = 0,
        progress: Progress | None = None,
    ) -> RunOutput:
        """Solve from every initial condition, shape (n, 2) volts, in as many runs as needed.

        `capture_tick` defaults to the end of the waveforms. Trajectory i draws its noise with the
        key (seed, first_trajectory + i), however the n are split. Of the first `trace_count`
        every `trace_every`-th tick is captured. `progress(done, n)` is called while it runs.

        Raises:
            InputError: wrong shape, no waveforms loaded, or a capture after their end.
            LimitError: an initial condition that the converter cannot give.
            SafetyError: the board stopped the run.
        """
        codes = self._initial_codes(initial_volts)
        plan = self._plan(capture_tick, noise, seed, first_trajectory, trace_every, trace_count)
        wanted = min(trace_count, len(codes)) if plan.trace_points else 0
        found: list[Codes] = []
        traces: list[Codes] = []
        duration_s, done = 0.0, 0
        while done < len(codes):
            count, captured = self._share(len(codes) - done, wanted - len(traces), plan)
            duration_s += self._run_part(codes, done, count, captured, plan, progress)
            found.append(self.board.samples(0, count))
            traces += [self.board.trace(i, 0, plan.trace_points) for i in range(captured)]
            self.board.link.checkpoint()
            done += count
        x_codes = np.concatenate(found) if found else np.empty((0, 2), dtype=np.int64)
        traced = self.curves.sample.to_si(np.array(traces)) if traces else None
        return RunOutput(self.curves.sample.to_si(x_codes), x_codes, traced, duration_s)

    def probe(self, tick: int, x_volts: ArrayLike, samples: int = 1) -> list[Floats]:
        """Every layer's outputs in volts at held x and the embedding of one tick.

        `x_volts` is (2,) or (n, 2); each layer's array is (outputs,) or (n, outputs). The n probes
        are one round trip; each output is the mean of `samples` conversions.
        """
        x = np.asarray(x_volts, dtype=np.float64)
        codes = self._initial_codes(np.atleast_2d(x))
        pairs = [(int(a), int(b)) for a, b in codes.tolist()]
        sums = self.board.probe_many([tick] * len(pairs), pairs, samples)
        volts = self.curves.probe.to_si(sums / samples)
        edges = np.cumsum(self._layer_outputs())
        if volts.shape[1] != edges[-1]:
            raise InputError(
                f"{self.board.name} probes {volts.shape[1]} outputs, its layers have {edges[-1]};"
                " connect the layers before probing"
            )
        layers = np.split(volts, edges[:-1], axis=1)
        return [layer[0] for layer in layers] if x.ndim == 1 else layers

    # --- checks ------------------------------------------------------------------------------

    def _layer(self, number: int, block: LayerBlock) -> messages.LoopLayerRequest:
        rows, columns = self.description.rows, self.description.columns
        last_row, last_column = block.first_row + block.inputs, block.first_column + block.columns
        if min(block.first_row, block.first_column) < 0 or min(block.inputs, block.outputs) < 1:
            raise InputError(f"layer {number}: {block} has no cells")
        if last_row > rows or last_column > columns:
            raise InputError(
                f"layer {number} takes rows {block.first_row} to {last_row - 1} and columns"
                f" {block.first_column} to {last_column - 1}; the array has {rows} x {columns}"
            )
        feedback = self.curves.feedback.to_code(block.feedback_ohm, f"feedback of layer {number}")
        reference = self.curves.reference.to_code(
            block.reference_siemens, f"reference of layer {number}"
        )
        return messages.LoopLayerRequest(
            number,
            block.first_row,
            block.first_column,
            block.inputs,
            block.outputs,
            int(block.differential),
            int(feedback),
            int(reference),
        )

    def _tick_us(self, waveforms: Waveforms) -> int:
        identity = self.board.identity
        tick_us = round(waveforms.tick_s * 1e6)
        if abs(tick_us - waveforms.tick_s * 1e6) > 1e-6 * max(tick_us, 1):
            raise LimitError(f"a tick of {waveforms.tick_s:g} s is not a whole number of 1 us")
        if waveforms.ticks > identity.ticks_max:
            raise LimitError(
                f"{waveforms.ticks} ticks; {self.board.name} holds {identity.ticks_max}"
            )
        if tick_us * 1e-6 < identity.tick_s_min * (1 - 1e-9):
            raise LimitError(
                f"a tick of {waveforms.tick_s:g} s is too short for {self.board.name}, which needs"
                f" {identity.tick_s_min:g} s"
            )
        return tick_us

    def _initial_codes(self, initial_volts: ArrayLike) -> Codes:
        x = np.asarray(initial_volts, dtype=np.float64)
        if x.ndim != 2 or x.shape[1] != 2:
            raise InputError(f"initial conditions have shape {x.shape}, (n, 2) volts is needed")
        return self.curves.initial.to_code(x, "initial condition", ("trajectory", "integrator"))

    def _plan(
        self,
        capture_tick: int | None,
        noise: Noise,
        seed: int,
        first_trajectory: int,
        trace_every: int,
        trace_count: int,
    ) -> _Plan:
        if self._waveforms is None:
            raise InputError("no waveforms are loaded; load them before a run")
        ticks = self._waveforms.ticks
        capture = ticks if capture_tick is None else capture_tick
        if not 1 <= capture <= ticks:
            raise InputError(f"capture at tick {capture}; the waveforms have 1 to {ticks}")
        if trace_every < 0 or trace_count < 0 or (trace_count and not trace_every):
            raise InputError("trajectories are captured with trace_every and trace_count above 0")
        points = capture // trace_every + 1 if trace_every and trace_count else 0
        if points > self.board.identity.trace_points_max:
            raise LimitError(
                f"a captured trajectory would have {points} points; {self.board.name} holds"
                f" {self.board.identity.trace_points_max}; raise trace_every"
            )
        return _Plan(capture, noise, seed, first_trajectory, trace_every, points)

    # --- one part ----------------------------------------------------------------------------

    def _share(self, left: int, traces_left: int, plan: _Plan) -> tuple[int, int]:
        """How many trajectories the next part solves, and how many of these it captures."""
        identity = self.board.identity
        count = min(left, identity.trajectories_max)
        if traces_left <= 0:
            return count, 0
        captured = min(traces_left, identity.trace_points_max // plan.trace_points, count)
        # A part that cannot hold all wanted traces stops after those it holds.
        return (count if captured == traces_left else captured), captured

    def _run_part(
        self,
        codes: Codes,
        start: int,
        count: int,
        captured: int,
        plan: _Plan,
        progress: Progress | None,
    ) -> float:
        self.board.initial(0, codes[start : start + count])
        self._run_id = self._run_id % 0xFFFF + 1
        try:
            duration_s = self.board.run(
                run_id=self._run_id,
                first=0,
                count=count,
                capture_tick=plan.capture_tick,
                noise=plan.noise,
                seed=plan.seed,
                trajectory=plan.first_trajectory + start,
                trace_every=plan.trace_every if captured else 0,
                trace_count=captured,
            )
            self._wait(start, len(codes), progress)
        except KeyboardInterrupt:
            self.board.stop()
            raise
        return duration_s

    def _wait(self, start: int, total: int, progress: Progress | None) -> None:
        """Poll until the run is done; sleeps only while polling does not bring it on."""
        before, moved_at = -1, time.monotonic()
        while True:
            now = self.board.progress()
            if progress is not None:
                progress(start + now.done, total)
            if now.state == RunState.DONE and now.run_id == self._run_id:
                return
            self._check_running(now)
            if now.done > before:
                before, moved_at = now.done, time.monotonic()
            elif time.monotonic() - moved_at > _STALL_S:
                raise BoardError(
                    f"{self.board.name}: run {now.run_id} has stood at {now.done} trajectories for"
                    f" {_STALL_S:g} s; stop the board and look at its status",
                    request="run",
                )
            else:
                time.sleep(_POLL_S)

    def _check_running(self, now: RunProgress) -> None:
        if now.run_id == self._run_id and now.state == RunState.RUNNING:
            return
        if now.run_id == self._run_id and now.state == RunState.ABORTED:
            reason = self.board.status().safe_reason.name.lower()
            raise SafetyError(
                f"{self.board.name}: run {now.run_id} was aborted after {now.done} trajectories"
                f" (safe state: {reason}); clear it and run again"
            )
        raise BoardError(
            f"{self.board.name}: run {self._run_id} is lost; the board says run {now.run_id} is"
            f" {now.state.name.lower()}. A late run missed a tick: use a longer tick",
            request="run",
        )

    def _layer_outputs(self) -> tuple[int, ...]:
        width = self.description.loop.hidden_width
        return self._outputs or (width, width, 2)
