"""A twin: the cells of a programmed chip without the programming, on the simulator's own loop."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hil.diffusion.sampler import held_loop, initial_conditions
from hil.jobs.mapping import map_model
from hil.study.chip import programmed_chip
from hil.study.config import parse_study
from hil.study.points import points_of
from hil.study.settings import bench_of, board_of, ideal_model, model_of
from hil.study.twin import solve_twin, weight_rms
from protocols.errors import LimitError

IDEAL = (
    "name: a\ngrid: {axes}\neffects: []\n"
    "bench: {{loop: {{trim_drive: false}}, description: reference}}\n"
)


def solved(text: str):
    study = parse_study(text, "f")
    return [solve_twin(bench_of(study, p), p) for p in points_of(study)]


def ideal(axes: str):
    return solved(IDEAL.format(axes=axes))


def programmed(axes: str, effects: str = "[relaxation, drift, read_noise, telegraph]", wanted=None):
    study = parse_study(f"name: a\ngrid: {axes}\neffects: {effects}\n", "f")
    point = points_of(study)[0]
    config = bench_of(study, point)
    model = wanted or ideal_model("ring")
    return config, programmed_chip(config, config.load_description(), model)


# --- the loop ------------------------------------------------------------------------------------


def test_an_ideal_twin_gives_what_the_ideal_loop_gives() -> None:
    (found,) = ideal("{tolerance_siemens: 0, samples: 400, dac_bits: 16}")
    model = ideal_model("ring")
    start = np.clip(initial_conditions(model, 1, 0, 400), -4.0, 4.0)
    off = np.abs(found.samples - held_loop(model, start))
    assert np.median(off) < 2e-3  # its words are those of the middle of a tick, x comes in codes
    assert np.sqrt(np.mean(off**2)) < 0.02
    assert found.figures["weight_rms"] < 1e-9
    assert found.figures["in_tolerance"] == 1.0


def test_fewer_bits_of_the_waveforms_are_further_from_the_ideal_loop() -> None:
    rough, fine = (
        one.samples for one in ideal("{tolerance_siemens: 0, samples: 100, dac_bits: [5, 12]}")
    )
    model = ideal_model("ring")
    right = held_loop(model, np.clip(initial_conditions(model, 1, 0, 100), -4.0, 4.0))
    off = [float(np.median(np.abs(x - right))) for x in (rough, fine)]
    assert off[0] > 10 * off[1]


def test_waveforms_of_another_resolution_leave_the_boards_own_alone() -> None:
    study = parse_study("name: a\ngrid: {dac_bits: 6}", "f")
    point = points_of(study)[0]
    config = bench_of(study, point)
    assert board_of(config, point).converters.bits == 6
    assert config.load_description().converters.bits == 12


def test_the_same_point_is_the_same_whoever_asks_and_another_chip_another() -> None:
    text = "name: a\ngrid: {chip: [1, 2], samples: 50, mode: sde}\n"
    first, other = solved(text)
    again = solved(text.replace("[1, 2]", "[2, 1]"))  # a grid keeps the order of its list
    assert np.array_equal(first.samples, again[1].samples)
    assert np.array_equal(other.samples, again[0].samples)
    assert not np.array_equal(first.samples, other.samples)
    assert first.figures == again[1].figures


def test_a_fitted_drive_ends_nearer_to_the_software() -> None:
    text = "name: a\ngrid: {{tolerance_siemens: 1e-5, samples: 300}}\n"
    text += "bench: {{loop: {{trim_drive: {}}}}}"
    plain, fitted = (solved(text.format(value))[0] for value in ("false", "true"))
    model = ideal_model("ring")
    right = held_loop(model, initial_conditions(model, 1, 0, 300))
    off = [float(np.median(np.abs(one.samples - right))) for one in (plain, fitted)]
    assert off[1] < 0.7 * off[0]
    assert np.isnan(plain.figures["flow_error"])
    assert 0.0 < fitted.figures["flow_error"] < 0.1


def test_words_beyond_a_converter_are_refused() -> None:
    with pytest.raises(LimitError, match="embedding"):
        solved(
            "name: a\ngrid: {samples: 10, tolerance_siemens: 0}\n"
            "bench: {description: tests/hil/study/narrow.yaml, loop: {trim_drive: false}}"
        )


# --- weights -------------------------------------------------------------------------------------


def test_a_weight_error_is_what_it_says() -> None:
    (found,) = ideal("{tolerance_siemens: 0, samples: 10, weight_error: 0.05}")
    assert found.figures["weight_rms"] == pytest.approx(0.05, rel=0.15)


def test_weight_errors_belong_to_the_chip() -> None:
    study = parse_study("name: a\ngrid: {chip: [1, 2], weight_error: 0.05}", "f")
    one, other = (model_of(bench_of(study, p), p) for p in points_of(study))
    again = model_of(bench_of(study, points_of(study)[0]), points_of(study)[0])
    assert np.array_equal(one.weights[1], again.weights[1])
    assert not np.array_equal(one.weights[1], other.weights[1])


# --- cells ---------------------------------------------------------------------------------------


def test_cells_end_inside_their_tolerance() -> None:
    config, chip = programmed("{tolerance_siemens: 4e-6}", "[]")
    off = chip.siemens(chip.now_s) - chip.placement.target_siemens
    share = off / 4e-6
    aim = config.programming.aim_fraction
    assert np.abs(share).max() <= aim + 1e-9
    assert np.std(share) == pytest.approx(aim / np.sqrt(3), rel=0.1)  # uniform
    assert chip.in_tolerance.all()
    assert chip.now_s == 0.0  # nothing moves, so nothing is waited for


def test_cells_that_move_are_put_back_and_go_on_moving() -> None:
    config, chip = programmed("{chip: 3}")
    target = chip.placement.target_siemens
    tolerance = config.programming.tolerances(target)
    then, later = (
        np.sqrt(np.mean(((chip.siemens(at) - target) / tolerance) ** 2))
        for at in (chip.now_s, chip.now_s + 1e6)
    )
    assert chip.now_s == pytest.approx(sum(config.programming.settle_s))
    assert chip.in_tolerance.mean() > 0.95
    assert then < 0.7
    assert later > 1.5 * then


def test_what_the_lines_take_is_made_up_for() -> None:
    _, chip = programmed("{tolerance_siemens: 0}", "[line_resistance]")
    assert chip.siemens(0.0) == pytest.approx(chip.placement.target_siemens, rel=1e-9)
    assert not np.allclose(
        chip.array.chip.cells.conductance(chip.index, 0.0), chip.placement.target_siemens, rtol=1e-4
    )


def test_stuck_cells_are_gone_round() -> None:
    config, chip = programmed("{stuck_fraction: 0.01, tolerance_siemens: 0}", "[stuck_cells]")
    assert 100 < chip.bad_cells < 230  # 1 % of 16,384
    model = ideal_model("ring")
    plain = map_model(model, config, None, measured=False).wanted
    index = chip.array.flat(plain.cells.rows, plain.cells.columns)
    chip.array.chip.cells.set_conductance(index, plain.target_siemens)
    careless = weight_rms(plain, chip.array.conductance(index, 0.0), model)
    _, chip = programmed("{stuck_fraction: 0.01, tolerance_siemens: 0}", "[stuck_cells]")
    assert weight_rms(chip.placement, chip.siemens(0.0), model) < 0.5 * careless
    assert not chip.in_tolerance[chip.placement.fixed].any()
    assert chip.in_tolerance[chip.placement.driven].all()


def test_read_noise_may_be_off_or_a_factor() -> None:
    study = parse_study("name: a\ngrid: {read_noise: [0, 1, 3]}", "f")
    off, plain, loud = (bench_of(study, p).sim for p in points_of(study))
    assert not off.switched().read_noise
    assert not off.switched().telegraph
    assert plain == replace_seed(plain)
    assert loud.profile_scale == {"read_noise.sigma": 3.0}


def replace_seed(sim):
    return sim.model_copy(update={"seed": 1})


def test_age_moves_the_cells_and_the_samples() -> None:
    young, old = solved("name: a\ngrid: {age_s: [0, 1e8], samples: 200}\n")
    assert old.figures["weight_rms"] > 1.2 * young.figures["weight_rms"]
    assert not np.array_equal(old.samples, young.samples)


def test_points_differ_by_what_is_varied_alone() -> None:
    study = parse_study("name: a\nseed: 9\ngrid: {chip: 4, samples: 20}", "f")
    (point,) = points_of(study)
    config = bench_of(study, point)
    assert (config.seed, config.sim.seed, config.sim.board_seed) == (9, 4, 4)
    other = bench_of(study, replace(point, weight_error=0.1))
    assert other == config
