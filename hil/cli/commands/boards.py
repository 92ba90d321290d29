"""`hil boards`: which boards are connected, and which of the bench file's each one is."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from drivers.ports import Port
from hil.cli.options import BenchOption, JsonOption, context
from hil.discovery import Known, known_boards, ports_of
from hil.report.tables import Table


def command(
    ask: Annotated[
        bool,
        typer.Option(help="Ask free ports for their board's own number (hello disarms a board)."),
    ] = True,
    bench: BenchOption = None,
    json: JsonOption = False,
) -> None:
    """List serial ports, serial numbers, and which board of the bench file is on which port.

    A port that a process has open is not touched. Name a board in the bench file by its number,
    board: serial-number:NUMBER, and it is found on whatever port it is.
    """
    ctx = context(bench, None, json=json)
    ports = ports_of(ctx.config, ask=ask)
    boards = known_boards(ctx.config, ports)
    if json:
        ctx.console.json(
            {
                "ports": [_port(port, boards) for port in ports],
                "boards": [_board(b) for b in boards],
            }
        )
        return
    ctx.console.table(_port_table(ports, boards))
    ctx.console.table(_board_table(boards))


def _here(port: Port, boards: list[Known]) -> list[str]:
    return [known.name for known in boards if port.device in known.ports]


def _port(port: Port, boards: list[Known]) -> dict[str, Any]:
    return {
        "port": port.device,
        "usb_serial": port.usb_serial,
        "board_serial": None if port.board_serial is None else f"{port.board_serial:x}",
        "description": port.description,
        "held_by": port.held_by,
        "note": port.note,
        "bench_boards": _here(port, boards),
    }


def _board(known: Known) -> dict[str, Any]:
    return {
        "name": known.name,
        "board": known.board,
        "chip": known.chip,
        "ports": list(known.ports),
        "note": known.note,
    }


def _port_table(ports: list[Port], boards: list[Known]) -> Table:
    rows = tuple(
        (
            port.device,
            port.usb_serial or "–",
            "–" if port.board_serial is None else f"{port.board_serial:x}",
            ", ".join(_here(port, boards)) or "–",
            f"open in {port.held_by}" if port.held_by else port.note or port.description,
        )
        for port in ports
    )
    heads = ("port", "USB serial number", "board's own", "in the bench file", "")
    return Table("Serial ports", heads, rows, "" if ports else "this computer has none")


def _board_table(boards: list[Known]) -> Table:
    rows = tuple(
        (each.name, each.board, each.chip, ", ".join(each.ports) or "–", each.note)
        for each in boards
    )
    return Table("Boards of the bench file", ("name", "board", "chip", "port", ""), rows)
