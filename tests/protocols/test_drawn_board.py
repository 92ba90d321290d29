"""The drawn board: what it refuses, what is made of it; firmware and simulator follow it."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest

from hil.sim.board import make_board
from hil.sim.config import SimSettings
from hil.sim.nodes import BoardNodes
from protocols import codegen
from protocols.board_map import BoardMap, load_map
from protocols.codegen_board import render_board
from protocols.codegen_netlist import instances
from protocols.drawn_board import LINE_KINDS, DrawnBoard
from protocols.drawn_checks import load_drawn, parse_drawn
from protocols.errors import ConfigError, InputError
from protocols.hardware import load_board
from protocols.messages import LoopSource

TEXT = codegen.DRAWN.read_text(encoding="utf-8")
DESCRIPTION = load_board("reference")


def changed(*pairs: tuple[str, str]) -> DrawnBoard:
    """The drawing with some text replaced, each in one place."""
    text = TEXT
    for old, new in pairs:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return parse_drawn(text, "copy.yaml")


def macros(drawn: DrawnBoard, wiring: str = "reference") -> dict[str, str]:
    text = render_board(drawn, DESCRIPTION)[f"{wiring}/pins.h"]
    return dict(re.findall(r"#define (\w+) (.+)", text))


@pytest.fixture(scope="module")
def files() -> dict[str, str]:
    return render_board(load_drawn(codegen.DRAWN), DESCRIPTION)


# --- one file for both ends ----------------------------------------------------------------------


def test_firmware_and_simulator_both_follow_a_changed_pin():
    """The bit lines' driver moves to another output of its DAC: channel table and probe move."""
    moved = changed(
        ("[word line, bit line, source line, unused]", "[word line, unused, source line, bit line]")
    )
    before, after = load_drawn(codegen.DRAWN), moved
    assert macros(before)["CHANNEL_BIT_LINE"] == "{4, 1}"
    assert macros(after)["CHANNEL_BIT_LINE"] == "{4, 3}"
    simulated = make_board(SimSettings(), DESCRIPTION)
    assert BoardNodes(simulated, BoardMap(before)).resolved("J7.18") == "dac:bit_line"
    nodes = BoardNodes(simulated, BoardMap(after))
    assert nodes.resolved("J7.20") == "dac:bit_line"
    with pytest.raises(InputError, match=r"J7\.18"):
        nodes.resolved("J7.18")


def test_a_moved_pad_is_found_at_its_new_connector_pin():
    moved = BoardMap(
        changed(
            (
                "channel: bit line, register: 0, moved: {}",
                "channel: bit line, register: 0, moved: {17: J1.200}",
            )
        )
    )
    assert moved.connector_pin("bit_line", 17) == "J1.200"
    assert moved.line_at("J1.18") is None
    nodes = BoardNodes(make_board(SimSettings(), DESCRIPTION), moved)
    assert nodes.resolved("J1.200") == "pin:BL17"


def test_a_switch_on_another_pin_moves_in_both_tables():
    swapped = changed(
        ("name: preset_1, pin: PD0", "name: preset_1, pin: PD7"),
    )
    assert macros(swapped)["SWITCH_PRESET_1"] == "(1u << 7)"
    assert BoardMap(swapped).mcu_pin("switch preset_1").pin == "PD7"
    assert "{&GPIOD, 0x00feu, 0x0030u}" in render_board(swapped, DESCRIPTION)["reference/pins.h"]


def test_a_gate_bias_in_volts_becomes_the_firmwares_code():
    drawn = changed(("operation: multiply, bias: set limit", "operation: multiply, bias: 2.5"))
    found = macros(drawn)
    assert found["MULTIPLY_GATE_CODE"] == "2048u"
    assert found["READ_GATE_CODE"] == "BOARD_SET_GATE_MAX"


