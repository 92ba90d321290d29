"""A board's messages as methods: machine units in, machine units out, times in seconds.

Batches of any length are cut into frames of the board's payload size here and sent as one round
trip. Volts and siemens are the business of `drivers.rram.macro` and `drivers.integrator`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from drivers.calls import Calls, Codes, Readings, typed
from protocols import messages
from protocols.codec import Message
from protocols.messages import Noise, Operation, RunState, SafeReason

OnFrame = Callable[[int, int, messages.PulseReadResponse], None]


@dataclass(frozen=True)
class BoardStatus:
    """The state of a board and its counters."""

    time_s: float
    safe_reason: SafeReason
    armed_s: float
    run_state: RunState
    run_id: int
    pulses: int
    reads: int
    frames: int
    dropped: int
    repeated: int


@dataclass(frozen=True)
class RunProgress:
    """How far a run is."""

    time_s: float
    run_id: int
    state: RunState
    done: int


class Board(Calls):
    """Typed commands to one board over an open link."""

    # --- state and safety --------------------------------------------------------------------

    def status(self) -> BoardStatus:
        """The state of the board and its counters."""
        got = self._ask(messages.StatusRequest(), messages.StatusResponse)
        return BoardStatus(
            time_s=got.time_us * 1e-6,
            safe_reason=SafeReason(got.safe_reason),
            armed_s=got.armed_ms * 1e-3,
            run_state=RunState(got.run_state),
            run_id=got.run_id,
            pulses=got.pulses,
            reads=got.reads,
            frames=got.frames,
            dropped=got.dropped,
            repeated=got.repeated,
        )

    def stop(self) -> SafeReason:
        """Every output to its safe value, now; works without a session."""
        return self.link.stop()

    def keep_alive(self) -> tuple[float, SafeReason]:
        """Feed the watchdog; the board's time in seconds and its safe-state reason."""
        got = self.link.keep_alive()
        return got.time_us * 1e-6, SafeReason(got.safe_reason)

    def limits_lower(
        self,
        operation: Operation,
        *,
        gate_code_max: int,
        line_code_max: int,
        width_ticks_max: int,
        pulses_per_cell_max: int,
        energy_max: int,
        arm_s_max: float,
    ) -> None:
        """Lower the limits of one kind of pulse, and the longest arming, for this session.

        `energy_max` is of line code^2 x ticks, in units of `protocols.energy.ENERGY_UNIT`.
        """
        self._do(
            messages.LimitsLowerRequest(
                operation,
                gate_code_max,
                line_code_max,
                width_ticks_max,
                pulses_per_cell_max,
                energy_max,
                math.floor(arm_s_max * 1e3 + 1e-6),
            )
        )

    def arm(self, duration_s: float) -> float:
        """Allow voltages above the read level for a time; the board's time at which it ends."""
        duration_ms = round(duration_s * 1e3)
        got = self._ask(messages.ArmRequest(duration_ms), messages.ArmResponse)
        return got.until_us * 1e-6

    def disarm(self) -> None:
        """Every output to its safe value; ends the arming."""
        self._do(messages.DisarmRequest())

    def safe_clear(self, reason: SafeReason) -> None:
        """Acknowledge the reason of a safe state, by name."""
        self._do(messages.SafeClearRequest(reason))

    # --- cells -------------------------------------------------------------------------------

    def pulse_read(
        self,
        read_code: int,
        entries: Sequence[messages.PulseReadRequestEntry],
        on_frame: OnFrame | None = None,
    ) -> Readings:
        """Apply each pulse in order and read its cell after it; one round trip for all frames.

        `on_frame(start, sequence, response)` hears of every acknowledged frame, whose first entry
        is number `start`, also when a later one fails.
        """
        parts = self._placed(messages.PulseReadRequest, 0, entries)
        requests = [messages.PulseReadRequest(read_code, part) for _, part in parts]

        def hear(index: int, sequence: int, response: Message) -> None:
            if on_frame is not None:
                on_frame(parts[index][0], sequence, typed(response, messages.PulseReadResponse))

        got = self._ask_many(requests, messages.PulseReadResponse, hear)
        codes = [entry.reading for frame in got for entry in frame.entries]
        found = self._readings(codes, len(entries), [frame.time_us for frame in got])
        return replace(found, doubtful=tuple(parts[i][0] for i in sorted(self.link.doubtful)))

    def read(
        self, read_code: int, rows: Sequence[int], columns: Sequence[int], samples: int = 1
    ) -> Readings:
        """Read cells; the sums of `samples` conversions per cell."""
        entries = [
            messages.ReadRequestEntry(row, column)
            for row, column in zip(rows, columns, strict=True)
        ]
        requests = [
            messages.ReadRequest(read_code, samples, part)
            for part in self._cut(messages.ReadRequest, entries)
        ]
        return self._sums(messages.ReadResponse, requests, len(entries))

    # --- products ----------------------------------------------------------------------------

    def multiply(
        self,
        first_row: int,
        first_column: int,
        columns: int,
        codes: Codes,
        samples: int = 1,
        scale: int = 0,
    ) -> Readings:
        """Products of a block with vectors of codes (n, inputs), one code for each row.

        Sums of `samples` conversions (1 to 16) of each column, shape (n, columns); codes are
        bipolar both ways. The full scale of a column is that of the reads, doubled `scale` times.
        One round trip, however many frames it takes.

        Raises:
            InputError: no vectors of 1 to `multiply_inputs_max` codes, or no column.
        """
        inputs = self._check_vectors(codes, columns)
        sums = np.empty((codes.shape[0], columns), np.int64)
        tiles = self._tiles(*sums.shape, inputs)
        requests = [
            messages.MultiplyRequest(
                first_row, first_column + across.start, inputs, across.stop - across.start, scale,
                samples, tuple(map(messages.MultiplyRequestEntry, codes[down].ravel().tolist())),
            )
            for down, across in tiles
        ]  # fmt: skip
        got = self._ask_many(requests, messages.MultiplyResponse)
        for tile, frame in zip(tiles, got, strict=True):
            part = sums[tile]
            self._expect(len(frame.entries), part.size)
            part[:] = np.reshape([entry.sum for entry in frame.entries], part.shape)
        return Readings(sums, max((frame.time_us for frame in got), default=0) * 1e-6)

    # --- the board's own references ----------------------------------------------------------

    def loopback(
        self,
        source: messages.LoopSource,
        destination: messages.AdcInput,
        codes: Sequence[int],
        samples: int = 1,
    ) -> Readings:
        """Convert a DAC's output at each code, the array cut off; sums of `samples` conversions.

        For `LoopSource.REFERENCE` the codes are taps of the ladder, 0 to 16.
        """
        entries = [messages.LoopbackRequestEntry(code) for code in codes]
        requests = [
            messages.LoopbackRequest(source, destination, samples, part)
            for part in self._cut(messages.LoopbackRequest, entries)
        ]
        return self._sums(messages.LoopbackResponse, requests, len(entries))

    def read_reference(
        self, read_code: int, columns: Sequence[int], resistors: Sequence[int], samples: int = 1
    ) -> Readings:
        """Read reference resistors (0 is none) in the read paths of columns; sums as `read`."""
        entries = [
            messages.ReadReferenceRequestEntry(column, resistor)
            for column, resistor in zip(columns, resistors, strict=True)
        ]
        requests = [
            messages.ReadReferenceRequest(read_code, samples, part)
            for part in self._cut(messages.ReadReferenceRequest, entries)
        ]
        return self._sums(messages.ReadReferenceResponse, requests, len(entries))

    def line_check(
        self, read_code: int, entries: Sequence[messages.LineCheckRequestEntry], samples: int = 1
    ) -> Readings:
        """Drive lines of the array at the read level, one after the other; sums as `read`."""
        requests = [
            messages.LineCheckRequest(read_code, samples, part)
            for part in self._cut(messages.LineCheckRequest, entries)
        ]
        return self._sums(messages.LineCheckResponse, requests, len(entries))

    # --- loop --------------------------------------------------------------------------------

    def wave_begin(self, ticks: int, tick_us: int) -> None:
        """Empty the waveform store and fix its length and tick."""
        self._do(messages.WaveBeginRequest(ticks, tick_us))

    def wave_load(self, first: int, entries: Sequence[messages.WaveLoadRequestEntry]) -> None:
        """Store consecutive ticks from `first` on."""
        parts = self._placed(messages.WaveLoadRequest, first, entries)
        self.link.call_many([messages.WaveLoadRequest(at, part) for at, part in parts])

    def wave_class(self, offset_codes: Sequence[int]) -> None:
        """Offsets of one class, added to the embedding codes of every tick."""
        self._do(messages.WaveClassRequest(tuple(offset_codes)))

    def wave_commit(self, crc: int) -> None:
        """Declare the waveforms complete; the board compares the CRC-32."""
        self._do(messages.WaveCommitRequest(crc))

    def loop_layer(self, request: messages.LoopLayerRequest) -> None:
        """Connect a block of the array as one layer of the loop."""
        self._do(request)

    def initial(self, first: int, x_codes: Codes) -> None:
        """Store initial conditions, shape (n, 2), from position `first` on."""
        entries = [messages.InitialRequestEntry((a, b)) for a, b in x_codes.tolist()]
        parts = self._placed(messages.InitialRequest, first, entries)
        self.link.call_many([messages.InitialRequest(at, part) for at, part in parts])

    def probe(self, tick: int, x_codes: tuple[int, int], samples: int = 1) -> Codes:
        """Every layer's outputs at held x: sums of `samples` conversions, layer by layer."""
        return self.probe_many([tick], [x_codes], samples).reshape(-1)

    def probe_many(
        self, ticks: Sequence[int], x_codes: Sequence[tuple[int, int]], samples: int = 1
    ) -> Codes:
        """Several probes in one round trip, shape (n, outputs)."""
        requests = [
            messages.ProbeRequest(tick, x, samples) for tick, x in zip(ticks, x_codes, strict=True)
        ]
        got = self._ask_many(requests, messages.ProbeResponse)
        return np.array([[entry.sum for entry in frame.entries] for frame in got], dtype=np.int64)

    def run(
        self,
        *,
        run_id: int,
        first: int,
        count: int,
        capture_tick: int,
        noise: Noise,
        seed: int,
        trajectory: int,
        trace_every: int = 0,
        trace_count: int = 0,
    ) -> float:
        """Start solving; answers at once with the run's duration in seconds."""
        request = messages.RunRequest(
            run_id, first, count, capture_tick, noise, seed, trajectory, trace_every, trace_count
        )
        return self._ask(request, messages.RunResponse).duration_us * 1e-6

    def progress(self) -> RunProgress:
        """How far the run is."""
        got = self._ask(messages.ProgressRequest(), messages.ProgressResponse)
        return RunProgress(got.time_us * 1e-6, got.run_id, RunState(got.run_state), got.done)

    def samples(self, first: int, count: int) -> Codes:
        """Captured outputs, shape (count, 2)."""
        size = self.capacity(messages.SamplesRequest)
        requests = [
            messages.SamplesRequest(first + at, min(size, count - at))
            for at in range(0, count, size)
        ]
        got = self._ask_many(requests, messages.SamplesResponse)
        return self._pairs([entry.x for frame in got for entry in frame.entries], count)

    def trace(self, trajectory: int, first: int, count: int) -> Codes:
        """Points of one captured trajectory, shape (count, 2); point 0 is the initial condition."""
        size = self.capacity(messages.TraceRequest)
        requests = [
            messages.TraceRequest(trajectory, first + at, min(size, count - at))
            for at in range(0, count, size)
        ]
        got = self._ask_many(requests, messages.TraceResponse)
        return self._pairs([entry.x for frame in got for entry in frame.entries], count)

    def advance(self, duration_s: float) -> float:
        """Let virtual time pass on a simulated board; the board's time after it, in seconds."""
        request = messages.AdvanceRequest(round(duration_s * 1e6))
        return self._ask(request, messages.AdvanceResponse).time_us * 1e-6
