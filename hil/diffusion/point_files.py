"""Any set of points in the plane, from a table of text (CSV) or an `.npz`.

CSV: one point a line, two numbers, or two numbers and a class; a first line of names is allowed.
`.npz`: `points` (n, 2) and, if there are classes, `labels` (n,). Classes may be any numbers or, in
a table, names; they are counted in the order of their numbers or names.
"""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hil.diffusion.keyed import FloatArray
from hil.diffusion.sources import FiniteSource
from protocols.errors import DataError, FileError
from protocols.files import read_text
from protocols.npz import read_npz

MAX_BYTES = 64 * 2**20
MAX_CLASSES = 64
LARGEST = 2.0
"""Model units: beyond it a point is more than the loop of a board can reach (project's choice)."""
_MEMBERS = {"points", "labels"}


def read_points(path: Path) -> FiniteSource:
    """The points of a file, in model units.

    Raises:
        DataError: no such file, too large, damaged, not two numbers per point, a value that is not
            finite or beyond +-2, or too many classes; names the file, the line or point.
    """
    try:
        return _from_npz(path) if path.suffix == ".npz" else _from_table(path)
    except FileError as error:
        raise DataError(f"{path}: {error}.") from error
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def _from_npz(path: Path) -> FiniteSource:
    members = read_npz(path, MAX_BYTES, len(_MEMBERS))
    unknown = sorted(set(members) - _MEMBERS)
    if unknown or "points" not in members:
        raise FileError(
            f"holds {', '.join(sorted(members)) or 'nothing'}; points and, if there are classes, "
            "labels are needed"
        )
    points = members["points"]
    if points.dtype.kind not in "fiu":
        raise FileError(f"points have type {points.dtype}; numbers are needed")
    labels = members.get("labels")
    if labels is not None and labels.dtype.kind not in "iuU":
        raise FileError(f"labels have type {labels.dtype}; whole numbers or names are needed")
    return _source(points.astype(np.float64), labels, "point")


def _from_table(path: Path) -> FiniteSource:
    points: list[tuple[float, float]] = []
    classes: list[str] = []
    width = 0
    for number, fields in enumerate(csv.reader(io.StringIO(read_text(path, MAX_BYTES))), start=1):
        row = [field.strip() for field in fields]
        if not any(row):
            continue
        pair = (_number(row[0]), _number(row[1])) if len(row) in (2, 3) else (None, None)
        if not points and number == 1 and None in pair and len(row) in (2, 3):
            continue  # names of the columns
        if None in pair or (points and len(row) != width):
            raise FileError(
                f"line {number}: {','.join(row)!r:.60}; two numbers, or two numbers and a class, "
                "are needed, on every line the same"
            )
        width = len(row)
        points.append((float(pair[0] or 0.0), float(pair[1] or 0.0)))
        classes.extend(row[2:])
    labels = np.array(classes) if classes else None
    return _source(np.array(points, dtype=np.float64).reshape(-1, 2), labels, "point")


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _source(points: FloatArray, labels: NDArray[np.generic] | None, what: str) -> FiniteSource:
    if points.ndim != 2 or points.shape[1:] != (2,) or len(points) < 2:
        raise FileError(f"points of shape {points.shape}; at least two of two numbers are needed")
    bad = ~(np.abs(points) <= LARGEST)  # true for NaN as well
    if bad.any():
        where, axis = np.argwhere(bad)[0].tolist()
        raise FileError(
            f"{what} {where} (from 0) has {points[where, axis]:g}; finite values within "
            f"+-{LARGEST:g} are allowed. Scale the set first"
        )
    if labels is None:
        return FiniteSource(points)
    if labels.shape != (len(points),):
        raise FileError(f"labels of shape {labels.shape} for {len(points)} points")
    names, own = np.unique(_as_numbers(labels), return_inverse=True)
    if len(names) > MAX_CLASSES:
        raise FileError(f"{len(names)} classes; at most {MAX_CLASSES} are allowed")
    texts = tuple(f"{name:g}" if isinstance(name, float) else str(name) for name in names.tolist())
    return FiniteSource(points, labels=own.astype(np.int64), class_names=texts)


def _as_numbers(labels: NDArray[np.generic]) -> NDArray[np.generic]:
    """Labels that are all numbers as such, so that 10 follows 9."""
    if labels.dtype.kind in "iu":
        return labels
    found = [_number(str(label)) for label in labels]
    if any(value is None or not math.isfinite(value) for value in found):
        return labels
    return np.array(found, dtype=np.float64)
