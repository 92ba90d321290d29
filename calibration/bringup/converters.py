"""Stage 2, converters: every DAC and ADC channel through the loop-back.

First what is broken, by the bits and gains of the start-up checks; where DAC channels do not
follow their codes and there is an oscilloscope, it is put to the outputs that may have been taken
for each other. Then the curve of every channel, by the routines of `hil calibrate`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from calibration.bringup.probing import moves
from calibration.bringup.stage import Figure, Needs, Rig, Stage, StageResult
from calibration.front_end import FrontEndParams, adc, dac
from calibration.front_end.channel import ChannelResult
from calibration.front_end.dac import LINES
from calibration.startup import Finding, StartupParams, converters
from calibration.startup.converters import Subject
from drivers.curves import MeasuredCurves
from protocols.errors import CalibrationError, InputError
from protocols.messages import LoopSource

PARTS = 5


@dataclass(frozen=True)
class ConvertersParams:
    """Limits of a channel; every default is this project's choice.

    Attributes:
        gain: largest relative deviation.
        offset_codes: largest, at the channel's zero.
        nonlinearity_codes: largest deviation of the curve from a straight line.
        residual_codes: largest root mean square of what the curve leaves.
        checks: bounds of the start-up checks that come first.
        front_end: effort of the curves.
    """

    gain: float = 0.02
    offset_codes: float = 20.0
    nonlinearity_codes: float = 6.0
    residual_codes: float = 1.5
    checks: StartupParams = field(default_factory=StartupParams)
    front_end: FrontEndParams = field(default_factory=lambda: FrontEndParams(rounds_max=4))

    def __post_init__(self) -> None:
        for name in ("gain", "offset_codes", "nonlinearity_codes", "residual_codes"):
            if not 0.0 < getattr(self, name) < float("inf"):
                raise InputError(f"bring-up, converters: {name} has to be positive")


def run(rig: Rig, params: ConvertersParams) -> StageResult:
    """Broken channels first; the curves of all of them if there is none."""
    rig.progress(0, PARTS, "converters: what follows its codes")
    at = subject(rig, params.checks)
    broken = converters.check_inputs(at) or converters.check_dacs(at)
    if broken:
        dead = [f"{one}" for one in _dead(broken)]
        return StageResult(STAGE.name, findings=_named(rig, broken), data={"dead": dead})
    try:
        adcs, dacs = _measured(rig, params)
    except CalibrationError as error:
        return StageResult(STAGE.name, findings=(_broken(error),))
    by = {kind: {n: one.curve for n, one in found.items()} for kind, found in
          (("adcs", adcs), ("dacs", dacs))}  # fmt: skip
    ladder = rig.description.references.ladder_tolerance
    curves = MeasuredCurves(by["dacs"], by["adcs"], None, ladder)
    figures = [f for n, one in adcs.items() for f in _figures(f"ADC input {n}", one, params)]
    figures += [f for n, one in dacs.items() for f in _figures(f"DAC channel {n}", one, params)]
    data = {
        "curves": curves.to_dict(),
        "adcs": {name: one.to_dict() for name, one in adcs.items()},
        "dacs": {name: one.to_dict() for name, one in dacs.items()},
    }
    rig.progress(PARTS, PARTS, "converters: done")
    return StageResult(STAGE.name, tuple(figures), data=data)


def subject(rig: Rig, checks: StartupParams) -> Subject:
    """The board as the start-up checks take it."""
    macro, description = rig.macro, rig.description
    wanted = macro.read_volts / description.converters.pulse_full_scale_volts
    code = min(round(wanted * description.code_max), rig.board.identity.read_code_max)
    return Subject(rig.board, description, checks, code)


def _measured(
    rig: Rig, params: ConvertersParams
) -> tuple[Mapping[str, ChannelResult], Mapping[str, ChannelResult]]:
    """ADC inputs by the ladder, then DAC channels by the inputs; the array is cut off."""
    board, description, effort = rig.board, rig.description, params.front_end
    rig.progress(1, PARTS, "converters: ADC inputs against the ladder")
    adcs = adc.run(board, description, effort)
    by = {name: one.curve for name, one in adcs.items()}
    rig.progress(2, PARTS, "converters: DAC channels of the loop")
    loop = dac.run(board, description, by, dac.loop_channels(description), effort)
    rig.progress(3, PARTS, "converters: lines of the array, cut off from it")
    with rig.macro.armed(min(effort.arm_s, rig.macro.limits.bounds["arm_s"].value)):
        lines = dac.run(board, description, by, LINES, effort)
    return adcs, {**lines, **loop}


def _figures(name: str, one: ChannelResult, params: ConvertersParams) -> list[Figure]:
    what = f"Check {name}: its reference voltage, its amplifier and its solder joints"
    gain, offset = params.gain, params.offset_codes
    return [
        Figure(f"gain of {name}", one.gain, "", 1.0 - gain, 1.0 + gain, what),
        Figure(f"offset of {name}", one.offset_codes, "codes", -offset, offset, what),
        Figure(
            f"non-linearity of {name}", one.nonlinearity_codes, "codes", 0.0,
            params.nonlinearity_codes, what,
        ),
        Figure(
            f"residual of {name}", one.residual_codes, "codes", 0.0, params.residual_codes, what
        ),
    ]  # fmt: skip


def _broken(error: CalibrationError) -> Finding:
    sentence, _, remedy = str(error).partition(". ")
    return Finding("channel", (), sentence, remedy.rstrip(".") or "hil calibrate says more")


# --- channels that were taken for each other ------------------------------------------------------


def _dead(findings: list[Finding]) -> list[str]:
    return [str(one.place[0]) for one in findings if one.fault == "dead_channel"]


def _named(rig: Rig, broken: list[Finding]) -> tuple[Finding, ...]:
    """Dead channels whose codes come out at another's pin are swapped, not dead."""
    dead = _dead(broken)
    if len(dead) < 2 or rig.instruments.scope is None:
        return tuple(broken)
    pairs = _pairs(rig, dead)
    swapped = {name for pair in pairs for name in pair}
    rest = [one for one in broken if not (one.place and one.place[0] in swapped)]
    return (*(_swapped(pair) for pair in pairs), *rest)


def _pairs(rig: Rig, dead: list[str]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for at, name in enumerate(dead):
        if any(name in pair for pair in found):
            continue
        other = next((o for o in dead[at + 1 :] if _comes_out(rig, name, o)), None)
        if other is not None:
            found.append((name, other))
    return found


def _comes_out(rig: Rig, name: str, pin: str) -> bool:
    """Whether codes of one channel come out at another's pin."""
    return moves(rig, LoopSource[name.upper()], f"dac:{pin}")


def _swapped(pair: tuple[str, str]) -> Finding:
    return Finding(
        "dac_swapped",
        pair,
        f"DAC channels {pair[0]} and {pair[1]} are swapped: the codes of one come out at the pin of"
        " the other",
        "Compare the channel numbers of the pin table with the wiring, and correct one of them",
    )


STAGE = Stage(
    name="converters",
    title="every DAC and ADC channel by loop-back",
    needs=Needs(fixture="resistor board"),
    params=ConvertersParams,
    run=run,
    plan="steps every DAC channel through its range, with the array cut off",
)