def test_the_command_writes_what_another_drawing_makes(tmp_path: Path):
    copy = tmp_path / "copy.yaml"
    copy.write_text(TEXT.replace("name: preset_1, pin: PD0", "name: preset_1, pin: PD7"))
    assert codegen.main(["--board", str(copy), str(tmp_path / "out")]) == 0
    assert "SWITCH_PRESET_1 (1u << 7)" in (tmp_path / "out/reference/pins.h").read_text()
    assert load_map(tmp_path / "out/reference.json").mcu_pin("switch preset_1").pin == "PD7"


def test_a_stale_file_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    copy = tmp_path / "reference.yaml"
    copy.write_text(TEXT.replace("name: preset_1, pin: PD0", "name: preset_1, pin: PD7"))
    codegen.main(["--board", str(codegen.DRAWN), str(tmp_path)])
    monkeypatch.setattr(codegen, "DRAWN", copy)
    monkeypatch.setattr(codegen, "MAPS", tmp_path)
    assert codegen.main(["--check"]) == 1


# --- published and chosen ------------------------------------------------------------------------


def test_the_published_wiring_is_the_published_one():
    board = load_map(wiring="published")
    rows = {
        1: "PB3 PB4 PB5", 2: "PB6 PB7 PB8", 3: "PB9 PE0 PE1", 4: "PB13 PB12 PB11",
        5: "PB10 PE15 PE14", 6: "PE13 PE12 PE11", 7: "PE10 PE9 PE8", 8: "PF15 PF14 PF13",
        9: "PF5 PF4 PF3", 10: "PF2 PF1 PF0",
    }  # fmt: skip
    found = {n: f"{d.din} {d.cs} {d.clk}" for n, d in board.wiring.dacs.items()}
    assert found == rows
    assert board.wiring.buses == {}, "none of these pins can be driven by a hardware SPI"
    channels = {c.name: (c.dac, c.output) for c in board.dac_channels if c.published}
    assert channels["embedding_1"] == (1, "A")
    assert channels["score"] == (9, "A")
    assert channels["drift"] == (9, "B")
    assert len(channels) == 18, "as many words as a tick has"


def test_the_reference_wiring_updates_all_words_of_a_tick_on_one_bus():
    board = load_map()
    words = {channel.dac for channel in board.dac_channels if channel.word is not None}
    assert words == {1, 2, 3, 4, 9}
    assert board.wiring.buses[3] == sorted(words)
    assert len({board.wiring.dacs[n].cs[1] for n in words}) == 1, "selects on one port"


def test_the_map_knows_the_channels_of_the_messages():
    board = load_map()
    for source in LoopSource:
        if source is not LoopSource.REFERENCE:
            assert board.dac_channel(source.name.lower()).safe_code in (0, 2048)
    assert {a.span for a in board.adc_channels} <= set(type(DESCRIPTION.converters).model_fields)
    assert (board.drawn.rows, board.drawn.columns) == (DESCRIPTION.rows, DESCRIPTION.columns)
    neighbours = {(pin.kind, pin.number) for pin in board.neighbours("word_line", 5)}
    assert neighbours == {("word_line", 4), ("word_line", 6), ("source_line", 5)}
    with pytest.raises(InputError, match="no bit_line 128"):
        board.line("bit_line", 128)


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("name: preset_1, pin: PD0", "name: preset_1, pin: PD1", "used twice: PD1"),
        ("name: preset_1, pin: PD0", "name: preset_1, pin: PE10", "switches: .* one port"),
        ("      1: {din: PB3,", "      1: {spi: 1, din: PB3,", "DAC 1 does not stand on the pins"),
        ("cs: PE9}", "cs: PF9}", "selects of SPI 2 have to be on one port"),
        ("[score, drift, noise 1, noise 2]", "[score, drift, noise 1, unused]", "noise 2"),
        ("probe: J9.1, source", "probe: J9.1, sauce", "sauce: no such key"),
        ("probe: J9.1, source: choice", "probe: J9.1", "source: missing"),
        ("probe: J9.1,", "probe: J1.1,", "connector pins used twice: J1.1"),
        ("source: choice}\n\n# Analog switches", "source: guess}\n\n# Analog switches", "guess"),
        ("one_pulse: true", "one_pulse: false", "one_pulse"),
        ("limit_amperes: 0.3,", "limit_amperes: 0.1,", "draws_amperes"),
        ("strobe: PG13", "strobe: PG14", "select: the bus"),
    ],
)
def test_what_does_not_fit_together_is_refused(old: str, new: str, says: str):
    with pytest.raises(ConfigError, match=says):
        changed((old, new))


