"""Stage 3, pin map: each line is driven, and the oscilloscope looks for it at its pad.

Every bit, source and word line in turn is driven at the read level (a line check of its own) while
the probe is at the pad where the drawn board says that it arrives. Where nothing shows, the other
pads at which nothing showed are tried, which finds pads that were exchanged, and then the
connector's pin, which tells a broken way to the pad from a driver that does not drive.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration.bringup.converters import subject
from calibration.bringup.probing import captured, level, line_node
from calibration.bringup.stage import Figure, Needs, Rig, Stage, StageResult
from calibration.startup import Finding, StartupParams
from calibration.startup.converters import Subject
from calibration.startup.lines import count_of
from protocols.errors import InputError
from protocols.messages import ArrayLine, LineCheckRequestEntry, LineProbe

Place = tuple[ArrayLine, int]
MOST_NAMED = 8
"""Dark pads that are looked into; more are one fault of a plug."""


@dataclass(frozen=True)
class PinMapParams:
    """What is probed and allowed; every default is this project's choice.

    Attributes:
        stride: every so many pads of each kind are probed; 1 is all of them, and the first and
            last of a kind always are.
        level: largest relative deviation of the level at a pad: that of a scope and a driver.
        conversions: for which a line is driven, 1 to 64.
    """

    stride: int = 1
    level: float = 0.08
    conversions: int = 8

    def __post_init__(self) -> None:
        if self.stride < 1 or not 1 <= self.conversions <= 64 or not 0.0 < self.level < 1.0:
            raise InputError(
                "bring-up, pin_map: stride from 1, conversions 1 to 64, level between 0 and 1"
            )


@dataclass(frozen=True)
class _Prober:
    """Drives lines and looks at nodes."""

    rig: Rig
    at: Subject
    params: PinMapParams

    @property
    def volts(self) -> float:
        """The level at which lines are driven."""
        of = self.at.description
        return self.at.read_code * of.converters.pulse_full_scale_volts / of.code_max

    def seen(self, driven: Place, node: str) -> float | None:
        """The level at a node while a line is driven; None where it does not move."""
        kind, number = driven
        entry = LineCheckRequestEntry(kind, number, LineProbe.NEAR, 0)
        shown = captured(
            self.rig,
            node,
            lambda: self.rig.board.line_check(self.at.read_code, [entry], self.params.conversions),
            volts=self.volts,
            duration_s=self.params.conversions * self.at.description.timing.read_s,
        )
        return None if shown is None else level(shown, self.volts)


def run(rig: Rig, params: PinMapParams) -> StageResult:
    """Every pad while its own line is driven; then why some do not move."""
    at = subject(rig, StartupParams())
    prober = _Prober(rig, at, params)
    places = [(kind, n) for kind in ArrayLine for n in _numbers(count_of(at, kind), params.stride)]
    levels: dict[Place, float | None] = {}
    for done, place in enumerate(places):
        if done % 16 == 0:
            rig.progress(done, len(places), f"pin map: {_called(rig, place)}")
        levels[place] = prober.seen(place, line_node("pad", *place))
    rig.progress(len(places), len(places), "pin map: done")
    dark = [place for place in places if levels[place] is None]
    findings = _explained(prober, dark)
    figures = _figures(levels, prober.volts, params)
    data = {"probed": len(places), "drive_volts": prober.volts, "stride": params.stride}
    return StageResult(STAGE.name, figures, tuple(findings), data=data)


def _numbers(count: int, stride: int) -> list[int]:
    return sorted({*range(0, count, stride), count - 1})


def _figures(
    levels: dict[Place, float | None], volts: float, params: PinMapParams
) -> tuple[Figure, ...]:
    found: list[Figure] = []
    for kind in ArrayLine:
        of = [shown for place, shown in levels.items() if place[0] is kind]
        lit = np.array([shown for shown in of if shown is not None])
        words, what = _words(kind), "See which pads are named; correct the wiring or the pin map"
        found.append(
            Figure(f"{words} pads that follow their driver", lit.size, "", len(of), len(of), what)
        )
        if lit.size:
            off = float(np.abs(lit / volts - 1.0).max())
            what = f"Check the drivers of the {words}s and the probe's attenuation"
            found.append(
                Figure(f"largest deviation of the level at {words} pads", off, "", 0.0,
                       params.level, what)
            )  # fmt: skip
    return tuple(found)


def _explained(prober: _Prober, dark: list[Place]) -> list[Finding]:
    if len(dark) > MOST_NAMED:
        first = _called(prober.rig, dark[0])
        return [
            Finding(
                "pads_dark",
                (),
                f"{len(dark)} pads do not follow their drivers, {first} is the first",
                "Check the plugs between the board and the socket, and the probe's ground",
            )
        ]
    found: list[Finding] = []
    explained: set[Place] = set()
    for place in dark:
        if place in explained:
            continue
        other = next((o for o in dark if o != place and _reaches(prober, place, o)), None)
        if other is not None and _reaches(prober, other, place):
            explained |= {place, other}
            found.append(_swapped(prober.rig, place, other))
        elif other is not None:
            found.append(_elsewhere(prober.rig, place, other))
        else:
            found.append(_dark(prober, place))
    return found


def _reaches(prober: _Prober, driven: Place, other: Place) -> bool:
    return prober.seen(driven, line_node("pad", *other)) is not None


def _swapped(rig: Rig, one: Place, other: Place) -> Finding:
    return Finding(
        "pads_swapped",
        (_words(one[0]), one[1], _words(other[0]), other[1]),
        f"{_called(rig, one)} and {_called(rig, other)} are exchanged: the line of each arrives at"
        " the other",
        "Correct the wiring, or the drawn board if the wiring is right (lines: moved)",
    )


def _elsewhere(rig: Rig, one: Place, other: Place) -> Finding:
    return Finding(
        "pad_elsewhere",
        (_words(one[0]), one[1]),
        f"the line of {_called(rig, one)} arrives at {_called(rig, other)}",
        "Correct the wiring, or the drawn board if the wiring is right (lines: moved)",
    )


def _dark(prober: _Prober, place: Place) -> Finding:
    called = _called(prober.rig, place)
    if prober.seen(place, line_node("pin", *place)) is not None:
        return Finding(
            "pad_open",
            (_words(place[0]), place[1]),
            f"{called} does not follow its driver, but the connector's pin does",
            "Look for an open contact between the connector and the socket",
        )
    return Finding(
        "driver_dead",
        (_words(place[0]), place[1]),
        f"{called} and its connector pin do not follow the driver",
        "Check the line's switch, its select register and the solder joints of the connector",
    )


def _called(rig: Rig, place: Place) -> str:
    return rig.where(place[0].name.lower(), place[1])


def _words(kind: ArrayLine) -> str:
    return kind.name.lower().replace("_", " ")


STAGE = Stage(
    name="pin_map",
    title="toggle-and-probe of the pin map",
    needs=Needs(instruments=("scope",), fixture="resistor board"),
    params=PinMapParams,
    run=run,
    plan="drives every line of the array at the read level, with the probe at its pad",
)
