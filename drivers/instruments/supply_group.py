"""Several power supplies as one: a board has more rails than most supplies have outputs."""

from __future__ import annotations

from collections.abc import Sequence

from drivers.closing import Closing
from drivers.instruments.interfaces import PowerSupply
from protocols.errors import InputError, InstrumentError
from protocols.instruments import InstrumentIdentity


class SupplyGroup(Closing, PowerSupply):
    """The channels of several supplies, each by its own name."""

    def __init__(self, members: Sequence[PowerSupply]) -> None:
        """`members`, in the order of the bench file.

        Raises:
            InputError: two channels have the same name.
        """
        self._members = tuple(members)
        self._of: dict[str, PowerSupply] = {}
        for member in self._members:
            for channel in member.channels:
                if channel in self._of:
                    raise InputError(
                        f"instruments.supply: {self._of[channel].identity} and {member.identity}"
                        f" both have a channel {channel!r}; give each of them `channels` with names"
                        " of its own"
                    )
                self._of[channel] = member

    @property
    def identity(self) -> InstrumentIdentity:
        """All of them in one."""
        every = [member.identity for member in self._members]
        return InstrumentIdentity(
            maker=" + ".join(dict.fromkeys(one.maker for one in every)),
            model=" + ".join(one.model for one in every),
            serial=" + ".join(one.serial for one in every),
        )

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the outputs of all supplies."""
        return tuple(self._of)

    def set(self, channel: str, volts: float, current_limit_amperes: float) -> None:
        """Current limit first, then volts; see `PowerSupply`."""
        self._member(channel).set(channel, volts, current_limit_amperes)

    def output(self, channel: str, on: bool) -> None:
        """Switch one output; see `PowerSupply`."""
        self._member(channel).output(channel, on)

    def measure(self, channel: str) -> tuple[float, float]:
        """Volts and amperes at the terminals."""
        return self._member(channel).measure(channel)

    def safe(self) -> None:
        """Outputs of all supplies to zero and off, the last one first; all are tried."""
        self._each("safe")

    def close(self) -> None:
        """All supplies safe and their lines given back; all are tried."""
        self._each("close")

    def _each(self, what: str) -> None:
        failures: list[InstrumentError] = []
        for member in reversed(self._members):
            try:
                getattr(member, what)()
            except InstrumentError as error:
                failures.append(error)
        if failures:
            raise failures[0]

    def _close_after(self, error: BaseException) -> None:
        for member in reversed(self._members):
            member.__exit__(type(error), error, error.__traceback__)

    def _member(self, channel: str) -> PowerSupply:
        if channel not in self._of:
            raise InputError(
                f"no supply has a channel {channel!r}; they have {', '.join(self._of)}"
            )
        return self._of[channel]
