"""A link whose answers are kept in the run's journal, and come from there when a run is resumed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import cast

from drivers.batch import Batch, OnResponse
from drivers.link import Link
from drivers.stream import Stream
from drivers.window import Pace, Pending, Window
from hil.ledger import Ledger
from protocols import messages as m
from protocols.codec import Message


class RecordedLink(Link):
    """A session with one board, and the ledger of the run that it belongs to."""

    def __init__(
        self,
        stream: Stream,
        ledger: Ledger,
        *,
        timeout_s: float = 0.5,
        attempts: int = 8,
        restoring: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """`restoring` surrounds what has to be said again to a board when a run is resumed."""
        super().__init__(stream, timeout_s=timeout_s, attempts=attempts)
        self.ledger = ledger
        self._restoring = restoring
        self._restored = not ledger.replaying
        self._aside = False

    def call_many(
        self, requests: Sequence[Message], on_response: OnResponse | None = None
    ) -> list[Message]:
        """As `Link.call_many`; what the journal has the answer to is not sent.

        Raises:
            RecordError: the job asks for something else than it did before it was interrupted.
        """
        if not requests:
            return []
        if self._aside:
            return super().call_many(requests, on_response)
        token = self.ledger.token
        known = self.ledger.answers(requests)
        self.doubtful = frozenset()
        if known is None:
            self._restore()
            return super().call_many(requests, on_response)
        went = self.ledger.unsent(requests) if token else len(requests)
        self.ledger.state.observe(requests[:went])
        if token and None in known[:went]:
            known = self._read_again(token, requests[:went], known[:went])
        self.ledger.replayed += went
        if token:
            self.doubtful = self.ledger.doubtful(requests[:went])
        replayed = self._replay(requests[:went], known[:went], on_response)
        if went < len(requests):
            replayed += self._go_on(requests, went, on_response)
        return replayed

    def checkpoint(self) -> None:
        """Everything that was asked for has come home."""
        self.ledger.mark()

    def _run(self, batch: Batch) -> None:
        try:
            super()._run(batch)
        finally:
            self.ledger.keep(batch.requests, batch.window.answers, batch.window.sent)

    def _go_on(
        self, requests: Sequence[Message], went: int, on_response: OnResponse | None
    ) -> list[Message]:
        """Send what never went out of a round that was interrupted."""
        self._restore()
        pulses = [len(r.entries) for r in requests if isinstance(r, m.PulseReadRequest)]
        self.ledger.sends_on(sum(pulses))

        def heard(index: int, sequence: int, response: Message) -> None:
            if on_response is not None:
                on_response(went + index, sequence, response)

        return super().call_many(requests[went:], heard)

    def _replay(
        self,
        requests: Sequence[Message],
        answers: Sequence[bytes | None],
        on_response: OnResponse | None,
    ) -> list[Message]:
        if not requests:
            return []
        window = Window([Pending(r.CODE, b"") for r in requests], 1, Pace(len(requests)))
        batch = Batch(requests, window, 1, on_response)
        window.due()
        for index, payload in enumerate(answers):
            if payload is not None:
                window.accept(index, payload)
        with self._unrecorded():
            batch.deliver()
        return batch.responses(self.name)

    def _restore(self) -> None:
        """Tell the board what it was told before: a new session has forgotten it."""
        if self._restored:
            return
        self._restored = True
        with self._unrecorded(), self._restoring():
            if self.hello.safe_reason == m.SafeReason.WATCHDOG:
                # The host that was killed fell silent: that is why this run is resumed.
                super().call_many([m.SafeClearRequest(m.SafeReason.WATCHDOG)])
            super().call_many(self.ledger.state.requests())

    def _read_again(
        self, token: int, requests: Sequence[Message], known: Sequence[bytes | None]
    ) -> list[bytes | None]:
        """Answers for pulses whose outcome nobody knows: what their cells read now."""
        self._restore()
        answers, starts, made, start = list(known), [], [], 0
        with self._unrecorded():
            for index, request in enumerate(requests):
                if not isinstance(request, m.PulseReadRequest):
                    continue
                if known[index] is None:
                    answer = b"\0" + self._reading(request).pack()
                    answers[index] = answer
                    starts.append(start)
                    made.append(answer)
                    self.ledger.unknown += len(request.entries)
                start += len(request.entries)
        self.ledger.keep_read_again(token, starts, made)
        return answers

    def _reading(self, request: m.PulseReadRequest) -> m.PulseReadResponse:
        cells = tuple(m.ReadRequestEntry(e.row, e.column) for e in request.entries)
        (answer,) = super().call_many([m.ReadRequest(request.read_code, 1, cells)])
        got = cast(m.ReadResponse, answer)
        entries = tuple(m.PulseReadResponseEntry(int(entry.sum)) for entry in got.entries)
        return m.PulseReadResponse(got.time_us, entries)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """What is asked meanwhile is no part of the job: always sent, never kept, and on a
        simulated board of no time where the run is resumed."""
        around = self._restoring() if self.ledger.replaying else nullcontext()
        self._aside = True
        try:
            with self._unrecorded(), around:
                yield
        finally:
            self._aside = False

    @contextmanager
    def _unrecorded(self) -> Iterator[None]:
        self.ledger.muted = True
        try:
            yield
        finally:
            self.ledger.muted = False
