"""Where the limits of each stage come from, as the acceptance sheet says it."""

from __future__ import annotations

_CHOICE = "the bench file (bringup.{name}), by default this project's choice"
LIMITS_FROM = {
    "supplies": "volts and amperes: the drawn board's supplies, unless the bench file names rails.",
    "converters": f"all: {_CHOICE}.",
    "pin_map": f"pads: the drawn board; level: {_CHOICE}.",
    "resistor_board": "full scale: the board's description; values: the resistor board; the rest: "
    f"{_CHOICE}.",
    "pulses": f"edges: the description's time constant of the drivers; the rest: {_CHOICE}.",
    "leakage": "leaks: one ADC code of a read for each cell of a line, by the description; shorted "
    f"cells: the description's largest conductance of a cell; their number: {_CHOICE}.",
    "transistors": f"all: {_CHOICE}; the description states no transistors.",
    "read_noise": f"all: {_CHOICE}; the description states no noise. Readings per verify: the "
    "tolerance of programming.",
    "pilot": f"largest conductance: the description; the rest: {_CHOICE}.",
    "loop": f"nominal gains, clamps and full scales: the description; tolerances: {_CHOICE}.",
}


def limits_from(name: str) -> str:
    """One sentence about a stage's limits; empty for a stage that is not known."""
    said = LIMITS_FROM.get(name)
    return "" if said is None else f"Limits. {said[:1].upper()}{said[1:].format(name=name)}"
