"""Pair trim: the difference counts."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.mapping import map_network
from calibration.programming import default_tolerance
from calibration.programming.ispp import Ispp, IsppParams
from calibration.programming.pairs import PairTrim
from drivers.rram.geometry import Geometry
from protocols.errors import InputError
from protocols.hardware import load_board

BOARD = load_board("reference")


@pytest.fixture
def placement():
    rng = np.random.default_rng(0)
    return map_network(
        [rng.normal(0.0, 1.0, (5, 7))],
        [rng.normal(0.0, 0.3, 5)],
        geometry=Geometry(16, 16),
        loop=BOARD.loop,
        converters=BOARD.converters,
    )


def test_one_arm_of_each_pair_is_the_anchor(placement) -> None:
    trim = PairTrim(placement)
    assert trim.is_anchor.sum() == trim.is_trim.sum() == len(placement) // 2
    assert np.all(trim.is_trim == trim.is_anchor[placement.partner()])
    higher = placement.target_siemens >= placement.target_siemens[placement.partner()]
    assert np.all(higher[trim.is_anchor])


def test_what_an_anchor_is_off_is_moved_to_its_partner(placement) -> None:
    trim = PairTrim(placement)
    tolerance = trim.tolerances(default_tolerance(placement.target_siemens))
    reading = placement.target_siemens + np.where(trim.is_anchor, 3e-6, 0.0)
    targets = trim.targets(reading, tolerance)
    off = targets - placement.target_siemens
    np.testing.assert_allclose(off[trim.is_trim], 3e-6, atol=1e-15)
    np.testing.assert_array_equal(off[trim.is_anchor], 0.0)
    weights, _ = placement.weights_from(np.where(trim.is_anchor, reading, targets))
    np.testing.assert_allclose(
        weights[0], placement.weights_from(placement.target_siemens)[0][0], atol=1e-9
    )
    far = trim.targets(placement.target_siemens - 100e-6, tolerance) - placement.target_siemens
    assert np.all(far[trim.is_trim] >= -2.0 * tolerance[placement.partner()][trim.is_trim] - 1e-18)


def test_the_weights_come_out_better_than_the_arms(toy, placement) -> None:
    toy.siemens[:] = 120e-6
    at = (placement.cells.rows, placement.cells.columns)
    wanted = placement.weights_from(placement.target_siemens)[0][0]
    params = IsppParams(tolerance_siemens=3e-6)
    result = Ispp(params, pairs=PairTrim(placement, 4.0)).run(
        toy, placement.cells, placement.target_siemens
    )
    error = placement.weights_from(toy.siemens[at])[0][0] - wanted
    assert result.in_tolerance.all()
    assert np.abs(error).max() <= placement.blocks[0].feedback_ohm * 3e-6 * (1 + 1e-9)
    arms = np.abs(toy.siemens[at] - placement.target_siemens)
    assert arms.max() > 3e-6


def test_a_wrong_number_of_cells_is_refused(toy, placement) -> None:
    with pytest.raises(InputError, match="but pairs of"):
        Ispp(pairs=PairTrim(placement)).run(
            toy, placement.cells[:10], placement.target_siemens[:10]
        )
    with pytest.raises(InputError):
        PairTrim(placement, 0.5)
