"""Writes the golden vectors. Run it when the protocol changes on purpose, and read the diff.

    python tests/golden/make_vectors.py

The vectors are for every implementation of the protocol, in whatever language: names and values for
people, hexadecimal bytes for machines. The tests read the files, never this script, and check
them with a second implementation of COBS, CRC-32 and the field layout, so that a mistake of the
first one cannot certify itself.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cobs import cobs

from protocols import frame, messages
from protocols.codec import Field, Message, Record

HERE = Path(__file__).parent


def write(name: str, about: str, vectors: list[dict[str, Any]]) -> None:
    """One file: one vector a line, so that a difference is a line."""
    lines = ",\n".join("  " + json.dumps(vector) for vector in vectors)
    text = f'{{\n "about": {json.dumps(about)},\n "vectors": [\n{lines}\n ]\n}}\n'
    (HERE / name).write_text(text, encoding="utf-8")


# --- messages --------------------------------------------------------------------------------


def number(spec: Field, style: str, salt: int) -> int:
    """The smallest, the largest, or some value of a field in which every byte is different."""
    if style == "low":
        return spec.minimum
    if style == "high":
        return spec.maximum
    span = spec.maximum - spec.minimum + 1
    return spec.minimum + (0x9E3779B97F4A7C15 * (salt + 1)) % span


def value(spec: Field, style: str, salt: int) -> Any:
    """A value for one field."""
    if spec.type.startswith("bytes"):
        text = {"low": b"", "high": b"~" * spec.size_bytes}.get(style, b"1.4.2-rc1")
        return text.ljust(spec.size_bytes, b"\x00")
    parts = tuple(number(spec, style, salt + 7 * i) for i in range(spec.count))
    return parts if spec.count > 1 else parts[0]


def fill(kind: type[Record], style: str, salt: int) -> dict[str, Any]:
    """Values for every fixed field."""
    return {f.name: value(f, style, salt + 31 * i) for i, f in enumerate(kind.FIELDS)}


def build(kind: type[Message], style: str, room: int) -> Message:
    """A message of one style; `room` is what its payload may take."""
    fields = fill(kind, style, kind.CODE)
    if kind.ENTRY is not None:
        count = {"low": 1, "high": kind.entries_per_payload(room)}.get(style, 3)
        entries = [kind.ENTRY(**fill(kind.ENTRY, style, 5 + i)) for i in range(count)]
        fields["entries"] = tuple(entries)
    return kind(**fields)


def plain(item: Any) -> Any:
    """A value as JSON has it: bytes as hexadecimal digits, records as objects."""
    if isinstance(item, Record):
        names = [f.name for f in item.FIELDS]
        names += ["entries"] if getattr(item, "entries", None) is not None else []
        return {name: plain(getattr(item, name)) for name in names}
    if isinstance(item, bytes):
        return item.hex()
    return [plain(part) for part in item] if isinstance(item, tuple) else item


def message_vectors() -> list[dict[str, Any]]:
    """Each request and each good response in three styles."""
    out = []
    for code, request in messages.REQUESTS.items():
        for style in ("low", "high", "some"):
            session, sequence = (0, 0) if request.SCOPE == "any" else (0x1234, 0x56789ABC)
            sides = (
                ("request", build(request, style, messages.PAYLOAD_BYTES), code, b""),
                (
                    "response",
                    build(messages.RESPONSES[code], style, messages.PAYLOAD_BYTES - 1),
                    code | frame.RESPONSE_BIT,
                    b"\x00",
                ),
            )
            for side, message, wire_code, status in sides:
                payload = status + message.pack()
                whole = frame.Frame(session, sequence, wire_code, payload)
                out.append(
                    {
                        "name": f"{request.NAME} {side} {style}",
                        "message": request.NAME,
                        "side": side,
                        "session": session,
                        "sequence": sequence,
                        "code": wire_code,
                        "fields": plain(message),
                        "payload": payload.hex(),
                        "frame": frame.encode(whole).hex(),
                    }
                )
    return out


# --- statuses --------------------------------------------------------------------------------


def status_vectors() -> list[dict[str, Any]]:
    """Each refusal with its arguments."""
    largest = {"u8": 0xFF, "u16": 0xFFFF, "u32": 0xFFFFFFFF, "i32": 0x7FFFFFFF}
    out = []
    for status in messages.STATUSES.values():
        if status.code == 0:
            continue
        for style in ("low", "high", "some"):
            values = {
                name: {"low": -1 if kind == "i32" else 0, "high": largest[kind]}.get(
                    style, (0x1234567 * (i + 3)) % (largest[kind] + 1)
                )
                for i, (name, kind) in enumerate(status.arguments)
            }
            out.append(
                {
                    "name": f"{status.name} {style}",
                    "status": status.code,
                    "arguments": values,
                    "payload": status.pack(*values.values()).hex(),
                }
            )
            if not status.arguments:
                break
    return out


# --- frames ----------------------------------------------------------------------------------


def cobs_vectors() -> list[dict[str, Any]]:
    """The corners of byte stuffing: blocks of 253, 254 and 255 bytes, and zeros about them."""

    def run(length: int, first: int = 1) -> bytes:
        return bytes((first + i - 1) % 255 + 1 for i in range(length))

    cases: dict[str, bytes] = {
        "nothing": b"",
        "one zero": b"\x00",
        "two zeros": b"\x00\x00",
        "one byte": b"\x11",
        "zero, byte, zero": b"\x00\x11\x00",
        "zero in the middle": b"\x11\x22\x00\x33",
        "zero at the end": b"\x11\x22\x33\x00",
    }
    for length in (252, 253, 254, 255, 256, 507, 508, 509, 762):
        cases[f"{length} bytes without a zero"] = run(length)
    for length in (253, 254, 255):
        cases[f"{length} bytes, then a zero"] = run(length) + b"\x00"
        cases[f"a zero, then {length} bytes"] = b"\x00" + run(length)
        cases[f"{length} bytes, a zero, {length} bytes"] = run(length) + b"\x00" + run(length, 99)
        cases[f"{length} zeros"] = bytes(length)
    return [
        {"name": name, "decoded": data.hex(), "encoded": cobs.encode(data).hex()}
        for name, data in cases.items()
    ]


def stream_vectors() -> list[dict[str, Any]]:
    """Bytes as they may arrive, what a decoder finds in them, and how many frames it drops."""
    small = frame.Frame(0x1234, 7, 0x10, b"")
    other = frame.Frame(1, 0xFFFFFFFF, 0x82, b"\x00\x02")
    # With this filler neither the head nor the CRC holds a zero: one unbroken COBS block.
    sizes = {
        size: frame.Frame(0x0101, 0x01010101, 0x21, bytes([0x2A + size % 200]) * (size - 11))
        for size in (253, 254, 255)
    }
    good, second = frame.encode(small), frame.encode(other)
    flipped = bytearray(good)
    flipped[3] ^= 0x40
    cases: list[tuple[str, bytes, list[frame.Frame], int]] = [
        ("one frame", good, [small], 0),
        ("two frames", good + second, [small, other], 0),
        ("empty blocks between frames", b"\x00\x00" + good + b"\x00" + second, [small, other], 0),
        ("half a frame, then nothing", good[:6], [], 0),
        ("end of a frame, then a frame", good[6:] + second, [other], 1),
        ("a flipped bit", bytes(flipped) + second, [other], 1),
        ("a lost closing zero", good[:-1] + second, [], 1),
        ("noise, a zero, a frame", b"\xff\xfe\x80\x01noise\x00" + good, [small], 1),
        ("a block shorter than a frame", cobs.encode(b"\x01\x02\x03") + b"\x00" + good, [small], 1),
        ("a run longer than any frame", b"\x55" * 3000 + b"\x00" + good, [small], 1),
    ]
    for size, whole in sizes.items():
        cases.append((f"a frame of {size} bytes before stuffing", frame.encode(whole), [whole], 0))
    return [
        {
            "name": name,
            "stream": data.hex(),
            "frames": [
                {
                    "session": f.session,
                    "sequence": f.sequence,
                    "code": f.code,
                    "payload": f.payload.hex(),
                }
                for f in frames
            ],
            "dropped": dropped,
        }
        for name, data, frames, dropped in cases
    ]


def main() -> None:
    """Write all files."""
    write(
        "messages.json",
        "Every request and good response: fields, payload (a response's starts with status 0) and"
        " frame with its closing zero. Bytes are hexadecimal. low, high: limits of every field.",
        message_vectors(),
    )
    write(
        "statuses.json",
        "Every refusal: payload of a response, status byte and arguments.",
        status_vectors(),
    )
    write("cobs.json", "Byte stuffing alone, without the closing zero.", cobs_vectors())
    write(
        "streams.json",
        "Bytes as they arrive, the frames in them, and how many unreadable ones are counted.",
        stream_vectors(),
    )


if __name__ == "__main__":
    main()
