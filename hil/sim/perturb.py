"""Other technologies about a profile: what an algorithm meets that knows the fitted one alone.

`perturbed` draws one factor for each group of parameters, uniform within 1 +- extent. What a
factor means is this project's choice:

- A threshold is scaled as overdrive, that is above the threshold voltage of the select transistor
  (`forming.gate_threshold_volts`) for gate voltages and above 0 V for line voltages. Scaling gate
  voltages about 0 V instead would put levels that need 2.9 V beyond what boards may drive (3.6 V).
- A slope scales what a table rises above its own onset; of SET the first row (the lowest level), of
  RESET the voltage of depth 0. So a table is moved and stretched as a whole and stays monotone.
- Forming voltages move by a third of the extent: their upper end lies 12 % below the forming limit
  of the reference board, and a technology that a board cannot form shows nothing.
- Spreads, noise, depth and the dependence on the width are scaled about 0.

`scaled` multiplies single parameters, by name. `tripled_spread` is a negative control.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hil.sim.config import SimSettings
from hil.sim.draws import uniform_lanes
from hil.sim.profile import Profile, load_profile, parse_profile
from protocols.errors import ConfigError, InputError

STREAM_PERTURB = 131  # (group)
EXTENT_MAX = 0.3
FORMING_SHARE = 1.0 / 3.0

GROUPS = (
    "set_threshold",  # gate overdrive of the lowest level
    "set_slope",  # gate voltage from the lowest level upwards
    "set_line",  # bit-line voltages
    "reset_gate_threshold",
    "reset_gate_slope",
    "reset_line_threshold",
    "reset_line_slope",
    "reset_depth",
    "width",  # what a longer pulse is worth, SET, RESET and forming
    "device_spread",
    "cycle_spread",
    "read_noise",
    "relaxation",
    "forming",
)

TRIPLE_CYCLE_SPREAD = {
    "set.cycle_gain": 3.0,
    "set.cycle_log_width": 3.0,
    "set.cycle_line_volts": 3.0,
    "reset.cycle_depth_ln": 3.0,
    "reset.cycle_gate_volts": 3.0,
    "reset.cycle_line_volts": 3.0,
}
"""`SimSettings.profile_scale` of the negative control: three times the cycle-to-cycle spread."""

_DEVICE = (
    "set.device_gain",
    "set.device_log_width",
    "set.device_line_volts",
    "reset.device_depth_ln",
    "drive.set_gain",
    "drive.reset_gate_volts",
    "drive.reset_line_volts",
)


def factors(seed: int, extent: float = EXTENT_MAX) -> dict[str, float]:
    """The factor of each group: uniform within 1 +- extent, keyed by (seed, group).

    Raises:
        InputError: an extent outside 0 to 0.3, or a seed outside 64 bits.
    """
    if not 0.0 <= extent <= EXTENT_MAX:
        raise InputError(f"A perturbation's extent must lie in 0 to {EXTENT_MAX}, got {extent}.")
    draws = uniform_lanes(seed, STREAM_PERTURB, np.arange(len(GROUPS)), lanes=1)[:, 0]
    spread = extent * (2.0 * draws - 1.0)
    found = {name: 1.0 + float(x) for name, x in zip(GROUPS, spread, strict=True)}
    found["forming"] = 1.0 + FORMING_SHARE * (found["forming"] - 1.0)
    return found


def perturbed(profile: Profile, seed: int, extent: float = EXTENT_MAX) -> Profile:
    """Another technology: every group of parameters of `profile` scaled by its own factor.

    Raises:
        InputError: see `factors`.
    """
    by = factors(seed, extent)
    content = profile.model_dump(mode="json")
    content["name"] = f"{profile.name}~{seed}"
    content["reached"] = {}
    off_volts = float(content["forming"]["gate_threshold_volts"])
    _perturb_set(content["set"], off_volts, by)
    _perturb_reset(content["reset"], off_volts, by)
    multiply = {
        **dict.fromkeys(_DEVICE, by["device_spread"]),
        **dict.fromkeys(TRIPLE_CYCLE_SPREAD, by["cycle_spread"]),
        "reset.volts_per_decade": by["width"],
        "forming.volts_per_decade": by["width"],
        "forming.line_volts": by["forming"],
        "read_noise.sigma": by["read_noise"],
        "relaxation.sigma": by["relaxation"],
        "relaxation.drift": by["relaxation"],
    }
    for name, factor in multiply.items():
        _multiply(content, name, factor)
    return parse_profile(content, f"{profile.name} perturbed by seed {seed}")


def scaled(profile: Profile, scale: Mapping[str, float]) -> Profile:
    """`profile` with single parameters multiplied; a name is like `set.cycle_gain`.

    A table is multiplied entry by entry.

    Raises:
        ConfigError: no such parameter, one that is no number, or a result that is not allowed.
    """
    if not scale:
        return profile
    content = profile.model_dump(mode="json")
    for name, factor in scale.items():
        _multiply(content, name, factor)
    return parse_profile(content, f"{profile.name} with profile_scale")


def tripled_spread(profile: Profile) -> Profile:
    """Negative control: `profile` with three times the cycle-to-cycle spread."""
    return scaled(profile, TRIPLE_CYCLE_SPREAD)


def effective_profile(settings: SimSettings) -> Profile:
    """The profile of a chip with these settings: perturbed, then scaled, then its faults.

    Raises:
        ConfigError: no such profile, or a scale or fraction that it does not allow.
    """
    profile = load_profile(settings.profile)
    if settings.perturb_seed is not None:
        profile = perturbed(profile, settings.perturb_seed, settings.perturb_extent)
    profile = scaled(profile, settings.profile_scale)
    names = ("stuck_low_fraction", "stuck_high_fraction", "weak_fraction")
    given = {name: getattr(settings, name) for name in names}
    wanted = {name: value for name, value in given.items() if value is not None}
    if not wanted:
        return profile
    content = profile.model_dump(mode="json")
    content["faults"].update(wanted)
    return parse_profile(content, f"{profile.name} with the faults of the settings")


def _perturb_set(law: dict[str, Any], off_volts: float, by: Mapping[str, float]) -> None:
    table = np.array(law["gate_volts"])
    onset = table[0]
    slower = onset[0] + by["width"] * (onset - onset[0])
    moved = off_volts + by["set_threshold"] * (slower - off_volts)
    law["gate_volts"] = (moved + by["set_slope"] * (table - onset)).tolist()
    law["line_volts"] = (by["set_line"] * np.array(law["line_volts"])).tolist()


def _perturb_reset(law: dict[str, Any], off_volts: float, by: Mapping[str, float]) -> None:
    for axis, zero in (("gate", off_volts), ("line", 0.0)):
        volts, depth = np.array(law[f"{axis}_volts"]), np.array(law[f"{axis}_depth_ln"])
        onset = float(np.interp(0.0, depth, volts))
        threshold, slope = by[f"reset_{axis}_threshold"], by[f"reset_{axis}_slope"]
        moved = zero + threshold * (np.minimum(volts, onset) - zero)
        law[f"{axis}_volts"] = (moved + slope * np.maximum(volts - onset, 0.0)).tolist()
        law[f"{axis}_depth_ln"] = np.where(depth > 0, by["reset_depth"] * depth, depth).tolist()


def _multiply(content: dict[str, Any], name: str, factor: float) -> None:
    *path, last = name.split(".")
    owner: Any = content
    for part in path:
        owner = owner.get(part) if isinstance(owner, dict) else None
    value = owner.get(last) if isinstance(owner, dict) else None
    try:
        product = np.asarray(value, np.float64) * factor if value is not None else None
    except (TypeError, ValueError):
        product = None
    if product is None:
        raise ConfigError(
            f"profile_scale: {name!r} is no number and no table of numbers of a profile; name one "
            "as in its file, for instance set.cycle_gain"
        )
    owner[last] = product.tolist()
