"""The loop against a circuit simulator: the netlist, the bars, and ngspice where it is.

What needs ngspice is skipped without it: it is a tool of the benchmarks and not of the tests.
"""

from __future__ import annotations

import importlib
import json
import math
import re
import shutil
import sys
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest

from benchmarks._circuit_loops import MappedNetwork, circuit, drive, rms_volts, simulator, words_of
from benchmarks._circuit_netlist import (
    LayerCells,
    Parts,
    Timeline,
    Words,
    integrator,
    macro_models,
    netlist,
    network,
    source,
)
from benchmarks._circuit_ngspice import CircuitError, transient, version
from hil.diffusion.model import load_model
from hil.waveforms import LoopTiming, Mode
from protocols.hardware import load_board

BOARD = load_board("reference")
LOOP = BOARD.loop
with_ngspice = pytest.mark.skipif(
    shutil.which("ngspice") is None, reason="ngspice is not installed (benchmarks/install_tools.sh)"
)
GOLDEN_AXIS = """\
* axis 1
xmd1 x1 0 drift md1 mult
xms1 0 s1 score ms1 mult
rd1 md1 sum1 250000
rs1 ms1 sum1 250000
rn1 noise1 sum1 1666666.67
ssw2 sum1 inv1 sw2 0 switch
xi1 0 inv1 x1 opamp
ci1 inv1 x1 1e-06
xl1 x1 inv1 limiter
ra1 init1 pre1 100
rb1 x1 pre1 100
ssw1 pre1 inv1 sw1 0 switch
xr1 x1 xr1 follower
sh1 xr1 hold1 track 0 switch
ch1 hold1 0 1e-08
xh1 hold1 held1 follower"""
GOLDEN_LAYER = """\
* layer 1: 3 rows, 1 pairs of columns
rp1_0_0 xr1 p1_0 10000
rp1_1_0 xr2 p1_0 5000
rp1_2_0 bias p1_0 20000
rm1_0_0 xr1 m1_0 20000
rm1_1_0 xr2 m1_0 20000
rm1_2_0 bias m1_0 20000
xt1_0 p1_0 m1_0 t1_0 tia rf=9600
re1_0 emb0 p1_0 9600
xh1_0 t1_0 h1_0 rectifier"""
CELLS = LayerCells(np.array([[100e-6], [200e-6], [50e-6]]), np.full((3, 1), 50e-6), 9600.0)
OUT = LayerCells(np.full((2, 2), 100e-6), np.full((2, 2), 60e-6), 10_000.0)


def still(ticks: int = 4, drift: float = 0.0, noise: float = 0.0, width: int = 1) -> Words:
    shape = np.ones(ticks)
    return Words(drift * shape, 0 * shape, np.full((ticks, 2), noise), np.zeros((ticks, width)))


# --- the netlist -----------------------------------------------------------------------------


def test_an_axis_is_what_the_board_description_says():
    assert "\n".join(integrator(LOOP, 1, Parts())) == GOLDEN_AXIS


@pytest.mark.parametrize("rate", [-4.0, -2.5, 8.0])
def test_a_rate_is_one_over_rc_and_its_sign_an_input_of_the_multiplier(rate):
    loop, parts = LOOP.model_copy(update={"drift_rate_per_s": rate}), Parts(capacitor_farad=2e-7)
    lines = integrator(loop, 2, parts)
    ohm = float(next(line for line in lines if line.startswith("rd2 ")).split()[-1])
    assert 1 / (ohm * 2e-7) == pytest.approx(abs(rate))
    assert (lines[1] == "xmd2 0 x2 drift md2 mult") == (rate > 0)


def test_cells_are_resistors_and_the_embedding_enters_the_plus_column():
    lines = list(network([CELLS, OUT]))
    assert "\n".join(lines[: GOLDEN_LAYER.count("\n") + 1]) == GOLDEN_LAYER
    rest = lines[GOLDEN_LAYER.count("\n") + 1 :]
    assert rest[1] == "rp2_0_0 h1_0 p2_0 10000"
    assert [line for line in rest if line.startswith("xo")] == [
        "xo2_0 t2_0 s1 amplifier",
        "xo2_1 t2_1 s2 amplifier",
    ]
    assert not any(line.startswith("re") for line in rest), "the last layer has no embedding"


