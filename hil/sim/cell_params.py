"""What the cell kernels need of a profile, as plain numbers and arrays, and the state of a cell."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil.sim.effects import Effects
from hil.sim.profile import Profile

F64 = NDArray[np.float64]

STATE_DTYPE = np.dtype(
    [
        ("siemens", np.float64),  # programmed conductance, at program_time_s
        ("program_time_s", np.float64),
        ("last_pulse_time_s", np.float64),
        ("last_read_time_s", np.float64),
        ("noise", np.float64),  # memory of the read noise, in standard deviations
        ("cycle", np.float64),  # memory of the cycle-to-cycle spread, in standard deviations
        ("noise_key", np.uint32),  # the programming that this memory belongs to
        ("program_pulse", np.uint32),  # number of the pulse that last moved the cell, 0: none
        ("pulse_count", np.uint32),
        ("read_count", np.uint32),
        ("set_count", np.uint32),
        ("reset_count", np.uint32),
        ("form_count", np.uint32),
        ("cycle_count", np.uint32),  # RESETs that lowered ln G by more than 1
        ("highest_volts", np.float32),  # largest line voltage the cell has seen
        ("cycle_direction", np.int8),  # of the pulse that `cycle` belongs to
        ("formed", np.uint8),
    ],
    align=True,
)


KNOTS = 24  # room for a curve; shorter curves are continued flat
LEVELS, WIDTHS = 32, 8  # room for the SET table

_SCALARS = """
    lowest highest pristine pristine_ln
    form_log_width form_volts_per_decade form_gate_threshold form_gate
    set_band set_against set_memory
    reset_ln reset_log_width reset_volts_per_decade reset_band reset_memory reset_device
    drive_skew drive_limit noise_correlation relax_onset
    stuck_low stuck_high stuck_high_siemens weak weak_gain wear_per_decade wear_onset
"""
_CURVES = """
    form_quantiles form_volts form_siemens set_line_levels set_line_volts
    reset_gate_volts reset_gate_depth reset_line_volts reset_line_depth
    noise_ln noise_sigma noise_tail relax_ln relax_sigma relax_tail relax_drift
