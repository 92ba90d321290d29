"""What a stage of the bring-up is: what it needs, what it works with, what it says.

A stage is one module of this folder with a `STAGE`. It measures figures, each with its limits, and
gives findings for what it can name: the channel, pin, line or cell, and what to check there. It
has passed if there is no finding and every figure is within its limits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, Self, TypeVar

from calibration.arrays import FloatArray
from calibration.progress import Progress, silent
from calibration.startup import ChipMap, Finding
from calibration.startup.identity import Identified
from drivers.board import Board
from drivers.curves import MeasuredCurves
from drivers.instruments.interfaces import (
    Oscilloscope,
    PowerSupply,
    PulseGenerator,
    SourceMeasureUnit,
    SwitchMatrix,
    Thermometer,
)
from drivers.integrator import Integrator
from drivers.rram.geometry import Cells
from drivers.rram.macro import Macro
from protocols.board_map import BoardMap
from protocols.errors import InputError, NoInstrument, SafetyError
from protocols.hardware import BoardDescription

Fixture = Literal["nothing", "resistor board", "chip"]
FIXTURES: tuple[Fixture, ...] = ("nothing", "resistor board", "chip")
Role = Literal["supply", "smu", "scope", "pulser", "thermometer", "matrix"]

InstrumentKind = TypeVar("InstrumentKind")


class InstrumentSet(Protocol):
    """The instruments of a bench; None where there is none of a kind."""

    @property
    def supply(self) -> PowerSupply | None:
        """Rails of the board."""

    @property
    def smu(self) -> SourceMeasureUnit | None:
        """Sources volts and measures amperes."""

    @property
    def scope(self) -> Oscilloscope | None:
        """Sees pulses."""

    @property
    def pulser(self) -> PulseGenerator | None:
        """Makes pulses."""

    @property
    def thermometer(self) -> Thermometer | None:
        """At the chip."""

    @property
    def matrix(self) -> SwitchMatrix | None:
        """Between instruments and pads."""


# --- what a stage says ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Figure:
    """One figure and its limits.

    Attributes:
        name: in words, with the place where there are several ("gain of bit_line").
        value: in `unit`; NaN passes no limit.
        unit: SI, or "" for a pure number; "codes" for converter codes.
        low, high: inclusive; infinite where there is no limit.
        what: to check when it does not pass, one sentence without its full stop.
    """

    name: str
    value: float
    unit: str = ""
    low: float = -math.inf
    high: float = math.inf
    what: str = ""

    @property
    def passed(self) -> bool:
        """Whether the value is within the limits."""
        return self.low <= self.value <= self.high

    def __str__(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        return f"{self.name} is {self.value:.4g}{unit}, {self._allowed()}{unit} is allowed"

    def _allowed(self) -> str:
        if math.isinf(self.low):
            return f"at most {self.high:.4g}" if math.isfinite(self.high) else "anything"
        return f"at least {self.low:.4g}" if math.isinf(self.high) else self._both()

    def _both(self) -> str:
        return f"{self.low:.4g} to {self.high:.4g}"

    def to_dict(self) -> dict[str, Any]:
        """For JSON; a limit that is not there is None."""
        return {
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "low": None if math.isinf(self.low) else self.low,
            "high": None if math.isinf(self.high) else self.high,
            "passed": self.passed,
            "what": self.what,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`.

        Raises:
            KeyError, TypeError, ValueError: it is not one.
        """
        low, high, value = data["low"], data["high"], data["value"]
        return cls(
            str(data["name"]),
            math.nan if value is None else float(value),
            str(data["unit"]),
            -math.inf if low is None else float(low),
            math.inf if high is None else float(high),
            str(data["what"]),
        )


