"""What all routines share: a rig that counts what they use, when to stop, and their result.

A routine measures in rounds. After each it estimates its figures with their confidence intervals,
and stops when those are tight enough or when something it may use is used up; the result says
which. Every pulse goes through the macro, so limits and journal hold as they do for programming.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from enum import Enum
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from calibration.arrays import FloatArray
from calibration.cell_model import CellModel
from calibration.characterise.intervals import Interval, check_confidence
from calibration.programming.ispp import Ispp, IsppParams
from calibration.programming.menu import PulseMenu
from calibration.progress import Progress, silent
from drivers.rram.geometry import Cells
from drivers.rram.macro import Macro
from drivers.rram.pulses import PulseBatch
from protocols.errors import InputError, NotFormedError

ARMED_S = 600.0
UNFORMED_SIEMENS = 1e-6
"""A cell that reads below it is taken for one that was never formed, as in programming."""

Wait = Callable[[float], None]
Group = TypeVar("Group")


class Stop(Enum):
    """Why a routine ended."""

    TIGHT = "the confidence interval is tight enough"
    CELLS = "all cells that it may use are used"
    PULSES = "its pulses per cell are used up"
    READS = "its readings are used up"
    TIME = "its time is used up"
    CLOSED = "the switching window closed"


@dataclass(frozen=True)
class RoutineParams:
    """What every routine has.

    Attributes:
        confidence: of every interval, two-sided.
        pulses_per_cell: pulses of this routine that one cell may get.
        most_s: bench time after which no further round is begun (virtual on a simulated board).
    """

    confidence: float = 0.95
    pulses_per_cell: int = 400
    most_s: float = 1e9

    def cost(self, available: int) -> Cost:
        """What it uses at most when `available` cells are there."""
        raise NotImplementedError

    def asked(self) -> dict[str, Any]:
        """The parameters as plain values."""
        plain = (int, float, str, tuple)
        return {
            name: asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
            for name, value in ((one.name, getattr(self, one.name)) for one in fields(self))
            if isinstance(value, plain) or name in ("middle", "prepare", "set", "reset", "forming")
        }

    def __post_init__(self) -> None:
        check_confidence(self.confidence)
        for name, value in self.asked().items():
            numbers = value if isinstance(value, tuple | list) else (value,)
            for number in numbers:
                if isinstance(number, int | float) and not (math.isfinite(number) and number > 0):
                    raise InputError(f"{type(self).__name__}: {name}={value} must be positive.")


@dataclass(frozen=True)
class Account:
    """What a routine used, and why it stopped."""

    cells: int
    pulses: int
    most_pulses_of_a_cell: int
    reads: int
    bench_s: float
    stop: Stop
    rounds: int

    def to_dict(self) -> dict[str, object]:
        """Plain values."""
        return {**asdict(self), "stop": self.stop.name.lower(), "reason": self.stop.value}


@dataclass(frozen=True)
class Cost:
    """What a routine uses at most, said before it starts.

    Attributes:
        cells, pulses, pulses_per_cell, reads: counts; a read of k samples counts k.
        wait_s: time that it lets pass (real on a bench).
    """

    cells: int
    pulses: int
    pulses_per_cell: int
    reads: int
    wait_s: float = 0.0

    def bench_s(self, pulse_s: float, read_s: float) -> float:
        """Bench time from the time of one pulse with its read and of one read."""
        return self.pulses * pulse_s + self.reads * read_s + self.wait_s


@dataclass(frozen=True)
class Characterisation:
    """What a routine found.

    Attributes:
        kind: the routine's name, for instance `read_noise`.
        figures: estimates by name.
        arrays: what was measured, for the figure and for later use.
        account: what it cost, and why it stopped.
        params: what it was asked.
        notes: what a reader of the figures must know.
        model: the cell model that was fitted, if the routine fits one.
    """

    kind: str
    figures: Mapping[str, Interval]
    arrays: Mapping[str, NDArray[Any]]
    account: Account
    params: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    model: CellModel | None = None

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON, without the arrays."""
        return {
            "kind": self.kind,
            "figures": {name: one.to_dict() for name, one in self.figures.items()},
            "account": self.account.to_dict(),
            "params": dict(self.params),
            "notes": list(self.notes),
        }


