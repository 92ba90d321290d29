"""The points of a study: in one order, and drawn so that nothing else changes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.study.config import parse_study
from hil.study.points import points_of


def points(text: str):
    return points_of(parse_study(text, "f"), "f")


def test_a_grid_runs_through_its_axes_the_last_one_fastest() -> None:
    found = points("name: a\ngrid: {weight_error: [0, 0.1], chip: {first: 5, count: 3}}")
    assert [(p.chip, p.weight_error) for p in found] == [
        (5, 0.0),
        (5, 0.1),
        (6, 0.0),
        (6, 0.1),
        (7, 0.0),
        (7, 0.1),
    ]  # in the order of the axes, not of the file


def test_ranges_are_even_and_include_both_ends() -> None:
    found = points("name: a\ngrid: {weight_error: {low: 0, high: 0.3, count: 4}}")
    assert [p.weight_error for p in found] == [0.0, 0.1, 0.2, 0.3]
    found = points("name: a\ngrid: {read_noise: {low: 0.1, high: 10, count: 3, log: true}}")
    assert [p.read_noise for p in found] == [0.1, 1.0, 10.0]
    found = points("name: a\ngrid: {dac_bits: {low: 4, high: 7, count: 9}}")
    assert [p.dac_bits for p in found] == [4, 5, 6, 7]


SAMPLE = """\
name: a
random:
  points: {points}
  seed: {seed}
  over:
    weight_error: {{low: 0.01, high: 0.1}}
    read_noise: {{low: 0.1, high: 10, log: true}}
    dac_bits: {{low: 4, high: 12}}
    mode: [ode, sde]
"""


@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 2**62))
def test_more_points_change_none_of_the_first(few: int, more: int, seed: int) -> None:
    some, all_of_them = (
        points(SAMPLE.format(points=count, seed=seed)) for count in (few, few + more)
    )
    assert all_of_them[:few] == some
    assert [p.chip for p in some] == list(range(1, few + 1))
    for point in all_of_them:
        assert 0.01 <= point.weight_error <= 0.1
        assert 0.1 <= point.read_noise <= 10
        assert point.dac_bits in range(4, 13)
        assert point.mode in ("ode", "sde")


def test_another_axis_changes_no_draw() -> None:
    whole = points(SAMPLE.format(points=20, seed=3))
    text = SAMPLE.format(points=20, seed=3).replace("    mode: [ode, sde]\n", "")
    assert [p.weight_error for p in points(text)] == [p.weight_error for p in whole]


def test_another_seed_is_another_sample_and_a_log_range_is_even_in_its_logarithm() -> None:
    one, other = (points(SAMPLE.format(points=400, seed=seed)) for seed in (1, 2))
    assert [p.read_noise for p in one] != [p.read_noise for p in other]
    below_one = sum(p.read_noise < 1.0 for p in one) / len(one)
    assert below_one == pytest.approx(0.5, abs=0.1)
