"""The requests of one call and what became of them: answered, refused, or unknown."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from drivers.refusal import refusal
from drivers.window import Window
from protocols import messages
from protocols.codec import Message
from protocols.errors import MessageError

OnResponse = Callable[[int, int, Message], None]


class Batch:
    """Requests numbered from `first_sequence`, their window, and who wants to hear of answers."""

    def __init__(
        self,
        requests: Sequence[Message],
        window: Window,
        first_sequence: int,
        on_response: OnResponse | None,
    ) -> None:
        self.window = window
        self.requests = requests
        self._first = first_sequence
        self._on_response = on_response
        self._responses: dict[int, Message] = {}
        self._unreadable: dict[int, MessageError] = {}
        self._delivered = 0

    def deliver(self, *, past_gaps: bool = False) -> None:
        """Pass on the acknowledged responses that are due, in order.

        `past_gaps` is for the end of a failed batch: what is known behind an unknown one.
        """
        end = self.window.sent if past_gaps else self.window.floor
        for index in range(self._delivered, end):
            payload = self.window.answers[index]
            if payload is not None and payload[0] == 0:
                self._hand_on(index, payload[1:])
            self._delivered = index + 1

    def _hand_on(self, index: int, payload: bytes) -> None:
        code = self.requests[index].CODE
        try:
            response = messages.RESPONSES[code].unpack(payload)
        except MessageError as error:
            self._unreadable[index] = error
            self.window.halt()
            return
        self._responses[index] = response
        if self._on_response is None:
            return
        try:
            self._on_response(index, self._first + index, response)
        except Exception:
            # Whoever listens is broken; the batch is still settled, without it.
            self._on_response = None
            raise

    def responses(self, name: str) -> list[Message]:
        """All responses.

        Raises:
            BoardError, LimitError, SafetyError: for the first request that was refused.
            MessageError: for the first one whose response is not what its description says.
        """
        for index, payload in enumerate(self.window.answers):
            if payload is not None and payload[0] != 0:
                where = f"{name} refused {self._label(index)}"
                error = refusal(self.requests[index], payload, where)
                if len(self.requests) > 1:
                    error.add_note(self._aftermath(index))
                raise error
            if index in self._unreadable:
                raise MessageError(
                    f"{name}: unreadable answer to {self._label(index)}: {self._unreadable[index]};"
                    " board and host are of different versions"
                )
        return [self._responses[i] for i in range(len(self.requests))]

    def unknown(self) -> str:
        """Which requests may or may not have been executed."""
        lost = [i for i in range(self.window.sent) if self.window.answers[i] is None]
        if not lost:
            return "nothing was in flight"
        what = self._label(lost[0])
        more = f" and {len(lost) - 1} after it" if len(lost) > 1 else ""
        return f"whether {what}{more} took effect is not known"

    def _label(self, index: int) -> str:
        name = self.requests[index].NAME
        if len(self.requests) == 1:
            return name
        return f"{name} (request {index + 1} of {len(self.requests)})"

    def _aftermath(self, index: int) -> str:
        after = self.window.answers[index + 1 : self.window.sent]
        done = sum(1 for payload in after if payload is not None and payload[0] == 0)
        unsent = len(self.requests) - self.window.sent
        return (
            f"The {index} requests before it were executed. Of those after it, {done} were already"
            f" on their way and executed, {len(after) - done} refused, {unsent} not sent."
        )
