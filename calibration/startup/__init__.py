"""Start-up checks: is the board sound, are the bonds whole, is this the chip that is expected?

In order, each stage only where the ones before it passed: ADC inputs at the reference ladder, every
bit of the DACs through the loop-back, mains pick-up and trans-impedance stages with reference
resistors, both ends of every line, the current of all cells of each line, the chip's map against
the last one on record; every cell on its own only where the lines do not say whose they are, or
have changed. All of that is at the read level and draws no read of a cell: it costs board time
alone. Last, with everything else in order, the array cut off and the board armed for a moment, the
upper bits of the line drivers' converters.
"""

from __future__ import annotations

from collections.abc import Callable

from calibration.front_end.dac import LINES
from calibration.startup import converters, identity, lines
from calibration.startup.chip_map import ChipMap
from calibration.startup.converters import Subject
from calibration.startup.findings import Finding, StartupParams, not_known
from calibration.startup.fingerprint import UNKNOWN
from calibration.startup.result import StartupResult, Talk
from drivers.rram.macro import Macro
from protocols.errors import BoardError
from protocols.hardware import BoardDescription
from protocols.messages import LoopSource, Operation

__all__ = ["ChipMap", "Finding", "StartupParams", "StartupResult", "check_startup"]

Stage = Callable[[], list[Finding]]


def check_startup(
    macro: Macro,
    description: BoardDescription,
    params: StartupParams | None = None,
    *,
    expected: ChipMap | None = None,
    chip: str = "",
) -> StartupResult:
    """Every stage until one finds a fault.

    Args:
        macro: the board; its curves do not matter.
        description: what it should be.
        params: None is the default.
        expected: the chip's map on record, None where there is none.
        chip: its id, for the message.

    Raises:
        SafetyError: the board is in a safe state, so that the upper bits cannot be tried out.
        LinkError: the line does not work.
    """
    at, talk = identity.subject(macro, description, params or StartupParams()), Talk()
    start_s = at.board.status().time_s
    stages: tuple[tuple[str, str, Stage], ...] = (
        ("inputs", "every ADC input follows the ladder", lambda: converters.check_inputs(at)),
        ("outputs", "every bit of the DACs turns", lambda: converters.check_dacs(at)),
        ("mains", "no hum at the read paths", lambda: converters.check_hum(at)),
        ("stages", "every column reads a resistor", lambda: converters.check_stages(at)),
        ("lines", "every driver reaches its own line", lambda: lines.check_ends(at)),
        ("cells", "every line reaches its cells", lambda: _cells(at, talk)),
        ("chip", "the map is this chip's", lambda: _identity(at, macro, talk, expected, chip)),
        ("upper bits", "of the lines' DACs, array cut off", lambda: _upper(at, macro, talk)),
    )
    found = _run(stages, talk)
    spent_s = at.board.status().time_s - start_s
    return StartupResult(tuple(found), talk.stages, tuple(talk.skipped), talk.identified, spent_s)


def _run(stages: tuple[tuple[str, str, Stage], ...], talk: Talk) -> list[Finding]:
    for name, sentence, stage in stages:
        said = len(talk.skipped)
        try:
            found = stage()
        except BoardError as error:
            if not not_known(error):
                raise
            talk.skipped.append(f"{name}: this board cannot do that ({error})")
            continue
        if found:
            talk.stages[name] = "; ".join(one.sentence for one in found)
            return found
        if len(talk.skipped) == said:
            talk.stages.setdefault(name, sentence)
    return []


def _cells(at: Subject, talk: Talk) -> list[Finding]:
    talk.line_map, codes = lines.read_map(at, lines.read_stages(at))
    found, trouble = lines.check_cells(at, codes)
    if trouble:
        talk.skipped.append(f"cells: {trouble}")
    return found


def _identity(
    at: Subject, macro: Macro, talk: Talk, expected: ChipMap | None, chip: str
) -> list[Finding]:
    if talk.line_map is None:
        talk.stages["chip"] = "not asked: there is no map of its lines"
        return []
    found = talk.identified = identity.judge(at, macro, talk.line_map, expected, chip)
    talk.stages["chip"] = found.sentence
    if found.verdict == UNKNOWN:
        talk.skipped.append(f"chip: cannot be told from another one: {found.sentence}")
    if found.skipped:
        talk.skipped.append(f"single cells: {found.skipped}")
    return list(found.findings)


def _upper(at: Subject, macro: Macro, talk: Talk) -> list[Finding]:
    """Bits that the limits of this bench keep from being used are left out."""
    allowed = _allowed(macro)
    tried = {source: converters.upper_bits(at, source, allowed[source]) for source in LINES}
    most = at.description.code_max
    if any(bits != converters.upper_bits(at, s, most) for s, bits in tried.items()):
        talk.skipped.append("upper bits: some are above the limits of this bench")
    with macro.armed(min(at.params.arm_s, macro.limits.bounds["arm_s"].value)):
        return converters.check_upper(at, tried)


def _allowed(macro: Macro) -> dict[LoopSource, int]:
    """The largest code that a pulse may give each line on this bench."""
    volts = {
        (kind, electrode): macro.limits.amplitude_volts(kind, electrode)
        for kind in Operation
        for electrode in ("gate", "line")
    }
    bit = max(volts[Operation.SET, "line"], volts[Operation.FORM, "line"])
    word = max(volts[kind, "gate"] for kind in Operation)
    return {
        LoopSource.BIT_LINE: int(macro.curves.bit_line.at_most(bit)),
        LoopSource.SOURCE_LINE: int(
            macro.curves.source_line.at_most(volts[Operation.RESET, "line"])
        ),
        LoopSource.WORD_LINE: int(macro.curves.word_line.at_most(word)),
    }
