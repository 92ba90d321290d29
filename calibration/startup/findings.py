"""What the start-up checks say: a fault by its name, where it is, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from calibration.arrays import FloatArray
from protocols.errors import CalibrationError, ChipError, InputError

BOARD_FAULTS = (
    *("stuck_bit", "dead_channel", "dead_input", "channel_gain", "read_voltage"),
    *("adc_reference", "ladder", "railed_stage", "stage_gain", "mains"),
)
"""Faults of the board itself, apart from its chip."""


@dataclass(frozen=True)
class StartupParams:
    """Effort and bounds; every default is this project's choice.

    Attributes:
        gain_tolerance: relative; a converter that is off by more is at fault. Working ones are
            within a fifth of it.
        stage_tolerance: the same of a column's read path.
        hum_codes: amplitude of mains pick-up that is too much, in ADC codes of one conversion.
        line_volts: at which lines are probed.
        pristine_siemens: of a cell that was never formed; a line of such cells has to show at
            least `pristine_share` of that.
        same_chip: correlation with the recorded map from which on it is the same chip.
        fewest_lines: that a comparison needs.
        arm_s: how long the board is armed for the upper bits of the line drivers' converters, with
            the array cut off.
    """

    gain_tolerance: float = 0.05
    stage_tolerance: float = 0.15
    hum_codes: float = 2.0
    line_volts: float = 0.1
    pristine_siemens: float = 0.1e-6
    pristine_share: float = 0.25
    same_chip: float = 0.5
    fewest_lines: int = 24
    arm_s: float = 5.0

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            if not 0.0 < getattr(self, name) < float("inf"):
                raise InputError(f"start-up checks: {name} is {getattr(self, name)}, not positive")


@dataclass(frozen=True)
class Finding:
    """One fault.

    Attributes:
        fault: its name, as in `--chip-faults` where it can be rehearsed.
        place: line or lines, or a channel and its bit; empty where it is everywhere.
        sentence: what was found.
        remedy: what to do.
    """

    fault: str
    place: tuple[int | str, ...]
    sentence: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.sentence}. {self.remedy}."

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "fault": self.fault,
            "place": list(self.place),
            "sentence": self.sentence,
            "remedy": self.remedy,
        }


@dataclass(frozen=True, eq=False)
class LineMap:
    """Conductance of all cells of each bit line (rows,) and of each column (columns,), siemens."""

    rows: FloatArray
    columns: FloatArray

    def to_dict(self) -> dict[str, Any]:
        """For the chip's record."""
        return {"rows_siemens": self.rows.tolist(), "columns_siemens": self.columns.tolist()}


@dataclass(frozen=True, eq=False)
class StartupResult:
    """What the checks found.

    Attributes:
        findings: the faults of the first stage that had any; nothing was looked at after it.
        stages: what was checked, with a sentence each.
        skipped: what could not be checked, and why.
        line_map: of this chip, None where the checks did not get that far.
        bench_s: what they took.
    """

    findings: tuple[Finding, ...]
    stages: Mapping[str, str]
    skipped: tuple[str, ...]
    line_map: LineMap | None
    bench_s: float

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
        }


@dataclass
class Talk:
    """What the stages hand on while they run."""

    stages: dict[str, str] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    line_map: LineMap | None = None
