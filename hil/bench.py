"""The only place where the objects of a bench are built and taken down again."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from drivers.board import Board
from drivers.integrator import Integrator
from drivers.link import Link
from drivers.rram.geometry import Geometry
from drivers.rram.limits import Limits
from drivers.rram.macro import Macro, PulseRecorder
from drivers.transfer import Curves
from hil.boards import OpenBoard, open_board
from hil.config import BenchConfig
from protocols.errors import HilError
from protocols.hardware import BoardDescription
from protocols.messages import Port

KEEP_ALIVE_S = 0.5


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


class Bench:
    """One board with one chip, opened; a context manager that leaves the outputs safe."""

    def __init__(
        self,
        config: BenchConfig,
        description: BoardDescription,
        opened: OpenBoard,
        recorder: PulseRecorder | None = None,
    ) -> None:
        self.config = config
        self.description = description
        self.simulated = opened.simulated
        self._opened = opened
        self._host_start = time.perf_counter()
        self.link = Link(
            opened.stream, timeout_s=config.link.timeout_s, attempts=config.link.attempts
        )
        try:
            self.link.open()
            self._build(recorder)
            self._board_start_s = self.board.status().time_s
        except BaseException as error:
            self._close_after(error)
            raise

    def _build(self, recorder: PulseRecorder | None) -> None:
        config, description = self.config, self.description
        self.board = Board(self.link)
        self.geometry = Geometry(description.rows, description.columns)
        self.curves = Curves.nominal(description)
        self.limits = Limits.of(description.limits).lowered(config.limits.values())
        self.macro = Macro(
            self.board,
            self.geometry,
            self.curves,
            self.limits,
            read_volts=config.read_volts,
            recorder=recorder,
        )
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
    ) -> Self:
        """The bench of a bench file.

        Args:
            config: what is connected.
            recorder: gets the intent and the outcome of every pulse.
            state_path: where a simulated chip lives; None takes the bench file's chip folder.

        Raises:
            PortError, LinkTimeout, HandshakeError: the board does not answer as it should.
            FirmwareError: it runs this checkout's firmware, which cannot be built or started.
            ConfigError: board and bench file do not fit together.
            ChipBusyError: another process has this chip.
        """
        description = config.load_description()
        path = state_path or config.chip.folder / config.chip.id / "cells.chip"
        return cls(config, description, open_board(config, description, path), recorder)

    @property
    def is_simulated(self) -> bool:
        """Whether a figure of this bench is a simulated one."""
        return self.board.identity.port is not Port.STM32F407

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
        """Outputs safe, line closed, a simulated chip written to its file."""
        try:
            self.link.close()
        finally:
            self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        else:
            self._close_after(error)

    def _close_after(self, error: BaseException) -> None:
        """Closes on the way out of a failure; a second failure does not hide the first."""
        try:
            self.close()
        except HilError as closing:
            error.add_note(f"While closing: {closing}")
