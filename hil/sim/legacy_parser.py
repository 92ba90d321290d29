"""What the published firmware's main loop makes of a line, unchecked as it is.

Arithmetic is in single precision, as in the firmware. Characters count as their code less 48,
whatever they are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hil.sim.legacy_faults import LegacyFaults
from protocols.legacy_tables import LegacyTable, legacy_tables

F32 = NDArray[np.float32]

_HUNDREDTH, _HALF = np.float32(0.01), np.float32(0.5)
_V_BIAS = {b"0": 0.05, b"1": 0.1, b"2": 0.2}
_STRICT_LENGTH = {b"I": 4, b"G": 2, b"O": 5, b"C": 4, b"D": 2, b"N": 4}
_DIGITS = {b"O": (1, 5), b"C": (1, 4), b"N": (1, 4)}


class Variables:
    """The firmware's globals, with their values after a reset."""

    def __init__(self) -> None:
        self.v_bias = np.float32(0.1)
        self.offset_1 = self.offset_2 = np.float32(0.0)
        self.coef = self.noise_scale = np.float32(1.0)
        self.noise_on = False
        self.go = False
        self.load(legacy_tables()["0"])

    def load(self, table: LegacyTable) -> None:
        """What `In` does with a table that it knows."""
        fixed = table.scale
        self.scale = self.v_bias * np.float32(5) if fixed is None else np.float32(fixed)
        self.frequencies = np.array(table.frequencies, np.float32)
        self.class_offsets = np.array(table.class_offsets, np.float32)


@dataclass(frozen=True)
class Outcome:
    """What a line leads to: the reply, and for `In` the rest, which comes after the reply."""

    reply: bytes = b""
    power_up: bool = False


def execute(line: bytes, length: int, variables: Variables, faults: LegacyFaults) -> Outcome:
    """Act on the line buffer; `length` is how many bytes of it the last line wrote."""
    if not faults.stale_buffer and length == 0:
        return Outcome()
    if not faults.prefix_match and length != _STRICT_LENGTH.get(line[:1], -1):
        return Outcome()
    digits = _DIGITS.get(line[:1])
    if (
        not faults.unchecked_digits
        and digits
        and not re.fullmatch(rb"[0-9]+", line[slice(*digits)])
    ):
        return Outcome()
    if line[:2] == b"In":
        return Outcome(b"Type:" + line[2:3] + b"\tStart...\r\n", power_up=True)
    if line[:2] == b"Go":
        variables.go = True
        return Outcome(b"\r\n")
    action = _ACTIONS.get(line[:1])
    return Outcome() if action is None else Outcome(action(line, variables).encode())


def finish_init(line: bytes, variables: Variables) -> None:
    """The rest of `In`, after its reply: unknown tables and noise flags change nothing."""
    table = legacy_tables().get(line[2:3].decode("latin-1"))
    if table is not None:
        variables.load(table)
    if line[3:4] in (b"0", b"1"):
        variables.noise_on = line[3:4] == b"1"


def _number(line: bytes, start: int, count: int) -> np.float32:
    value = 0
    for byte in line[start : start + count]:
        value = 10 * value + byte - 48
    return np.float32(value) * _HUNDREDTH


def _offsets(line: bytes, variables: Variables) -> str:
    variables.offset_1 = _number(line, 1, 2) - _HALF
    variables.offset_2 = _number(line, 3, 2) - _HALF
    return f"Offset set1: {variables.offset_1:f}\nOffset set2: {variables.offset_2:f}\r\n"


def _coef(line: bytes, variables: Variables) -> str:
    asked = _number(line, 1, 3)
    if 0 < asked < 10:
        variables.coef = asked
    return f"Coef: {variables.coef:f}\r\n"


def _v_bias(line: bytes, variables: Variables) -> str:
    variables.v_bias = np.float32(_V_BIAS.get(line[1:2], variables.v_bias))
    return f"V_bias and DAC coef: {variables.v_bias:f}\r\n"


def _noise_scale(line: bytes, variables: Variables) -> str:
    variables.noise_scale = _number(line, 1, 3)
    return f"Noise Scale: {variables.noise_scale:f}\r\n"


_ACTIONS = {b"O": _offsets, b"C": _coef, b"D": _v_bias, b"N": _noise_scale}


class Keys:
    """The two keys of the front panel, looked at once per round of the main loop.

    The first switches the noise on at the second look that finds it down; the second switches it
    off when it is let go after at least four looks.
    """

    def __init__(self) -> None:
        self._presses: list[tuple[int, int, int]] = []  # from, until, 1 or 2
        self._seen = 0
        self._looks = 0
        self._last = 0

    @property
    def busy(self) -> bool:
        """Whether a key is or will be down, or was not yet seen let go."""
        return bool(self._presses) or self._looks > 0 or self._seen > 0

    def press(self, key: int, start_ns: int, until_ns: int) -> None:
        """Hold `key` (1 or 2) down."""
        self._presses.append((start_ns, until_ns, key))

    def look(self, now_ns: int, variables: Variables) -> None:
        """One look of the main loop."""
        self._presses = [press for press in self._presses if press[1] > now_ns]
        down = [key for start, _, key in self._presses if start <= now_ns]
        if not down:
            if self._looks > 2 and self._last == 2:
                variables.noise_on = False
            self._seen = self._looks = 0
            return
        self._last = min(down)
        if self._last != self._seen:
            self._seen, self._looks = self._last, 0
            return
        self._looks += 1
        if self._looks == 1 and self._last == 1:
            variables.noise_on = True
