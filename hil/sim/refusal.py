"""How a handler says no: a status of the wire with its arguments."""

from __future__ import annotations

from protocols.errors import ProtocolError
from protocols.messages import STATUSES

_BY_NAME = {status.name: status for status in STATUSES.values()}
_LARGEST = {"u8": 0xFF, "u16": 0xFFFF, "u32": 0xFFFFFFFF, "i32": 0x7FFFFFFF}


class RefusedError(ProtocolError):
    """A request that the board does not execute. It never leaves the simulated board as such."""

    def __init__(self, status: str, *arguments: int) -> None:
        super().__init__(f"refused with {status} {arguments}")
        self.status = status
        self.arguments = arguments

    def pack(self) -> bytes:
        """Status byte and arguments. A figure too large for its field is sent as the largest."""
        status = _BY_NAME[self.status]
        pairs = zip(self.arguments, status.arguments, strict=True)
        return status.pack(*(min(value, _LARGEST[kind]) for value, (_, kind) in pairs))
