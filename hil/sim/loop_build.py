"""The compiled kernel of the loop: built by this computer's C compiler when it is first needed.

The library is kept in `$HIL_CACHE`, `$XDG_CACHE_HOME/analog-diffusion-hil` or
`~/.cache/analog-diffusion-hil`, under a name made from its sources, its flags, the compiler and the
processor, so that none of them can change without it being built anew. Several processes may need
it at the same time: one builds, the others wait.
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from protocols.errors import KernelError

SOURCES = tuple(
    Path(__file__).with_name(name)
    for name in (
        "loop_kernel.c",
        "loop_kernel.h",
        "loop_lanes.h",
        "loop_layers.h",
    )
)
API = 1
"""LOOP_KERNEL_API of loop_kernel.h."""

FLAGS = (
    "-std=gnu11",
    "-O3",
    "-march=native",
    "-ffp-contract=fast",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-ffinite-math-only",
    "-fno-signed-zeros",
    "-Wall",
    "-Wextra",
    "-Werror",
)
"""Not -ffast-math: a shared library linked with it would flush the whole process's denormals, and
sums would depend on the compiler's order."""

_ERROR_LINES = 15


@cache
def library(single: bool) -> ctypes.CDLL:
    """The kernel of one precision, loaded; compiled first where this computer has not yet done so.

    Raises:
        KernelError: there is no C compiler, it fails, or the cache cannot be written.
    """
    path = built(single)
    try:
        loaded = ctypes.CDLL(str(path))
        for name in ("loop_api", "loop_real_bytes", "loop_solve", "loop_outputs"):
            getattr(loaded, name).restype = ctypes.c_int64
        found = int(loaded.loop_api()), int(loaded.loop_real_bytes())
    except (OSError, AttributeError) as error:
        raise KernelError(f"{path} cannot be loaded: {error}; delete it and try again") from error
    if found != (API, 4 if single else 8):
        raise KernelError(f"{path} is another kernel {found}; delete it and try again")
    return loaded


def built(single: bool) -> Path:
    """Path of the library, up to date with its sources. Raises KernelError as `library`."""
    command = [*find_compiler(), *FLAGS, f"-DLOOP_SINGLE={int(single)}"]
    path = cache_folder() / f"loop-{_key(command)}.so"
    if not path.is_file():
        with _locked(path.with_suffix(".lock")):
            if not path.is_file():
                _compile(command, path)
    return path


def find_compiler() -> list[str]:
    """The command of the C compiler: `$CC`, or cc. Raises KernelError where there is none."""
    command = shlex.split(os.environ.get("CC", "")) or ["cc"]
    found = shutil.which(command[0])
    if found is None:
        raise KernelError(
            f"the simulated loop is compiled on first use, and there is no C compiler "
            f"{command[0]!r} here: install gcc (apt-get install gcc), name another one in CC, or "
            "set `sim: {kernel: numpy}`, which is some hundred times slower"
        )
    return [found, *command[1:]]


def cache_folder() -> Path:
    """Where the library is kept: made if it is missing. Raises KernelError."""
    named = os.environ.get("HIL_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    folder = Path(named) if named else Path(base).expanduser() / "analog-diffusion-hil"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise KernelError(f"{folder}: {error}; name another folder in HIL_CACHE") from error
    return folder


def _key(command: Sequence[str]) -> str:
    """Changes with everything that the compiled code depends on."""
    digest = hashlib.sha256()
    version = _run([command[0], "--version"])
    for part in (*command, version, platform.machine(), _processor()):
        digest.update(part.encode() + b"\0")
    for source in SOURCES:
        digest.update(source.read_bytes() + b"\0")
    return digest.hexdigest()[:24]


def _processor() -> str:
    """What -march=native looks at: model and features of the first processor."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.processor()
    first = text.partition("\n\n")[0].splitlines()
    return "\n".join(line for line in first if line.startswith(("model", "flags", "Features")))


def _compile(command: Sequence[str], path: Path) -> None:
    """Into a file of its own first, so that nobody loads half a library."""
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        _run([*command, "-fPIC", "-shared", str(SOURCES[0]), "-o", str(part)])
        part.replace(path)
    except OSError as error:
        raise KernelError(f"{path}: {error}; name another folder in HIL_CACHE") from error
    finally:
        part.unlink(missing_ok=True)


def _run(command: Sequence[str]) -> str:
    """Its output. Raises KernelError with the end of what it said."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise KernelError(f"{command[0]} cannot be started: {error}") from error
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-_ERROR_LINES:])
        raise KernelError(f"{shlex.join(command)} failed:\n{tail}")
    return done.stdout


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    try:
        with path.open("w", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
    except OSError as error:
        raise KernelError(f"{path}: {error}; name another folder in HIL_CACHE") from error
