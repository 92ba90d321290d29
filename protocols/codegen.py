"""Turns `messages.yaml` into `messages.py`, the tables of `PROTOCOL.md` and the C of the firmware,
and the drawn board into the firmware's pins, the host's map, netlist, bill of parts and diagram.

    python -m protocols.codegen            write them all
    python -m protocols.codegen --check    exit 1 when one of them is stale
    python -m protocols.codegen --limits BOARD    print board_limits.h of another board
    python -m protocols.codegen --board FILE FOLDER    what another drawn board makes, into a folder

All are committed, so that a reader, an editor and a type checker see what is there.
"""

from __future__ import annotations

import sys
import zlib
from pathlib import Path
from typing import Any

import yaml

from protocols import codegen_c
from protocols.codegen_board import render_board
from protocols.codegen_document import render_document
from protocols.codegen_python import render_python
from protocols.drawn_checks import load_drawn
from protocols.hardware import load_board

HERE = Path(__file__).parent
SOURCE = HERE / "messages.yaml"
TARGET = HERE / "messages.py"
DOCUMENT = HERE / "PROTOCOL.md"
FIRMWARE = HERE.parent / "firmware" / "src"
DRAWN = HERE.parent / "firmware" / "board" / "reference.yaml"
MAPS = HERE / "board_maps"


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
    if "--board" in arguments:
        _write(drawn_files(*map(Path, arguments[-2:])))
        return 0
    description = load(SOURCE.read_text(encoding="utf-8"))
    wanted = {
        TARGET: render_python(description, fingerprint(description)),
        DOCUMENT: render_document(description, DOCUMENT.read_text(encoding="utf-8")),
        FIRMWARE / "messages.h": codegen_c.render_header(description, fingerprint(description)),
        FIRMWARE / "messages.c": codegen_c.render_source(description),
        FIRMWARE / "board_limits.h": codegen_c.render_limits(load_board("reference")),
        **drawn_files(DRAWN, DRAWN.parent, MAPS),
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
    _write({path: wanted[path] for path in stale})
    return 0


def drawn_files(drawing: Path, folder: Path, maps: Path | None = None) -> dict[Path, str]:
    """What a drawn board makes by path; the host's map goes to `maps`, else to the folder too."""
    drawn = load_drawn(drawing)
    files = render_board(drawn, load_board("reference"))
    return {
        (maps if name.endswith(".json") and maps else folder) / name: text
        for name, text in files.items()
    }


def _write(files: dict[Path, str]) -> None:
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path.name}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
