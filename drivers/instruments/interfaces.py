"""What the project asks of a laboratory instrument: one small interface per kind, SI units.

The promises of every instrument:

- it is a context manager; on the way out, however that happens, its outputs are at zero and off;
- no output goes on before a current limit was set; a source has no default for it;
- a value over the limits of the bench file is refused (`LimitError`) before anything is sent;
- an error that the instrument itself reports is raised (`InstrumentError`), never passed over;
- `safe()` may be called at any time, as often as one likes.

The interfaces are structural, so that a simulated instrument, which must not know the drivers,
fits one by having its methods. Drivers derive from them.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from protocols.instruments import InstrumentIdentity, Reading, Waveform

__all__ = [
    "ROLES",
    "SAFE_ORDER",
    "Instrument",
    "InstrumentIdentity",
    "Oscilloscope",
    "PowerSupply",
    "PulseGenerator",
    "Reading",
    "SourceMeasureUnit",
    "SwitchMatrix",
    "Thermometer",
    "Waveform",
]

Floats = NDArray[np.floating[Any]]


@runtime_checkable
class Instrument(Protocol):
    """One connected instrument.

    Raises (every method of every kind):
        InstrumentTimeout: no answer in time.
        InstrumentLost: it was unplugged or switched off; outputs off was still tried.
        InstrumentError: it reports an error of its own; the text is the instrument's.
    """

    @property
    def identity(self) -> InstrumentIdentity:
        """Who answers."""

    def safe(self) -> None:
        """Outputs to zero and off, paths open, now. Idempotent."""

    def close(self) -> None:
        """`safe()`, then the line given back. Closing twice is allowed."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


@runtime_checkable
class PowerSupply(Instrument, Protocol):
    """A supply of several outputs.

    A channel is called as the bench file calls it (`channels: {vdd: 1}`), else by its number as
    text ("1").
    """

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the outputs, in the order in which they are to be switched on."""

    def set(self, channel: str, volts: float, current_limit_amperes: float) -> None:
        """Current limit first, then volts; does not switch the output.

        Raises:
            LimitError: over the limits of the bench file or the channel's range; nothing was sent.
            InputError: no such channel.
        """

    def output(self, channel: str, on: bool) -> None:
        """Switch one output.

        Raises:
            ComplianceError: on, and `set` was not called for this channel.
        """

    def measure(self, channel: str) -> tuple[float, float]:
        """Volts and amperes at the terminals."""


@runtime_checkable
class SourceMeasureUnit(Instrument, Protocol):
    """Sources volts, measures volts and amperes."""

    def source_volts(self, volts: float, compliance_amperes: float) -> None:
        """Compliance first, then volts; does not switch the output, follows at once if it is on.

        Raises:
            LimitError: over the limits of the bench file or the instrument; nothing was sent.
        """

    def output(self, on: bool) -> None:
        """Switch the output; off leaves zero volts programmed.

        Raises:
            ComplianceError: on, and `source_volts` was not called since it was last off.
        """

    def measure(self) -> Reading:
        """One point. With the output off, the volts that something else puts at the terminals,
        measured while 0 A are sourced, and 0 A: a voltmeter."""

    def sweep(self, volts: Floats, compliance_amperes: float) -> Floats:
        """Amperes at each of `volts` (n,), output on during the sweep and off after it.

        Raises:
            ComplianceError: a point reached the compliance, so it is no point of the curve; the
                text names it. The output is off.
            LimitError: one of the points is over a limit; nothing was sent.
        """


@runtime_checkable
class Oscilloscope(Instrument, Protocol):
    """Captures one trigger. Channels are called as the bench file does, else "1", "2"..."""

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the inputs."""

    def configure(
        self,
        channel: str,
        full_scale_volts: float,
        full_scale_s: float,
        trigger_channel: str,
        trigger_volts: float,
        *,
        rising: bool = True,
    ) -> None:
        """Show `channel` from -half to +half `full_scale_volts`, the trigger in the middle of
        `full_scale_s`; a single edge of `trigger_channel` through `trigger_volts` triggers.

        Raises:
            InputError: no such channel, or a scale that is not positive.
        """

    def arm(self) -> None:
        """Wait for one trigger from now on; returns at once, when the instrument is ready."""

    def waveform(self, channel: str) -> Waveform:
        """What was captured; t = 0 is the trigger.

        Raises:
            NotTriggered: nothing has triggered.
        """


@runtime_checkable
class PulseGenerator(Instrument, Protocol):
    """One output of rectangular pulses on demand."""

    def configure(
        self,
        *,
        low_volts: float,
        high_volts: float,
        width_s: float,
        edge_s: float,
        load_ohms: float,
    ) -> None:
        """The pulse as it is at a load of `load_ohms`; width at half height, edges 10 to 90 %.

        Raises:
            LimitError: over the limits of the bench file, or the current that `load_ohms` takes
                is; nothing was sent.
        """

    def burst(self, count: int = 1) -> None:
        """`count` pulses now, returns when the last one has ended; the output must be on.

        Raises:
            ComplianceError: not configured or off.
            InputError: count below 1.
        """

    def output(self, on: bool) -> None:
        """Switch the output; between pulses it is at the low level.

        Raises:
            ComplianceError: on before `configure`.
        """


@runtime_checkable
class Thermometer(Instrument, Protocol):
    """A thermometer at the chip."""

    def celsius(self) -> float:
        """The temperature now, in degrees Celsius.

        Raises:
            InstrumentError: no sensor, or a value that no laboratory has.
        """


@runtime_checkable
class SwitchMatrix(Instrument, Protocol):
    """Connects rows (instruments) with columns (pads); both counted from 1, as on the panel."""

    @property
    def rows(self) -> int:
        """How many rows there are."""

    @property
    def columns(self) -> int:
        """How many columns there are."""

    def close_path(self, row: int, column: int) -> None:
        """Close one cross-point, keeping those that are closed; waits until it has settled.

        Raises:
            InputError: no such cross-point.
        """

    def open_all(self) -> None:
        """Open every cross-point; waits until it has settled."""


# The name of a role is the bench file's key and the attribute of `hil.instruments.Instruments`.
ROLES: dict[str, type[Any]] = {
    "supply": PowerSupply,
    "smu": SourceMeasureUnit,
    "scope": Oscilloscope,
    "pulser": PulseGenerator,
    "thermometer": Thermometer,
    "matrix": SwitchMatrix,
}

# Signals go before switches, switches before the supplies of what they are connected to.
SAFE_ORDER = ("pulser", "smu", "matrix", "scope", "thermometer", "supply")
