"""Targets in a process of their own: `python -m fuzz.worker TARGET... --inputs N --seed S`.

It says where it is in a file of eight bytes, so that whoever started it knows the input at which it
died or hung, and prints one JSON object per target. `--only K` makes input K again and lets its
error through, with all its frames.
"""

from __future__ import annotations

import argparse
import json
import mmap
import re
import resource
import struct
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fuzz import line, targets

LINES: dict[str, Callable[[int, int, int], int]] = {
    "decoder": line.feed_decoder,
    "dispatcher": line.feed_board,
}
PORTION = {"decoder": 40_000, "dispatcher": 4_000}
BOUND_S = 5.0
"""Longest that one input may take in seconds of the processor (this project's choice)."""
MEMORY_BYTES = 1 << 30
MOST_FINDINGS = 20
_RAM = Path("/dev/shm")
_AT = struct.Struct("<Q")


def scratch() -> tempfile.TemporaryDirectory[str]:
    """A folder of its own, in memory where there is such a place."""
    return tempfile.TemporaryDirectory(prefix="hil-fuzz-", dir=_RAM if _RAM.is_dir() else None)


def limit_memory() -> None:
    """No more than MEMORY_BYTES beyond what is in use now: a bomb becomes a MemoryError."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.getrlimit(resource.RLIMIT_AS)[1]))


def describe(error: BaseException) -> str:
    """What went wrong and where, in one line."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    text = f"{type(error).__name__}: {error}".encode("ascii", "backslashreplace").decode()[:160]
    kind = re.sub(r"0x[0-9a-f]+|\d+", "#", text)  # one kind of finding, whatever its numbers
    return f"{kind} ({Path(last.filename).name}:{last.lineno})"


def hammer(
    target: targets.Target,
    folder: Path,
    inputs: int,
    seed: int,
    *,
    until: float = float("inf"),
    tell: Callable[[int], object] = lambda _: None,
) -> dict[str, Any]:
    """Inputs 0.. of a target, at most until `until` (`time.monotonic`); the tally as a dictionary.

    `findings` maps what went wrong to the number of the first input that did it.
    """
    findings: dict[str, int] = {}
    refused, slowest_s, number = 0, 0.0, 0
    for number in range(inputs):
        if time.monotonic() > until or len(findings) >= MOST_FINDINGS:
            number -= 1
            break
        tell(number)
        content = target.make(seed, number)
        for old in folder.iterdir():
            old.unlink()
        began = time.process_time()
        try:
            refused += target.check(folder, content)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001  (whatever escapes is what is looked for)
            findings.setdefault(describe(error), number)
        took = time.process_time() - began
        slowest_s = max(slowest_s, took)
        if took > BOUND_S:
            findings.setdefault(f"takes more than {BOUND_S:g} s", number)
    tally = {"inputs": number + 1 if inputs else 0, "refused": refused}
    return {**tally, "slowest_s": slowest_s, "findings": findings}


def feed(name: str, inputs: int, seed: int, until: float, tell: Callable[[int], object]) -> Any:
    """Inputs of the line in portions, until there are enough of them or the time is over."""
    findings: dict[str, int] = {}
    given, portion, slowest_s = 0, 0, 0.0
    size = PORTION[name]
    while given < inputs and time.monotonic() < until and len(findings) < MOST_FINDINGS:
        tell(portion)
        began = time.process_time()
        try:
            given += LINES[name](min(size, inputs - given), seed, portion * size)
        except Exception as error:  # noqa: BLE001  (whatever escapes is what is looked for)
            findings.setdefault(describe(error), portion)
            given += 1
        slowest_s = max(slowest_s, (time.process_time() - began) / size)
        portion += 1
    return {"inputs": given, "refused": 0, "slowest_s": slowest_s, "findings": findings}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="+", choices=(*LINES, *targets.names()))
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="make this input again and let its error through")
    parser.add_argument("--progress", type=Path, help="file that says the number of the input")
    chosen = parser.parse_args(arguments)
    if chosen.only is not None:
        return _once(chosen.targets[0], chosen.seed, chosen.only)
    tell = _teller(chosen.progress)
    for name in chosen.targets:
        began = time.process_time()
        tally = _one(name, chosen.inputs, chosen.seed, chosen.seconds, tell)
        cpu_s = time.process_time() - began
        print(json.dumps({"target": name, **tally, "cpu_s": cpu_s}), flush=True)
    return 0


def _one(
    name: str, inputs: int, seed: int, seconds: float, tell: Callable[[int], object]
) -> dict[str, Any]:
    tell(0)
    with scratch() as folder:
        if name in LINES:
            limit_memory()
            return feed(name, inputs, seed, time.monotonic() + seconds, tell)
        target, work = _made(name, Path(folder))
        for good in target.good:
            target.check(work, good)  # what it imports late is in memory before that is limited
        limit_memory()
        return hammer(target, work, inputs, seed, until=time.monotonic() + seconds, tell=tell)


def _once(name: str, seed: int, number: int) -> int:
    if name in LINES:
        LINES[name](PORTION[name], seed, number * PORTION[name])
        return 0
    with scratch() as folder:
        target, work = _made(name, Path(folder))
        refused = target.check(work, target.make(seed, number))
        print("refused" if refused else "taken")
        return 0


def _made(name: str, folder: Path) -> tuple[targets.Target, Path]:
    made, work = folder / "made", folder / "work"
    made.mkdir()
    work.mkdir()
    return targets.make(name, made), work


def _teller(path: Path | None) -> Callable[[int], object]:
    if path is None:
        return lambda _: None
    path.write_bytes(bytes(_AT.size))
    with path.open("r+b") as file:
        view = mmap.mmap(file.fileno(), _AT.size)
    return lambda number: _AT.pack_into(view, 0, number)


if __name__ == "__main__":
    sys.exit(main())