@dataclass
class Rig:
    """A macro, the cells that a routine may use, and what it used of them.

    `menu` restricts the pulses that bring cells to levels; None leaves the ramps of programming.
    """

    macro: Macro
    cells: Cells
    wait_for: Wait = time.sleep
    progress: Progress = silent
    menu: PulseMenu | None = None
    pulses: int = 0
    reads: int = 0
    rounds: int = 0
    _given: dict[tuple[int, int], int] = field(default_factory=dict)
    _touched: set[tuple[int, int]] = field(default_factory=set)
    _start_s: float = 0.0

    def __post_init__(self) -> None:
        self.macro.read(self.cells[:1])  # sets the macro's clock
        self._start_s = self.macro.time_s

    @contextmanager
    def armed(self) -> Iterator[None]:
        """Pulses are allowed in this block; it must not wait."""
        with self.macro.armed(min(ARMED_S, self.macro.limits.bounds["arm_s"].value)):
            yield

    def pulse(self, batch: PulseBatch, label: str) -> FloatArray:
        """Pulses in order and the reading after each, siemens (n,)."""
        found = self.macro.pulse_read(batch, label=label)
        self.count(batch.cells, np.ones(len(batch), np.int64))
        self.reads += len(batch)
        return found

    def read(self, cells: Cells, samples: int = 1) -> FloatArray:
        """Conductances in siemens, (n,)."""
        self.reads += samples * len(cells)
        self._touched.update(cells)
        return self.macro.read(cells, samples)

    def series(self, cells: Cells, count: int) -> FloatArray:
        """`count` single readings of every cell in turn, (cells, count)."""
        n = len(cells)
        again = Cells(np.tile(cells.rows, count), np.tile(cells.columns, count))
        return self.read(again).reshape(count, n).T.copy()

    def program(self, cells: Cells, targets: FloatArray, fraction: float = 0.1) -> FloatArray:
        """Bring cells near targets, within a fraction of each and 1 uS; (n,) readings.

        Cells that do not get there stay where they are; what they hold is what the routine reads.
        """
        params = IsppParams(
            tolerance_siemens=fraction * targets + 1e-6,
            pulse_budget=PREPARING_PULSES,
            settle_s=(0.0,),
            confirm_samples=2,
            menu=self.menu,
        )
        done = Ispp(params, self.wait_for).run(self.macro, cells, targets)
        self.count(cells, done.pulses)
        self.reads += int(done.pulses.sum()) + 4 * len(cells)
        return done.reached_siemens

    def tell(self, total: int, message: str) -> None:
        """Progress in cells used of those that may be used."""
        self.progress(min(len(self._touched), total), total, message)

    def wait(self, duration_s: float) -> None:
        """Lets bench time pass; the outputs are safe meanwhile."""
        if duration_s > 0.0:
            self.wait_for(duration_s)

    @property
    def code_siemens(self) -> float:
        """What one code of a reading stands for."""
        return self.macro.full_scale_siemens / self.macro.curves.read_amperes.code_max

    def elapsed_s(self) -> float:
        """Bench time since the routine began, by the board's last answer."""
        return self.macro.time_s - self._start_s

    def spent(self, params: RoutineParams) -> Stop | None:
        """What is used up, if anything is."""
        if max(self._given.values(), default=0) >= params.pulses_per_cell:
            return Stop.PULSES
        return Stop.TIME if self.elapsed_s() >= params.most_s else None

    def account(self, stop: Stop) -> Account:
        """What was used."""
        return Account(
            cells=len(self._touched),
            pulses=self.pulses,
            most_pulses_of_a_cell=max(self._given.values(), default=0),
            reads=self.reads,
            bench_s=self.elapsed_s(),
            stop=stop,
            rounds=self.rounds,
        )

    def count(self, cells: Cells, pulses: NDArray[np.int64]) -> None:
        """Pulses that a routine of another package gave to cells, (n,)."""
        self.pulses += int(pulses.sum())
        for cell, count in zip(cells, pulses.tolist(), strict=True):
            self._given[cell] = self._given.get(cell, 0) + count
            self._touched.add(cell)


PREPARING_PULSES = 40
"""Pulses that bringing a cell to a level may cost it (this project's choice)."""


def adapt(
    rig: Rig, params: RoutineParams, grow: Callable[[], Stop | None], tight: Callable[[], bool]
) -> Stop:
    """Measure in rounds until the figures are tight or something is used up.

    Args:
        grow: one more round; returns what is used up when it could not measure more.
        tight: whether the figures of all rounds so far are tight enough.
    """
    while True:
        stop = grow()
        if stop is not None:
            return stop
        rig.rounds += 1
        if tight():
            return Stop.TIGHT
        used = rig.spent(params)
        if used is not None:
            return used


def by_groups(
    rig: Rig,
    params: RoutineParams,
    waiting: Iterable[Group],
    measure: Callable[[Group], None],
    tight: Callable[[], bool],
) -> Stop:
    """Measure one group in each round, as `adapt` does; Stop.CELLS when no group is left.

    Args:
        waiting: the groups, most often of cells.
        measure: measures one of them and keeps what it found.
        tight: as in `adapt`.
    """
    left = iter(waiting)

    def grow() -> Stop | None:
        for group in left:
            measure(group)
            return None
        return Stop.CELLS

    return adapt(rig, params, grow, tight)


def groups(cells: Cells, size: int) -> Iterator[Cells]:
    """The cells in groups of `size`, in their order; the last may be smaller."""
    for start in range(0, len(cells), size):
        yield cells[start : start + size]


def need(cells: Cells, count: int, what: str) -> None:
    """Refuse to begin with too few cells. Raises InputError."""
    if len(cells) < count:
        raise InputError(
            f"{what} needs at least {count} formed cells, {len(cells)} are there; form more with "
            "hil characterise forming"
        )


def formed(macro: Macro, cells: Cells) -> Cells:
    """Those of the cells that read as formed.

    Raises:
        NotFormedError: none does.
    """
    if not len(cells):
        raise NotFormedError("no cell is left for characterising: all belong to a network")
    reading = macro.read(cells, samples=2)
    found = cells[np.flatnonzero(reading >= UNFORMED_SIEMENS)]
    if not len(found):
        raise NotFormedError(
            f"none of the {len(cells)} cells to be characterised is formed; `hil characterise "
            "forming` forms spare cells, `hil form` those of a model (with --cells network)"
        )
    return found
