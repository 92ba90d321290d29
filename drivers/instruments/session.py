"""A conversation with one instrument: a line of text out, a line of text back, errors asked for.

`Line` is the seam: PyVISA (`visa.py`) is one implementation, a simulated instrument that answers
SCPI may be another.
"""

from __future__ import annotations

import re
from typing import Protocol

from protocols.errors import InstrumentError
from protocols.instruments import InstrumentIdentity

OVERFLOW = 9.9e37  # SCPI-99, 7.2.1.4: infinity is 9.9e37, not a number is 9.91e37
MAX_ERRORS = 32  # a queue that never becomes empty is an error of its own
_CODE = re.compile(r"^\s*([+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)\s*[,;\t]?\s*(.*)$", re.DOTALL)


class Line(Protocol):
    """Text out, text in. Every method raises `InstrumentTimeout` or `InstrumentLost`."""

    name: str

    def write(self, text: str) -> None:
        """Send one command."""

    def query(self, text: str) -> str:
        """Send one command and give its answer, without the end of line."""

    def clear(self) -> None:
        """Forget what is under way in both directions (IEEE 488 device clear)."""

    def close(self) -> None:
        """Give the line back. Closing twice is allowed."""


def is_number(value: float) -> bool:
    """Whether a value is one, and not how instruments write infinity or not-a-number."""
    return abs(value) < OVERFLOW


def parse_identity(text: str, where: str) -> InstrumentIdentity:
    """The identity in an answer to `*IDN?` (IEEE 488.2, 10.14: four fields, commas between).

    Raises:
        InstrumentError: it has no maker and model.
    """
    fields = [part.strip().strip('"') for part in text.strip().split(",", 3)]
    if len(fields) < 2 or not all(fields[:2]):
        raise InstrumentError(
            f"{where} answers {text!r:.80} to *IDN?, which names no maker and model;"
            " is it a laboratory instrument, and is it in its SCPI mode?"
        )
    return InstrumentIdentity(*fields)


def parse_error(text: str) -> tuple[float, str]:
    """Number and text of one entry of an error queue (SCPI-99, 21.8.8); 0 is an empty queue.

    Raises:
        InstrumentError: not an entry of an error queue.
    """
    match = _CODE.match(text)
    if match is None:
        raise InstrumentError(f"not an entry of an error queue: {text!r:.80}")
    return float(match[1]), match[2].strip().strip('"')


class Session:
    """Commands to one identified instrument; an error that it reports is raised."""

    def __init__(self, line: Line, identity: InstrumentIdentity, error_query: str) -> None:
        """`error_query` takes one entry out of the error queue; empty for a model without one."""
        self.line = line
        self.identity = identity
        self._error_query = error_query

    @property
    def name(self) -> str:
        """The instrument and where it is, for messages."""
        return f"{self.identity} at {self.line.name}"

    def do(self, command: str) -> None:
        """Send a command; returns when the instrument has taken it without an error.

        Raises:
            InstrumentError: the instrument reports errors; all of them are in the text.
        """
        self.line.write(command)
        self.raise_errors(command)

    def ask(self, query: str) -> str:
        """The answer to a query."""
        return self.line.query(query).strip()

    def numbers(self, query: str) -> list[float]:
        """The answer to a query, as numbers with commas between them.

        Raises:
            InstrumentError: it is something else.
        """
        text = self.ask(query)
        try:
            found = [float(part) for part in text.split(",") if part.strip()]
        except ValueError as error:
            raise InstrumentError(
                f"{self.name}: answers {text!r:.80} to {query}, where numbers belong"
            ) from error
        if not all(is_number(value) for value in found):
            raise InstrumentError(
                f"{self.name}: answers {text!r:.80} to {query}; over its range, or nothing is"
                " connected"
            )
        return found

    def number(self, query: str) -> float:
        """The answer to a query, as one number.

        Raises:
            InstrumentError: it is something else.
        """
        found = self.numbers(query)
        if len(found) != 1:
            raise InstrumentError(f"{self.name}: answers {len(found)} numbers to {query}, not one")
        return found[0]

    def errors(self) -> list[str]:
        """Takes everything out of the instrument's error queue, oldest first."""
        found: list[str] = []
        while self._error_query:
            code, text = parse_error(self.ask(self._error_query))
            if code == 0:
                break
            found.append(f"{code:g} {text}")
            if len(found) == MAX_ERRORS:
                found.append("and more")
                break
        return found

    def raise_errors(self, after: str) -> None:
        """Raises what stands in the error queue.

        Raises:
            InstrumentError: something does.
        """
        found = self.errors()
        if found:
            raise InstrumentError(f"{self.name} reports after {after!r}: {'; '.join(found)}")
