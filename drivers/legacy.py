"""The board with the firmware that the paper's authors published, driven as safely as it allows.

The firmware has no identity, no status, no error reply, no stop and no report of a run. So

- every set of settings is predicted first and refused where a DAC would overflow
  (`protocols.legacy_traces`); nothing is sent then;
- the host speaks only after the last reply has come, and never during a run, when characters get
  lost;
- `Go` is sent only when the 5 s lock-out and the counter's wrap every 10 minutes allow it, as far
  as the host can know, and only the instrument's trigger tells whether a run has started;
- all settings are sent again before every run: a reset or a key on the front panel would
  otherwise go unnoticed.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from drivers.legacy_capture import Capture
from drivers.legacy_clock import Clock, HostClock
from drivers.legacy_shadow import Assumed, Shadow
from drivers.stream import Stream
from protocols.errors import DataError, HilError, InputError, LimitError, LinkTimeout, MessageError
from protocols.legacy import (
    LINE_END,
    LOCKOUT_S,
    RESYNC,
    RUN_S,
    TICK_S,
    WRAP_S,
    Command,
    LegacySettings,
    check_reply,
    go_command,
)
from protocols.legacy_traces import Prediction, refuse_overflow

NOISE_OVERFLOWS_MAX = 0.01  # expected per run; this project's choice, one run in a hundred
_DRAIN_READS = 64


@dataclass(frozen=True)
class LegacySample:
    """One run's result. `starts` counts the `Go` that it took."""

    index: int
    x_volts: float
    y_volts: float
    starts: int
    at_s: float


@dataclass(slots=True)
class LegacyStats:
    """What has happened since the board was opened."""

    lines: int = 0
    repeated: int = 0
    starts: int = 0
    not_started: int = 0
    replies_lost: int = 0


