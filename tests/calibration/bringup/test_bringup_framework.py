"""Figures, results, the choice of stages and the runner, with stages made up for it."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.bringup import STAGES
from calibration.bringup.runner import Ran, chosen, run_stages, unpowered
from calibration.bringup.stage import Figure, Needs, Rig, Stage, StageResult
from calibration.startup import Finding
from protocols.errors import (
    BoardError,
    CalibrationError,
    ChipBusyError,
    ChipError,
    InputError,
    InstrumentLost,
    InstrumentTimeout,
    LinkTimeout,
    SafetyError,
)

FINDING = Finding("broken", ("x", 3), "x 3 is broken", "Mend x 3")


def rig(**instruments) -> Rig:
    roles = ("supply", "smu", "scope", "pulser", "thermometer", "matrix")
    have = SimpleNamespace(**{role: instruments.get(role) for role in roles})
    done = Rig(macro=None, integrator=None, description=None, instruments=have)
    done.put_fixture = lambda fixture: fitted.append(fixture)
    fitted: list[str] = []
    done.fitted = fitted
    return done


NOTHING = Needs()


def stage(name: str, outcome, needs: Needs = NOTHING) -> Stage:
    def run(rig, params):
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    return Stage(name, f"the stage {name}", needs, SimpleNamespace, run)


def good(name: str, value: float = 1.0) -> StageResult:
    return StageResult(name, (Figure("f", value, "V", 0.5, 1.5),), data={"of": name})


# --- figures and results ---------------------------------------------------------------------


@given(
    st.floats(allow_nan=True),
    st.floats(allow_nan=False),
    st.floats(allow_nan=False),
)
def test_a_figure_passes_between_its_limits_alone(value, low, high):
    found = Figure("f", value, "V", low, high)
    assert found.passed == (low <= value <= high)
    assert "f is" in str(found)


@pytest.mark.parametrize(
    ("low", "high"), [(-math.inf, math.inf), (0.0, math.inf), (-math.inf, 2.0), (0.0, 2.0)]
)
@pytest.mark.parametrize("value", [1.0, math.nan])
def test_a_figure_comes_back_from_json(low, high, value):
    found = Figure("gain", value, "", low, high, "Check it")
    plain = json.loads(json.dumps(found.to_dict()).replace("NaN", "null"))
    back = Figure.from_dict(plain)
    assert (back.low, back.high, back.what, back.name) == (low, high, "Check it", "gain")
    assert back.value == value or (math.isnan(value) and math.isnan(back.value))
    assert back.passed == found.passed


def test_a_result_passes_without_findings_and_with_all_figures_within_limits():
    assert good("a").passed
    assert not good("a", 2.0).passed
    assert not StageResult("a", good("a").figures, (FINDING,)).passed


def test_a_result_says_what_to_check_findings_before_figures():
    bad = Figure("volts", 2.0, "V", 0.0, 1.0, "Check the supply")
    of_figures = StageResult("a", (bad,), advice=("Warm up",))
    assert of_figures.to_check == ("Check the supply", "Warm up")
    assert "volts is 2 V, 0 to 1 V is allowed" in of_figures.why
    both = StageResult("a", (bad,), (FINDING, FINDING))
    assert both.to_check == ("Mend x 3",)
    assert both.why == "x 3 is broken; x 3 is broken"


def test_a_long_list_of_findings_is_cut():
    found = StageResult("a", (), (FINDING,) * 9)
    assert found.why.endswith("; and 5 more")


def test_a_result_comes_back_from_its_record():
    result = StageResult("a", good("a").figures, (FINDING,), ("Warm up",), {"n": [1, 2]})
    back = StageResult.from_dict(json.loads(json.dumps(result.to_dict())))
    assert back.to_dict() == result.to_dict()
    assert back.findings == (FINDING,)


@pytest.mark.parametrize("damage", ["name", "figures", "findings", "data"])
def test_a_damaged_record_is_no_result(damage):
    data = good("a").to_dict()
    del data[damage]
    with pytest.raises((KeyError, TypeError, ValueError)):
        StageResult.from_dict(data)


# --- which stages ----------------------------------------------------------------------------

ABCD = tuple(stage(name, good(name)) for name in "abcd")


def names(stages) -> str:
    return "".join(one.name for one in stages)


@pytest.mark.parametrize(
    ("passed", "options", "expected"),
    [
        ("", {}, "abcd"),
        ("ab", {}, "cd"),
        ("abcd", {}, ""),
        ("ac", {}, "bcd"),
        ("", {"first": "a"}, "abcd"),
        ("ab", {"first": "b"}, "bcd"),
        ("", {"only": ("a",)}, "a"),
        ("ab", {"only": ("c",)}, "c"),
        ("", {"only": ("b", "a")}, "ab"),
    ],
)
def test_stages_are_chosen(passed, options, expected):
    assert names(chosen(ABCD, set(passed), **options)) == expected


@pytest.mark.parametrize(
    ("passed", "options", "said"),
    [
        ("", {"first": "b"}, "b comes after a"),
        ("", {"only": ("c",)}, "c comes after a"),
        ("a", {"only": ("c",)}, "c comes after b"),
        ("ac", {"first": "d"}, "d comes after b"),
    ],
)
def test_no_stage_runs_past_one_that_has_not_passed(passed, options, said):
    with pytest.raises(CalibrationError, match=said):
        chosen(ABCD, set(passed), **options)


@pytest.mark.parametrize(
    "options", [{"first": "e"}, {"only": ("x",)}, {"only": ("a",), "first": "a"}]
)
def test_a_wrong_choice_is_refused(options):
    with pytest.raises(InputError):
        chosen(ABCD, set("abcd"), **options)


def test_every_stage_of_the_project_is_whole():
    assert [one.name for one in STAGES] == [
        *("supplies", "converters", "pin_map", "resistor_board", "pulses"),
        *("leakage", "transistors", "read_noise", "pilot", "loop"),
    ]
    for one in STAGES:
        assert one.params() == one.params()
        assert one.title
        assert one.plan


# --- running ---------------------------------------------------------------------------------


def test_stages_run_in_order_and_hand_on_what_they_found():
    bench, kept = rig(), list[Ran]()
    ran = run_stages(bench, ABCD, {}, kept.append)
    assert [one.stage.name for one in ran] == list("abcd")
    assert kept == ran
    assert bench.found == {name: {"of": name} for name in "abcd"}


def test_the_first_failure_is_the_last_stage_and_is_kept():
    bench, kept = rig(), list[Ran]()
    stages = (ABCD[0], stage("b", good("b", 9.0)), ABCD[2])
    ran = run_stages(bench, stages, {}, kept.append)
    assert [(one.stage.name, one.result.passed) for one in kept] == [("a", True), ("b", False)]
    assert len(ran) == 2
    assert "b" not in bench.found


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (CalibrationError("column 3 is dead. Check it."), "calibration"),
        (ChipError("open bond"), "chip"),
        (InstrumentLost("scope unplugged"), "instrument"),
        (InstrumentTimeout("nothing triggered"), "instrument"),
        (BoardError("refused"), "refused"),
    ],
)
def test_what_a_stage_lets_through_is_its_failure(error, fault):
    (ran,) = run_stages(rig(), [stage("a", error)], {}, lambda _: None)
    assert not ran.result.passed
    assert ran.result.findings[0].fault == fault
    assert str(error).rstrip(".") in ran.result.why


@pytest.mark.parametrize(
    "error", [LinkTimeout("gone"), SafetyError("stopped"), ChipBusyError("b"), KeyboardInterrupt()]
)
def test_what_ends_the_run_is_no_result(error):
    kept = list[Ran]()
    with pytest.raises(type(error)):
        run_stages(rig(), [stage("a", error)], {}, kept.append)
    assert kept == []


def test_an_absent_instrument_is_named_before_anything_is_done():
    bench = rig(supply=object())
    needs = Needs(instruments=("supply", "scope"), fixture="chip", confirm="Sure?")
    (ran,) = run_stages(bench, [stage("a", good("a"), needs)], {}, lambda _: None)
    (finding,) = ran.result.findings
    assert (finding.fault, finding.place) == ("no_instrument", ("scope",))
    assert bench.fitted == []


def test_fixture_and_question_come_before_the_stage():
    bench, asked = rig(), []
    bench.ask = lambda question: bool(asked.append(question)) or True
    needs = Needs(fixture="resistor board", confirm="Sure?")
    (ran,) = run_stages(bench, [stage("a", good("a"), needs)], {}, lambda _: None)
    assert ran.result.passed
    assert (bench.fitted, asked) == (["resistor board"], ["Sure?"])


def test_a_no_ends_the_run():
    needs = Needs(confirm="Form cells?")
    with pytest.raises(SafetyError, match="Form cells"):
        run_stages(rig(), [stage("a", good("a"), needs)], {}, lambda _: None)


def test_a_stage_that_shows_nothing_has_not_passed():
    with pytest.raises(CalibrationError, match="no figure"):
        run_stages(rig(), [stage("a", StageResult("a"))], {}, lambda _: None)


def test_rails_that_are_wrong_fail_the_stage_that_could_not_begin():
    ran = unpowered(ABCD[0], InstrumentTimeout("rail logic has 0.1 V. Check the plug."))
    assert ran.result.findings[0].sentence == "rail logic has 0.1 V"
    assert ran.result.to_check == ("Check the plug",)
