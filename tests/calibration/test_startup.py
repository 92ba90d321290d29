"""Start-up checks: each planted fault by name and place, good chips pass, no cell is touched."""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np
import pytest

from calibration.startup import ChipMap, Finding, StartupParams, StartupResult, check_startup
from drivers.board import Board
from drivers.link import Link
from drivers.rram.geometry import Geometry
from drivers.rram.limits import Limits
from drivers.rram.macro import Macro
from drivers.stream import MemoryStream
from drivers.transfer import Curves
from hil.sim.board import make_board
from hil.sim.chip_faults import KINDS, ChipFaults
from hil.sim.config import SimSettings
from protocols import messages as m
from protocols.errors import CalibrationError, ChipError, InputError
from protocols.hardware import load_board

BOARD = load_board("reference")


class Opened:
    """A simulated board and its macro; what reaches the cells is counted."""

    def __init__(self, settings: SimSettings, description=BOARD, state: str = "virgin") -> None:
        self.description = description
        self.board = make_board(settings, description)
        if state == "programmed":
            targets = np.full((description.rows, description.columns), np.nan)
            targets[10:43, 20:48] = np.random.default_rng(1).uniform(5e-6, 150e-6, (33, 28))
            self.board.set_conductances(targets)
        self.link = Link(MemoryStream(self.board.receive), nonce=1)
        self.link.open()
        geometry = Geometry(description.rows, description.columns)
        limits, curves = Limits.of(description.limits), Curves.nominal(description)
        self.macro = Macro(Board(self.link), geometry, curves, limits)

    def check(self, **options) -> StartupResult:
        cells = self.board.chip.cells
        before = cells.state.copy()
        with no_pulse(cells):
            found = check_startup(self.macro, self.description, **options)
        np.testing.assert_array_equal(cells.state, before)  # no pulse, no read
        status = self.macro.board.status()
        assert (status.pulses, status.reads, status.armed_s) == (0, 0, 0.0)
        return found


@contextmanager
def no_pulse(cells):
    def refuse(*_arguments, **_named):
        raise AssertionError("a pulse reached the array during the start-up checks")

    cells.pulse = refuse
    yield
    del cells.pulse


def with_fault(
    kind: str, seed: int = 3, state: str = "virgin", **more
) -> tuple[Opened, ChipFaults]:
    faults = ChipFaults.parse(f"{kind},seed={seed}", BOARD.rows, BOARD.columns)
    return Opened(SimSettings(chip_faults=faults, **more), state=state), faults


def place_of(kind: str, planted) -> tuple:
    if kind.startswith("bridged"):
        return (planted, planted + 1)
    if kind.startswith("swapped"):
        return tuple(sorted(planted))
    if kind == "stuck_bit":
        return planted[:2]
    lines = kind.startswith(("open", "grounded")) or kind in ("dead_row", "railed_stage")
    return (planted,) if lines else ()


@pytest.fixture(scope="module")
def chip_map() -> ChipMap:
    """Of the virgin chip of seed 1."""
    return Opened(SimSettings()).check().chip_map


