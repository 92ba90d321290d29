"""A 1T1R macro: conductances in siemens, pulses in volts and seconds, every limit checked first."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
from numpy.typing import NDArray

from drivers.board import Board
from drivers.identity import Identity
from drivers.rram.geometry import Cells, Geometry
from drivers.rram.limits import Limits
from drivers.rram.pulses import PulseBatch
from drivers.rram.recorder import PULSE_RECORD, DryRun, PulseRecorder, Records
from drivers.transfer import Curves
from protocols.errors import ConfigError, HilError, InputError, LimitError, SafetyError
from protocols.messages import Operation, PulseReadRequestEntry, PulseReadResponse

__all__ = ["PULSE_RECORD", "DryRun", "Macro", "PulseRecorder"]

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


class Macro:
    """The cells behind one board.

    `recorder` hears of every batch before it is sent and of every acknowledged frame. A macro with
    `dry_run` reads, checks and records intents, but drives no pulse: `pulse_read` returns NaN.
    `limits` are those given or those built into the board, whichever are lower.
    """

    def __init__(
        self,
        board: Board,
        geometry: Geometry,
        curves: Curves,
        limits: Limits,
        read_volts: float = 0.2,
        recorder: PulseRecorder | None = None,
        *,
        dry_run: bool = False,
    ) -> None:
        identity = board.identity
        _check_geometry(board.name, identity, geometry)
        self.board = board
        self.geometry = geometry
        self.curves = curves
        self.limits = limits.capped(_built_in(identity, curves), f"firmware of {board.name}")
        self.limits.check_read(read_volts)
        self.recorder = recorder
        self.dry_run = dry_run
        self.time_s = 0.0
        self.saturated = 0
        self._read_code = int(curves.pulse_volts.to_code(read_volts, "the read voltage"))
        self._armed = 0
        self._session = 0
        self._given = np.zeros(geometry.cells, dtype=np.int64)

    @property
    def read_volts(self) -> float:
        """The bit-line voltage of reads, as the converter gives it."""
        return float(self.curves.pulse_volts.to_si(self._read_code))

    @property
    def full_scale_siemens(self) -> float:
        """The largest conductance that a reading can show; `saturated` counts readings there."""
        return self.curves.read_amperes.maximum / self.read_volts

    # --- reading -----------------------------------------------------------------------------

    def read(self, cells: Cells, samples: int = 1) -> Floats:
        """Conductances in siemens, shape (n,); each the mean of `samples` conversions."""
        self.geometry.check(cells)
        got = self.board.read(self._read_code, cells.rows.tolist(), cells.columns.tolist(), samples)
        self._heard(got.time_s)
        return self._siemens(got.codes / samples)

    def read_map(self, samples: int = 1) -> Floats:
        """The conductance of every cell in siemens, shape (rows, columns)."""
        values = self.read(Cells.all(self.geometry), samples)
        return values.reshape(self.geometry.rows, self.geometry.columns)

    # --- driving -----------------------------------------------------------------------------

    @contextmanager
    def armed(self, duration_s: float = 60.0) -> Iterator[None]:
        """Arm the board for a block of code and disarm it at the end, whatever happens in it.

        Raises:
            LimitError: longer than the arming limit.
            SafetyError: the board is in a safe state that was not cleared.
        """
        self.limits.check_arm(duration_s)
        if not self.dry_run:
            self.board.arm(duration_s)
        self._armed += 1
        try:
            yield
        except BaseException as error:
            self._armed -= 1
            self._disarm_after(error)
            raise
        self._armed -= 1
        if not self._armed and not self.dry_run:
            self.board.disarm()

    def pulse_read(self, batch: PulseBatch, *, label: str = "") -> Floats:
        """Apply pulses in order; the conductance of each cell after its pulse, siemens (n,).

        One round trip. The whole batch is checked before a byte is sent. `label` goes to the
        recorder.

        Raises:
            LimitError: a pulse is over a limit, or a cell would get too many in this session.
            SafetyError: the macro is not armed (`with macro.armed():`), or the board is not.
        """
        self._check(batch)
        codes = self._codes(batch)
        token = 0 if self.recorder is None else self.recorder.intent(batch, label=label)
        if self.dry_run:
            return np.full(len(batch), np.nan)
        if not len(batch):
            return np.empty(0)
        entries = [PulseReadRequestEntry(*row) for row in zip(*codes, strict=True)]

        def heard(start: int, sequence: int, response: PulseReadResponse) -> None:
            stop = start + len(response.entries)
            flat = batch.cells[start:stop].flat(self.geometry)
            np.add.at(self._given, flat, 1)
            self._heard(response.time_us * 1e-6)
            if self.recorder is not None:
                rows = list(zip(*(column[start:stop] for column in codes), strict=True))
                session = self.board.link.session
                self.recorder.outcome(token, start, _records(rows, response, session, sequence))

        got = self.board.pulse_read(self._read_code, entries, heard)
        return self._siemens(got.codes.astype(np.float64))

    def pulse(
        self,
        row: int,
        column: int,
        operation: Operation | str,
        gate_volts: float,
        line_volts: float,
        width_s: float,
    ) -> float:
        """One pulse on one cell, and its conductance in siemens after it; arms for it if needed.

        `operation` is an `Operation` or its name: "set", "reset", "form".
        """
        kind = _operation(operation)
        batch = PulseBatch(
            Cells.of([(row, column)]),
            np.array(int(kind)),
            np.array(gate_volts),
            np.array(line_volts),
            np.array(width_s),
        )
        if self._armed:
            return float(self.pulse_read(batch, label="pulse")[0])
        with self.armed(1.0):
            return float(self.pulse_read(batch, label="pulse")[0])

    def lower_board_limits(self) -> None:
        """Give this macro's limits to the board, so that the board enforces them as well."""
        volts, width = self.curves.pulse_volts, self.curves.width
        for operation in Operation:
            bound = partial(self.limits.bound, operation)
            self.board.limits_lower(
                operation,
                gate_code_max=int(volts.to_code(bound("gate_volts").value)),
                line_code_max=int(volts.to_code(bound("line_volts").value)),
                width_ticks_max=int(width.to_code(bound("width_s").value)),
                pulses_per_cell_max=int(self.limits.bounds["pulses_per_cell"].value),
            )

    # --- checks ------------------------------------------------------------------------------

    def _check(self, batch: PulseBatch) -> None:
        self.geometry.check(batch.cells)
        self.limits.check(batch)
        self._check_budget(batch.cells)
        if not self._armed:
            raise SafetyError(
                f"{self.board.name}: pulses need an armed board; put them inside"
                " `with macro.armed():`. Nothing was driven"
            )

    def _check_budget(self, cells: Cells) -> None:
        if self._session != self.board.link.session:
            self._session = self.board.link.session
            self._given[:] = 0
        flat = cells.flat(self.geometry)
        after = self._given + np.bincount(flat, minlength=self.geometry.cells)
        bound = self.limits.bounds["pulses_per_cell"]
        if after.max(initial=0) > bound.value:
            row, column = divmod(int(np.argmax(after)), self.geometry.columns)
            raise LimitError(
                f"cell ({row}, {column}) would have had {int(after.max())} pulses in this session,"
                f" the limit is {bound.value:g} (set in the {bound.source}); nothing of the batch"
                " was driven"
            )

    def _codes(self, batch: PulseBatch) -> tuple[list[int], ...]:
        """Entry columns in wire order."""
        volts = self.curves.pulse_volts
        columns = (
            batch.cells.rows,
            batch.cells.columns,
            batch.operation,
            volts.to_code(batch.gate_volts, "gate voltage"),
            volts.to_code(batch.line_volts, "line voltage"),
            self.curves.width.to_code(batch.width_s, "pulse width"),
        )
        return tuple(column.tolist() for column in columns)

    # --- helpers -----------------------------------------------------------------------------

    def _disarm_after(self, error: BaseException) -> None:
        """Disarm on the way out of a failure; a second failure does not hide the first."""
        if self._armed or self.dry_run or not self.board.link.is_open:
            return
        try:
            self.board.disarm()
        except HilError as second:
            error.add_note(f"Disarming failed as well: {second}")

    def _siemens(self, codes: Floats) -> Floats:
        self.saturated += int(np.count_nonzero(codes >= self.curves.read_amperes.code_max))
        return self.curves.read_amperes.to_si(codes) / self.read_volts

    def _heard(self, time_s: float) -> None:
        self.time_s = max(self.time_s, time_s)


