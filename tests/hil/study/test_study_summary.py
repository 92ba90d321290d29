"""What the figures say: medians, quartiles, yields."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.study.config import parse_study
from hil.study.figures import figure_of
from hil.study.summary import summaries, wilson

TEXT = """\
name: a
grid: {weight_error: [0, 0.1], mode: [ode, sde]}
figures:
  - {x: weight_error, y: kl_1d, by: mode}
  - {kind: yield, x: weight_error, y: kl_1d, most: 2.5, by: mode}
  - {x: model, y: sliced_w1}
  - {x: weight_error, y: kl_1d, log_x: true, log_y: true}
"""


def row(error: float, mode: str, kl: float | None) -> dict:
    done = kl is not None
    return {
        "weight_error": error,
        "mode": mode,
        "model": None if mode == "ode" else "other",
        "status": "done" if done else "failed",
        "kl_1d": kl,
        "sliced_w1": kl,
        "software_kl_1d": 0.5 if done else None,
        "software_sliced_w1": None,
    }


def rows() -> dict[int, dict]:
    found = [row(0.1, "sde", value) for value in (1.0, 2.0, 3.0, None)]
    found += [row(0.0, "ode", value) for value in (1.0, 1.0)]
    return dict(enumerate(found))


def test_medians_quartiles_and_yields_over_chips() -> None:
    study = parse_study(TEXT, "f")
    curve, good, names, _ = summaries(study, rows())
    assert [(line.by, line.x, line.chips, line.failed) for line in curve.lines] == [
        ("ode", 0.0, 2, 0),
        ("sde", 0.1, 3, 1),
    ]
    assert (curve.lines[1].low, curve.lines[1].middle, curve.lines[1].high) == (1.5, 2.0, 2.5)
    assert curve.lines[1].software == 0.5
    assert good.lines[1].middle == 0.5  # two of four: a chip without figures is not good
    assert good.lines[0].middle == 1.0
    assert [line.x for line in names.lines] == [None, "other"]
    assert names.lines[0].software is None


def test_every_figure_can_be_drawn_with_what_it_is_called() -> None:
    study = parse_study(TEXT, "f")
    for summary in summaries(study, rows()):
        axes = figure_of(study, summary).axes[0]
        assert summary.figure.x in axes.get_xlabel()
        assert summary.figure.y in axes.get_ylabel()
        assert "1 failed" in axes.get_title(loc="left")


def test_a_figure_without_a_single_chip_can_be_drawn_too() -> None:
    study = parse_study(TEXT, "f")
    for summary in summaries(study, {0: row(0.1, "ode", None)}):
        assert figure_of(study, summary).axes


@pytest.mark.parametrize("count", [1, 7, 24, 49])
def test_a_yield_of_all_or_none_can_be_drawn(count: int) -> None:
    study = parse_study(TEXT, "f")
    found = {k: row(0.1, "ode", 9.0 * (k % 2)) for k in range(2 * count)}
    for part in (found, {k: one for k, one in found.items() if k % 2}, {0: found[0]}):
        assert figure_of(study, summaries(study, part)[1]).axes


@given(st.integers(1, 500), st.data())
def test_the_interval_of_a_yield_holds_it(count: int, data) -> None:
    good = data.draw(st.integers(0, count))
    share, low, high = wilson(good, count)
    assert 0.0 <= low <= share <= high <= 1.0  # to the last bit: they are drawn as lengths
    assert high > low


def test_the_interval_narrows_with_the_count() -> None:
    few, many = wilson(5, 10), wilson(500, 1000)
    assert many[2] - many[1] < 0.2 * (few[2] - few[1])
    assert few[0] == pytest.approx(0.5)
