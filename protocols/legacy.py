"""The text protocol of the firmware that the paper's authors published: lines out, replies in.

9600 baud, 8N1, ASCII, case-sensitive; a line ends in CR LF. There is no framing, no length, no
checksum, no acknowledgement and no error reply, and nothing can be read back. The firmware checks
neither digits nor length, so a line that is not exactly right is not refused: it sets something
else. Everything here therefore refuses what the firmware would misread.

| line       | sets                                                     | reply                   |
|------------|----------------------------------------------------------|-------------------------|
| `In<T><n>` | table T, noise off/on (n 0/1); powers the DACs up        | `Type:<T>`, `Start...`  |
| `Go`       | asks for one run                                         | empty, even if refused  |
| `Oaabb`    | offset 1, 2 = aa/100 - 0.5, bb/100 - 0.5                 | both, as `%f`           |
| `Cabc`     | coef = abc/100, ignored unless 0 < coef < 10             | the coef in force       |
| `Dk`       | v_bias 0.05, 0.1, 0.2 (k 0, 1, 2); acts at the next `In` | v_bias                  |
| `Nabc`     | noise scale = abc/100                                    | noise scale             |

Source: MCU_Project of github.com/yangjc97/memristor-sde-diffusion (main.c, usart.c).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from protocols.errors import InputError, MessageError
from protocols.legacy_tables import legacy_table

BAUD = 9600
BITS_PER_CHARACTER = 10  # 8N1
CHARACTER_S = BITS_PER_CHARACTER / BAUD
LINE_END = b"\r\n"

TICK_S = 5e-3  # TIM3: 84 MHz / 8400 / 50
POLL_S = 10e-3  # the main loop's pause between two looks at the line buffer
UPDATES = 241  # updates with t <= 1.2, followed by one closing tick
RUN_S = UPDATES * TICK_S
CAPTURE_UPDATE = 200  # the update with t = 1: where x is to be read
CAPTURE_S = CAPTURE_UPDATE * TICK_S
LOCKOUT_TICKS = 1001  # a start needs more than 1000 ticks since boot, last start or wrap
LOCKOUT_S = LOCKOUT_TICKS * TICK_S
WRAP_TICKS = 120_000  # the counter of those ticks starts anew
WRAP_S = WRAP_TICKS * TICK_S

V_BIASES = (0.05, 0.1, 0.2)
RESYNC = b"\r \r "
"""Empties the board's line buffer and executes nothing: a CR that is not followed by LF voids the
line. Twice, because the first CR may itself be the byte that voids one. (CR LF would not do: with
nothing before it, it makes the firmware execute its previous line again.)"""

_GRID = 1e-6  # a float is taken for a multiple of 0.01 within this


@dataclass(frozen=True)
class Command:
    """A line for the board and the reply that says that it was understood."""

    name: str
    line: bytes
    reply: bytes

    @property
    def duration_s(self) -> float:
        """Longest time from the first byte sent to the last byte of the reply, without a run."""
        return (len(self.line) + len(self.reply)) * CHARACTER_S + POLL_S


@dataclass(frozen=True)
class Reply:
    """What a reply says: `name` of the command, `values` in its order, `table` of an `In`."""

    name: str
    values: tuple[float, ...] = ()
    table: str = ""


@dataclass(frozen=True)
class LegacySettings:
    """Everything that can be set, with the values after a reset.

    Attributes:
        table: character of the coefficient table.
        noise_on: whether noise is added to the two offset words.
        v_bias: "V_bias" of the firmware; the embedding's scale is 5 * v_bias (not for table 4).
        coef: factor of the g2 word, 0.01 to 9.99 in steps of 0.01.
        noise_scale: factor of the noise, 0 to 9.99 in steps of 0.01.
        offset_1, offset_2: zero of the noise words, -0.50 to 0.49 of the half range, steps of 0.01.

    Raises:
        InputError: a value that the firmware cannot hold or would misread.
    """

    table: str = "0"
    noise_on: bool = False
    v_bias: float = 0.1
    coef: float = 1.0
    noise_scale: float = 1.0
    offset_1: float = 0.0
    offset_2: float = 0.0

    def __post_init__(self) -> None:
        legacy_table(self.table)
        self.commands()

    def commands(self) -> tuple[Command, ...]:
        """The lines that set all of this, in an order that works: `D` acts at the next `In`."""
        return (
            v_bias_command(self.v_bias),
            init_command(self.table, self.noise_on),
            coef_command(self.coef),
            noise_scale_command(self.noise_scale),
            offset_command(self.offset_1, self.offset_2),
        )


# --- lines ---------------------------------------------------------------------------------------


def init_command(table: str, noise_on: bool) -> Command:
    """`In`: choose a table, noise off or on, and power the DACs up.

    Raises:
        InputError: no such table.
    """
    legacy_table(table)
    line = f"In{table}{int(noise_on)}".encode()
    return Command("In", line + LINE_END, f"Type:{table}\tStart...\r\n".encode())


def go_command() -> Command:
    """`Go`: ask for one run. The reply says only that the line was read."""
    return Command("Go", b"Go" + LINE_END, LINE_END)


def offset_command(offset_1: float, offset_2: float) -> Command:
    """`O`: the zeros of the two noise words.

    Raises:
        InputError: outside -0.50 to 0.49, or between two steps of 0.01.
    """
    digits = [_hundredths("offset", value, -50, 49) + 50 for value in (offset_1, offset_2)]
    shown = [_printed(offset_value(d)) for d in digits]
    line = f"O{digits[0]:02d}{digits[1]:02d}".encode()
    return Command(
        "O", line + LINE_END, "Offset set1: {}\nOffset set2: {}\r\n".format(*shown).encode()
    )


def coef_command(coef: float) -> Command:
    """`C`: the factor of the g2 word.

    Raises:
        InputError: outside 0.01 to 9.99 (the firmware ignores 0 in silence), or between two steps.
    """
    digits = _hundredths("coef", coef, 1, 999)
    return Command(
        "C", f"C{digits:03d}\r\n".encode(), f"Coef: {_printed(scaled(digits))}\r\n".encode()
    )


def noise_scale_command(noise_scale: float) -> Command:
    """`N`: the factor of the noise.

    Raises:
        InputError: outside 0 to 9.99, or between two steps of 0.01.
    """
    digits = _hundredths("noise scale", noise_scale, 0, 999)
    reply = f"Noise Scale: {_printed(scaled(digits))}\r\n"
    return Command("N", f"N{digits:03d}\r\n".encode(), reply.encode())


def v_bias_command(v_bias: float) -> Command:
    """`D`: v_bias. It acts at the next `In` only, and never on table 4.

    Raises:
        InputError: not 0.05, 0.1 or 0.2 (the firmware ignores others in silence).
    """
    for key, value in enumerate(V_BIASES):
        if abs(v_bias - value) < _GRID:
            reply = f"V_bias and DAC coef: {_printed(np.float32(value))}\r\n"
            return Command("D", f"D{key}\r\n".encode(), reply.encode())
    raise InputError(f"v_bias {v_bias!r}: the published firmware knows 0.05, 0.1 and 0.2 only")


def scaled(digits: int) -> np.float32:
    """Hundredths as the firmware holds them: `digits * 0.01f`."""
    return np.float32(digits) * np.float32(0.01)


def offset_value(digits: int) -> np.float32:
    """An offset as the firmware holds it: `digits * 0.01f - 0.5f`."""
    return scaled(digits) - np.float32(0.5)


def _hundredths(what: str, value: float, low: int, high: int) -> int:
    if not np.isfinite(value) or not low / 100 - _GRID <= value <= high / 100 + _GRID:
        raise InputError(f"{what} {value!r}: allowed are {low / 100:.2f} to {high / 100:.2f}")
    digits = round(value * 100)
    if abs(value * 100 - digits) > 100 * _GRID:
        raise InputError(
            f"{what} {value!r}: the firmware has steps of 0.01; write {digits / 100:.2f}"
        )
    return digits


def _as_printed(told: float, meant: float) -> bool:
    """Whether two printed values differ by the last digit at most; steps are far larger."""
    return abs(told - meant) < 10 * _GRID


def _printed(value: np.float32) -> str:
    """As C's `%f` prints a float."""
    return f"{float(value):f}"


