"""The finite menu of pulses: snapping, limits, and reading it back."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.programming.menu import PulseMenu
from drivers.rram.geometry import Cells
from drivers.rram.limits import Limits
from protocols.errors import InputError, LimitError
from protocols.hardware import load_board
from protocols.messages import Operation

LIMITS = Limits.of(load_board("reference").limits)
MENU = PulseMenu.short()


def test_the_shipped_menus_keep_the_limits_of_the_reference_board() -> None:
    for menu in (PulseMenu.default(), MENU):
        menu.check(LIMITS)
        assert menu.within(LIMITS) is menu
        assert menu.of(Operation.SET).size > 0
        assert menu.of(Operation.RESET).size > 0


def test_the_strongest_entry_is_checked_not_only_the_first() -> None:
    low = LIMITS.lowered({"set.gate_volts": 3.0})
    with pytest.raises(LimitError, match="gate_volts"):
        MENU.check(low)
    kept = MENU.within(low)
    kept.check(low)
    assert kept.gate_volts[kept.of(Operation.SET)].max() <= 3.0
    with pytest.raises(InputError, match="No pulse"):
        MENU.within(LIMITS.lowered({"set.width_s": 1e-9, "reset.width_s": 1e-9}))


@given(st.integers(0, len(MENU) - 1))
def test_an_entry_snaps_to_itself(k: int) -> None:
    one = (MENU.operation[k], MENU.gate_volts[k], MENU.line_volts[k], MENU.width_s[k])
    assert MENU.snap(*one).tolist() == [k]


@given(st.floats(1.0, 4.0), st.floats(0.2, 3.5), st.sampled_from([50e-9, 200e-9, 2e-6]))
def test_snapping_finds_the_nearest_by_brute_force(gate: float, line: float, width: float) -> None:
    k = int(MENU.snap(Operation.RESET, gate, line, width)[0])
    mine = MENU.of(Operation.RESET)
    away = ((MENU.gate_volts[mine] - gate) / 0.05) ** 2
    away += ((MENU.line_volts[mine] - line) / 0.05) ** 2
    away += (np.log10(MENU.width_s[mine] / width) / 0.1) ** 2
    assert away[mine == k] == pytest.approx(away.min())


def test_a_batch_has_the_entries_of_its_cells() -> None:
    batch = MENU.batch(Cells.of([(0, 1), (2, 3)]), [0, len(MENU) - 1])
    assert batch.operation.tolist() == [Operation.SET, Operation.RESET]
    assert batch.gate_volts[0] == MENU.gate_volts[0]


def test_it_is_read_back() -> None:
    again = PulseMenu.from_dict(json.loads(json.dumps(MENU.to_dict())))
    np.testing.assert_array_equal(again.operation, MENU.operation)
    np.testing.assert_array_equal(again.line_volts, MENU.line_volts)


@pytest.mark.parametrize(
    "change",
    [{"gate_volts": [1.0]}, {"operation": ["set", "melt"]}, {"width_s": [float("nan"), 1e-7]}],
)
def test_bad_menus_are_refused(change: dict[str, object]) -> None:
    good = {
        "operation": ["set", "reset"],
        "gate_volts": [2.0, 3.0],
        "line_volts": [2.0, 2.0],
        "width_s": [1e-7, 2e-7],
    }
    PulseMenu.from_dict(good)
    with pytest.raises(InputError):
        PulseMenu.from_dict({**good, **change})


def test_no_pulse_twice_and_none_missing() -> None:
    two = np.array([1.0, 1.0])
    with pytest.raises(InputError, match="twice"):
        PulseMenu(np.array([0, 0]), two, two, two)
    with pytest.raises(InputError, match="no RESET"):
        MENU[MENU.of(Operation.SET)].snap(Operation.RESET, 1.0, 1.0, 1e-7)
    assert len(PulseMenu.join([MENU, MENU[:3]])) == len(MENU)
