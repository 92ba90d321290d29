"""Pulse batches, and the limits that they are checked against."""

from __future__ import annotations

import math

import numpy as np
import pytest

from drivers.rram.geometry import Cells
from drivers.rram.limits import Limits
from drivers.rram.pulses import PulseBatch
from protocols.errors import ConfigError, InputError, LimitError
from protocols.hardware import load_board
from protocols.messages import Operation

LIMITS = Limits.of(load_board("reference").limits)
CELLS = Cells.of([(0, 0), (1, 7), (2, 3)])
OK = {"gate_volts": 2.0, "line_volts": 2.0, "width_s": 1e-6}


def test_numbers_are_broadcast():
    batch = PulseBatch.set(CELLS, gate_volts=1.5, line_volts=[1.0, 2.0, 3.0], width_s=1e-7)
    assert batch.operation.tolist() == [Operation.SET] * 3
    assert batch.gate_volts.tolist() == [1.5] * 3
    assert batch.line_volts.tolist() == [1.0, 2.0, 3.0]
    assert len(batch) == 3


def test_join_and_select():
    batch = PulseBatch.join([PulseBatch.reset(CELLS, **OK), PulseBatch.form(CELLS[:1], **OK)])
    assert batch.operation.tolist() == [1, 1, 1, 2]
    assert list(batch[[3, 1]].cells) == [(0, 0), (1, 7)]
    assert batch[batch.operation == Operation.FORM].operation.tolist() == [2]
    assert len(batch[np.zeros(4, bool)]) == 0
    with pytest.raises(InputError, match="no batches"):
        PulseBatch.join([])


@pytest.mark.parametrize("quantity", ["gate_volts", "line_volts", "width_s"])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -0.1])
def test_a_value_that_is_no_voltage_or_time(quantity, bad):
    values = np.full(3, 1e-6)
    values[1] = bad
    with pytest.raises(InputError, match=rf"{quantity} of cell \(1, 7\) is {bad}"):
        PulseBatch.set(CELLS, **{**OK, quantity: values})


def test_wrong_shapes_and_operations():
    with pytest.raises(InputError, match="gate_volts has shape"):
        PulseBatch.set(CELLS, **{**OK, "gate_volts": [1.0, 2.0]})
    with pytest.raises(InputError, match="0 SET, 1 RESET, 2 FORM"):
        PulseBatch(CELLS, np.array([0, 1, 3]), *[np.array(1.0)] * 3)


def test_batches_do_not_change():
    batch = PulseBatch.set(CELLS, **OK)
    with pytest.raises(ValueError, match="read-only"):
        batch.gate_volts[0] = 9.0


@pytest.mark.parametrize("operation", Operation)
@pytest.mark.parametrize("quantity", ["gate_volts", "line_volts", "width_s"])
def test_every_limit_of_every_operation(operation, quantity):
    bound = LIMITS.bound(operation, quantity)
    make = getattr(PulseBatch, operation.name.lower())
    at_limit = {**OK, quantity: np.array([1e-6, bound.value, 1e-6])}
    LIMITS.check(make(CELLS, **at_limit))
    over = {**OK, quantity: np.array([1e-6, bound.value * 1.001, 1e-6])}
    with pytest.raises(LimitError) as caught:
        LIMITS.check(make(CELLS, **over))
    text = str(caught.value)
    assert text.startswith(f"{operation.name} of cell (1, 7): {quantity} is ")
    assert f"the limit is {bound.value:g}" in text
    assert "set in the board description" in text


def test_limits_of_one_operation_do_not_bind_another():
    batch = PulseBatch.form(CELLS, gate_volts=2.0, line_volts=4.5, width_s=1e-3)
    LIMITS.check(PulseBatch.join([batch, PulseBatch.set(CELLS, **OK)]))
    with pytest.raises(LimitError, match="SET of cell"):
        LIMITS.check(PulseBatch.join([batch, PulseBatch.set(CELLS, **{**OK, "line_volts": 4.5})]))


def test_lowered_limits_name_their_source():
    lowered = LIMITS.lowered({"set.gate_volts": 1.9, "pulses_per_cell": 10})
    with pytest.raises(LimitError, match=r"limit is 1\.9 V \(set in the bench file\)"):
        lowered.check(PulseBatch.set(CELLS, **OK))
    LIMITS.check(PulseBatch.set(CELLS, **OK))
    assert lowered.bounds["pulses_per_cell"].value == 10


def test_limits_are_never_raised():
    with pytest.raises(LimitError, match=r"bench\.yaml: limits\.set\.gate_volts is 3\.7, but"):
        LIMITS.lowered({"set.gate_volts": 3.7}, "bench.yaml")


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_a_limit_is_a_positive_number(value):
    with pytest.raises(ConfigError, match="a positive number is needed"):
        LIMITS.lowered({"read_volts": value})


def test_an_unknown_limit_lists_the_known():
    with pytest.raises(ConfigError, match=r"limits\.set\.gate: no such limit; known: arm_s, form"):
        LIMITS.lowered({"set.gate": 1.0})


def test_capped_lowers_only():
    capped = LIMITS.capped({"read_volts": 0.3, "arm_s": 1e9}, "firmware")
    assert (capped.bounds["read_volts"].value, capped.bounds["read_volts"].source) == (
        0.3,
        "firmware",
    )
    assert capped.bounds["arm_s"] == LIMITS.bounds["arm_s"]


@pytest.mark.parametrize("volts", [0.0, -0.1, 0.46, math.nan])
def test_read_voltages_that_are_refused(volts):
    with pytest.raises(LimitError, match=r"at most 0\.45 V"):
        LIMITS.check_read(volts)
    LIMITS.check_read(0.45)


@pytest.mark.parametrize("duration_s", [0.0, 1e-4, 601.0, math.nan])
def test_arming_times_that_are_refused(duration_s):
    with pytest.raises(LimitError, match="1 ms to 600 s"):
        LIMITS.check_arm(duration_s)
    LIMITS.check_arm(600.0)