def test_clamps_and_gain_are_those_of_the_board():
    loop = LOOP.model_copy(update={"hidden_clamp_volts": 0.21, "output_gain": 3.0})
    text = "\n".join(macro_models(loop, Parts()))
    assert "min(max(v(in),0),0.21)" in text
    assert "rf a f 2000" in text
    assert f"min(max(v(a),{-loop.output_clamp_volts:g})" in text


def test_a_held_word_changes_at_its_tick_and_nowhere_else():
    words = replace(still(), drift=np.array([0.5, 0.5, -0.25, -0.25]))
    timeline = Timeline(settle_s=1e-3, tick_s=5e-3, ticks=4)
    text = netlist("t", LOOP, [CELLS, OUT], words, (0.1, -0.2), timeline)
    found = re.search(r"vdrift drift 0 pwl\(\n(.*?)\)", text, re.DOTALL)
    assert found is not None
    assert found[1].split("\n") == ["+ 0 5", "+ 0.0111 5", "+ 0.011101 -2.5"]
    assert "vscore score 0 0\n" in text, "a word that never changes is a plain source"
    assert "vinit1 init1 0 -0.1\n" in text


def test_the_switches_move_as_the_firmware_moves_them():
    timeline = Timeline(settle_s=1e-3, tick_s=5e-3, ticks=200)
    text = netlist("t", LOOP, [CELLS, OUT], still(200), (0.0, 0.0), timeline)
    edges = {}
    for name in ("sw1", "sw2", "sw3", "sw4", "track"):
        found = re.search(rf"v{name} {name} 0 pwl\(\n(.*?)\)", text, re.DOTALL)
        assert found is not None
        points = [tuple(map(float, line[2:].split())) for line in found[1].split("\n")]
        edges[name] = [points[0][1], *(round(t * 1e6) for t, _ in points[1::2])]
    assert edges["sw1"] == edges["sw3"] == [1.0, 1000, 1_001_300]
    assert edges["sw2"] == edges["sw4"] == [0.0, 1100, 1_001_200]
    assert edges["track"] == [1.0, 1_001_100], "held before a switch moves"


def test_points_that_do_not_follow_each_other_are_refused():
    with pytest.raises(ValueError, match=r"vw at 0\.0010005 s: the points"):
        source("vw", "w 0", 0.0, [(1e-3, 1.0), (1.0005e-3, 2.0)], 1e-6)


def test_the_mapped_network_is_the_model():
    """Weights by the resistors alone, in the model's units."""
    model = load_model("ring")
    for cells, (weights, biases) in zip(
        MappedNetwork(model, BOARD).layers, model.layers, strict=True
    ):
        found = cells.feedback_ohm * (cells.plus - cells.minus).T
        np.testing.assert_allclose(found[:, :-1], weights, atol=1e-9)
        np.testing.assert_allclose(found[:, -1], biases, atol=1e-9)


def test_both_sides_get_the_same_codes():
    network = MappedNetwork(load_model("ring"), BOARD)
    solve = drive(network, Mode.SDE, 2, LoopTiming(5e-3, 200))
    words = words_of(solve, BOARD)
    assert np.array_equal(np.rint(words.drift * 2048) + 2048, solve.waves.drift)
    assert not solve.waves.noise.any(), "no noise but what the words carry"
    spread = np.std(words.noise * LOOP.noise_rate_volts_per_s, axis=0) * math.sqrt(5e-3)
    model = network.model
    total = math.sqrt(float(model.schedule.integral(1.0)) * model.kg) * model.noise.scale
    assert spread == pytest.approx(total * model.volts_per_unit, rel=0.15)


# --- with ngspice ----------------------------------------------------------------------------


def ramp(words: Words, volts: tuple[float, float]) -> np.ndarray:
    """x (2,) at the end of 20 ms of a loop with a network that has no weights, held sample."""
    timeline = Timeline(LOOP.preset_settle_s, 5e-3, 4)
    flat = LayerCells(np.full((3, 1), 1e-4), np.full((3, 1), 1e-4), 1e4)
    none = LayerCells(np.full((2, 2), 1e-4), np.full((2, 2), 1e-4), 1e4)
    text = netlist("ramp", LOOP, [flat, none], words, volts, timeline)
    times, found = transient(text, ("x1", "x2", "held1", "held2"), timeline.end_s, 5e-4)
    at = np.array([np.interp(timeline.capture_s, times, found[:, k]) for k in (0, 1)])
    np.testing.assert_allclose(found[-1, 2:], at, atol=2e-4)
    assert abs(found[-1, 0] - volts[0]) < 1e-3, "the integrators are preset again at the end"
    return at


