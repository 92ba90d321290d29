"""The study file: what it may say, and how a mistake in it is refused."""

from __future__ import annotations

import pytest

from hil.study.axes import AXES, Point
from hil.study.config import EXAMPLES, load_study, parse_study
from hil.study.job import Study
from hil.study.points import points_of
from protocols.errors import ConfigError, ModelError

GRID = "name: a\ngrid: {chip: 1}\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1, 2]", "a list of keys"),
        ("name: a", "either a grid or a random sample"),
        ("name: a\ngrid: {chip: 1}\nrandom: {points: 2}", "either a grid or a random sample"),
        (GRID + "gird: {}", "gird: no such key"),
        ("name: a\ngrid: {}", "empty"),
        ("name: a\ngrid: {chip: []}", "grid.chip: an empty list"),
        ("name: a\ngrid: {chips: 1}", "grid.chips: no such axis; known are task, model"),
        ("name: a\ngrid: {chip: [1, 2, 1]}", "grid.chip: 1 stands there twice"),
        ("name: a\ngrid: {chip: 1.5}", "no whole number"),
        ("name: a\ngrid: {chip: one}", "'one' is no whole number"),
        ("name: a\ngrid: {chip: true}", "True is no whole number"),
        ("name: a\ngrid: {chip: -1}", "grid.chip is -1; allowed is 0 to"),
        ("name: a\ngrid: {weight_error: 3}", "allowed is 0 to 2"),
        ("name: a\ngrid: {read_noise: 0.01}", "allowed is 0, or 0.1 to 10"),
        ("name: a\ngrid: {weight_error: .nan}", "nan is no number"),
        ("name: a\ngrid: {mode: odd}", "grid.mode: unknown 'odd'; known are ode, sde"),
        ("name: a\ngrid: {chip: {first: 1}}", "is no range of this axis"),
        ("name: a\ngrid: {weight_error: {low: 0, high: 1}}", "is no range of this axis"),
        ("name: a\ngrid: {weight_error: {low: 1, high: 0.5, count: 3}}", "low must lie below"),
        ("name: a\ngrid: {weight_error: {low: 0, high: 1, count: 3, log: true}}", "above 0"),
        ("name: a\ngrid: {weight_error: {first: 1, count: 3}}", "for whole numbers"),
        ("name: a\ngrid: {chip: {first: 1, count: 0}}", "grid.chip.count is 0"),
        (GRID + "figures: [{x: chips}]", "figures.0.x: no such axis 'chips'"),
        (GRID + "figures: [{x: chip, y: kl}]", "figures.0.y: no such column 'kl'"),
        (GRID + "figures: [{kind: yield, x: chip}]", "most: missing"),
        (GRID + "effects: [noise]", "effects: Unknown effect noise"),
        (GRID + "bench: {lop: 1}", "bench: lop: no such key"),
        (GRID + "bench: {seed: 2}", "bench.seed: set by the study itself"),
        (GRID + "name: b", "stands here twice"),
        ("name: ../up\ngrid: {chip: 1}", "name is '../up'"),
    ],
)
def test_a_mistake_is_named_with_its_key(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_study(text, "study.yaml")
    assert said in str(caught.value)
    assert "study.yaml" in str(caught.value)


def test_too_many_points_are_refused() -> None:
    study = parse_study(
        "name: a\ngrid: {chip: {first: 1, count: 100000}, weight_error: "
        "{low: 0, high: 1, count: 11}}",
        "f",
    )
    with pytest.raises(ConfigError, match="1100000 points; 200000 are allowed"):
        points_of(study, "f")


@pytest.mark.parametrize(
    ("grid", "kind", "said"),
    [
        ("{task: rings}", ConfigError, "unknown task 'rings'; known are"),
        ("{model: nothing-like-it}", ModelError, "there is no such model file"),
        ("{profile: nowhere}", ConfigError, "No profile file nowhere"),
    ],
)
def test_what_is_not_there_is_found_out_before_the_first_point(grid, kind, said) -> None:
    study = parse_study(f"name: a\ngrid: {grid}\n", "f")
    with pytest.raises(kind, match=said):
        Study.of(study, "f", "")


def test_a_missing_file_names_the_shipped_studies(tmp_path) -> None:
    with pytest.raises(ConfigError, match="weight-error"):
        load_study(tmp_path / "none.yaml")


def test_every_shipped_study_is_valid_and_has_figures() -> None:
    names = sorted(path.stem for path in EXAMPLES.glob("*.yaml"))
    assert {"weight-error", "read-noise", "dac-bits", "tolerance-yield"} <= set(names)
    for path in EXAMPLES.glob("*.yaml"):
        study, _, _ = load_study(path)
        assert study.name == path.stem
        assert study.figures
        assert study.about
        assert points_of(study)


def test_a_point_has_every_axis_with_its_default() -> None:
    assert Point().values() == {name: axis.default for name, axis in AXES.items()}