"""
# A record, not a tuple of arrays: compiled functions then pass one pointer from call to call.
PARAMETER_DTYPE = np.dtype(
    [("seed", np.uint64)]
    + [(name, np.float64) for name in _SCALARS.split()]
    + [(name, np.float64, (KNOTS,)) for name in _CURVES.split()]
    + [
        ("set_device", np.float64, (3,)),  # spread over cells of gain, log width, line volts
        ("set_cycle", np.float64, (3,)),
        ("drive", np.float64, (3,)),  # weak cells: SET gain, RESET gate volts, RESET line volts
        ("reset_cycle", np.float64, (3,)),  # of depth, gate volts, line volts
        ("set_levels", np.float64, (LEVELS,)),
        ("set_log_widths", np.float64, (WIDTHS,)),
        ("set_gate_volts", np.float64, (LEVELS, WIDTHS)),
    ],
    align=True,
)


def cell_parameters(profile: Profile, seed: int, effects: Effects) -> NDArray[np.void]:
    """Flatten `profile` for the kernels: one record, with the effects that are off set to zero."""
    values = {
        "seed": seed,
        "lowest": profile.bounds.lowest_siemens,
        "highest": profile.bounds.highest_siemens,
        "pristine": profile.pristine.median_siemens,
        **_forming(profile, effects),
        **_set(profile, effects),
        **_reset(profile, effects),
        **_drive(profile, effects),
        **_fluctuations(profile, effects),
        **_faults(profile, effects),
    }
    record = np.zeros(1, PARAMETER_DTYPE)
    for name, value in values.items():
        record[name][0] = value
    return record


def _array(values: Any) -> F64:
    return np.ascontiguousarray(values, dtype=np.float64)


def _axis(values: Any, room: int = KNOTS) -> F64:
    """A rising axis with room for `room` knots, continued beyond its last one."""
    array = _array(values)
    return np.concatenate([array, array[-1] + np.arange(1.0, room - array.size + 1.0)])


def _curve(values: Any, room: int = KNOTS) -> F64:
    """The values over such an axis: flat beyond the last knot."""
    array = _array(values)
    return np.pad(array, (0, room - array.size), mode="edge")


def _forming(profile: Profile, effects: Effects) -> dict[str, Any]:
    law = profile.forming
    device = float(effects.device_to_device)
    volts = _curve(law.line_volts)
    siemens = _curve(law.siemens)
    if not effects.device_to_device:
        volts = np.full_like(volts, np.interp(0.5, law.quantiles, law.line_volts))
    if not effects.cycle_to_cycle:
        siemens = np.full_like(siemens, np.interp(0.5, law.quantiles, law.siemens))
    return {
        "pristine_ln": device * profile.pristine.sigma_ln,
        "form_quantiles": _axis(law.quantiles),
        "form_volts": volts,
        "form_log_width": float(np.log10(law.reference_width_s)),
        "form_volts_per_decade": law.volts_per_decade,
        "form_gate_threshold": law.gate_threshold_volts,
        "form_siemens": siemens,
        "form_gate": law.reference_gate_volts,
    }


def _set_table(rows: Any) -> F64:
    """Gate voltages over (level, width), continued upwards in level and held in width."""
    table = _array(rows)
    table = np.pad(table, ((0, 0), (0, WIDTHS - table.shape[1])), mode="edge")
    more = np.arange(1.0, LEVELS - table.shape[0] + 1.0)[:, None]
    return np.concatenate([table, table[-1] + more])


def _set(profile: Profile, effects: Effects) -> dict[str, Any]:
    law = profile.set
    device, cycle = float(effects.device_to_device), float(effects.cycle_to_cycle)
    return {
        "set_levels": _curve(law.levels_siemens, LEVELS),
        "set_log_widths": _axis(np.log10(law.widths_s), WIDTHS),
        "set_gate_volts": _set_table(law.gate_volts),
        "set_line_levels": _curve(law.line_levels_siemens),
        "set_line_volts": _axis(law.line_volts),
        "set_band": law.redraw_band_ln,
        "set_against": law.against,
        "set_memory": law.cycle_correlation,
        "set_device": device
        * _array([law.device_gain, law.device_log_width, law.device_line_volts]),
        "set_cycle": cycle * _array([law.cycle_gain, law.cycle_log_width, law.cycle_line_volts]),
    }


def _reset(profile: Profile, effects: Effects) -> dict[str, Any]:
    law = profile.reset
    device, cycle = float(effects.device_to_device), float(effects.cycle_to_cycle)
    return {
        "reset_ln": float(np.log(law.reference_siemens)),
        "reset_gate_volts": _axis(law.gate_volts),
        "reset_gate_depth": _curve(law.gate_depth_ln),
        "reset_line_volts": _axis(law.line_volts),
        "reset_line_depth": _curve(law.line_depth_ln),
        "reset_log_width": float(np.log10(law.reference_width_s)),
        "reset_volts_per_decade": law.volts_per_decade,
        "reset_band": law.redraw_band_ln,
        "reset_memory": law.cycle_correlation,
        "reset_device": device * law.device_depth_ln,
        "reset_cycle": cycle
        * _array([law.cycle_depth_ln, law.cycle_gate_volts, law.cycle_line_volts]),
    }


def _drive(profile: Profile, effects: Effects) -> dict[str, Any]:
    law = profile.drive
    spread = _array([law.set_gain, law.reset_gate_volts, law.reset_line_volts])
    return {
        "drive": float(effects.device_to_device) * spread,
        "drive_skew": law.skew,
        "drive_limit": law.limit,
    }


def _fluctuations(profile: Profile, effects: Effects) -> dict[str, Any]:
    noise, relax = profile.read_noise, profile.relaxation
    return {
        "noise_ln": _axis(np.log(noise.siemens)),
        "noise_sigma": float(effects.read_noise) * _curve(noise.sigma),
        "noise_tail": float(effects.telegraph) * _curve(noise.tail),
        "noise_correlation": noise.correlation,
        "relax_ln": _axis(np.log(relax.siemens)),
        "relax_sigma": float(effects.relaxation) * _curve(relax.sigma),
        "relax_tail": _curve(relax.tail),
        "relax_drift": float(effects.drift) * _curve(relax.drift),
        "relax_onset": relax.onset_s,
    }


def _faults(profile: Profile, effects: Effects) -> dict[str, Any]:
    faults, wear = profile.faults, profile.endurance
    stuck, weak = float(effects.stuck_cells), float(effects.weak_cells)
    return {
        "stuck_low": stuck * faults.stuck_low_fraction,
        "stuck_high": stuck * faults.stuck_high_fraction,
        "stuck_high_siemens": faults.stuck_high_siemens,
        "weak": weak * faults.weak_fraction,
        "weak_gain": faults.weak_gain,
        "wear_per_decade": float(effects.endurance) * wear.depth_loss_per_decade,
        "wear_onset": wear.onset_cycles,
    }
