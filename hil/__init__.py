"""The bench session: configuration, simulator, run loop, records, reports, command line.

The four packages of this project have generic names (`protocols`, `drivers`, `calibration`, `hil`)
and are installed from the checkout into its own virtual environment. Importing `hil` refuses to go
on when another package of one of these names hides ours.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent


def find_shadow(root: Path = _ROOT) -> str | None:
    """A sentence that names the package which hides one of ours, or None."""
    for name in ("protocols", "drivers", "calibration"):
        spec = find_spec(name)
        where = Path(spec.origin).resolve() if spec and spec.origin else None
        if where is None or where.parent.parent != root:
            return (
                f"the package '{name}' that Python finds ({where or 'none'}) is not the one of "
                f"this project ({root / name}); use the project's own virtual environment "
                f"(make setup), or take the other one off the import path"
            )
    return None


_shadow = find_shadow()
if _shadow is not None:
    raise ImportError(_shadow)
