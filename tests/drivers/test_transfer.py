"""Codes and SI units: both ways, at the edges, and never clipped."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.transfer import Curves, Transfer
from protocols.errors import LimitError
from protocols.hardware import load_board

REFERENCE = load_board("reference")
CURVES = Curves.nominal(REFERENCE)
NAMES = sorted(Curves.__dataclass_fields__)


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
