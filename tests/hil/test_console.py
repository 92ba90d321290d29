"""What a person sees, what a program gets, and that neither sees the other's."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from drivers.rram.geometry import Cells
from hil.cli.console import REMEDIES, Console
from hil.cli.heatmap import ConductanceMap, shrink
from hil.cli.steps import LineSteps, LiveSteps, Steps, step_name
from hil.report import ProgrammingData, ReportData
from protocols import errors
from protocols.errors import InputError, LimitError, LinkTimeout, RecordError

CELLS = Cells.of([(0, 0), (0, 1), (1, 2), (5, 3)])
METRICS = {
    "kl_1d": 0.031,
    "kl_2d": float("inf"),
    "sliced_w1": 0.018,
    "radius_mean": 0.69,
    "radius_sd": 0.056,
    "samples": 2000,
}


class Screen:
    """A console and what it wrote."""

    def __init__(self, **options):
        self.out_stream, self.err_stream = io.StringIO(), io.StringIO()
        self.console = Console(out=self.out_stream, err=self.err_stream, **options)

    @property
    def out(self):
        return self.out_stream.getvalue()

    @property
    def err(self):
        return self.err_stream.getvalue()


@pytest.fixture(autouse=True)
def _no_colour_settings(monkeypatch):
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM", "COLORTERM", "COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


def report():
    cells = ProgrammingData(
        rows=CELLS.rows,
        columns=CELLS.columns,
        array_rows=8,
        array_columns=8,
        target_siemens=np.full(4, 1e-4),
        reached_siemens=np.full(4, 1.01e-4),
        pulses=np.array([3, 4, 5, 6]),
        status=np.array(["in_tolerance"] * 4),
        tolerance_siemens=np.array([2e-6]),
    )
    return ReportData("x", rows={"data": METRICS, "chip_ode": METRICS}, programming=cells)


def everything(console):
    """Each way of saying something that is not JSON."""
    with console.steps("Working", CELLS) as progress:
        progress(1, 4, "round 1", np.full(4, 1e-4))
    console.say("a line")
    console.facts("board", {"name": "sim"})
    console.metrics_table(report())
    console.programming_table(report())
    console.conductance_map(CELLS, np.full(4, 1e-4))
    console.done(Path("runs/x/report.html"))


# --- for programs --------------------------------------------------------------------------------


def test_json_mode_prints_one_object_and_nothing_else():
    screen = Screen(json=True)
    everything(screen.console)
    assert (screen.out, screen.err) == ("", "")
    screen.console.json({"value": np.float64("nan"), "rows": {"data": METRICS}})
    found = json.loads(screen.out)
    assert found["value"] is None
    assert found["rows"]["data"]["kl_2d"] is None
    assert screen.err == ""


def test_json_mode_of_outcome_plan_and_error():
    screen = Screen(json=True)
    screen.console.outcome("Forming", {"cells": 4}, [(1, 2, "did not form")])
    assert json.loads(screen.out) == {
        "cells": 4,
        "failures": [{"row": 1, "column": 2, "reason": "did not form"}],
    }
    screen = Screen(json=True)
    screen.console.plan("hil form would drive", {"cells": 4})
    assert json.loads(screen.out) == {"dry_run": True, "plan": {"cells": 4}}
    screen = Screen(json=True)
    screen.console.error(LimitError("5 V is too much"))
    found = json.loads(screen.out)["error"]
    assert (found["title"], found["message"], found["exit_code"]) == (
        "Limit error",
        "5 V is too much",
        6,
    )
    assert screen.err == ""


def test_quiet_says_only_what_went_wrong():
    screen = Screen(quiet=True)
    everything(screen.console)
    assert (screen.out, screen.err) == ("", "")
    screen.console.error(LimitError("5 V is too much"))
    assert "5 V is too much" in screen.err


# --- for people ----------------------------------------------------------------------------------


def test_results_and_progress_go_different_ways():
    screen = Screen()
    everything(screen.console)
    assert "Working" in screen.err
    assert "Working" not in screen.out
    for text in ("sim", "programmed chip, ODE", "0.0310", "2,000", "report.html", "round trips"):
        assert text in screen.out
    assert "\x1b" not in screen.out + screen.err
    assert "(simulated)" in screen.out


def test_a_metric_without_a_figure_is_a_dash():
    screen = Screen()
    screen.console.metrics_table(report())
    (line,) = [line for line in screen.out.splitlines() if "chip" in line]
    assert "inf" not in line
    assert "–" in line
    screen.console.metrics_table(replace(report(), simulated=False))
    assert screen.out.count("(simulated)") == 1


def test_facts_show_units():
    screen = Screen()
    facts = {
        "bench_s": 200.0,
        "rms_error_siemens": 1.5e-6,
        "read_volts": 0.2,
        "cells": 12_000,
        "simulated": True,
        "program": None,
        "share": 0.123456,
        "text": "[red]not markup[/red]",
    }
    screen.console.facts("Programming", facts)
    lines = [re.sub(r"\s{2,}", "|", line.strip()) for line in screen.out.splitlines()]
    for line in (
        "bench time|3 min 20 s",
        "rms error|1.50 µS",
        "read|200 mV",
        "cells|12,000",
        "simulated|yes",
        "program|–",
        "share|0.1235",
        "text|[red]not markup[/red]",
    ):
        assert line in lines


def test_failures_are_listed_and_counted():
    screen = Screen()
    screen.console.outcome("Programming", {"cells": 100}, [(0, k, "stuck") for k in range(50)])
    assert "50 cells failed" in screen.out
    assert screen.out.count("stuck") == 20
    assert "and 30 more" in screen.out
    screen = Screen()
    screen.console.outcome("Programming", {"cells": 100}, [(3, 4, "stuck")])
    assert "1 cell failed" in screen.out


def test_a_dry_run_says_that_nothing_was_driven():
    screen = Screen()
    screen.console.plan("hil form would drive", {"cells": 4})
    assert "nothing was driven" in screen.out


def test_an_error_is_one_block_with_a_remedy():
    screen = Screen()
    error = RecordError("runs/x: cannot be written (No space left on device).")
    error.add_note("a second sentence")
    screen.console.error(error)
    lines = screen.err.strip().splitlines()
    assert lines[0] == "✗ Record error"
    assert lines[1].strip() == "runs/x: cannot be written (No space left on device)."
    assert lines[2].strip() == "a second sentence"
    assert "space on the disk" in lines[3]
    assert screen.out == ""


def test_names_of_errors_are_words():
    screen = Screen()
    screen.console.error(LinkTimeout("no answer"))
    screen.console.interrupted()
    assert "Link timeout" in screen.err
    assert "Interrupted" in screen.err


def test_remedies_belong_to_errors_of_the_tree():
    assert all(getattr(errors, kind.__name__) is kind for kind in REMEDIES)


def test_a_stream_without_the_characters_is_no_error():
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    console = Console(out=stream, err=stream)
    everything(console)
    console.error(LimitError("230 µS"))
    stream.flush()
    assert b"230 ?S" in raw.getvalue()


# --- progress ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "name"),
    [
        ("round 12", "programming"),
        ("confirm 0", "programming"),
        ("forming at 2.05 V", "forming"),
        ("formed", "forming"),
        ("loop: drift gain", "loop calibration"),
        ("solving (ODE)", "solving (ODE)"),
        ("error budget: read noise off", "error budget"),
        ("", "working"),
    ],
)
def test_steps_are_named_after_their_first_message(message, name):
    assert step_name(message) == name


def test_a_job_falls_into_steps():
    with Steps("job") as progress:
        for done in (0, 300, 564):
            progress(done, 564, f"forming at {done / 100} V")
        for done in (10, 500, 480, 562):  # a confirming read may take some back
            progress(done, 564, f"round {done}")
        for done in (0, 39):
            progress(done, 39, "loop: gain")
        for mode in ("ODE", "SDE"):
            for done in (256, 2000):
                progress(done, 2000, f"solving ({mode})")
        progress(0, 0)
    names = [step.name for step in progress.steps]
    assert names == [
        "forming",
        "programming",
        "loop calibration",
        "solving (ODE)",
        "solving (SDE)",
        "working",
    ]
    assert [step.done for step in progress.steps] == [564, 562, 39, 2000, 2000, 0]
    assert progress.steps[-1].fraction == 1.0


def test_one_line_per_tenth_with_an_estimate():
    now = [0.0]
    stream = io.StringIO()
    with LineSteps("Forming", stream, clock=lambda: now[0]) as progress:
        for done in range(0, 1001, 5):
            now[0] = done * 0.1
            progress(done, 1000, "forming at 2 V")
    lines = stream.getvalue().splitlines()
    assert lines[0] == "Forming"
    assert lines[1] == "  forming: 10 % (100 of 1000), about 90 s left"
    assert lines[9] == "  forming: 90 % (900 of 1000), about 10 s left"
    assert lines[10] == "  forming: 1000 of 1000 in 100 s"
    assert len(lines) == 11


def test_a_terminal_gets_bars_and_a_map():
    screen = Screen(terminal=True)
    with screen.console.steps("Programming", CELLS) as progress:
        assert isinstance(progress, LiveSteps)
        progress(2, 4, "round 1", np.array([1e-4, 2e-4, np.nan, 1e-4]))
        progress._live.refresh()
    assert "▀" in screen.err
    assert "\x1b[" in screen.err
    assert "2 of 4" in screen.err
    assert "2 not done" in screen.err
    assert screen.out == ""


def test_an_error_inside_leaves_the_terminal_in_order():
    screen = Screen(terminal=True)
    with pytest.raises(KeyboardInterrupt), screen.console.steps("Programming", CELLS):
        raise KeyboardInterrupt
    assert screen.err.endswith("\x1b[?25h")  # the cursor is back


def test_no_color_is_respected(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    screen = Screen(terminal=True)
    screen.console.conductance_map(CELLS, np.array([0.0, 2.4e-4, 1e-4, 1e-4]))
    screen.console.error(LimitError("x"))
    assert not re.search(r"\x1b\[[\d;]*(3[0-9]|4[0-9]|38;|48;)", screen.out + screen.err)
    assert "█" in screen.out


def test_a_dumb_terminal_gets_lines(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    screen = Screen(terminal=True)
    with screen.console.steps("Programming", CELLS) as progress:
        assert isinstance(progress, LineSteps)


# --- map -----------------------------------------------------------------------------------------


def test_cells_are_at_their_places():
    picture = ConductanceMap(CELLS)
    picture.show(np.array([1e-4, 2e-4, np.nan, 0.5e-4]))
    levels = picture.levels(48, 80)
    assert picture.top_siemens == pytest.approx(2e-4)
    expected = np.full((6, 4), np.nan)
    expected[0, 0], expected[0, 1], expected[5, 3] = 0.5, 1.0, 0.25
    np.testing.assert_allclose(levels, expected)


def test_the_scale_grows_and_does_not_shrink():
    picture = ConductanceMap(CELLS)
    picture.show(np.full(4, 1e-7))
    assert picture.top_siemens == pytest.approx(50e-6)
    picture.show(np.full(4, 2.31e-4))
    picture.show(np.full(4, 1e-7))
    assert picture.top_siemens == pytest.approx(250e-6)


def test_a_wrong_number_of_readings_is_refused():
    with pytest.raises(InputError, match="3 readings"):
        ConductanceMap(CELLS).show(np.zeros(3))


@pytest.mark.parametrize("shape", [(128, 128), (33, 60), (1, 1), (7, 200), (49, 81)])
def test_shrinking_keeps_the_mean_and_fits(shape):
    block = np.random.default_rng(1).random(shape)
    small = shrink(block, 48, 78)
    assert small.shape[0] <= 48
    assert small.shape[1] <= 78
    tall, wide = -(-shape[0] // 48), -(-shape[1] // 78)
    assert small[0, 0] == pytest.approx(block[:tall, :wide].mean())
    assert np.isfinite(small).all()


def test_the_drawn_map_has_a_line_per_two_rows():
    screen = Screen()
    screen.console.conductance_map(CELLS, np.array([0.0, 2.5e-4, 1e-4, np.nan]))
    lines = screen.out.splitlines()
    assert len(lines) == 4
    assert lines[0].startswith("  ░█")
    assert "250 µS" in lines[3]
    assert "median 100 µS" in lines[3]
