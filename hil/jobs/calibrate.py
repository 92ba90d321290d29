"""`hil calibrate`: converters and read paths of a board, kept by its serial number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.front_end import FrontEndCalibration, FrontEndParams, calibrate_front_end
from calibration.front_end import line_resistance as line_routine
from calibration.front_end.line_resistance import LineParams, LineResult
from calibration.progress import Progress
from drivers.rram.geometry import Cells
from drivers.rram.macro import Macro
from drivers.transfer import Curves
from hil.bench import Bench
from hil.chip_store import ChipStore
from hil.config import BenchConfig
from hil.curve_store import AGE_LIMIT_DAYS, Clock, CurveStore, Kept, now, origin_of
from hil.jobs.session import session
from hil.record import RunFolder

LINE_KIND = "line_resistance"
"""Under which the chip's store keeps the lines."""


@dataclass(frozen=True)
class CalibrateOptions:
    """What is wanted.

    Attributes:
        temperature_celsius: of the bench, for the record; None where nobody looked.
        age_limit_days: after which the curves count as stale.
        with_lines: also estimate the line resistance from the chip's cells.
        params, line_params: of the routines.
    """

    temperature_celsius: float | None = None
    age_limit_days: float = AGE_LIMIT_DAYS
    with_lines: bool = False
    params: FrontEndParams = field(default_factory=FrontEndParams)
    line_params: LineParams = field(default_factory=LineParams)


@dataclass(frozen=True)
class Calibrated:
    """What came of it.

    Attributes:
        found: the board; lines: the chip's lines, None if they were not wanted.
        kept: as the board's store has it.
        run: the run's folder; figures: below it.
    """

    found: FrontEndCalibration
    lines: LineResult | None
    kept: Kept
    run: Path
    figures: tuple[Path, ...]


def calibrate(
    config: BenchConfig,
    options: CalibrateOptions | None = None,
    *,
    bench_text: str | None = None,
    progress: Progress | None = None,
    clock: Clock = now,
) -> Calibrated:
    """Measures a board's front end and keeps its curves; every later bench applies them.

    No cell is driven. The board is armed for the lines of the array, which are cut off from it.

    Raises:
        CalibrationError: a channel or column is dead, railed or too far off; nothing is kept. Or
            the lines cannot be told from the chip's cells; the curves are kept then.
        PortError, LinkTimeout, HandshakeError, ChipBusyError, ConfigError: as `Bench.open`.
    """
    # matplotlib is loaded only when something is drawn
    from hil.report.figures.front_end import front_end, lines
    from hil.report.style import save_figure

    wanted = options or CalibrateOptions()
    parameters = {**asdict(wanted), "nominal_curves": True}
    with session(
        config, "calibrate", parameters=parameters, bench_text=bench_text, nominal_curves=True
    ) as (run, bench):
        found = calibrate_front_end(bench.macro, bench.description, wanted.params, progress)
        run.save_json("front_end.json", found.to_dict())
        picture = front_end(found, simulated=bench.is_simulated)
        drawn = [save_figure(picture, run.file("figures/front_end.png"))]
        kept = _keep(bench, found, wanted, clock)
        run.save_json("results.json", summary(found, None, kept))
        along = _lines(bench, found.curves.applied_to(bench.description), wanted)
        if along is not None:
            picture = lines(along, simulated=bench.is_simulated)
            drawn.append(save_figure(picture, run.file(f"figures/{LINE_KIND}.png")))
            _keep_lines(bench, run, along, drawn[-1])
        run.save_json("results.json", summary(found, along, kept))
        return Calibrated(found, along, kept, run.path, tuple(drawn))


def summary(found: FrontEndCalibration, along: LineResult | None, kept: Kept) -> dict[str, Any]:
    """The figures that a person wants first; spreads beside them."""
    columns = found.columns.columns
    steps = max(one.worst_steps for one in found.pulse.lines.values())
    out: dict[str, Any] = {
        "board": kept.serial,
        "simulated": kept.simulated,
        "curves": str(kept.path),
        "age_limit_days": kept.age_limit_days,
        "temperature_celsius": kept.temperature_celsius,
        "channels": {
            name: {
                "gain": one.gain,
                "gain_sd": one.gain_sd,
                "offset_codes": one.offset_codes,
                "nonlinearity_codes": one.nonlinearity_codes,
                "sd_codes": one.curve.sd_codes,
            }
            for name, one in {**found.adcs, **found.dacs}.items()
        },
        "columns": {
            "largest_gain_error": float(np.abs(columns.gain - 1.0).max()),
            "largest_offset_amperes": float(np.abs(columns.offset_amperes).max()),
            "relative_sd": columns.relative_sd,
        },
        "amplitude_missed_by_steps": steps,
        "stays_nominal": found.pulse.needs,
        "conversions": found.conversions,
        "bench_s": found.bench_s,
    }
    if along is not None:
        out[LINE_KIND] = along.to_dict()
    return out


def _lines(bench: Bench, curves: Curves, wanted: CalibrateOptions) -> LineResult | None:
    """The chip's cells by the curves that were just found."""
    if not wanted.with_lines:
        return None
    macro = Macro(
        bench.board, bench.geometry, curves, bench.limits, read_volts=bench.config.read_volts
    )
    return line_routine.run(macro, Cells.all(bench.geometry), wanted.line_params)


def _keep(bench: Bench, found: FrontEndCalibration, wanted: CalibrateOptions, clock: Clock) -> Kept:
    identity = bench.board.identity
    store = CurveStore.of(bench.config, identity.serial, clock)
    said = wanted.temperature_celsius
    return store.save(
        found.curves,
        found.to_dict(),
        origin=origin_of(bench.config, bench.description, identity),
        simulated=bench.is_simulated,
        temperature_celsius=bench.conditions.temperature_celsius if said is None else said,
        age_limit_days=wanted.age_limit_days,
    )


def _keep_lines(bench: Bench, run: RunFolder, along: LineResult, figure: Path) -> None:
    arrays: Mapping[str, NDArray[Any]] = {
        "row": along.cells.rows,
        "column": along.cells.columns,
        "resistance_ohm": along.resistance_ohm,
        "fitted_ohm": along.fitted_ohm,
    }
    run.save_arrays(f"{LINE_KIND}.npz", arrays)
    ChipStore.of(bench.config, bench.conditions).save(
        LINE_KIND,
        along.to_dict(),
        arrays,
        figure.read_bytes(),
        board=f"{bench.board.identity.serial:x}",
        simulated=bench.is_simulated,
    )
