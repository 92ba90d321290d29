"""Stage 4, resistor board: known resistors read as cells are, which also calibrates the read path.

Every site is read with the converters' curves of stage 2. Gain and offset of each column's read
path follow from its resistors; what then deviates is a resistor, a site or a bond, and is named.
The same columns are read with the board's own reference resistors: two references that disagree
are a finding as well. The curves are kept as `hil calibrate` keeps them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from calibration.arrays import BoolArray, FloatArray
from calibration.bringup.stage import Figure, Needs, Rig, Stage, StageResult
from calibration.front_end import FrontEndParams, tia
from calibration.startup import Finding
from drivers.curves import MeasuredCurves
from drivers.rram.geometry import Cells
from drivers.rram.macro import Macro
from drivers.transfer import ColumnCurves
from protocols.errors import CalibrationError, InputError
from protocols.resistor_board import OHMS, OPEN_SITE, SHORT_SITE, TOLERANCE, nominal_siemens

PARTS = 4
MOST_NAMED = 8
"""Sites that are named; more are one fault of the read path or its plug."""
AGAIN, AGAIN_SAMPLES = 2, 64
"""How often, and by how many conversions, a site that seems to be off is read again."""
SPREAD = 0.05
"""Sites farther off than this from their column's others take no part in its fit."""


@dataclass(frozen=True)
class ResistorBoardParams:
    """What is read and allowed; every default is this project's choice.

    Attributes:
        samples: conversions of each site.
        site: largest relative deviation of a resistor: its tolerance, the fit, and the wires.
        open_siemens: a site with less than this is open; so must the open site be.
        column_gain: largest relative deviation of a read path.
        column_offset: its largest offset, of the read path's full scale.
        agreement: largest difference between the gains by these resistors and by the board's own.
        front_end: effort for the board's own resistors.
    """

    samples: int = 8
    site: float = 0.02
    open_siemens: float = 2e-6
    column_gain: float = 0.05
    column_offset: float = 0.01
    agreement: float = 0.01
    front_end: FrontEndParams = field(
        default_factory=lambda: FrontEndParams(rounds_max=2, target_codes=0.1)
    )

    def __post_init__(self) -> None:
        for name in ("site", "open_siemens", "column_gain", "column_offset", "agreement"):
            if not 0.0 < getattr(self, name) < 1.0:
                raise InputError(f"bring-up, resistor_board: {name} has to be between 0 and 1")
        if not 1 <= self.samples <= 64:
            raise InputError("bring-up, resistor_board: samples 1 to 64")


def run(rig: Rig, params: ResistorBoardParams) -> StageResult:
    """All sites; the columns' read paths; the sites that are not what they should be."""
    rig.progress(0, PARTS, "resistor board: reading every site")
    curves = converter_curves(rig)
    macro = measured_macro(rig, curves)
    volts = macro.read_volts
    shape = (rig.description.rows, rig.description.columns)
    amperes = macro.read(Cells.all(macro.geometry), params.samples).reshape(shape) * volts
    nominal = nominal_siemens(*shape)
    rig.progress(1, PARTS, "resistor board: read paths of the columns")
    fit = _fitted(amperes, nominal * volts, macro)
    fit = _looked_at_again(fit, _suspects(rig, fit, nominal, volts, params), macro)
    findings = _sites(rig, fit, nominal, volts, params)
    rig.progress(2, PARTS, "resistor board: the board's own resistors")
    own = _own(rig, curves, params)
    found = MeasuredCurves(curves.dacs, curves.adcs, fit.columns, curves.ladder_sd)
    result = StageResult(
        STAGE.name, _figures(fit, own, nominal, rig, params), tuple(findings),
        data=_data(fit, own, found, nominal),
    )  # fmt: skip
    if result.passed:
        rig.keep_curves(found, _kept(rig, fit, own))
    rig.progress(PARTS, PARTS, "resistor board: done")
    return result


