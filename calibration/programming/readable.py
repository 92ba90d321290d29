"""What a read can tell: read noise, what averaging makes of it, and tolerances that are too tight.

Read noise of resistive cells depends on the state and is correlated from read to read, so that the
mean of n reads is not sqrt(n) times as good. Whoever asks for a tolerance below the noise of the
confirming read gets cells that are in by luck; such a tolerance is refused.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from calibration.arrays import FloatArray
from calibration.programming import ProgramParams
from drivers.rram.geometry import Cells
from protocols.errors import TargetError

MOST_SAMPLES = 4096


@dataclass(frozen=True)
class ReadNoise:
    """Robust relative standard deviation of one read over conductance, and its memory.

    The defaults are measured 1T1R cells (data of A. Levy et al., IEEE TED 2021): differences from
    read to read of 0.17, 1.2, 2.4, 4.4 and 5.7 % (robust) between 150-200, 100-150, 60-100, 30-60
    and 8-30 uS, divided by sqrt(2 (1 - correlation)).
    """

    siemens: tuple[float, ...] = (19e-6, 45e-6, 80e-6, 125e-6, 175e-6)
    sigma: tuple[float, ...] = (0.068, 0.053, 0.029, 0.0143, 0.0020)
    correlation: float = 0.65

    def single(self, siemens: FloatArray) -> FloatArray:
        """Standard deviation of one read in siemens, (n,)."""
        share = np.interp(siemens, self.siemens, self.sigma)
        return np.asarray(siemens * share)

    def mean_of(self, samples: int) -> float:
        """Standard deviation of the mean of `samples` reads over that of one."""
        n, memory = samples, self.correlation
        lags = np.arange(1, n)
        total = n + 2.0 * float(np.sum((n - lags) * memory**lags))
        return math.sqrt(total) / n

    def samples_for(self, share: float) -> int | None:
        """Reads whose mean has at most `share` of the deviation of one; None: no sane number."""
        n = 1
        while n <= MOST_SAMPLES:
            if self.mean_of(n) <= share:
                return n
            n = n + 1 if n < 32 else n + n // 8
        return None


def check_readable(
    params: ProgramParams, cells: Cells, targets: FloatArray, noise: ReadNoise | None = None
) -> None:
    """Refuse tolerances below the noise of the confirming read.

    Cells that are counted by reading are not held to it: there *in* is what one read says.

    Raises:
        TargetError: names the worst cell, the smallest tolerance that its confirming read can
            verify, and how many reads the tolerance asked for would need.
    """
    if params.count_in == "reading":
        return
    law = noise or ReadNoise()
    asked = params.tolerances(targets)
    smallest = law.single(targets) * law.mean_of(params.confirm_samples)
    bad = asked < smallest
    if not bad.any():
        return
    k = int(np.argmax(smallest / asked))
    needed = law.samples_for(float(asked[k] / law.single(targets)[k]))
    averaging = (
        f"confirm_samples={needed} would be needed for it"
        if needed is not None
        else f"not even {MOST_SAMPLES} reads would do for it"
    )
    raise TargetError(
        f"The tolerance of cell ({cells.rows[k]}, {cells.columns[k]}), {asked[k]:.3g} S at "
        f"{targets[k]:.4g} S, is below its read noise ({int(bad.sum())} such cells). The smallest "
        f"that the mean of {params.confirm_samples} reads can verify there is {smallest[k]:.3g} S; "
        f"{averaging}."
    )
