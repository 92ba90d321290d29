"""Is this board what it should be? Named checks that change no cell, on any board.

Nothing above the read level is driven: the board is never armed, and where a request is sent that
has to be refused, the word line in it is at zero, so that even a board that carried it out would
drive no current. The one exception is `pulse_cell`, which a user asks for by name of the cell.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum

from drivers.identity import Identity
from drivers.stream import Stream
from hil.bench import Bench
from hil.jobs import selftest_analog as analog
from hil.jobs import selftest_wire as wire
from hil.jobs.selftest_line import Line
from hil.jobs.selftest_subject import Subject, latched
from protocols.errors import BoardError, HilError, LinkError, LinkTimeout, SafetyError
from protocols.hardware import BoardDescription
from protocols.messages import DisarmRequest, DisarmResponse, Operation

ANSWER_S = 4.0
"""Longest that an answer may take (an emulator on a busy computer takes a tenth of that)."""
PULSE_VOLTS = 1.0
PULSE_WIDTH_S = 1e-6
"""The sacrificial pulse, a weak SET: gate and bit line, width (this project's choice)."""


class Verdict(Enum):
    """What became of a check."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_RUN = "not run"


@dataclass(frozen=True)
class Outcome:
    """One check: what it is about, what became of it, and a sentence."""

    name: str
    verdict: Verdict
    sentence: str


@dataclass(frozen=True)
class Check:
    """A check: its sentence when it passes, a `HilError` when it does not.

    `drives` is for those that the board refuses while a reason is latched.
    """

    name: str
    run: Callable[[Subject], str]
    drives: bool = False


CHECKS = (
    Check("hello", wire.hello),
    Check("identity", wire.identity),
    Check("keep alive", wire.keep_alive),
    Check("counters", wire.counters),
    Check("exactly once", wire.exactly_once),
    Check("window", wire.window),
    Check("order", wire.order),
    Check("unknown message", wire.unknown_message),
    Check("out of range", wire.out_of_range),
    Check("over the limits", analog.over_the_limits),
    Check("unarmed", analog.unarmed),
    Check("reads", analog.reads),
    Check("waveform CRC", analog.waveform_crc),
    Check("no safe state", analog.no_safe_state),
    Check("stop and clear", analog.stop_and_clear, drives=True),
    Check("loop holds", analog.loop_holds, drives=True),
)


def run_checks(
    stream: Stream,
    description: BoardDescription,
    *,
    answer_s: float = ANSWER_S,
) -> tuple[list[Outcome], Identity | None]:
    """Every check in order; the board's identity where it said who it is.

    Opens a session of its own, which ends another host's. A board without an answer ends the test.

    Args:
        stream: the line to the board.
        description: what kind of board it should be.
        answer_s: how long one answer may take.
    """
    line = Line(stream, answer_s)
    subject = Subject(line, description)
    outcomes: list[Outcome] = []
    trouble = ""
    for check in CHECKS:
        if trouble:
            outcome = Outcome(check.name, Verdict.NOT_RUN, trouble)
        else:
            outcome, trouble = _one(check, subject)
        outcomes.append(outcome)
    if not line.is_open:
        return outcomes, None
    with suppress(HilError):  # nothing was armed, unless the board is at fault; then its watchdog
        line.good(DisarmRequest(), DisarmResponse)
    return outcomes, Identity.of(line.hello)


def _one(check: Check, subject: Subject) -> tuple[Outcome, str]:
    """The outcome of a check, and why none can follow it (empty where they can)."""
    if check.drives and (reason := latched(subject)):
        sentence = f"the board is latched safe ({reason}) and would refuse it"
        return Outcome(check.name, Verdict.NOT_RUN, sentence), ""
    try:
        return Outcome(check.name, Verdict.PASSED, check.run(subject)), ""
    except HilError as error:
        outcome = Outcome(check.name, Verdict.FAILED, str(error))
        return outcome, _hopeless(subject.line, error)


def _hopeless(line: Line, error: HilError) -> str:
    """Why nothing can follow a failure. A lost frame costs one check, a dead line all of them."""
    if not isinstance(error, LinkError):
        return ""
    if isinstance(error, LinkTimeout) and line.is_open:
        try:
            line.open()
        except LinkError:
            return "the board does not answer any more"
        return ""
    return "the board cannot be spoken to"


def failed(outcomes: Sequence[Outcome]) -> bool:
    """Whether any check did not pass."""
    return any(outcome.verdict is not Verdict.PASSED for outcome in outcomes)


# --- one pulse, only when asked for ------------------------------------------------------------


def pulse_cell(bench: Bench, row: int, column: int) -> Outcome:
    """One weak SET on a sacrificial cell, journaled like every pulse: driven once, and counted."""
    try:
        sentence = _pulsed(bench, row, column)
    except HilError as error:
        return Outcome("pulse", Verdict.FAILED, str(error))
    return Outcome("pulse", Verdict.PASSED, sentence)


def _pulsed(bench: Bench, row: int, column: int) -> str:
    before = bench.board.status()
    after_siemens = bench.macro.pulse(
        row, column, Operation.SET, PULSE_VOLTS, PULSE_VOLTS, PULSE_WIDTH_S
    )
    after = bench.board.status()
    driven = after.pulses - before.pulses
    if driven != 1:
        raise BoardError(f"one pulse was asked for, the board counts {driven}")
    if after.armed_s > 0:
        raise SafetyError("the board is still armed after it was disarmed")
    return (
        f"cell ({row}, {column}) got one SET of {PULSE_VOLTS:g} V for {PULSE_WIDTH_S * 1e6:g} us"
        f" and reads {after_siemens * 1e6:.2f} uS; the board is disarmed again"
    )
