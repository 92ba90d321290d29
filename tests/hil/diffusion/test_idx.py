"""EMNIST's IDX files: read as they are, refused when they are not."""

import gzip
import struct
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.diffusion.idx import IMAGES, LABELS, emnist, read_idx
from protocols.errors import DataError

H, K, U = 17, 20, 30
NAMES = ("H", "K", "U")
STEM = "emnist-byclass-train-"


def idx_bytes(array, magic=None):
    head = struct.pack(">I", 0x0800 | array.ndim if magic is None else magic)
    return head + struct.pack(f">{array.ndim}I", *array.shape) + array.astype(np.uint8).tobytes()


def write_set(folder: Path, images, labels, packed=False):
    for kind, array in (("images-idx3-ubyte", images), ("labels-idx1-ubyte", labels)):
        content = idx_bytes(array)
        suffix = ".gz" if packed else ""
        data = gzip.compress(content, mtime=0) if packed else content
        (folder / f"{STEM}{kind}{suffix}").write_bytes(data)
    return folder


@pytest.fixture
def pictures():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (12, 28, 28)), np.array([H, K, U, 3] * 3)


def load(folder):
    return emnist(folder, "byclass", "train", (H, K, U), NAMES, 12)


@pytest.mark.parametrize("packed", [False, True])
def test_classes_are_picked_turned_upright_and_reduced(tmp_path, pictures, packed):
    images, labels = pictures
    found = load(write_set(tmp_path, images, labels, packed))
    assert found.images.shape == (9, 12, 12)
    assert found.labels.tolist() == [0, 1, 2] * 3
    assert found.class_names == NAMES
    upright = images[0].T  # axes swapped
    assert found.images[0, 0, 0] == pytest.approx(upright[2:4, 2:4].mean() / 255.0)
    assert found.images[0, 11, 5] == pytest.approx(upright[24:26, 12:14].mean() / 255.0)


def test_missing_folder_and_files_say_that_nothing_is_downloaded(tmp_path, pictures):
    with pytest.raises(DataError, match="no such folder"):
        load(tmp_path / "gone")
    with pytest.raises(DataError, match=r"images-idx3-ubyte nor .*\.gz.*nothing is downloaded"):
        load(tmp_path)
    write_set(tmp_path, *pictures)
    (tmp_path / f"{STEM}labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match="labels-idx1-ubyte"):
        load(tmp_path)


def test_wrong_contents_are_named(tmp_path, pictures):
    images, labels = pictures
    write_set(tmp_path, images[:, :14, :14], labels)
    with pytest.raises(DataError, match="28 x 28"):
        load(tmp_path)
    write_set(tmp_path, images, labels[:7])
    with pytest.raises(DataError, match="7 labels for 12 pictures"):
        load(tmp_path)
    write_set(tmp_path, images, np.where(labels == K, 4, labels))
    with pytest.raises(DataError, match="no label is 20"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "magic number is 0x-"),
        (b"PK\x03\x04abc", "magic number is 0x504b0304"),
        (idx_bytes(np.zeros((2, 2)), 0x0801), "magic number is 0x00000801; 0x00000803"),
        (idx_bytes(np.zeros((2, 3, 4)), 0x0D03), "magic number is 0x00000d03"),
        (struct.pack(">II", 0x0803, 5), "the header alone has 16"),
        (idx_bytes(np.zeros((2, 3, 4)))[:-1], "2 x 3 x 4 values, there are 23"),
        (idx_bytes(np.zeros((2, 3, 4))) + b"x", "there are 25"),
        (struct.pack(">4I", 0x0803, *[2**32 - 1] * 3), "4294967295 x"),
        (gzip.compress(b"abcd", mtime=0)[:-3], "ends early"),
        (gzip.compress(b"abcd", mtime=0) + b"tail", "goes on after its end"),
        (b"\x1f\x8b" + b"\xff" * 20, "not a whole gzip file"),
    ],
)
def test_a_damaged_file_is_refused_by_name(tmp_path, content, words):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(DataError, match=words) as caught:
        read_idx(path, IMAGES)
    assert str(path) in str(caught.value)


def test_a_bomb_is_not_unpacked(tmp_path):
    path = tmp_path / "bomb"
    path.write_bytes(gzip.compress(bytes(2_000_000), mtime=0))
    with pytest.raises(DataError, match="unpacks to more than 1000000 bytes"):
        read_idx(path, LABELS, most_bytes=1_000_000)
    with pytest.raises(DataError, match="larger than 100 bytes"):
        read_idx(path, LABELS, most_bytes=100)


@settings(max_examples=100)
@given(content=st.binary(max_size=64), plain=st.booleans())
def test_no_bytes_escape_as_another_error(tmp_path_factory, content, plain):
    path = tmp_path_factory.getbasetemp() / "any.idx"
    path.write_bytes(content if plain else b"\x1f\x8b\x08\x00" + content)
    with suppress(DataError):
        assert read_idx(path, LABELS).ndim == 1
