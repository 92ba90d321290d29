"""What all drivers share: a model's commands as data, a safe state, and errors that end in it."""

from __future__ import annotations

import atexit
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import ClassVar

from drivers.closing import Closing
from drivers.instruments.limits import InstrumentLimits, InstrumentSettings
from drivers.instruments.session import Line, Session
from protocols.errors import HilError, InstrumentError, InstrumentLost
from protocols.instruments import InstrumentIdentity

BY_HAND = "Its outputs may be on: switch the instrument off by hand."


class Driver(Closing):
    """One model of instrument.

    A model is data as far as it goes: which answers to `*IDN?` are its own, the commands of its
    programming manual, what puts it into a known state and what makes it safe.

    Attributes:
        NAME: what the bench file calls the model.
        ROLE: the bench file's key of the interface that it has.
        MANUAL: the programming manual that the commands are from.
        MAKER, MODEL: regular expressions of these fields of its identity, whole.
        COMMANDS: commands by what they do, with the names of values in braces.
        SETUP: sent once, after the safe state.
        SAFE: outputs to zero and off; each is sent whatever became of the others.
        ERRORS: the query that takes an entry out of the error queue.
        BAUD: of a model on a serial line; None if it has none.
    """

    NAME: ClassVar[str]
    ROLE: ClassVar[str]
    MANUAL: ClassVar[str]
    MAKER: ClassVar[str]
    MODEL: ClassVar[str]
    COMMANDS: ClassVar[Mapping[str, str]]
    SETUP: ClassVar[tuple[str, ...]] = ()
    SAFE: ClassVar[tuple[str, ...]] = ()
    ERRORS: ClassVar[str] = ":SYST:ERR?"
    BAUD: ClassVar[int | None] = None

    def __init__(
        self, line: Line, identity: InstrumentIdentity, settings: InstrumentSettings
    ) -> None:
        """Puts the instrument into its safe state, and then into a known one.

        Raises:
            InstrumentError: it does not take its own commands.
        """
        self.session = Session(line, identity, self.ERRORS)
        self.settings = settings
        self._closed = False
        self._handled: InstrumentError | None = None
        self._prepare()
        atexit.register(self.close)
        try:
            self.start()
        except BaseException as error:
            self._close_after(error)
            raise

    @classmethod
    def fits(cls, identity: InstrumentIdentity) -> bool:
        """Whether an identity is one of this model."""
        parts = ((cls.MAKER, identity.maker), (cls.MODEL, identity.model))
        return all(re.fullmatch(pattern, text, re.IGNORECASE) for pattern, text in parts)

    @property
    def identity(self) -> InstrumentIdentity:
        """Who answers."""
        return self.session.identity

    @property
    def name(self) -> str:
        """The instrument and where it is, for messages."""
        return self.session.name

    @property
    def limits(self) -> InstrumentLimits:
        """The bench file's limits."""
        return self.settings.limits

    def _prepare(self) -> None:
        """What a kind of instrument keeps about itself; before anything is sent."""

    def start(self) -> None:
        """Old errors forgotten, safe state, known state."""
        self.session.line.clear()
        self.session.errors()
        self.safe()
        for command in self.SETUP:
            self.session.do(command)

    def safe_commands(self) -> tuple[str, ...]:
        """What makes this instrument safe, in order."""
        return self.SAFE

    def safe(self) -> None:
        """Outputs to zero and off; every command is tried, whatever became of the others.

        Raises:
            InstrumentError: one of them was not taken; the text is the first failure's.
        """
        if self._closed:
            return
        failures: list[InstrumentError] = []
        for command in self.safe_commands():
            try:
                self.session.line.write(command)
            except InstrumentError as error:
                failures.append(error)
        if failures:
            failures[0].add_note(BY_HAND)
            raise failures[0]
        self.session.raise_errors("outputs off")
        self._forget()

    def _forget(self) -> None:
        """What is no longer true after the safe state."""

    def close(self) -> None:
        """Safe state, then the line given back. Closing twice is allowed.

        Raises:
            InstrumentError: the outputs' state is unknown.
        """
        if self._closed:
            return
        try:
            self.safe()
        finally:
            self._closed = True
            atexit.unregister(self.close)
            self.session.line.close()

    def send(self, what: str, **values: object) -> None:
        """Send the command that does `what`; a failure ends in the safe state."""
        with self.safe_after_failure():
            self.session.do(self.COMMANDS[what].format(**values))

    def ask(self, what: str, **values: object) -> str:
        """The answer to the query for `what`; a failure ends in the safe state."""
        with self.safe_after_failure():
            return self.session.ask(self.COMMANDS[what].format(**values))

    def numbers(self, what: str, **values: object) -> list[float]:
        """The answer to the query for `what`, as numbers; a failure ends in the safe state."""
        with self.safe_after_failure():
            return self.session.numbers(self.COMMANDS[what].format(**values))

    def number(self, what: str, **values: object) -> float:
        """The answer to the query for `what`, as a number; a failure ends in the safe state."""
        with self.safe_after_failure():
            return self.session.number(self.COMMANDS[what].format(**values))

    @contextmanager
    def safe_after_failure(self) -> Iterator[None]:
        """Outputs off at once if an instrument's error comes out of the block."""
        try:
            yield
        except InstrumentError as error:
            if error is not self._handled:  # one block inside another
                self._handled = error
                self._off_after(error)
            raise

    def _off_after(self, error: InstrumentError) -> None:
        try:
            self.session.line.clear()
        except InstrumentError as clearing:  # off is tried all the same
            if not isinstance(error, InstrumentLost):
                error.add_note(f"It could not be cleared: {clearing}")
        try:
            self.safe()
        except InstrumentError as second:
            error.add_note(f"Switching its outputs off was tried and failed ({second}).")
            error.add_note(BY_HAND)
        else:
            error.add_note(f"{self.identity}: outputs at zero and off.")

    def _close_after(self, error: BaseException) -> None:
        """Closes on the way out of a failure; a second failure does not hide the first."""
        try:
            if not isinstance(error, HilError):  # cut off in the middle of an answer, perhaps
                self.session.line.clear()
        except InstrumentError as clearing:
            error.add_note(f"{self.name} could not be cleared: {clearing}")
        try:
            self.close()
        except InstrumentError as closing:
            if closing.args != error.args:
                error.add_note(f"While making {self.identity} safe: {closing}")
