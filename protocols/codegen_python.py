"""The text of `messages.py`, laid out as `ruff format` would."""

from __future__ import annotations

import json
import textwrap
from typing import Any

LINE_LENGTH = 100

_HEADER = '''"""Every message as a dataclass.

Generated from `messages.yaml` by `protocols.codegen`; do not edit.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar

from protocols.codec import Message, Record, Status, field

PROTOCOL_VERSION = {version}
FINGERPRINT = 0x{fingerprint:08X}
PAYLOAD_BYTES = {payload_bytes}
'''
_CODES = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q", "i16": "h", "i32": "i"}


def render_python(description: dict[str, Any], fingerprint: int) -> str:
    """The whole module."""
    parts = [
        _HEADER.format(
            version=description["version"],
            fingerprint=fingerprint,
            payload_bytes=description["payload_bytes"],
        )
    ]
    parts += [_enum(name, body) for name, body in description["enums"].items()]
    for message in description["messages"]:
        parts += [*_message(message, "request"), *_message(message, "response")]
    parts.append(_statuses(description["statuses"]))
    text = "\n\n\n".join(part.strip("\n") for part in parts)
    return "\n\n".join([text, *(_table(description, side) for side in ("request", "response"))])


def camel(name: str) -> str:
    """`pulse_read` → `PulseRead`."""
    return "".join(part.capitalize() for part in name.split("_"))


# --- layout ----------------------------------------------------------------------------------


def _call(opening: str, arguments: list[str], closing: str, indent: int) -> str:
    """`opening` arguments `closing` on one line, or one argument a line when that is too long."""
    space = " " * indent
    flat = f"{space}{opening}{', '.join(arguments)}{closing}"
    if len(flat) <= LINE_LENGTH and not any("\n" in argument for argument in arguments):
        return flat
    inner = [textwrap.indent(argument, space + "    ") + "," for argument in arguments]
    return "\n".join([space + opening, *inner, space + closing])


def _tuple(items: list[str], indent: int = 0, name: str = "") -> str:
    opening = f"{name} = (" if name else "("
    if len(items) == 1:
        return f"{' ' * indent}{opening}{items[0]},)"
    return _call(opening, items, ")", indent)


def _string(text: str, width: int) -> str:
    """A string literal; a long one in several pieces that Python joins."""
    if len(json.dumps(text, ensure_ascii=False)) <= width:
        return json.dumps(text, ensure_ascii=False)
    pieces = textwrap.wrap(text, width - 3, break_long_words=False)
    pieces = [pieces[0], *(" " + piece for piece in pieces[1:])]
    return "\n".join(json.dumps(piece, ensure_ascii=False) for piece in pieces)


def _docstring(text: str) -> list[str]:
    """The first sentence on its line, the rest wrapped below."""
    first, stop, rest = text.partition(". ")
    lines = [f'    """{first}{"." if stop else ""}']
    if rest:
        lines += ["", *textwrap.wrap(rest, LINE_LENGTH - 4, **_INDENT)]
        return [*lines, '    """']
    return [lines[0] + '"""']


_INDENT: dict[str, Any] = {"initial_indent": "    ", "subsequent_indent": "    "}


# --- parts -----------------------------------------------------------------------------------


def _enum(name: str, body: dict[str, Any]) -> str:
    lines = [f"class {camel(name)}(IntEnum):", *_docstring(body["doc"]), ""]
    lines += [f"    {key.upper()} = {value}" for key, value in body["values"].items()]
    return "\n".join(lines)