# --- replies -------------------------------------------------------------------------------------

_NUMBER = r"(-?[0-9]+\.[0-9]{6})"
_REPLIES = {
    "In": re.compile(r"Type:(.)\tStart\.\.\.\r\n", re.DOTALL),
    "Go": re.compile(r"\r\n"),
    "O": re.compile(rf"Offset set1: {_NUMBER}\nOffset set2: {_NUMBER}\r\n"),
    "C": re.compile(rf"Coef: {_NUMBER}\r\n"),
    "D": re.compile(rf"V_bias and DAC coef: {_NUMBER}\r\n"),
    "N": re.compile(rf"Noise Scale: {_NUMBER}\r\n"),
}


def parse_reply(reply: bytes) -> Reply:
    """What a whole reply says.

    Raises:
        MessageError: it is none of the firmware's replies.
    """
    text = reply.decode("latin-1")
    for name, pattern in _REPLIES.items():
        found = pattern.fullmatch(text)
        if found is not None and name == "In":
            return Reply(name, table=found[1])
        if found is not None:
            return Reply(name, tuple(float(value) for value in found.groups()))
    raise MessageError(f"{reply!r} is none of the replies of the published firmware")


def check_reply(command: Command, reply: bytes) -> None:
    """Compare a reply with the one that says that the command was understood.

    Raises:
        MessageError: another one; the text says what the board has in force instead, if it says so.
    """
    line = command.line.rstrip(LINE_END).decode()
    try:
        told = parse_reply(reply)
    except MessageError as error:
        raise MessageError(f"the answer to {line!r} was damaged: {error}") from error
    meant = parse_reply(command.reply)
    same = (told.name, told.table) == (meant.name, meant.table)
    if same and all(map(_as_printed, told.values, meant.values)):
        return
    raise MessageError(
        f"the board misread {line!r}: it answered {told.name} {told.table}{list(told.values)}"
        f" where {meant.name} {meant.table}{list(meant.values)} was meant; send it again"
    )
