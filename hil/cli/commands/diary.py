"""`hil diary`: who did what to a chip, and what became of it."""

from __future__ import annotations

from typing import Annotated

import typer

from hil.cli.options import BenchOption, JsonOption, context
from hil.diary import Diary, Entry, add_note, add_touch_down, of_chip, read_diary
from hil.report.tables import Table
from hil.report.text import number

MOST_LOST = 20  # listed on the terminal; all of them with --json


def command(
    chip: Annotated[
        str | None, typer.Argument(metavar="[CHIP]", help="Id of the chip; default: the bench's.")
    ] = None,
    note: Annotated[
        str | None, typer.Option("--note", metavar="TEXT", help="Add a note, dated now.")
    ] = None,
    touch_down: Annotated[
        bool,
        typer.Option("--touch-down", help="Count one more contact of probes or socket with it."),
    ] = False,
    operator: Annotated[
        str | None,
        typer.Option("--operator", metavar="NAME", help="Who notes it; overrides the bench file."),
    ] = None,
    bench: BenchOption = None,
    json: JsonOption = False,
) -> None:
    """Who did what to a chip and when, cells lost and why, notes; needs no board."""
    ctx = context(bench, None, json=json)
    config = of_chip(ctx.config, chip)
    if operator is not None:
        config = config.with_changes("--operator", operator=operator)
    if touch_down:
        add_touch_down(config, note or "")
    elif note is not None:
        add_note(config, note)
    found = read_diary(config)
    if json:
        ctx.console.json(found.to_dict())
        return
    facts = dict(found.chip)
    facts["touch-downs"] = number(found.touch_downs)
    facts["pulses"] = number(sum(entry.pulses or 0 for entry in found.entries))
    simulated = " (simulated)" if found.simulated else ""
    ctx.console.facts(f"chip {found.chip['id']}{simulated}", facts)
    if found.entries:
        ctx.console.table(_entries(found.entries))
    if found.lost:
        ctx.console.table(_lost(found))
    for text in found.missing:
        ctx.console.say(f"not in this diary: {text}")


def _entries(entries: tuple[Entry, ...]) -> Table:
    rows = tuple(
        (
            f"{each.time.astimezone():%Y-%m-%d %H:%M}",
            each.what + (f" ({each.status})" if each.status not in ("", "done") else ""),
            each.operator or "–",
            "–" if each.temperature_celsius is None else f"{each.temperature_celsius:.1f} °C",
            "–" if each.pulses is None else number(each.pulses),
            each.text or each.record,
        )
        for each in entries
    )
    return Table("diary", ("when", "what", "who", "temperature", "pulses", "outcome"), rows)


def _lost(found: Diary) -> Table:
    rows = tuple(
        (f"({each.row}, {each.column})", each.kind, each.why or "–", each.record or "–")
        for each in found.lost[:MOST_LOST]
    )
    left = len(found.lost) - MOST_LOST
    note = f"and {left} more; --json lists all" if left > 0 else ""
    return Table(f"{len(found.lost)} bad cells", ("cell", "is", "why", "run"), rows, note)
