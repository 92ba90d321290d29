"""What this computer's processor takes, where its own energy counter can be read.

Linux shows Intel's and AMD's running average power limit (RAPL) counters as files under powercap
(Linux documentation, power/powercap). Where they are missing or may not be read, as in most virtual
machines, the power is unknown, and no figure is made up for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")
_MICRO = 1e-6


@dataclass(frozen=True)
class EnergyCounter:
    """The counters of all processor packages; they start again at `ranges` (microjoules)."""

    files: tuple[Path, ...]
    ranges: tuple[int, ...]

    @classmethod
    def open(cls, folder: Path = POWERCAP) -> EnergyCounter | None:
        """The counters, None where there are none that can be read."""
        files, ranges = [], []
        for package in sorted(folder.glob("intel-rapl:[0-9]*")):
            if package.name.count(":") != 1:
                continue  # a part of a package: counted in it
            most = _number(package / "max_energy_range_uj")
            if most is None or _number(package / "energy_uj") is None:
                return None
            files.append(package / "energy_uj")
            ranges.append(most)
        return cls(tuple(files), tuple(ranges)) if files else None

    def joules_of(self, work: Callable[[], object]) -> float | None:
        """What the packages took while `work` was done; None when a counter stopped answering.

        The work of other processes is counted in.
        """
        before = [_number(file) for file in self.files]
        work()
        after = [_number(file) for file in self.files]
        total = 0
        for first, last, most in zip(before, after, self.ranges, strict=True):
            if first is None or last is None:
                return None
            total += last - first if last >= first else last - first + most
        return total * _MICRO


def _number(file: Path) -> int | None:
    try:
        return int(file.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
