"""Building the kernel: once, by one process, anew when anything changes, with errors that help."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from hil.sim import loop_build, loop_call
from hil.sim.board import make_board
from hil.sim.config import SimSettings
from protocols.errors import KernelError
from tests.hil.sim.board_host import REFERENCE, blocks_conductance
from tests.hil.sim.test_loop_kernel import BLOCKS, TICKS, starts, waves

PRETENDER = """#!/bin/sh
[ "$1" = --version ] && { echo pretended compiler 1.0; exit 0; }
echo x >> "$0.runs"
sleep 0.3
for last; do :; done
echo "$*" > "$last"
"""


@pytest.fixture
def compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A compiler that only counts how often it ran."""
    path = tmp_path / "cc"
    path.write_text(PRETENDER)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("CC", str(path))
    monkeypatch.setenv("HIL_CACHE", str(tmp_path / "cache"))
    return path


def runs(compiler: Path) -> int:
    log = Path(f"{compiler}.runs")
    return len(log.read_text().split()) if log.exists() else 0


def test_it_is_built_once_however_many_ask(compiler: Path) -> None:
    with ThreadPoolExecutor(6) as pool:
        paths = set(pool.map(loop_build.built, [True] * 6))
    assert len(paths) == 1
    assert runs(compiler) == 1
    assert loop_build.built(True) in paths
    assert runs(compiler) == 1
    folder = loop_build.cache_folder()
    assert sorted(p.suffix for p in folder.iterdir()) == [".lock", ".so"]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_what_it_depends_on_makes_another(
    compiler: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    paths = [loop_build.built(True), loop_build.built(False)]
    monkeypatch.setenv("CC", f"{compiler} -m64")
    paths.append(loop_build.built(True))
    monkeypatch.setenv("CC", str(compiler))
    compiler.write_text(PRETENDER.replace("1.0", "1.1"))
    paths.append(loop_build.built(True))
    monkeypatch.setattr(loop_build, "_processor", lambda: "another one")
    paths.append(loop_build.built(True))
    source = tmp_path / "loop_kernel.c"
    source.write_text("another source")
    monkeypatch.setattr(loop_build, "SOURCES", (source, *loop_build.SOURCES[1:]))
    paths.append(loop_build.built(True))
    assert len(set(paths)) == 6 == runs(compiler)


def test_a_computer_without_a_compiler_is_told_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    monkeypatch.setenv("HIL_CACHE", str(tmp_path))
    with pytest.raises(KernelError, match=r"no C compiler 'no-such-compiler'.*kernel: numpy"):
        loop_build.built(True)


def test_what_the_compiler_says_is_passed_on(compiler: Path) -> None:
    compiler.write_text('#!/bin/sh\n[ "$1" = --version ] || { echo "a bug" >&2; exit 3; }\n')
    with pytest.raises(KernelError, match="failed:\na bug"):
        loop_build.built(True)
    assert [p.suffix for p in loop_build.cache_folder().iterdir()] == [".lock"]


def test_a_cache_that_cannot_be_had_is_named(
    compiler: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HIL_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(KernelError, match="HIL_CACHE"):
        loop_build.built(True)
    monkeypatch.delenv("HIL_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert loop_build.cache_folder() == tmp_path / "xdg" / "analog-diffusion-hil"


def test_what_is_no_kernel_is_refused(compiler: Path) -> None:
    with pytest.raises(KernelError, match="cannot be loaded"):
        loop_build.library.__wrapped__(True)


def test_numpy_solves_without_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(single: bool) -> None:
        raise KernelError("asked for the kernel")

    monkeypatch.setattr(loop_call, "library", none)
    for kernel in ("numpy", "c"):
        board = make_board(SimSettings(kernel=kernel), REFERENCE)
        board.set_conductances(blocks_conductance())
        loop = board.machine.loop
        plan = loop.plan(BLOCKS, waves(0), TICKS, now_s=0.0)
        if kernel == "c":
            with pytest.raises(KernelError, match="asked for"):
                loop.solve(plan, starts(2), np.arange(2))
        else:
            assert loop.solve(plan, starts(2), np.arange(2))[0].shape == (2, 2)


def test_the_fast_solver_loads_nothing_slow() -> None:
    """The first sample of a study should not wait for torch or a just-in-time compiler."""
    code = (
        "import hil.sim.generate, sys; print(*(m for m in ('torch', 'numba') if m in sys.modules))"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(loop_build.__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []
