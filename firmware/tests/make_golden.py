"""Turns tests/golden/*.json into C: the firmware is held against the same vectors as Python.

python3 make_golden.py FOLDER > golden_vectors.h
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def vectors(folder: Path, name: str) -> list[dict[str, Any]]:
    """The vectors of one file."""
    found: list[dict[str, Any]] = json.loads((folder / name).read_text(encoding="utf-8"))["vectors"]
    return found


def blob(hexadecimal: str) -> str:
    """An initialiser of `blob_t`."""
    data = bytes.fromhex(hexadecimal)
    text = "".join(f"\\x{byte:02x}" for byte in data)
    return f'{{(const uint8_t *)"{text}", {len(data)}}}'


def number(value: int) -> str:
    """A literal of any width and sign."""
    return f"{value}" if value < 0 else f"UINT64_C({value})"


def assignments(prefix: str, fields: dict[str, Any]) -> list[str]:
    """(lvalue, value) of every scalar in a record."""
    out = []
    for name, value in fields.items():
        if name == "entries":
            continue
        parts = list(bytes.fromhex(value)) if isinstance(value, str) else value
        if isinstance(parts, list):
            out += [(f"{prefix}.{name}[{i}]", number(v)) for i, v in enumerate(parts)]
        else:
            out.append((f"{prefix}.{name}", number(parts)))
    return out


def record(kind: str, fields: dict[str, Any], side: str, offset: str, size: str) -> list[str]:
    """C that unpacks (request) or packs (response) one record at `offset` and compares."""
    pairs = assignments("r", fields)
    if not pairs:
        return []
    lines = [f"    {{ {kind}_t r; memset(&r, 0, sizeof r);"]
    if side == "request":
        lines.append(f"      {kind}_unpack(payload + {offset}, &r);")
        lines += [f"      SAME({left}, {right});" for left, right in pairs]
    else:
        lines += [f"      SET({left}, {right});" for left, right in pairs]
        lines.append(f"      uint8_t out[{size}]; {kind}_pack(&r, out);")
        lines.append(f"      assert_memory_equal(out, payload + {offset}, {size});")
    return [*lines, "    }"]


def checker(index: int, vector: dict[str, Any]) -> str:
    """A function that compares every field of one message with its payload."""
    kind = f"{vector['message']}_{vector['side']}"
    upper = kind.upper()
    head = "1" if vector["side"] == "response" else "0"
    lines = [f"static void golden_{index}(const uint8_t *payload) {{", "    (void)payload;"]
    lines += record(kind, vector["fields"], vector["side"], head, f"{upper}_BYTES")
    has_head = any(name != "entries" for name in vector["fields"])
    start = f"{head} + {upper}_BYTES" if has_head else head
    for i, entry in enumerate(vector["fields"].get("entries", [])):
        size = f"{upper}_ENTRY_BYTES"
        offset = f"{start} + {i}u * {size}"
        lines += record(f"{kind}_entry", entry, vector["side"], offset, size)
    return "\n".join([*lines, "}"])


def main(folder: Path) -> None:
    """Print the header."""
    print("/* Generated from tests/golden by make_golden.py. */")
    print("static const golden_cobs_t GOLDEN_COBS[] = {")
    for v in vectors(folder, "cobs.json"):
        print(f"    {{{json.dumps(v['name'])}, {blob(v['decoded'])}, {blob(v['encoded'])}}},")
    print("};\n\nstatic const golden_stream_t GOLDEN_STREAMS[] = {")
    for v in vectors(folder, "streams.json"):
        frames = ", ".join(
            f"{{{{{f['session']}, {f['sequence']}u, {f['code']}}}, {blob(f['payload'])}}}"
            for f in v["frames"]
        )
        listed = f"{{{frames}}}" if frames else "{{{0, 0, 0}, {NULL, 0}}}"
        print(
            f"    {{{json.dumps(v['name'])}, {blob(v['stream'])}, {len(v['frames'])},"
            f" {v['dropped']}, {listed}}},"
        )
    print("};\n")
    messages = vectors(folder, "messages.json")
    for index, v in enumerate(messages):
        print(checker(index, v))
    print("\nstatic const golden_message_t GOLDEN_MESSAGES[] = {")
    for index, v in enumerate(messages):
        print(
            f"    {{{json.dumps(v['name'])}, {int(v['side'] == 'request')},"
            f" {{{v['session']}, {v['sequence']}u, {v['code']}}},"
            f" {blob(v['payload'])}, {blob(v['frame'])}, golden_{index}}},"
        )
    print("};\n")
    refusals = vectors(folder, "statuses.json")
    for index, v in enumerate(refusals):
        values = "".join(
            f", {value}" + ("u" if value >= 0 else "") for value in v["arguments"].values()
        )
        name = v["name"].split()[0]
        call = f"status_{name}(out{values})" if values else f"(out[0] = STATUS_{name.upper()}, 1u)"
        print(f"static size_t refusal_{index}(uint8_t *out) {{ return {call}; }}")
    print("\nstatic const golden_refusal_t GOLDEN_REFUSALS[] = {")
    for index, v in enumerate(refusals):
        print(f"    {{{json.dumps(v['name'])}, {blob(v['payload'])}, refusal_{index}}},")
    print("};")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
