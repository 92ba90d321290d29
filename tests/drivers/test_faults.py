"""The faulty line: each fault does what its name says, at its rate, by its seed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.faults import FaultyStream, LineFaults
from drivers.stream import MemoryStream
from protocols.errors import InputError, PortError

KINDS = tuple(LineFaults().rates())
TEXT = bytes(range(1, 65))


class Wire:
    """What arrives at the far end, and what it sends back."""

    def __init__(self, answer: bytes = b"") -> None:
        self.arrived = b""
        self.answer = answer

    def __call__(self, data: bytes) -> bytes:
        self.arrived += data
        return self.answer


def sent(faults: LineFaults, *pieces: bytes) -> bytes:
    wire = Wire()
    stream = FaultyStream(MemoryStream(wire), faults)
    for piece in pieces:
        stream.write(piece)
    return wire.arrived


def test_without_faults_nothing_changes():
    assert sent(LineFaults(), TEXT, TEXT) == TEXT * 2


def test_drop_loses_every_byte_at_rate_one():
    assert sent(LineFaults(drop=1.0), TEXT) == b""


def test_flip_inverts_one_bit_of_each_byte():
    arrived = sent(LineFaults(flip=1.0), TEXT)
    assert [(a ^ b).bit_count() for a, b in zip(arrived, TEXT, strict=True)] == [1] * len(TEXT)


def test_repeat_doubles_each_byte():
    assert sent(LineFaults(repeat=1.0), b"abc") == b"aabbcc"


def test_reorder_swaps_neighbours():
    assert sent(LineFaults(reorder=1.0), b"abcde") == b"badce"


def test_truncate_loses_the_rest_of_the_piece_alone():
    assert sent(LineFaults(truncate=1.0), b"abc", b"def") == b""
    some = sent(LineFaults(truncate=0.02, seed=3), *[TEXT] * 50)
    assert 0 < len(some) < 50 * len(TEXT)
    assert some.startswith(TEXT[:1])


def test_delayed_bytes_come_with_the_next_piece():
    assert sent(LineFaults(delay=1.0), b"abc", b"def", b"ghi") == b"abcdef"


def test_delayed_answers_come_when_the_reader_has_waited():
    stream = FaultyStream(MemoryStream(Wire(b"xyz")), LineFaults(delay=1.0, seed=1))
    stream._out = FaultyStream(MemoryStream(Wire()), LineFaults())._out
    stream.write(b"a")
    assert stream.read(0.0) == b"xyz"


def test_again_sends_the_whole_piece_twice():
    assert sent(LineFaults(again=1.0), b"abc") == b"abcabc"


@pytest.mark.parametrize("way", ["out", "in"])
def test_a_cut_line_stays_cut(way):
    wire = Wire(b"" if way == "out" else b"answer")
    faults = LineFaults(cut=1.0)
    stream = FaultyStream(MemoryStream(wire), faults)
    if way == "in":
        stream._out = FaultyStream(MemoryStream(Wire()), LineFaults())._out
        stream.write(b"a")
        with pytest.raises(PortError, match="cut"):
            stream.read(0.1)
    else:
        with pytest.raises(PortError, match="cut"):
            stream.write(b"a")
        assert wire.arrived == b""
    with pytest.raises(PortError, match="open it again"):
        stream.write(b"b")
    with pytest.raises(PortError, match="open it again"):
        stream.read(0.0)


def test_rates_are_kept():
    """Counts of 400,000 bytes within 5 standard deviations of their rates."""
    n, faults = 400_000, LineFaults(drop=1e-3, flip=2e-3, repeat=5e-4, reorder=3e-4, seed=5)
    stream = FaultyStream(MemoryStream(Wire()), faults)
    for _ in range(n // 64):
        stream.write(TEXT)
    for kind, rate in faults.rates().items():
        assert abs(stream.met[kind] - n * rate) <= 5.0 * (n * rate) ** 0.5, kind


@given(st.integers(0, 1000), st.lists(st.integers(1, 40), min_size=1, max_size=20))
def test_which_bytes_are_met_does_not_depend_on_the_pieces(seed, cuts):
    faults = LineFaults(drop=0.05, flip=0.05, repeat=0.05, seed=seed)
    data = TEXT * 4
    pieces, at = [], 0
    for cut in cuts:
        pieces.append(data[at : at + cut])
        at += cut
    assert sent(faults, *pieces, data[at:]) == sent(faults, data)


def test_one_seed_one_line_and_two_directions_differ():
    faults = LineFaults.shared(0.1, seed=7)
    assert sent(faults, TEXT) == sent(faults, TEXT)
    assert sent(faults, TEXT) != sent(LineFaults.shared(0.1, seed=8), TEXT)
    stream = FaultyStream(MemoryStream(lambda data: data), LineFaults(drop=0.3))
    stream.write(TEXT)
    assert stream.met["drop"] > 0
    back = stream.read(0.0)
    assert len(back) + stream.met["drop"] == len(TEXT)


def test_a_rate_is_shared_by_three_faults():
    faults = LineFaults.parse("3e-3")
    assert (faults.drop, faults.flip, faults.repeat) == pytest.approx((1e-3, 1e-3, 1e-3))
    assert faults.cut == 0.0


def test_names_are_parsed():
    faults = LineFaults.parse("drop=1e-3, cut=1e-6,seed=4")
    assert faults == LineFaults(drop=1e-3, cut=1e-6, seed=4)


@pytest.mark.parametrize("text", ["much", "drop=", "lose=1", "drop=2", "drop=nan", "", "drop=-1"])
def test_bad_settings_are_refused(text):
    with pytest.raises(InputError):
        LineFaults.parse(text)


def test_rates_that_add_up_to_more_than_one_are_refused():
    with pytest.raises(InputError, match="more than 1"):
        LineFaults(**dict.fromkeys(KINDS, 0.2))
