"""The routines by name, in the order of a tour: cheap ones first, those that wear or wait last."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from calibration.characterise import (
    current_voltage,
    disturb,
    endurance,
    forming_yield,
    read_noise,
    relaxation,
    reset_response,
    response,
    retention,
    set_response,
    telegraph,
)
from calibration.characterise.common import Characterisation, Rig, RoutineParams


@dataclass(frozen=True)
class Routine:
    """One routine.

    Attributes:
        kind: its name in files and results.
        run: the routine itself; takes a rig and parameters of its own class.
        params: its parameters with their defaults.
        asks: what it finds out, for a list.
        virgin: whether it takes cells that were never formed; all others take formed ones.
    """

    kind: str
    run: Callable[[Rig, Any], Characterisation]
    params: RoutineParams
    asks: str
    virgin: bool = False


_TOUR = (
    Routine(
        forming_yield.KIND,
        forming_yield.run,
        forming_yield.FormingYieldParams(),
        "which share of virgin cells forms, and at which voltage",
        virgin=True,
    ),
    Routine(
        set_response.KIND,
        set_response.run,
        set_response.SetResponseParams(),
        "what one SET pulse reaches over word line, bit line and width",
    ),
    Routine(
        reset_response.KIND,
        reset_response.run,
        reset_response.ResetResponseParams(),
        "what one RESET pulse leaves over word line, source line and width",
    ),
    Routine(
        response.KIND,
        response.run,
        response.ResponseParams(),
        "the cell model that predictive programming plans with",
    ),
    Routine(
        read_noise.KIND,
        read_noise.run,
        read_noise.ReadNoiseParams(),
        "how far readings deviate, by level, and what averaging gains",
    ),
    Routine(
        telegraph.KIND,
        telegraph.run,
        telegraph.TelegraphParams(),
        "which share of cells steps between two levels",
    ),
    Routine(
        current_voltage.KIND,
        current_voltage.run,
        current_voltage.CurrentVoltageParams(),
        "whether the current of a read is proportional to its voltage",
    ),
    Routine(
        disturb.KIND,
        disturb.run,
        disturb.DisturbParams(),
        "what pulses do to the other cells of their column",
    ),
    Routine(
        relaxation.KIND,
        relaxation.run,
        relaxation.RelaxationParams(),
        "how programmed conductances move within an hour",
    ),
    Routine(
        endurance.KIND,
        endurance.run,
        endurance.EnduranceParams(),
        "how the switching window closes with cycles; wears its cells",
    ),
    Routine(
        retention.KIND,
        retention.run,
        retention.RetentionParams(),
        "which share of cells is within tolerance after a day",
    ),
)
ROUTINES: Mapping[str, Routine] = {routine.kind: routine for routine in _TOUR}
