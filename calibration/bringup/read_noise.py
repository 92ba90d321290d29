"""Read noise against integration time, mains pick-up, and how many reads a verify should average.

The read path alone, with reference resistors in place of cells: the scatter of means of 1 to 64
conversions. If it falls as 1 / sqrt(n) the noise is white; where it stops falling is drift or hum.
Mains pick-up is a wave fitted to readings over two and a half periods. If the chip has cells that
conduct, their own read noise, which is slower and mostly larger, sets the reads per verify; on a
chip that was never formed the read path does until the pilot block has shown what cells do.

The board's description states no noise: the limits are this project's choice, twice what a read
path of 12 bits has whose own noise is half a code (0.58 codes with the rounding).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from calibration.arrays import FloatArray
from calibration.bringup.stage import Figure, Needs, Rig, Stage, StageResult
from calibration.bringup.verify_reads import (
    AVERAGED,
    CELLS,
    RESISTORS,
    VerifyReads,
    cell_shares,
    recommended,
    resistor_shares,
)
from calibration.startup.converters import RESISTOR, Hum, Subject, read_hum
from calibration.startup.findings import Finding, StartupParams
from drivers.rram.geometry import Cells
from protocols.errors import InputError
from protocols.messages import ReadReferenceRequest

NAME = "read_noise"
FEWEST_CELLS = 8
"""Conducting cells from which on their noise says something."""
QUIET_SIEMENS = 20e-6
"""Cells below it are left out: what they add to a product is small."""


@dataclass(frozen=True)
class ReadNoiseParams:
    """Effort and limits; every default is this project's choice.

    Attributes:
        frames: series of readings at each number of conversions.
        noise_codes: scatter of one conversion.
        averaged_codes: scatter of the mean of the most conversions.
        hum_codes: amplitude of mains pick-up, as in the start-up checks.
        cells: at most so many conducting cells are read, `readings` times each.
        wanted_share: of the tolerance of programming, that read noise may leave in a verify.
        largest_share: of the same, above which the stage fails.
    """

    frames: int = 4
    noise_codes: float = 1.2
    averaged_codes: float = 0.3
    hum_codes: float = 2.0
    cells: int = 48
    readings: int = 128
    wanted_share: float = 0.1
    largest_share: float = 0.75

    def __post_init__(self) -> None:
        for name in ("frames", "cells", "readings"):
            if not 1 <= getattr(self, name) <= 4096:
                raise InputError(
                    f"read_noise: {name}={getattr(self, name)}: 1 to 4096 are allowed."
                )
        for name in ("noise_codes", "averaged_codes", "hum_codes", "wanted_share", "largest_share"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0.0):
                raise InputError(f"read_noise: {name} must be a positive number.")


def scatter(rig: Rig, params: ReadNoiseParams) -> FloatArray:
    """(numbers,) standard deviation of means of `AVERAGED` conversions, ADC codes."""
    board, code = rig.board, _read_code(rig)
    count = board.capacity(ReadReferenceRequest)
    columns = np.linspace(0, rig.description.columns - 1, params.frames).astype(int).tolist()
    out = []
    for number in AVERAGED:
        variances = []
        for column in columns:
            got = board.read_reference(code, [column] * count, [RESISTOR] * count, number)
            variances.append(np.var(got.codes / number, ddof=1))
        out.append(float(np.sqrt(np.mean(variances))))
    return np.array(out)


def series(rig: Rig, cells: Cells, readings: int) -> FloatArray:
    """(cells, readings) single readings of each cell in turn, siemens."""
    again = Cells(np.tile(cells.rows, readings), np.tile(cells.columns, readings))
    return rig.macro.read(again).reshape(readings, len(cells)).T.copy()


def run(rig: Rig, params: ReadNoiseParams) -> StageResult:
    """Noise of the read path, hum, noise of cells, and the number of reads that follows."""
    rig.progress(0, 3, "noise of the read path")
    sd_codes = scatter(rig, params)
    rig.progress(1, 3, "mains pick-up")
    hum = read_hum(_subject(rig, params))
    rig.progress(2, 3, "read noise of cells")
    cells = _conducting(rig, params)
    traces = series(rig, cells, params.readings) if len(cells) >= FEWEST_CELLS else None
    rig.progress(3, 3, "read noise of cells")
    reads = _reads(rig, params, sd_codes, traces)
    findings = _humming(rig, hum) or _noisy(rig, params, sd_codes)  # hum scatters as well
    return StageResult(
        NAME,
        _figures(params, sd_codes, hum, reads),
        tuple(findings),
        () if findings else (reads.sentence,),
        _data(rig, sd_codes, hum, reads, traces),
    )


def _read_code(rig: Rig) -> int:
    code = int(rig.macro.curves.bit_line.to_code(rig.macro.read_volts, "bit line"))
    return min(code, rig.board.identity.read_code_max)


def _subject(rig: Rig, params: ReadNoiseParams) -> Subject:
    bounds = StartupParams(hum_codes=params.hum_codes)
    return Subject(rig.board, rig.description, bounds, _read_code(rig))


def _conducting(rig: Rig, params: ReadNoiseParams) -> Cells:
    """Cells that an earlier stage saw conduct, read again: those that a network could use."""
    seen = rig.found.get("leakage", {}).get("conducting", [])
    cells = Cells.of((int(r), int(c)) for r, c in seen)
    if not len(cells):
        return cells
    siemens = rig.macro.read(cells, 4)
    good = (siemens > QUIET_SIEMENS) & (siemens < rig.description.limits.cell_siemens)
    return cells[np.flatnonzero(good)[: params.cells]]


def code_siemens(rig: Rig) -> float:
    """What one ADC code of a read stands for."""
    return rig.macro.full_scale_siemens / rig.macro.curves.read_amperes.code_max


def _reads(
    rig: Rig, params: ReadNoiseParams, sd_codes: FloatArray, traces: FloatArray | None
) -> VerifyReads:
    if traces is None:
        shares = resistor_shares(sd_codes.tolist(), code_siemens(rig))
        return recommended(AVERAGED, shares, params.wanted_share, RESISTORS)
    numbers, of_cells = cell_shares(traces)
    return recommended(numbers, of_cells, params.wanted_share, CELLS)


def _figures(
    params: ReadNoiseParams, sd_codes: FloatArray, hum: Hum, reads: VerifyReads
) -> tuple[Figure, ...]:
    shield = "Check the supply and the shield of the trans-impedance stages"
    most = AVERAGED[-1]
    return (
        Figure(
            "scatter of one conversion",
            float(sd_codes[0]),
            "codes",
            high=params.noise_codes,
            what=shield,
        ),
        Figure(
            f"scatter of the mean of {most} conversions",
            float(sd_codes[-1]),
            "codes",
            high=params.averaged_codes,
            what="Look for drift and slow pick-up: averaging does not help against it",
        ),
        Figure(
            f"mains pick-up at {hum.hertz:.0f} Hz",
            hum.amplitude_codes,
            "codes",
            high=max(params.hum_codes, hum.bound_codes),
            what="Close the shield and check the grounds",
        ),
        Figure("reads per verify", float(reads.reads), high=float(most)),
        Figure(
            f"noise left in a verify, of the tolerance ({reads.measured_on})",
            reads.share,
            high=params.largest_share,
            what="Widen the tolerance of programming, or find the noise",
        ),
    )


def _noisy(rig: Rig, params: ReadNoiseParams, sd_codes: FloatArray) -> list[Finding]:
    if sd_codes[0] <= params.noise_codes:
        return []
    siemens = sd_codes[0] * code_siemens(rig)
    return [
        Finding(
            "read_noise",
            (),
            f"one conversion of a reference resistor scatters by {sd_codes[0]:.2f} codes"
            f" ({siemens * 1e9:.0f} nS), {params.noise_codes:.2f} are allowed",
            "Check the supply, the reference and the shield of the trans-impedance stages",
        )
    ]


def _humming(rig: Rig, hum: Hum) -> list[Finding]:
    if hum.amplitude_codes <= hum.bound_codes:
        return []
    per_code = rig.description.converters.read_full_scale_amperes / rig.description.code_max
    return [
        Finding(
            "mains",
            (),
            f"the read paths pick up {hum.hertz:.0f} Hz mains hum of"
            f" {hum.amplitude_codes * per_code * 1e9:.0f} nA",
            "Close the shield and check the grounds; readings would beat with it",
        )
    ]


def _data(
    rig: Rig, sd_codes: FloatArray, hum: Hum, reads: VerifyReads, traces: FloatArray | None
) -> dict[str, Any]:
    read_s = rig.description.timing.read_s
    return {
        "averaged": list(AVERAGED),
        "integration_s": [n * read_s for n in AVERAGED],
        "scatter_codes": sd_codes.tolist(),
        "code_siemens": code_siemens(rig),
        "hum_hertz": hum.hertz,
        "hum_codes": hum.amplitude_codes,
        "verify_reads": reads.to_dict(),
        "cells_read": 0 if traces is None else len(traces),
    }


STAGE = Stage(
    name=NAME,
    title="read noise, mains pick-up, reads per verify",
    needs=Needs(fixture="chip"),
    params=ReadNoiseParams,
    run=run,
    plan="reads reference resistors and conducting cells at the read voltage; drives no pulse",
)
