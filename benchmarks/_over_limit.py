"""Attempts to exceed a limit, by every public path; the judge stands in the physics.

Paths: the command line with bench files that ask for too much, Python (macro, board, batches,
limits made by hand), and raw frames (over, unarmed, out of session, repeated, during a stop,
limits raised), on the simulated board and on the firmware in this process. An attempt passes when
`benchmarks._limit_witness` hears of a pulse, read or loop-back that it had no right to.
"""

from __future__ import annotations

import contextlib
import io
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import _over_limit_commands as commands
from benchmarks._limit_witness import Witness
from benchmarks._over_limit_python import PYTHON_TRICKS, Session
from benchmarks._over_limit_raw import RAW_TRICKS, RawHost
from hil.boards import OpenBoard, simulated, with_firmware
from hil.cli.app import run
from hil.sim.board import make_board
from hil.sim.config import SimSettings
from protocols.errors import HilError
from protocols.hardware import load_board

ATTEMPTS = 10_000
BOARDS = ("sim", "native")
COMMAND_SHARE, PYTHON_SHARE = 0.02, 0.38
SESSION_ATTEMPTS = 25
"""Attempts from Python on one opened board."""
MOST_EXAMPLES = 20


@dataclass
class Tally:
    """What became of the attempts.

    Attributes:
        passed: attempts in which something was driven that should not have been.
        heard: pulses that the witness heard of: the ones that were allowed.
        paths: attempts and passes of each path and trick.
        examples: what passed.
    """

    attempts: int = 0
    passed: int = 0
    heard: int = 0
    host_s: float = 0.0
    paths: dict[str, list[int]] = field(default_factory=dict)
    examples: list[str] = field(default_factory=list)

    def count(self, path: str, witness: Witness) -> None:
        """One attempt is over."""
        passed = bool(witness.violations)
        entry = self.paths.setdefault(path, [0, 0])
        entry[0] += 1
        entry[1] += passed
        self.attempts += 1
        self.passed += passed
        if passed and len(self.examples) < MOST_EXAMPLES:
            self.examples.append(f"{path}: {witness.violations[0]}")
        witness.violations.clear()


def campaign(
    attempts: int = ATTEMPTS,
    seed: int = 1,
    boards: Sequence[str] = BOARDS,
    commands_too: bool = True,
) -> Tally:
    """Attempts on all of `boards` in turn, from a seed; about 2 % by the command line."""
    tally, began = Tally(), time.perf_counter()
    by_command = round(attempts * COMMAND_SHARE) if commands_too else 0
    by_python = round(attempts * PYTHON_SHARE)
    by_frames = attempts - by_command - by_python
    for number, board in enumerate(boards):
        rng = random.Random(f"{seed} {board}")
        part = [_share(n, number, len(boards)) for n in (by_frames, by_python, by_command)]
        _raw(board, part[0], rng, tally)
        _python(board, part[1], rng, tally)
        _commands(board, part[2], rng, tally)
    tally.host_s = time.perf_counter() - began
    return tally


def _share(count: int, number: int, parts: int) -> int:
    return count * (number + 1) // parts - count * number // parts


def open_in_memory(board: str, seed: int) -> OpenBoard:
    """A board that was just powered up, its chip in memory."""
    settings, description = SimSettings(seed=seed, board_seed=seed), load_board("reference")
    if board == "sim":
        return simulated(make_board(settings, description))
    return with_firmware(board, settings, description)


def _raw(board: str, attempts: int, rng: random.Random, tally: Tally) -> None:
    """Frames made by hand, one board for all of them."""
    if not attempts:
        return
    witness = Witness(load_board("reference"))
    opened = open_in_memory(board, rng.getrandbits(31))
    tricks = list(RAW_TRICKS.items())
    try:
        with witness.watching():
            host = RawHost(opened, witness, rng)
            for number in range(attempts):
                name, trick = tricks[number % len(tricks)]
                host.begin()
                trick(host)
                tally.count(f"frames, {name}", witness)
    finally:
        opened.close()
    tally.heard += witness.pulses


def _python(board: str, attempts: int, rng: random.Random, tally: Tally) -> None:
    """The drivers, with a board opened anew every `SESSION_ATTEMPTS`."""
    tricks: list[tuple[str, Callable[[Session], object]]] = list(PYTHON_TRICKS.items())
    for start in range(0, attempts, SESSION_ATTEMPTS):
        witness = Witness(load_board("reference"))
        opened = open_in_memory(board, rng.getrandbits(31))
        try:
            with witness.watching():
                session = Session(opened, witness, rng)
                for number in range(start, min(start + SESSION_ATTEMPTS, attempts)):
                    name, trick = tricks[number % len(tricks)]
                    session.begin()
                    with contextlib.suppress(HilError):
                        trick(session)
                    tally.count(f"Python, {name}", witness)
        finally:
            opened.close()
        tally.heard += witness.pulses


def _commands(board: str, attempts: int, rng: random.Random, tally: Tally) -> None:
    """`hil` with bench files that ask for too much, each in a folder of its own."""
    for number in range(attempts):
        witness = Witness(load_board("reference"))
        with tempfile.TemporaryDirectory() as folder:
            name, arguments, limits = commands.make(number, board, Path(folder), rng)
            witness.lowered.update(limits)
            with witness.watching():
                _quietly(run, arguments)
        tally.count(f"command line, {name}", witness)
        tally.heard += witness.pulses


def _quietly(function: Callable[[list[str]], Any], arguments: list[str]) -> None:
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        function(arguments)
