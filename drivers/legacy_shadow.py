"""What the host believes about the published board: nothing can be read back, so all is assumed."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from protocols.legacy import LegacySettings

DEFAULT = "the value after a reset; nothing was sent yet"
ECHOED = "sent, and the reply repeated it"
SENT = "sent; no reply tells it, and the keys on the front panel change it"
DOUBTFUL = "sent, but the reply did not come or was wrong"

_OF_COMMAND = {
    "In": ("table", "noise_on"),
    "O": ("offset_1", "offset_2"),
    "C": ("coef",),
    "D": ("v_bias",),
    "N": ("noise_scale",),
}


@dataclass(frozen=True)
class Assumed:
    """A setting as it is believed to be, and why."""

    value: str | float | bool
    basis: str

    def __str__(self) -> str:
        return f"{self.value} (assumed: {self.basis})"


class Shadow:
    """All settings of a board. A reset of the board undoes them without notice."""

    def __init__(self) -> None:
        self._values = {
            name: Assumed(value, DEFAULT) for name, value in asdict(LegacySettings()).items()
        }

    def values(self) -> dict[str, Assumed]:
        """Every setting by its name in `LegacySettings`."""
        return dict(self._values)

    def sent(self, command: str, settings: LegacySettings, *, understood: bool) -> None:
        """A line that sets something went out; `understood` when its reply was right."""
        for name in _OF_COMMAND[command]:
            basis = SENT if name == "noise_on" else ECHOED
            self._values[name] = Assumed(getattr(settings, name), basis if understood else DOUBTFUL)
