"""Numbers as people read them: SI prefixes, times, figures for tables."""

from __future__ import annotations

import math

import numpy as np

HEADERS = {
    "kl_1d": "KL, 1-D",
    "kl_2d": "KL, 2-D",
    "sliced_w1": "sliced W₁",
    "radius_mean": "radius",
    "radius_sd": "its spread",
    "angle_kuiper": "Kuiper",
    "samples": "samples",
}
_PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"))


def number(value: float | int | None, digits: int = 4) -> str:
    """A figure for a table: whole numbers with separators, others with `digits`, "–" for none."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "–"
    if isinstance(value, int | np.integer):
        return f"{value:,}"
    plain = value == 0 or 10.0**-digits <= abs(value) < 1e4
    return (f"{value:.{digits}f}" if plain else f"{value:.1e}").replace("-", "−")


def si(value: float | None, unit: str, digits: int = 3) -> str:
    """A number with an SI prefix, for instance si(2.3e-4, "S") = "230 µS"; "–" for no figure."""
    if value is None or not math.isfinite(value):
        return "–"
    if value == 0.0 or not unit:
        return f"{value:.{digits}g} {unit}".rstrip()
    size = abs(value) * (1.0 + 0.5 * 10.0**-digits)  # so that 999.9996 rounds into the next prefix
    factor, prefix = next((p for p in _PREFIXES if size >= p[0]), _PREFIXES[-1])
    scaled = value / factor
    whole = len(str(int(abs(scaled)))) if abs(scaled) >= 1 else 1
    return f"{scaled:.{max(digits - whole, 0)}f} {prefix}{unit}"


def duration(seconds: float | None) -> str:
    """A time for people: 12.3 ms, 4.56 s, 3 min 20 s, 2 h 05 min."""
    if seconds is None or not math.isfinite(seconds):
        return "–"
    if seconds < 120.0:
        return si(seconds, "s")
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 120:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"
