"""What the start-up checks found, all stages together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from calibration.startup.chip_map import ChipMap, LineMap
from calibration.startup.findings import BOARD_FAULTS, Finding
from calibration.startup.identity import Identified
from protocols.errors import CalibrationError, ChipError


@dataclass(frozen=True, eq=False)
class StartupResult:
    """What the checks found.

    Attributes:
        findings: the faults of the first stage that had any; nothing was looked at after it.
        stages: what was checked, with a sentence each.
        skipped: what could not be checked, and why.
        identified: whose map it is, None where the checks did not get that far.
        bench_s: what they took.
    """

    findings: tuple[Finding, ...]
    stages: Mapping[str, str]
    skipped: tuple[str, ...]
    identified: Identified | None
    bench_s: float

    @property
    def chip_map(self) -> ChipMap | None:
        """The map of this chip, None where the checks did not get that far."""
        return None if self.identified is None else self.identified.chip_map

    def require(self) -> None:
        """Refuses to go on with a fault.

        Raises:
            CalibrationError: the board is at fault.
            ChipError: the chip is, or how it is bonded and plugged.
        """
        if not self.findings:
            return
        text = " ".join(str(one) for one in self.findings[:4])
        more = len(self.findings) - 4
        tail = f" And {more} more." if more > 0 else ""
        of_board = self.findings[0].fault in BOARD_FAULTS
        kind = CalibrationError if of_board else ChipError
        raise kind(f"start-up check: {text}{tail} Nothing above the read level reached the array")

    def to_dict(self) -> dict[str, Any]:
        """For a run's record; the map apart."""
        return {
            "passed": not self.findings,
            "findings": [one.to_dict() for one in self.findings],
            "stages": dict(self.stages),
            "skipped": list(self.skipped),
            "bench_s": self.bench_s,
            "identity": None if self.identified is None else self.identified.to_dict(),
        }


@dataclass
class Talk:
    """What the stages hand on while they run."""

    stages: dict[str, str] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    line_map: LineMap | None = None
    identified: Identified | None = None
