"""What a drawn board is turned into, file by file."""

from __future__ import annotations

import json

from protocols.board_map import REFERENCE, BoardMap
from protocols.codegen_diagram import render_diagram
from protocols.codegen_netlist import render_netlist, render_parts
from protocols.codegen_pages import render_pins_page
from protocols.codegen_pins import render_pins
from protocols.drawn_board import DrawnBoard
from protocols.hardware import BoardDescription

_DRAWING = {"parts", "pull", "chip", "bundles"}


def render_board(drawn: DrawnBoard, description: BoardDescription) -> dict[str, str]:
    """Every generated file by its name in the board's folder.

    Args:
        drawn: the board as it is drawn.
        description: what its codes mean; gate biases in volts become codes by it.
    """
    boards = {wiring: BoardMap(drawn, wiring) for wiring in drawn.wirings}
    files = {
        f"{wiring}/pins.h": render_pins(drawn, wiring, description) for wiring in drawn.wirings
    }
    board = boards[REFERENCE]
    return files | {
        f"{drawn.name}.json": render_map(drawn),
        "board.cir": render_netlist(board),
        "parts.csv": render_parts(board),
        "PINS.md": render_pins_page(boards),
        "board.svg": render_diagram(board),
    }


def render_map(drawn: DrawnBoard) -> str:
    """What host and simulator read: the drawn board without its parts."""
    plain = drawn.model_dump(mode="json", by_alias=True, exclude=_DRAWING)
    return json.dumps(plain, indent=1) + "\n"
