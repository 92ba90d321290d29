"""Sources of points: keyed, class by class, and refused when they are no set."""

import numpy as np
import pytest

from hil.diffusion.sources import FiniteSource, LawSource
from hil.diffusion.tasks.ring import ring
from protocols.errors import DataError

POINTS = np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0], [6.0, 7.0]])
LABELS = np.array([0, 1, 0, 1])


def make(**changes):
    given = {"points": POINTS, "labels": LABELS, "class_names": ("a", "b"), **changes}
    return FiniteSource(**given)


def test_points_depend_on_seed_and_number_alone():
    source = make(spread=np.full((4, 2), 0.1))
    whole = source.draw(50, seed=3)
    np.testing.assert_array_equal(source.draw(7, seed=3, first=20), whole[20:27])
    assert not np.array_equal(source.draw(50, seed=4), whole)
    assert not np.array_equal(source.draw(50, 3, 0, 0), source.draw(50, 3, 0, 1))


def test_a_class_gives_its_own_points():
    found = make().draw(200, seed=1, label=1)
    assert {tuple(point) for point in found} == {(2.0, 3.0), (6.0, 7.0)}
    every = make().draw(200, seed=1)
    assert len({tuple(point) for point in every}) == 4


def test_spread_is_a_normal_about_each_point():
    source = FiniteSource(np.array([[1.0, -1.0]]), np.array([[0.1, 0.3]]))
    found = source.draw(20_000, seed=2)
    np.testing.assert_allclose(found.mean(0), [1.0, -1.0], atol=0.01)
    np.testing.assert_allclose(found.std(0), [0.1, 0.3], rtol=0.03)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"points": np.zeros(4)}, "shape"),
        ({"points": np.zeros((0, 2)), "labels": np.zeros(0, dtype=int)}, "shape"),
        ({"points": np.where(POINTS == 3.0, np.nan, POINTS)}, "point 1 is not finite"),
        ({"spread": np.zeros((4, 3))}, "not one spread"),
        ({"spread": -np.ones((4, 2))}, "negative"),
        ({"labels": np.array([0, 1])}, "labels for 4 points"),
        ({"labels": np.array([0, 1, 2, 0])}, "class 2 has no point or no name"),
        ({"labels": np.array([0, 0, 0, 0])}, "class 1 has no point"),
        ({"labels": np.array([0, 1, -1, 0])}, "class -1"),
        ({"labels": None}, "2 class names for points without labels"),
    ],
)
def test_what_is_no_set_is_refused(changes, words):
    with pytest.raises(DataError, match=words):
        make(**changes)


@pytest.mark.parametrize("label", [-1, 2])
def test_a_class_out_of_range(label):
    with pytest.raises(DataError, match=f"class {label} does not exist"):
        make().draw(3, 0, 0, label)
    with pytest.raises(DataError, match="has 0 classes"):
        LawSource(2, ring).draw(3, 0, 0, 0)
