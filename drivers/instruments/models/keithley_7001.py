"""Keithley 7001 switch system with two 4 x 10 matrix cards (7012)."""

from __future__ import annotations

from typing import ClassVar

from drivers.instruments.matrix import LineMatrix


class Keithley7001(LineMatrix):
    """Four rows, 20 columns: 1 to 10 on the card in slot 1, 11 to 20 on the one in slot 2."""

    NAME = "keithley-7001"
    MANUAL = "Keithley 7001-901-01, Model 7001 Switch System Instruction Manual, section 5"
    MAKER = r"KEITHLEY INSTRUMENTS.*"
    MODEL = r"(MODEL )?7001"
    CARDS, CARD_ROWS, CARD_COLUMNS = 2, 4, 10
    SAFE = (":ROUT:OPEN ALL",)
    COMMANDS: ClassVar = {
        "close": ":ROUT:CLOS (@{path})",
        "closed": ":ROUT:CLOS? (@{path})",
    }

    def _path(self, card: int, row: int, column: int) -> str:
        return f"{card}!{row}!{column}"