@with_ngspice
def test_the_circuit_grows_and_integrates_by_the_boards_rates():
    grown = ramp(still(drift=-0.5), (0.2, -0.1))
    np.testing.assert_allclose(grown, np.array([0.2, -0.1]) * math.exp(2.0 * 0.02), rtol=2e-3)
    moved = ramp(still(noise=0.25), (0.1, 0.0))
    np.testing.assert_allclose(moved, [0.1 + 1.5 * 0.02, 1.5 * 0.02], atol=1e-4)
    stopped = ramp(still(noise=0.25), (0.49, 0.0))
    assert stopped[0] == pytest.approx(LOOP.integrator_clamp_volts, abs=1e-3)


@with_ngspice
def test_the_circuit_agrees_with_the_simulator_and_a_wrong_part_does_not():
    timing = LoopTiming(5e-3, 20)
    network = MappedNetwork(load_model("ring"), BOARD)
    solve = drive(network, Mode.ODE, 1, timing)
    wanted = simulator(network, solve)[1]
    scale = BOARD.converters.sample_full_scale_volts
    assert rms_volts(circuit(network, solve, 1), wanted) <= 0.001 * scale
    clamp = LOOP.model_copy(update={"hidden_clamp_volts": 10 * LOOP.hidden_clamp_volts})
    wrong = MappedNetwork(network.model, BOARD.model_copy(update={"loop": clamp}))
    assert rms_volts(circuit(wrong, solve, 1), wanted) > 0.01 * scale


@with_ngspice
def test_a_simulation_that_stops_is_an_error():
    assert version().startswith("ngspice")
    with pytest.raises(CircuitError, match="gave no voltages"):
        transient("* t\nr1 a 0 nonsense_model\nx1 a b nothing\n", ("a",), 1e-3, 1e-4)


@with_ngspice
def test_the_benchmark_draws_keeps_and_judges_what_it_measured(
    benchmark_script, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(benchmark_script, "TICKS", 20)  # of 200: a tenth of the time
    file, figure = tmp_path / "f.json", tmp_path / "f.png"
    found = benchmark_script.measure({Mode.ODE: 1}, figure)
    assert figure.stat().st_size > 10_000
    monkeypatch.setattr(benchmark_script, "measure", lambda *_: found)
    assert benchmark_script.main(["--json", str(file)]) == 0, capsys.readouterr().out
    kept = json.loads(file.read_text())
    assert kept["missed"] == []
    assert kept["simulated"] is True
    assert 0 < kept["worst_rms"] <= benchmark_script.BAR
    monkeypatch.setattr(benchmark_script, "BAR", kept["worst_rms"] / 2)
    assert benchmark_script.main(["--json", str(file)]) == 1
    assert "BAR MISSED: ODE" in capsys.readouterr().out


# --- its bars and errors ---------------------------------------------------------------------


@pytest.fixture
def benchmark_script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, leaving the module search path as it was."""
    monkeypatch.setattr(sys, "path", sys.path.copy())
    return importlib.import_module("benchmarks.circuit")


def test_without_ngspice_the_benchmark_says_how_to_get_it(
    benchmark_script, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert benchmark_script.main(["--quick"]) == 2
    assert "ngspice is not installed; as root on a Debian" in capsys.readouterr().err


@pytest.mark.parametrize("figure", ["rms", "of_way", "held"])
@pytest.mark.parametrize("value", [0.0101, math.nan])
def test_a_solve_that_is_off_misses_the_bar(benchmark_script, figure, value):
    missed = benchmark_script.missed
    row = {"mode": "ODE", "number": 3, "rms": 1e-4, "of_way": 1e-3, "held": 1e-4}
    assert missed({"solves": [row]}) == []
    (sentence,) = missed({"solves": [row, row | {figure: value}]})
    assert sentence.startswith(f"ODE 3: {figure} is")
