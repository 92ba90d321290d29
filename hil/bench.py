"""The only place where the objects of a bench are built and taken down again."""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from drivers.board import Board
from drivers.closing import Closing
from drivers.integrator import Integrator
from drivers.link import Link
from drivers.rram.geometry import Geometry
from drivers.rram.limits import Limits
from drivers.rram.macro import Macro, PulseRecorder
from drivers.shared_stream import SharedStream
from drivers.stream import Stream
from hil.boards import OpenBoard, open_board
from hil.conditions import Conditions, measured
from hil.config import BenchConfig
from hil.control import Door, cells_file, door_of
from hil.curve_store import choose
from hil.ledger import Ledger
from hil.recorded_link import RecordedLink
from hil.safe_states import announcement
from hil.sim.back_doors import BackDoors
from hil.wear_keeper import WearKeeper, WearPlace
from protocols.errors import HandshakeError
from protocols.hardware import BoardDescription
from protocols.messages import Port, SafeReason

KEEP_ALIVE_S = 0.5
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Accounts:
    """Two clocks that are never mixed.

    Attributes:
        bench_s: what a clock on the bench shows, or would show: the board's own time, virtual on a
            simulated board, the bytes on the line included.
        host_s: what this computer spent.
    """

    bench_s: float
    host_s: float