def _message(message: dict[str, Any], side: str) -> list[str]:
    """The class of one side of a message, after the class of its entries if it has any."""
    name = camel(message["name"]) + side.capitalize()
    plain = [item for item in message[side] if "entries" not in item]
    nested = [item for item in message[side] if "entries" in item]
    doc = message["doc"] if side == "request" else f"Answer to `{message['name']}`."
    head = _record(name, message["name"], "Message", doc, plain)
    head += [
        f"    CODE: ClassVar[int] = 0x{message['code']:02X}",
        f'    KIND: ClassVar[str] = "{message["kind"]}"',
        f'    SCOPE: ClassVar[str] = "{message["scope"]}"',
    ]
    fields = _annotations(plain)
    if not nested:
        return ["\n".join([*head, *([""] if fields else []), *fields])]
    head.append(f"    ENTRY = {name}Entry")
    fields.append(f"    entries: tuple[{name}Entry, ...] = ()")
    return [_entry(name, message["name"], side, nested), "\n".join([*head, "", *fields])]


def _entry(name: str, wire_name: str, side: str, nested: list[dict[str, Any]]) -> str:
    what = "What is asked for one item" if side == "request" else "What comes back for one item"
    items = nested[0]["entries"]
    head = _record(
        f"{name}Entry", f"{wire_name}.entries", "Record", f"{what} of `{wire_name}`.", items
    )
    return "\n".join([*head, "", *_annotations(items)])


def _record(
    name: str, wire_name: str, base: str, doc: str, items: list[dict[str, Any]]
) -> list[str]:
    return [
        "@dataclass(frozen=True, slots=True)",
        f"class {name}({base}):",
        *_docstring(doc),
        "",
        f'    NAME: ClassVar[str] = "{wire_name}"',
        _tuple([_spec(item) for item in items], 4, "FIELDS"),
        f'    STRUCT = struct.Struct("{_format(items)}")',
    ]


def _spec(item: dict[str, Any]) -> str:
    arguments = [f'"{item["name"]}"', f'"{item["type"]}"']
    if item.get("count", 1) != 1:
        arguments.append(f"count={item['count']}")
    if "min" in item:
        arguments.append(f"minimum={item['min']}")
    if "max" in item:
        arguments.append(f"maximum={item['max']}")
    return _call("field(", arguments, ")", 0)


def _format(items: list[dict[str, Any]]) -> str:
    out = "<"
    for item in items:
        kind = item["type"]
        out += f"{kind[5:]}s" if kind.startswith("bytes") else _CODES[kind] * item.get("count", 1)
    return out


def _annotations(items: list[dict[str, Any]]) -> list[str]:
    return [f"    {item['name']}: {_annotation(item)}" for item in items]


def _annotation(item: dict[str, Any]) -> str:
    if item["type"].startswith("bytes"):
        return "bytes"
    return "int" if item.get("count", 1) == 1 else "tuple[int, ...]"


# --- tables ----------------------------------------------------------------------------------


def _statuses(statuses: list[dict[str, Any]]) -> str:
    lines = ["STATUSES: dict[int, Status] = {"]
    for status in statuses:
        pairs = [f'("{name}", "{kind}")' for name, kind in status.get("args", [])]
        arguments = [
            str(status["code"]),
            f'"{status["name"]}"',
            _pairs(pairs),
            _string(status["sentence"], LINE_LENGTH - 9),
        ]
        call = _call(f"{status['code']}: Status(", arguments, ")", 0)
        if "\n" not in call and len(call) + 5 > LINE_LENGTH:
            call = "\n".join([f"{status['code']}: Status(", *(f"    {a}," for a in arguments), ")"])
        lines.append(textwrap.indent(call, "    ") + ",")
    return "\n".join([*lines, "}"])


def _pairs(pairs: list[str]) -> str:
    """The arguments of a status; they stand two levels deep and end in a comma."""
    flat = _tuple(pairs) if pairs else "()"
    if len(flat) + 9 <= LINE_LENGTH:
        return flat
    return "\n".join(["(", *(f"    {pair}," for pair in pairs), ")"])


def _table(description: dict[str, Any], side: str) -> str:
    lines = [f"{side.upper()}S: dict[int, type[Message]] = {{"]
    lines += [
        f"    0x{message['code']:02X}: {camel(message['name'])}{side.capitalize()},"
        for message in description["messages"]
    ]
    return "\n".join([*lines, "}"]) + ("\n" if side == "response" else "")
