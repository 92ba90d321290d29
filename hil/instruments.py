"""The instruments of a bench, opened together and always left safe."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from drivers.closing import Closing
from drivers.instruments.catalogue import connect
from drivers.instruments.interfaces import (
    ROLES,
    SAFE_ORDER,
    Instrument,
    Oscilloscope,
    PowerSupply,
    PulseGenerator,
    SourceMeasureUnit,
    SwitchMatrix,
    Thermometer,
)
from drivers.instruments.supply_group import SupplyGroup
from hil.bench import Bench
from hil.config import BenchConfig
from hil.config_instruments import InstrumentsSection
from hil.sim.back_doors import BackDoors
from protocols.errors import HilError, InstrumentError, NoInstrument


@dataclass(frozen=True)
class Instruments(Closing):
    """What is there, by role; None for what is not. A context manager: safe at exit, always."""

    supply: PowerSupply | None = None
    smu: SourceMeasureUnit | None = None
    scope: Oscilloscope | None = None
    pulser: PulseGenerator | None = None
    thermometer: Thermometer | None = None
    matrix: SwitchMatrix | None = None

    def present(self) -> dict[str, Instrument]:
        """The instruments that are there, by role, in the order in which they are made safe."""
        every = {role: getattr(self, role) for role in SAFE_ORDER}
        return {role: one for role, one in every.items() if one is not None}

    def require(self, role: str) -> Any:
        """The instrument of a role.

        Raises:
            NoInstrument: there is none.
        """
        found = self.present().get(role)
        if found is None:
            raise NoInstrument(
                f"this needs the instrument {role!r}, and the bench has none; name it in the bench"
                f" file (instruments: {{{role}: {{address: ...}}}}), `hil instruments` lists what"
                " is connected"
            )
        return found

    def safe(self) -> None:
        """Every output to zero and off, in `SAFE_ORDER`; all are tried.

        Raises:
            InstrumentError: one of them was not reached; the text is the first one's.
        """
        self._each("safe")

    def close(self) -> None:
        """Every instrument safe and its line given back; all are tried.

        Raises:
            InstrumentError: one of them was not reached; the text is the first one's.
        """
        self._each("close")

    def _each(self, what: str) -> None:
        failures: list[HilError] = []
        for one in self.present().values():
            try:
                getattr(one, what)()
            except HilError as error:
                failures.append(error)
        if failures:
            first, *others = failures
            for other in others:
                first.add_note(f"And: {other}")
            raise first

    def _close_after(self, error: BaseException) -> None:
        for one in self.present().values():
            try:  # each of its own accord, as it may have to clear what was cut off
                one.__exit__(type(error), error, error.__traceback__)
            except HilError as closing:
                error.add_note(f"While closing: {closing}")


def open_instruments(config: BenchConfig, bench: Bench) -> Instruments:
    """The instruments of a bench file; where it says nothing, a simulated board's simulated ones.

    Raises:
        NoInstrument: nothing is at an address.
        InstrumentTimeout: nothing answers there.
        WrongInstrument: another instrument than the bench file means does.
        InstrumentError: an instrument refuses its own commands.
    """
    section = config.instruments
    return simulated_of(bench) if section is None else connect_all(section)


def connect_all(section: InstrumentsSection, roles: Collection[str] = tuple(ROLES)) -> Instruments:
    """The instruments that a bench file names; if one fails, those opened before are closed.

    Args:
        section: of the bench file.
        roles: others are left alone, and are None.

    Raises:
        InstrumentError, InputError: as `open_instruments`.
    """
    with ExitStack() as opened:
        found: dict[str, list[Any]] = {}
        for wanted in (each for each in section.wanted() if each.role in roles):
            one = opened.enter_context(connect(wanted, section.visa))
            found.setdefault(wanted.role, []).append(one)
        every: dict[str, Any] = {role: one if not more else SupplyGroup((one, *more))
                 for role, (one, *more) in found.items()}  # fmt: skip
        opened.pop_all()
    return Instruments(**every)


def simulated_of(bench: Bench) -> Instruments:
    """The simulated instruments that look at a simulated board; none for any other board.

    Raises:
        InstrumentError: a simulated instrument has not the interface of its role.
    """
    return Instruments() if bench.simulated is None else simulated_roles(bench.simulated)


def simulated_roles(simulated: BackDoors) -> Instruments:
    """The simulated instruments at the nodes of a simulated board.

    Raises:
        InstrumentError: as `simulated_of`.
    """
    from hil.sim.instruments import simulated_instruments  # only where there is such a board

    found: dict[str, Any] = dict(simulated_instruments(simulated))
    for role, one in found.items():
        if role not in ROLES or not isinstance(one, ROLES[role]):
            raise InstrumentError(f"the simulated {role} has not the interface of that role")
    return Instruments(**found)
