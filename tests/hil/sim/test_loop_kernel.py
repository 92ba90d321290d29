"""The compiled kernel of the loop against plain numpy, and what must not matter to it."""

from __future__ import annotations

import multiprocessing
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hil.sim import draws, loop_build, loop_call
from hil.sim.board import make_board
from hil.sim.config import SimSettings
from hil.sim.effects import Effects
from hil.sim.generate import HeldWords, generate
from hil.sim.loop import AnalogLoop, Plan
from hil.sim.loop_call import Call, Problem, normals, usable_threads
from hil.sim.loop_drive import Waves
from hil.sim.loop_network import LayerBlock
from protocols.errors import InputError
from tests.hil.sim.board_host import REFERENCE, blocks_conductance, code, wave_codes

BLOCKS = [
    LayerBlock(0, 0, 3, 14, True, 40_000.0, 0.0),
    LayerBlock(3, 28, 15, 14, True, 40_000.0, 0.0),
    LayerBlock(18, 56, 15, 2, True, 40_000.0, 0.0),
]
TICKS = 12
FIRMWARE = Path(__file__).parents[3] / "firmware"


def loop_of(kernel: str, effects: dict[str, bool], **changes: Any) -> AnalogLoop:
    settings = SimSettings(effects=effects, kernel=kernel, **changes)
    board = make_board(settings, REFERENCE)
    board.set_conductances(blocks_conductance())
    return board.machine.loop


def waves(noise: int) -> Waves:
    return Waves(tick_s=5e-3, **wave_codes(TICKS, noise))


def starts(n: int) -> np.ndarray:
    return code(np.random.default_rng(1).normal(0, 0.25, (n, 2)).clip(-0.9, 0.9))


def everything(loop: AnalogLoop, noise: int, n: int = 21) -> dict[str, np.ndarray]:
    """State, codes, traces, cut-off words and probe of a short run."""
    plan = loop.plan(BLOCKS, waves(noise), TICKS, now_s=0.0, noisy=noise > 0, seed=5)
    numbers = 1000 + 7 * np.arange(n)
    x = loop.advance(plan, loop.preset(starts(n)), numbers, 0, TICKS)
    codes, traces = loop.solve(plan, starts(n), numbers, trace_every=5, trace_count=3)
    probe = loop.probe(BLOCKS, waves(noise), 3, starts(1)[0], samples=5, number=2, now_s=0.0)
    return {
        "x": x,
        "codes": codes,
        "traces": traces,
        "saturated": np.array(loop.saturated),
        "probe": probe,
    }


def compare(effects: dict[str, bool], noise: int, **changes: Any) -> dict[str, np.ndarray]:
    found = everything(loop_of("c", effects, **changes), noise)
    expected = everything(loop_of("numpy", effects, **changes), noise)
    np.testing.assert_allclose(found.pop("x"), expected.pop("x"), rtol=1e-11, atol=1e-13)
    for name, values in found.items():
        np.testing.assert_array_equal(values, expected[name], err_msg=name)
    return found


OFF = dict.fromkeys(Effects.names(), False)


@pytest.mark.parametrize("effect", Effects.names())
def test_each_effect_alone_is_that_of_plain_numpy(effect: str) -> None:
    compare(OFF | {effect: True}, noise=0, tia_saturation_volts=0.05, telegraph_fraction=0.2)


@pytest.mark.parametrize("noise", [0, 300, 1500])
def test_all_effects_together_are_those_of_plain_numpy(noise: int) -> None:
    found = compare({}, noise, loop_noise_bandwidth_hz=330.0, telegraph_fraction=0.1)
    assert (found["saturated"] > 0) == (noise == 1500)


def test_no_effect_at_all_is_plain_numpy() -> None:
    compare(OFF, noise=0)


# --- threads, blocks, processes --------------------------------------------------------------


def long_run(n: int) -> tuple[AnalogLoop, Plan, np.ndarray]:
    loop = loop_of("c", {})
    plan = loop.plan(BLOCKS, waves(300), TICKS, now_s=0.0, noisy=True, seed=5)
    return loop, plan, loop.preset(starts(n))


def test_threads_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, plan, x0 = long_run(2001)
    monkeypatch.setattr(loop_call, "_WORTH_A_THREAD", 1)
    ends, cut_off = [], []
    for threads in (1, 2, 5):
        monkeypatch.setattr(loop_call, "usable_threads", lambda threads=threads: threads)
        before = loop.saturated
        ends.append(loop.advance(plan, x0, np.arange(2001), 0, TICKS))
        cut_off.append(loop.saturated - before)
    np.testing.assert_array_equal(ends[0], ends[1])
    np.testing.assert_array_equal(ends[0], ends[2])
    assert cut_off[0] == cut_off[1] == cut_off[2]


def test_the_parts_of_threads_are_all_trajectories_once() -> None:
    for count in (0, 1, 63, 64, 65, 1000, 50_000):
        for threads in (1, 2, 7):
            parts = loop_call._parts(count, threads)
            assert [n for a, b in parts for n in range(a, b)] == list(range(count))
            assert all(a % 64 == 0 for a, _b in parts)


def test_blocks_that_are_solved_one_after_the_other_change_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop, plan, x0 = long_run(100)
    whole = loop.advance(plan, x0, np.arange(100), 0, TICKS)
    monkeypatch.setattr("hil.sim.loop.BLOCK", 33)
    np.testing.assert_array_equal(loop.advance(plan, x0, np.arange(100), 0, TICKS), whole)


def test_threads_honour_the_usual_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert usable_threads() == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    assert usable_threads() >= 1