def converter_curves(rig: Rig) -> MeasuredCurves:
    """What stage 2 measured.

    Raises:
        CalibrationError: it is not on record, or damaged.
    """
    try:
        return MeasuredCurves.from_dict(rig.found["converters"]["curves"])
    except KeyError as error:
        raise CalibrationError(
            "the converters' curves are not on record; run hil bringup --from converters"
        ) from error


def measured_macro(rig: Rig, curves: MeasuredCurves) -> Macro:
    """The rig's macro with measured curves."""
    macro = rig.macro
    return Macro(
        rig.board,
        macro.geometry,
        curves.applied_to(rig.description),
        macro.limits,
        read_volts=macro.read_volts,
        recorder=macro.recorder,
    )


# --- the fit --------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Fit:
    """Read paths of the columns by the resistors.

    Attributes:
        columns: gain and offset of each.
        siemens: (rows, columns) by those, at the read voltage.
        used: (rows, columns) sites that took part.
        railed: (rows, columns) readings at the end of the range.
    """

    columns: ColumnCurves
    siemens: FloatArray
    used: BoolArray
    railed: BoolArray


def _fitted(amperes: FloatArray, true: FloatArray, macro: Macro) -> _Fit:
    """A straight line through each column's sites, those left out that disagree with the rest."""
    top = macro.curves.read_amperes.maximum
    railed = amperes >= 0.995 * top
    known = (true > 0.0) & (true < 0.95 * top)
    ratio = np.divide(amperes, true, out=np.full(true.shape, np.nan), where=known & ~railed)
    middle = np.nanmedian(ratio)
    column = np.nanmedian(np.where(np.abs(ratio / middle - 1.0) < 0.5, ratio, np.nan), axis=0)
    used = np.abs(ratio / np.where(np.isfinite(column), column, middle) - 1.0) < SPREAD
    weight = (used & known & ~railed).astype(np.float64)
    gain, offset, sd = _lines(weight, true, np.where(weight > 0.0, amperes, 0.0))
    independent = TOLERANCE / np.sqrt(len(OHMS))  # one reel per value
    columns = ColumnCurves(gain, offset, float(np.hypot(independent, np.nanmax(sd))))
    siemens = (amperes - offset) / gain / macro.read_volts
    return _Fit(columns, siemens, weight > 0.0, railed)


def _lines(
    weight: FloatArray, x: FloatArray, y: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Gain, offset and the gain's standard deviation of each column.

    Raises:
        CalibrationError: a column has too few sites that can be read.
    """
    n = weight.sum(axis=0)
    if (n < 3).any():
        at = int(np.argmax(n < 3))
        more = f" and of {np.count_nonzero(n < 3) - 1} more" if np.count_nonzero(n < 3) > 1 else ""
        raise CalibrationError(
            f"column {at}: {int(n[at])} of its resistors can be read{more}, three are needed. Check"
            " that the resistor board sits in the socket, and the column's switch and stage"
        )
    mean_x, mean_y = (weight * x).sum(axis=0) / n, (weight * y).sum(axis=0) / n
    dx = weight * (x - mean_x)
    sxx = (dx**2).sum(axis=0)
    gain = (dx * (y - mean_y)).sum(axis=0) / sxx
    offset = mean_y - gain * mean_x
    left = weight * (y - gain * x - offset)
    sd = np.sqrt((left**2).sum(axis=0) / np.maximum(n - 2, 1) / sxx)
    return np.asarray(gain), np.asarray(offset), np.asarray(sd)


# --- the sites ------------------------------------------------------------------------------------


def _sites(
    rig: Rig, fit: _Fit, nominal: FloatArray, volts: float, params: ResistorBoardParams
) -> list[Finding]:
    """Each site that is not what the board's drawing says."""
    top = rig.description.converters.read_full_scale_amperes / volts
    short, is_open = nominal >= top, nominal == 0.0
    known = ~short & ~is_open
    found = [_wrong_open(rig, *at) for at in _at(is_open & (fit.siemens > params.open_siemens))]
    found += [_no_short(rig, *at) for at in _at(short & ~fit.railed)]
    found += [_opened(rig, *at) for at in _at(known & (fit.siemens < params.open_siemens))]
    found += [_shorted(rig, *at) for at in _at(known & fit.railed)]
    rest = known & ~fit.railed & (fit.siemens >= params.open_siemens)
    off = np.divide(fit.siemens, nominal, out=np.ones(nominal.shape), where=rest) - 1.0
    found += [
        _wrong(rig, at, float(fit.siemens[at]), float(nominal[at]))
        for at in _at(rest & (np.abs(off) > params.site))
    ]
    if len(found) <= MOST_NAMED:
        return found
    return [
        Finding(
            "resistor_board",
            (),
            f"{len(found)} sites of the resistor board are not what they should be; the first:"
            f" {found[0].sentence}",
            "Check that the resistor board sits in the socket the right way round",
        )
    ]


def _suspects(
    rig: Rig, fit: _Fit, nominal: FloatArray, volts: float, params: ResistorBoardParams
) -> list[tuple[int, int]]:
    """Sites that seem to be off, which noise alone can do to the largest resistors."""
    top = rig.description.converters.read_full_scale_amperes / volts
    known = (nominal > 0.0) & (nominal < top) & ~fit.railed
    off = np.divide(fit.siemens, nominal, out=np.ones(nominal.shape), where=known) - 1.0
    return _at(known & (np.abs(off) > 0.5 * params.site))


def _looked_at_again(fit: _Fit, sites: list[tuple[int, int]], macro: Macro) -> _Fit:
    """The same fit with some sites read again, each by many more conversions."""
    if not sites:
        return fit
    rows, columns = np.array(sites).T
    cells = Cells(rows, columns)
    read = np.mean([macro.read(cells, AGAIN_SAMPLES) for _ in range(AGAIN)], axis=0)
    amperes = read * macro.read_volts
    siemens = fit.siemens.copy()
    siemens[rows, columns] = fit.columns.true(amperes, columns) / macro.read_volts
    return replace(fit, siemens=siemens)


def _at(where: BoolArray) -> list[tuple[int, int]]:
    return [(int(row), int(column)) for row, column in np.argwhere(where)]


def _between(rig: Rig, row: int, column: int) -> str:
    lines = f"{rig.where('bit_line', row)} and {rig.where('source_line', column)}"
    return f"site ({row}, {column}), between {lines}"


def _wrong(rig: Rig, site: tuple[int, int], siemens: float, nominal: float) -> Finding:
    return Finding(
        "resistor_wrong",
        site,
        f"{_between(rig, *site)}: {1.0 / siemens:,.0f} ohm, it should be {1.0 / nominal:,.0f} ohm",
        "Measure that resistor with an ohmmeter and replace it; look for a bad contact",
    )


def _opened(rig: Rig, row: int, column: int) -> Finding:
    return Finding(
        "resistor_open",
        (row, column),
        f"{_between(rig, row, column)}: open, where a resistor should be",
        "Check that resistor's solder joints and the contacts of both lines",
    )


def _shorted(rig: Rig, row: int, column: int) -> Finding:
    return Finding(
        "resistor_short",
        (row, column),
        f"{_between(rig, row, column)}: beyond the range of the read path, a resistor should be"
        " there",
        "Look for a solder bridge between these two lines",
    )


def _wrong_open(rig: Rig, row: int, column: int) -> Finding:
    return Finding(
        "not_open",
        (row, column),
        f"{_between(rig, row, column)}: conducts, this site should be open",
        "Look for a solder bridge, or leakage of the board between these two lines",
    )


def _no_short(rig: Rig, row: int, column: int) -> Finding:
    return Finding(
        "no_short",
        (row, column),
        f"{_between(rig, row, column)}: does not conduct as a wire, this site should be a short",
        "Check the wire at that site; a read path that cannot show its end hides shorts of a chip",
    )


# --- figures --------------------------------------------------------------------------------------


def _own(rig: Rig, curves: MeasuredCurves, params: ResistorBoardParams) -> tia.ColumnResult:
    """The same read paths by the board's own reference resistors."""
    return tia.run(
        rig.board,
        rig.description,
        curves.adcs["read"],
        curves.dacs["bit_line"],
        rig.macro.read_volts,
        params.front_end,
    )


def _figures(
    fit: _Fit,
    own: tia.ColumnResult,
    nominal: FloatArray,
    rig: Rig,
    params: ResistorBoardParams,
) -> tuple[Figure, ...]:
    full = rig.description.converters.read_full_scale_amperes
    gain, offset = fit.columns.gain, fit.columns.offset_amperes
    agree = np.abs(gain / own.columns.gain - 1.0)
    off = np.where(fit.used, fit.siemens / np.where(nominal > 0.0, nominal, np.nan) - 1.0, np.nan)
    misses = {"gain": np.abs(gain - 1.0), "offset": np.abs(offset), "agree": agree}
    worst = {name: int(np.nanargmax(values)) for name, values in misses.items()}
    stage = "Check the trans-impedance stage of column {}: its feedback resistor and its switch"
    return (
        Figure("largest gain error of a column", float(np.abs(gain - 1.0).max()), "", 0.0,
               params.column_gain, stage.format(worst["gain"])),
        Figure("largest offset of a column", float(np.abs(offset).max()), "A", 0.0,
               params.column_offset * full, stage.format(worst["offset"])),
        Figure("resistor board against the board's own resistors", float(agree.max()), "", 0.0,
               params.agreement, f"Measure the reference resistors of column {worst['agree']}"),
        Figure("largest deviation of a site", float(np.nanmax(np.abs(off))), "", 0.0, params.site,
               "Measure the resistors that are named"),
        Figure("sites read", float(np.count_nonzero(fit.used)), "", 0.9 * nominal.size,
               what="Check how the resistor board sits in the socket"),
        Figure(f"conductance of the open site {OPEN_SITE}", _site(fit.siemens, OPEN_SITE), "S",
               -params.open_siemens, params.open_siemens, "See what bridges the open site"),
        Figure(f"the short at {SHORT_SITE} is seen", _site(fit.railed, SHORT_SITE), "", 1.0, 1.0,
               "Check the wire at that site"),
    )  # fmt: skip


def _site(values: FloatArray | BoolArray, site: tuple[int, int]) -> float:
    """NaN where the array is too small to have the site."""
    inside = site[0] < values.shape[0] and site[1] < values.shape[1]
    return float(values[site]) if inside else float("nan")


def _data(
    fit: _Fit, own: tia.ColumnResult, found: MeasuredCurves, nominal: FloatArray
) -> dict[str, Any]:
    off = np.where(fit.used, fit.siemens - nominal, np.nan)
    return {
        "curves": found.to_dict(),
        "own_gain": own.columns.gain.tolist(),
        "relative_sd": fit.columns.relative_sd,
        "site_rms_siemens": float(np.sqrt(np.nanmean(off**2))),
    }


def _kept(rig: Rig, fit: _Fit, own: tia.ColumnResult) -> Mapping[str, Any]:
    """What is kept with the curves: the same keys as of a front-end calibration, where it has
    them."""
    before = rig.found["converters"]
    return {
        "adcs": before.get("adcs", {}),
        "dacs": before.get("dacs", {}),
        "columns": {
            "range": "read",
            "gain": fit.columns.gain.tolist(),
            "offset_amperes": fit.columns.offset_amperes.tolist(),
            "relative_sd": fit.columns.relative_sd,
            "by": "resistor board",
            "own_gain": own.columns.gain.tolist(),
        },
    }


STAGE = Stage(
    name="resistor_board",
    title="the resistor board through the read path",
    needs=Needs(fixture="resistor board"),
    params=ResistorBoardParams,
    run=run,
    plan="reads every site of the resistor board at the read voltage; keeps the board's curves",
)
