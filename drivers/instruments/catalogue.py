"""Every model that there is a driver for, and how one is opened: by address, identity, driver."""

from __future__ import annotations

from dataclasses import dataclass

from drivers.instruments.driver import Driver
from drivers.instruments.limits import InstrumentSettings
from drivers.instruments.models.keithley_707b import Keithley707B
from drivers.instruments.models.keithley_2000 import Keithley2000
from drivers.instruments.models.keithley_2400 import Keithley2400
from drivers.instruments.models.keithley_2450 import Keithley2450
from drivers.instruments.models.keithley_7001 import Keithley7001
from drivers.instruments.models.keysight_33500b import Keysight33500B
from drivers.instruments.models.keysight_81160a import Keysight81160A
from drivers.instruments.models.keysight_e36312a import KeysightE36312A
from drivers.instruments.models.keysight_infiniivision import KeysightInfiniiVision
from drivers.instruments.models.lakeshore_335 import LakeShore335
from drivers.instruments.models.rigol_dp832 import RigolDp832
from drivers.instruments.models.rigol_ds1054z import RigolDs1054z
from drivers.instruments.session import Line, parse_identity
from drivers.instruments.visa import open_line
from protocols.errors import (
    InputError,
    InstrumentError,
    InstrumentLost,
    NoInstrument,
    WrongInstrument,
)
from protocols.instruments import InstrumentIdentity

AUTO = "auto"
IDENTIFY = "*IDN?"
DRIVERS: tuple[type[Driver], ...] = (
    Keithley2400,
    Keithley2450,
    RigolDp832,
    KeysightE36312A,
    RigolDs1054z,
    KeysightInfiniiVision,
    Keysight33500B,
    Keysight81160A,
    LakeShore335,
    Keithley2000,
    Keithley7001,
    Keithley707B,
)
MODELS = {driver.NAME: driver for driver in DRIVERS}


@dataclass(frozen=True)
class Wanted:
    """One instrument as the bench file names it.

    Attributes:
        role: what it is for, a key of `interfaces.ROLES`.
        address: its VISA address.
        model: a key of `MODELS`, or `auto` for what its identity says.
        serial: refuse one with another serial number; empty takes any.
        settings: limits and the rest.
    """

    role: str
    address: str
    settings: InstrumentSettings
    model: str = AUTO
    serial: str = ""


def driver_of(identity: InstrumentIdentity) -> type[Driver] | None:
    """The driver that fits an identity; None if there is none."""
    return next((driver for driver in DRIVERS if driver.fits(identity)), None)


def models_for(role: str) -> list[str]:
    """The models that can have a role."""
    return [driver.NAME for driver in DRIVERS if role == driver.ROLE]


def connect(wanted: Wanted, library: str = "") -> Driver:
    """Opens an instrument, makes sure that it is the one meant, and puts it into its safe state.

    Raises:
        NoInstrument: nothing is at the address.
        InstrumentTimeout: nothing answers there.
        WrongInstrument: another instrument does; the text says which one.
        InstrumentError: it answers no identity, or it refuses its own commands.
        InputError: the bench file's values do not fit the model.
    """
    baud = serial_baud(wanted)
    if wanted.address.upper().startswith("ASRL") and baud is None:
        raise InputError(
            f"instruments.{wanted.role}: {wanted.address} is a serial line, whose speed depends on"
            f" the model; name one that has such a line ({_with_serial_line(wanted.role)})"
        )
    line = open_line(
        wanted.address,
        library=library,
        timeout_s=wanted.settings.timeout_s,
        baud=baud,
        shared=wanted.role == "thermometer",
    )
    return attach(wanted, line)


def attach(wanted: Wanted, line: Line) -> Driver:
    """The driver on an open line, which is closed if it is not the instrument that is wanted.

    Raises:
        As `connect`.
    """
    try:
        identity = identify(line)
        return _checked(wanted, identity, line.name)(line, identity, wanted.settings)
    except BaseException as error:
        try:
            line.close()
        except InstrumentError as closing:
            error.add_note(f"While closing: {closing}")
        raise


def identify(line: Line) -> InstrumentIdentity:
    """Who answers on a line; sends nothing but `*IDN?`.

    Raises:
        NoInstrument: the address cannot be reached.
        InstrumentTimeout, InstrumentError: no identity.
    """
    try:
        answer = line.query(IDENTIFY)
    except InstrumentLost as error:
        raise NoInstrument(
            f"no instrument at {line.name} ({error.__cause__ or error}); check address, cable and"
            " power"
        ) from error
    return parse_identity(answer, line.name)


def _checked(wanted: Wanted, identity: InstrumentIdentity, where: str) -> type[Driver]:
    """The driver, if the instrument is the one that the bench file means."""
    found = driver_of(identity)
    key = f"instruments.{wanted.role}"
    if wanted.model != AUTO:
        named = _named(wanted)
        if not named.fits(identity):
            raise WrongInstrument(
                f"{key}: {wanted.model} is named, but {identity} answers at {where}; nothing but"
                f" {IDENTIFY} was sent. Correct address or model in the bench file."
            )
        found = named
    if found is None:
        raise WrongInstrument(
            f"{key}: {identity} at {where} has no driver here; those for this role are"
            f" {', '.join(models_for(wanted.role))}"
        )
    if wanted.role != found.ROLE:
        raise WrongInstrument(
            f"{key}: {identity} at {where} is no {wanted.role} but a {found.ROLE}"
            f" ({found.NAME}); nothing but {IDENTIFY} was sent"
        )
    if wanted.serial and wanted.serial != identity.serial:
        raise WrongInstrument(
            f"{key}: serial number {wanted.serial} is named, but {identity} answers at {where};"
            f" nothing but {IDENTIFY} was sent"
        )
    return found


def serial_baud(wanted: Wanted) -> int | None:
    """Bits per second of a serial line to a model that is named; None where there is none."""
    on_a_line = wanted.address.upper().startswith("ASRL")
    return _named(wanted).BAUD if on_a_line and wanted.model != AUTO else None


def _named(wanted: Wanted) -> type[Driver]:
    if wanted.model not in MODELS:
        raise InputError(
            f"instruments.{wanted.role}: there is no driver {wanted.model!r}; those for this role"
            f" are {', '.join(models_for(wanted.role))}"
        )
    return MODELS[wanted.model]


def _with_serial_line(role: str) -> str:
    names = [driver.NAME for driver in DRIVERS if role == driver.ROLE and driver.BAUD is not None]
    return ", ".join(names) or "none for this role"