class LegacyBoard:
    """One published board on a stream of 9600 baud. One thread at a time.

    Args:
        stream: the line.
        clock: time; the computer's if None.
        timeout_s: how long a reply may take.
        attempts: how often a line, or the start of a run, is tried.
        margin_s: kept free around every time that the host has to guess (this project's choice).
        noise_overflows_max: expected overflowing noise words that a run may have.
        allow_saturation: let words be cut off at code 0; the prediction counts them.
        reassert: send all settings again before every run; it fits into the lock-out.
    """

    def __init__(
        self,
        stream: Stream,
        *,
        clock: Clock | None = None,
        timeout_s: float = 0.5,
        attempts: int = 3,
        margin_s: float = 0.02,
        noise_overflows_max: float = NOISE_OVERFLOWS_MAX,
        allow_saturation: bool = True,
        reassert: bool = True,
    ) -> None:
        self.stats = LegacyStats()
        self._stream = stream
        self._clock = clock or HostClock()
        self._timeout_s, self._attempts, self._margin_s = timeout_s, attempts, margin_s
        self._noise_overflows_max = noise_overflows_max
        self._allow_saturation, self._reassert = allow_saturation, reassert
        self._shadow = Shadow()
        self._prediction: Prediction | None = None
        self._dirty = True  # the board's line buffer may hold something
        # Another host may just have started a run, or the board may just have been switched on.
        now = self._clock.now_s()
        self._quiet_s = now + RUN_S + 2 * TICK_S + margin_s
        self._go_s = now + LOCKOUT_S + margin_s
        self._started: tuple[float, float] | None = None  # last start: not before, not after

    # --- settings ----------------------------------------------------------------------------

    @property
    def shadow(self) -> dict[str, Assumed]:
        """Every setting as it is assumed to be."""
        return self._shadow.values()

    @property
    def name(self) -> str:
        """The board for a message."""
        return f"published board on {self._stream.name}"

    def predict(self, settings: LegacySettings) -> Prediction:
        """What a run with these settings will put out; sends nothing.

        Raises:
            LimitError: a DAC would overflow, or be cut off where that is not allowed.
        """
        found = refuse_overflow(settings, self._noise_overflows_max)
        if found.saturations and not self._allow_saturation:
            words = ", ".join(f"{name} {count} times" for name, count in found.saturations.items())
            raise LimitError(
                f"table {settings.table!r} with v_bias {settings.v_bias:g} would be cut off at code"
                f" 0: {words}. Nothing was sent. Choose a smaller v_bias or allow saturation"
            )
        return found

    def configure(self, settings: LegacySettings) -> Prediction:
        """Predict, then send all settings.

        Raises:
            LimitError: see `predict`; nothing was sent.
            LinkTimeout, MessageError: a line was not understood in all attempts; what is in force
                is not known, and no run is possible until this succeeds.
        """
        prediction = self.predict(settings)
        self._prediction = None
        for command in settings.commands():
            self._set(command, settings)
        self._prediction = prediction
        return prediction

    def _set(self, command: Command, settings: LegacySettings) -> None:
        try:
            self._exchange(command)
        except HilError:
            self._shadow.sent(command.name, settings, understood=False)
            raise
        self._shadow.sent(command.name, settings, understood=True)

    # --- runs --------------------------------------------------------------------------------

    def run(
        self,
        count: int,
        capture: Capture,
        *,
        done: Container[int] = (),
        on_sample: Callable[[LegacySample], None] | None = None,
        progress: Callable[[int, int, str], None] | None = None,
    ) -> list[LegacySample]:
        """Take samples 0 to `count` - 1, one run each; about 5.1 s per sample.

        Args:
            count: how many there are in the end.
            capture: the instrument.
            done: indices that an earlier call has taken; they are skipped.
            on_sample: hears of each sample at once, to put it on the disk.
            progress: called with (done, total, message) after each sample.

        Returns:
            The samples that this call took.

        Raises:
            InputError: no settings were sent yet.
            LinkTimeout: a run did not start in all attempts, or the board does not answer.
            DataError: the instrument gave no finite voltages.
        """
        if self._prediction is None:
            raise InputError(f"{self.name}: nothing is known to be set; configure it before a run")
        settings = self._prediction.settings
        todo = [index for index in range(count) if index not in done]
        samples = []
        for index in todo:
            sample = self._sample(index, settings, capture)
            samples.append(sample)
            if on_sample is not None:
                on_sample(sample)
            if progress is not None:
                taken = count - len(todo) + len(samples)
                progress(taken, count, f"sample {index}: {sample.x_volts:+.4f} V")
        return samples

    def _sample(self, index: int, settings: LegacySettings, capture: Capture) -> LegacySample:
        for attempt in range(self._attempts):
            if self._reassert or attempt:
                self.configure(settings)
            self._wait_for_go()
            capture.arm()
            self._go()
            try:
                volts = capture.fetch(RUN_S + self._timeout_s)
            except LinkTimeout:
                self.stats.not_started += 1
                self._go_s = self._clock.now_s() + LOCKOUT_S + self._margin_s
                self._started = None
                continue
            x, y = _checked(volts, capture.name)
            return LegacySample(index, x, y, attempt + 1, self._clock.now_s())
        raise LinkTimeout(
            f"{self.name}: sample {index} was not taken: {self._attempts} times `Go` gave no"
            f" trigger of {capture.name}. Check that it triggers on S1, and that nobody resets the"
            " board; samples before this one are safe"
        )

    def _go(self) -> None:
        """Send `Go`. Its reply means nothing, so its loss is only counted."""
        command = go_command()
        self._ready()
        self.stats.starts += 1
        earliest = self._clock.now_s()
        self._write(command.line)
        reply = self._reply()
        if reply != command.reply:
            self.stats.replies_lost += 1
            self._dirty = True
        latest = self._clock.now_s() + TICK_S
        self._started = (earliest, latest)
        self._quiet_s = latest + RUN_S + TICK_S + self._margin_s
        self._go_s = latest + LOCKOUT_S + self._margin_s

    def _wait_for_go(self) -> None:
        """Wait until the firmware will honour `Go`, as far as that can be known."""
        at_s = max(self._clock.now_s(), self._go_s)
        if self._started is not None:
            earliest, latest = self._started
            wraps = round((at_s - earliest) / WRAP_S)
            begin = earliest + wraps * WRAP_S - self._timeout_s
            end = latest + wraps * WRAP_S + LOCKOUT_S + self._margin_s
            if wraps > 0 and begin <= at_s < end:
                at_s = end
        self._clock.sleep_s(at_s - self._clock.now_s())

    # --- the line ----------------------------------------------------------------------------

    def _exchange(self, command: Command) -> None:
        """Send a line until it is understood."""
        trouble: HilError | None = None
        for attempt in range(self._attempts):
            self._ready()
            self.stats.repeated += attempt > 0
            self._write(command.line)
            reply = self._reply()
            try:
                check_reply(command, reply)
            except MessageError as error:
                trouble = error
                self._dirty = True
                continue
            return
        line = command.line.rstrip(LINE_END).decode()
        if not reply:
            raise LinkTimeout(
                f"{self.name}: no reply to {line!r} in {self._attempts} attempts of"
                f" {self._timeout_s:g} s; check power, cable, port and 9600 baud"
            )
        raise MessageError(f"{self.name}: {trouble}") from trouble

    def _ready(self) -> None:
        """Wait for the end of a run, forget old replies, and void half a line on the board."""
        self._clock.sleep_s(self._quiet_s - self._clock.now_s())
        if self._dirty:
            self._stream.write(RESYNC)
            self._dirty = False
        for _ in range(_DRAIN_READS):
            if not self._stream.read(0.0):
                break

    def _write(self, line: bytes) -> None:
        self.stats.lines += 1
        self._stream.write(line)

    def _reply(self) -> bytes:
        """Everything up to CR LF, or what there is of it when the time is over."""
        deadline = self._clock.now_s() + self._timeout_s
        reply = b""
        while not reply.endswith(LINE_END) and (left := deadline - self._clock.now_s()) > 0:
            reply += self._stream.read(left)
        return reply

    def close(self) -> None:
        """Give the line back. A run in progress goes on to its end: the firmware has no stop."""
        self._stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _checked(volts: tuple[float, float], name: str) -> tuple[float, float]:
    x, y = volts
    if not (abs(x) < float("inf") and abs(y) < float("inf")):
        raise DataError(f"{name}: x {x!r}, y {y!r} are no voltages; check its inputs and range")
    return x, y
