"""Facts of the real macro and loop that no public source states, and what stands in for them here.

They are printed on the front page of every report of a simulated board, so that nobody takes a
figure for a property of a chip. Each stand-in is configuration or a profile with its own source.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class UnknownFact:
    """A quantity that is not public, what is used instead, and where it is set."""

    quantity: str
    stand_in: str
    where: str


UNKNOWN_FACTS = (
    UnknownFact(
        "Material and geometry of the cell stack",
        "statistics of another published 1T1R technology",
        "cell profile",
    ),
    UnknownFact(
        "Size of the array",
        "128 × 128, stated for a sibling macro of the same group only",
        "board description",
    ),
    UnknownFact(
        "Conductance window and number of levels",
        "a window of this project's choice inside the fitted cells' range",
        "bench file, mapping",
    ),
    UnknownFact(
        "Forming, SET and RESET voltages and pulse widths",
        "those of the cells that the profile was fitted to",
        "cell profile, bench file",
    ),
    UnknownFact(
        "Write-verify algorithm and its programming error",
        "incremental-step pulses with a verify read after each",
        "bench file, programming",
    ),
    UnknownFact(
        "Read noise, retention, endurance and yield",
        "those of the cells that the profile was fitted to",
        "cell profile",
    ),
    UnknownFact(
        "How negative weights and biases are stored",
        "differential pairs, or one cell against a common reference; biases on a constant row",
        "bench file, mapping",
    ),
    UnknownFact(
        "Gain and range of the trans-impedance stages",
        "a digital feedback resistor of this project's choice",
        "board description",
    ),
    UnknownFact(
        "RC of the integrators, multiplier gains, op-amps and clamps",
        "nominal rates of this project's choice, measured by the loop calibration",
        "board description",
    ),
    UnknownFact(
        "Where the initial condition x(T) comes from",
        "two spare DAC channels and a hold switch",
        "board description",
    ),
    UnknownFact(
        "Energy of a solve and its breakdown",
        "no figure; only stated component figures are ever added up",
        "modelled account",
    ),
)
