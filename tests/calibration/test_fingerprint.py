"""The fingerprint of a chip: known again through all that may happen, and never another's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from calibration.startup import ChipMap, StartupParams, identity
from calibration.startup.chip_map import CellMap, LineMap, read_cells
from calibration.startup.fingerprint import bound_of, check_identity, compare, strength
from calibration.startup.identity import identify
from drivers.board import Board
from drivers.link import Link
from drivers.rram.geometry import Geometry
from drivers.rram.limits import Limits
from drivers.rram.macro import Macro
from drivers.stream import MemoryStream
from drivers.transfer import Curves
from hil.sim.board import make_board
from hil.sim.config import SimSettings
from protocols.errors import InputError
from protocols.hardware import load_board

BOARD = load_board("reference")
PARAMS = StartupParams()
DAY_S = 86_400.0


# --- made-up maps: what the arithmetic promises ---------------------------------------------------


def lines_of(seed: int, noise: float = 0.0, visit: int = 0) -> ChipMap:
    own, read = np.random.default_rng(seed), np.random.default_rng([seed, visit])
    sums = [12.8e-6 * own.normal(1, 0.026, 128) for _ in range(2)]
    passes = [[v * read.normal(1, max(noise, 1e-9), 128) for _ in range(2)] for v in sums]
    means = [np.mean(pair, axis=0) for pair in passes]
    halves = [(pair[0] - pair[1]) / 2 for pair in passes]
    return ChipMap(LineMap(means[0], means[1], halves[0], halves[1]))


def cells_of(seed: int, unformed: np.ndarray, noise: float = 0.0, visit: int = 0) -> ChipMap:
    own, read = np.random.default_rng(seed), np.random.default_rng([seed, visit, 1])
    siemens = np.where(unformed, 1e-7 * np.exp(own.normal(0, 0.3, unformed.shape)), 1e-4)
    first, second = (siemens + noise * read.normal(size=siemens.shape) for _ in range(2))
    lines = LineMap(siemens.sum(axis=1), siemens.sum(axis=0))
    return ChipMap(lines, CellMap(first, second))


def test_the_same_chip_is_known_through_another_read_path():
    one = lines_of(1, 0.005)
    rows, columns = one.lines.rows, one.lines.columns
    again = ChipMap(LineMap(0.9 * rows + 2e-7, 1.1 * columns - 1e-7))
    found = compare(again, one, PARAMS)
    assert found.verdict == "same"
    assert found.correlation > 0.99
    assert found.accept_rate < 1e-15


def test_another_chip_is_refused_by_name_and_with_a_rate():
    findings, found = check_identity(lines_of(1, 0.005), lines_of(2, 0.005), "C7", PARAMS)
    assert found.verdict == "other"
    assert abs(found.correlation) < 0.3
    assert found.refuse_rate < 1e-6
    (finding,) = findings
    assert finding.fault == "other_chip"
    assert finding.sentence.startswith("this is not chip C7: score")
    assert "once in" in finding.sentence


def test_forming_in_between_leaves_lines_to_compare():
    one = lines_of(1, 0.005)
    later = lines_of(1, 0.005, visit=1)
    later.lines.rows[:60] += 5e-4
    later.lines.columns[20:100] += 2e-3
    found = compare(later, one, PARAMS)
    assert (found.verdict, found.lines) == ("same", 128 - 60 + 128 - 80)


@pytest.mark.parametrize(("before", "said"), [
    (LineMap(np.ones(4), np.ones(4)), "another size"),
    (LineMap(np.full(128, 1e-5), np.full(128, 1e-5)), "do not differ"),
    (LineMap(np.geomspace(1e-5, 1, 128), np.geomspace(1e-5, 1, 128)), "still pristine"),
    (LineMap(np.full(128, 1e-2), np.full(128, 1e-2)), "still pristine"),
])  # fmt: skip
def test_what_cannot_be_compared_is_no_finding(before, said):
    findings, found = check_identity(lines_of(1), ChipMap(before), "C7", PARAMS)
    assert findings == []
    assert found.verdict == "unknown"
    assert np.isnan(found.correlation)
    assert said in found.note


def test_two_chips_with_the_same_network_are_not_taken_for_one():
    """Every line has formed cells at the same values; only the few pristine cells tell."""
    unformed = np.random.default_rng(5).random((64, 64)) < 0.5
    record = cells_of(1, unformed, 3e-8)
    same, other = cells_of(1, unformed, 3e-8, visit=1), cells_of(2, unformed, 3e-8)
    assert compare(same, record, PARAMS).verdict == "same"
    assert compare(other, record, PARAMS).verdict == "other"


def test_a_chip_without_pristine_cells_cannot_be_told():
    full = np.zeros((64, 64), bool)
    found = compare(cells_of(2, full), cells_of(1, full), PARAMS)
    assert found.verdict == "unknown"
    assert "pristine" in found.sentence


def test_formed_cells_that_never_were_tell_another_chip():
    full, virgin = np.zeros((16, 16), bool), np.ones((16, 16), bool)
    found = compare(cells_of(2, virgin), cells_of(1, full), PARAMS)
    assert found.verdict == "other"
    assert "256 of 256 cells" in found.sentence
    few = full.copy()
    few[3, 4] = few[7, 7] = True  # two cells that read low are no proof
    assert compare(cells_of(2, few), cells_of(1, full), PARAMS).verdict == "unknown"


def test_too_much_noise_is_said_and_not_guessed():
    unformed = np.ones((16, 16), bool)
    record, now = (cells_of(1, unformed, 3e-7, visit) for visit in (0, 1))
    bare = [ChipMap(LineMap(np.full(16, 1.0), np.full(16, 1.0)), m.cells) for m in (record, now)]
    found = compare(bare[1], bare[0], PARAMS)
    assert found.verdict == "unknown"
    assert "score" in found.sentence or "do not differ" in found.sentence


def test_scores_are_distributed_as_stated():
    """Of different chips: mean 0, variance 1; of the same: about what is expected, not below."""
    record = [lines_of(k, 0.01) for k in range(30)]
    again = [lines_of(k, 0.01, visit=1) for k in range(30)]
    sure = replace(PARAMS, stability=1.0)
    pairs = [(k, m) for k in range(30) for m in range(30) if k != m]
    other = [compare(again[k], record[m], sure).score for k, m in pairs]
    assert abs(np.mean(other)) < 0.15
    assert 0.85 < np.std(other) < 1.15
    same = [compare(again[k], record[k], sure) for k in range(30)]
    assert abs(np.mean([one.score - one.expected_score for one in same])) < 1.0
    assert max(other) < norm.isf(PARAMS.error_rate) < min(one.score for one in same)


@given(st.floats(0.5, 2.0), st.floats(0.5, 2.0), st.floats(-2e-7, 2e-7))
def test_gain_and_offset_of_the_read_path_change_no_verdict(rows, columns, offset):
    one, later = lines_of(3, 0.005), lines_of(3, 0.005, visit=1)
    seen = LineMap(later.lines.rows * rows + offset, later.lines.columns * columns - offset)
    assert compare(ChipMap(seen), one, PARAMS).verdict == "same"


def test_a_record_comes_back_as_it_was():
    one = cells_of(1, np.ones((8, 8), bool), 1e-8)
    back = ChipMap.from_record(one.to_dict(), one.arrays())
    np.testing.assert_allclose(back.cells.siemens, one.cells.siemens, rtol=1e-6)
    np.testing.assert_array_equal(back.lines.rows, one.lines.rows)
    old = ChipMap.from_record({"rows_siemens": [1e-5], "columns_siemens": [1e-5]}, {})
    assert old.cells is None
    assert old.lines.rows_repeat is None
    for damaged in ({}, {"rows_siemens": "x", "columns_siemens": [1.0]}):
        with pytest.raises(InputError):
            ChipMap.from_record(damaged, {})
    with pytest.raises(InputError, match="two passes"):
        CellMap(np.zeros((2, 2)), np.zeros((2, 3)))
    with pytest.raises(InputError, match="lines and of"):
        ChipMap(LineMap(np.ones(2), np.ones(2)), CellMap(np.ones((3, 3)), np.ones((3, 3))))


# --- simulated chips through the whole read path --------------------------------------------------


class Visit:
    """A simulated board with a chip of a seed in its socket."""

    def __init__(self, seed: int, **settings) -> None:
        self.sim = make_board(SimSettings(seed=seed, **settings), BOARD)
        link = Link(MemoryStream(self.sim.receive), nonce=1)
        link.open()
        geometry, limits = Geometry(BOARD.rows, BOARD.columns), Limits.of(BOARD.limits)
        self.macro = Macro(Board(link), geometry, Curves.nominal(BOARD), limits)

    def identify(self, expected: ChipMap | None = None):
        return identify(self.macro, BOARD, expected, "C7")

    def program(self, cells: np.ndarray, seed: int) -> None:
        drawn = np.random.default_rng(seed).uniform(5e-6, 2e-4, cells.shape)
        self.sim.set_conductances(np.where(cells, drawn, np.nan))


def diagonal() -> np.ndarray:
    """Formed cells on every line, so that no line is pristine."""
    cells = np.zeros((BOARD.rows, BOARD.columns), bool)
    cells[np.arange(128), (5 * np.arange(128)) % 128] = True
    cells[20:60, 30:90] = True
    return cells


BOARDS = {"board_seed": 4, "tia_gain_sd": 0.01, "tia_offset_sd_amperes": 2e-8}


def test_a_chip_is_known_after_a_day_of_work_on_another_board():
    chip = Visit(1)
    first = chip.identify()
    assert first.verdict == "first"
    assert first.chip_map.cells is not None
    other_board = Visit(1, **BOARDS)
    other_board.program(diagonal(), seed=9)
    other_board.macro.board.advance(DAY_S)
    found = other_board.identify(first.chip_map)
    assert (found.verdict, found.moved) == ("same", True)
    again = other_board.program(diagonal() & (np.arange(128) % 3 == 0), seed=10)
    assert again is None
    assert other_board.identify(found.chip_map).verdict == "same"


def test_another_die_with_the_same_network_on_the_same_board_is_refused():
    maps = []
    for seed in (1, 2):
        visit = Visit(seed, **BOARDS)
        visit.program(diagonal(), seed=9)
        maps.append(visit.identify().chip_map)
    impostor = Visit(2, **BOARDS)
    impostor.program(diagonal(), seed=9)
    found = impostor.identify(maps[0])
    assert found.verdict == "other"
    assert "this is not chip C7" in found.findings[0].sentence
    assert impostor.identify(maps[1]).verdict == "same"


def test_lines_that_say_it_save_the_cells():
    visit = Visit(1)
    first = visit.identify()
    before_s = visit.macro.board.status().time_s
    found = visit.identify(first.chip_map)
    assert (found.verdict, found.moved, found.chip_map.cells) == ("same", False, None)
    assert visit.macro.board.status().time_s - before_s < 0.5
    assert visit.macro.board.status().reads == 0
    lines_alone = ChipMap(first.chip_map.lines)  # a record from before cells were kept
    assert visit.identify(lines_alone).chip_map.cells is not None


def test_few_pristine_cells_are_looked_at_longer(monkeypatch):
    asked = []

    def read(_macro, lines, samples):
        asked.append(samples)
        return cells_of(1, unformed, 8e-8 / np.sqrt(samples)).cells

    monkeypatch.setattr(identity, "read_cells", read)
    for share, wanted in ((1.0, [1]), (0.08, [1, 4]), (0.0, [1])):
        unformed = np.random.default_rng(3).random((128, 128)) < share
        asked.clear()
        found = identity.look_at_cells(None, None, PARAMS)
        assert asked == wanted
        assert (strength(found, PARAMS) > 3 * bound_of(PARAMS)) == (share > 0.0)


def test_cells_are_read_without_reading_them():
    visit = Visit(3)
    visit.program(diagonal(), seed=2)
    state = visit.sim.chip.cells.state.copy()
    found = read_cells(visit.macro, LineMap(np.ones(128), np.ones(128)))
    np.testing.assert_array_equal(visit.sim.chip.cells.state, state)
    true = visit.sim.chip.cells.conductance(np.arange(128 * 128), visit.sim.chip.now_s)
    off = found.siemens.ravel() - true
    assert abs(np.median(off)) < 0.1e-6
    assert (found.unformed(1e-6) == ~diagonal()).all()
