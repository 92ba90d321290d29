"""What the reasons of a safe state mean, in words."""

from __future__ import annotations

from protocols.messages import SafeReason

MEANING = {
    SafeReason.STOP: "it was stopped",
    SafeReason.WATCHDOG: "its host fell silent",
    SafeReason.FAULT: "its front end reported a fault",
    SafeReason.INTERLOCK: "its interlock was open",
    SafeReason.ARM_TIMEOUT: "it was armed for longer than had been allowed",
}
"""Of the reasons that somebody should hear of; the others are the course of things."""

LATCHING = tuple(reason for reason in MEANING if reason is not SafeReason.ARM_TIMEOUT)
"""Those that have to be cleared by their name."""


def announcement(reason: SafeReason, board: str) -> str:
    """One line about the reason in a board's answer to `hello`; empty where there is nothing."""
    if reason not in MEANING:
        return ""
    name = reason.name.lower()
    said = f"the board was put into its safe state: {name} ({MEANING[reason]})"
    if reason not in LATCHING:
        return said
    return f"{said}; find out why, then hil stop --clear {name} --board {board}"
