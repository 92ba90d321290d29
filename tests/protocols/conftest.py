"""A second, slow implementation of the wire, written from PROTOCOL.md alone, to check the first."""

from __future__ import annotations

from typing import Any

import pytest


class Oracle:
    """Byte stuffing, CRC-32 and numbers, one byte and one bit at a time."""

    @staticmethod
    def crc32(data: bytes) -> int:
        """CRC-32 of ISO 3309: reflected, polynomial 0x04C11DB7, all ones before and after."""
        crc = 0xFFFFFFFF
        for byte in data:
            crc ^= byte
            for _ in range(8):
                crc = (crc >> 1) ^ (0xEDB88320 if crc & 1 else 0)
        return crc ^ 0xFFFFFFFF

    @staticmethod
    def stuff(data: bytes) -> bytes:
        """COBS: each code byte says how far the next zero is; 255 stands for 254 bytes, no zero."""
        out, block, due = bytearray(), bytearray(), True
        for byte in data:
            if byte:
                block.append(byte)
            due = len(block) < 254
            if not byte or not due:
                out += bytes([len(block) + 1]) + block
                block.clear()
        return bytes(out + bytes([len(block) + 1]) + block if due else out)

    @staticmethod
    def unstuff(block: bytes) -> bytes:
        """The inverse: each code byte says how far the next zero is."""
        out = bytearray()
        at = 0
        while at < len(block):
            code = block[at]
            out += block[at + 1 : at + code]
            at += code
            if code < 255 and at < len(block):
                out.append(0)
        return bytes(out)

    @staticmethod
    def number(value: int, kind: str) -> bytes:
        """A little-endian number of a type such as u16."""
        return value.to_bytes(int(kind[1:]) // 8, "little", signed=kind.startswith("i"))

    @classmethod
    def pack(cls, items: list[dict[str, Any]], values: dict[str, Any]) -> bytes:
        """A message from its description in messages.yaml and its values in a vector."""
        out = b""
        for item in items:
            if "entries" in item:
                out += b"".join(cls.pack(item["entries"], entry) for entry in values["entries"])
                continue
            value, kind = values[item["name"]], item["type"]
            if kind.startswith("bytes"):
                out += bytes.fromhex(value)
            else:
                parts = value if isinstance(value, list) else [value]
                out += b"".join(cls.number(part, kind) for part in parts)
        return out

    @classmethod
    def frame(cls, session: int, sequence: int, code: int, payload: bytes) -> bytes:
        """A whole frame with its closing zero."""
        body = cls.number(session, "u16") + cls.number(sequence, "u32") + bytes([code]) + payload
        return cls.stuff(body + cls.number(cls.crc32(body), "u32")) + b"\x00"


@pytest.fixture(scope="session")
def oracle() -> type[Oracle]:
    return Oracle
