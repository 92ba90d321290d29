"""One die: its cells, its clock and its counters, in memory or in a file.

The file is mapped into memory, so what a pulse did is the operating system's the moment that it
is done: a host that is killed does not take the chip with it. (A power cut may; the file is
written back when the chip is closed.) One process at a time may hold it.

    0      magic, then one JSON object: whose chip this is; zeros up to 4096
    4096   counters: virtual time, power-ups, runs, probes
    8192   the cells, `CellArray.state_dtype`, row by row
"""

from __future__ import annotations

import fcntl
import json
import mmap
import os
import tempfile
import zlib
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hil.sim.cell_kinds import build_cells, kind_identity
from hil.sim.cells import CellArray
from hil.sim.config import SimSettings
from hil.sim.perturb import effective_profile
from hil.sim.profile import Profile
from protocols.errors import ChipBusyError, ConfigError, FileError, RecordError
from protocols.files import decoded, parse_json
from protocols.hardware import BoardDescription

MAGIC = b"HILCHIP1"
_COUNTERS_AT = 4096
_CELLS_AT = 8192
COUNTERS = np.dtype(
    [("now_ns", np.uint64), ("power_ups", np.uint64), ("runs", np.uint64), ("probes", np.uint64)]
)
NANOSECONDS = 1_000_000_000
CHIP = "chip"
"""What is in the socket unless a fixture is."""
_LATEST_NS = 1 << 62


def profile_fingerprint(profile: Profile) -> int:
    """CRC-32 of the statistics of a profile: its name, its source and its fit's figures apart."""
    text = profile.model_dump_json(exclude={"name", "source", "reached"})
    return zlib.crc32(text.encode())


