"""Is nothing driven? The outputs of a board, told to be safe and then read back.

The DACs can be written but not read, so their outputs are looked at instead: each is put to its
safe code and led through the calibration line to an ADC input, with the array cut off; then the far
end of every line of the array is probed with its driver at zero. Last the board is asked whether it
is armed or at a run. Nothing but zero is driven.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from calibration.front_end.dac import LINES, loop_channels
from drivers.board import Board
from protocols.errors import InputError, UnconfirmedError
from protocols.hardware import BoardDescription
from protocols.messages import (
    AdcInput,
    ArrayLine,
    LineCheckRequestEntry,
    LineProbe,
    LoopSource,
    RunState,
)

FAR = {
    ArrayLine.BIT_LINE: LineProbe.FAR_BIT_LINE,
    ArrayLine.SOURCE_LINE: LineProbe.FAR_SOURCE_LINE,
    ArrayLine.WORD_LINE: LineProbe.FAR_WORD_LINE,
}


@dataclass(frozen=True)
class OutputParams:
    """What counts as zero; every default is this project's choice.

    Attributes:
        tolerance_codes: distance of a mean conversion from the safe code. Offsets of converters
            that were never calibrated are within a third of it.
        conversions: of each output, averaged.
    """

    tolerance_codes: float = 20.0
    conversions: int = 8

    def __post_init__(self) -> None:
        if not 0.0 < self.tolerance_codes <= 200.0 or not 1 <= self.conversions <= 64:
            raise InputError(
                "outputs: tolerance_codes has to be above 0 up to 200, conversions 1 to 64"
            )


@dataclass(frozen=True)
class Output:
    """One output: where it should stand and where it was found, in codes of the ADC."""

    name: str
    wanted: float
    found: float
    tolerance: float

    @property
    def safe(self) -> bool:
        """Whether it stands where it should."""
        return abs(self.found - self.wanted) <= self.tolerance


@dataclass(frozen=True)
class ReadBack:
    """What was found.

    Attributes:
        reason: why the board's outputs are at their safe values, by the board.
        armed_s: how long it is still armed.
        running: whether a run is in progress.
        outputs: DAC outputs and, kind by kind, the line that is farthest from zero.
    """

    reason: str
    armed_s: float
    running: bool
    outputs: tuple[Output, ...]

    @property
    def findings(self) -> tuple[str, ...]:
        """What is not safe, one sentence each."""
        found = [f"the board is armed for another {self.armed_s:g} s"] if self.armed_s else []
        found += ["a run is in progress"] if self.running else []
        return (*found, *(_sentence(one) for one in self.outputs if not one.safe))

    def require(self) -> None:
        """Nothing, if nothing is driven.

        Raises:
            UnconfirmedError: something is; every finding is named.
        """
        if self.findings:
            raise UnconfirmedError(
                f"the board was told to be safe and is not: {'; '.join(self.findings)}"
            )

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        outputs = [{**asdict(one), "safe": one.safe} for one in self.outputs]
        return {
            "reason": self.reason,
            "armed_s": self.armed_s,
            "running": self.running,
            "outputs": outputs,
            "findings": list(self.findings),
        }


def _sentence(output: Output) -> str:
    return f"{output.name} stands at code {output.found:.0f} instead of {output.wanted:.0f}"


def read_back(
    board: Board, description: BoardDescription, params: OutputParams | None = None
) -> ReadBack:
    """Every output at its safe value, as far as the board can see it.

    Args:
        board: with an open session; armed or not, it is disarmed before.
        description: what its codes mean.
        params: None is the default.

    Raises:
        BoardError: a run is in progress, or the board has no references.
        LinkError: the line does not work.
    """
    p = params or OutputParams()
    board.disarm()
    outputs = [_of_dac(board, description, source, p) for source in LINES]
    outputs += [_of_dac(board, description, source, p) for source in loop_channels(description)]
    outputs += [_of_lines(board, description, kind, p) for kind in ArrayLine]
    status = board.status()
    return ReadBack(
        reason=status.safe_reason.name.lower(),
        armed_s=status.armed_s,
        running=status.run_state is RunState.RUNNING,
        outputs=tuple(outputs),
    )


def _of_dac(
    board: Board, description: BoardDescription, source: LoopSource, p: OutputParams
) -> Output:
    line = source in LINES
    code = 0 if line else description.code_zero
    adc = AdcInput.READ if line else AdcInput.PROBE
    sums = board.loopback(source, adc, [code], p.conversions).codes
    name = f"DAC channel {source.name.lower()}"
    return Output(name, float(code), float(sums[0]) / p.conversions, p.tolerance_codes)


def _of_lines(
    board: Board, description: BoardDescription, kind: ArrayLine, p: OutputParams
) -> Output:
    """The line of a kind that stands farthest from ground, its own driver at zero."""
    count = description.rows if kind is ArrayLine.BIT_LINE else description.columns
    asked = [LineCheckRequestEntry(kind, n, FAR[kind], n) for n in range(count)]
    means = board.line_check(0, asked).codes
    worst = int(np.argmax(means))
    name = f"{kind.name.lower()} {worst}, the farthest from ground,"
    return Output(name, 0.0, float(means[worst]), p.tolerance_codes)
