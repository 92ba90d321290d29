"""The published firmware on its board, as bytes in and bytes out in virtual time.

What is modelled: the line of 9600 baud, the receive interrupt with its line buffer
(`legacy_uart.py`), the main loop that looks at it every 10 ms and does nothing else while it
prints (`legacy_parser.py`), the 5 ms tick with lock-out and counter (here) and what it writes
(`legacy_run.py`). Every fault can be taken away (`legacy_faults.py`). The converters' analog side
is whatever stands behind `runs`: see `legacy_analog.py`.

Times are integers in nanoseconds, so that a day of waiting costs nothing and loses nothing.
"""

from __future__ import annotations

from collections import deque

from hil.sim.legacy_faults import NANOSECONDS, LegacyFaults, LegacyTiming
from hil.sim.legacy_parser import Keys, Outcome, Variables, execute, finish_init
from hil.sim.legacy_run import DACS, RunRecord, Sequencer
from hil.sim.legacy_uart import LineBuffer, Receiver
from protocols.errors import InputError

LOCKOUT_TICKS = 1000
WRAP_TICKS = 120_000
_NEVER = 1 << 62


class LegacyEmulator:
    """One board with the published firmware, switched on at time 0.

    `send` and `take` are all that a host sees. The rest are back doors for tests and instruments.

    Args:
        faults: what is as published.
        timing: how long things take.
        seed: of the noise.
        table_sine: sines from a table of 512 entries instead of exact ones; a code may then differ
            by one.
        keep_runs: how many runs are kept in `runs`.
        first_run: number of the first run; noise and initial states are keyed by it.
    """

    def __init__(
        self,
        faults: LegacyFaults | None = None,
        timing: LegacyTiming | None = None,
        *,
        seed: int = 1,
        table_sine: bool = False,
        keep_runs: int = 8,
        first_run: int = 0,
    ) -> None:
        self.faults = faults or LegacyFaults()
        self.timing = timing or LegacyTiming()
        self.now_ns = 0
        self.refused = 0  # `Go` that the lock-out dropped
        self.runs: deque[RunRecord] = deque(maxlen=keep_runs)
        self._seed, self._table_sine = seed, table_sine
        self._keys = Keys()
        self._rx: deque[tuple[int, int]] = deque()  # (when the character is complete, byte)
        self._tx: deque[tuple[int, int]] = deque()
        self._rx_free_ns = 0
        self._tx_free_ns = 0
        self._boot(0, first_run)

    def _boot(self, now_ns: int, runs: int) -> None:
        self.variables = Variables()
        self.buffer = LineBuffer(self.faults)
        self.receiver = Receiver(self.buffer, self.faults)
        self.sequencer = Sequencer(
            self.variables, self.faults, self.timing, self._seed, self._table_sine, runs
        )
        self._boot_ns = now_ns
        self._counter_zero = 0
        self._interrupt_until_ns = now_ns
        self._main_ns = now_ns + self.timing.poll_ns
        self._line = b""
        self._outcome: Outcome | None = None
        self._to_print: deque[int] = deque()
        self._power_up_ns: int | None = None

    # --- what a host sees --------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Put bytes on the line, one after the other, from now on."""
        for byte in data:
            self._rx_free_ns = max(self._rx_free_ns, self.now_ns) + self.timing.character_ns
            self._rx.append((self._rx_free_ns, byte))

    def take(self) -> bytes:
        """The bytes that have arrived at the host by now."""
        found = bytearray()
        while self._tx and self._tx[0][0] <= self.now_ns:
            found.append(self._tx.popleft()[1])
        return bytes(found)

    def next_byte_ns(self) -> int | None:
        """When the next byte that is already being printed arrives at the host."""
        return self._tx[0][0] if self._tx else None

    # --- back doors --------------------------------------------------------------------------

    @property
    def run_count(self) -> int:
        """Number of the next run: `first_run` and the runs started since."""
        return self.sequencer.runs

    @property
    def running(self) -> bool:
        """Whether a run is in progress."""
        return self.sequencer.run is not None

    @property
    def lost(self) -> int:
        """Bytes that an overrun or a busy main loop has cost."""
        return self.receiver.lost + self.buffer.dropped

    def press_key(self, key: int, hold_s: float = 0.1) -> None:
        """Hold key 1 (noise on) or 2 (noise off) of the front panel down from now on.

        Raises:
            InputError: there is no such key.
        """
        if key not in (1, 2):
            raise InputError(f"key {key}: the front panel's working keys are 1 and 2")
        if self.faults.front_keys:
            self._keys.press(key, self.now_ns, self.now_ns + round(hold_s * NANOSECONDS))

    def reset(self) -> None:
        """Power off and on: every setting is at its default and the lock-out begins anew."""
        self._rx.clear()
        self._tx.clear()
        self._boot(self.now_ns, self.run_count)

    # --- time --------------------------------------------------------------------------------

    def advance(self, until_ns: int) -> None:
        """Let time pass up to `until_ns`; the past is left alone."""
        while True:
            at_ns, event = min(
                (self._deliver_ns(), 0),
                (self._tick_ns(), 1),
                (self._rx_ns(), 2),
                (self._loop_ns(), 3),
            )
            if at_ns > until_ns:
                break
            self.now_ns = max(self.now_ns, at_ns)
            (self._on_deliver, self._on_tick, self._on_rx, self._on_loop)[event](at_ns)
        self.now_ns = max(self.now_ns, until_ns)

    def _deliver_ns(self) -> int:
        return self._interrupt_until_ns if self.receiver.holds else _NEVER

    def _rx_ns(self) -> int:
        return self._rx[0][0] if self._rx else _NEVER

    def _tick_ns(self) -> int:
        """The next tick in which something happens."""
        if not (self.variables.go or self.running):
            return _NEVER
        tick = self.timing.tick_ns
        passed = (max(self.now_ns, self._last_tick_ns()) - self._boot_ns) // tick
        return self._boot_ns + (passed + 1) * tick

    def _last_tick_ns(self) -> int:
        run = self.sequencer.run
        return run.ticks_ns[-1] if run is not None and run.ticks_ns else 0

    def _loop_ns(self) -> int:
        """The next time at which the main loop does something that matters."""
        if self._outcome is None and not self._wakes():
            return _NEVER
        late = self.now_ns - max(self._main_ns, self._interrupt_until_ns)
        if self._outcome is None and late > 0:  # it has been looking in vain all the while
            rounds = -(-(self.now_ns - self._main_ns) // self.timing.poll_ns)
            self._main_ns += rounds * self.timing.poll_ns
        return max(self._main_ns, self._interrupt_until_ns)

    def _wakes(self) -> bool:
        return self.buffer.complete or self.running or self._keys.busy

    # --- events ------------------------------------------------------------------------------

    def _on_deliver(self, now_ns: int) -> None:
        del now_ns
        self.receiver.deliver()

    def _on_rx(self, now_ns: int) -> None:
        self.receiver.arrive(self._rx.popleft()[1], now_ns < self._interrupt_until_ns)

    def _on_tick(self, now_ns: int) -> None:
        number = (now_ns - self._boot_ns) // self.timing.tick_ns
        passed = number - self._counter_zero
        if self.faults.counter_wrap:
            passed %= WRAP_TICKS
        if self.variables.go:
            self.variables.go = False
            if passed > LOCKOUT_TICKS or not self.faults.lockout:
                self._counter_zero = number
                self.runs.append(self.sequencer.start(now_ns))
            else:
                self.refused += 1
        if not self.running:
            return
        self._interrupt_until_ns = now_ns + self.sequencer.tick(now_ns, self._torn_dac(now_ns))
        if self.faults.shared_delay and self._outcome is None:
            self._main_ns = min(self._main_ns, self._interrupt_until_ns)

    def _torn_dac(self, now_ns: int) -> int | None:
        """The DAC to which the main loop is sending its power-up word at this moment."""
        if self._power_up_ns is None or not self.faults.torn_words:
            return None
        word = (now_ns - self._power_up_ns) // self.timing.word_ns
        return int(word) + 1 if 0 <= word < DACS else None

    def _on_loop(self, now_ns: int) -> None:
        self._main_ns = now_ns
        if self._outcome is None and self.buffer.complete:
            self._line = self.buffer.line()
            self._outcome = execute(self._line, self.buffer.length, self.variables, self.faults)
            self._to_print = deque(self._outcome.reply)
            if self._outcome.power_up:
                self._power_up_ns = now_ns
                self._main_ns += DACS * self.timing.word_ns
        elif self._outcome is None:
            self._keys.look(now_ns, self.variables)
            self._main_ns += self.timing.poll_ns
        elif self._to_print:
            self._print(now_ns)
        else:
            self._finish(now_ns)

    def _print(self, now_ns: int) -> None:
        """One character: it waits for the one before, and is not waited for itself."""
        if now_ns < self._tx_free_ns:
            self._main_ns = self._tx_free_ns
            return
        self._tx_free_ns = now_ns + self.timing.character_ns
        self._tx.append((self._tx_free_ns, self._to_print.popleft()))

    def _finish(self, now_ns: int) -> None:
        if self._outcome is not None and self._outcome.power_up:
            finish_init(self._line, self.variables)
        self._outcome, self._power_up_ns = None, None
        self.buffer.release()
        self._keys.look(now_ns, self.variables)
        self._main_ns = now_ns + self.timing.poll_ns
