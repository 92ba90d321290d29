"""The lines of the array at the read level: open, grounded, joined, exchanged, and dead rows.

No single cell is selected. Both ends of every line are probed with the gates closed, then the
current of all cells of each line is read with them open: a line that is whole but reaches no cell
shows nothing there, whereas even pristine cells, 128 of 10 Mohm, are seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration.arrays import FloatArray
from calibration.startup.chip_map import LineMap
from calibration.startup.converters import RESISTOR, Subject
from calibration.startup.findings import Finding, not_known
from protocols.errors import BoardError
from protocols.messages import ArrayLine, LineCheckRequestEntry, LineProbe

MOST_NAMED = 8
"""Lines whose fault is looked into; more than these are one fault of a plug."""
PASS_SAMPLES = 8
"""Conversions of each line's current, in each of two passes."""
STAGE_SAMPLES = 8
HIGH_OHM = 3
"""The largest reference resistor; with `RESISTOR` it gives a stage's gain and offset."""
END_SAMPLES = 2
FEWEST_CODES = 10.0
"""A line whose pristine cells give less than this cannot be told from a dead one."""
BOND = "Check its bond and socket contact under a microscope"
_FAR = {
    ArrayLine.BIT_LINE: LineProbe.FAR_BIT_LINE,
    ArrayLine.SOURCE_LINE: LineProbe.FAR_SOURCE_LINE,
    ArrayLine.WORD_LINE: LineProbe.FAR_WORD_LINE,
}


def count_of(at: Subject, kind: ArrayLine) -> int:
    """How many lines of a kind there are."""
    return at.description.rows if kind is ArrayLine.BIT_LINE else at.description.columns


def check_ends(at: Subject) -> list[Finding]:
    """Does each driver reach its own line, and no other?"""
    own = {kind: _far(at, kind, [(n, n) for n in range(count_of(at, kind))]) for kind in ArrayLine}
    if not any(lit.any() for lit in own.values()):
        return [_nothing_there()]
    plugs = _exchanged(at, own)
    if plugs:
        return plugs
    found = [one for kind, lit in own.items() for one in _dark(at, kind, np.flatnonzero(~lit))]
    return found + [one for kind in ArrayLine for one in _joined(at, kind, own[kind])]


def _nothing_there() -> Finding:
    return Finding(
        "absent",
        (),
        "no line of the array shows its drive at the far end: the socket is empty",
        "Put the chip in, close the socket and start again",
    )


def _exchanged(at: Subject, own: dict[ArrayLine, np.ndarray]) -> list[Finding]:
    """The plugs of bit and source lines, where neither reaches its own."""
    bit, source = ArrayLine.BIT_LINE, ArrayLine.SOURCE_LINE
    if own[bit].any() or own[source].any():
        return []
    few = [(n, n) for n in range(min(count_of(at, bit), count_of(at, source), 8))]
    if not _far(at, bit, few, probed=source).any():
        return []
    return [
        Finding(
            "reversed_polarity",
            (),
            "the drivers of the bit lines reach the source lines: the polarity is reversed",
            "Exchange the two plugs; every SET would act as a RESET",
        )
    ]


def _dark(at: Subject, kind: ArrayLine, lines: np.ndarray) -> list[Finding]:
    """What is the matter with lines whose drive does not arrive."""
    name = kind.name.lower()
    if lines.size > MOST_NAMED:
        return [
            Finding(
                f"unplugged_{name}",
                tuple(lines.tolist()),
                f"{lines.size} {_words(kind)}s show no drive at their far ends,"
                f" {lines[0]} is the first",
                "Check the connector of these lines and the chip's seat in the socket",
            )
        ]
    found: list[Finding] = []
    for line in lines.tolist():
        if not any(line in one.place for one in found):
            found.append(_one_dark(at, kind, line))
    return found


def _one_dark(at: Subject, kind: ArrayLine, line: int) -> Finding:
    name, words = kind.name.lower(), _words(kind)
    elsewhere = np.flatnonzero(_far(at, kind, [(line, n) for n in range(count_of(at, kind))]))
    if elsewhere.size:
        pair = tuple(sorted((line, int(elsewhere[0]))))
        return Finding(
            f"swapped_{name}",
            pair,
            f"{words}s {pair[0]} and {pair[1]} are swapped",
            "Correct the bonding or the pin map before anything is written through it",
        )
    near = _lit(at, [LineCheckRequestEntry(kind, line, LineProbe.NEAR, 0)])[0]
    if near:
        return Finding(
            f"open_{name}", (line,), f"{words} {line} is open: no drive at its far end", BOND
        )
    return Finding(
        f"grounded_{name}",
        (line,),
        f"{words} {line} is shorted to ground: its driver is pulled down",
        "Look for a bond that touches the ground ring; do not drive the line",
    )