@pytest.mark.parametrize("state", ["virgin", "programmed"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_is_named_with_its_place(kind, state, chip_map):
    opened, faults = with_fault(kind, state=state)
    found = opened.check(expected=chip_map, chip="C7")
    assert [(one.fault, one.place) for one in found.findings] == [
        (kind, place_of(kind, getattr(faults, kind)))
    ]
    with pytest.raises((ChipError, CalibrationError), match="Nothing above the read level reached"):
        found.require()


@pytest.mark.parametrize("place", [0, 127])
@pytest.mark.parametrize(
    "kind", ["open_bit_line", "grounded_word_line", "dead_row", "railed_stage"]
)
def test_lines_at_the_edge(kind, place):
    opened = Opened(SimSettings(chip_faults=ChipFaults(**{kind: place})))
    assert [(one.fault, one.place) for one in opened.check().findings] == [(kind, (place,))]


@pytest.mark.parametrize("bit", range(12))
@pytest.mark.parametrize("value", [0, 1])
@pytest.mark.parametrize("channel", ["bit_line", "word_line", "embedding_14"])
def test_every_bit(channel, bit, value):
    opened = Opened(SimSettings(chip_faults=ChipFaults(stuck_bit=(channel, bit, value))))
    (finding,) = opened.check().findings
    assert (finding.fault, finding.place) == ("stuck_bit", (channel, bit))
    if bit >= 5:
        assert f"stuck at {value}" in finding.sentence


def test_two_faults_of_one_stage_are_both_named():
    faults = ChipFaults(open_bit_line=5, swapped_word_line=(3, 17), bridged_source_line=40)
    found = Opened(SimSettings(chip_faults=faults)).check()
    assert {(one.fault, one.place) for one in found.findings} == {
        ("open_bit_line", (5,)),
        ("swapped_word_line", (3, 17)),
        ("bridged_source_line", (40, 41)),
    }
    assert list(found.stages)[-1] == "lines"


@pytest.mark.parametrize("settings", [
    {}, {"board_seed": 5, "seed": 9}, {"effects": dict.fromkeys(["read_noise"], False)},
    {"adc_noise_sd_codes": 0.0}, {"adc_noise_sd_codes": 0.1, "board_seed": 4},
    {"tia_gain_sd": 0.01, "tia_offset_sd_amperes": 2e-8}, {"perturb_seed": 3},
    {"cells": "physics"},
])  # fmt: skip
def test_good_boards_pass(settings):
    for state in ("virgin", "programmed"):
        opened = Opened(SimSettings(**settings), state=state)
        first = opened.check()
        assert (first.findings, first.skipped, first.identified.verdict) == ((), (), "first")
        found = opened.check(expected=first.chip_map)
        assert (found.findings, found.skipped, found.identified.verdict) == ((), (), "same")
        assert len(found.stages) == 8
        assert first.bench_s < 5.5
        assert found.bench_s < 1.5  # the cells are not looked at where the lines say it


def test_an_ideal_board_passes():
    found = Opened(SimSettings.ideal()).check()
    assert found.findings == ()


def test_broken_channels_and_inputs_are_named():
    for name, fault in (("word_line", "dead_channel"), ("embedding_3", "dead_channel")):
        found = Opened(SimSettings(channel_faults={name: "dead"})).check()
        assert [(one.fault, one.place) for one in found.findings] == [(fault, (name,))]
    found = Opened(SimSettings(channel_faults={"sample_2": "railed"})).check()
    assert [(one.fault, one.place) for one in found.findings] == [("dead_input", ("sample_2",))]
    found = Opened(SimSettings(ladder_error=-0.2)).check()
    assert [one.fault for one in found.findings] == ["ladder"]


def test_small_arrays_are_not_asked_for_dead_rows():
    small = BOARD.model_copy(update={"rows": 8, "columns": 8})
    found = Opened(SimSettings(), small).check()
    assert found.findings == ()
    assert any("dead rows are not looked for" in one for one in found.skipped)


def test_lowered_limits_leave_the_upper_bits_out():
    opened = Opened(SimSettings())
    opened.macro.limits = opened.macro.limits.lowered({"reset.line_volts": 1.0})
    found = opened.check()
    assert found.findings == ()
    assert any("upper bits" in one for one in found.skipped)


def test_a_board_that_knows_no_line_checks_is_said(monkeypatch):
    opened = Opened(SimSettings())
    from hil.sim import board as sim_board
    from hil.sim.refusal import RefusedError

    def never(_machine, _request):
        raise RefusedError("not_supported")

    monkeypatch.setitem(sim_board.BOARD_HANDLERS, m.LineCheckRequest, never)
    found = opened.check()
    assert found.findings == ()
    assert [one.partition(":")[0] for one in found.skipped] == ["lines", "cells"]
    assert "lines" not in found.stages


def test_board_and_chip_faults_end_differently():
    def result(fault: str) -> StartupResult:
        return StartupResult((Finding(fault, (), "x", "y"),) * 6, {}, (), None, 0.0)

    with pytest.raises(CalibrationError):
        result("mains").require()
    with pytest.raises(ChipError, match="And 2 more"):
        result("absent").require()
    with pytest.raises(InputError):
        StartupParams(hum_codes=0.0)
