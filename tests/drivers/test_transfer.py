"""Codes and SI units: both ways, at the edges, and never clipped."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.transfer import ColumnCurves, Curves, MeasuredTransfer, Transfer
from protocols.errors import LimitError
from protocols.hardware import load_board

REFERENCE = load_board("reference")
CURVES = Curves.nominal(REFERENCE)
NAMES = sorted(set(Curves.__dataclass_fields__) - {"columns"})


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_every_code_comes_back(name, data):
    curve: Transfer = getattr(CURVES, name)
    code = data.draw(st.integers(curve.code_min, curve.code_max))
    assert int(curve.to_code(curve.to_si(code))) == code


@pytest.mark.parametrize("name", NAMES)
def test_the_ends_are_the_range(name):
    curve: Transfer = getattr(CURVES, name)
    assert int(curve.to_code(curve.minimum)) in (curve.code_min, curve.code_max)
    step = abs(curve.gain)
    for beyond in (curve.minimum - step, curve.maximum + step):
        with pytest.raises(LimitError, match="Nothing was driven"):
            curve.to_code(beyond)


@given(st.floats(0, 5.0))
def test_what_drives_is_never_rounded_up(volts):
    curve = CURVES.pulse_volts
    got = float(curve.to_si(curve.to_code(volts)))
    assert got <= volts + 1e-6 * curve.gain
    assert got > volts - 1.001 * curve.gain


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("pulse_volts", 5.0, 4095),
        ("pulse_volts", 0.2, 163),
        ("width", 100e-9, 5),
        ("width", 20e-6, 1000),
        ("width", 109e-9, 5),
        ("word", 0.0, 2048),
        ("word", -1.0, 0),
        ("noise", 0.25, 512),
        ("embedding", 0.1, 3072),
        ("class_offset", -0.1, -1024),
        ("initial", -0.4, 0),
        ("feedback", 20.0, 1),
        ("reference", 50e-6, 500),
        ("read_amperes", 60e-6, 4095),
    ],
)
def test_nominal_codes(name, value, code):
    assert int(getattr(CURVES, name).to_code(value)) == code


def test_means_of_codes_have_values():
    assert CURVES.sample.to_si(2048.5) == pytest.approx(0.4 / 2048 / 2)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e300])
def test_no_code_for_what_is_not_finite(bad):
    for name in NAMES:
        with pytest.raises(LimitError):
            getattr(CURVES, name).to_code(bad)


def test_the_error_names_what_and_where():
    values = np.zeros((4, 14))
    values[2, 13] = 0.3
    with pytest.raises(LimitError) as caught:
        CURVES.embedding.to_code(values, "embedding", ("tick", "channel"))
    assert str(caught.value) == (
        "embedding at tick 2, channel 13 is 0.3 V; the converter reaches -0.2 to 0.199902 V."
        " Nothing was driven"
    )


def test_a_width_shorter_than_a_tick_is_refused():
    with pytest.raises(LimitError, match="reaches 2e-08 to"):
        CURVES.width.to_code(15e-9)


def test_shapes_are_kept():
    assert CURVES.word.to_code(np.zeros((3, 2))).shape == (3, 2)
    assert CURVES.word.to_code(0.5).shape == ()
    assert CURVES.word.to_code([]).shape == (0,)


def test_a_measured_curve_of_negative_gain():
    curve = Transfer(-0.01, 20.0, 0, 4095, "V")
    assert (curve.minimum, curve.maximum) == (pytest.approx(-20.95), 20.0)
    assert int(curve.to_code(20.0)) == 0
    with pytest.raises(LimitError, match=r"-20\.95 to 20 V"):
        curve.to_code(20.1)


# --- measured curves -----------------------------------------------------------------------------

KNOTS = np.linspace(0.0, 4095.0, 33)


def measured(*deviations, down=False, **more) -> MeasuredTransfer:
    line = CURVES.pulse_volts
    table = np.stack([np.broadcast_to(d, KNOTS.shape) for d in deviations])
    return MeasuredTransfer(
        line.gain, line.offset, 0, 4095, "V", down, knots=KNOTS, deviation=table, **more
    )


BENT = 12.0 + 0.01 * KNOTS + 8.0 * np.sin(KNOTS / 700.0)


@given(st.integers(0, 4095))
def test_a_measured_curve_gives_every_code_back(code):
    curve = measured(BENT)
    assert int(curve.to_code(curve.to_si(code))) == code


@given(st.floats(0.05, 4.9))
def test_a_measured_curve_misses_by_half_a_step(volts):
    curve = measured(BENT)
    got = float(curve.to_si(curve.to_code(volts)))
    assert abs(got - volts) <= 0.51 * curve.gain * 1.02


@given(st.floats(-1.0, 6.0))
def test_at_most_is_never_above(volts):
    for curve in (measured(BENT), CURVES.pulse_volts):
        code = curve.at_most(volts)
        assert 0 <= code <= 4095
        assert code == 0 or float(curve.to_si(code)) <= volts + 1e-5 * curve.gain
        assert code == 4095 or float(curve.to_si(code + 1)) > volts


def test_what_a_measured_curve_cannot_give_is_refused():
    curve = measured(BENT)
    assert curve.minimum == pytest.approx(12.0 * curve.gain)
    for volts in (0.0, curve.minimum - curve.gain, curve.maximum + curve.gain, math.nan):
        with pytest.raises(LimitError, match="Nothing was driven"):
            curve.to_code(volts)


def test_channels_stand_on_the_last_axis():
    curve = measured(5.0, -3.0)
    codes = np.array([[100, 100], [2000, 3000]])
    volts = curve.to_si(codes)
    np.testing.assert_allclose(volts, (codes + np.array([5.0, -3.0])) * curve.gain)
    np.testing.assert_array_equal(curve.to_code(volts), codes)
    assert (curve.minimum, curve.maximum) == (
        pytest.approx(5.0 * curve.gain),
        pytest.approx(4092.0 * curve.gain),
    )
    with pytest.raises(LimitError, match="channel 1"):
        curve.to_code([1.0, 4094.0 * curve.gain], "x", ("channel",))
    assert curve.to_si(100).shape == (2,)


def test_the_uncertainty_holds_step_and_reference():
    curve = measured(0.0, sd_codes=0.1, relative_sd=1e-3)
    assert curve.uncertainty == pytest.approx(math.hypot(0.1 * curve.gain, 5e-3))
    assert CURVES.pulse_volts.uncertainty == 0.0


def test_read_paths_are_taken_off_column_by_column():
    columns = ColumnCurves(np.array([1.0, 1.1, 0.9]), np.array([0.0, 1e-6, -1e-6]), 0.0)
    true = np.array([10e-6, 20e-6, 30e-6, 5e-6])
    place = np.array([2, 1, 0, 1])
    through = true * columns.gain[place] + columns.offset_amperes[place]
    np.testing.assert_allclose(columns.true(through, place), true)
