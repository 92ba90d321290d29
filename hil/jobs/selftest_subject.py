"""What a check of `hil selftest` works on."""

from __future__ import annotations

from dataclasses import dataclass

from hil.jobs.selftest_line import Line
from protocols.hardware import BoardDescription
from protocols.messages import SafeReason

LATCHING = (SafeReason.STOP, SafeReason.WATCHDOG, SafeReason.FAULT, SafeReason.INTERLOCK)


@dataclass(frozen=True)
class Subject:
    """A board behind its line, and what kind of board it should be."""

    line: Line
    description: BoardDescription


def latched(subject: Subject) -> str:
    """Name of the reason that is latched now; empty where none is."""
    reason = SafeReason(subject.line.status().safe_reason)
    return reason.name.lower() if reason in LATCHING else ""
