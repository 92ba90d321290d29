"""`board: instruments`: instruments behind the wire, in place of a board's own front end.

Commands find a board as any other: sessions, exactly-once, limits in codes, arming and the latched
reasons are those of the simulated board, whose requests for pulses and reads go to instruments
(`drivers/instruments/stand_in`). What instruments cannot do (the analog loop, loop-backs, line
checks, products) is refused as *not supported*. Codes are exact fractions of the description's
spans: there is no converter whose errors could be measured, `hil calibrate` has nothing to do here.

With the bench file's instruments the chip is a real one and time this computer's; with none named
they are simulated ones in front of the simulated chip, and time is its own. A pulse with its read
takes some 50 ms: what a board programs in a minute takes hours here.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from drivers.instruments.stand_in import StandIn, StandInSet
from drivers.rram.geometry import Cells
from drivers.rram.limits import Limits
from drivers.rram.pulses import PulseBatch
from drivers.stream import MemoryStream
from hil.config import BenchConfig
from hil.sim.board import BOARD_HANDLERS, SimBoard
from hil.sim.chip import NANOSECONDS, Chip
from hil.sim.converters import Codes
from hil.sim.front_end import FrontEnd
from hil.sim.handlers import Handler, hello
from hil.sim.machine import Machine
from hil.sim.pulse_grid import GridPulse
from hil.sim.refusal import RefusedError
from protocols import messages as m
from protocols.codec import Message
from protocols.errors import HilError, LimitError
from protocols.frame import Frame
from protocols.hardware import BoardDescription
from protocols.messages import SafeReason

BUILD = b"instruments"
INSTRUMENT_FAULT = 3
"""Fault of a front end whose instrument failed."""

ROLES = ("matrix", "smu", "supply", "pulser")
"""Of the instruments that stand in; others are left to whoever asks them."""

Clock = Callable[[], float]


class InstrumentPath(FrontEnd):
    """The pulse and read path of a board whose front end instruments are."""

    def __init__(self, machine: Machine, stand_in: StandIn, now_ns: Callable[[], int]) -> None:
        super().__init__(
            machine.chip, machine.array, machine.converters, machine.description, machine.settings
        )
        self.stand_in = stand_in
        self._now_ns = now_ns
        self._safety = machine.safety
        scales = machine.description.converters
        self._columns, self._code_max = machine.description.columns, machine.description.code_max
        self._volts_per_code = scales.pulse_full_scale_volts / self._code_max
        self._amperes_per_code = scales.read_full_scale_amperes / self._code_max
        self._tick_s = scales.width_tick_s

    def pulse_read(
        self,
        index: Codes,
        operation: Codes,
        gate_code: Codes,
        line_code: Codes,
        width_ticks: Codes,
        read_code: int,
    ) -> Codes:
        """Give each cell its pulse, in order, and read it; the readings' codes.

        The arming bounds how long a board waits for a silent host: what instruments take longer
        than a board would does not count for it.
        """
        began_ns = self._now_ns()
        batch = PulseBatch(
            Cells(*np.divmod(index, self._columns)),
            operation,
            np.asarray(gate_code * self._volts_per_code, np.float64),
            np.asarray(line_code * self._volts_per_code, np.float64),
            np.asarray(width_ticks * self._tick_s, np.float64),
        )
        self.stand_in.check(batch)
        readings = np.zeros(index.size, np.int64)
        for k, (row, column) in enumerate(batch.cells):
            self.stand_in.pulse(batch[[k]])
            readings[k] = self._converted(row, column, read_code, 1)
        more_ns = self._now_ns() - began_ns - self.duration_ns(width_ticks)
        self._safety.spare_arming(max(0, more_ns))
        return readings

    def read(self, index: Codes, read_code: int, samples: int) -> Codes:
        """Sums of `samples` readings of each cell, one cell after the other."""
        cells = [divmod(cell, self._columns) for cell in index.tolist()]
        sums = [self._converted(row, column, read_code, samples) for row, column in cells]
        self._now_ns()
        return np.array(sums, np.int64)

    def off_grid(self, *_codes: Codes) -> tuple[int, GridPulse] | None:
        """Instruments give any pulse within their limits."""
        return None

    def _converted(self, row: int, column: int, read_code: int, samples: int) -> int:
        """Sum of the codes of readings, as the read input would give them."""
        volts = read_code * self._volts_per_code
        if volts <= 0.0:
            return 0
        amperes = np.array(self.stand_in.read(row, column, volts, samples))
        codes = np.rint(amperes / self._amperes_per_code).astype(np.int64)
        self.saturated += int(np.count_nonzero(codes >= self._code_max))
        return int(np.clip(codes, 0, self._code_max).sum())


class StandInMachine(Machine):
    """A machine whose safe state is that of the instruments as well."""

    def __init__(self, description: BoardDescription, settings: Any, chip: Chip) -> None:
        self.instruments: StandIn | None = None
        super().__init__(description, settings, chip)

    def make_safe(self, reason: SafeReason) -> None:
        """Every output to its safe value: sources off, gates at zero, paths open."""
        super().make_safe(reason)
        if self.instruments is not None:
            self.instruments.safe()


def _hello(machine: Machine, request: m.HelloRequest) -> Message:
    said = hello(machine, request)
    return replace(said, build=BUILD.ljust(16, b"\0"), port=m.Port.HOST)


_KNOWN = (
    m.StopRequest,
    m.KeepAliveRequest,
    m.StatusRequest,
    m.LimitsLowerRequest,
    m.ArmRequest,
    m.DisarmRequest,
    m.SafeClearRequest,
    m.PulseReadRequest,
    m.ReadRequest,
)


class StandInBoard(SimBoard):
    """A board on the wire whose pulses and reads are those of instruments.

    `clock` is seconds of a clock on the bench; None where the chip's own clock is that of
    simulated instruments.
    """

    machine_kind: ClassVar[type[Machine]] = StandInMachine
    handlers: dict[type[Message], Handler] = {  # noqa: RUF012  (as its base class)
        m.HelloRequest: _hello,
        **{kind: BOARD_HANDLERS[kind] for kind in _KNOWN},
    }

    def __init__(
        self, description: BoardDescription, settings: Any, chip: Chip, clock: Clock | None = None
    ) -> None:
        super().__init__(description, settings, chip)
        self._clock = clock
        self._trouble: HilError | None = None
        self._began_s = 0.0 if clock is None else clock()
        if clock is None:
            self.handlers = {**self.handlers, m.AdvanceRequest: BOARD_HANDLERS[m.AdvanceRequest]}

    def stand(self, stand_in: StandIn) -> None:
        """Let these instruments do what the front end would."""
        machine = self.machine
        machine.front_end = InstrumentPath(machine, stand_in, self._now_ns)
        if isinstance(machine, StandInMachine):
            machine.instruments = stand_in

    def receive(self, data: bytes) -> bytes:
        """Take bytes from the line; the bytes of the answers.

        Raises:
            InstrumentError: an instrument failed; the board has latched a fault.
            LimitError: a pulse that the instruments cannot make; nothing was driven.
        """
        self._now_ns()
        answers = super().receive(data)
        trouble, self._trouble = self._trouble, None
        if trouble is not None:
            raise trouble  # the answer is remembered for whoever asks again
        return answers

    def _execute(self, frame: Frame) -> bytes:
        """As any board, and a fault where an instrument fails; what was wrong is raised later."""
        try:
            return super()._execute(frame)
        except LimitError as error:  # found before anything was driven
            self._trouble = self._trouble or error
            return RefusedError("not_supported").pack()
        except HilError as error:
            self._trouble = self._trouble or error
            self.machine.safety.make_safe(SafeReason.FAULT)
            return RefusedError("front_end", INSTRUMENT_FAULT).pack()

    def _now_ns(self) -> int:
        """The chip's clock, once it is brought to the bench's."""
        if self._clock is not None:
            passed_ns = round((self._clock() - self._began_s) * NANOSECONDS)
            self.chip.advance_ns(max(0, passed_ns - self.machine.time_us * 1000))
        return self.chip.now_ns

    def _line_ns(self, payload: bytes) -> int:
        """There is no line: nothing lasts but what the instruments do."""
        del payload
        return 0

    def _hold_clock(self, duration_ns: int) -> None:
        """What instruments take is the board's own time."""


