"""What is known of a chip's cells: findings, ranges, lines, the file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from calibration.forming import FormParams, FormResult
from calibration.mapping_knowledge import CellKind, ChipKnowledge, Lines
from calibration.programming import CellStatus, ProgramResult
from drivers.rram.geometry import Cells, Geometry
from protocols.errors import MappingError

GEOMETRY = Geometry(9, 11)
BLANK = ChipKnowledge.blank("c1", GEOMETRY)


def forming(
    cells: Cells, siemens: list[float], formed: list[bool], pulses: list[int]
) -> FormResult:
    n = len(cells)
    return FormResult(
        FormParams(),
        cells,
        np.array(siemens),
        np.array(formed),
        np.full(n, np.nan),
        np.array(pulses),
        rounds=max(pulses),
        bench_s=1.0,
    )


def program(cells: Cells, reached: list[float], status: list[CellStatus]) -> ProgramResult:
    n = len(cells)
    ones = np.ones(n, np.int64)
    return ProgramResult(
        algorithm="ispp",
        cells=cells,
        target_siemens=np.full(n, 150e-6),
        tolerance_siemens=np.full(n, 3e-6),
        reached_siemens=np.array(reached),
        sets=ones,
        resets=ones,
        reads=ones,
        status=np.array([int(s) for s in status]),
        rounds=1,
        round_trips=1,
        bench_s=1.0,
    )


def at(known: ChipKnowledge, row: int, column: int) -> tuple[CellKind, float, float]:
    return (
        CellKind(int(known.kind[row, column])),
        float(known.lowest_siemens[row, column]),
        float(known.highest_siemens[row, column]),
    )


def test_of_a_blank_chip_every_cell_is_good() -> None:
    assert not BLANK.bad.any()
    assert at(BLANK, 3, 4) == (CellKind.GOOD, 0.0, np.inf)
    assert BLANK.counts() == {"formed": 0, "weak": 0, "stuck": 0, "dead": 0}


def test_cells_that_do_not_form_are_dead() -> None:
    cells = Cells.of([(0, 0), (1, 1), (2, 2)])
    known = BLANK.with_forming(
        forming(cells, [100e-6, 0.2e-6, 180e-6], [True, False, True], [9, 40, 0])
    )
    assert at(known, 1, 1)[0] is CellKind.DEAD
    assert known.formed[0, 0]
    assert not known.formed[1, 1]
    assert at(known, 2, 2)[0] is CellKind.GOOD  # formed before, for all that is known
    assert known.is_news_to(BLANK)
    assert not BLANK.is_news_to(known)


def test_on_a_virgin_chip_a_cell_that_needed_no_pulse_is_stuck_high() -> None:
    cells = Cells.of([(0, 0), (2, 2)])
    result = forming(cells, [100e-6, 180e-6], [True, True], [9, 0])
    known = BLANK.with_forming(result, virgin=True)
    assert at(known, 2, 2) == (CellKind.STUCK, 180e-6, 180e-6)
    again = forming(cells[:1], [99e-6], [True], [0])
    assert at(known.with_forming(again, virgin=True), 0, 0)[0] is CellKind.GOOD


def test_a_dry_run_of_forming_kills_no_cell() -> None:
    result = forming(Cells.of([(0, 0)]), [0.1e-6], [False], [0])
    assert not BLANK.with_forming(result).bad.any()


def test_read_maps() -> None:
    cells = Cells.of([(0, 0), (0, 1)])
    reading = np.array([0.1e-6, 150e-6])
    formed = BLANK.with_read_map(cells, reading, 20e-6)
    assert formed.formed[0].tolist()[:2] == [False, True]
    assert not formed.bad.any()
    virgin = BLANK.with_unformed_map(cells, reading, 20e-6)
    assert at(virgin, 0, 1) == (CellKind.STUCK, 150e-6, 150e-6)


def test_programming_tells_weak_stuck_and_dead_cells_apart() -> None:
    cells = Cells.of([(0, 0), (0, 1), (0, 2), (0, 3), (0, 4)])
    status = [
        CellStatus.STUCK_LOW,
        CellStatus.STUCK_LOW,
        CellStatus.STUCK_HIGH,
        CellStatus.IN_TOLERANCE,
        CellStatus.BUDGET,
    ]
    known = BLANK.with_program(program(cells, [120e-6, 0.1e-6, 198e-6, 150e-6, 140e-6], status))
    assert at(known, 0, 0)[0] is CellKind.WEAK
    assert at(known, 0, 0)[2] == pytest.approx(0.98 * 120e-6)
    assert at(known, 0, 1)[0] is CellKind.DEAD
    assert at(known, 0, 2) == (CellKind.STUCK, 198e-6, 198e-6)
    assert not known.bad[0, 3:].any()
    assert known.formed[0, 3]
    # A weak cell that cannot be brought down either stands still; one that answers again is good.
    low = program(cells[4:], [20e-6], [CellStatus.STUCK_HIGH])
    assert at(known.with_program(low), 0, 4) == (CellKind.WEAK, 20e-6 / 0.98, np.inf)
    later = known.with_program(program(cells[:1], [119e-6], [CellStatus.STUCK_HIGH]))
    assert at(later, 0, 0) == (CellKind.STUCK, 119e-6, 119e-6)
    assert later.is_news_to(known)
    healed = later.with_program(program(cells[:1], [150e-6], [CellStatus.IN_TOLERANCE]))
    assert at(healed, 0, 0)[0] is CellKind.GOOD


def test_lines_there_and_back() -> None:
    lines = Lines(0.5, 2.0)
    cells = Cells.of([(0, 0), (8, 10)])
    np.testing.assert_allclose(lines.path_ohm(cells), [2.5, 5.5 + 18.0])
    wanted = np.array([200e-6, 100e-6])
    np.testing.assert_allclose(lines.shown(cells, lines.needed(cells, wanted)), wanted, rtol=1e-14)
    assert np.all(lines.needed(cells, wanted) > wanted)
    with pytest.raises(MappingError, match="behind"):
        Lines(1e4, 0.0).needed(cells, wanted)
    with pytest.raises(MappingError, match="bit_ohm"):
        Lines(-1.0)


def test_another_chip_or_size_is_refused() -> None:
    BLANK.check("c1", GEOMETRY)
    with pytest.raises(MappingError, match="of chip 'c1', the bench has chip 'c2'"):
        BLANK.check("c2", GEOMETRY)
    with pytest.raises(MappingError, match="9 x 11 cells, the bench's has 128 x 128"):
        BLANK.check("c1", Geometry(128, 128))
    with pytest.raises(MappingError, match="outside the array"):
        BLANK.with_stuck(Cells.of([(9, 0)]), [1e-4])


def known_chip() -> ChipKnowledge:
    known = ChipKnowledge.blank("c1", GEOMETRY, Lines(0.5, 0.6))
    known = known.with_formed(Cells.of([(0, 0), (8, 10)]), np.array([True, True]))
    known = known.with_stuck(Cells.of([(1, 2), (3, 4)]), [0.1e-6, 200e-6])
    return known.with_weak(Cells.of([(5, 6)]), np.array([90e-6]))


def test_file_round_trip(tmp_path: Path) -> None:
    known = known_chip()
    known.save(tmp_path / "chip" / "map.json")
    again = ChipKnowledge.load(tmp_path / "chip" / "map.json")
    assert again.to_dict() == known.to_dict()
    np.testing.assert_array_equal(again.kind, known.kind)
    np.testing.assert_array_equal(again.formed, known.formed)
    np.testing.assert_array_equal(again.highest_siemens, known.highest_siemens)
    assert again.lines == known.lines


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"format": "chip-knowledge-9"}, "format"),
        ({"more": 1}, "more: no such key"),
        ({"rows": 10}, "formed_bits has"),
        ({"rows": 2, "formed_bits": "AAAA"}, "outside the array"),
        ({"formed_bits": "!!"}, "base64"),
        ({"bit_ohm": float("nan")}, "bit_ohm"),
        ({"rows": 10**6}, "rows"),
        (
            {
                "bad": [
                    {
                        "row": 1,
                        "column": 1,
                        "kind": "weak",
                        "lowest_siemens": 2e-4,
                        "highest_siemens": 1e-4,
                    }
                ]
            },
            "lowest conductance",
        ),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, change: dict[str, object], text: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(json.dumps({**known_chip().to_dict(), **change}))
    with pytest.raises(MappingError, match=text) as caught:
        ChipKnowledge.load(path)
    assert "bad.json" in str(caught.value)


def test_no_file_and_no_json(tmp_path: Path) -> None:
    with pytest.raises(MappingError, match="cannot be read"):
        ChipKnowledge.load(tmp_path / "absent.json")
    (tmp_path / "x.json").write_bytes(b"\xff\xfe{")
    with pytest.raises(MappingError, match="not a text"):
        ChipKnowledge.load(tmp_path / "x.json")
    (tmp_path / "deep.json").write_text("[" * 200_000)
    with pytest.raises(MappingError):
        ChipKnowledge.load(tmp_path / "deep.json")