class Bench(Closing):
    """One board with one chip, opened; a context manager that leaves the outputs safe."""

    def __init__(
        self,
        config: BenchConfig,
        description: BoardDescription,
        opened: OpenBoard,
        recorder: PulseRecorder | None = None,
        wear: WearPlace | None = None,
        *,
        nominal_curves: bool = False,
        chip_file: Path | None = None,
    ) -> None:
        """`wear` is the chip's account; None keeps none, for chips that end with the bench.

        `chip_file` is where a simulated chip lives, None for the one of the bench file.
        """
        self.config = config
        self.wear: WearKeeper | None = None
        self.description = description
        self.simulated = opened.simulated
        self._opened = opened
        self._host_start = time.perf_counter()
        stream = SharedStream(opened.stream)
        self.link = _link(stream, config, recorder, opened.simulated)
        self._door = _door(config, opened, chip_file, stream)
        if self._door.trouble is not None and opened.simulated is None:
            _log.warning("%s", self._door.trouble)
        try:
            self.link.open()
            self._refuse_other_board(opened)
            self._say_reason()
            self._choose_curves(nominal_curves)
            self._build(recorder, wear)
            self._board_start_s = self.board.status().time_s
        except BaseException as error:
            self._close_after(error)
            raise

    def _refuse_other_board(self, opened: OpenBoard) -> None:
        """A port may have been plugged into another board since it was looked for."""
        wanted, found = opened.board_serial, self.link.hello.board_serial
        if wanted is not None and wanted != found:
            raise HandshakeError(
                f"{opened.line}: board {found:x} answers where board {wanted:x} was a moment ago;"
                " was it plugged into another port? Start again"
            )

    def _say_reason(self) -> None:
        """What made the outputs safe since the board was last heard of, if it was out of course."""
        said = announcement(SafeReason(self.link.hello.safe_reason), self.config.board)
        if said:
            _log.warning("%s", said)

    def _choose_curves(self, nominal: bool) -> None:
        """Measured curves of this board where there are some; what is odd about them is said."""
        self.board = Board(self.link)
        found = choose(self.config, self.description, self.board.identity, nominal=nominal)
        self.board_curves, self.curves = found, found.curves
        if found.say:
            _log.warning("%s", found.note)

    def _build(self, recorder: PulseRecorder | None, wear: WearPlace | None) -> None:
        config, description = self.config, self.description
        self.geometry = Geometry(description.rows, description.columns)
        self.limits = Limits.of(description.limits).lowered(config.limits.values())
        self.macro = Macro(
            self.board,
            self.geometry,
            self.curves,
            self.limits,
            read_volts=config.read_volts,
            recorder=recorder,
        )
        if wear is not None:
            counts = self._pulse_counts()
            self.wear = WearKeeper(wear, self.macro, recorder, counts, lambda: self.conditions)
        if config.limits.values():
            self.macro.lower_board_limits()
        self.integrator = Integrator(self.board, self.curves, description)

    @classmethod
    def open(
        cls,
        config: BenchConfig,
        *,
        recorder: PulseRecorder | None = None,
        state_path: Path | None = None,
        nominal_curves: bool = False,
    ) -> Self:
        """The bench of a bench file.

        Args:
            config: what is connected.
            recorder: gets the intent and the outcome of every pulse.
            state_path: where a simulated chip lives; None takes the bench file's chip folder.
            nominal_curves: do not apply what was measured of this board before.

        Raises:
            PortError, LinkTimeout, HandshakeError: the board does not answer as it should.
            FirmwareError: it runs this checkout's firmware, which cannot be built or started.
            ConfigError: board and bench file do not fit together.
            ChipBusyError: another process has this chip.
            CalibrationError: this board's measured curves are damaged.
        """
        description = config.load_description()
        path = state_path or cells_file(config)
        wear = WearPlace(path.parent, config.chip.id, config.wear, config.runs)
        if state_path is not None:  # not the chip in the socket, so not that one's runs either
            name = f"{path.parent.name}/{path.name}"
            wear = WearPlace(path.parent, name, config.wear)
        opened = open_board(config, description, path)
        return cls(
            config,
            description,
            opened,
            recorder,
            wear,
            nominal_curves=nominal_curves,
            chip_file=path,
        )

    def _pulse_counts(self) -> NDArray[np.integer[Any]] | None:
        """What a simulated chip counts itself; None where disturbing pulses are counted as well."""
        if self.simulated is None or self.config.sim.half_select_fraction > 0.0:
            return None
        state = self.simulated.chip.cells.state
        return state["pulse_count"] if "pulse_count" in (state.dtype.names or ()) else None

    @property
    def is_simulated(self) -> bool:
        """Whether a figure of this bench is a simulated one."""
        return not self._opened.real and self.board.identity.port is not Port.STM32F407

    @cached_property
    def conditions(self) -> Conditions:
        """Who, which chip and how warm; asked once a session.

        Raises:
            InstrumentError: the bench file names a thermometer, and it does not answer.
        """
        return measured(self.config, self.simulated)

    @property
    def clock_s(self) -> float:
        """A clock that goes on from session to session, for ages: the simulated chip's own, which
        is virtual, else this computer's (seconds since 1970). A board's own clock starts anew with
        its power."""
        return time.time() if self.simulated is None else self.simulated.chip.now_s

    def accounts(self) -> Accounts:
        """Time since this bench was opened, in separate columns."""
        return Accounts(
            bench_s=self.board.status().time_s - self._board_start_s,
            host_s=time.perf_counter() - self._host_start,
        )

    def wait(self, duration_s: float) -> None:
        """Lets time pass on the bench; on a simulated board it is virtual."""
        if duration_s <= 0.0:
            return
        if self.is_simulated:
            self.board.advance(duration_s)
            return
        end = time.monotonic() + duration_s
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, KEEP_ALIVE_S))
            self.board.keep_alive()

    def close(self) -> None:
        """Outputs safe, line closed, wear booked, a simulated chip written to its file."""
        with ExitStack() as stack:  # the last one first, and all of them
            stack.callback(self._opened.close)
            if self.wear is not None:
                stack.callback(self.wear.close)
            stack.callback(self.link.close)
            stack.callback(self._door.close)


def _door(
    config: BenchConfig, opened: OpenBoard, chip_file: Path | None, stream: SharedStream
) -> Door:
    """Where `hil stop` reaches this process: by the board's line, and by its serial number."""
    named = door_of(config, chip_file)
    if opened.line is None:
        return Door(named, stream)
    return Door(door_of(config.with_changes(board=opened.line), chip_file), stream, also=named)


def _link(
    stream: Stream,
    config: BenchConfig,
    recorder: PulseRecorder | None,
    simulated: BackDoors | None,
) -> Link:
    """The link to the board; with a ledger one that keeps, and later knows, the answers."""
    timeout_s, attempts = config.link.timeout_s, config.link.attempts
    if not isinstance(recorder, Ledger):
        return Link(stream, timeout_s=timeout_s, attempts=attempts)
    restoring = nullcontext if simulated is None else simulated.out_of_time
    return RecordedLink(
        stream, recorder, timeout_s=timeout_s, attempts=attempts, restoring=restoring
    )