def _in_child(queue: Any) -> None:
    x = np.zeros((256, 2))
    queue.put(solved(x, threads=2).sum())


def solved(x: np.ndarray, threads: int) -> np.ndarray:
    layers = [(np.ones((4, 2)), np.ones(4)), (np.ones((2, 4)), np.ones(2))]
    words = HeldWords(0.01, np.ones(200), np.ones(200), np.zeros((200, 4)), noise=np.ones(200))
    return generate(layers, words, x, threads=threads)


def test_a_forked_process_has_threads_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_call, "_WORTH_A_THREAD", 1)
    here = solved(np.zeros((256, 2)), threads=2).sum()
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_in_child, args=(queue,))
    child.start()
    assert queue.get(timeout=60) == here
    child.join(60)
    assert child.exitcode == 0


# --- random numbers --------------------------------------------------------------------------


@pytest.mark.parametrize(("single", "tolerance"), [(False, 1e-14), (True, 2e-6)])
def test_normals_are_those_of_the_keyed_draws(single: bool, tolerance: float) -> None:
    numbers = np.concatenate([np.arange(5000), (1 << 32) - 1 - np.arange(100)])
    seed = 0xFEDCBA9876543210
    for b, c, stream in ((0, 0, 0), (3, 7, 222), (0xFFFFFFFF, 5, 0xFFFFFFFF)):
        found = normals(seed, stream, numbers, b, c, single=single)
        expected = draws.normal_lanes_reference(seed, stream, numbers, b, c)
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


def test_single_normals_are_normal_and_independent() -> None:
    values = np.concatenate([normals(1, 2, np.arange(20_000), b) for b in range(10)])
    n = values.shape[0]
    assert np.abs(values.mean(axis=0)).max() < 4.5 / np.sqrt(n)
    assert np.abs((values**2).mean(axis=0) - 1).max() < 4.5 * np.sqrt(2 / n)
    assert np.abs((values**4).mean(axis=0) - 3).max() < 4.5 * np.sqrt(96 / n)
    assert np.abs(np.corrcoef(values.T) - np.eye(4)).max() < 4.5 / np.sqrt(n)
    share = np.mean(np.abs(values) > 3.0)
    assert share == pytest.approx(0.0026998, rel=0.08)


# --- the boundary to C -----------------------------------------------------------------------


def test_the_structure_is_that_of_the_header() -> None:
    header = loop_build.SOURCES[1].read_text()
    body = header[header.index("struct loop_problem {") : header.index("};")]
    body = re.sub(r"/\*.*?\*/", "", body, flags=re.DOTALL)
    members = re.findall(r"(\*?)(\w+)((?:, \*?\w+)*);", body)
    names = [name for _star, name, _more in members]
    assert names == [name for name, _kind in Problem._fields_]
    for (star, name, _more), (_name, kind) in zip(members, Problem._fields_, strict=True):
        assert bool(star) == (kind is loop_call._ARRAY), name


def test_arrays_of_a_wrong_shape_are_refused() -> None:
    call = Call((2, 3, 2))
    with pytest.raises(InputError, match=r"weights has shape \(4,\)"):
        call.put("weights", np.zeros(4), np.float64, (call.weights,))
    with pytest.raises(InputError, match="writeable array of doubles"):
        call.put_in_place("x", np.zeros((4, 2), np.float32), (4, 2))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="Trajectory numbers"):
        call.put_trajectories(np.zeros((1, 2)), [1 << 32])
    with pytest.raises(InputError, match="no score"):
        Call((2, 3, 4))


def test_segments_outside_of_the_words_are_refused() -> None:
    call = Call((2, 3, 2))
    call.put("rate", np.zeros((2, 2)), np.float64, (2, 2))
    call.put_segments([0, 1, 2], [0, 0, 0], [1.0, 1.0, 1.0], [1, 1, 1])
    call.put_trajectories(np.zeros((1, 2)), [0])
    with pytest.raises(InputError, match="not among the 2 given"):
        call.solve(0, 3)
    with pytest.raises(InputError, match="segments 0 to 4 of 3"):
        call.solve(0, 4)


@pytest.mark.slow
@pytest.mark.parametrize("single", [0, 1])
def test_no_access_is_out_of_bounds(tmp_path: Path, single: int) -> None:
    """Arrays of exactly the needed size, odd shapes, every branch, under the sanitizers."""
    compiler = loop_build.find_compiler()
    program = tmp_path / "loop_main"
    flags = [flag for flag in loop_build.FLAGS if flag != "-O3"]
    built = subprocess.run(
        [
            *compiler,
            *flags,
            "-O0",
            "-g1",
            "-fsanitize=address,undefined",
            "-fno-sanitize-recover=all",
            f"-DLOOP_SINGLE={single}",
            f"-I{loop_build.SOURCES[0].parent}",
            str(Path(__file__).with_name("loop_main.c")),
            str(loop_build.SOURCES[0]),
            "-o",
            str(program),
            "-lm",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    done = subprocess.run([str(program)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "48 solves" in done.stdout


def test_the_sources_have_the_style_of_the_firmware() -> None:
    formatter = shutil.which("clang-format-14")
    if formatter is None:
        pytest.skip("clang-format-14 not found; it is in firmware/debian-packages.txt")
    sources = [*loop_build.SOURCES, Path(__file__).with_name("loop_main.c")]
    sources.append(FIRMWARE.parent / "benchmarks" / "_generation_kernel.c")
    style = f"--style=file:{FIRMWARE / '.clang-format'}"
    done = subprocess.run(
        [formatter, style, "--dry-run", "--Werror", *map(str, sources)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
