"""`hil stop`: outputs safe, now."""

from __future__ import annotations

from typing import Annotated

import typer

from drivers.board import Board
from drivers.link import Link
from drivers.stream import open_stream
from hil.cli.options import BenchOption, BoardOption, JsonOption, context
from hil.config import BenchConfig
from hil.control import door_of, stop_through
from hil.firmware import BOARDS
from hil.safe_states import LATCHING, MEANING
from protocols.errors import InputError, PortError
from protocols.messages import SafeReason

FIRST = "; that came first and stands"


def command(
    clear: Annotated[
        str | None,
        typer.Option(
            "--clear",
            metavar="REASON",
            help="Do not stop: acknowledge this reason (stop, watchdog, fault, interlock).",
        ),
    ] = None,
    bench: BenchOption = None,
    board: BoardOption = None,
    json: JsonOption = False,
) -> None:
    """Put every output of a board to its safe value now, whoever is using it."""
    ctx = context(bench, board, json=json)
    reason = stop_through(door_of(ctx.config)) if clear is None else None
    if reason is None:
        link = _link(ctx.config)
        try:
            reason = link.stop() if clear is None else _clear(link, clear)
        finally:
            link.close()
    if json:
        ctx.console.json(
            {
                "board": ctx.config.board,
                "stopped": clear is None,
                "safe_reason": reason.name.lower(),
            }
        )
        return
    name = reason.name.lower()
    if clear is not None:
        facts = {"board": ctx.config.board, "acknowledged": clear, "reason now": name}
        ctx.console.facts("cleared", facts)
        return
    why = MEANING.get(reason, "see PROTOCOL.md, safe states")
    why += FIRST if reason is not SafeReason.STOP else ""
    facts = {
        "board": ctx.config.board,
        "outputs": "safe",
        "reason": f"{name}: {why}",
        "to go on": f"find out why, then hil stop --clear {name} --board {ctx.config.board}",
    }
    ctx.console.facts("stopped", facts)


def _link(config: BenchConfig) -> Link:
    """The line to a board that lives on its own."""
    if config.board == "sim" or config.board in BOARDS:
        raise InputError(
            f"board {config.board} lives only inside of the process that opened it, and no process"
            f" has chip {config.chip.id!r} open in {config.chip.folder.absolute()}; name a line"
            " with --board serial:PORT, or run hil stop in that process's folder"
        )
    try:
        stream = open_stream(config.board.removeprefix("serial:"), config.link.baud)
    except PortError as error:
        error.add_note(
            "If another program has the line: Ctrl-C there makes the outputs safe. Else switch the"
            " board off."
        )
        raise
    return Link(stream, timeout_s=config.link.timeout_s, attempts=config.link.attempts)


def _clear(link: Link, name: str) -> SafeReason:
    """Acknowledge a latched reason by its name; the reason that is left."""
    known = {reason.name.lower(): reason for reason in LATCHING}
    if name not in known:
        raise InputError(f"--clear {name!r}: reasons that latch are {', '.join(known)}")
    link.open()
    board = Board(link)
    board.safe_clear(known[name])
    return board.status().safe_reason
