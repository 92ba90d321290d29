"""Turns `messages.yaml` into `messages.py`, the tables of `PROTOCOL.md` and the C of the firmware.

    python -m protocols.codegen            write them all
    python -m protocols.codegen --check    exit 1 when one of them is stale
    python -m protocols.codegen --limits BOARD    print board_limits.h of another board

All are committed, so that a reader, an editor and a type checker see what is there.
"""

from __future__ import annotations

import sys
import zlib
from pathlib import Path
from typing import Any

import yaml

from protocols import codegen_c
from protocols.codegen_document import render_document
from protocols.codegen_python import render_python
from protocols.hardware import load_board

HERE = Path(__file__).parent
SOURCE = HERE / "messages.yaml"
TARGET = HERE / "messages.py"
DOCUMENT = HERE / "PROTOCOL.md"
FIRMWARE = HERE.parent / "firmware" / "src"


def load(text: str) -> dict[str, Any]:
    """The description as plain data; a field with an enum may hold that enum's values only."""
    data: dict[str, Any] = yaml.safe_load(text)
    for message in data["messages"]:
        for side in ("request", "response"):
            for item in message[side]:
                for leaf in item.get("entries", [item]):
                    if "enum" in leaf:
                        leaf["max"] = max(data["enums"][leaf["enum"]]["values"].values())
    return data


def fingerprint(description: dict[str, Any]) -> int:
    """CRC-32 over what the wire depends on: a comment or a sentence does not change it."""
    return zlib.crc32(repr(_skeleton(description)).encode())


def _skeleton(description: dict[str, Any]) -> list[Any]:
    def fields(items: list[dict[str, Any]]) -> list[Any]:
        return [
            ("entries", fields(f["entries"]))
            if "entries" in f
            else (f["name"], f["type"], f.get("count", 1), f.get("min"), f.get("max"))
            for f in items
        ]

    def head(message: dict[str, Any]) -> tuple[Any, ...]:
        return tuple(message[key] for key in ("name", "code", "kind", "scope"))

    return [
        description["version"],
        sorted((n, sorted(e["values"].items())) for n, e in description["enums"].items()),
        [(s["code"], s["name"], s.get("args", [])) for s in description["statuses"]],
        [(*head(m), fields(m["request"]), fields(m["response"])) for m in description["messages"]],
    ]


def main(arguments: list[str]) -> int:
    """Write the generated files, or with `--check` say whether they are stale."""
    if "--limits" in arguments:
        sys.stdout.write(codegen_c.render_limits(load_board(arguments[-1])))
        return 0
    description = load(SOURCE.read_text(encoding="utf-8"))
    wanted = {
        TARGET: render_python(description, fingerprint(description)),
        DOCUMENT: render_document(description, DOCUMENT.read_text(encoding="utf-8")),
        FIRMWARE / "messages.h": codegen_c.render_header(description, fingerprint(description)),
        FIRMWARE / "messages.c": codegen_c.render_source(description),
        FIRMWARE / "board_limits.h": codegen_c.render_limits(load_board("reference")),
    }
    stale = [
        path
        for path, text in wanted.items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    if "--check" in arguments:
        for path in stale:
            print(f"{path.name} is stale: run python -m protocols.codegen", file=sys.stderr)
        return 1 if stale else 0
    for path in stale:
        path.write_text(wanted[path], encoding="utf-8")
        print(f"wrote {path.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
