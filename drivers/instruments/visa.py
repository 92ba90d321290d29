"""PyVISA below the drivers: opens resources, and turns its errors into this project's.

A VISA library is named as PyVISA names it: empty for a vendor's library if there is one, else
PyVISA-py; `@py` for PyVISA-py; `FILE@sim` for the simulated instruments of a file. PyVISA is
loaded when an instrument is first asked for.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from protocols.errors import (
    HilError,
    InstrumentError,
    InstrumentLost,
    InstrumentTimeout,
    NoInstrument,
)

END = "\n"
DRAIN_S = 0.1
MAX_DRAINED = 100  # lines
_NOT_THERE = ("VI_ERROR_RSRC_NFOUND", "VI_ERROR_INV_RSRC_NAME", "VI_ERROR_INTF_NUM_NCONFIG")


class VisaLine:
    """One open VISA resource that speaks lines of text."""

    def __init__(
        self, resource: Any, name: str, give_back: Callable[[], None] | None = None
    ) -> None:
        """`resource` is an open message-based resource of PyVISA, `give_back` closes it."""
        self.name = name
        self._resource: Any = resource
        self._give_back: Callable[[], None] = give_back or resource.close
        kind = canonical(name).upper()
        self._stream = kind.startswith("ASRL") or kind.endswith("SOCKET")

    def write(self, text: str) -> None:
        """Send one command."""
        with self._translated(text):
            self._open().write(text)

    def query(self, text: str) -> str:
        """Send one command and give its answer."""
        with self._translated(text):
            self._open().write(text)
            return bytes(self._open().read_raw()).decode("ascii").strip("\r\n")

    def clear(self) -> None:
        """Forget what is under way in both directions; on a stream, what may still arrive."""
        with self._translated("device clear"):
            if self._stream:
                self._drain()
                return
            try:
                self._open().clear()
            except NotImplementedError:  # a simulated instrument has nothing under way
                return

    def _drain(self) -> None:
        """A socket or a serial line has no device clear; PyVISA-py's would wait for ever at one
        whose other end is gone."""
        import pyvisa

        resource = self._open()
        before = resource.timeout
        resource.timeout = DRAIN_S * 1e3
        try:
            for _ in range(MAX_DRAINED):
                resource.read_raw()
        except pyvisa.errors.VisaIOError as error:
            if error.abbreviation != "VI_ERROR_TMO":
                raise
        finally:
            resource.timeout = before

    def close(self) -> None:
        """Close the resource; one that is gone already counts as closed."""
        resource, self._resource = self._resource, None
        if resource is not None:
            try:
                with self._translated("close"):
                    self._give_back()
            except InstrumentLost:
                return

    def _open(self) -> Any:
        if self._resource is None:
            raise InstrumentLost(f"{self.name}: the line was closed; open the instrument again")
        return self._resource

    @contextmanager
    def _translated(self, doing: str) -> Iterator[None]:
        import pyvisa

        try:
            yield
        except pyvisa.errors.VisaIOError as error:
            raise self._failure(doing, error) from error
        except (pyvisa.errors.InvalidSession, OSError, EOFError) as error:
            raise self._lost(doing, error) from error
        except UnicodeDecodeError as error:
            raise InstrumentError(
                f"{self.name}: the answer to {doing!r} is no text; wrong address or baud rate?"
            ) from error

    def _failure(self, doing: str, error: Any) -> HilError:
        if error.abbreviation == "VI_ERROR_TMO":
            return InstrumentTimeout(
                f"{self.name} did not answer {doing!r:.80} in time; is it switched on, in remote"
                " mode, and is this the right address?"
            )
        return self._lost(doing, error)

    def _lost(self, doing: str, error: Exception) -> InstrumentLost:
        return InstrumentLost(
            f"{self.name}: the line broke at {doing!r:.80} ({_brief(error)});"
            " check its cable and power. The state of its outputs is unknown."
        )


@dataclass
class _Used:
    """A resource that this process has open; some interfaces refuse to be opened twice."""

    resource: Any
    shared: bool
    users: int = 1


_USED: dict[tuple[str, str], _Used] = {}


def open_line(
    address: str,
    *,
    library: str = "",
    timeout_s: float = 5.0,
    baud: int | None = None,
    shared: bool = False,
) -> VisaLine:
    """The line to a VISA address such as `TCPIP::192.0.2.7::INSTR`, `USB0::...::INSTR`.

    `shared`: another part of this process may use it as well, as it only reads.

    Raises:
        NoInstrument: nothing is at the address, or there is no such VISA library.
        InstrumentError: the address cannot be used for text, or this process uses it already.
    """
    key = (library, canonical(address))
    used = _USED.get(key)
    if used is None:
        used = _USED[key] = _Used(_resource(address, library, timeout_s, baud), shared)
    elif used.shared and shared:
        used.users += 1
    else:
        raise InstrumentError(f"{address} is in use already, by another part of this process")
    return VisaLine(used.resource, address, lambda: _give_back(key))


def _give_back(key: tuple[str, str]) -> None:
    used = _USED[key]
    used.users -= 1
    if not used.users:
        del _USED[key]
        used.resource.close()


def _resource(address: str, library: str, timeout_s: float, baud: int | None) -> Any:
    import pyvisa

    manager = _manager(library)
    try:
        resource: Any = manager.open_resource(
            address, read_termination=END, write_termination=END, timeout=timeout_s * 1e3
        )
        if baud is not None:
            resource.baud_rate = baud
    except pyvisa.errors.VisaIOError as error:
        if error.abbreviation in _NOT_THERE:
            raise NoInstrument(_nothing_at(address, library, error)) from error
        raise InstrumentError(f"{address} cannot be opened: {error}") from error
    except (OSError, ValueError, AttributeError) as error:
        raise NoInstrument(_nothing_at(address, library, error)) from error
    return resource


def addresses(library: str = "") -> tuple[str, ...]:
    """Every instrument's address that the VISA library can list; none where it finds nothing.

    Instruments on a network are often not listed: they have to be named in the bench file.
    Adapters (`INTFC`) are none, and opening one may disturb what is behind it.

    Raises:
        NoInstrument: there is no such VISA library.
    """
    import pyvisa

    try:
        with warnings.catch_warnings():  # of what PyVISA-py could find with further packages
            warnings.filterwarnings("ignore", module="pyvisa_py")
            return tuple(_manager(library).list_resources("?*::INSTR"))
    except pyvisa.errors.VisaIOError as error:
        if error.abbreviation in _NOT_THERE:
            return ()
        raise InstrumentError(f"VISA cannot list its instruments: {error}") from error


def canonical(address: str) -> str:
    """An address as VISA itself writes it; one that VISA does not understand stays as it is."""
    from pyvisa import rname

    try:
        return rname.to_canonical_name(address)
    except (rname.InvalidResourceName, ValueError):
        return address


def _manager(library: str) -> Any:
    import pyvisa

    try:
        return pyvisa.ResourceManager(library)
    except (OSError, ValueError, pyvisa.errors.Error) as error:
        raise NoInstrument(
            f"there is no VISA library {library or '(default)'!r} on this computer ({error});"
            " `visa: '@py'` in the bench file's section instruments needs none"
        ) from error


def _brief(error: Exception) -> str:
    """The first line of an error's text, or what kind it is."""
    return f"{(str(error).splitlines() or [type(error).__name__])[0]:.120}"


def _nothing_at(address: str, library: str, error: Exception) -> str:
    return (
        f"no instrument at {address} ({_brief(error)}); `hil instruments` lists"
        f" what VISA library {library or '(default)'!r} finds"
    )
