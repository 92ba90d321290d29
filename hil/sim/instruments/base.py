"""What every simulated instrument has: an identity, a safe state, an end."""

from __future__ import annotations

from types import TracebackType
from typing import ClassVar, Self

from hil.sim.nodes import BoardNodes
from protocols.errors import InstrumentLost
from protocols.instruments import InstrumentIdentity


class SimulatedInstrument:
    """One instrument at the nodes of a board.

    `unplug` is a back door: from then on every use raises `InstrumentLost`, and what its outputs
    do is what they did before, as with a real cable.
    """

    model: ClassVar[str] = "instrument"
    number: ClassVar[int] = 0
    """Key of its readings; no two instruments share one."""

    def __init__(self, nodes: BoardNodes) -> None:
        self.nodes = nodes
        self._unplugged = False
        self._closed = False

    @property
    def identity(self) -> InstrumentIdentity:
        """Who answers."""
        return InstrumentIdentity("simulated", self.model, str(self.nodes.settings.seed), "sim")

    def safe(self) -> None:
        """Outputs to zero and off, paths open."""

    def close(self) -> None:
        """`safe()`, for good."""
        if not self._closed and not self._unplugged:
            self.safe()
        self._closed = True

    def unplug(self) -> None:
        """Pull the cable."""
        self._unplugged = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _there(self) -> None:
        """Raises InstrumentLost when it was unplugged or closed."""
        if self._unplugged:
            raise InstrumentLost(
                f"{self.identity} does not answer any more: check its cable and its power; the"
                " state of its outputs is unknown"
            )
        if self._closed:
            raise InstrumentLost(f"{self.identity} was closed; open the instruments again")
