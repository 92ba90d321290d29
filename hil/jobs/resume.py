"""Taking up a run that was cut off: which run it is, and what it was asked to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from calibration.mapping_knowledge import ChipKnowledge
from hil.conditions import conditions
from hil.config import BenchConfig, validated_config
from hil.jobs.mapping import load_knowledge
from hil.record import DONE, RunFolder
from protocols.errors import RecordError

CONFIG_FILE = "config.json"
KNOWN_FILE = "chip-map-before.json"


def save_config(run: RunFolder, config: BenchConfig) -> None:
    """Keeps the bench as the run has it, the command line's changes included, and who runs it."""
    plain = config.model_dump(mode="json")
    plain["runs"] = str(config.runs.resolve())
    plain["chip"]["folder"] = str(config.chip.folder.resolve())
    run.save_json(CONFIG_FILE, plain)
    run.update(**conditions(config).facts())


def cut_off(path: Path, kind: str) -> tuple[RunFolder, BenchConfig]:
    """A run of `kind` that did not get to its end, and the bench that it was made on.

    Its parameters are in `info["parameters"]`.

    Raises:
        RecordError: not a run folder, a run of another kind, or one that is done.
        ConfigError: its configuration is not one of this version.
    """
    run = RunFolder.open(path)
    if run.kind != kind:
        raise RecordError(
            f"{path}: this is a {run.kind!r} run; take it up with hil {run.kind} --resume, where"
            " that exists"
        )
    if run.status == DONE:
        raise RecordError(f"{path}: this run is done; there is nothing to resume")
    if not run.file(CONFIG_FILE).is_file() or not run.file("journal.sqlite").is_file():
        raise RecordError(f"{path}: this run ended before it asked anything; start a new one")
    saved = run.load_json(CONFIG_FILE)
    return run, validated_config(saved, str(run.file(CONFIG_FILE)))


_NEEDED: Any = object()


def parameter(run: RunFolder, name: str, default: Any = _NEEDED) -> Any:
    """What the run was asked to do; `default`, where given, is for what older records leave out.

    Raises:
        RecordError: its record does not say.
    """
    parameters = run.info.get("parameters")
    if default is not _NEEDED and isinstance(parameters, dict):
        return parameters.get(name, default)
    if not isinstance(parameters, dict) or name not in parameters:
        raise RecordError(f"{run.path}: the record does not say {name!r}; start a new run")
    return parameters[name]


def keep_start(run: RunFolder, known: ChipKnowledge | None) -> None:
    """Keeps what was known of the chip when the run began: it decides what the run does."""
    if known is not None:
        known.save(run.file(KNOWN_FILE))


def starting_knowledge(config: BenchConfig, run: RunFolder | None) -> ChipKnowledge | None:
    """What is known of the chip; for a run that is taken up, what was known when it began.

    Raises:
        MappingError: the map is damaged, or another chip's.
    """
    if run is None:
        return load_knowledge(config)
    path = run.file(KNOWN_FILE)
    return ChipKnowledge.load(path) if path.is_file() else None
