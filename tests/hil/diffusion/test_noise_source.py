"""Noise sources: seeded, recorded and the board's, behind one interface."""

import dataclasses

import numpy as np
import pytest

from hil.diffusion.model import load_model
from hil.diffusion.noise_source import (
    BoardNoise,
    RecordedNoise,
    SeededNoise,
    noise_source,
    record_noise,
    write_noise,
)
from hil.diffusion.sampler import Solve, initial_conditions, solve
from protocols.errors import FileError, InputError

TICKS = 20


@pytest.fixture(scope="module")
def ring():
    return load_model("ring")


def normals(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_a_recording_of_the_seeded_source_solves_as_the_seed_does(tmp_path, ring):
    path = record_noise(tmp_path / "noise.npz", SeededNoise(5), 60, TICKS, 2)
    recorded = RecordedNoise(path)
    assert recorded.shape == (60, TICKS, 2)
    x0 = initial_conditions(ring, 3, 0, 60)
    seeded = solve(ring, x0, Solve(steps=TICKS, sde=True, seed=5))
    played = solve(ring, x0, Solve(steps=TICKS, sde=True, seed=99, noise=recorded))
    np.testing.assert_allclose(played, seeded, atol=1e-6)  # a recording has single precision
    part = solve(ring, x0[20:30], Solve(steps=TICKS, sde=True, first=20, noise=recorded))
    np.testing.assert_array_equal(part, played[20:30])


def test_one_long_stream_is_used_up_in_order(tmp_path):
    stream = normals(7 * TICKS * 2 + 3)
    source = RecordedNoise(write_noise(tmp_path / "stream.npz", stream))
    table = stream[: 7 * TICKS * 2].reshape(7, TICKS, 2)
    np.testing.assert_array_equal(source.draws(2, 3, 2, 4, TICKS), table[2:5, 4])
    with pytest.raises(InputError, match="7 trajectories of 20 ticks; number 7 was asked for"):
        source.draws(7, 1, 2, 0, TICKS)
    assert source.draws(0, 2, 1, 0, 2 * TICKS).shape == (2, 1)  # other sizes, the same stream


def test_a_table_fits_its_own_ticks_alone(tmp_path, ring):
    source = RecordedNoise(write_noise(tmp_path / "t.npz", normals(4, TICKS, 2)))
    with pytest.raises(InputError, match="20 ticks of 2 coordinates; this solve has 50"):
        solve(ring, np.zeros((3, 2)), Solve(steps=50, sde=True, noise=source))
    with pytest.raises(InputError, match="number 4 was asked for"):
        solve(ring, np.zeros((5, 2)), Solve(steps=TICKS, sde=True, noise=source))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (2.0 * normals(40, 20, 2), "standard deviation 1.97"),
        (1.0 + normals(40, 20, 2), "mean 0.991"),
        (np.array([0.1, np.nan, 0.2]), "value \\[1\\] is nan"),
        (np.array([0.1, 20.0]), "value \\[1\\] is 20"),
        (np.zeros((3, 4)), "shape \\(3, 4\\)"),
        (np.zeros(0), "shape \\(0,\\)"),
    ],
)
def test_what_is_no_standard_normal_stream_is_refused(tmp_path, values, words):
    with pytest.raises(FileError, match=words):
        write_noise(tmp_path / "n.npz", values)
    np.savez(tmp_path / "n.npz", noise=values.astype(np.float32))
    with pytest.raises(FileError, match=words):
        RecordedNoise(tmp_path / "n.npz")


def test_files_that_are_no_recordings_are_refused(tmp_path):
    for name, content in (("a", b"not a zip"), ("b", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(FileError, match="not a recorded noise stream"):
            RecordedNoise(tmp_path / name)
    np.savez(tmp_path / "c.npz", other=normals(10))
    with pytest.raises(FileError, match="its arrays are other; one named 'noise'"):
        RecordedNoise(tmp_path / "c.npz")
    with pytest.raises(FileError, match="no such file"):
        RecordedNoise(tmp_path / "nothing.npz")
    np.savez(tmp_path / "d.npz", noise=np.arange(5))
    with pytest.raises(FileError, match="type int64"):
        RecordedNoise(tmp_path / "d.npz")


def test_the_boards_generator_gives_the_software_nothing(ring):
    with pytest.raises(InputError, match="keeps its numbers on the board"):
        solve(ring, np.zeros((1, 2)), Solve(steps=2, sde=True, noise=BoardNoise()))


def test_options_name_sources(tmp_path):
    assert noise_source("board", 3) == BoardNoise()
    assert noise_source("seeded", 3) == SeededNoise(3)
    path = write_noise(tmp_path / "n.npz", normals(4, 5, 2))
    assert noise_source(str(path), 3).name == "recording n.npz"
    assert dataclasses.replace(SeededNoise(3), seed=4).name == "seed 4"
