"""The campaign of attempts to exceed a limit: nothing passes, and its judge can tell."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

import pytest

import hil.sim.handlers as handlers
import hil.sim.handlers_reads as handlers_reads
from benchmarks._limit_witness import Witness
from benchmarks._over_limit import Tally, _commands, campaign
from benchmarks._over_limit_commands import COMMANDS, make
from benchmarks._over_limit_python import PYTHON_TRICKS
from benchmarks._over_limit_raw import RAW_TRICKS
from drivers.rram.limits import Limits
from hil.sim.limits import CodeLimits
from hil.sim.safety import Safety
from hil.sim.session import Session


@pytest.mark.parametrize("board", ["sim", "native"])
def test_nothing_passes(board, need_firmware):
    if board == "native":
        need_firmware(board)
    tally = campaign(200, seed=3, boards=(board,), commands_too=False)
    assert tally.attempts == 200
    assert (tally.passed, tally.examples) == (0, [])
    assert tally.heard > 50, "the witness hears the pulses that are allowed"
    assert len(tally.paths) == len(RAW_TRICKS) + len(PYTHON_TRICKS)


@contextmanager
def a_board_without_checks() -> Iterator[None]:
    """The simulated board executes whatever it is sent."""
    nothing = {
        (handlers, "_within_limits"): lambda *_: True,
        (handlers, "_check_budget"): lambda machine, index, _: machine.cell_pulses[index] + 1,
        (handlers, "check_read_code"): lambda *_: None,
        (handlers_reads, "check_read_code"): lambda *_: None,
        (Safety, "require_armed"): lambda *_: None,
        (Safety, "require_safe_to_drive"): lambda *_: None,
        (CodeLimits, "loopback_max"): lambda *_: None,
        (CodeLimits, "lower"): lambda limits, _: limits,
        (Session, "remembered"): lambda *_: None,
        (Limits, "check"): lambda *_: None,
    }
    with ExitStack() as stack:
        for (where, name), what in nothing.items():
            stack.enter_context(patch.object(where, name, what))
        yield


def test_a_board_without_checks_is_found_out():
    """Every way of sending frames passes on it, but for bytes that are hardly ever a request."""
    with a_board_without_checks():
        tally = campaign(400, seed=1, boards=("sim",), commands_too=False)
    passed = {path for path, (_, count) in tally.paths.items() if count}
    missing = {f"frames, {name}" for name in RAW_TRICKS} - passed
    assert missing <= {"frames, random bytes"}
    assert {"Python, codes", "Python, read level", "Python, unarmed"} <= passed
    assert "Python, codes over a lowered limit" in passed
    assert tally.examples


def test_the_witness_holds_the_lowered_limits_and_the_count():
    tally = campaign(16, seed=1, boards=("sim",), commands_too=False)
    witness = Witness(None)  # type: ignore[arg-type]
    witness.violations.append("something")
    tally.count("here", witness)
    assert (tally.passed, tally.paths["here"]) == (1, [1, 1])
    tally.count("here", witness)
    assert (tally.passed, tally.paths["here"]) == (1, [2, 1])


@pytest.mark.parametrize("number", range(len(COMMANDS)))
def test_command_lines_are_made_of_files_in_their_folder(number, tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks._over_limit_commands.formed_chip", lambda: b"")
    name, arguments, _ = make(number, "sim", tmp_path, random.Random(number))
    assert name in COMMANDS
    assert str(tmp_path) in arguments[-1]


def test_no_command_line_passes():
    """Those that refuse before anything is formed, on the simulated board."""
    tally = Tally()
    _commands("sim", 2, random.Random(5), tally)
    assert (tally.attempts, tally.passed) == (2, 0)


@pytest.mark.slow
def test_every_command_line_of_both_boards(need_firmware):
    need_firmware("native")
    tally = Tally()
    for board in ("sim", "native"):
        _commands(board, len(COMMANDS), random.Random(6), tally)
    assert (tally.attempts, tally.passed) == (2 * len(COMMANDS), 0)
    assert tally.heard > 1000, "some of them drive what they may"
