"""A network onto a chip with bad cells: map, form, program, learn what is bad, map again.

On a chip without bad cells this is `form_cells` and `program_cells`, pulse for pulse.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from calibration.forming import FormResult
from calibration.mapping_chip import Mapped
from calibration.mapping_knowledge import ChipKnowledge
from calibration.placement import Placement
from calibration.programming import ProgramResult
from calibration.progress import Progress
from calibration.pulse_clock import PulseClock
from calibration.weight_error import realised_error
from drivers.rram.geometry import Cells
from hil.bench import Bench
from hil.config import BenchConfig
from hil.diffusion.score_model import ScoreModel
from hil.jobs.mapping import MAPPING_FILE, blank_knowledge, map_model
from hil.jobs.network import Programmed, form_cells, program_cells
from hil.record import RunFolder

ROUNDS = 4
"""Mappings of one bring-up, at most (this project's choice); the last one forms nothing new."""


@dataclass(frozen=True)
class BroughtUp:
    """A network that is on the chip.

    Attributes:
        mapped: where it stands and what weight error was expected.
        forming: every cell that was formed for it; None when nothing had to be.
        programmed: pulses of all rounds together.
        knowledge: what is known of the chip now.
        mappings: how often it was mapped.
    """

    mapped: Mapped
    forming: FormResult | None
    programmed: Programmed
    knowledge: ChipKnowledge
    mappings: int


def form_mapped(
    bench: Bench,
    run: RunFolder,
    model: ScoreModel,
    knowledge: ChipKnowledge | None = None,
    progress: Progress | None = None,
    home: Placement | None = None,
) -> tuple[Mapped, FormResult, ChipKnowledge]:
    """Map, form, and map again round the cells that did not form, until all needed cells did.

    Raises:
        MappingError: the network does not fit, or too few cells are good.
    """
    known = knowledge or blank_knowledge(bench.config)
    config, results = bench.config, list[FormResult]()
    virgin = run.info["chip"] != config.chip.id
    for left in reversed(range(ROUNDS)):
        if not left:  # makes do with the cells that it has
            config = _staying(config)
        mapped = map_model(model, config, known, home=home, measured=not virgin)
        results.append(form_cells(bench, run, mapped.placement, progress, known))
        learned = known.with_forming(results[-1], virgin=virgin)
        news, known = learned.is_news_to(known), learned
        if not news:
            break
        if left == 1:
            home = mapped.placement
    forming = joined(results)
    run.save_json("forming.json", forming.to_dict())
    return mapped, forming, known


def bring_up(
    bench: Bench,
    run: RunFolder,
    model: ScoreModel,
    knowledge: ChipKnowledge | None = None,
    progress: Progress | None = None,
) -> BroughtUp:
    """Form and program a model; cells that turn out bad are gone round or made up for.

    Raises:
        MappingError: too few cells are good.
        NotFormedError, TargetError, LimitError, SafetyError: as forming and programming.
    """
    mapped, forming, known = form_mapped(bench, run, model, knowledge, progress)
    return program_mapped(bench, run, model, mapped, known, progress, forming)


def program_mapped(
    bench: Bench,
    run: RunFolder,
    model: ScoreModel,
    mapped: Mapped,
    knowledge: ChipKnowledge,
    progress: Progress | None = None,
    forming: FormResult | None = None,
    *,
    move: bool = True,
) -> BroughtUp:
    """Program a mapped model, learn which cells are bad, map and program again while that helps.

    Cells that hold their new target already get no pulse the second time. Without `move` the
    blocks stay where they are, and no cell is formed.

    Raises:
        As `bring_up`.
    """
    known, formed, programs = knowledge, [forming] if forming else [], list[ProgramResult]()
    with PulseClock(bench.macro) as clock:
        while True:
            done = program_cells(bench, run, mapped.placement, progress)
            programs.append(done.program)
            learned = known.with_program(done.program)
            news, known = learned.is_news_to(known), learned
            if not news or len(programs) == ROUNDS:
                break
            if move:
                mapped, more, known = form_mapped(
                    bench, run, model, known, progress, mapped.placement
                )
                formed.append(more)
            else:
                mapped = map_model(model, _staying(bench.config), known, home=mapped.placement)
    total = with_all_pulses(programs, known)
    done = replace(done, program=total, age_s=clock.ages(done.placement.cells))
    run.save_json("program.json", total.to_dict())
    record_mapping(run, mapped, done)
    forming = joined(formed) if formed else None
    return BroughtUp(mapped, forming, done, known, len(programs))


def _staying(config: BenchConfig) -> BenchConfig:
    """The bench with blocks that stay where they are."""
    return config.with_changes(chip_mapping=replace(config.chip_mapping, move=False))


def record_mapping(run: RunFolder, mapped: Mapped, done: Programmed) -> None:
    """Writes the weight error that was expected, beside that of the verifying readings."""
    layers = mapped.report.budget.layers
    found = realised_error(mapped.wanted, done.verify.reading_siemens)
    realised = [
        {"rms": rms, "relative": rms / layer.largest}
        for rms, layer in zip(found, layers, strict=True)
    ]
    data = {**mapped.report.to_dict(), "realised_at_verify": realised}
    run.save_json(MAPPING_FILE, data)
    run.journal.event("mapping", data)


def joined(results: Sequence[FormResult]) -> FormResult:
    """One result of several formings in a row: each cell's last state, pulses added up."""
    if len(results) == 1:
        return results[0]
    seen: dict[tuple[int, int], tuple[float, bool, float, int]] = {}
    for result in results:
        rows = zip(
            result.cells,
            result.conductance_siemens.tolist(),
            result.formed.tolist(),
            result.volts.tolist(),
            result.pulses.tolist(),
            strict=True,
        )
        for cell, siemens, formed, volts, pulses in rows:
            before = seen.get(cell, (0.0, False, np.nan, 0))
            kept = before[2] if np.isnan(volts) else volts
            seen[cell] = (siemens, formed, kept, before[3] + pulses)
    columns = list(zip(*seen.values(), strict=True))
    return FormResult(
        params=results[-1].params,
        cells=Cells.of(seen),
        conductance_siemens=np.array(columns[0]),
        formed=np.array(columns[1], dtype=np.bool_),
        volts=np.array(columns[2]),
        pulses=np.array(columns[3], dtype=np.int64),
        rounds=sum(result.rounds for result in results),
        bench_s=sum(result.bench_s for result in results),
    )


def with_all_pulses(programs: Sequence[ProgramResult], known: ChipKnowledge) -> ProgramResult:
    """The last result with the pulses, reads and times of those before it added."""
    last = programs[-1]
    if len(programs) == 1:
        return last
    at = (last.cells.rows, last.cells.columns)
    sums: dict[str, Any] = {}
    for name in ("sets", "resets", "reads"):
        total = np.zeros(known.kind.shape, np.int64)
        for each in programs:
            total[each.cells.rows, each.cells.columns] += getattr(each, name)
        sums[name] = total[at]
    return replace(
        last,
        **sums,
        rounds=sum(each.rounds for each in programs),
        round_trips=sum(each.round_trips for each in programs),
        bench_s=sum(each.bench_s for each in programs),
        passes=tuple(count for each in programs for count in each.passes),
    )
