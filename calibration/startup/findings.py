"""What the start-up checks say: a fault by its name, where it is, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from protocols.errors import BoardError, InputError
from protocols.messages import STATUSES

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
        error_rate: of a verdict about the chip's identity: how often another chip may be taken
            for it, and it for another one. The fingerprint says how that follows from the scores.
        stability: of the correlation with an earlier map that its noise lets expect, how much must
            be left: for what changes in a chip beside noise.
        unformed_siemens: a cell that reads less was never formed.
        misread_share: of the formed cells, how many may read less than that all the same.
        moved: relative change of a line from which on a new map is worth keeping.
        fewest_lines: that a comparison needs, or cells.
        arm_s: how long the board is armed for the upper bits of the line drivers' converters, with
            the array cut off.
    """

    gain_tolerance: float = 0.05
    stage_tolerance: float = 0.15
    hum_codes: float = 2.0
    line_volts: float = 0.1
    pristine_siemens: float = 0.1e-6
    pristine_share: float = 0.25
    error_rate: float = 1.0e-6
    stability: float = 0.8
    unformed_siemens: float = 1.0e-6
    misread_share: float = 0.01
    moved: float = 0.06
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


def not_known(error: BoardError) -> bool:
    """Whether a board refused a request because it cannot do such a thing at all."""
    status = STATUSES.get(error.status)
    return status is not None and status.name in ("not_supported", "unknown_code")
