"""What a board was told in a session, so that a new session can be told the same."""

from __future__ import annotations

from collections.abc import Iterable

from protocols import messages as m
from protocols.codec import Message


class SessionState:
    """What the board was told in a session and forgets with it, apart from results."""

    def __init__(self) -> None:
        self._lowered: dict[int, Message] = {}
        self._layers: dict[int, Message] = {}
        self._waves: list[Message] = []
        self._armed: Message | None = None

    def observe(self, requests: Iterable[Message]) -> None:
        """Requests that were answered."""
        for request in requests:
            if isinstance(request, m.LimitsLowerRequest):
                self._lowered[request.operation] = request
            elif isinstance(request, m.LoopLayerRequest):
                self._layers[request.layer] = request
            elif isinstance(request, m.WaveBeginRequest):
                self._waves = [request]
            elif isinstance(request, m.WaveLoadRequest | m.WaveClassRequest | m.WaveCommitRequest):
                self._waves.append(request)
            elif isinstance(request, m.ArmRequest):
                self._armed = request
            elif isinstance(request, m.DisarmRequest):
                self._armed = None

    def requests(self) -> list[Message]:
        """What tells a board the same, the arming last."""
        armed = [] if self._armed is None else [self._armed]
        return [*self._lowered.values(), *self._layers.values(), *self._waves, *armed]
