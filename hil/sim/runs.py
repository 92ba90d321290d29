"""The run sequencer: initial conditions in, solves in blocks, samples and traces out.

A real board solves while it is polled; here each poll solves the next `trajectories_per_poll`, so
that a stop can come between. Blocks change no result: a trajectory is solved alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hil.sim.config import SimSettings
from hil.sim.loop import AnalogLoop, Plan
from hil.sim.refusal import RefusedError
from protocols.messages import Part, RunRequest, RunState

U16 = NDArray[np.uint16]


class Runs:
    """Initial conditions, the run in progress or the last one, and what it captured."""

    def __init__(self, loop: AnalogLoop, settings: SimSettings) -> None:
        self.state = RunState.IDLE
        self.run_id = 0
        self.done = 0
        self._loop = loop
        self._settings = settings
        self._request: RunRequest | None = None
        self._plan: Plan | None = None
        self.forget()

    @property
    def running(self) -> bool:
        """Whether a run is in progress."""
        return self.state == RunState.RUNNING

    @property
    def capture_tick(self) -> int:
        """Ticks of one solve of the run in progress or the last one."""
        return 0 if self._request is None else self._request.capture_tick

    def forget(self) -> None:
        """Empty: what a new session finds."""
        most = self._settings.trajectories_max
        self.state, self.run_id, self.done = RunState.IDLE, 0, 0
        self._initial: U16 = np.zeros((most, 2), np.uint16)
        self._loaded = np.zeros(most, bool)
        self._samples: U16 = np.zeros((0, 2), np.uint16)
        self._traces: U16 = np.zeros((0, 0, 2), np.uint16)
        self._request = self._plan = None

    def require_idle(self) -> None:
        """Raises RefusedError while a run is in progress."""
        if self.running:
            raise RefusedError("busy", self.run_id)

    def store_initial(self, first: int, codes: U16) -> None:
        """Store initial conditions (n, 2)."""
        end = first + codes.shape[0]
        if end > self._initial.shape[0]:
            limit = self._initial.shape[0] - codes.shape[0]
            raise RefusedError("out_of_range", 0, 0, first, 0, limit)
        self._initial[first:end] = codes
        self._loaded[first:end] = True

    def check(self, request: RunRequest, ticks: int) -> None:
        """Raises RefusedError where a request does not fit the board or what was loaded."""
        most = self._initial.shape[0]
        if request.first + request.count > most:
            limit = max(most - request.first, 0)
            raise RefusedError("out_of_range", 2, 0, request.count, 1, limit)
        if not self._loaded[request.first : request.first + request.count].all():
            raise RefusedError("not_ready", Part.INITIAL_CONDITIONS)
        if request.capture_tick > ticks:
            raise RefusedError("out_of_range", 3, 0, request.capture_tick, 1, ticks)
        last = (1 << 32) - request.count
        if request.trajectory > last:
            raise RefusedError("out_of_range", 6, 0, request.trajectory, 0, last)
        points = _trace_points(request)
        fit = min(self._settings.trace_points_max // max(points, 1), request.count)
        if points and request.trace_count > fit:
            raise RefusedError("out_of_range", 8, 0, request.trace_count, 0, fit)

    def start(self, request: RunRequest, plan: Plan) -> None:
        """Begin a run that was checked."""
        points = _trace_points(request)
        self.state, self.run_id, self.done = RunState.RUNNING, request.run_id, 0
        self._request, self._plan = request, plan
        self._samples = np.zeros((request.count, 2), np.uint16)
        self._traces = np.zeros((request.trace_count if points else 0, points, 2), np.uint16)

    def poll(self) -> int:
        """Solve the next block of a run in progress; the number of trajectories solved."""
        request, plan = self._request, self._plan
        if not self.running or request is None or plan is None:
            return 0
        start = self.done
        end = min(start + self._settings.trajectories_per_poll, request.count)
        traced = max(0, min(end, self._traces.shape[0]) - start)
        codes, traces = self._loop.solve(
            plan,
            self._initial[request.first + start : request.first + end].astype(np.int64),
            request.trajectory + np.arange(start, end),
            request.trace_every,
            traced,
        )
        self._samples[start:end] = codes
        self._traces[start : start + traced] = traces[:, : self._traces.shape[1]]
        self.done = end
        if end == request.count:
            self.state = RunState.DONE
        return end - start

    def abort(self) -> None:
        """Stop a run in progress; what was captured stays readable."""
        if self.running:
            self.state = RunState.ABORTED

    def samples(self, first: int, count: int) -> U16:
        """Captured codes (count, 2). Raises RefusedError where they are not there yet."""
        if first + count > self.done:
            raise RefusedError("no_data", first, self.done)
        return self._samples[first : first + count]

    def trace(self, trajectory: int, first: int, count: int) -> U16:
        """Points (count, 2) of a captured trajectory."""
        captured = min(self._traces.shape[0], self.done)
        if trajectory >= captured:
            raise RefusedError("no_data", trajectory, captured)
        points = self._traces.shape[1]
        if first + count > points:
            raise RefusedError("no_data", first, points)
        return self._traces[trajectory, first : first + count]


def _trace_points(request: RunRequest) -> int:
    """Points of one captured trajectory; 0 where none is captured."""
    if request.trace_every == 0 or request.trace_count == 0:
        return 0
    return request.capture_tick // request.trace_every + 1
