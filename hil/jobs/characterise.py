"""Characterising the chip of a bench: which cells, what it costs, the routines, what is kept.

Cells that are used are spare ones: those in rows and columns in which no network of this chip has a
cell, so that neither their pulses nor disturb on their lines reach a network. They are taken in an
order that is scattered over that region and always the same, so that a routine finds the cells that
an earlier one formed. Cells of a network are used only on request; the network is gone then.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from calibration.cell_model import CellModel
from calibration.characterise import ROUTINES, Characterisation, Cost, Rig, Routine, formed
from calibration.characterise.common import UNFORMED_SIEMENS
from calibration.characterise.forming_yield import FormingYieldParams
from calibration.characterise.response import ResponseParams
from calibration.placement import Placement
from calibration.progress import Progress, silent
from drivers.rram.geometry import Cells, Geometry
from hil.bench import Bench
from hil.chip_store import ChipStore, Stored
from hil.config import BenchConfig
from hil.diffusion.model import load_model
from hil.jobs.network import PLACEMENT_FILE, latest_placement, place
from hil.jobs.programming import stated_menu
from hil.jsonable import plain
from hil.record import RunFolder
from hil.sim.profile import DEFAULT_PROFILE, profile_path
from protocols.errors import InputError, MappingError, NotFormedError
from protocols.messages import PulseReadRequestEntry, PulseReadResponseEntry

Choice = Literal["spare", "network"]
ORDER_SEED = 20260301  # of the order of spare cells; any number, but always the same
ENOUGH_FORMED = 320
"""Formed spare cells with which a tour forms no more (this project's choice)."""
TYPICAL_WIDTH_S = 1e-6  # of a pulse, for the estimate of time; the rest of it is far longer
BITS_PER_BYTE = 10  # on a serial line


@dataclass(frozen=True)
class Job:
    """What is to be done.

    Attributes:
        kinds: routines in the order in which they run.
        tour: whether that is all of them because none was named.
        cells: spare cells, or those of the network that is on the chip.
    """

    kinds: tuple[str, ...]
    tour: bool
    cells: Choice = "spare"


def chosen(names: Sequence[str], cells: Choice = "spare") -> Job:
    """The job of routines named on a command line; `read-noise` and `read` mean `read_noise`.

    Raises:
        InputError: no routine, or several, begin with a name.
    """
    kinds = tuple(dict.fromkeys(_kind(name) for name in names))
    return Job(kinds or tuple(ROUTINES), not kinds, cells)


def _kind(name: str) -> str:
    wanted = name.replace("-", "_").lower()
    found = [kind for kind in ROUTINES if kind.startswith(wanted)]
    if wanted in ROUTINES:
        return wanted
    if not wanted or len(found) != 1:
        known = ", ".join(kind.replace("_", "-") for kind in ROUTINES)
        many = "several routines begin with it" if found else "there is no such routine"
        raise InputError(f"{name!r}: {many}; known are {known}")
    return found[0]


# --- which cells ---------------------------------------------------------------------------------


def candidates(config: BenchConfig, choice: Choice) -> Cells:
    """Cells that may be used, in the order in which they are taken.

    Raises:
        MappingError: the networks of this chip leave none.
        RecordError: cells of a network are asked for, but none was programmed.
    """
    if choice == "network":
        return latest_placement(config)[0].cells
    description = config.load_description()
    geometry = Geometry(description.rows, description.columns)
    rows, columns = np.ones(geometry.rows, bool), np.ones(geometry.columns, bool)
    for cells in _networks(config):
        rows[cells.rows], columns[cells.columns] = False, False
    spare = Cells(
        *(
            index.ravel()
            for index in np.meshgrid(np.flatnonzero(rows), np.flatnonzero(columns), indexing="ij")
        )
    )
    if not len(spare):
        raise MappingError(
            f"chip {config.chip.id!r}: its networks leave no row and column of their own for "
            "characterising; use --cells network, which overwrites the network"
        )
    return spare[np.random.default_rng(ORDER_SEED).permutation(len(spare))]


def _networks(config: BenchConfig) -> Iterator[Cells]:
    """Cells of every network that a run put on this chip, and of the bench's model."""
    for run in RunFolder.all(config.runs):
        if run.info.get("chip") == config.chip.id and run.file(PLACEMENT_FILE).is_file():
            yield Placement.load(run.file(PLACEMENT_FILE)).cells
    yield place(load_model(config.model), config).cells


def cells_for(bench: Bench, routine: Routine, cells: Cells) -> Cells:
    """Those of the candidates that a routine can use: virgin ones, or formed ones.

    Raises:
        NotFormedError: none is formed; names the command that forms some.
    """
    if not routine.virgin:
        try:
            return formed(bench.macro, cells)
        except NotFormedError as error:
            raise NotFormedError(f"chip {bench.config.chip.id!r}: {error}") from error
    reading = bench.macro.read(cells, samples=2)
    virgin = cells[np.flatnonzero(reading < UNFORMED_SIEMENS)]
    if not len(virgin):
        raise InputError("every cell that may be used is formed already; there is no yield to see")
    return virgin


# --- what it costs -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Estimate:
    """What a routine uses at most."""

    kind: str
    cost: Cost
    bench_s: float


def estimates(config: BenchConfig, job: Job) -> list[Estimate]:
    """Each routine's cost, before anything is opened; adaptive routines mostly use less."""
    description = config.load_description()
    available = len(candidates(config, job.cells))
    timing = description.timing
    line_s = BITS_PER_BYTE / timing.baud
    there = (PulseReadRequestEntry.STRUCT.size + PulseReadResponseEntry.STRUCT.size) * line_s
    pulse_s = timing.pulse_overhead_s + TYPICAL_WIDTH_S + there
    found = []
    for kind in job.kinds:
        cost = parameters(config, ROUTINES[kind]).cost(available)
        found.append(Estimate(kind, cost, cost.bench_s(pulse_s, timing.read_s)))
    return found


def parameters(config: BenchConfig, routine: Routine) -> Any:
    """A routine's parameters on this bench: its ramp of forming, its start of the model."""
    if isinstance(routine.params, FormingYieldParams):
        return dataclasses.replace(routine.params, forming=config.forming)
    if isinstance(routine.params, ResponseParams):
        start = CellModel.from_profile(profile_path(DEFAULT_PROFILE))
        return dataclasses.replace(routine.params, start=start, menu=stated_menu(config))
    return routine.params


# --- doing it ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Done:
    """One routine's result, and where it is kept."""

    found: Characterisation
    stored: Stored
    figure: Path


def characterise(
    bench: Bench, run: RunFolder, job: Job, progress: Progress | None = None
) -> Iterator[Done]:
    """Runs the routines one after the other and keeps each result as soon as it is there.

    Raises:
        NotFormedError: there are no formed cells to measure on.
        LimitError: a routine's pulses are over a limit of this bench; that routine drove nothing.
    """
    cells = candidates(bench.config, job.cells)
    for kind in job.kinds:
        routine = ROUTINES[kind]
        if job.tour and routine.virgin and _has_enough(bench, cells):
            continue
        usable = cells_for(bench, routine, cells)
        menu = stated_menu(bench.config)
        rig = Rig(bench.macro, usable, bench.wait, progress or silent, menu)
        found = routine.run(rig, parameters(bench.config, routine))
        yield keep(bench, run, found)


def _has_enough(bench: Bench, cells: Cells) -> bool:
    reading = bench.macro.read(cells, samples=2)
    return int(np.count_nonzero(reading >= UNFORMED_SIEMENS)) >= ENOUGH_FORMED


def keep(bench: Bench, run: RunFolder, found: Characterisation) -> Done:
    """Writes a result with its figure to the chip's store, and its figures to the run."""
    from hil.report.characterise import draw  # matplotlib is loaded only when it draws
    from hil.report.style import png

    simulated = bench.is_simulated
    result = plain(found.to_dict())
    picture = png(draw(result, found.arrays, simulated=simulated))
    serial = f"{bench.board.identity.serial:x}"
    store = ChipStore.of(bench.config, bench.conditions)
    stored = store.save(
        found.kind, result, found.arrays, picture, board=serial, simulated=simulated
    )
    if found.model is not None:
        store.save_model(found.model, board=serial, simulated=simulated)
    run.save_json(f"{found.kind}.json", {**result, "kept": str(stored.path)})
    run.journal.event(found.kind, {"kept": stored.path.name, **found.account.to_dict()})
    return Done(found, stored, stored.path.with_suffix(".png"))
