"""A run folder and an open bench around a job; both end well however the job ends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hil.bench import Bench
from hil.conditions import EVENT
from hil.config import BenchConfig
from hil.jobs import startup
from hil.jobs.resume import save_config
from hil.ledger import Ledger
from hil.record import RunFolder
from protocols.errors import ConfigError


@contextmanager
def session(
    config: BenchConfig,
    kind: str,
    *,
    parameters: Mapping[str, Any],
    bench_text: str | None = None,
    virgin_chip: bool = False,
    nominal_curves: bool = False,
    resume: RunFolder | None = None,
) -> Iterator[tuple[RunFolder, Bench]]:
    """A new run of `kind` on the bench of `config`.

    Every pulse is journaled before it is driven. The outputs are safe and the run is marked done,
    failed or interrupted when the block is left.

    Args:
        config: the bench.
        kind: names the run folder.
        parameters: what the run was asked to do; kept in the folder.
        bench_text: the bench file as it was read.
        virgin_chip: a simulated chip that lives in the run folder, new every time.
        nominal_curves: do not apply what was measured of this board before.
        resume: the run that is taken up, instead of a new one. What was answered before comes from
            its journal; `hil.ledger` says how.

    Raises:
        RecordError: the run folder cannot be made.
        PortError, LinkTimeout, HandshakeError, ChipBusyError, ConfigError: as `Bench.open`.
        CalibrationError, ChipError: the start-up checks of a job that drives pulses found a fault.
    """
    with _folder(config, kind, parameters, bench_text, resume) as run:
        ledger = Ledger.resume(run.journal)
        state: Path | None = run.file("chip.cells") if virgin_chip else None
        with Bench.open(
            config, recorder=ledger, state_path=state, nominal_curves=nominal_curves
        ) as bench:
            if resume is not None:
                _refuse_other_board(run, bench)
            run.set_board(bench.board.identity)
            run.update(curves=bench.board_curves.facts())
            # A virgin chip is not the one in the socket: no later run may take it for that.
            run.update(chip=f"{run.path.name}/{state.name}" if state else config.chip.id)
            _say_conditions(run, bench, own_chip=state is not None)
            startup.before_driving(bench, run, kind, parameters, on_record=state is None)
            yield run, bench
            if resume is not None:
                counts = {"replayed": ledger.replayed, "unknown_pulses": ledger.unknown}
                run.journal.event("resumed", counts)
                run.update(resumed=counts)


def _say_conditions(run: RunFolder, bench: Bench, *, own_chip: bool) -> None:
    """Who, which chip and how warm, in the run's record and in its journal."""
    facts = bench.conditions.facts()
    if own_chip:
        facts["chip_record"] = {"id": run.info["chip"]}
    run.update(**facts)
    run.journal.event(EVENT, facts)


def _folder(
    config: BenchConfig,
    kind: str,
    parameters: Mapping[str, Any],
    bench_text: str | None,
    resume: RunFolder | None,
) -> RunFolder:
    if resume is not None:
        resume.take_up()
        return resume
    run = RunFolder.create(
        config.runs,
        kind,
        parameters=parameters,
        seed=config.seed,
        bench_text=bench_text,
        board=config.name,
    )
    save_config(run, config)
    return run


def _refuse_other_board(run: RunFolder, bench: Bench) -> None:
    """Raises ConfigError unless the board is the one that the run began on."""
    before = run.info.get("board")
    serial = before.get("serial") if isinstance(before, dict) else None
    if serial is not None and serial != bench.board.identity.serial:
        raise ConfigError(
            f"{run.path}: the run began on board {serial:x}, this is board"
            f" {bench.board.identity.serial:x}; connect that one, or start a new run"
        )
