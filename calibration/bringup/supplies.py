"""Stage 1, supplies: every rail on in order, its volts and amperes within limits.

Nothing but the supply is asked. A rail whose current is over its limit has all rails switched off
again; so has one whose volts are wrong, since what hangs on it may then do anything.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration.bringup.power import Rail, power_down, power_up, rails_of
from calibration.bringup.stage import Figure, Needs, Rig, Stage, StageResult
from calibration.startup import Finding
from drivers.instruments.interfaces import PowerSupply
from protocols.errors import InputError


@dataclass(frozen=True)
class SuppliesParams:
    """What is measured and allowed; every default is this project's choice.

    Attributes:
        rails: with their limits; none are those of the drawn board.
        readings: of each rail, averaged.
        at_limit: share of the current limit from which on a rail counts as limited by it.
    """

    rails: tuple[Rail, ...] = ()
    readings: int = 4
    at_limit: float = 0.98

    def __post_init__(self) -> None:
        if not 1 <= self.readings <= 1000 or not 0.0 < self.at_limit <= 1.0:
            raise InputError("bring-up, supplies: readings 1 to 1000, at_limit above 0 up to 1")


def run(rig: Rig, params: SuppliesParams) -> StageResult:
    """Rails on, in order; volts and amperes of each with all of them on."""
    supply, rails = rig.supply, rails_of(rig.pins, params.rails)
    power_up(supply, rails, rig.wait)
    figures: list[Figure] = []
    findings: list[Finding] = []
    for at, rail in enumerate(rails):
        rig.progress(at, len(rails), f"supplies: {rail.name}")
        volts, amperes = _measured(supply, rail.name, params.readings)
        figures += _figures(rail, volts, amperes)
        findings += _findings(rail, volts, amperes, params)
    if findings:
        power_down(supply, rails)
    rig.progress(len(rails), len(rails), "supplies: done")
    data = {"supply": str(supply.identity), "rails": [rail.name for rail in rails]}
    return StageResult(STAGE.name, tuple(figures), tuple(findings), data=data)


def _measured(supply: PowerSupply, name: str, readings: int) -> tuple[float, float]:
    """Magnitudes: which way round a floating output is wired, the supply cannot say."""
    points = np.abs([supply.measure(name) for _ in range(readings)])
    return float(points[:, 0].mean()), float(points[:, 1].mean())


def _figures(rail: Rail, volts: float, amperes: float) -> list[Figure]:
    nominal = abs(rail.volts)
    low, high = nominal * (1.0 - rail.tolerance), nominal * (1.0 + rail.tolerance)
    name = rail.name
    return [
        Figure(f"volts of rail {name}", volts, "V", low, high, f"Check rail {name}"),
        Figure(
            f"current of rail {name}", amperes, "A", rail.amperes_low, rail.amperes_high,
            f"Check what hangs on rail {name}",
        ),
    ]  # fmt: skip


def _findings(rail: Rail, volts: float, amperes: float, params: SuppliesParams) -> list[Finding]:
    name, nominal = rail.name, abs(rail.volts)
    off = volts / nominal - 1.0
    if amperes > rail.amperes_high or amperes >= params.at_limit * rail.limit_amperes:
        return [
            Finding(
                "rail_over_current",
                (name,),
                f"rail {name} draws {1e3 * amperes:.0f} mA at {volts:.2f} V, at most"
                f" {1e3 * rail.amperes_high:.0f} mA are expected",
                "The rails are off again. Look for a part that is hot or the wrong way round, and"
                " for a solder bridge on that rail",
            )
        ]
    if abs(off) > rail.tolerance:
        word = "low" if off < 0 else "high"
        return [
            Finding(
                f"supply_{word}",
                (name,),
                f"rail {name} has {volts:.3f} V, {100 * abs(off):.1f} % too {word}",
                "The rails are off again. Check the supply's setting, its sense wires and the plug",
            )
        ]
    if amperes < rail.amperes_low:
        return [
            Finding(
                "rail_open",
                (name,),
                f"rail {name} draws {1e3 * amperes:.1f} mA, at least"
                f" {1e3 * rail.amperes_low:.0f} mA are expected",
                "Check that the rail reaches the board: plug, fuse, jumper",
            )
        ]
    return []


STAGE = Stage(
    name="supplies",
    title="supplies and rail currents",
    needs=Needs(instruments=("supply",), fixture="resistor board"),
    params=SuppliesParams,
    run=run,
    plan="switches the rails of the board on, in order, each with its current limit",
)
