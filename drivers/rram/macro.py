"""A 1T1R macro: conductances in siemens, pulses in volts and seconds, every limit checked first."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import ArrayLike, NDArray

from drivers.board import Board
from drivers.identity import Identity
from drivers.rram.geometry import Cells, Geometry
from drivers.rram.limits import Limits, over_limit
from drivers.rram.line_codes import LineCodes, built_in, line_of
from drivers.rram.lines import Lines
from drivers.rram.pulses import PulseBatch
from drivers.rram.recorder import PULSE_RECORD, DryRun, PulseRecorder, Records
from drivers.transfer import Curves
from protocols.energy import ENERGY_UNIT
from protocols.errors import ConfigError, HilError, InputError, LimitError, SafetyError
from protocols.messages import (
    MultiplyRequest,
    Operation,
    PulseReadRequest,
    PulseReadRequestEntry,
    PulseReadResponse,
)

__all__ = ["PULSE_RECORD", "DryRun", "Macro", "PulseRecorder"]

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


_EXPONENT_MAX = next(f.maximum for f in MultiplyRequest.FIELDS if f.name == "scale")
_SCALES = [1 << exponent for exponent in range(_EXPONENT_MAX + 1)]


class Macro:
    """The cells behind one board.

    `recorder` hears of every batch before it is sent and of every acknowledged frame. A macro with
    `dry_run` reads, checks and records intents, but drives no pulse: `pulse_read` returns NaN.
    `limits` are those given or those built into the board, whichever are lower.

    `lines` is the resistance that readings have taken off, so that they are those of the cells
    themselves. It is None to begin with: readings are then what cells show through the lines, as
    the layers of a network see them.
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
        self.limits = limits
        self.limits.check_read(read_volts)
        self.recorder = recorder
        self.dry_run = dry_run
        self.lines: Lines | None = None
        self.time_s = 0.0
        self.saturated = 0
        self._read_code = self._lines.read(read_volts)
        self._armed = 0
        self._renewed: tuple[float, float] | None = None  # for how long, until which board time
        self._session = 0
        self._given = np.zeros(geometry.cells, dtype=np.int64)
        self.doubtful: NDArray[np.bool_] = np.zeros(0, np.bool_)
        """Of the last batch, which pulses may never have been driven (in a resumed run)."""

    @property
    def limits(self) -> Limits:
        """What is in force: the limits given or those built into the board, the lower of each."""
        return self._limits

    @limits.setter
    def limits(self, limits: Limits) -> None:
        identity, source = self.board.identity, f"firmware of {self.board.name}"
        self._limits = limits.capped(built_in(identity, self.curves), source)
        self._lines = LineCodes(self.curves, self._limits, identity)

    @property
    def read_volts(self) -> float:
        """The bit-line voltage of reads, as the converter gives it."""
        return float(self.curves.bit_line.to_si(self._read_code))

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
        return self._siemens(got.codes / samples, cells)

    def read_map(self, samples: int = 1) -> Floats:
        """The conductance of every cell in siemens, shape (rows, columns)."""
        values = self.read(Cells.all(self.geometry), samples)
        return values.reshape(self.geometry.rows, self.geometry.columns)

    # --- products ----------------------------------------------------------------------------

    def multiply_full_scale_amperes(self, scale: int = 1) -> float:
        """The largest current of either sign that a column of `multiply` can show."""
        return self.curves.multiply_amperes.maximum * (1 << _exponent(scale))

    def multiply(
        self,
        first_row: int,
        first_column: int,
        columns: int,
        volts: ArrayLike,
        samples: int = 1,
        scale: int = 1,
    ) -> Floats:
        """Currents of columns in amperes, shape (n, columns), for vectors of volts (n, inputs).

        Input k drives row `first_row` + k, with at most the read level of either sign. Each
        current is the mean of `samples` conversions (1 to 16); `scale` (1, 2, 4 or 8) times the
        full scale of the reads is the largest of either sign, and `saturated` counts those there.
        More rows than a frame has room for are converted in parts and added up.

        The rows' DACs are nominal: what zero volts give on a block is their offset.

        Raises:
            LimitError: an input is beyond the read level; nothing was driven.
            InputError: no vectors, a block outside the array, no such scale.
        """
        exponent, curve = _exponent(scale), self.curves.multiply_amperes
        inputs = np.asarray(volts, np.float64)
        self._check_block(first_row, first_column, columns, inputs)
        codes = self._lines.rows(inputs)
        columns_of = np.arange(first_column, first_column + columns)
        total = np.zeros((codes.shape[0], columns))
        most = self.board.multiply_inputs_max
        for at in range(0, codes.shape[1], most):
            part = codes[:, at : at + most]
            got = self.board.multiply(
                first_row + at, first_column, columns, part, samples, exponent
            )
            self._heard(got.time_s)
            mean = got.codes / samples
            self.saturated += int(np.count_nonzero((mean <= 0) | (mean >= curve.code_max)))
            amperes = curve.to_si(mean) * scale
            if self.curves.columns is not None:
                amperes = self.curves.columns.true(amperes, columns_of)
            total += amperes
        return total

    def _check_block(self, first_row: int, first_column: int, columns: int, volts: Floats) -> None:
        if volts.ndim != 2 or volts.shape[1] < 1 or columns < 1:
            raise InputError(
                f"inputs of shape {volts.shape} for {columns} columns; vectors (n, inputs) and at"
                " least one column are needed"
            )
        corners = [(first_row, first_column)]
        corners += [(first_row + volts.shape[1] - 1, first_column + columns - 1)]
        self.geometry.check(Cells.of(corners))

    # --- driving -----------------------------------------------------------------------------

    @contextmanager
    def armed(self, duration_s: float = 60.0, *, renewing: bool = False) -> Iterator[None]:
        """Arm the board for a block of code and disarm it at the end, whatever happens in it.

        With `renewing` a time above the arming limit is no error: the board is armed for as long as
        the limit allows, and again before a batch once half of that is over. A short limit then
        bounds how long an armed board waits for a silent host, not how long a job may take.

        Raises:
            LimitError: longer than the arming limit.
            SafetyError: the board is in a safe state that was not cleared.
        """
        longest_s = self.limits.bounds["arm_s"].value
        renewed_s = longest_s if renewing and duration_s > longest_s else 0.0
        self.limits.check_arm(renewed_s or duration_s)
        outer, self._renewed = self._renewed, None
        if not self.dry_run:
            until_s = self.board.arm(renewed_s or duration_s)
            self._renewed = (renewed_s, until_s) if renewed_s else None
        self._armed += 1
        try:
            yield
        except BaseException as error:
            self._armed -= 1
            self._disarm_after(error)
            raise
        finally:
            self._renewed = outer
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
        self.doubtful = np.zeros(len(batch), np.bool_)
        if self.dry_run:
            return np.full(len(batch), np.nan)
        if not len(batch):
            return np.empty(0)
        entries = [PulseReadRequestEntry(*row) for row in zip(*codes, strict=True)]
        self._renew_arming()

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
        size = self.board.capacity(PulseReadRequest)
        for start in got.doubtful:
            self.doubtful[start : start + size] = True
        return self._siemens(got.codes.astype(np.float64), batch.cells)

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
        for operation in Operation:
            width = self.limits.bound(operation, "width_s").value
            self.board.limits_lower(
                operation,
                gate_code_max=int(self._lines.gate_max[operation]),
                line_code_max=int(self._lines.line_max[operation]),
                width_ticks_max=int(self.curves.width.to_code(width)),
                pulses_per_cell_max=int(self.limits.bounds["pulses_per_cell"].value),
                energy_max=int(self._lines.energy_max[operation]),
                arm_s_max=self.limits.bounds["arm_s"].value,
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

    def _renew_arming(self) -> None:
        """Arm again where the arming was shortened to its limit and half of it is over."""
        if self._renewed is not None:
            duration_s, until_s = self._renewed
            if self.time_s > until_s - 0.5 * duration_s:
                self._renewed = (duration_s, self.board.arm(duration_s))

    def _codes(self, batch: PulseBatch) -> tuple[list[int], ...]:
        """Entry columns in wire order."""
        gate, line = self._lines.gate(batch), self._lines.line(batch)
        width = self.curves.width.to_code(batch.width_s, "pulse width")
        self._check_energy(batch, line, width)
        cells = batch.cells
        columns = (cells.rows, cells.columns, batch.operation, gate, line, width)
        return tuple(column.tolist() for column in columns)

    def _check_energy(self, batch: PulseBatch, line: Codes, width: Codes) -> None:
        """What the codes give may be a step above what was asked for: the board looks at codes."""
        over = line**2 * width > self._lines.energy_max[batch.operation] * ENERGY_UNIT
        if over.any():
            at = int(np.argmax(over))
            kind = Operation(int(batch.operation[at]))
            bound = self.limits.bound(kind, "energy_joules")
            volts = float(line_of(kind, self.curves).to_si(int(line[at])))
            joules = volts**2 * self.limits.cell_siemens * float(batch.width_s[at])
            cell = next(iter(batch.cells[at]))
            raise over_limit(kind, cell, "energy_joules", joules, bound)

    # --- helpers -----------------------------------------------------------------------------

    def _disarm_after(self, error: BaseException) -> None:
        """Disarm on the way out of a failure; a second failure does not hide the first."""
        if self._armed or self.dry_run or not self.board.link.is_open:
            return
        try:
            self.board.disarm()
        except HilError as second:
            error.add_note(f"Disarming failed as well: {second}")

    def _siemens(self, codes: Floats, cells: Cells) -> Floats:
        self.saturated += int(np.count_nonzero(codes >= self.curves.read_amperes.code_max))
        amperes = self.curves.read_amperes.to_si(codes)
        if self.curves.columns is not None:
            amperes = self.curves.columns.true(amperes, cells.columns)
        shown = amperes / self.read_volts
        return shown if self.lines is None else self.lines.needed(cells, shown)

    def _heard(self, time_s: float) -> None:
        self.time_s = max(self.time_s, time_s)


def _exponent(scale: int) -> int:
    """How often the full scale of the reads is doubled."""
    if scale not in _SCALES:
        raise InputError(f"scale {scale}: products have {', '.join(map(str, _SCALES))}")
    return _SCALES.index(scale)


def _check_geometry(name: str, identity: Identity, geometry: Geometry) -> None:
    if (identity.rows, identity.columns) != (geometry.rows, geometry.columns):
        raise ConfigError(
            f"{name} has {identity.rows} x {identity.columns} cells, its description"
            f" {geometry.rows} x {geometry.columns}; name the right board description in the"
            " bench file"
        )


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
