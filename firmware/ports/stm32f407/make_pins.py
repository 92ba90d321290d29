"""Turns pins.toml into pins.h.

python3 make_pins.py pins.toml > pins.h
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from typing import Any

WORDS = ["drift", "score", "noise 1", "noise 2", *(f"embedding {i}" for i in range(1, 15))]
# Pins of the SPIs and their alternate function (data sheet of the STM32F407, table 9).
SPI_CLK = {"PA5": 1, "PB3": 1, "PB10": 2, "PB13": 2, "PC10": 3}
SPI_DIN = {"PA7": 1, "PB5": 1, "PB15": 2, "PC3": 2, "PC12": 3}
SPI_ALTERNATE = {1: 5, 2: 5, 3: 6}
OTHERS = [
    "initial 1", "initial 2", "word line", "bit line", "source line",
    "feedback 1", "feedback 2", "feedback 3", "reference 1", "reference 2", "reference 3",
]  # fmt: skip

ROWS = ["cs", "update", "clear"]


def pin(name: str) -> tuple[str, int]:
    """Port letter and number of `PB3`."""
    match = re.fullmatch(r"P([A-I])(\d{1,2})", name)
    if match is None or int(match[2]) > 15:
        raise SystemExit(f"pins.toml: {name!r} is no pin")
    return match[1], int(match[2])


def check(table: dict[str, Any]) -> None:
    """No pin twice, every channel there is exactly once."""
    used = [d[k] for d in table["dac"] for k in ("din", "cs", "clk")]
    select = table["select"]
    used += [*table["switches"].values(), *table["inputs"].values(), *select["data"]]
    used += [*select["register"], select["strobe"]]
    used += [table["rows"][k] for k in ("clk", "din", *ROWS)]
    if twice := sorted({p for p in used if used.count(p) > 1}):
        raise SystemExit(f"pins.toml: used twice: {', '.join(twice)}")
    channels = [c for d in table["dac"] for c in d["channels"] if c != "unused"]
    if sorted(channels) != sorted(WORDS + OTHERS):
        raise SystemExit("pins.toml: the channels are not those that the firmware drives")


def on_spi(dac: dict[str, Any]) -> bool:
    """Whether a DAC is driven by a hardware SPI; its pins have to be those of that SPI."""
    if "spi" not in dac:
        return False
    if SPI_CLK.get(dac["clk"]) != dac["spi"] or SPI_DIN.get(dac["din"]) != dac["spi"]:
        raise SystemExit(f"pins.toml: DAC {dac['number']} does not stand on the pins of its SPI")
    return True


def spi_row(index: int, part: dict[str, Any]) -> str:
    """What stands on a hardware SPI, as an initialiser."""
    (clk, clk_number), (din, din_number) = pin(part["clk"]), pin(part["din"])
    alternate = SPI_ALTERNATE[part["spi"]]
    return (
        f"{{{index}, {part['spi']}, {alternate}, {clk_number}, {din_number},"
        f" &GPIO{clk}, &GPIO{din}}}"
    )


def spi_table(dacs: list[dict[str, Any]]) -> list[str]:
    """DACs on hardware SPIs, closed by an empty row."""
    rows = [spi_row(index, dac) for index, dac in enumerate(dacs) if on_spi(dac)]
    return [f"#define DAC_SPI_TABLE {{{', '.join([*rows, '{0, 0, 0, 0, 0, 0, 0}'])}}}"]


def rows_lines(rows: dict[str, Any]) -> list[str]:
    """The DACs of the bit lines: their SPI, and three lines on one port."""
    if SPI_CLK.get(rows["clk"]) != rows["spi"] or SPI_DIN.get(rows["din"]) != rows["spi"]:
        raise SystemExit("pins.toml: the rows do not stand on the pins of their SPI")
    places = {name: pin(rows[name]) for name in ROWS}
    if len({port for port, _ in places.values()}) != 1:
        raise SystemExit("pins.toml: cs, update and clear of the rows have to be on one port")
    lines = [f"#define ROWS_{macro(name)} (1u << {n})" for name, (_, n) in places.items()]
    return [
        *lines,
        f"#define ROWS_PORT GPIO{places['cs'][0]}",
        f"#define ROWS_SPI {spi_row(0, rows)}",
    ]


def mask(dacs: list[dict[str, Any]], wanted: Any) -> str:
    """A set of DACs as bits."""
    return f"0x{sum(1 << i for i, dac in enumerate(dacs) if wanted(dac)):04x}u"


def banged(dac: dict[str, Any]) -> list[str]:
    """Lines of a DAC that are written bit by bit."""
    return [dac["cs"]] if on_spi(dac) else [dac["din"], dac["cs"], dac["clk"]]


def macro(name: str) -> str:
    """`word line` as `WORD_LINE`."""
    return name.upper().replace(" ", "_")


def render(table: dict[str, Any]) -> str:
    """The text of pins.h."""
    place = {c: (i, k) for i, d in enumerate(table["dac"]) for k, c in enumerate(d["channels"])}
    every = [line for dac in table["dac"] for line in banged(dac)]
    ports = sorted({pin(line)[0] for line in every})
    every += [*table["switches"].values(), *table["select"]["data"]]
    every += [*table["select"]["register"], table["select"]["strobe"]]
    every += [table["rows"][name] for name in ROWS]
    lines = [
        "/* Generated from pins.toml by make_pins.py; do not edit. */",
        "/* clang-format off */",
        "#ifndef PINS_H\n#define PINS_H\n",
        '#include "dac_pins.h"\n',
        f"#define DAC_COUNT {len(table['dac'])}u",
        f"#define DAC_PORTS {len(ports)}u",
        *(f"#define DAC_{k.upper()} 0x{v:04x}u" for k, v in table["dac_words"].items()),
        f"#define DAC_ALL {mask(table['dac'], bool)}",
        f"#define DAC_SPI_SET {mask(table['dac'], on_spi)}",
        "/* Those with words of a tick. */",
        f"#define DAC_LOOP_SET {mask(table['dac'], lambda dac: set(WORDS) & set(dac['channels']))}",
        *spi_table(table["dac"]),
        "",
        f"#define DAC_PORT_REGISTERS {{{', '.join(f'&GPIO{p}' for p in ports)}}}",
        "#define DAC_PIN_TABLE { \\",
    ]
    for dac in table["dac"]:
        parts = []
        for key in ("din", "cs", "clk"):
            port, number = pin(dac[key]) if dac[key] in banged(dac) else (ports[0], 0)
            parts.append(f"{{{ports.index(port)}, {number}}}")
        lines.append(f"    {{{', '.join(parts)}}}, \\")
    lines += ["}", "", "/* Where the words of a tick go: DAC, channel. */"]
    lines.append("#define WORD_CHANNELS { \\")
    lines += [f"    {{{place[w][0]}, {place[w][1]}}}, /* {w} */ \\" for w in WORDS]
    lines += ["}", ""]
    lines += [f"#define CHANNEL_{macro(c)} {{{place[c][0]}, {place[c][1]}}}" for c in OTHERS]
    lines.append("")
    switches = {name: pin(where) for name, where in table["switches"].items()}
    if len({port for port, _ in switches.values()}) != 1:
        raise SystemExit("pins.toml: the switches have to be on one port")
    lines += [f"#define SWITCH_{macro(name)} (1u << {n})" for name, (_, n) in switches.items()]
    lines.append(f"#define SWITCH_PORT GPIO{switches['preset_1'][0]}")
    select = table["select"]
    data = [pin(p) for p in select["data"] + select["register"] + [select["strobe"]]]
    if len({p for p, _ in data}) != 1 or [n for _, n in data] != list(range(14)):
        raise SystemExit("pins.toml: the select bus has to be the lines 0 to 13 of one port")
    lines += [f"#define SELECT_PORT GPIO{data[0][0]}", "#define SELECT_STROBE (1u << 13)"]
    lines += ["#define SELECT_LINES 0x3fffu", *rows_lines(table["rows"])]
    port, number = pin(table["inputs"]["interlock"])
    lines += [f"#define INTERLOCK_PORT GPIO{port}", f"#define INTERLOCK (1u << {number})", ""]
    outputs: dict[str, int] = {}
    for where in every:
        port, number = pin(where)
        outputs[port] = outputs.get(port, 0) | 1 << number
    lines.append("/* Every output: port, pins. */")
    lines.append("#define OUTPUT_PINS { \\")
    lines += [f"    {{&GPIO{p}, 0x{outputs[p]:04x}u}}, \\" for p in sorted(outputs)]
    return "\n".join([*lines, "}", "", "#endif", ""])


def main(path: Path) -> None:
    """Print pins.h."""
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    check(table)
    sys.stdout.write(render(table))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
