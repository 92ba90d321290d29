"""Who answers `hello`, and whether host and board speak of the same messages."""

from __future__ import annotations

import struct

from protocols import messages
from protocols.errors import HandshakeError, MessageError

# These fields open the answer in every version of the protocol (PROTOCOL.md, promises).
_OPENING = struct.Struct("<IHHI")


def check_hello(payload: bytes, nonce: int, name: str) -> messages.HelloResponse:
    """The board's answer to `hello`, checked.

    Raises:
        HandshakeError: another protocol version, another message table, or a malformed answer.
    """
    if len(payload) < _OPENING.size:
        raise HandshakeError(
            f"{name}: the answer to hello has {len(payload)} bytes, at least {_OPENING.size} are"
            " needed; this is not a board of this project, or its firmware is damaged"
        )
    found_nonce, _, version, fingerprint = _OPENING.unpack_from(payload)
    if version != messages.PROTOCOL_VERSION:
        raise HandshakeError(
            f"{name} speaks protocol version {version}, this host version"
            f" {messages.PROTOCOL_VERSION}; {_remedy(version)}"
        )
    if fingerprint != messages.FINGERPRINT:
        raise HandshakeError(
            f"{name} was built from another message table (fingerprint {fingerprint:#010x}, this"
            f" host has {messages.FINGERPRINT:#010x}); build firmware and host from one checkout"
            " and load the firmware again"
        )
    try:
        hello = messages.HelloResponse.unpack(payload)
    except MessageError as error:
        raise HandshakeError(f"{name}: malformed answer to hello: {error}") from error
    if found_nonce != nonce or hello.window < 1:
        raise HandshakeError(f"{name}: the answer to hello belongs to another request; try again")
    return hello


def _remedy(version: int) -> str:
    if version < messages.PROTOCOL_VERSION:
        return "load the firmware of this checkout onto the board"
    return "update this project to the board's version"
