"""Files of strangers: bounded, plain, and every refusal one kind of error."""

from __future__ import annotations

import io
import os
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.errors import FileError
from protocols.files import MAX_YAML_BYTES, parse_json, parse_yaml, read_bytes, read_text
from protocols.npz import array_of, read_npz


def test_plain_yaml_is_read():
    assert parse_yaml("a: [1, 2.5, x]\nb: {c: null}\n") == {"a": [1, 2.5, "x"], "b": {"c": None}}
    assert parse_yaml("") is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: &x [1]\nb: *x", "line 1.*anchors and aliases"),
        ("a: !!python/object/apply:os.system [x]", "tags"),
        ("a: 1\na: 2", "line 2.*'a' stands here twice"),
        ("[" * 100_000, "nested more than 32 deep"),
        ("- " * 100, "nested more than 32 deep"),
        ("2020-13-45", "month"),
        ("0x_", "not valid YAML"),
        ("1:" * 50_000 + "1", "characters"),
        ("a: 99999999999999999999999", "a whole number of 77 bits"),
        (f"a: {'9' * 5000}", "a number of 5000 characters"),
        ('"\\0"', "zero byte"),
        ("a: [1", "not valid YAML: line"),
        ("--- a\n--- b", "another document"),
        ("? [1]\n: 2", "unhashable"),
        ("x" * (MAX_YAML_BYTES + 1), "larger than"),
    ],
)
def test_yaml_that_is_refused(text, words):
    with pytest.raises(FileError, match=words):
        parse_yaml(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 100_000, "nested"),
        ("[" * 40 + "]" * 40, "nested more than 32 deep"),
        ("{", "not JSON"),
        ("9" * 5000, "not JSON"),
        ("1" + "0" * 400, "a whole number of 1329 bits"),
        ('"\\ud800"', "half a character"),
        ('{"a": "\\u0000"}', "zero byte"),
    ],
)
def test_json_that_is_refused(text, words):
    with pytest.raises(FileError, match=words):
        parse_json(text)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_a_value_or_a_file_error(text):
    for parse in (parse_yaml, parse_json):
        try:
            parse(text)
        except FileError as error:
            str(error).encode()


def test_no_more_is_read_than_the_bound(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"12345")
    assert read_bytes(path, 5) == b"12345"
    with pytest.raises(FileError, match="larger than 4 bytes"):
        read_bytes(path, 4)
    with pytest.raises(FileError, match="No such file"):
        read_bytes(tmp_path / "gone", 4)
    with pytest.raises(FileError, match="not a file"):
        read_bytes(tmp_path, 4)
    with pytest.raises(FileError, match="no name of a file"):
        read_bytes(tmp_path / "a\0b", 4)
    path.write_bytes(b"\xff")
    with pytest.raises(FileError, match="UTF-8"):
        read_text(path, 4)


def test_devices_and_pipes_are_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name in (tmp_path / "pipe", tmp_path.__class__("/dev/zero")):
        with pytest.raises(FileError, match="not a file"):
            read_bytes(name, 1000)


def npy(header: bytes, body: bytes = b"") -> bytes:
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + body


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not an .npy"),
        (npy(b"{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", bytes(8)), "refused"),
        (npy(b"{'descr': '<f8', 'fortran_order': False, 'shape': (10**9,)}"), "header"),
        (npy(b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000,)}"), "there are 0"),
        (npy(b"{'descr': '<U0', 'fortran_order': False, 'shape': (1000000000,)}"), "refused"),
        (npy(b"{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}"), "no shape"),
        (npy(b"(" * 5000), "header"),
        (npy(b"__import__('os')"), "header"),
    ],
)
def test_arrays_that_lie(content, words):
    with pytest.raises(FileError, match=words):
        array_of(content)


def test_a_zip_is_bounded_before_it_is_unpacked(tmp_path):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, a=np.zeros(1_000_000))
    assert path.stat().st_size < 100_000
    with pytest.raises(FileError, match="unpacks to"):
        read_npz(path, 100_000)
    assert read_npz(path, 10_000_000)["a"].shape == (1_000_000,)
    with pytest.raises(FileError, match="at most 0"):
        read_npz(path, 10_000_000, 0)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.npy", b"x")
    path.write_bytes(buffer.getvalue())
    with pytest.raises(FileError, match="unknown way"):
        read_npz(path, 1000)


def test_a_member_that_claims_to_be_larger_than_the_file_is_not_read(tmp_path):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, a=np.zeros(100))
    content = bytearray(path.read_bytes())
    at = content.index(b"PK\x01\x02") + 20  # its packed size, in the directory at the end
    content[at : at + 4] = (len(content) + 1).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(FileError, match="larger than the file"):
        read_npz(path, 1_000_000)
