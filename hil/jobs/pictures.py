"""What a report shows of each class: its distance from its data, and its samples as pictures."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from hil.diffusion.pictures import Codec
from hil.diffusion.score_model import ScoreModel
from hil.jobs.rows import Row
from hil.report.data import ClassData

SHOWN_PICTURES = 10
"""Of each class and row (this project's choice)."""


def class_data(
    model: ScoreModel, found: Mapping[str, Row], codec: Codec | None, shown: int
) -> ClassData | None:
    """The classes of some rows; None where there are neither classes nor pictures.

    The first samples of each class are shown as they come: none is chosen.
    """
    some = next(iter(found.values()))
    labels = [] if some.labels is None else np.unique(some.labels).tolist()
    if not labels and codec is None:
        return None
    return ClassData(
        names=tuple(model.class_name(label) for label in labels),
        labels={name: _thinned(row, shown) for name, row in found.items() if labels},
        sliced_w1={
            name: np.array([row.class_w1[label] for label in labels])
            for name, row in found.items()
            if labels
        },
        pictures={}
        if codec is None
        else {name: _pictures(row, labels, codec) for name, row in found.items()},
    )


def _thinned(row: Row, shown: int) -> NDArray[np.int64]:
    """Places in `names` of the samples that a report keeps (every k-th, as its points)."""
    if row.labels is None:
        return np.zeros(0, dtype=np.int64)
    _, places = np.unique(row.labels, return_inverse=True)
    return np.asarray(places[:: every(row, shown)], dtype=np.int64)


def every(row: Row, shown: int) -> int:
    """Step that leaves no more than `shown` points, of every class alike."""
    return max(-(-len(row.samples) // shown), 1)


def _pictures(row: Row, labels: list[int], codec: Codec) -> NDArray[np.float32]:
    """(classes, k, h, w): the first samples of each class; one class where there are none."""
    if row.labels is None:
        groups = [row.samples[:SHOWN_PICTURES]]
    else:
        groups = [row.samples[row.labels == label][:SHOWN_PICTURES] for label in labels]
    return np.array([codec.decode(group) for group in groups], dtype=np.float32)
