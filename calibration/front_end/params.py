"""What the front-end routines take and what they call broken."""

from __future__ import annotations

from dataclasses import dataclass

from protocols.errors import InputError


@dataclass(frozen=True)
class FrontEndParams:
    """Effort and bounds; every default is this project's choice.

    Attributes:
        samples: conversions per point and round, 1 to 64.
        rounds_min, rounds_max: rounds go on from the first until a mean is known to
            `target_codes`, at most to the second.
        target_codes: standard error wanted of a mean, in ADC codes.
        dac_points: codes at which a DAC is looked at, spread over what its limits allow.
        order: of the polynomial through a channel's deviations.
        largest_gain_error: relative; a channel beyond it is broken, not miscalibrated.
        largest_offset_codes, largest_nonlinearity_codes: the same for the other two figures.
        largest_residual_codes: what the polynomial may leave; more is a stuck bit or a bad contact.
        largest_column_residual: of the read path's full scale, what its straight line may leave.
        verify_points: voltages at which the curves are tried out afterwards.
        arm_s: how long the board is armed for the lines of the array.
    """

    samples: int = 64
    rounds_min: int = 2
    rounds_max: int = 16
    target_codes: float = 0.03
    dac_points: int = 33
    order: int = 3
    largest_gain_error: float = 0.10
    largest_offset_codes: float = 200.0
    largest_nonlinearity_codes: float = 40.0
    largest_residual_codes: float = 2.0
    largest_column_residual: float = 2e-3
    verify_points: int = 9
    arm_s: float = 60.0

    def __post_init__(self) -> None:
        bounds = {
            "samples": (1, 64),
            "rounds_min": (2, 1000),
            "rounds_max": (self.rounds_min, 1000),
            "dac_points": (2 * self.order + 2, 1000),
            "order": (1, 8),
            "verify_points": (2, 1000),
        }
        for name, (low, high) in bounds.items():
            if not low <= getattr(self, name) <= high:
                raise InputError(
                    f"front-end calibration: {name} is {getattr(self, name)}, {low} to {high} are"
                    " allowed"
                )
        positive = [n for n in self.__dataclass_fields__ if n.startswith(("largest_", "target_"))]
        for name in (*positive, "arm_s"):
            if not 0.0 < getattr(self, name) < float("inf"):
                raise InputError(
                    f"front-end calibration: {name} is {getattr(self, name)}; a positive number is"
                    " needed"
                )
