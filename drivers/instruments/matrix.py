"""What every switch matrix does alike."""

from __future__ import annotations

from typing import ClassVar

from drivers.instruments.driver import Driver
from drivers.instruments.interfaces import SwitchMatrix
from protocols.errors import InputError, InstrumentError


class LineMatrix(Driver, SwitchMatrix):
    """Cross-points of several cards, whose columns are counted on from card to card.

    `COMMANDS` has close, open and closed, of a `{path}` as `_path` writes it.
    """

    ROLE = "matrix"
    CARDS: ClassVar[int]
    CARD_ROWS: ClassVar[int]
    CARD_COLUMNS: ClassVar[int]

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return self.CARD_ROWS

    @property
    def columns(self) -> int:
        """How many columns there are, of all cards."""
        return self.CARDS * self.CARD_COLUMNS

    def close_path(self, row: int, column: int) -> None:
        """Close one cross-point and ask whether it is; see `SwitchMatrix`."""
        if not (1 <= row <= self.rows and 1 <= column <= self.columns):
            raise InputError(
                f"{self.name}: no cross-point {row}, {column}; rows are 1 to {self.rows}, columns"
                f" 1 to {self.columns}"
            )
        card, place = divmod(column - 1, self.CARD_COLUMNS)
        path = self._path(card + 1, row, place + 1)
        with self.safe_after_failure():
            self.send("close", path=path)
            if not self._is_closed(self.ask("closed", path=path)):
                raise InstrumentError(f"{self.name}: cross-point {row}, {column} did not close")

    def open_all(self) -> None:
        """Open every cross-point; see `SwitchMatrix`."""
        self.safe()

    def _path(self, card: int, row: int, column: int) -> str:
        """How the model writes a cross-point; all counted from 1."""
        raise NotImplementedError

    def _is_closed(self, answer: str) -> bool:
        """What the model's answer says."""
        return float(answer) == 1.0
