"""Stages of the chip: each passes on a sound one and names a planted fault with its place."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from calibration.bringup import leakage, loop_stages, pilot, read_noise, transistors
from calibration.bringup.pilot_ramps import Ramp, drive
from calibration.bringup.stage import Rig, StageResult
from calibration.bringup.verify_reads import CELLS, RESISTORS, cell_shares, recommended
from drivers.board import Board
from drivers.integrator import Integrator
from drivers.link import Link
from drivers.rram.geometry import Cells, Geometry
from drivers.rram.limits import Limits
from drivers.rram.macro import Macro
from drivers.stream import MemoryStream
from drivers.transfer import Curves
from hil.sim.board import make_board
from hil.sim.chip_faults import ChipFaults
from hil.sim.config import SimSettings
from protocols.errors import InputError, LimitError, SafetyError
from protocols.hardware import load_board

BOARD = load_board("reference")
NOBODY = SimpleNamespace(
    supply=None, smu=None, scope=None, pulser=None, thermometer=None, matrix=None
)


def rig(**settings) -> Rig:
    """A simulated board with a chip that was never formed; faults by their names."""
    names = set(ChipFaults.model_fields) - {"seed"}
    planted = {k: settings.pop(k) for k in list(settings) if k in names}
    board = make_board(SimSettings(chip_faults=ChipFaults(**planted), **settings), BOARD)
    link = Link(MemoryStream(board.receive), nonce=1)
    link.open()
    macro = Macro(
        Board(link),
        Geometry(BOARD.rows, BOARD.columns),
        Curves.nominal(BOARD),
        Limits.of(BOARD.limits),
    )
    made = Rig(macro, Integrator(macro.board, macro.curves, BOARD), BOARD, NOBODY, chip="C7")
    made.asked = []  # type: ignore[attr-defined]
    made.ask = lambda question: made.asked.append(question) or True  # type: ignore[attr-defined]
    made.sim = board  # type: ignore[attr-defined]
    return made


def run(module, at: Rig, **params) -> StageResult:
    return module.STAGE.run(at, module.STAGE.params(**params))


def faults(result: StageResult) -> list[tuple[str, tuple]]:
    return [(one.fault, one.place) for one in result.findings]


def pulses(at: Rig) -> int:
    return int(at.sim.chip.cells.state["pulse_count"].sum())  # type: ignore[attr-defined]


# --- leakage --------------------------------------------------------------------------------------


def test_a_sound_chip_leaks_nothing_and_gets_no_pulse():
    at, kept = rig(), []
    at.keep_map = kept.append
    found = run(leakage, at)
    assert found.passed
    assert pulses(at) == 0
    assert found.data["conducting"] == []
    assert [one.verdict for one in kept] == ["first"]
    leaks = np.abs(found.data["bit_line_leak_siemens"])
    assert leaks.max() < 0.3e-6  # one conversion's noise at 0.05 V, averaged


def test_the_limit_of_a_leak_is_one_code_of_a_read_per_cell():
    (row, column) = leakage.leak_limits(rig(), leakage.LeakageParams())
    code = BOARD.converters.read_full_scale_amperes / BOARD.code_max / 0.2
    assert row == pytest.approx(BOARD.columns * code, rel=0.01)
    assert column == pytest.approx(BOARD.rows * code, rel=0.01)


@pytest.mark.parametrize(
    ("planted", "fault"),
    [
        ({"leaky_row": 17}, ("leaky_row", (17,))),
        ({"open_word_line": 3}, ("open_word_line", (3,))),
        ({"grounded_bit_line": 5}, ("grounded_bit_line", (5,))),
        ({"bridged_source_line": 40}, ("bridged_source_line", (40, 41))),
        ({"swapped_bit_line": (4, 9)}, ("swapped_bit_line", (4, 9))),
        ({"dead_row": 8}, ("dead_row", (8,))),
    ],
)
def test_a_broken_line_is_named_before_any_pulse(planted, fault):
    at = rig(**planted)
    found = run(leakage, at)
    assert not found.passed
    assert faults(found) == [fault]
    assert pulses(at) == 0


def test_shorted_cells_are_counted_against_their_limit():
    at = rig()
    cells = np.full((BOARD.rows, BOARD.columns), 0.1e-6)
    cells[3, 5:9] = 400e-6
    params = leakage.LeakageParams(shorted_share=3.5 / cells.size)
    figure = leakage._short_figure(at, cells, params)
    assert not figure.passed
    (named,) = leakage._shorted(at, cells, figure)
    assert named.fault == "shorted_cells"
    assert "(3, 5)" in named.sentence


def test_another_chip_is_refused():
    first, kept = rig(), []
    first.keep_map = kept.append
    assert run(leakage, first).passed
    again = rig()
    again.expected = kept[0].chip_map
    assert run(leakage, again).data["identity"]["verdict"] == "same"
    other = rig(seed=99)
    other.expected = kept[0].chip_map
    found = run(leakage, other)
    assert faults(found) == [("other_chip", ())]
    assert "not chip C7" in found.why


@pytest.mark.parametrize("bad", [{"volts": 0.11}, {"volts": 0.0}, {"samples": 65}])
def test_more_than_a_tenth_of_a_volt_is_refused(bad):
    with pytest.raises(InputError):
        leakage.LeakageParams(**bad)


# --- transistors ----------------------------------------------------------------------------------


def test_curves_of_a_sound_chip():
    at = rig()
    found = run(transistors, at)
    assert found.passed
    assert pulses(at) == 0
    siemens = np.array(found.data["siemens"])
    assert siemens.shape == (BOARD.columns, len(found.data["gate_volts"]))
    assert (siemens[:, -1] > 30 * siemens[:, 0]).all()
    # where the transistor has what a cell that was never formed has: half of it is left
    law = at.sim.machine.front_end.lines._transistors  # type: ignore[attr-defined]
    typical = found.data["typical_threshold_volts"]
    each = law.siemens(np.arange(BOARD.columns), typical)
    assert np.median(each) == pytest.approx(0.1e-6, rel=0.25)


def test_a_weak_word_line_is_named():
    found = run(transistors, rig(weak_word_line=9))
    assert faults(found) == [("weak_word_line", (9,))]
    assert found.data["threshold_volts"][9] == pytest.approx(
        found.data["typical_threshold_volts"] + 0.5, abs=0.06
    )


def test_an_open_word_line_is_named_if_it_comes_so_far():
    assert faults(run(transistors, rig(open_word_line=3))) == [("open_word_line", (3,))]


def test_thresholds_do_not_depend_on_formed_cells():
    at = rig()
    before = run(transistors, at).data["threshold_volts"]
    targets = np.full((BOARD.rows, BOARD.columns), np.nan)
    targets[:, 20:24] = 120e-6
    at.sim.set_conductances(targets)  # type: ignore[attr-defined]
    found = run(transistors, at)
    assert found.passed
    assert set(found.data["cut"]) == {20, 21, 22, 23}
    np.testing.assert_allclose(found.data["threshold_volts"][20:24], before[20:24], atol=0.06)


# --- read noise -----------------------------------------------------------------------------------


def test_noise_falls_with_the_integration_time():
    found = run(read_noise, rig())
    assert found.passed
    codes = found.data["scatter_codes"]
    assert codes[0] == pytest.approx(np.hypot(0.5, 1.0 / np.sqrt(12.0)), rel=0.1)
    assert codes[0] / codes[-1] == pytest.approx(8.0, rel=0.25)
    assert found.data["integration_s"][-1] == pytest.approx(64 * BOARD.timing.read_s)
    assert found.data["verify_reads"]["measured_on"] == RESISTORS


def test_five_times_the_noise_is_named():
    found = run(read_noise, rig(adc_noise_sd_codes=2.5))
    assert faults(found) == [("read_noise", ())]
    assert found.advice == ()


def test_hum_is_named_and_not_taken_for_noise():
    found = run(read_noise, rig(mains=0.5e-6, mains_hertz=60.0))
    assert faults(found) == [("mains", ())]
    assert found.data["hum_hertz"] == pytest.approx(60.0)


def test_cells_that_conduct_set_the_reads_per_verify():
    at = rig()
    targets = np.full((BOARD.rows, BOARD.columns), np.nan)
    targets[0, :40] = 120e-6
    at.sim.set_conductances(targets)  # type: ignore[attr-defined]
    at.found["leakage"] = {"conducting": [[0, c] for c in range(40)]}
    found = run(read_noise, at)
    reads = found.data["verify_reads"]
    assert reads["measured_on"] == CELLS
    assert reads["bench_file"] == {"programming": {"confirm_samples": reads["reads"]}}
    assert found.data["cells_read"] == 40


def test_the_smallest_number_of_readings_that_is_enough():
    assert recommended((1, 2, 4, 8), (0.4, 0.3, 0.09, 0.05), 0.1, CELLS).reads == 4
    assert recommended((1, 2, 4, 8), (0.4, 0.3, 0.29, 0.28), 0.1, CELLS).reads == 2
    assert recommended((1, 2, 4), (0.8, 0.5, 0.3), 0.1, CELLS).reads == 4


def test_white_noise_of_cells_averages_as_it_should():
    rng = np.random.default_rng(3)
    readings = 120e-6 + 1e-6 * rng.normal(size=(200, 128))
    numbers, shares = cell_shares(readings)
    assert numbers == (1, 2, 4, 8, 16)
    wanted = 1e-6 / 6.1e-6 / np.sqrt(numbers)
    np.testing.assert_allclose(shares, wanted, rtol=0.12)


# --- pilot block ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def piloted() -> tuple[Rig, StageResult]:
    at = rig()
    return at, run(pilot, at)


def test_the_pilot_block_forms_and_switches(piloted):
    at, found = piloted
    assert found.passed
    lost = {tuple(cell) for cell in found.data["sacrificed"]}
    assert lost == {(r, c) for r in range(120, 128) for c in range(124, 128)}
    touched = np.flatnonzero(at.sim.chip.cells.state["pulse_count"])
    assert {divmod(int(k), BOARD.columns) for k in touched} == lost
    assert found.data["pulses"] == pulses(at)
    assert found.data["verify_reads"]["measured_on"] == CELLS
    assert np.median(found.data["sacrificed_siemens"]) < 20e-6  # left with RESET


def test_every_step_is_confirmed_one_cell_first(piloted):
    at, found = piloted
    assert len(at.asked) == 6
    assert "Sacrifice 32 cells" in at.asked[0]
    assert "Form cell (120, 124)" in at.asked[1]
    formed = [len(one["cells"]) for one in found.data["responses"] if one["kind"] == "form"]
    assert formed == [1, 4, 27]
    first = next(one for one in found.data["responses"] if one["kind"] == "reset")
    assert first["cells"] == [[120, 124]]


def test_no_is_no():
    at, lost = rig(), []
    at.give_up = lambda cells, siemens: lost.extend(zip(cells, siemens, strict=True))
    at.ask = lambda question: False
    with pytest.raises(SafetyError, match="not confirmed"):
        run(pilot, at)
    assert lost == []
    at.ask = lambda question: "Sacrifice" in question
    with pytest.raises(SafetyError, match="not confirmed"):
        run(pilot, at)
    assert pulses(at) == 0
    assert len(lost) == 32  # marked before the first of them is driven


def test_a_block_that_was_begun_goes_on_where_it_was():
    at = rig()
    answers = iter([True, True, True, False])
    at.ask = lambda question: next(answers)
    with pytest.raises(SafetyError):
        run(pilot, at)
    before = pulses(at)
    at.ask = lambda question: True
    found = run(pilot, at)
    assert found.passed
    form = [one for one in found.data["responses"] if one["kind"] == "form"]
    assert [len(one["cells"]) for one in form] == [27]
    assert before > 0


def test_exchanged_polarity_stops_after_a_few_cells():
    at = rig(swap_polarity=True)
    found = run(pilot, at)
    assert [one.fault for one in found.findings] == ["unformed"]
    assert "5 of 5 pilot cells" in found.why
    driven = np.flatnonzero(at.sim.chip.cells.state["pulse_count"])
    assert driven.size == 5


def test_a_ramp_over_a_limit_is_refused_before_its_first_pulse():
    at = rig()
    with pytest.raises(LimitError):
        run(pilot, at, form=Ramp(2.0, 0.05, 5.0, 2.0, 1e-6))
    assert pulses(at) == 0


def test_a_ramp_ends_where_every_cell_got_there():
    at = rig()
    cells = Cells.block(0, 0, 2, 2)
    done = drive(at.macro, "form", cells, Ramp(2.0, 0.1, 4.2, 2.0, 1e-6), lambda g: g > 20e-6)
    assert done.done.all()
    assert done.siemens.shape == (len(done.volts), 4)
    assert done.volts[-1] == pytest.approx(np.nanmax(done.at_volts))
    steps = np.rint((done.at_volts - 2.0) / 0.1).astype(int) + 1
    np.testing.assert_array_equal(done.pulses, steps)


@pytest.mark.parametrize("bad", [{"rows": 2, "columns": 4}, {"rows": 9, "columns": 8}])
def test_a_pilot_block_has_sixteen_to_sixty_four_cells(bad):
    with pytest.raises(InputError, match="16 to 64"):
        pilot.PilotParams(**bad)


# --- loop -----------------------------------------------------------------------------------------


def test_the_loop_of_a_sound_board():
    at = rig()
    found = run(loop_stages, at)
    assert found.passed
    assert pulses(at) == 0
    true = at.sim.loop_errors.stage_gain  # type: ignore[attr-defined]
    gains = np.concatenate([one["gain"] for one in found.data["layers"]])
    np.testing.assert_allclose(gains, true, atol=0.015)  # converters of the board come on top
    names = [one.name for one in found.figures]
    assert any("clamps" in name for name in names)
    assert any("held" in name for name in names)


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"zero_score": 0.08}, ("multiplier_zero", ("score",))),
        ({"zero_drift": 0.08}, ("multiplier_zero", ("drift",))),
        ({"leak_time_s": 0.5}, ("integrator_leak", ())),
    ],
)
def test_a_loop_with_a_fault_is_named(settings, fault):
    found = run(loop_stages, rig(**settings))
    assert faults(found) == [fault]


def test_a_stage_that_is_off_stops_before_the_runs():
    found = run(loop_stages, rig(stage_gain_sd=0.1, board_seed=3))
    assert {one.fault for one in found.findings} <= {"loop_stage", "loop_unit"}
    assert found.findings
    assert "calibration" not in found.data


@pytest.mark.parametrize("seed", [2, 7])
def test_other_sound_boards_and_chips_pass(seed):
    at = rig(seed=seed, board_seed=seed)
    for module in (transistors, read_noise, loop_stages):
        assert run(module, at).passed
