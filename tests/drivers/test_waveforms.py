"""Waveforms: shapes, ranges of every channel, and the bytes that their CRC is taken of."""

from __future__ import annotations

import math
import struct
import zlib

import numpy as np
import pytest

from drivers.transfer import Curves
from drivers.waveforms import Waveforms
from protocols.errors import InputError, LimitError
from protocols.hardware import load_board

CURVES = Curves.nominal(load_board("reference"))
TICKS = 20


def waveforms(**changes) -> Waveforms:
    fields = {
        "tick_s": 5e-3,
        "drift": np.linspace(-1, 0.5, TICKS),
        "score": np.full(TICKS, 0.25),
        "noise": np.full(TICKS, 0.1),
        "offset": np.zeros((TICKS, 2)),
        "embedding_volts": np.linspace(-0.1, 0.1, TICKS * 14).reshape(TICKS, 14),
    }
    return Waveforms(**{**fields, **changes})


def changed(shape, where, value):
    table = np.zeros(shape)
    table[where] = value
    return table


def test_codes_tick_by_tick():
    codes = waveforms(class_offset_volts=np.full(14, 0.01)).encode(CURVES)
    assert len(codes.entries) == TICKS
    first = codes.entries[0]
    assert (first.drift, first.score, first.noise, first.offset) == (0, 2560, 205, (2048, 2048))
    assert first.embedding[0] == 1024
    assert codes.class_offset == (102,) * 14


def test_crc_is_over_records_then_class_offsets():
    codes = waveforms(class_offset_volts=np.full(14, -0.01)).encode(CURVES)
    packed = b"".join(
        struct.pack("<19H", e.drift, e.score, e.noise, *e.offset, *e.embedding)
        for e in codes.entries
    )
    assert codes.crc == zlib.crc32(packed + struct.pack("<14h", *codes.class_offset))


def test_duration_and_defaults():
    assert waveforms().duration_s == pytest.approx(0.1)
    assert waveforms().encode(CURVES).class_offset == (0,) * 14


@pytest.mark.parametrize(
    ("name", "shape", "where", "words"),
    [
        ("drift", TICKS, 7, "drift word f at tick 7 is 1.5"),
        ("score", TICKS, 0, "score word g2 at tick 0 is 1.5"),
        ("noise", TICKS, 3, "noise per standard deviation at tick 3 is 1.5"),
        ("offset", (TICKS, 2), (4, 1), "noise offset at tick 4, channel 1 is 1.5"),
        ("embedding_volts", (TICKS, 14), (9, 13), "embedding at tick 9, channel 13 is 1.5 V"),
        ("class_offset_volts", 14, 2, "class offset at channel 2 is 1.5 V"),
    ],
)
def test_a_channel_out_of_range_is_named(name, shape, where, words):
    with pytest.raises(LimitError, match=words):
        waveforms(**{name: changed(shape, where, 1.5)}).encode(CURVES)


def test_noise_must_fit_at_four_standard_deviations():
    fits = waveforms(noise=changed(TICKS, 5, 511 / 2048))
    fits.encode(CURVES)
    with pytest.raises(LimitError, match="noise channel 0 at tick 5"):
        waveforms(noise=changed(TICKS, 5, 513 / 2048)).encode(CURVES)
    with pytest.raises(LimitError, match="noise channel 1 at tick 6"):
        waveforms(noise=np.full(TICKS, 0.125), offset=changed((TICKS, 2), (6, 1), 0.51)).encode(
            CURVES
        )


def test_embedding_and_class_offset_must_fit_together():
    shift = changed(14, 3, 0.15)
    waveforms(embedding_volts=np.zeros((TICKS, 14)), class_offset_volts=shift).encode(CURVES)
    with pytest.raises(LimitError, match="embedding channel 3 at tick 8 with its class offset"):
        waveforms(
            embedding_volts=changed((TICKS, 14), (8, 3), 0.1), class_offset_volts=shift
        ).encode(CURVES)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"score": np.zeros(TICKS + 1)}, r"score has shape \(21,\), \(20,\) is needed"),
        ({"embedding_volts": np.zeros((TICKS, 13))}, r"embedding_volts has shape \(20, 13\)"),
        ({"drift": changed(TICKS, 4, math.nan)}, r"drift at \[4\] is not a finite number"),
        ({"drift": 0.5}, "at least one tick"),
        ({"drift": np.zeros(0)}, "at least one tick"),
        ({"tick_s": 0.0}, "a tick time above 0"),
        ({"tick_s": math.nan}, "a tick time above 0"),
    ],
)
def test_what_are_no_waveforms(changes, words):
    with pytest.raises(InputError, match=words):
        waveforms(**changes)


def test_waveforms_do_not_change():
    drift = np.zeros(TICKS)
    made = waveforms(drift=drift)
    drift[0] = 1.0
    assert made.drift[0] == 0.0
    with pytest.raises(ValueError, match="read-only"):
        made.drift[0] = 1.0
