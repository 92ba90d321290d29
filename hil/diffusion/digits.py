"""Handwritten digits of 8 x 8 pixels, which come with scikit-learn.

1,797 pictures of the test part of the "Optical Recognition of Handwritten Digits" set (Alpaydin &
Kaynak, UCI Machine Learning Repository, 1998), pixels 0 to 16. Every fifth picture is held out:
nothing is trained on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hil.diffusion.keyed import FloatArray
from hil.diffusion.pictures import Pictures
from protocols.errors import DataError

SHAPE = (8, 8)
LARGEST_PIXEL = 16.0
HELD_OUT_EVERY = 5


def digits(classes: Sequence[int], *, held_out: bool = False) -> Pictures:
    """The pictures of some digits, counted as classes 0, 1, .. in the order given.

    `held_out` gives those that no training sees. Raises DataError when scikit-learn is missing or a
    digit is none.
    """
    images, numbers = _all()
    if not classes or not set(classes) <= set(range(10)):
        raise DataError(f"digits {list(classes)}: whole numbers from 0 to 9 are needed.")
    mine = (np.arange(len(images)) % HELD_OUT_EVERY == 0) == held_out
    chosen = np.flatnonzero(mine & np.isin(numbers, list(classes)))
    place = {number: label for label, number in enumerate(classes)}
    labels = np.array([place[int(number)] for number in numbers[chosen]], dtype=np.int64)
    return Pictures(images[chosen], labels, tuple(str(number) for number in classes))


@lru_cache(maxsize=1)
def _all() -> tuple[FloatArray, NDArray[np.int64]]:
    try:
        from sklearn.datasets import load_digits  # late: a second that few commands need
    except ImportError as error:
        raise DataError(
            f"the handwritten digits come with scikit-learn, which cannot be loaded ({error}); "
            "install it (make setup)."
        ) from error
    found = load_digits()
    images = np.asarray(found.images, dtype=np.float64) / LARGEST_PIXEL
    return images, np.asarray(found.target, dtype=np.int64)
