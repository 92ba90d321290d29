"""The packet tables of `PROTOCOL.md`."""

from __future__ import annotations

from typing import Any

_BEGIN, _END = "<!-- packet tables: generated -->", "<!-- end of packet tables -->"


def render_document(description: dict[str, Any], document: str) -> str:
    """`PROTOCOL.md` with its tables renewed; the text around them stays."""
    before, _, rest = document.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return f"{before}{_BEGIN}\n\n{render_tables(description)}\n\n{_END}{after}"


def render_tables(description: dict[str, Any]) -> str:
    """Status codes, values that have names, and one section per message."""
    out = ["### Status codes", "", "| code | name | arguments | sentence |", "|---|---|---|---|"]
    for status in description["statuses"]:
        arguments = ", ".join(f"{n} {t}" for n, t in status.get("args", [])) or "–"
        out.append(f"| {status['code']} | {status['name']} | {arguments} | {status['sentence']} |")
    out += ["", "### Values that have names"]
    for name, body in description["enums"].items():
        values = ", ".join(f"{v} {k}" for k, v in body["values"].items())
        out += ["", f"**{name}** ({body['doc'].rstrip('.')}): {values}"]
    for message in description["messages"]:
        title = f"### `{message['name']}` {message['code']:#04x} · {message['kind']}"
        out += ["", f"{title} · scope {message['scope']}", "", message["doc"]]
        for side in ("request", "response"):
            out += ["", *_field_table(side, message[side])]
    return "\n".join(out)


def _field_table(side: str, items: list[dict[str, Any]]) -> list[str]:
    if not items:
        return [f"{side}: empty"]
    rows = [f"| {side} | type | unit | allowed | meaning |", "|---|---|---|---|---|"]
    for item in items:
        if "entries" in item:
            rows += [_row(entry, "entries[ ].") for entry in item["entries"]]
        else:
            rows.append(_row(item, ""))
    return rows


def _row(item: dict[str, Any], prefix: str) -> str:
    kind = item["type"] + (f" × {item['count']}" if item.get("count", 1) != 1 else "")
    allowed = f"{item.get('min', '')} … {item.get('max', '')}" if {"min", "max"} & set(item) else ""
    meaning = item.get("doc", "") or (f"see {item['enum']}" if "enum" in item else "")
    return f"| {prefix}{item['name']} | {kind} | {item.get('unit', '')} | {allowed} | {meaning} |"