def test_every_item_says_where_it_comes_from():
    """Without its source no item is taken; so this counts them all."""
    count = len(re.findall(r"source: (?:published|choice)", TEXT))
    assert count > 80
    for match in list(re.finditer(r", source: (?:published|choice)\}", TEXT))[:: count // 12]:
        with pytest.raises(ConfigError, match="source"):
            parse_drawn(TEXT[: match.start()] + "}" + TEXT[match.end() :], "copy.yaml")


# --- netlist, parts, pages -----------------------------------------------------------------------


def test_the_netlist_joins_every_pad_with_connector_and_switches():
    nets: dict[str, set[str]] = {}
    found = list(instances(load_map_with_parts()))
    refs = Counter(one.ref for one in found)
    assert not [ref for ref, count in refs.items() if count > 1]
    for one in found:
        for net in one.pins.values():
            nets.setdefault(net, set()).add(one.ref)
    board = load_map_with_parts()
    for pin in board.lines:
        assert {"DUT1", pin.connector_pin.split(".")[0]} < nets[pin.pad], pin.pad
        assert len(nets[pin.pad]) == 3, "chip, connector and one switch"
    spare = re.compile(r"REGISTER_\d+_\d|DAC_\d+_[A-D]|OSC_|SW(DIO|CLK)")
    alone = [net for net, parts in nets.items() if len(parts) == 1 and not spare.match(net)]
    assert alone == []
    for line in board.mcu_lines:
        if line.pull == "down":
            ends = [one.pins for one in found if one.part == board.drawn.pull.part]
            assert any(pins["2"] == "GND" for pins in ends)


def load_map_with_parts() -> BoardMap:
    return BoardMap(load_drawn(codegen.DRAWN))


def test_the_netlist_is_spice_and_the_bill_counts_the_same_parts(files):
    statements = files["board.cir"].replace("\n+", "").splitlines()
    pins = {
        words[1]: len(words) - 2
        for words in map(str.split, statements)
        if words and words[0] == ".subckt"
    }
    parts = [line.split() for line in statements if line.startswith("X")]
    for words in parts:
        assert len(words) - 2 == pins[words[-1]], words[0]
    assert statements[-1] == ".end"
    bill = list(csv.DictReader(io.StringIO(files["parts.csv"])))
    assert sum(int(row["quantity"]) for row in bill) == len(parts)
    assert {row["source"] for row in bill} == {"published", "this project's choice"}


def test_the_pin_page_and_the_diagram_show_what_is_drawn(files):
    page = files["PINS.md"]
    for name in ("PB3", "PC10", "J1.1 to J1.128", "this project's choice", "set limit"):
        assert name in page
    assert page.count("| PB3 | dac 1 din |") == 1, "on the published wiring alone"
    root = ElementTree.fromstring(files["board.svg"])
    text = " ".join(found.text or "" for found in root.iter("{http://www.w3.org/2000/svg}text"))
    for said in ("STM32F407ZGT6", "TIM5 in one-pulse mode", "4. drivers +6 V", "NRST also clears"):
        assert said in text
    moved = changed(
        ("name: drivers, net: +6VD, volts: 6.0", "name: drivers, net: +6VD, volts: 7.0")
    )
    assert "4. drivers +7 V" in render_board(moved, DESCRIPTION)["board.svg"]


def test_supplies_come_logic_first_and_line_drivers_last():
    names = [one.name for one in load_map().supplies]
    assert (names[0], names[-1]) == ("logic", "drivers")
    assert set(LINE_KINDS) == set(load_map().drawn.lines)
