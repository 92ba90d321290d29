"""`macros:` of a bench file: names of its boards, or boards with a name each as it once was."""

from __future__ import annotations

import pytest

from hil.config import BenchConfig, parse_config, validated_config
from protocols.errors import ConfigError

TWO = """
seed: 7
read_volts: 0.1
sim: {seed: 3, board_seed: 5}
macros:
  - {name: left}
  - {name: right, board: native, chip: {id: r2}, limits: {pulses_per_cell: 9}, seed: 40}
"""


def test_a_bench_without_macros_is_its_own_only_one():
    config = BenchConfig()
    assert config.each_macro() == {"sim-001": config}


def test_every_macro_has_a_bench_of_its_own():
    left, right = parse_config(TWO, "bench.yaml").each_macro().values()
    assert (left.board, left.chip.id, left.read_volts, left.seed) == ("sim", "left", 0.1, 7)
    assert (left.sim.seed, left.sim.board_seed, left.sim.chip_id) == (3, 5, "left")
    assert (right.board, right.chip.id, right.limits.pulses_per_cell) == ("native", "r2", 9)
    assert (right.sim.seed, right.sim.board_seed, right.sim.chip_id) == (40, 40, "r2")
    assert left.macros == right.macros == ()
    assert left.limits.pulses_per_cell is None


def test_chips_are_kept_where_the_benchs_chip_is_unless_said_otherwise():
    text = """
    chip: {folder: drawer}
    macros: [{name: a}, {name: b, chip: {id: x}}, {name: c, chip: {id: y, folder: other}}]
    """
    config = parse_config(text, "bench.yaml")
    again = validated_config(config.model_dump(mode="json"), "config.json")
    for each in (config, again):
        folders = [str(macro.chip.folder) for macro in each.each_macro().values()]
        assert folders == ["drawer", "drawer", "other"]


def test_simulated_macros_are_other_dies_and_boards():
    config = parse_config("macros: [{name: a}, {name: b}]", "bench.yaml")
    seeds = [(each.sim.seed, each.sim.board_seed) for each in config.each_macro().values()]
    assert seeds == [(1, 1), (2, 2)]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("macros: [{name: a}, {name: a}]", "two macros with the same name: a"),
        (
            "macros: [{name: a}, {name: b, chip: {id: a}}]",
            r"two boards with the same chip id: a \(a and b\)",
        ),
        ("macros: [{name: a b}]", "String should match"),
        ("macros: [{name: a, rows: 4}]", "no such key"),
        ("macros: [{}]", "macros.0.name: missing"),
    ],
)
def test_wrong_lists_are_refused(text, reason):
    with pytest.raises(ConfigError, match=reason):
        parse_config(text, "bench.yaml")


def test_a_macro_on_no_board_or_on_anothers_line_is_refused():
    with pytest.raises(ConfigError, match=r"boards: a: board is 'nowhere'"):
        parse_config("macros: [{name: a, board: nowhere}]", "bench.yaml")
    text = "board: serial:/dev/ttyUSB0\nmacros: [{name: a}, {name: b}]"
    with pytest.raises(ConfigError, match="two of the boards are on serial:/dev/ttyUSB0"):
        parse_config(text, "bench.yaml")


def test_a_list_with_names_and_entries_is_one_list():
    config = parse_config("boards: {a: {}}\nmacros: [{name: b, board: native}, a]", "bench.yaml")
    assert {name: each.board for name, each in config.each_macro().items()} == {
        "b": "native",
        "a": "sim",
    }