class Chip:
    """The state of one die. Use `Chip.open`; close it, or use it as a context manager."""

    def __init__(
        self,
        name: str,
        settings: SimSettings,
        profile: Profile,
        counters: NDArray[np.void],
        state: NDArray[np.void],
    ) -> None:
        self.name = name
        self.profile = profile
        self.cells = self._own_cells = build_cells(settings, profile, state)
        self.fitted = CHIP
        self._counters = counters
        self._file: _ChipFile | None = None
        counters["power_ups"] += np.uint64(1)

    @classmethod
    def open(cls, path: Path | None, settings: SimSettings, description: BoardDescription) -> Chip:
        """The chip in a file, a virgin one if there is none yet; None keeps it in memory.

        Raises:
            ConfigError: the file is another chip's, or no chip file at all.
            ChipBusyError: another process holds it.
            RecordError: it cannot be created, for instance because the disk is full.
            DataError: the measured tables of empirical cells are missing or damaged.
        """
        if settings.chip_faults.other_chip is not None:  # the expected one stays on file
            path = None
            settings = settings.model_copy(update={"seed": settings.chip_faults.other_chip})
        profile = effective_profile(settings)
        count = description.rows * description.columns
        if path is None:
            counters = np.zeros(1, COUNTERS)
            return cls(settings.chip_id, settings, profile, counters, CellArray.virgin_state(count))
        file = _ChipFile(Path(path), _identity(settings, description, profile), count)
        chip = cls(settings.chip_id, settings, profile, file.counters, file.state)
        chip._file = file
        return chip

    @property
    def in_socket(self) -> bool:
        """Whether the board reaches this chip, and not a fixture in its place."""
        return self.fitted == CHIP

    def fit(self, what: str, cells: CellArray | None = None) -> None:
        """Put a fixture into the chip's place, as cells of its own; without cells the chip back.

        What is done to a fixture is forgotten with it; the chip keeps its state meanwhile.
        """
        self.cells = self._own_cells if cells is None else cells
        self.fitted = CHIP if cells is None else what

    @property
    def now_ns(self) -> int:
        """Virtual time since the chip was made."""
        return int(self._counters["now_ns"][0])

    @property
    def now_s(self) -> float:
        """Virtual time since the chip was made."""
        return self.now_ns / NANOSECONDS

    def advance_ns(self, duration_ns: int) -> None:
        """Let virtual time pass."""
        self._counters["now_ns"] += np.uint64(duration_ns)

    def set_back_ns(self, duration_ns: int) -> None:
        """The simulator's back door: time that passed and shall not have."""
        self._counters["now_ns"] -= np.uint64(duration_ns)

    def advance(self, duration_s: float) -> None:
        """Let virtual time pass."""
        self.advance_ns(round(duration_s * NANOSECONDS))

    def count(self, counter: str) -> int:
        """Raise one of the counters by one; the value before."""
        before = int(self._counters[counter][0])
        self._counters[counter] += np.uint64(1)
        return before

    def close(self) -> None:
        """Write the file back and let others have it. A chip in memory is just forgotten."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _identity(
    settings: SimSettings, description: BoardDescription, profile: Profile
) -> dict[str, Any]:
    return {
        "chip_id": settings.chip_id,
        "seed": settings.seed,
        "profile": settings.profile,
        "profile_fingerprint": profile_fingerprint(profile),
        "rows": description.rows,
        "columns": description.columns,
        "cell_layout": zlib.crc32(str(np.dtype(CellArray.state_dtype)).encode()),
        **kind_identity(build_cells(settings, profile, CellArray.virgin_state(0))),
        "swap_polarity": settings.swap_polarity,
    }


class _ChipFile:
    """A chip file that is mapped and locked."""

    def __init__(self, path: Path, identity: dict[str, Any], count: int) -> None:
        self._path = path
        dtype = np.dtype(CellArray.state_dtype)
        try:
            if not path.exists():
                _create(path, identity, np.zeros(count, dtype).tobytes())
            self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise RecordError(f"{path}: the chip file cannot be used: {error}") from error
        try:
            self._lock()
            self._check(identity, _CELLS_AT + count * dtype.itemsize)
            self._map = mmap.mmap(self._fd, 0)
        except BaseException:
            os.close(self._fd)
            raise
        self.counters = np.frombuffer(self._map, COUNTERS, 1, _COUNTERS_AT)
        self.state: NDArray[np.void] = np.frombuffer(self._map, dtype, count, _CELLS_AT)
        self._check_content()

    def _check_content(self) -> None:
        """Refuse figures that no simulation leaves behind: what follows computes with them."""
        state = self.state
        sound = all(
            bool(np.isfinite(state[name]).all())
            for name in state.dtype.names or ()
            if state.dtype[name].kind == "f"
        )
        if "siemens" in (state.dtype.names or ()):
            sound &= bool(((state["siemens"] >= 0.0) & (state["siemens"] <= 1.0)).all())
        if not sound or int(self.counters["now_ns"][0]) > _LATEST_NS:
            self.counters, self.state = self.counters.copy(), state.copy()
            self.close()
            raise ConfigError(
                f"{self._path}: the cells of this chip file are damaged; restore a copy, or move "
                "the file away to start with a virgin chip"
            )

    def _lock(self) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ChipBusyError(
                f"{self._path}: another process holds this chip; wait for it to end"
            ) from error

    def _check(self, identity: dict[str, Any], size: int) -> None:
        head = os.pread(self._fd, _COUNTERS_AT, 0)
        if not head.startswith(MAGIC):
            raise ConfigError(f"{self._path}: not a chip file of this project")
        try:
            found = parse_json(decoded(head[len(MAGIC) :].rstrip(b"\0")))
        except FileError as error:
            raise ConfigError(f"{self._path}: the head of the chip file is damaged") from error
        for key, wanted in identity.items():
            if not isinstance(found, dict) or found.get(key) != wanted:
                there = found.get(key) if isinstance(found, dict) else found
                raise ConfigError(
                    f"{self._path}: this file holds a chip with {key} {there!r}, the settings say "
                    f"{wanted!r}; name another file, or the settings that this chip was made with"
                )
        if os.fstat(self._fd).st_size != size:
            raise ConfigError(f"{self._path}: the chip file is cut off or has bytes too many")

    def close(self) -> None:
        self._map.flush()
        fcntl.flock(self._fd, fcntl.LOCK_UN)  # the map keeps a copy of the descriptor
        os.close(self._fd)


def _create(path: Path, identity: dict[str, Any], cells: bytes) -> None:
    """A virgin chip, complete before it has its name, every block of it really on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    head = MAGIC + json.dumps(identity).encode()
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(head.ljust(_CELLS_AT, b"\0") + cells)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(name, path)  # unlike a rename, it leaves the file of a faster process alone
        except FileExistsError:
            return
    finally:
        Path(name).unlink()
