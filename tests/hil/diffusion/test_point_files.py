"""Points from CSV and NPZ files."""

import numpy as np
import pytest

from hil.diffusion.point_files import read_points
from protocols.errors import DataError


def table(tmp_path, text):
    path = tmp_path / "set.csv"
    path.write_text(text)
    return path


def test_a_table_with_names_and_classes(tmp_path):
    text = "x,y,kind\n0.1, 0.2, b\n\n-0.3,0.4,a\n1,-1,b\n"
    found = read_points(table(tmp_path, text))
    np.testing.assert_array_equal(found.points, [[0.1, 0.2], [-0.3, 0.4], [1.0, -1.0]])
    assert found.class_names == ("a", "b")
    assert found.labels.tolist() == [1, 0, 1]


def test_a_table_without_classes(tmp_path):
    found = read_points(table(tmp_path, "0.1,0.2\n0.3,0.4\n"))
    assert found.labels is None
    assert found.class_names == ()
    assert found.dimensions == 2


def test_numbers_as_classes_are_counted_in_their_order(tmp_path):
    text = "".join(f"0.{k},0.1,{k}\n" for k in (10, 9, 2))
    found = read_points(table(tmp_path, text))
    assert found.class_names == ("2", "9", "10")
    assert found.labels.tolist() == [2, 1, 0]


@pytest.mark.parametrize("labels", [None, np.array([3, 1, 3]), np.array(["u", "k", "u"])])
def test_an_npz_gives_the_same(tmp_path, labels):
    points = np.array([[0.1, 0.2], [-0.3, 0.4], [1.0, -1.0]])
    members = {"points": points} if labels is None else {"points": points, "labels": labels}
    np.savez(tmp_path / "set.npz", **members)
    found = read_points(tmp_path / "set.npz")
    np.testing.assert_array_equal(found.points, points)
    assert (found.labels is None) == (labels is None)
    if labels is not None:
        assert found.labels.tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", r"points of shape \(0, 2\)"),
        ("0.1,0.2\n", "at least two"),
        ("0.1\n0.2\n", "line 1"),
        ("0.1,0.2\n0.3,abc\n", "line 2: '0.3,abc'"),
        ("0.1,0.2\n0.3,0.4,1\n", "line 2"),
        ("x,y\nx,y\n", "line 2"),
        ("0.1,0.2\nnan,0.4\n", "point 1.*nan"),
        ("0.1,0.2\ninf,0.4\n", "point 1.*inf"),
        ("0.1,0.2\n0.3,-5\n", "point 1.*-5.*Scale the set"),
        ("".join(f"0.1,0.2,c{k}\n" for k in range(65)), "65 classes; at most 64"),
    ],
)
def test_bad_tables_are_refused(tmp_path, text, words):
    path = table(tmp_path, text)
    with pytest.raises(DataError, match=words) as caught:
        read_points(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"x": np.zeros((3, 2))}, "holds x; points"),
        ({"points": np.zeros((3, 3))}, r"shape \(3, 3\)"),
        ({"points": np.full((3, 2), np.nan)}, "point 0.*nan"),
        ({"points": np.zeros((3, 2), dtype=complex)}, "complex128"),
        ({"points": np.zeros((3, 2)), "labels": np.zeros(2, dtype=int)}, "labels of shape"),
        ({"points": np.zeros((3, 2)), "labels": np.zeros(3)}, "labels have type float64"),
    ],
)
def test_bad_npz_files_are_refused(tmp_path, members, words):
    np.savez(tmp_path / "set.npz", **members)
    with pytest.raises(DataError, match=words):
        read_points(tmp_path / "set.npz")


def test_a_missing_file(tmp_path):
    for name in ("gone.csv", "gone.npz"):
        with pytest.raises(DataError, match=f"{name}.*[nN]o such file"):
            read_points(tmp_path / name)
