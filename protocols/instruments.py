"""What a laboratory instrument says of itself and measures, in SI units.

These values are all that a simulated instrument and its driver's interface share.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class InstrumentIdentity:
    """The four fields of an answer to `*IDN?` (IEEE 488.2, 10.14)."""

    maker: str
    model: str
    serial: str = ""
    firmware: str = ""

    def __str__(self) -> str:
        serial = f" (serial {self.serial})" if self.serial else ""
        return f"{self.maker} {self.model}{serial}"


@dataclass(frozen=True)
class Reading:
    """One measured point of a source-measure unit.

    `in_compliance`: the current limit was reached, so the volts are not those asked for.
    """

    volts: float
    amperes: float
    in_compliance: bool = False


@dataclass(frozen=True)
class Waveform:
    """A captured waveform: seconds from the trigger and volts, both of shape (n,)."""

    t_s: NDArray[np.floating[Any]]
    volts: NDArray[np.floating[Any]]