class StandInStream(MemoryStream):
    """The line to instruments; closing it leaves them safe and gives them back."""

    def __init__(self, board: StandInBoard, close: Callable[[], None]) -> None:
        super().__init__(board.receive, "instruments")
        self._give_back = close

    def close(self) -> None:
        """Refuse further use. Closing twice is allowed."""
        super().close()
        give_back, self._give_back = self._give_back, _nothing
        give_back()


def _nothing() -> None:
    """The instruments were given back."""


def simulated_stand_in(
    config: BenchConfig, description: BoardDescription, state_path: Path | None
) -> tuple[StandInBoard, StandInStream]:
    """Simulated instruments in front of a simulated chip.

    Raises:
        InstrumentError, ChipBusyError, ConfigError: as `open_board`.
    """
    from hil.instruments import simulated_roles

    chip = Chip.open(state_path, config.sim, description)
    try:
        board = StandInBoard(description, config.sim, chip)
        found = simulated_roles(board)
        _stand(board, found, config, description, board.nodes.pass_time)
        return board, StandInStream(board, found.close)
    except BaseException:
        chip.close()
        raise


def real_stand_in(
    config: BenchConfig, description: BoardDescription
) -> tuple[StandInBoard, StandInStream]:
    """The bench file's instruments in front of a real chip.

    Raises:
        InstrumentError: one that is needed is not there or is another one.
    """
    from hil.instruments import connect_all

    if config.instruments is None:
        raise ValueError("no instruments are named")
    found = connect_all(config.instruments, ROLES)
    try:
        names = "|".join(str(one.identity) for one in found.present().values())
        settings = config.sim.model_copy(update={"board_seed": zlib.crc32(names.encode())})
        chip = Chip.open(None, settings, description)  # a clock and counters, no cells are asked
        board = StandInBoard(description, settings, chip, time.monotonic)
        _stand(board, found, config, description, time.sleep)
        return board, StandInStream(board, found.close)
    except BaseException:
        found.close()
        raise


def _stand(
    board: StandInBoard,
    found: Any,
    config: BenchConfig,
    description: BoardDescription,
    wait: Callable[[float], None],
) -> None:
    section = config.stand_in
    pulser = found.require("pulser") if section.pulser else None
    instruments = StandInSet(
        matrix=found.require("matrix"),
        smu=found.require("smu"),
        gate=found.require("supply"),
        pulser=pulser,
    )
    limits = Limits.of(description.limits).lowered(config.limits.values())
    wiring, params = section.wiring(description), section.params()
    board.stand(StandIn(instruments, wiring, limits, params, wait))
