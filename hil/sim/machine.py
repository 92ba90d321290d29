"""The parts of one simulated board and what happens to all of them at once.

Handlers work on a `Machine`; `board.py` puts the wire in front of it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hil.sim.array import Array
from hil.sim.chip import Chip
from hil.sim.config import SimSettings
from hil.sim.converters import Converters
from hil.sim.front_end import FrontEnd
from hil.sim.limits import CodeLimits
from hil.sim.loop import AnalogLoop
from hil.sim.loop_network import LayerBlock
from hil.sim.runs import Runs
from hil.sim.safety import Safety
from hil.sim.session import Session
from hil.sim.wave_store import CHANNELS, WaveStore
from protocols.errors import ConfigError
from protocols.hardware import BoardDescription
from protocols.messages import SafeReason


class Machine:
    """Everything behind the wire of one simulated board."""

    def __init__(self, description: BoardDescription, settings: SimSettings, chip: Chip) -> None:
        _check(description)
        settings.board_faults.check_places(description.rows, description.columns)
        self.description = description
        self.settings = settings
        self.chip = chip
        self.array = Array(chip, description, settings)
        self.converters = Converters.of(description, settings)
        self.front_end = FrontEnd(chip, self.array, self.converters, description, settings)
        self.loop = AnalogLoop(self.array, self.converters, description, settings)
        self.hard_limits = CodeLimits.of(description, settings)
        self.safety = Safety(self.hard_limits.watchdog_ns)
        self.session = Session(settings.window)
        self.store = WaveStore(description.code_max)
        self.runs = Runs(self.loop, settings)
        self.frames = self.dropped = self.repeated = 0
        self.planted_fault = 0  # the next batch of pulses reports this front-end fault
        self._power_up_ns = chip.now_ns
        self._forget()

    @property
    def time_us(self) -> int:
        """Board time since power-up."""
        return (self.chip.now_ns - self._power_up_ns) // 1000

    def to_board_us(self, chip_ns: int) -> int:
        """Board time of a moment on the chip's clock."""
        return (chip_ns - self._power_up_ns) // 1000

    def set_back_ns(self, duration_ns: int) -> None:
        """The chip's clock was set back; the board's goes on."""
        self._power_up_ns -= duration_ns

    def new_session(self, nonce: int) -> SafeReason:
        """End the session before, outputs safe, and forget what it loaded; the reason before."""
        self.session.open(nonce)
        self._forget()
        return self.safety.greet()

    def make_safe(self, reason: SafeReason) -> None:
        """Every output to its safe value; a run in progress is over."""
        self.safety.make_safe(reason)
        self.runs.abort()

    def pass_in_silence(self, duration_ns: int) -> None:
        """Time passes without a word of the host: the watchdog may act."""
        self.chip.advance_ns(duration_ns)
        if self.safety.silence(self.chip.now_ns, self.runs.running):
            self.runs.abort()

    def _forget(self) -> None:
        self.limits = self.hard_limits
        self.cell_pulses: NDArray[np.int64] = np.zeros(
            self.description.rows * self.description.columns, np.int64
        )
        self.pulses = self.reads = 0
        self.layers: dict[int, LayerBlock] = {}
        self.store.begin(0, 0)
        self.runs.forget()


def _check(description: BoardDescription) -> None:
    """The wire has fixed widths; a description that does not fit them is refused."""
    if description.converters.bits != 12:
        raise ConfigError(
            f"board {description.name}: converters.bits is {description.converters.bits}, "
            "the messages carry 12-bit codes"
        )
    if description.loop.hidden_width > CHANNELS:
        raise ConfigError(
            f"board {description.name}: loop.hidden_width is {description.loop.hidden_width}, "
            f"the messages carry {CHANNELS} embedding channels"
        )
