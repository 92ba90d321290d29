"""Forming yield: which share of virgin cells forms, at which voltage, and what they then read."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from calibration.characterise.common import (
    Characterisation,
    Cost,
    Rig,
    RoutineParams,
    by_groups,
    groups,
)
from calibration.characterise.intervals import Interval, bootstrap, quantile_interval, wilson
from calibration.forming import FormParams, FormResult, form
from drivers.rram.geometry import Cells

KIND = "forming_yield"


@dataclass(frozen=True)
class FormingYieldParams(RoutineParams):
    """How many virgin cells may be formed, and when that is enough.

    Attributes:
        forming: the ramp.
        group: cells of one round.
        most_cells: cells that may be formed.
        yield_half_width: of the yield's interval.
        volts_half_width: of the interval of the median forming voltage.
    """

    forming: FormParams = field(default_factory=FormParams)
    group: int = 64
    most_cells: int = 512
    yield_half_width: float = 0.008
    volts_half_width: float = 0.03

    def cost(self, available: int) -> Cost:
        """At most: every cell goes through the whole ramp."""
        cells, ramp = min(self.most_cells, available), len(self.forming.ramp_volts)
        return Cost(cells, cells * ramp, ramp, 2 * cells)


def run(rig: Rig, params: FormingYieldParams) -> Characterisation:
    """Form cells that were never formed, group by group; cells that are formed are left alone."""
    waiting = groups(rig.cells[: params.most_cells], params.group)
    found: list[FormResult] = []

    def measure(cells: Cells) -> None:
        found.append(_form(rig, cells, params))

    stop = by_groups(rig, params, waiting, measure, lambda: _tight(_figures(found, params), params))
    return Characterisation(
        KIND, _figures(found, params), _arrays(found), rig.account(stop), params.asked(), _notes()
    )


def _form(rig: Rig, cells: Cells, params: FormingYieldParams) -> FormResult:
    done = form(rig.macro, cells, params.forming)
    rig.count(cells, done.pulses)
    rig.reads += len(cells) + int(done.pulses.sum())
    rig.tell(params.most_cells, f"forming yield: {int(done.formed.sum())} of {len(cells)}")
    return done


def _tight(figures: dict[str, Interval], params: FormingYieldParams) -> bool:
    volts = figures["forming_volts_median"].half_width
    return figures["yield"].half_width <= params.yield_half_width and (
        volts <= params.volts_half_width
    )


def _figures(found: list[FormResult], params: FormingYieldParams) -> dict[str, Interval]:
    level, half_step = params.confidence, 0.5 * params.forming.step_volts
    tried = sum(int((part.pulses > 0).sum()) for part in found)
    formed = sum(int((part.formed & (part.pulses > 0)).sum()) for part in found)
    volts = np.concatenate([part.volts for part in found]) - half_step
    volts = volts[np.isfinite(volts)]
    siemens = np.concatenate([p.conductance_siemens[p.formed & (p.pulses > 0)] for p in found])
    return {
        "yield": wilson(formed, tried, level),
        "forming_volts_median": _widened(quantile_interval(volts, 0.5, "V", level), half_step),
        "forming_volts_95": _widened(quantile_interval(volts, 0.95, "V", level), half_step),
        "forming_volts_sd": bootstrap(volts, lambda v: float(v.std()), "V", level),
        "formed_siemens_median": quantile_interval(siemens, 0.5, "S", level),
    }


def _widened(one: Interval, half_step: float) -> Interval:
    """A voltage on a grid is known to half a step; a cell formed anywhere within its step."""
    more = half_step / 3.0**0.5
    return Interval(one.value, one.low - more, one.high + more, one.unit, one.confidence)


def _arrays(found: list[FormResult]) -> dict[str, np.ndarray]:
    names = ("conductance_siemens", "formed", "volts", "pulses")
    arrays = {name: np.concatenate([getattr(part, name) for part in found]) for name in names}
    arrays["rows"] = np.concatenate([part.cells.rows for part in found])
    arrays["columns"] = np.concatenate([part.cells.columns for part in found])
    return arrays


def _notes() -> tuple[str, ...]:
    return (
        "A cell forms somewhere within the ramp's last step; the middle of that step is taken.",
        "Cells that were formed before count neither as tried nor as formed.",
    )
