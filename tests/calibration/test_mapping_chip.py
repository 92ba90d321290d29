"""A network on a chip with bad cells: made up for, gone round, and what error to expect."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration.cell_model.laws import NoiseLaw, RelaxLaw
from calibration.mapping import Layout, MappingOptions, Placement, map_network
from calibration.mapping_chip import ChipOptions, Mapped, line_error, map_to_chip
from calibration.mapping_compensate import Reach, compensated, pair_targets, residuals
from calibration.mapping_knowledge import ChipKnowledge, Lines
from calibration.mapping_levels import LevelLaw, Outlook, compare_levels, quiet_targets
from calibration.weight_error import error_budget, expected_weight_error, realised_error
from drivers.rram.geometry import Cells, Geometry
from protocols.errors import MappingError
from protocols.hardware import load_board

SIZES = ((14, 2), (14, 14), (2, 14))
BOARD = load_board("reference")
MACRO = Geometry(BOARD.rows, BOARD.columns)
ON_BOARD = {"geometry": MACRO, "loop": BOARD.loop, "converters": BOARD.converters}
REACH = Reach(2e-6, 205e-6)
DEAD, HIGH = 0.1e-6, 200e-6
KNOTS = (2e-6, 50e-6, 120e-6, 240e-6)
LAW = LevelLaw(
    NoiseLaw(KNOTS, (0.08, 0.02, 0.01, 0.006), (1.0,) * 4, 0.7),
    RelaxLaw(KNOTS, (0.2, 0.13, 0.03, 0.004), (1.0,) * 4, (-0.05, -0.05, -0.01, 0.0), 1e-3),
)
OUTLOOK = Outlook(LAW)


@lru_cache
def network(seed: int = 0) -> tuple[list[np.ndarray], list[np.ndarray]]:
    rng = np.random.default_rng(seed)
    weights = [rng.laplace(0.0, 0.5, size) for size in SIZES]
    return weights, [rng.normal(0.0, 0.4, size[0]) for size in SIZES]


def plain(seed: int = 0, layout: Layout | None = None) -> Placement:
    return map_network(*network(seed), layout=layout, **ON_BOARD)


def chip(cells: list[tuple[int, int]], siemens: list[float] | float) -> ChipKnowledge:
    values = np.broadcast_to(siemens, len(cells))
    return ChipKnowledge.blank("c1", MACRO).with_stuck(Cells.of(cells), values)


def random_chip(seed: int, fraction: float) -> ChipKnowledge:
    rng = np.random.default_rng(seed)
    rows, columns = np.nonzero(rng.random((MACRO.rows, MACRO.columns)) < fraction)
    at = np.where(rng.random(rows.size) < 0.5, DEAD, HIGH)
    return ChipKnowledge.blank("c1", MACRO).with_stuck(Cells(rows, columns), at)


def mapped(known: ChipKnowledge | None, seed: int = 0, **options: object) -> Mapped:
    return map_to_chip(
        *network(seed),
        outlook=OUTLOOK,
        knowledge=known,
        chip_options=ChipOptions(**options),  # type: ignore[arg-type]
        **ON_BOARD,
    )


def bad_error(found: Mapped) -> float:
    return max(layer.parts["bad cells"] / layer.largest for layer in found.report.budget.layers)


# --- partner cells ---------------------------------------------------------------------------


def test_a_perfect_chip_is_mapped_as_without_knowledge() -> None:
    for known in (None, ChipKnowledge.blank("c1", MACRO), chip([(100, 100)], DEAD)):
        found = mapped(known)
        assert found.placement.to_dict() == plain().to_dict()
        assert not found.report.moved
        assert not found.report.permuted


cells_in_blocks = st.integers(0, 563)


@given(
    st.dictionaries(cells_in_blocks, st.floats(0.05e-6, 240e-6, allow_subnormal=False), max_size=6),
    st.dictionaries(cells_in_blocks, st.floats(20e-6, 200e-6), max_size=4),
    st.integers(0, 3),
)
@settings(max_examples=60, deadline=None)
def test_what_the_partner_can_give_is_given(
    stuck: dict[int, float], weak: dict[int, float], seed: int
) -> None:
    wanted = plain(seed)
    known = ChipKnowledge.blank("c1", MACRO)
    known = known.with_weak(wanted.cells[list(weak)], np.array(list(weak.values())))
    known = known.with_stuck(wanted.cells[list(stuck)], list(stuck.values()))
    held = compensated(wanted, known, REACH, OUTLOOK.sigma)
    low, high = np.full(564, REACH.lowest_siemens), np.full(564, REACH.highest_siemens)
    for k, limit in weak.items():
        high[k] = min(high[k], limit)
    for k, value in stuck.items():
        low[k] = high[k] = value
    partner = wanted.partner()
    for k in range(564):  # every cell stays in its own range, fixed ones at their value
        assert low[k] - 1e-18 <= held.target_siemens[k] <= high[k] + 1e-18
    up = np.flatnonzero(wanted.sign > 0)
    want = wanted.target_siemens[up] - wanted.target_siemens[partner[up]]
    got = held.target_siemens[up] - held.target_siemens[partner[up]]
    can = np.clip(want, low[up] - high[partner[up]], high[up] - low[partner[up]])
    np.testing.assert_allclose(got, can, atol=1e-15)
    touched = np.isin(up, [*stuck, *weak]) | np.isin(partner[up], [*stuck, *weak])
    same = np.concatenate([up[~touched], partner[up[~touched]]])
    np.testing.assert_array_equal(held.target_siemens[same], wanted.target_siemens[same])
    expected_fixed = sorted(stuck)
    assert np.flatnonzero(np.zeros(564) if held.fixed is None else held.fixed).tolist() == (
        expected_fixed
    )


def test_the_targets_are_the_network_that_is_left() -> None:
    wanted = plain()
    known = chip([(3, 28), (4, 30), (5, 33)], [DEAD, HIGH, DEAD])
    held = compensated(wanted, known, REACH, OUTLOOK.sigma)
    left = residuals(wanted, held)
    got, want = held.weights_from(held.target_siemens), network()
    for index in range(3):
        error = np.column_stack([got[0][index] - want[0][index], got[1][index] - want[1][index]])
        np.testing.assert_allclose(left[index], error, atol=1e-12)
    assert len(held.driven) == 561


def test_of_equal_pairs_the_quietest_is_taken() -> None:
    def restless_at_the_top(siemens: np.ndarray) -> np.ndarray:
        return 0.02 * siemens

    low, high = np.full((2, 1), 10e-6), np.full((2, 1), 200e-6)
    chosen = pair_targets(np.array([30e-6]), low, high, restless_at_the_top)
    np.testing.assert_allclose(chosen[:, 0], [40e-6, 10e-6])
    chosen = pair_targets(np.array([30e-6]), low, high, lambda g: 0.02 * (300e-6 - g))
    np.testing.assert_allclose(chosen[:, 0], [200e-6, 170e-6])


def test_single_ended_cells_have_no_partner() -> None:
    parts = BOARD.converters.model_copy(update={"feedback_ohm_per_code": 60.0})
    known = ChipKnowledge.blank("c1", MACRO).with_weak(Cells.of([(3, 14)]), np.array([30e-6]))
    found = map_to_chip(
        *network(),
        geometry=MACRO,
        loop=BOARD.loop,
        converters=parts,
        outlook=OUTLOOK,
        knowledge=known,
        options=MappingOptions(scheme="single_ended"),
        chip_options=ChipOptions(move=False, permute=False),
    )
    k = found.placement.cells.flat(MACRO).tolist().index(3 * 128 + 14)
    assert found.placement.target_siemens[k] <= 30e-6


# --- places and order ------------------------------------------------------------------------


def test_permuting_takes_out_what_partners_cannot() -> None:
    for seed in range(4):
        known = random_chip(seed, 0.01)
        stays = mapped(known, move=False, permute=False, largest_shortfall=9.0)
        turned = mapped(known, move=False)
        assert bad_error(turned) <= max(0.3 * bad_error(stays), 0.002)
        assert not turned.report.moved


def test_an_order_is_the_same_in_both_hidden_layers() -> None:
    known = random_chip(0, 0.02)
    placement = mapped(known, move=False).placement
    order = placement.order
    assert sorted(order) == list(range(14))
    assert order != tuple(range(14))
    for layer, (use, line) in enumerate([("output", "columns"), ("output", "columns")]):
        block = placement.blocks[layer]
        mine = np.flatnonzero((placement.layer == layer) & (placement.sign > 0))
        place = (getattr(placement.cells, line)[mine] - block.first_column) // 2
        np.testing.assert_array_equal(np.array(order)[place], getattr(placement, use)[mine])
    for layer in (1, 2):
        block = placement.blocks[layer]
        mine = np.flatnonzero((placement.layer == layer) & (placement.input < 14))
        place = placement.cells.rows[mine] - block.first_row
        np.testing.assert_array_equal(np.array(order)[place], placement.input[mine])


def test_any_order_and_place_holds_the_same_weights() -> None:
    rng = np.random.default_rng(3)
    for _ in range(5):
        order = tuple(int(u) for u in rng.permutation(14))
        placement = plain(2, Layout(((50, 70), (3, 2), (90, 40)), order))
        assert placement.order == order
        got_w, got_b = placement.weights_from(placement.target_siemens)
        for want, got in zip([*network(2)[0], *network(2)[1]], [*got_w, *got_b], strict=True):
            np.testing.assert_allclose(got, want, rtol=0, atol=1e-12)
        again = Placement.from_dict(placement.to_dict())
        assert again.to_dict() == placement.to_dict()


def test_blocks_move_where_the_cells_are_good() -> None:
    rows, columns = np.mgrid[3:18, 28:56]
    rng = np.random.default_rng(1)
    known = chip(list(zip(rows.ravel().tolist(), columns.ravel().tolist(), strict=True)), DEAD)
    found = mapped(known)
    assert found.report.moved
    assert sum(found.report.bad_cells.values()) == 0
    assert found.report.missing == ()
    # Whatever the map, no two blocks share a line.
    for fraction in (0.05, 0.2):
        known = random_chip(int(rng.integers(99)), fraction)
        blocks = mapped(known, largest_shortfall=9.0).placement.blocks
        for a in range(3):
            for b in range(a):
                one, other = blocks[a], blocks[b]
                assert (
                    one.first_row >= other.first_row + other.inputs
                    or other.first_row >= one.first_row + one.inputs
                )
                assert (
                    one.first_column >= other.first_column + other.columns
                    or other.first_column >= one.first_column + one.columns
                )


def test_the_same_chip_is_mapped_the_same_way() -> None:
    known = random_chip(5, 0.05)
    first, again = (mapped(known, largest_shortfall=9.0) for _ in range(2))
    assert first.placement.to_dict() == again.placement.to_dict()


def test_importance_decides_which_weight_is_given_up() -> None:
    """One dead cell that no partner helps: the order puts the least important weight there."""
    known = ChipKnowledge.blank("c1", MACRO)
    for column in (56, 57):  # both arms of a pair of the last layer
        known = known.with_stuck(Cells.of([(18, column)]), [DEAD])
    weight = [np.full(size, 1e-9) for size in ((14, 3), (14, 15), (2, 15))]
    weight[2][:, :14] = 1.0
    weight[2][0, 5] = 1e-6
    found = map_to_chip(
        *network(),
        outlook=Outlook(LAW, used_after_s=200.0),
        knowledge=known,
        importance=weight,
        chip_options=ChipOptions(move=False, largest_shortfall=9.0),
        **ON_BOARD,
    )
    small = np.abs(network()[0][2][0]) < 0.02
    assert found.placement.order[0] == 5 or small[found.placement.order[0]]


def test_too_few_good_cells_says_which() -> None:
    known = ChipKnowledge.blank("c1", MACRO)
    known = known.with_stuck(Cells.all(MACRO), np.full(MACRO.cells, DEAD))
    with pytest.raises(
        MappingError, match=r"Too few good cells on chip 'c1': 42 of the 42 .* want of 84 cells: \("
    ):
        mapped(known)
    with pytest.raises(MappingError, match="share row 6"):
        plain(0, Layout(((0, 0), (5, 40), (6, 100))))
    with pytest.raises(MappingError, match="rows are missing"):
        plain(0, Layout(((0, 0), (120, 40), (6, 100))))
    with pytest.raises(MappingError, match="count from 0"):
        plain(0, Layout(((-1, 0), (20, 40), (40, 100))))
    with pytest.raises(MappingError, match="order"):
        plain(0, Layout(((0, 0), (20, 40), (40, 100)), (0, 1)))
    other = ChipKnowledge.blank("c1", Geometry(10, 10))
    with pytest.raises(MappingError, match="10 x 10"):
        mapped(other)


# --- levels ----------------------------------------------------------------------------------


def test_quiet_levels_hold_the_same_weights_with_less_error() -> None:
    wanted = plain()
    quiet = quiet_targets(wanted, OUTLOOK.sigma)
    assert max(np.abs(e).max() for e in residuals(wanted, quiet)) < 1e-9
    low, high = wanted.window_siemens
    assert quiet.target_siemens.min() >= low
    assert quiet.target_siemens.max() <= high
    before, after = (expected_weight_error(p, OUTLOOK.sigma).relative for p in (wanted, quiet))
    assert after <= before


def test_levels_follow_the_law() -> None:
    def best(sigma: object) -> object:
        return compare_levels(*network(), sigma, **ON_BOARD)[0]  # type: ignore[arg-type]

    quiet_top = best(lambda g: 1e-6 + 8e-6 * np.exp(-g / 60e-6))
    assert quiet_top.anchor in ("top", "quiet")
    quiet_low = best(lambda g: 0.02 * g)
    assert quiet_low.anchor in ("bottom", "quiet")
    assert quiet_low.window_siemens[0] == 10e-6
    found = compare_levels(*network(), OUTLOOK.sigma, **ON_BOARD)
    assert [c.relative for c in found] == sorted(c.relative for c in found)


def test_a_quiet_mapping_uses_the_best_levels() -> None:
    found, usual = mapped(None, quiet=True), mapped(None)
    assert found.report.levels[0].relative == min(c.relative for c in found.report.levels)
    assert found.report.budget.relative < usual.report.budget.relative
    got_w, _ = found.placement.weights_from(found.placement.target_siemens)
    np.testing.assert_allclose(got_w[1], network()[0][1], atol=1e-9)


# --- expectation -----------------------------------------------------------------------------


def test_the_budget_is_that_of_drawn_deviations() -> None:
    found = mapped(random_chip(0, 0.01), move=False, permute=False, largest_shortfall=9.0)
    rng, target = np.random.default_rng(4), found.placement.target_siemens
    moves = np.ones(564) if found.placement.fixed is None else 1.0 - found.placement.fixed
    parts, squares, draws = OUTLOOK.parts(target), np.zeros(3), 400
    shift = moves * LAW.drift(target, OUTLOOK.decades)
    for _ in range(draws):
        off = parts["read noise"] * rng.standard_normal(564)
        for name in ("programming", "relaxation"):
            off += moves * parts[name] * rng.standard_normal(564)
        squares += np.square(realised_error(found.wanted, target + off + shift)) / draws
    for layer, square in zip(found.report.budget.layers, squares, strict=True):
        assert layer.total == pytest.approx(np.sqrt(square), rel=0.06)


def test_longer_waits_cost_more() -> None:
    def total(used_after_s: float) -> float:
        outlook = Outlook(LAW, used_after_s=used_after_s)
        return map_to_chip(*network(), outlook=outlook, **ON_BOARD).report.budget.relative

    assert total(10.0) == total(100.0) < total(3600.0) < total(86400.0)
    with pytest.raises(MappingError, match="used_after_s"):
        Outlook(LAW, used_after_s=float("nan"))


def test_lines_cost_what_they_take_unless_cells_are_read_through_them() -> None:
    placement = plain()
    lines = Lines(0.5, 0.5)
    assert line_error(placement, Lines()) == (0.0, 0.0, 0.0)
    error = line_error(placement, lines)
    assert all(0.0 < e < 0.02 for e in error)
    shown = lines.shown(placement.cells, placement.target_siemens)
    assert realised_error(placement, shown)[1] == pytest.approx(
        error[1] * placement.blocks[1].feedback_ohm * 135e-6
    )
    needed = lines.needed(placement.cells, placement.target_siemens)
    assert max(realised_error(placement, lines.shown(placement.cells, needed))) < 1e-12


def test_a_budget_needs_a_number_for_each_cell() -> None:
    with pytest.raises(MappingError, match="noise"):
        error_budget(plain(), {"noise": np.full(564, np.nan)}, {})


def test_targets_leave_the_window_no_further_than_a_weight_needs() -> None:
    """Low conductances look quiet to the law, but few routines hold them."""
    wanted = plain()
    partner = wanted.partner()
    largest = int(np.argmax(wanted.target_siemens[partner] - wanted.target_siemens))
    known = ChipKnowledge.blank("c1", MACRO)
    known = known.with_weak(wanted.cells[[int(partner[largest])]], np.array([190e-6]))
    held = compensated(wanted, known, REACH, OUTLOOK.sigma)
    assert held.target_siemens[partner[largest]] == pytest.approx(190e-6)
    assert held.target_siemens[largest] == pytest.approx(
        190e-6 - (wanted.target_siemens[partner[largest]] - wanted.target_siemens[largest])
    )
    assert held.target_siemens.min() > 50e-6
