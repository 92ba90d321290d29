"""Keithley 707B switching matrix with six 8 x 12 cards (7072, 7174)."""

from __future__ import annotations

from typing import ClassVar

from drivers.instruments.matrix import LineMatrix


class Keithley707B(LineMatrix):
    """Eight rows A to H, 72 columns: 1 to 12 on the card in slot 1, and so on. It speaks TSP."""

    NAME = "keithley-707b"
    MANUAL = "Keithley 707B-901-01, Models 707B and 708B Reference Manual, section 7"
    MAKER = r"KEITHLEY INSTRUMENTS.*"
    MODEL = r"(MODEL )?707B"
    ERRORS = "print(errorqueue.next())"
    CARDS, CARD_ROWS, CARD_COLUMNS = 6, 8, 12
    SAFE = ('channel.open("allslots")',)
    COMMANDS: ClassVar = {
        "close": 'channel.close("{path}")',
        "closed": 'print(channel.getstate("{path}"))',
    }

    def _path(self, card: int, row: int, column: int) -> str:
        return f"{card}{'ABCDEFGH'[row - 1]}{column:02d}"
