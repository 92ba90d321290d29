"""Pulses and reads of single cells by instruments, behind the limit checker of every front end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from drivers.instruments.stand_in.setup import StandInParams, StandInSet, StandInWiring
from drivers.rram.limits import Limits
from drivers.rram.pulses import PulseBatch
from protocols.errors import HilError, InputError, LimitError
from protocols.messages import Operation


class StandIn:
    """One cell at a time: matrix to it, gate on, drive or read, gate off.

    Every pulse and every read voltage is checked against `limits` before an instrument is told
    anything. Outputs are off and gates at zero between two cells; paths stay closed while the same
    cell is at work. A failure on the way leaves everything safe.
    """

    def __init__(
        self,
        instruments: StandInSet,
        wiring: StandInWiring,
        limits: Limits,
        params: StandInParams | None = None,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        """`wait` lets time pass on the bench.

        Raises:
            InputError: the matrix is too small, or the supply has no output for the gates.
            LimitError: the gate voltage of reads is over the limit of a SET's gate.
        """
        self.instruments = instruments
        self.wiring = wiring
        self.limits = limits
        self.params = params or StandInParams()
        self._wait = wait
        self._path: tuple[int, ...] = ()
        wiring.check(instruments.matrix)
        self._check_gate()

    @property
    def read_gate_volts(self) -> float:
        """At a gate while its cell is read."""
        asked = self.params.read_gate_volts
        return self.limits.bound(Operation.SET, "gate_volts").value if asked is None else asked

    # --- what a front end does -------------------------------------------------------------------

    def read(self, row: int, column: int, volts: float, samples: int = 1) -> list[float]:
        """Currents of a cell at a read voltage in amperes, one of each reading.

        A reading that reached the compliance is that current.

        Raises:
            LimitError: over the read level; nothing was driven.
            InstrumentError: an instrument failed; everything is safe, as far as it answers.
        """
        self.limits.check_read(volts)
        smu = self.instruments.smu
        with self._safe_on_failure():
            self._connect(row, column, driving=self.wiring.smu_row, reset=False)
            with self._gate(self.read_gate_volts):
                smu.source_volts(volts, self.params.read_amperes)
                smu.output(True)
                found = [smu.measure().amperes for _ in range(samples)]
                smu.output(False)
        return found

    def pulse(self, batch: PulseBatch) -> None:
        """Pulses, one after the other.

        Raises:
            LimitError: a pulse is over a limit, or shorter than the instruments can make it;
                nothing of the batch was driven.
            InstrumentError: an instrument failed; everything is safe, as far as it answers.
        """
        self.check(batch)
        for k, (row, column) in enumerate(batch.cells):
            reset = Operation(int(batch.operation[k])) is Operation.RESET
            volts, width = float(batch.line_volts[k]), float(batch.width_s[k])
            with self._safe_on_failure():
                self._connect(row, column, driving=self._driving_row, reset=reset)
                with self._gate(float(batch.gate_volts[k])):
                    self._drive(volts, width)

    def check(self, batch: PulseBatch) -> None:
        """Refuse pulses over a limit, or shorter than the instruments can make them.

        Raises:
            LimitError: names the first of them.
        """
        self.limits.check(batch)
        if self.instruments.pulser is not None or not len(batch):
            return
        shortest = float(batch.width_s.min())
        if shortest < self.params.smu_shortest_s * (1 - 1e-9):
            raise LimitError(
                f"a pulse of {shortest:g} s is shorter than the source-measure unit can make"
                f" ({self.params.smu_shortest_s:g} s); connect a pulse generator, or ask for longer"
                " pulses. Nothing of the batch was driven"
            )

    def safe(self) -> None:
        """Sources off, gates at zero, then every path open; all are tried.

        Raises:
            InstrumentError: one of them did not answer; the text is the first one's.
        """
        self._path = ()
        first: HilError | None = None
        of = self.instruments
        for one in (of.pulser, of.smu, of.gate, of.matrix):
            try:
                if one is not None:
                    one.safe()
            except HilError as error:
                first = first or error
        if first is not None:
            raise first

    # --- one cell --------------------------------------------------------------------------------

    @property
    def _driving_row(self) -> int:
        of = self.wiring
        return of.smu_row if self.instruments.pulser is None else of.pulser_row

    def _connect(self, row: int, column: int, *, driving: int, reset: bool) -> None:
        """Close the paths of a cell: the driven line, the other one to ground, the gate."""
        rows, columns = self.wiring.lines
        if not (0 <= row < rows and 0 <= column < columns):
            raise InputError(f"cell ({row}, {column}) is not wired; {rows} x {columns} cells are")
        path = (row, column, driving, int(reset))
        if path == self._path:
            return
        self._path = ()
        matrix, of = self.instruments.matrix, self.wiring
        bit, source = of.column("bit_line", row), of.column("source_line", column)
        driven, grounded = (source, bit) if reset else (bit, source)
        matrix.open_all()
        matrix.close_path(of.ground_row, grounded)
        matrix.close_path(of.gate_row, of.column("word_line", column))
        matrix.close_path(driving, driven)
        self._path = path

    @contextmanager
    def _gate(self, volts: float) -> Iterator[None]:
        """The gate at a voltage for a block of code, at zero after it."""
        gate, name = self.instruments.gate, self.params.gate_channel
        gate.set(name, volts, self.params.gate_amperes)
        gate.output(name, True)
        self._wait(self.params.gate_settle_s)
        yield
        gate.output(name, False)

    def _drive(self, volts: float, width_s: float) -> None:
        pulser = self.instruments.pulser
        if pulser is None:
            smu = self.instruments.smu
            smu.source_volts(volts, self.params.pulse_amperes)
            smu.output(True)
            self._wait(width_s)
            smu.output(False)
            return
        pulser.configure(
            low_volts=0.0,
            high_volts=volts,
            width_s=width_s,
            edge_s=min(self.params.edge_s, 0.25 * width_s),
            load_ohms=self.params.load_ohms,
        )
        pulser.output(True)
        pulser.burst(1)
        pulser.output(False)

    @contextmanager
    def _safe_on_failure(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            with suppress(HilError):  # the first failure is the one to report
                self.safe()
            raise

    # --- checks ----------------------------------------------------------------------------------

    def _check_gate(self) -> None:
        name, of = self.params.gate_channel, self.instruments.gate
        if name not in of.channels:
            raise InputError(
                f"stand-in: {of.identity} has no channel {name!r} for the gates, only"
                f" {', '.join(of.channels)}; name one in the bench file"
                f" (instruments: supply: {{channels: {{{name}: 1}}}})"
            )
        bound = self.limits.bound(Operation.SET, "gate_volts")
        if self.read_gate_volts > bound.value * (1 + 1e-9):
            raise LimitError(
                f"stand-in: a gate of {self.read_gate_volts:g} V at reads is over the limit"
                f" of {bound.value:g} V (set in the {bound.source})"
            )