def _check_geometry(name: str, identity: Identity, geometry: Geometry) -> None:
    if (identity.rows, identity.columns) != (geometry.rows, geometry.columns):
        raise ConfigError(
            f"{name} has {identity.rows} x {identity.columns} cells, its description"
            f" {geometry.rows} x {geometry.columns}; name the right board description in the"
            " bench file"
        )


def _built_in(identity: Identity, curves: Curves) -> dict[str, float]:
    """The board's own limits in SI units, under the names of `Limits.bounds`."""
    volts, width = curves.pulse_volts, curves.width
    bounds = {
        "read_volts": float(volts.to_si(identity.read_code_max)),
        "pulses_per_cell": float(identity.pulses_per_cell_max),
        "arm_s": identity.arm_s_max,
    }
    for operation, own in identity.limits.items():
        kind = operation.name.lower()
        bounds[f"{kind}.gate_volts"] = float(volts.to_si(own.gate_code_max))
        bounds[f"{kind}.line_volts"] = float(volts.to_si(own.line_code_max))
        bounds[f"{kind}.width_s"] = float(width.to_si(own.width_ticks_max))
    return bounds


def _records(
    rows: list[tuple[int, ...]], response: PulseReadResponse, session: int, sequence: int
) -> Records:
    return np.array(
        [
            (*row, entry.reading, response.time_us, session, sequence)
            for row, entry in zip(rows, response.entries, strict=True)
        ],
        dtype=PULSE_RECORD,
    )


def _operation(operation: Operation | str) -> Operation:
    if isinstance(operation, Operation):
        return operation
    try:
        return Operation[operation.upper()]
    except KeyError:
        known = ", ".join(kind.name.lower() for kind in Operation)
        raise InputError(f"{operation!r} is no kind of pulse; known are {known}") from None
