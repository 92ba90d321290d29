"""The block diagram of a drawn board as SVG: where every block stands is said here, what is in it
comes from the drawing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from protocols.board_map import BoardMap
from protocols.drawn_board import SOURCES, UNUSED

WIDTH, HEIGHT = 1480, 985
_TITLE_PX, _LINE_PX = 22, 18
INK = {"digital": "#1f5fa8", "analog": "#1d7a46", "power": "#c2610c", "calibration": "#8a5aa8"}
_MEANS = {
    "digital": "digital",
    "analog": "analog",
    "power": "supplies",
    "calibration": "calibration and checks",
}
Point = tuple[int, int]


@dataclass(frozen=True)
class Box:
    """A block: corner, size, title, lines of text, and whether it is a published part."""

    x: int
    y: int
    w: int
    h: int
    title: str
    lines: Sequence[str] = ()
    published: bool = False

    def svg(self) -> list[str]:
        """Its elements."""
        fill, stroke = ("#e6f0fa", "#1f5fa8") if self.published else ("#fafafa", "#555")
        out = [
            f'<rect x="{self.x}" y="{self.y}" width="{self.w}" height="{self.h}" rx="7"'
            f' fill="{fill}" stroke="{stroke}" stroke-width="1.4"/>',
            _text(self.x + 10, self.y + _TITLE_PX, self.title, bold=True),
        ]
        for k, line in enumerate(self.lines):
            out.append(_text(self.x + 10, self.y + _TITLE_PX + _LINE_PX * (k + 1), line))
        return out


@dataclass(frozen=True)
class Wire:
    """A path with an arrow at its end, and what runs along it."""

    kind: str
    points: Sequence[Point]
    label: str = ""
    at: Point | None = None
    both: bool = False

    def svg(self) -> list[str]:
        """Its elements."""
        path = " ".join(f"{x},{y}" for x, y in self.points)
        start = f' marker-start="url(#{self.kind})"' if self.both else ""
        dash = ' stroke-dasharray="6 4"' if self.kind == "calibration" else ""
        out = [
            f'<polyline points="{path}" fill="none" stroke="{INK[self.kind]}" stroke-width="2"'
            f'{dash} marker-end="url(#{self.kind})"{start}/>'
        ]
        if self.label:
            (x0, y0), (x1, _) = self.points[0], self.points[1]
            x, y = self.at or ((x0 + x1) // 2, y0 - 6)
            out.append(_text(x, y, self.label, middle=self.at is None, ink=INK[self.kind]))
        return out


def _text(
    x: int, y: int, text: str, *, bold: bool = False, middle: bool = False, ink: str = "#222",
    size: int = 13,
) -> str:  # fmt: skip
    weight = ' font-weight="600"' if bold else ""
    anchor = ' text-anchor="middle"' if middle else ""
    return (
        f'<text x="{x}" y="{y}" font-size="{size}" fill="{ink}"{weight}{anchor}>'
        f"{escape(text)}</text>"
    )


def render_diagram(board: BoardMap) -> str:
    """The diagram."""
    drawn = board.drawn
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"'
        ' font-family="DejaVu Sans, Helvetica, Arial, sans-serif">',
        f"<!-- Generated from firmware/board/{drawn.name}.yaml by protocols.codegen -->",
        "<defs>",
        *(
            f'<marker id="{kind}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7"'
            f' markerHeight="7" orient="auto-start-reverse"><path d="M0,0 L10,5 L0,10 z"'
            f' fill="{ink}"/></marker>'
            for kind, ink in INK.items()
        ),
        "</defs>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        _text(30, 42, f"The {drawn.name} board", bold=True, size=22),
        _text(30, 64, "No board has been built from this drawing.", ink="#777"),
    ]
    body = [line for wire in _wires(board) for line in wire.svg()]
    body += [line for box in _boxes(board) for line in box.svg()]
    return "\n".join([*head, *body, *_legend(), "</svg>", ""])


def _legend() -> list[str]:
    out, x = [], 470
    for kind, means in _MEANS.items():
        out += Wire(kind, [(x, 38), (x + 45, 38)]).svg()
        out.append(_text(x + 53, 42, means))
        x += 75 + 8 * len(means)
    for source, published in (("published", True), ("choice", False)):
        out += Box(x, 26, 26, 20, "", published=published).svg()
        out.append(_text(x + 34, 42, SOURCES[source]))
        x += 60 + 8 * len(SOURCES[source])
    return out


def _dac_lines(board: BoardMap, spi: int) -> list[str]:
    drawn = board.drawn
    members = board.wiring.buses.get(spi, [])
    found, idle = [], []
    for dac in drawn.dacs:
        if dac.number not in members:
            continue
        names = [channel for channel in dac.channels if channel != UNUSED]
        if names:
            found.append(f"{dac.number} ({dac.ref})  {_short(names)}")
        else:
            idle.append(f"{dac.number} ({dac.ref})")
    return found + ([f"{', '.join(idle)}  unused"] if idle else [])


def _pins(board: BoardMap, spi: int) -> str:
    first = board.wiring.dacs[board.wiring.buses[spi][0]]
    return f" ({first.clk}, {first.din})"


def _short(names: list[str]) -> str:
    """`embedding 1, embedding 2, embedding 3` as `embedding 1 to 3`; two by two with `and`."""
    groups: dict[str, list[str]] = {}
    for name in names:
        stem, _, number = name.rpartition(" ")
        groups.setdefault(stem if number.isdigit() else name, []).append(number)
    shown = []
    for stem, numbers in groups.items():
        last = {1: "", 2: f" and {numbers[-1]}"}.get(len(numbers), f" to {numbers[-1]}")
        shown.append(f"{stem} {numbers[0]}{last}" if numbers[0].isdigit() else stem)
    return ", ".join(shown)


def _boxes(board: BoardMap) -> list[Box]:
    return [*_around(board), *_converters(board), *_array_side(board), _chip(board)]


def _around(board: BoardMap) -> list[Box]:
    """What the board is connected to, and its controller."""
    drawn = board.drawn
    rails = [f"{k + 1}. {one.name} {one.volts:+g} V" for k, one in enumerate(drawn.supplies)]
    return [
        Box(30, 90, 185, 62, "Host", (f"UART, {drawn.serial.connector}",)),
        Box(30, 190, 185, 130, "Supplies, in order", [*rails, "off in reverse"]),
        Box(30, 360, 185, 62, "Interlock", (f"{drawn.interlock.connector}, open stops all",)),
        Box(
            280,
            90,
            150,
            795,
            drawn.controller.part,
            (
                "controller U1",
                "",
                "pull-downs hold",
                "switches, window,",
                "strobe and clear",
                "while it is reset;",
                f"{drawn.reset.net} also clears",
                "the select latches",
            ),
            published=True,
        ),
    ]


def _converters(board: BoardMap) -> list[Box]:
    """What the controller sets over its buses."""
    drawn = board.drawn
    dac = drawn.dac_part.part
    spis = sorted(board.wiring.buses, reverse=True)
    return [
        Box(
            530,
            90,
            303,
            135,
            f"{dac} of the loop{_pins(board, spis[0])}",
            _dac_lines(board, spis[0]),
            published=True,
        ),
        Box(
            530,
            290,
            303,
            115,
            f"{dac} of lines, layers{_pins(board, spis[1])}",
            _dac_lines(board, spis[1]),
        ),
        Box(530, 490, 303, 62, f"{drawn.rows} DACs of the bit lines", ("bipolar, for products",)),
        Box(
            530,
            585,
            303,
            80,
            "Select bus",
            ("18 latched registers: row, column,", "mode, probe, layers, scale"),
        ),
        Box(
            530,
            705,
            303,
            80,
            "References",
            ("ladder of 16 taps, 4, 10, 40 kohm,", "calibration line from every DAC"),
        ),
    ]


def _array_side(board: BoardMap) -> list[Box]:
    """Loop, lines and read paths, between the converters and the chip."""
    drawn = board.drawn
    adc = [f"{one.pin}  {one.name}" for one in drawn.adc]
    return [
        Box(
            920,
            90,
            215,
            135,
            "Loop",
            (
                "3 layers, rectified, clamped",
                "multipliers: drift, score",
                "2 integrators, each with a",
                "preset and integrate switch",
            ),
        ),
        Box(920, 290, 215, 80, "Line drivers", ("bit line, source line, word line", "0 to 5 V")),
        Box(920, 415, 215, 62, "Pulse window", ("ground while its line is low",)),
        Box(
            920,
            520,
            215,
            145,
            "Line switches",
            (
                f"{drawn.rows} bit, {drawn.columns} source,",
                f"{drawn.columns} word lines: ground,",
                "driver, inhibit, own DAC,",
                "read path, loop",
                "ground when latches clear",
            ),
        ),
        Box(
            920,
            705,
            215,
            80,
            "Read paths",
            (f"{drawn.columns} trans-impedance stages", "far-end switches"),
        ),
        Box(920, 825, 215, 106, "Inputs of the ADC", adc),
    ]


def _chip(board: BoardMap) -> Box:
    drawn = board.drawn
    lines = drawn.lines
    near = " ".join(lines[kind].connector for kind in lines)
    far = " ".join(lines[kind].far_connector for kind in lines)
    return Box(
        1240,
        470,
        215,
        195,
        "Chip in its socket",
        (
            f"{drawn.rows} x {drawn.columns} 1T1R",
            "row r: bit line r",
            "column c: source line c,",
            "word line c (parallel)",
            "",
            f"near ends {near}",
            f"far ends {far}",
        ),
    )


def _wires(board: BoardMap) -> list[Wire]:
    drawn = board.drawn
    spis = sorted(board.wiring.buses, reverse=True)
    rows, pulse = drawn.rows_dac, drawn.pulse
    switches = f"{drawn.switches[0].pin} to {drawn.switches[-1].pin}"
    return [
        Wire("digital", [(215, 120), (280, 120)], both=True),
        Wire("power", [(215, 250), (280, 250)]),
        Wire("digital", [(215, 390), (280, 390)]),
        Wire("digital", [(430, 145), (530, 145)], f"SPI{spis[0]}"),
        Wire(
            "digital",
            [(430, 258), (865, 258), (865, 200), (920, 200)],
            f"{switches}: switches of the integrators",
            (560, 252),
        ),
        Wire("digital", [(430, 335), (530, 335)], f"SPI{spis[1]}"),
        Wire(
            "digital",
            [(430, 446), (920, 446)],
            f"{pulse.pin}: {pulse.timer} in one-pulse mode",
            (560, 440),
        ),
        Wire("digital", [(430, 520), (530, 520)], f"SPI{rows.spi}"),
        Wire(
            "digital", [(430, 625), (530, 625)], f"{drawn.select.data[0]} to {drawn.select.strobe}"
        ),
        Wire("analog", [(833, 130), (920, 130)], "words"),
        Wire("analog", [(833, 378), (850, 378), (850, 165), (920, 165)], "layers", (856, 160)),
        Wire("analog", [(833, 330), (920, 330)], "lines"),
        Wire("analog", [(1027, 370), (1027, 415)]),
        Wire("analog", [(1027, 477), (1027, 520)]),
        Wire("analog", [(833, 540), (920, 540)], "rows"),
        Wire("digital", [(833, 625), (920, 625)], "select"),
        Wire("analog", [(1135, 570), (1240, 570)], both=True),
        Wire("analog", [(1027, 665), (1027, 705)], "currents", (1035, 690)),
        Wire("calibration", [(1350, 665), (1350, 745), (1135, 745)], "far ends", (1205, 738)),
        Wire("analog", [(1027, 785), (1027, 825)]),
        Wire(
            "calibration",
            [(833, 745), (870, 745), (870, 855), (920, 855)],
            "calibration line",
            (745, 822),
        ),
        Wire(
            "analog",
            [(1135, 110), (1190, 110), (1190, 848), (1135, 848)],
            "x 1, x 2, probes",
            (1198, 200),
        ),
        Wire(
            "analog", [(1135, 190), (1165, 190), (1165, 540), (1135, 540)], "loop rows", (1096, 400)
        ),
        Wire(
            "analog",
            [(1027, 931), (1027, 955), (355, 955), (355, 885)],
            f"{drawn.adc[0].pin} to {drawn.adc[-1].pin}",
            (600, 949),
        ),
    ]
