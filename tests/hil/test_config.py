"""The bench file: defaults, refusals that name file, key, value and what is allowed."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from calibration.cell_model import CellModel
from calibration.programming import SETTLE_LONG_S
from calibration.programming.choose import ALGORITHMS
from calibration.programming.ispp import IsppParams
from calibration.programming.predictive import PredictiveParams
from hil.config import BenchConfig, load_config, parse_config, validated_config
from hil.jobs.programming import stated_menu
from hil.sim.profile import profile_path
from protocols.errors import ConfigError


def test_an_empty_file_is_a_simulated_bench():
    assert parse_config("", "b.yaml") == BenchConfig()
    assert BenchConfig().board == "sim"


def test_every_section_is_read():
    text = """
board: serial:/dev/ttyACM0
seed: 7
chip: {id: C7}
limits: {set: {line_volts: 2.5}, pulses_per_cell: 300}
programming:
  algorithm: ispp
  pulse_budget: 50
  set_gate: {start_volts: 1.5, step_volts: 0.05, stop_volts: 3.0, back_volts: 0.1,
             lowest_volts: 1.0}
mapping: {scheme: single_ended}
loop: {tick_s: 0.01, ticks: 100}
sim: {effects: {read_noise: false}}
"""
    config = parse_config(text, "b.yaml")
    assert config.chip.id == "C7"
    assert config.limits.values() == {"set.line_volts": 2.5, "pulses_per_cell": 300}
    assert config.programming.set_gate.step_volts == 0.05
    assert config.mapping.window == (20e-6, 80e-6)
    assert not config.sim.switched().read_noise


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("colour: red", ["b.yaml", "colour", "no such key"]),
        ("loop: {tick_s: 7}", ["b.yaml", "loop.tick_s", "7", "less than or equal to 1"]),
        ("seed: -1", ["b.yaml", "seed", "-1", "greater than or equal to 0"]),
        ("chip: {id: ../../etc}", ["b.yaml", "chip.id", "../../etc"]),
        ("board: banana", ["b.yaml", "board", "banana", "serial:PORT"]),
        ("programming: {aim_fraction: 3}", ["b.yaml", "aim_fraction", "3", "(0, 1]"]),
        ("programming: {aim: 3}", ["b.yaml", "programming.aim", "no such key"]),
        ("mapping: {scheme: magic}", ["b.yaml", "mapping.scheme", "magic", "differential"]),
        ("sim: {effects: {gremlins: true}}", ["b.yaml", "sim.effects", "gremlins", "read_noise"]),
        ("loop: {tick_s: .nan}", ["b.yaml", "loop.tick_s", "nan"]),
        ("- a\n- b", ["b.yaml", "keys with values"]),
        ("a: [unclosed", ["b.yaml", "not valid YAML"]),
        ("a: !!python/object/apply:os.system ['true']", ["b.yaml", "not valid YAML"]),
    ],
)
def test_what_is_wrong_is_named(text: str, parts: list[str]):
    with pytest.raises(ConfigError) as caught:
        parse_config(text, "b.yaml")
    for part in parts:
        assert part in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"none\.yaml: the bench file cannot be read"):
        load_config(tmp_path / "none.yaml")


def test_a_huge_file_is_refused(tmp_path: Path):
    big = tmp_path / "big.yaml"
    big.write_text("# " + "x" * (1 << 20))
    with pytest.raises(ConfigError, match="larger than"):
        load_config(big)


def test_bench_yaml_here_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert load_config(None) == (BenchConfig(), "")
    (tmp_path / "bench.yaml").write_text("seed: 5\n")
    config, text = load_config(None)
    assert (config.seed, text) == (5, "seed: 5\n")


def test_changes_are_checked_and_name_where_they_came_from():
    with pytest.raises(ConfigError, match=r"--board: board is 'x'"):
        BenchConfig().with_changes(source="--board", board="x")


@pytest.mark.parametrize(
    "board",
    [
        "sim",
        "native",
        "native-process",
        "qemu",
        "serial:/dev/ttyACM0",
        "socket://host:7",
        "unix:///x",
    ],
)
def test_names_of_boards(board):
    assert BenchConfig(board=board).board == board


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_algorithm_comes_back_from_what_a_run_keeps(name):
    params = ALGORITHMS[name].params(pulse_budget=77)
    if isinstance(params, PredictiveParams):
        profile = profile_path(BenchConfig().sim.profile)
        params = replace(params, model=CellModel.from_profile(profile))
    plain = json.loads(json.dumps(BenchConfig(programming=params).model_dump(mode="json")))
    again = validated_config(plain, "kept")
    assert type(again.programming) is type(params)
    assert again.programming.pulse_budget == 77
    assert again.model_dump(mode="json") == plain


def test_programming_is_predictive_and_waits_unless_stated_otherwise():
    for text in ("", "programming: {pulse_budget: 50}"):
        found = parse_config(text, "b.yaml").programming
        assert isinstance(found, PredictiveParams)
        assert found.settle_s == SETTLE_LONG_S
    ispp = parse_config("programming: {algorithm: ispp, settle_s: [0.0]}", "b.yaml").programming
    assert isinstance(ispp, IsppParams)
    assert ispp.settle_s == (0.0,)


def test_only_a_stated_menu_binds_everything_else():
    assert stated_menu(BenchConfig()) is None
    assert stated_menu(parse_config("programming: {menu: default}", "b.yaml")) is None
    assert stated_menu(parse_config("programming: {menu: short}", "b.yaml")) is not None
