"""The pin map of a drawn board as a page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from protocols.board_map import BoardMap, LinePin
from protocols.drawn_board import LINE_KINDS, SOURCES


def render_pins_page(boards: dict[str, BoardMap]) -> str:
    """PINS.md: everything with a pin, for every wiring."""
    board = boards["reference"]
    drawn = board.drawn
    parts = [
        f"# Pin map of the {drawn.name} board",
        f"Generated from `{drawn.name}.yaml` by `python -m protocols.codegen`; do not edit.",
        f"Sources: {SOURCES['published']} means read from the published firmware, all else is"
        f" {SOURCES['choice']}. No board has been built from this.",
        "## Supplies, in the order of switching on",
        _supplies(board),
        "## Lines of the array",
        _lines(board),
        "## What is where while others are selected",
        _biases(board),
        "## DAC channels",
        _channels(board),
        "## Inputs of the ADC",
        _table(
            ("input", "channel", "pin", "probe", "span", "source"),
            ((a.name, a.input, a.pin, a.probe, a.span, SOURCES[a.source]) for a in drawn.adc),
        ),
        "## Pins of the controller",
        f"Resistors: {drawn.pull.part} each; against {drawn.pull.against}." if drawn.pull else "",
        *(f"### Wiring `{name}`\n\n{_controller(one)}" for name, one in boards.items()),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    lines += [f"| {' | '.join(str(cell) for cell in row)} |" for row in rows]
    return "\n".join(lines)


def _supplies(board: BoardMap) -> str:
    return _table(
        ("rail", "net", "volts", "limit", "draws", "feeds", "source"),
        (
            (
                one.name,
                one.net,
                f"{one.volts:+g} V ± {100 * one.tolerance:g} %",
                f"{1e3 * one.limit_amperes:g} mA",
                f"{1e3 * one.draws_amperes[0]:g} to {1e3 * one.draws_amperes[1]:g} mA",
                one.feeds,
                SOURCES[one.source],
            )
            for one in board.supplies
        ),
    )


def _lines(board: BoardMap) -> str:
    drawn = board.drawn
    rows = []
    for kind in LINE_KINDS:
        of, last = drawn.lines[kind], drawn.lines_of(kind) - 1
        for end in ("near", "far"):
            pins = [pin for pin in board.lines if (pin.kind, pin.end) == (kind, end)]
            rows.append(
                (
                    f"{kind.replace('_', ' ')} 0 to {last}, {end} end",
                    of.runs_along,
                    f"{pins[0].pad} to {pins[-1].pad}",
                    _spans(pins),
                    of.channel if end == "near" else "",
                    f"{of.register_}, code = number" if end == "near" else "",
                    SOURCES[of.source],
                )
            )
    parallel = [
        f"Parallel: {' and '.join(k.replace('_', ' ') for k in one.lines)} ({one.because})."
        for one in drawn.parallel
    ]
    table = _table(
        ("lines", "along a", "chip pads", "connector", "DAC channel", "select register", "source"),
        rows,
    )
    return "\n\n".join([table, *parallel])


def _spans(pins: Sequence[LinePin]) -> str:
    """Connector pins as spans of those that follow one another."""
    spans: list[list[str]] = []
    for pin in pins:
        connector, number = pin.connector_pin.split(".")
        last = spans[-1][-1].split(".") if spans else ["", "-2"]
        if (connector, int(number)) == (last[0], int(last[1]) + 1):
            spans[-1] = [spans[-1][0], pin.connector_pin]
        else:
            spans.append([pin.connector_pin, pin.connector_pin])
    return ", ".join(a if a == b else f"{a} to {b}" for a, b in spans)


def _biases(board: BoardMap) -> str:
    drawn = board.drawn
    gates = {gate.operation: gate.bias for gate in drawn.gates}
    rows = []
    for one in drawn.inhibit:
        bias = gates.get(one.operation) if one.operation in ("read", "multiply") else "its own"
        shown = f"{bias:g} V" if isinstance(bias, float) else str(bias)
        held = (one.bit_line, one.source_line, one.word_line)
        rows.append((one.operation, *held, shown, SOURCES[one.source]))
    head = ("operation", "other bit lines", "other source lines", "other word lines", "gate")
    batch = drawn.batch
    text = (
        f"Cells that get a pulse at once: {batch.cells_at_once}. A batch may hold {batch.together}"
        f" cells; they are pulsed and read one after the other, {batch.pulses_per_step} between two"
        " looks at the line."
    )
    return f"{_table((*head, 'source'), rows)}\n\n{text}"


def _channels(board: BoardMap) -> str:
    rows = []
    for one in board.dac_channels:
        kind = "" if not one.name else "bipolar" if one.bipolar else "unipolar"
        safe = "" if one.safe_code is None else one.safe_code
        source = SOURCES["published" if one.published else "choice"]
        name = one.name.replace("_", " ") or "unused"
        word = "" if one.word is None else one.word
        rows.append((f"{one.dac}{one.output}", one.ref, name, word, kind, safe, one.probe, source))
    head = ("output", "part", "channel", "word of a tick", "span", "safe code", "probe", "source")
    return _table(head, rows)


def _controller(board: BoardMap) -> str:
    rows = []
    for pin in sorted({line.pin for line in board.mcu_lines}, key=lambda p: (p[1], int(p[2:]))):
        lines = [line for line in board.mcu_lines if line.pin == pin]
        pull = f"pull-{lines[0].pull}" if lines[0].pull else ""
        names = [line.signal for line in lines]
        shown = ", ".join(names) if len(names) < 3 else f"{names[0]} to {names[-1]}, shared"
        rows.append((pin, shown, lines[0].direction, pull))
    return _table(("pin", "signal", "direction", "resistor"), rows)
