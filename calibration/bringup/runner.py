"""Runs stages in order, keeps what each found, and goes no further than the first that failed."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from calibration.bringup.stage import Rig, Stage, StageResult
from calibration.startup import Finding
from protocols.errors import (
    BoardError,
    CalibrationError,
    ChipBusyError,
    ChipError,
    HilError,
    InputError,
    InstrumentError,
    NoInstrument,
)

FAILURES = (CalibrationError, ChipError, InstrumentError, BoardError)
"""What a stage may raise and thereby fails; anything else ends the run."""


@dataclass(frozen=True)
class Ran:
    """One stage that was run: its result and what it took on this computer."""

    stage: Stage
    result: StageResult
    host_s: float


def run_stages(
    rig: Rig,
    stages: Sequence[Stage],
    params: Mapping[str, Any],
    keep: Callable[[Ran], None],
) -> list[Ran]:
    """Each stage after the other, up to the first that fails, which is the last of the list.

    Args:
        rig: the bench; what stages find is added to its `found`.
        stages: in order.
        params: of each stage by its name; a stage that is not there has its defaults.
        keep: hears of every stage as soon as it is over, passed or not.

    Raises:
        LinkError, SafetyError, LimitError: the bench cannot go on; the stage is not kept.
    """
    ran: list[Ran] = []
    for stage in stages:
        began = time.perf_counter()
        result = _result(rig, stage, params.get(stage.name, stage.params()))
        ran.append(Ran(stage, result, time.perf_counter() - began))
        keep(ran[-1])
        if not result.passed:
            break
        rig.found[stage.name] = result.data
    return ran


def _result(rig: Rig, stage: Stage, params: Any) -> StageResult:
    absent = [r for r in stage.needs.instruments if getattr(rig.instruments, r) is None]
    if absent:
        return StageResult(stage.name, findings=tuple(_absent(role) for role in absent))
    try:
        if stage.needs.fixture is not None:
            rig.put_fixture(stage.needs.fixture)
        if stage.needs.confirm:
            rig.confirm(stage.needs.confirm)
        result = stage.run(rig, params)
    except ChipBusyError:
        raise
    except FAILURES as error:
        return StageResult(stage.name, findings=(_finding(error),))
    if not result.figures and not result.findings:
        raise CalibrationError(f"stage {stage.name} gave no figure: it has shown nothing")
    return result


def _absent(role: str) -> Finding:
    remedy = f"Connect one and name it in the bench file (instruments: {role}: {{address: ...}})"
    return Finding("no_instrument", (role,), f"there is no {role} on this bench", remedy)


def unpowered(stage: Stage, error: InstrumentError) -> Ran:
    """A stage that could not begin, because the rails of the board were not right."""
    sentence, _, remedy = str(error).partition(". ")
    finding = Finding("rails", (), sentence, remedy.rstrip(".") or "Check the supply and its plugs")
    return Ran(stage, StageResult(stage.name, findings=(finding,)), 0.0)


def _finding(error: HilError) -> Finding:
    """What stopped a stage, as a fault."""
    remedies = {
        NoInstrument: ("no_instrument", "Connect the instrument and name it in the bench file"),
        InstrumentError: ("instrument", "Check the instrument, its cables and where they lead"),
        ChipError: ("chip", "Look at the chip, its bonds and its socket"),
        BoardError: ("refused", "Board and host must be of one version: hil selftest says more"),
    }
    for kind, (fault, remedy) in remedies.items():
        if isinstance(error, kind):
            return Finding(fault, (), str(error).rstrip("."), remedy)
    return Finding("calibration", (), str(error).rstrip("."), "hil calibrate says more")


def chosen(
    stages: Sequence[Stage],
    passed: Collection[str],
    *,
    only: Sequence[str] = (),
    first: str | None = None,
) -> tuple[Stage, ...]:
    """Which stages are to run: those named, those from one on, or all that have not passed yet.

    Args:
        stages: all, in order.
        passed: names of those that have passed on this board and chip.
        only: these alone, in the order of the bring-up.
        first: this one and all after it.

    Raises:
        InputError: no such stage, or both were given.
        CalibrationError: a stage before one of them has not passed.
    """
    if only and first is not None:
        raise InputError("--only and --from: one of them, not both")
    names = [stage.name for stage in stages]
    for name in (*only, *([] if first is None else [first])):
        if name not in names:
            raise InputError(f"{name!r} is no stage of the bring-up; known are {', '.join(names)}")
    if only:
        wanted = [name for name in names if name in only]
    elif first is not None:
        wanted = names[names.index(first) :]
    else:
        wanted = names[_first_open(names, passed) :]
    _refuse_gap(names, wanted, passed)
    return tuple(stage for stage in stages if stage.name in wanted)


def _first_open(names: Sequence[str], passed: Collection[str]) -> int:
    return next((at for at, name in enumerate(names) if name not in passed), len(names))


def _refuse_gap(names: Sequence[str], wanted: Sequence[str], passed: Collection[str]) -> None:
    """A stage trusts those before it: each has to have passed, or to be run now."""
    for name in wanted:
        for before in names[: names.index(name)]:
            if before not in passed and before not in wanted:
                raise CalibrationError(
                    f"stage {name} comes after {before}, which has not passed on this board and"
                    f" chip; run hil bringup --from {before}"
                )
