"""`hil legacy`: samples of the published board, safe on the disk one by one.

A run folder of kind `legacy` holds `samples.jsonl`, one line per sample, written through before
the next run starts. A run that was cut off is continued by naming its folder.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from drivers.legacy import LegacyBoard, LegacySample
from drivers.legacy_capture import Capture, ScpiCapture, ScpiWords
from drivers.stream import SerialStream
from hil.record import RUNNING, RunFolder
from hil.sim.legacy import LegacyEmulator
from hil.sim.legacy_analog import AnalogLoop
from hil.sim.legacy_bench import EmulatedScope, LegacyLine
from protocols.errors import ConfigError, FileError, InputError, LinkError, RecordError
from protocols.files import (
    MAX_YAML_BYTES,
    decoded,
    parse_json,
    parse_yaml,
    read_bytes,
    read_text,
)
from protocols.legacy import BAUD, UPDATES, LegacySettings
from protocols.legacy_traces import CHANNELS, Prediction

SIMULATED = "legacy-sim"
PREFIX = "legacy:"
SAMPLES = "samples.jsonl"
MAX_SAMPLE_BYTES = 64 << 20  # this project's choice: half a million samples


@dataclass(frozen=True)
class LegacyBench:
    """The board, the instrument that reads it, and whether both are simulated."""

    board: LegacyBoard
    capture: Capture
    simulated: bool


@contextmanager
def legacy_bench(
    spec: str, scope: str | None, scope_file: Path | None, seed: int, first_run: int = 0
) -> Iterator[LegacyBench]:
    """The published board on `legacy:PORT`, or its emulator, with an oscilloscope.

    Args:
        spec: `legacy:PORT` or `legacy-sim`. The emulator's analog side is two integrators without
            a network: x grows with the drift word alone.
        scope: VISA address of the oscilloscope; not for the emulator, which has its own.
        scope_file: YAML file with its commands (`ScpiWords`).
        seed: of the emulator's noise and initial states.
        first_run: number of the emulator's first run, so that a resumed job goes on, not back.

    Raises:
        ConfigError: another name, no oscilloscope, or a scope file that is not right.
        PortError, LinkError: port or instrument cannot be opened.
    """
    if spec == SIMULATED:
        emulator = LegacyEmulator(seed=seed, first_run=first_run)
        line = LegacyLine(emulator)
        with LegacyBoard(line, clock=line) as board:
            yield LegacyBench(board, EmulatedScope(emulator, AnalogLoop(seed=seed)), True)
        return
    if not spec.startswith(PREFIX):
        raise ConfigError(f"board {spec!r}: `hil legacy` drives {PREFIX}PORT or {SIMULATED}")
    if scope is None or scope_file is None:
        raise ConfigError(
            "the published board reports nothing: name the oscilloscope that triggers on S1 with"
            " --scope ADDRESS and its commands with --scope-file FILE"
        )
    capture = ScpiCapture(_open_visa(scope), load_scope_words(scope_file), name=scope)
    with LegacyBoard(SerialStream(spec.removeprefix(PREFIX), BAUD)) as board:
        yield LegacyBench(board, capture, False)


def load_scope_words(path: Path) -> ScpiWords:
    """The commands of an oscilloscope from a YAML file with the keys of `ScpiWords`.

    Raises:
        ConfigError: the file cannot be read, or a key is missing or unknown.
    """
    try:
        return ScpiWords(**parse_yaml(read_text(path, MAX_YAML_BYTES)))
    except (FileError, TypeError) as error:
        raise ConfigError(
            f"{path}: not the commands of an oscilloscope ({error});"
            " it holds arm, done, done_answers, x, y and, if needed, setup"
        ) from error


def _open_visa(address: str) -> Any:
    import pyvisa  # only a bench with an instrument needs it

    try:
        return pyvisa.ResourceManager().open_resource(address)
    except (pyvisa.Error, OSError, ValueError) as error:
        raise LinkError(f"{address}: the instrument cannot be opened ({error})") from error


# --- what is on the disk -------------------------------------------------------------------------


class SampleFile:
    """`samples.jsonl` of a run: appended to, written through, readable after a crash."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> dict[int, tuple[float, float]]:
        """x and y in volts of every sample that is there, by index; half a last line is dropped.

        Raises:
            RecordError: the file cannot be read or is damaged before its end.
        """
        if not self.path.is_file():
            return {}
        try:
            content = read_bytes(self.path, MAX_SAMPLE_BYTES)
            whole = content[: content.rfind(b"\n") + 1]
            if whole != content:
                with self.path.open("r+b") as file:
                    file.truncate(len(whole))
            rows = [parse_json(decoded(line)) for line in whole.splitlines()]
            return {
                int(row["index"]): (float(row["x_volts"]), float(row["y_volts"])) for row in rows
            }
        except (FileError, OSError, ValueError, KeyError, TypeError, OverflowError) as error:
            raise RecordError(
                f"{self.path}: damaged ({error}); the samples in it are lost"
            ) from error

    def append(self, sample: LegacySample) -> None:
        """Write one sample; it is on the disk when this returns.

        Raises:
            RecordError: the disk is full or fails.
        """
        try:
            with self.path.open("ab") as file:
                file.write(json.dumps(asdict(sample)).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise RecordError(f"{self.path}: the sample cannot be written ({error})") from error


def resumed(folder: Path, settings: LegacySettings) -> RunFolder:
    """The run in `folder`, to be continued with the same settings.

    Raises:
        RecordError: it is no run of `hil legacy`.
        InputError: it was started with other settings.
    """
    run = RunFolder.open(folder)
    if run.kind != "legacy":
        raise RecordError(f"{folder}: a run of kind {run.kind!r}; only `hil legacy` is continued")
    before = run.info.get("parameters", {}).get("settings")
    if before != asdict(settings):
        raise InputError(f"{folder} was started with {before}; continue it with the same settings")
    run.update(status=RUNNING, reason=None, ended=None)
    return run


def samples_of(run: RunFolder) -> SampleFile:
    """The samples of a run."""
    return SampleFile(run.path / SAMPLES)


def take_samples(
    run: RunFolder, bench: LegacyBench, settings: LegacySettings, count: int, progress: Any
) -> dict[str, Any]:
    """Take what is missing of `count` samples and describe all of them.

    Raises:
        LimitError: the settings would overflow a DAC; nothing was sent.
        LinkTimeout, MessageError: see `LegacyBoard.run`; what was taken is on the disk.
        RecordError: the disk fails.
    """
    file = samples_of(run)
    prediction = bench.board.configure(settings)
    bench.board.run(
        count, bench.capture, done=file.load(), on_sample=file.append, progress=progress
    )
    samples = file.load()
    return {
        "samples": len(samples),
        "simulated": bench.simulated,
        "settings": {name: str(value) for name, value in bench.board.shadow.items()},
        "prediction": facts(prediction),
        "line": asdict(bench.board.stats),
        "run": str(run.path),
    }


def facts(prediction: Prediction) -> dict[str, Any]:
    """What a run with some settings will do to the DACs."""
    codes = prediction.traces
    return {
        "updates": UPDATES,
        "overflows": prediction.summary() or "none",
        "cut_off_at_zero": prediction.saturations or "none",
        "noise_overflows_per_run": prediction.noise_overflows,
        "codes": {
            name: [int(column.min()), int(column.max())]
            for name, column in zip(CHANNELS, codes.T, strict=True)
        },
    }
