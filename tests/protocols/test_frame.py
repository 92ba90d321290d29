"""Frames on a line that does what it wants."""

from __future__ import annotations

import random
import zlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols import frame
from protocols.errors import FrameError
from protocols.frame import Decoder, Frame, decode, encode

frames = st.builds(
    Frame,
    session=st.integers(0, 0xFFFF),
    sequence=st.integers(0, 0xFFFFFFFF),
    code=st.integers(0, 0xFF),
    payload=st.binary(max_size=300),
)


def chunked(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


def test_byte_stuffing_runs_in_c():
    assert frame.cobs_in_c(), "the cobs package runs in pure Python; reinstall it with a C compiler"


@given(frames)
def test_round_trip(one):
    whole = encode(one)
    assert whole.count(0) == 1
    assert whole.endswith(b"\x00")
    assert decode(whole[:-1]) == one


@given(st.lists(frames, max_size=8), st.lists(st.integers(0, 3000), max_size=20))
def test_chunking_changes_nothing(many, cuts):
    data = b"".join(encode(one) for one in many)
    decoder = Decoder()
    found = [one for chunk in chunked(data, cuts) for one in decoder.feed(chunk)]
    assert found == many
    assert decoder.dropped == 0


@given(st.binary(max_size=4000), st.lists(st.integers(0, 4000), max_size=20))
def test_any_bytes_are_frames_or_counted(data, cuts):
    decoder = Decoder()
    found = [one for chunk in chunked(data, cuts) for one in decoder.feed(chunk)]
    blocks = [block for block in data.split(b"\x00")[:-1] if block]
    assert len(found) + decoder.dropped == len(blocks)
    again = Decoder()
    assert again.feed(data) == found
    assert again.dropped == decoder.dropped


@given(st.binary(max_size=200), frames)
def test_a_frame_after_a_zero_is_always_found(noise, one):
    decoder = Decoder()
    assert decoder.feed(noise + b"\x00" + encode(one))[-1] == one


@given(st.integers(1, 50), st.integers(1, 200))
def test_memory_is_bounded(chunks, size):
    decoder = Decoder(max_frame_bytes=100)
    for _ in range(chunks):
        decoder.feed(b"\x07" * size)
        assert len(decoder._tail) <= 100
    decoder.feed(b"\x00")
    assert decoder.dropped == 1
    assert decoder.feed(encode(Frame(1, 2, 3, b"ok"))) == [Frame(1, 2, 3, b"ok")]


@pytest.mark.parametrize("size", range(500, 514))
def test_length_limit_is_that_of_the_encoded_frame(size):
    one = Frame(1, 1, 1, b"\x01" * size)
    length = len(encode(one)) - 1
    assert Decoder(length).feed(encode(one)) == [one]
    short = Decoder(length - 1)
    assert short.feed(encode(one)) == []
    assert short.dropped == 1


def test_single_damages_never_pass():
    """CRC-32 finds every burst of up to 32 bits, so one changed byte cannot pass."""
    one = encode(Frame(0x1234, 99, 0x20, bytes(range(40))))
    for at in range(len(one) - 1):
        for flip in (0x01, 0x80, 0xFF):
            damaged = bytearray(one)
            damaged[at] ^= flip
            assert Decoder().feed(bytes(damaged)) == []


def test_random_damage_never_passes():
    rng = random.Random(20240501)
    one = Frame(0x0102, 3, 0x21, bytes(rng.randbytes(60)))
    clean = encode(one)
    passed = 0
    for _ in range(20_000):
        damaged = bytearray(clean)
        for _ in range(rng.randint(2, 12)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        passed += sum(found != one for found in Decoder().feed(bytes(damaged)))
    assert passed == 0  # expected: 20,000 / 2**32


def test_a_damaged_frame_costs_only_itself():
    good = [Frame(1, n, 0x10, b"payload") for n in range(5)]
    data = bytearray(b"".join(encode(one) for one in good))
    data[len(encode(good[0])) + 4] ^= 0x10
    decoder = Decoder()
    assert decoder.feed(bytes(data)) == [good[0], *good[2:]]
    assert decoder.dropped == 1


@pytest.mark.parametrize(
    ("block", "what"),
    [
        (b"\x05\x01", "not a COBS block"),
        (b"", "at least 11 bytes"),
        (frame.cobs.encode(b"\x00" * 10), "at least 11 bytes"),
        (frame.cobs.encode(b"\x00" * 11), "CRC"),
    ],
)
def test_why_a_block_is_no_frame(block, what):
    with pytest.raises(FrameError, match=what):
        decode(block)


def test_the_shortest_frame():
    body = bytes(7)
    block = frame.cobs.encode(body + zlib.crc32(body).to_bytes(4, "little"))
    assert decode(block) == Frame(0, 0, 0, b"")


@pytest.mark.parametrize(
    "bad", [Frame(0x10000, 0, 0, b""), Frame(0, -1, 0, b""), Frame(0, 0, 256, b"")]
)
def test_numbers_that_do_not_fit_are_refused(bad):
    with pytest.raises(FrameError, match="does not fit"):
        encode(bad)


def test_a_frame_that_no_receiver_takes_is_refused():
    with pytest.raises(FrameError, match="at most 1024"):
        encode(Frame(0, 0, 0, b"\x01" * 1100))
