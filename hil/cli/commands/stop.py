"""`hil stop`: outputs safe, now."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Annotated

import typer

from drivers.board import Board
from drivers.link import Link
from drivers.ports import SERIAL_NUMBER
from drivers.stream import open_stream
from hil.boards import open_board
from hil.cli.options import BenchOption, BoardOption, Context, JsonOption, context
from hil.config import BenchConfig
from hil.config_stand_in import INSTRUMENTS
from hil.control import door_of, stop_through
from hil.discovery import line_of
from hil.firmware import BOARDS
from hil.safe_states import LATCHING, MEANING
from protocols.errors import HilError, InputError, PortError
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
    """Put every output of a board to its safe value now, whoever is using it.

    Of a bench file with several boards all are stopped, unless one is named with --on.
    """
    ctx = context(bench, board, json=json, several=clear is None)
    if ctx.several:
        _stop_all(ctx, as_json=json)
        return
    reason = _stop(ctx.config) if clear is None else _on_line(ctx.config, clear)
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


def _stop(config: BenchConfig) -> SafeReason:
    """Through the process that has the board open, else over its line."""
    reason = stop_through(door_of(config))
    return _on_line(config) if reason is None else reason


def _on_line(config: BenchConfig, clear: str | None = None) -> SafeReason:
    if config.board.startswith(SERIAL_NUMBER):
        config = config.with_changes(board=line_of(config).board)
        if clear is None and (reason := stop_through(door_of(config))) is not None:
            return reason  # by somebody who opened it by its port
    link = _link(config)
    try:
        return link.stop() if clear is None else _clear(link, clear)
    finally:
        link.close()


def _stop_all(ctx: Context, *, as_json: bool) -> None:
    """Every board at the same time; one that cannot be stopped keeps none of the others waiting.

    Raises:
        HilError: what the first board says that may not be safe.
    """
    benches = ctx.config.each_board()
    with ThreadPoolExecutor(len(benches), thread_name_prefix="stop") as pool:
        futures = {name: pool.submit(_stop, config) for name, config in benches.items()}
    said: dict[str, str] = {}
    trouble: list[HilError] = []
    for name, future in futures.items():
        error = future.exception()
        if error is None:
            said[name] = future.result().name.lower()
        elif isinstance(error, InputError):
            said[name] = "not open in any process"  # a simulated board
        elif isinstance(error, HilError):
            error.add_note(f"on board {name!r}; the others: {_others(name, futures)}")
            trouble.append(error)
        else:
            raise error
    if trouble:
        raise trouble[0]
    if as_json:
        ctx.console.json({"stopped": True, "boards": said})
    else:
        ctx.console.facts("stopped", said)


def _others(name: str, futures: Mapping[str, Future[SafeReason]]) -> str:
    return ", ".join(
        f"{other} {'not stopped' if future.exception() else 'stopped'}"
        for other, future in futures.items()
        if other != name
    )


def _link(config: BenchConfig) -> Link:
    """The line to a board that lives on its own; to instruments that may have been left on."""
    if config.board == INSTRUMENTS and config.instruments is not None:
        opened = open_board(config, config.load_description(), None)
        return Link(opened.stream)
    if config.board in ("sim", INSTRUMENTS, *BOARDS):
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