@dataclass(frozen=True, eq=False)
class StageResult:
    """What came of one stage.

    Attributes:
        name: of the stage.
        figures: with their limits.
        findings: faults that it can name, with place and remedy.
        advice: to follow, also when it passed (an empty tuple is usual).
        data: whatever later stages and the acceptance sheet need; must have a JSON form.
    """

    name: str
    figures: tuple[Figure, ...] = ()
    findings: tuple[Finding, ...] = ()
    advice: tuple[str, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Nothing found, every figure within its limits."""
        return not self.findings and all(one.passed for one in self.figures)

    @property
    def to_check(self) -> tuple[str, ...]:
        """What a person should check, each once: of findings, else of figures; then the advice."""
        figures = () if self.findings else self.figures
        said = [one.remedy for one in self.findings]
        said += [one.what for one in figures if not one.passed and one.what]
        return tuple(dict.fromkeys([*said, *self.advice]))

    @property
    def why(self) -> str:
        """What is wrong, in one line: the findings, else the figures; empty where it passed."""
        parts = [one.sentence for one in self.findings]
        parts = parts or [str(one) for one in self.figures if not one.passed]
        more = f"; and {len(parts) - 4} more" if len(parts) > 4 else ""
        return "; ".join(parts[:4]) + more

    def to_dict(self) -> dict[str, Any]:
        """For the run folder."""
        return {
            "name": self.name,
            "passed": self.passed,
            "why": self.why,
            "figures": [one.to_dict() for one in self.figures],
            "findings": [one.to_dict() for one in self.findings],
            "to_check": list(self.to_check),
            "advice": list(self.advice),
            "data": dict(self.data),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`.

        Raises:
            KeyError, TypeError, ValueError: it is not one.
        """
        return cls(
            name=str(data["name"]),
            figures=tuple(Figure.from_dict(one) for one in data["figures"]),
            findings=tuple(
                Finding(
                    str(one["fault"]),
                    tuple(one["place"]),
                    str(one["sentence"]),
                    str(one["remedy"]),
                )
                for one in data["findings"]
            ),
            advice=tuple(str(one) for one in data["advice"]),
            data=dict(data["data"]),
        )


# --- what a stage works with ----------------------------------------------------------------------


def _never(question: str) -> bool:
    del question
    return False


def _nowhere(role: str, channel: str, node: str) -> None:
    raise InputError(f"nobody can put {role} {channel} to {node}")


def _no_fixture(fixture: Fixture) -> None:
    raise InputError(f"nobody can put {fixture} into the socket")


def _forget(curves: MeasuredCurves, result: Mapping[str, Any]) -> None:
    del curves, result


def _unrecorded(found: Identified) -> None:
    del found


def _unmarked(cells: Cells, siemens: FloatArray) -> None:
    del cells, siemens


def _at_once(duration_s: float) -> None:
    del duration_s


@dataclass
class Rig:
    """The bench as a stage sees it.

    Attributes:
        macro, integrator: of the board, with the curves that are in force.
        description: of the board.
        instruments: what is on the bench.
        pins: the drawn board, for the names of connector pins; None where there is none of it.
        chip: its id; expected: its map on record, None where there is none.
        seed: for whatever a stage draws.
        simulated: whether figures are simulated ones.
        progress: to tell how far a stage is.
        ask: a question to the person; True for yes.
        put_probe: (role, channel, node) puts an instrument's probe to a node of the board; node
            names are those of the board's pin map.
        put_fixture: puts a fixture into the socket and takes the last one out.
        keep_curves: (curves, result) stores a board's measured curves; the bench works with them
            from the next time on that it is opened, which is before the chip goes in.
        keep_map: stores the chip's map where it is new.
        give_up: (cells, siemens) marks cells as lost for networks, before their first pulse.
        wait: lets time pass on the bench.
        found: `data` of the stages that passed before, by name of the stage.
    """

    macro: Macro
    integrator: Integrator
    description: BoardDescription
    instruments: InstrumentSet
    pins: BoardMap | None = None
    chip: str = ""
    expected: ChipMap | None = None
    seed: int = 1
    simulated: bool = True
    progress: Progress = silent
    ask: Callable[[str], bool] = _never
    put_probe: Callable[[str, str, str], None] = _nowhere
    put_fixture: Callable[[Fixture], None] = _no_fixture
    keep_curves: Callable[[MeasuredCurves, Mapping[str, Any]], None] = _forget
    keep_map: Callable[[Identified], None] = _unrecorded
    give_up: Callable[[Cells, FloatArray], None] = _unmarked
    wait: Callable[[float], None] = _at_once
    found: MutableMapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def board(self) -> Board:
        """The board behind the macro."""
        return self.macro.board

    @property
    def supply(self) -> PowerSupply:
        """The power supply (NoInstrument if there is none; so are the ones below)."""
        return required(self.instruments.supply, "supply")

    @property
    def smu(self) -> SourceMeasureUnit:
        """The source-measure unit."""
        return required(self.instruments.smu, "smu")

    @property
    def scope(self) -> Oscilloscope:
        """The oscilloscope."""
        return required(self.instruments.scope, "scope")

    @property
    def thermometer(self) -> Thermometer | None:
        """The thermometer at the chip; None where there is none: no stage depends on it."""
        return self.instruments.thermometer

    def where(self, kind: str, number: int) -> str:
        """What a person calls a line's way to the chip: "pad BL17 (J1.18)" on a drawn board."""
        try:
            line = None if self.pins is None else self.pins.line(kind, number)
        except InputError:
            line = None
        if line is None:
            return f"{kind.replace('_', ' ')} {number}"
        return f"pad {line.pad} ({line.connector_pin})"

    def confirm(self, question: str) -> None:
        """Ask before something that cannot be taken back.

        Raises:
            SafetyError: the answer was no; nothing was driven.
        """
        if not self.ask(question):
            raise SafetyError(f"not confirmed, nothing was driven: {question}")


def required(found: InstrumentKind | None, role: str) -> InstrumentKind:
    """An instrument that has to be there.

    Raises:
        NoInstrument: it is not.
    """
    if found is None:
        raise NoInstrument(
            f"no {role} on this bench; connect one and name it in the bench file"
            f" (instruments: {role}: {{address: ...}})"
        )
    return found


# --- a stage --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Needs:
    """What has to be there before a stage begins.

    Attributes:
        instruments: roles; the stage fails, named, where one is absent.
        fixture: what has to be in the socket; None leaves what is there.
        confirm: a question to the person first, "" for none: for what cannot be taken back.
    """

    instruments: tuple[Role, ...] = ()
    fixture: Fixture | None = None
    confirm: str = ""


@dataclass(frozen=True)
class Stage:
    """One stage of the bring-up.

    Attributes:
        name: as in records and options: lower-case letters and underscores.
        title: what a person reads.
        needs: before it begins.
        params: its parameters and limits, a frozen dataclass whose every field has a default; the
            bench file's section `bringup.NAME` is made of it.
        run: the stage itself. It gives a result, passed or not; `CalibrationError`, `ChipError`
            and `InstrumentError` that it lets through count as a stage that failed.
        plan: for --dry-run: what it would drive and at most how much, one sentence.
    """

    name: str
    title: str
    needs: Needs
    params: type[Any]
    run: Callable[[Rig, Any], StageResult]
    plan: str = ""
