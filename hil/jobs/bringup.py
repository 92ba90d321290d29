"""`hil bringup`: from bare wires to a chip that may be programmed, stage by stage.

Each stage of `calibration.bringup` leaves a record in the run folder, `stages/NN-name.json`, as
soon as it is over. Stages of the board run with the resistor board in the socket and nominal
curves; then the bench is closed, the chip goes in with the rails off, and the bench is opened anew
with the curves that were measured. A run ends at the first stage that fails; `--resume` takes it up
there. A stage that was cut off is begun again: pulses are journaled, and none is repeated blindly,
because every stage looks at its cells before it drives them.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from calibration.bringup import BOARD_STAGES, STAGES, Ran, Rig, Stage, chosen, run_stages
from calibration.bringup.power import rails_of
from calibration.bringup.runner import unpowered
from calibration.progress import Progress, silent
from hil.bench import Bench
from hil.conditions import EVENT
from hil.config import BenchConfig
from hil.instruments import Instruments, connect_all, open_instruments
from hil.jobs.bringup_chip import keep_stage
from hil.jobs.bringup_record import Kept, inherit, keep, not_run, run_results, stages_of
from hil.jobs.bringup_rig import Ask, drawn, fit_by_hand, is_simulated, make_rig
from hil.jobs.resume import save_config
from hil.power import Wait, switch_off, switch_on
from hil.record import RunFolder
from protocols.errors import (
    CalibrationError,
    ChipError,
    ConfigError,
    HilError,
    InstrumentError,
    LinkError,
)

KIND = "bringup"
_log = logging.getLogger(__name__)
_INSTRUMENT_FAULTS = ("no_instrument", "instrument")


@dataclass(frozen=True)
class Asked:
    """Which stages are wanted; nothing is all that have not passed yet.

    Attributes:
        only: names of stages to run alone.
        first: the stage to begin with.
    """

    only: tuple[str, ...] = ()
    first: str | None = None

    @property
    def parts(self) -> bool:
        """Whether only a part of the bring-up is wanted."""
        return bool(self.only) or self.first is not None


@dataclass
class Outcome:
    """What became of a bring-up.

    Attributes:
        run: its folder.
        stages: every stage, with what became of it.
        sheets: the acceptance sheet's files.
        error: why it stopped, None where every stage that was wanted has passed.
    """

    run: Path
    stages: list[Kept] = field(default_factory=list)
    sheets: tuple[Path, ...] = ()
    error: HilError | None = None

    @property
    def accepted(self) -> bool:
        """Whether every stage has passed."""
        return all(one.status == "passed" for one in self.stages)


def bringup(
    config: BenchConfig,
    asked: Asked | None = None,
    *,
    ask: Ask,
    bench_text: str | None = None,
    resume: RunFolder | None = None,
    progress: Progress = silent,
    heard: Callable[[Kept], None] = lambda _: None,
    sheet: bool = True,
) -> Outcome:
    """Runs the stages that are wanted, up to the first that fails.

    Args:
        config: the bench.
        asked: which stages.
        ask: puts a question to the person, and whether it takes hands; True for yes.
        resume: the run that is taken up; its passed stages are not run again.
        progress: of each stage.
        heard: hears of each stage when it is over.
        sheet: whether the acceptance sheet is made, which takes as long as the stages do.

    Returns:
        What became of it; `error` says why it stopped.

    Raises:
        InputError: no such stage.
        CalibrationError: a stage before the wanted ones has not passed.
        SafetyError: a question was answered with no, or the board is in a safe state.
        PortError, LinkTimeout, HandshakeError, ChipBusyError, ConfigError: as `Bench.open`.
        InstrumentError: an instrument that the bench file names cannot be opened.
    """
    wanted = asked or Asked()
    outcome: Outcome | None = None
    try:
        with _folder(config, wanted, bench_text, resume) as run:
            passed = {one.name for one in stages_of(run) if one.status == "passed"}
            stages = chosen(STAGES, passed, only=wanted.only, first=wanted.first)
            outcome = Outcome(run.path)
            failed = _parts(config, run, stages, (ask, progress, heard))
            outcome.error = None if failed is None else _error(failed)
            outcome.stages = not_run(stages_of(run))
            outcome.sheets = _sheet(run, config, outcome.stages, pictures=sheet)
            if outcome.error is not None:
                raise outcome.error
    except HilError as error:
        if outcome is None or error is not outcome.error:
            raise
    return outcome


def plan(config: BenchConfig, asked: Asked | None = None) -> dict[str, str]:
    """What each wanted stage would drive, without opening anything.

    Raises:
        InputError: no such stage.
    """
    del config
    wanted = asked or Asked()
    every = {stage.name for stage in STAGES}
    stages = chosen(STAGES, every, only=wanted.only, first=wanted.first) if wanted.parts else STAGES
    return {stage.title: stage.plan or "drives nothing" for stage in stages}


# --- which run ------------------------------------------------------------------------------------


def _folder(
    config: BenchConfig, wanted: Asked, bench_text: str | None, resume: RunFolder | None
) -> RunFolder:
    """The run that is taken up, or a new one; a new one for some stages alone takes those that have
    passed before over from the last bring-up of this board and chip."""
    if resume is not None:
        resume.take_up()
        return resume
    before = _last(config) if wanted.parts else None
    parameters = {"only": list(wanted.only), "from": wanted.first}
    run = RunFolder.create(
        config.runs,
        KIND,
        parameters=parameters,
        seed=config.seed,
        bench_text=bench_text,
        board=config.name,
    )
    save_config(run, config)
    run.update(chip=config.chip.id, bench_board=config.board)
    if before is not None:
        inherit(run, before, wanted.only or (wanted.first or "",))
    return run


def _last(config: BenchConfig) -> RunFolder | None:
    """The last bring-up of this chip at this board."""
    here = (config.chip.id, config.board)
    for run in RunFolder.all(config.runs):
        if run.kind == KIND and (run.info.get("chip"), run.info.get("bench_board")) == here:
            return run
    return None


# --- running --------------------------------------------------------------------------------------

_Says = tuple[Ask, Progress, Callable[[Kept], None]]


def _parts(
    config: BenchConfig, run: RunFolder, stages: Sequence[Stage], says: _Says
) -> Kept | None:
    """The board's stages, then the chip's, the bench opened anew for each; what has failed."""
    board = {stage.name for stage in BOARD_STAGES}
    parts = (
        [stage for stage in stages if stage.name in board],
        [stage for stage in stages if stage.name not in board],
    )
    for nominal, part in zip((True, False), parts, strict=True):
        failed = _part(config, run, part, says, nominal=nominal) if part else None
        if failed is not None:
            return failed
    return None


def _part(
    config: BenchConfig, run: RunFolder, part: Sequence[Stage], says: _Says, *, nominal: bool
) -> Kept | None:
    """Stages of one fixture, which goes into the socket while everything is off."""
    ask, progress, heard = says
    fixture, failed = part[0].needs.fixture, None
    if fixture is not None and not is_simulated(config):
        fit_by_hand(fixture, ask)
    try:
        with _opened(config, run, part, nominal=nominal) as (bench, instruments):
            rig = make_rig(bench, instruments, run, ask, progress, fixture)
            failed = _run(bench, rig, run, part, config, heard)
    except _RailsError as error:
        failed = keep(run, unpowered(part[0], error), None)
        heard(failed)
    except LinkError:
        if failed is None or failed.name != STAGES[0].name:
            raise  # else its rails were switched off under it, because they were wrong
    return failed


def _run(
    bench: Bench,
    rig: Rig,
    run: RunFolder,
    stages: Sequence[Stage],
    config: BenchConfig,
    heard: Callable[[Kept], None],
) -> Kept | None:
    failed: list[Kept] = []

    def over(ran: Ran) -> None:
        kept = keep(run, ran, rig.thermometer)
        for sentence in keep_stage(bench, ran.result):
            _log.info("%s", sentence)
        heard(kept)
        if not ran.result.passed:
            failed.append(kept)

    params = {stage.name: getattr(config.bringup, stage.name) for stage in stages}
    run_stages(rig, stages, params, over)
    return failed[0] if failed else None


@contextmanager
def _opened(
    config: BenchConfig, run: RunFolder, stages: Sequence[Stage], *, nominal: bool
) -> Iterator[tuple[Bench, Instruments]]:
    """Board and instruments, the rails on; the board is safe and closed before they go off."""
    if config.instruments is None:
        with _board(config, run, nominal=nominal) as bench, open_instruments(config, bench) as own:
            first = stages[0].name == STAGES[0].name  # it switches the rails on itself
            with _powered(config, own, bench.wait, already=first):
                yield bench, own
        return
    with (
        connect_all(config.instruments) as instruments,
        _powered(config, instruments, time.sleep),
        _board(config, run, nominal=nominal) as bench,
    ):
        yield bench, instruments


@contextmanager
def _board(config: BenchConfig, run: RunFolder, *, nominal: bool) -> Iterator[Bench]:
    with Bench.open(config, recorder=run.journal, nominal_curves=nominal) as bench:
        _refuse_other_board(run, bench)
        run.set_board(bench.board.identity)
        run.update(curves=bench.board_curves.facts(), simulated=bench.is_simulated)
        run.journal.event(EVENT, bench.conditions.facts())
        yield bench


@contextmanager
def _powered(
    config: BenchConfig, instruments: Instruments, wait: Wait, *, already: bool = False
) -> Iterator[None]:
    """The rails on, each looked at, where a supply feeds them; off at the end."""
    supply, own = instruments.supply, config.bringup.supplies.rails
    pins = drawn(config.load_description())
    if supply is None or (pins is None and not own):
        yield
        return
    rails = rails_of(pins, own)
    if not already:
        try:
            switch_on(supply, rails, wait)
        except InstrumentError as error:
            raise _RailsError(str(error)) from error
    yield
    switch_off(supply, rails, wait)


class _RailsError(InstrumentError):
    """The rails are not what they should be: the first stage has failed before it began."""


def _refuse_other_board(run: RunFolder, bench: Bench) -> None:
    """Raises ConfigError unless the board is the one that the run began on."""
    before: Any = run.info.get("board")
    serial = before.get("serial") if isinstance(before, Mapping) else None
    if serial not in (None, bench.board.identity.serial):
        raise ConfigError(
            f"{run.path}: its stages passed on board {serial:x}, this is board"
            f" {bench.board.identity.serial:x}; connect that one, or begin anew"
        )


def _error(failed: Kept) -> HilError:
    """The error of a stage that failed: its kind is that of what has to be looked at."""
    result = failed.result
    faults = {one.fault for one in result.findings}
    checks = "; ".join(one.rstrip(".") for one in result.to_check[:3])
    text = f"stage {failed.name} ({failed.title}) has failed: {result.why}."
    text = f"{text} {checks}." if checks else text
    text += f" Then hil bringup --from {failed.name.replace('_', '-')} goes on from there"
    if faults & set(_INSTRUMENT_FAULTS):
        return InstrumentError(text)
    board = {stage.name for stage in BOARD_STAGES}
    return CalibrationError(text) if failed.name in board else ChipError(text)


def _sheet(
    run: RunFolder, config: BenchConfig, stages: Sequence[Kept], *, pictures: bool
) -> tuple[Path, ...]:
    """The results, and the acceptance sheet of whatever there is."""
    results = run_results(run, config, stages)
    run.save_json("results.json", results)
    if not pictures:
        return ()
    from hil.report.acceptance import acceptance  # matplotlib takes longer to load than a stage

    return tuple(acceptance(results, run.path))
