"""Placement files: order of the hidden units, fixed cells, versions."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from calibration.mapping import Layout, Placement, map_network
from calibration.programming.pairs import PairTrim
from drivers.rram.geometry import Geometry
from protocols.errors import MappingError
from protocols.hardware import load_board

BOARD = load_board("reference")
ORDER = (3, 0, 13, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12)


def permuted() -> Placement:
    rng = np.random.default_rng(0)
    sizes = ((14, 2), (14, 14), (2, 14))
    return map_network(
        [rng.normal(0.0, 0.5, size) for size in sizes],
        [rng.normal(0.0, 0.5, size[0]) for size in sizes],
        geometry=Geometry(BOARD.rows, BOARD.columns),
        loop=BOARD.loop,
        converters=BOARD.converters,
        layout=Layout(((0, 0), (3, 28), (18, 56)), ORDER),
    )


def with_fixed(placement: Placement, *cells: int) -> Placement:
    fixed = np.zeros(len(placement), np.bool_)
    fixed[list(cells)] = True
    target = np.where(fixed, 0.1e-6, placement.target_siemens)
    return placement.with_targets(target, fixed)


def test_order_and_fixed_cells_are_kept_in_the_file(tmp_path: Path) -> None:
    placement = with_fixed(permuted(), 7, 300)
    placement.save(tmp_path / "p.json")
    again = Placement.load(tmp_path / "p.json")
    assert again.order == ORDER
    assert again.driven.tolist() == placement.driven.tolist()
    assert len(again.driven) == 562
    assert again.to_dict() == placement.to_dict()
    np.testing.assert_array_equal(again.channels, ORDER)


def test_a_file_of_the_first_version_is_read() -> None:
    data = permuted().to_dict()
    own = {**data, "format": "placement-1", "order": [], "fixed": []}
    with pytest.raises(MappingError, match="are not those of its block"):
        Placement.from_dict(own)  # the cells stand in another order than the first version knows
    straight = Placement.from_dict({**_unpermuted(), "format": "placement-1"})
    assert straight.order == ()
    assert straight.fixed is None
    assert straight.channels is None
    assert len(straight.driven) == len(straight)


def _unpermuted() -> dict[str, object]:
    data = map_network(
        [np.ones((14, 2)), np.ones((2, 14))],
        [np.ones(14), np.ones(2)],
        geometry=Geometry(BOARD.rows, BOARD.columns),
        loop=BOARD.loop,
        converters=BOARD.converters,
    ).to_dict()
    del data["order"], data["fixed"]
    return data


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"format": "placement-3"}, "format"),
        ({"order": [0, 0, *range(2, 14)]}, "not a permutation"),
        ({"order": [1, 0]}, "shared by all hidden layers"),
        ({"order": list(range(14))}, "are not those of its block"),
        ({"fixed": [564]}, "fixed names cell 564"),
        ({"fixed": [-1]}, "fixed"),
    ],
)
def test_a_damaged_order_is_refused(tmp_path: Path, change: dict[str, object], text: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(json.dumps({**permuted().to_dict(), **change}))
    with pytest.raises(MappingError, match=text) as caught:
        Placement.load(path)
    assert "bad.json" in str(caught.value)


def test_fixed_cells_are_left_out_of_pairs() -> None:
    placement = with_fixed(permuted(), 7)
    trim = PairTrim(placement)
    assert trim.nominal.shape == (563,)
    other = int(placement.partner()[7])
    alone = int(np.flatnonzero(placement.driven == other)[0])
    assert trim.partner[alone] == -1
    assert not trim.is_trim[alone]
    assert not trim.is_anchor[alone]
    paired = np.flatnonzero(trim.partner >= 0)
    np.testing.assert_array_equal(trim.partner[trim.partner[paired]], paired)
    with pytest.raises(MappingError, match="marks of fixed cells"):
        placement.with_targets(placement.target_siemens, np.zeros(3, np.bool_))