def _joined(at: Subject, kind: ArrayLine, own: np.ndarray) -> list[Finding]:
    """Lines that raise their neighbour as well."""
    last = count_of(at, kind) - 1
    next_one = _far(at, kind, [(n, n + 1) for n in range(last)])
    both = np.flatnonzero(next_one & own[:last] & own[1:])
    return [
        Finding(
            f"bridged_{kind.name.lower()}",
            (n, n + 1),
            f"{_words(kind)}s {n} and {n + 1} are shorted to each other",
            "Look for touching bonds or a solder bridge between these two",
        )
        for n in both.tolist()
    ]


@dataclass(frozen=True, eq=False)
class Stages:
    """What belongs to the board in a column's reading: gain against the others, offset in codes."""

    gain: FloatArray
    offset: FloatArray


def read_stages(at: Subject) -> Stages | None:
    """Every column's stage by two reference resistors; None for a board that has none."""
    columns, references = list(range(at.description.columns)), at.description.references.ohms
    codes = []
    try:
        for resistor in (RESISTOR, HIGH_OHM):
            asked = ([resistor] * len(columns), STAGE_SAMPLES)
            got = at.board.read_reference(at.read_code, columns, *asked)
            codes.append(got.codes / STAGE_SAMPLES)
    except BoardError as error:
        if not not_known(error):
            raise
        return None
    low, high = (1.0 / references[resistor - 1] for resistor in (RESISTOR, HIGH_OHM))
    slope = (codes[0] - codes[1]) / (low - high)
    offset = codes[1] - slope * high
    return Stages(slope / np.median(slope), np.asarray(offset))


def read_map(at: Subject, stages: Stages | None = None) -> tuple[LineMap, FloatArray]:
    """Conductance of all cells of each line; and the mean codes, bit lines before columns.

    With `stages` the columns are as all stages were the median one, so that a chip is the same on
    another board.
    """
    rows, columns = at.description.rows, at.description.columns
    lines = [(ArrayLine.BIT_LINE, n) for n in range(rows)]
    lines += [(ArrayLine.SOURCE_LINE, n) for n in range(columns)]
    asked = [LineCheckRequestEntry(kind, n, LineProbe.CURRENT, 0) for kind, n in lines]
    passes = [at.board.line_check(at.read_code, asked, PASS_SAMPLES).codes for _ in range(2)]
    first, second = (codes / PASS_SAMPLES for codes in passes)
    codes, repeat = np.asarray((first + second) / 2.0), np.asarray((first - second) / 2.0)
    unit = _codes_per_siemens(at)
    down = codes[rows:] if stages is None else (codes[rows:] - stages.offset) / stages.gain
    line_map = LineMap(codes[:rows] / unit, down / unit, repeat[:rows] / unit, repeat[rows:] / unit)
    return line_map, codes


def check_cells(at: Subject, codes: FloatArray) -> tuple[list[Finding], str]:
    """Lines that reach none of their cells; and why this cannot be said, empty where it can."""
    rows, columns = at.description.rows, at.description.columns
    each = at.params.pristine_share * at.params.pristine_siemens * _codes_per_siemens(at)
    least = np.concatenate([np.full(rows, columns * each), np.full(columns, rows * each)])
    if float(least.min()) < FEWEST_CODES:
        return [], "too few cells on a line to see their leakage: dead rows are not looked for"
    dark = np.flatnonzero(codes < least).tolist()
    return [_dead("row", n) if n < rows else _dead("column", n - rows) for n in dark], ""


def _dead(word: str, line: int) -> Finding:
    return Finding(
        f"dead_{word}",
        (line,),
        f"{word} {line} is dead: its lines are whole, but its cells carry no current",
        f"Leave the {word} out of the placement, or use another chip",
    )


def _codes_per_siemens(at: Subject) -> float:
    scales = at.description.converters
    volts = at.read_code * scales.pulse_full_scale_volts / at.description.code_max
    return volts / scales.read_full_scale_amperes * at.description.code_max


def _far(
    at: Subject, kind: ArrayLine, pairs: list[tuple[int, int]], probed: ArrayLine | None = None
) -> np.ndarray:
    """Whether the far end of each pair's second line shows the drive of its first."""
    probe = _FAR[kind if probed is None else probed]
    return _lit(at, [LineCheckRequestEntry(kind, a, probe, b) for a, b in pairs])


def _lit(at: Subject, asked: list[LineCheckRequestEntry]) -> np.ndarray:
    full = at.description.converters.pulse_full_scale_volts
    wanted = round(at.params.line_volts / full * at.description.code_max)
    code = min(wanted, at.board.identity.read_code_max)
    means = at.board.line_check(code, asked, END_SAMPLES).codes / END_SAMPLES
    return np.asarray(means > 0.5 * code)


def _words(kind: ArrayLine) -> str:
    return kind.name.lower().replace("_", " ")
