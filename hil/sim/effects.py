"""Which non-idealities of the simulated chip are switched on.

One frozen record shared by cells, array, front end and loop, so that an error budget can switch
off one effect at a time. Off means exactly ideal: no draw of that effect changes any figure, and
every other effect keeps its own draws, because draws are keyed and never shared.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Self

from protocols.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """One switch per non-ideality; True switches it on."""

    # cells
    cycle_to_cycle: bool = True  # a pulse of the same amplitude does not do the same twice
    device_to_device: bool = True  # no two cells switch alike
    read_noise: bool = True  # slow, state-dependent deviation of a reading from the mean
    telegraph: bool = True  # heavy tails of the read noise: a few cells fluctuate far more
    two_state: bool = True  # cells that step between two levels (`telegraph_fraction` of them)
    read_nonlinearity: bool = True  # the conductance read depends on the read voltage
    relaxation: bool = True  # random movement in logarithmic time after programming
    drift: bool = True  # the mean of that movement
    stuck_cells: bool = True  # cells that no pulse moves
    weak_cells: bool = True  # cells that reach only part of the SET conductance
    endurance: bool = True  # the switching window closes with cycling
    # array
    line_resistance: bool = True
    half_select: bool = True  # pulses disturb cells that share a line
    # front end
    dac_error: bool = True  # gain, offset and non-linearity of the DACs
    adc_error: bool = True
    front_end_noise: bool = True
    settling: bool = True
    tia_saturation: bool = True
    # analog loop
    multiplier_error: bool = True
    integrator_error: bool = True  # leak, offset and bandwidth of the integrators
    hidden_clamp: bool = True  # upper limit of the hidden voltages
    loop_noise: bool = True  # electronic noise within a solve
    skew: bool = True  # the outputs of one tick are not updated at the same moment

    @classmethod
    def all(cls) -> Self:
        """Every effect on."""
        return cls()

    @classmethod
    def none(cls) -> Self:
        """Every effect off: the ideal chip."""
        return cls(**dict.fromkeys(cls.names(), False))

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The names of the effects, in the order of the signal path."""
        return tuple(field.name for field in fields(cls))

    def without(self, *names: str) -> Self:
        """The same switches with `names` off. Raises ConfigError for an unknown name."""
        return self._switched(names, False)

    def only(self, *names: str) -> Self:
        """Just `names` on, everything else off. Raises ConfigError for an unknown name."""
        return type(self).none()._switched(names, True)

    def _switched(self, names: tuple[str, ...], on: bool) -> Self:
        unknown = sorted(set(names) - set(self.names()))
        if unknown:
            raise ConfigError(
                f"Unknown effect {', '.join(unknown)}. Known effects: {', '.join(self.names())}."
            )
        return replace(self, **dict.fromkeys(names, on))
