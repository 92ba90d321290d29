"""What a bring-up keeps of each stage, and what it reads back: `stages/NN-name.json`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from calibration.bringup import STAGES, Ran, StageResult
from drivers.instruments.interfaces import Thermometer
from hil.config import BenchConfig
from hil.record import RunFolder
from protocols.errors import RecordError

PASSED, FAILED, NOT_RUN = "passed", "failed", "not run"
EVENT = "stage"
"""The kind of event in the journal: every attempt at a stage, also those that failed."""


@dataclass(frozen=True)
class Kept:
    """One stage of a bring-up.

    Attributes:
        name, title: of the stage.
        status: passed, failed or not run.
        result: empty where it was not run.
        ended: when it was over, ISO 8601; empty where it was not run.
        host_s: what it took on this computer.
        celsius: at the chip, None where there is no thermometer.
        taken_from: the run that it was done in, where that is another one.
    """

    name: str
    title: str
    status: str
    result: StageResult
    ended: str = ""
    host_s: float = 0.0
    celsius: float | None = None
    taken_from: str = ""

    def to_dict(self) -> dict[str, Any]:
        """For JSON: the result's keys and these."""
        return {
            **self.result.to_dict(),
            "title": self.title,
            "status": self.status,
            "started": self.ended,
            "ended": self.ended,
            "seconds": self.host_s,
            "temperature_celsius": self.celsius,
            "taken_from": self.taken_from,
        }


def file_of(name: str) -> str:
    """Where a stage's record stands in a run folder."""
    number = [stage.name for stage in STAGES].index(name) + 1
    return f"stages/{number:02d}-{name}.json"


def keep(run: RunFolder, ran: Ran, thermometer: Thermometer | None) -> Kept:
    """Writes one stage's record and an event of the journal.

    Raises:
        RecordError: it cannot be written.
        InstrumentError: the thermometer does not answer.
    """
    kept = Kept(
        name=ran.stage.name,
        title=ran.stage.title,
        status=PASSED if ran.result.passed else FAILED,
        result=ran.result,
        ended=datetime.now().astimezone().isoformat(timespec="seconds"),
        host_s=ran.host_s,
        celsius=None if thermometer is None else thermometer.celsius(),
    )
    data = kept.to_dict()
    run.save_json(file_of(kept.name), data)
    run.journal.event(EVENT, {k: data[k] for k in ("name", "status", "why", "ended")})
    return kept


def stages_of(run: RunFolder) -> list[Kept]:
    """The stages that a run has a record of, in order.

    Raises:
        RecordError: a record is damaged.
    """
    found = []
    for stage in STAGES:
        path = run.file(file_of(stage.name))
        if path.is_file():
            found.append(_read(run, stage.name))
    return found


def _read(run: RunFolder, name: str) -> Kept:
    data = run.load_json(file_of(name))
    try:
        result = StageResult.from_dict(data)
        kept = Kept(
            name=result.name,
            title=str(data["title"]),
            status=str(data["status"]),
            result=result,
            ended=str(data["ended"]),
            host_s=float(data["seconds"]),
            celsius=data["temperature_celsius"],
            taken_from=str(data["taken_from"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(run, name) from error
    if kept.name != name or kept.status != (PASSED if result.passed else FAILED):
        raise _damaged(run, name)
    return kept


def _damaged(run: RunFolder, name: str) -> RecordError:
    path = run.file(file_of(name))
    return RecordError(f"{path}: no record of stage {name}; move it away and run the stage again")


def not_run(stages: Sequence[Kept]) -> list[Kept]:
    """All stages of the bring-up: those that are there, and the others as not run."""
    there = {one.name: one for one in stages}
    return [
        there.get(s.name) or Kept(s.name, s.title, NOT_RUN, StageResult(s.name)) for s in STAGES
    ]


def inherit(run: RunFolder, before: RunFolder, wanted: Sequence[str]) -> None:
    """Takes the stages that passed in an earlier run over into a new one, up to those wanted.

    Raises:
        RecordError: a record is damaged or cannot be written.
    """
    names = [stage.name for stage in STAGES]
    last = max((names.index(name) for name in wanted if name in names), default=0)
    for kept in stages_of(before):
        if kept.status == PASSED and kept.name not in wanted and names.index(kept.name) < last:
            source = kept.taken_from or before.path.name
            run.save_json(file_of(kept.name), {**kept.to_dict(), "taken_from": source})
    run.update(board=before.info.get("board"))


def run_results(run: RunFolder, config: BenchConfig, stages: Sequence[Kept]) -> dict[str, Any]:
    """What the acceptance sheet is made of."""
    board: Any = run.info.get("board")
    serial = board.get("serial") if isinstance(board, dict) else None
    return {
        "run": run.path.name,
        "board": {
            "name": config.board,
            "description": config.description,
            "serial": None if serial is None else f"{serial:x}",
        },
        "chip": config.chip.facts(),
        "operator": config.operator,
        "simulated": bool(run.info.get("simulated")),
        "time": run.info["started"],
        "temperature_celsius": config.temperature_celsius,
        "accepted": all(one.status == PASSED for one in stages),
        "stages": [one.to_dict() for one in stages],
    }
