"""What reports and tests may see and do behind a simulated board's back, whatever its firmware."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hil.sim.chip import NANOSECONDS, Chip
from hil.sim.loop_errors import LoopErrors
from hil.sim.machine import Machine
from protocols.errors import InputError

if TYPE_CHECKING:
    from hil.sim.nodes import BoardNodes

F64 = NDArray[np.float64]


class BackDoors:
    """The physics of one simulated board. Nothing here passes over the wire."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    @cached_property
    def nodes(self) -> BoardNodes:
        """What probes and instruments find on this board and in its socket."""
        from hil.sim.nodes import BoardNodes  # here, because few commands need the drawn board

        return BoardNodes(self)

    @property
    def chip(self) -> Chip:
        """The die behind the board."""
        return self.machine.chip

    @property
    def loop_errors(self) -> LoopErrors:
        """What a calibration of the loop should find."""
        return self.machine.loop.errors

    def set_conductances(self, targets: ArrayLike) -> None:
        """Put cells at conductances (rows, columns) in siemens, formed; NaN leaves a cell alone.

        Raises:
            InputError: another shape.
            TargetError: outside what the profile's cells can have.
        """
        siemens = np.asarray(targets, np.float64)
        shape = (self.machine.array.rows, self.machine.array.columns)
        if siemens.shape != shape:
            raise InputError(f"conductances have shape {siemens.shape}, the array has {shape}")
        index = np.flatnonzero(~np.isnan(siemens))
        self.chip.cells.set_conductance(index, siemens.ravel()[index], self.chip.now_s)

    def true_conductances(self) -> F64:
        """Long-run mean conductance (rows, columns) of every cell now, in siemens."""
        shape = (self.machine.array.rows, self.machine.array.columns)
        index = np.arange(shape[0] * shape[1])
        return self.chip.cells.conductance(index, self.chip.now_s).reshape(shape)

    @contextmanager
    def out_of_time(self) -> Iterator[None]:
        """What the board does meanwhile costs the chip no time.

        For what a run that is resumed has to say again: its chip then meets the same moments as if
        nothing had happened, and its results can be compared bit by bit.
        """
        before_ns = self.chip.now_ns
        yield
        self._take_back(self.chip.now_ns - before_ns)

    def meanwhile(self, duration_s: float) -> None:
        """Time passes for the chip while the board is asked nothing, and its clock stands still.

        For what instruments do between two requests.
        """
        duration_ns = round(duration_s * NANOSECONDS)
        self.chip.advance_ns(duration_ns)
        self._hold_clock(duration_ns)

    def _hold_clock(self, duration_ns: int) -> None:
        self.machine.set_back_ns(-duration_ns)

    def _take_back(self, duration_ns: int) -> None:
        """Sets the chip's clock back, and not the board's."""
        self.chip.set_back_ns(duration_ns)
        self.machine.set_back_ns(duration_ns)

    def close(self) -> None:
        """Write the chip back and let others have it."""
        self.chip.close()
