"""What is connected: every VISA address, who answers there, which driver fits. Reads only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from drivers.instruments import visa
from drivers.instruments.catalogue import driver_of, identify
from protocols.errors import InstrumentError
from protocols.instruments import InstrumentIdentity

QUICK_S = 1.0
NOT_ASKED = "a serial line; not asked, as anything may be there"


@dataclass(frozen=True)
class Found:
    """One address.

    Attributes:
        address: as VISA writes it.
        identity: who answers; None where nothing does.
        driver: the name of the driver that fits, empty for none.
        role: what that driver is for, empty for none.
        state: `ready`, or what is in the way.
    """

    address: str
    identity: InstrumentIdentity | None = None
    driver: str = ""
    role: str = ""
    state: str = "ready"


def discover(
    library: str = "",
    named: Mapping[str, int | None] | None = None,
    timeout_s: float = QUICK_S,
) -> list[Found]:
    """Everything that the VISA library lists, and the addresses that are `named`, those first.

    Only `*IDN?` is sent. A serial line that no one named is left alone: a board may be on it.

    Args:
        library: as PyVISA names it.
        named: addresses with the baud rate of a serial line, None for another one.
        timeout_s: how long an answer is waited for.

    Raises:
        NoInstrument: there is no such VISA library.
    """
    wanted = dict(named or {})
    found = [_look(address, library, timeout_s, baud) for address, baud in wanted.items()]
    known = {visa.canonical(address) for address in wanted}
    for address in visa.addresses(library):
        if visa.canonical(address) in known:
            continue
        serial = address.upper().startswith("ASRL")
        one = Found(address, state=NOT_ASKED) if serial else _look(address, library, timeout_s)
        found.append(one)
    return found


def _look(address: str, library: str, timeout_s: float, baud: int | None = None) -> Found:
    try:
        line = visa.open_line(address, library=library, timeout_s=timeout_s, baud=baud)
        try:
            identity = identify(line)
        finally:
            line.close()
    except InstrumentError as error:
        return Found(address, state=str(error))
    driver = driver_of(identity)
    if driver is None:
        return Found(address, identity, state="no driver for this model")
    return Found(address, identity, driver.NAME, driver.ROLE)
