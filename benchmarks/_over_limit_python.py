"""What a Python script may try with the drivers to get more out of a board than it should."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from benchmarks._limit_witness import Lowered, Witness
from drivers.board import Board
from drivers.link import Link
from drivers.rram.geometry import Cells, Geometry
from drivers.rram.limits import Bound, Limits
from drivers.rram.macro import Macro
from drivers.rram.pulses import PulseBatch
from drivers.transfer import Curves, Transfer
from hil.boards import OpenBoard
from protocols.errors import HilError
from protocols.hardware import load_board
from protocols.messages import Operation, PulseReadRequestEntry

READ_CODE = 163
DESCRIPTION = load_board("reference")
QUANTITIES = ("gate_volts", "line_volts", "width_s")
WEAK = {"gate_volts": 0.1, "line_volts": 0.1, "width_s": 2e-7}
_BAD = (float("nan"), float("inf"), -1.0)


class Session:
    """A board through the drivers, with its own limits and with lowered ones."""

    def __init__(self, opened: OpenBoard, witness: Witness, rng: random.Random) -> None:
        self.witness, self.rng = witness, rng
        self.link = Link(opened.stream, nonce=rng.getrandbits(31))
        self.link.open()
        self.board = Board(self.link)
        self.curves = Curves.nominal(DESCRIPTION)
        self.limits = Limits.of(DESCRIPTION.limits)
        self.macro = self.macro_with(self.limits)

    def macro_with(self, limits: Limits, curves: Curves | None = None) -> Macro:
        """A macro with these limits and curves."""
        geometry = Geometry(DESCRIPTION.rows, DESCRIPTION.columns)
        return Macro(self.board, geometry, curves or self.curves, limits)

    def begin(self) -> None:
        """A new session, nothing latched."""
        self.link.open()
        self.board.safe_clear(self.board.status().safe_reason)
        self.macro = self.macro_with(self.limits)
        self.witness.new_session(may_pulse=True)
        self.witness.allowance = None

    def cells(self, count: int) -> Cells:
        """Random cells."""
        return Cells.of([(self.rng.randrange(128), self.rng.randrange(128)) for _ in range(count)])

    def kind(self) -> Operation:
        """A random operation."""
        return Operation(self.rng.randrange(3))

    def batch(self, kind: Operation, count: int = 1, **values: object) -> PulseBatch:
        """A batch of weak pulses with some values replaced."""
        made = {**WEAK, **values}
        make = {Operation.SET: PulseBatch.set, Operation.RESET: PulseBatch.reset}
        return make.get(kind, PulseBatch.form)(self.cells(count), **made)  # type: ignore[arg-type]

    def over(self, bound: float) -> float:
        """Just over a bound, or far."""
        return bound * self.rng.choice((1.0 + 1e-6, 1.001, 1.1, 3.0, 1e3))

    def drive(self, macro: Macro, batch: PulseBatch) -> None:
        """Pulses from within an arming."""
        with macro.armed(10.0):
            macro.pulse_read(batch)


def over_in_a_batch(s: Session) -> None:
    """One value of one pulse of a batch is over its limit."""
    kind, name, count = s.kind(), s.rng.choice(QUANTITIES), s.rng.randint(1, 40)
    values = np.full(count, WEAK[name])
    values[s.rng.randrange(count)] = s.over(s.limits.bound(kind, name).value)
    s.drive(s.macro, s.batch(kind, count, **{name: values}))


def not_a_number(s: Session) -> None:
    """NaN, infinite and negative values."""
    s.drive(s.macro, s.batch(s.kind(), **{s.rng.choice(QUANTITIES): s.rng.choice(_BAD)}))


def one_pulse(s: Session) -> None:
    """`Macro.pulse`, which arms on its own."""
    kind, name = s.kind(), s.rng.choice(QUANTITIES)
    values = {**WEAK, name: s.over(s.limits.bound(kind, name).value)}
    s.macro.pulse(1, 2, kind, **values)


def changed_batch(s: Session) -> None:
    """A frozen batch whose arrays are exchanged behind its back."""
    kind, name = s.kind(), s.rng.choice(QUANTITIES)
    batch = s.batch(kind)
    object.__setattr__(batch, name, np.array([s.over(s.limits.bound(kind, name).value)]))
    s.drive(s.macro, batch)


def other_operation(s: Session) -> None:
    """A forming pulse that is relabelled."""
    batch = s.batch(Operation.FORM, line_volts=4.4)
    object.__setattr__(batch, "operation", np.array([s.rng.randrange(2)]))
    s.drive(s.macro, batch)


def limits_of_his_own(s: Session) -> None:
    """Limits made by hand: replaced, lifted, or those of another board."""
    high = {key: Bound(1e3 * bound.value, "me") for key, bound in s.limits.bounds.items()}
    way = s.rng.randrange(3)
    if way == 0:
        mine = replace(s.limits, bounds=high)
    elif way == 1:
        mine = replace(s.limits, bounds=high, hard=high)
    else:
        mine = s.limits.lowered({"set.line_volts": s.over(3.6)})
    kind = s.kind()
    name = s.rng.choice(QUANTITIES)
    s.drive(s.macro_with(mine), s.batch(kind, **{name: s.over(s.limits.bound(kind, name).value)}))


def exchanged_limits(s: Session) -> None:
    """The limits of a macro that is in use are exchanged."""
    high = {key: Bound(1e3 * bound.value, "me") for key, bound in s.limits.bounds.items()}
    s.macro.limits = replace(s.limits, bounds=high, hard=high)
    kind = s.kind()
    name = s.rng.choice(QUANTITIES)
    s.drive(s.macro, s.batch(kind, **{name: 1.2 * s.limits.bound(kind, name).value}))


def false_curves(s: Session) -> None:
    """Curves by which a high voltage looks like a low one."""
    line = Transfer(s.curves.bit_line.gain / 3, 0.0, 0, 4095, "V", down=True)
    curves = replace(s.curves, bit_line=line, source_line=line, word_line=line)
    macro = s.macro_with(s.limits, curves)
    values = {"gate_volts": s.rng.uniform(1.3, 1.6), "line_volts": s.rng.uniform(1.3, 1.6)}
    s.drive(macro, s.batch(s.kind(), **values))


def codes(s: Session) -> None:
    """`Board.pulse_read` with codes of one's own."""
    s.board.arm(10.0)
    entries = [
        PulseReadRequestEntry(
            s.rng.randrange(128), s.rng.randrange(128), s.rng.randrange(3),
            s.rng.randint(3650, 4095), s.rng.randrange(4096), s.rng.randint(1, 100_000),
        )
        for _ in range(s.rng.randint(1, 30))
    ]  # fmt: skip
    s.board.pulse_read(READ_CODE, entries)


def read_level(s: Session) -> None:
    """Reads at a voltage that could change a cell."""
    kind = s.rng.randrange(4)
    if kind == 0:
        s.board.read(s.rng.randint(359, 4095), [1], [2])
    elif kind == 1:
        s.board.multiply(1, 2, 3, np.array([[2048, s.rng.choice((229, 3867, 4095, 0))]]))
    elif kind == 2:
        s.macro.multiply(1, 2, 3, [[0.1, s.rng.choice((-1, 1)) * s.over(0.45)]])
    else:
        macro = s.macro_with(s.limits)
        macro._read_code = s.rng.randint(359, 4095)
        macro.read(s.cells(3))


def unarmed(s: Session) -> None:
    """Pulses without an arming, also of a macro that believes in one."""
    s.witness.may_pulse = False
    s.macro._armed = s.rng.randrange(2)
    s.macro.pulse_read(s.batch(s.kind(), 5))


def too_long(s: Session) -> None:
    """Armed for longer than allowed."""
    s.witness.may_pulse = False
    if s.rng.random() < 0.5:
        with s.macro.armed(s.over(600.0)):
            s.macro.pulse_read(s.batch(s.kind()))
    else:
        try:
            s.board.arm(s.over(600.0))
        except HilError:
            s.board.pulse_read(READ_CODE, [PulseReadRequestEntry(1, 1, 0, 60, 60, 10)])


def raised_on_the_board(s: Session) -> None:
    """`Board.limits_lower` upwards, then codes that need it."""
    kind, own = s.kind(), s.board.identity.limits
    now = own[kind]
    try:
        s.board.limits_lower(
            kind,
            gate_code_max=min(now.gate_code_max + s.rng.randint(1, 200), 4095),
            line_code_max=now.line_code_max,
            width_ticks_max=now.width_ticks_max * 2,
            pulses_per_cell_max=10_000,
            energy_max=now.energy_max * 2,
            arm_s_max=600.0,
        )
    except HilError:
        s.board.arm(10.0)
        code = now.gate_code_max + 1
        s.board.pulse_read(READ_CODE, [PulseReadRequestEntry(1, 1, kind, code, 60, 10)])


def _lowered(s: Session) -> tuple[Operation, Macro]:
    """A macro with lowered limits, which its board has heard of, and the witness too."""
    kind, rng = s.kind(), s.rng
    name, edge_s = kind.name.lower(), DESCRIPTION.limits.edge_s
    gate, line, width_s = rng.uniform(0.5, 2.5), rng.uniform(0.5, 3.5), rng.uniform(1e-7, 2e-5)
    energy = line**2 * DESCRIPTION.limits.cell_siemens * width_s * rng.uniform(0.2, 1.0)
    as_slew = rng.random() < 0.5
    values = {
        f"{name}.gate_volts": gate,
        f"{name}.line_volts_per_s" if as_slew else f"{name}.line_volts": (
            line / edge_s if as_slew else line
        ),
        f"{name}.width_s": width_s,
        f"{name}.energy_joules": energy,
        "pulses_per_cell": rng.randint(1, 6),
        "arm_s": rng.uniform(11.0, 100.0),
    }
    macro = s.macro_with(s.limits.lowered(values, "bench file"))
    macro.lower_board_limits()
    scales = DESCRIPTION.converters
    per_code, tick_s = scales.pulse_full_scale_volts / 4095, scales.width_tick_s
    most = energy / (DESCRIPTION.limits.cell_siemens * tick_s * per_code**2)
    s.witness.lowered[kind] = Lowered(
        int(gate / per_code + 1e-6),
        int(line / per_code + 1e-6),
        int(width_s / tick_s + 1e-6),
        int(values["pulses_per_cell"]),
        int(most * (1 + 1e-9)),
    )
    return kind, macro


def over_lowered(s: Session) -> None:
    """Over a bench's limits, through the macro: volts, width, slew, energy."""
    kind, macro = _lowered(s)
    bounds = {name: macro.limits.bound(kind, name).value for name in QUANTITIES}
    bounds["line_volts"] = macro.limits.amplitude_volts(kind, "line")
    joules = macro.limits.bound(kind, "energy_joules").value
    which = s.rng.randrange(4)
    values = dict(WEAK)
    if which < 3:
        name = QUANTITIES[which]
        values[name] = bounds[name] * s.rng.choice((1.002, 1.2))
    else:
        values["width_s"] = bounds["width_s"]
        per_volt = macro.limits.cell_siemens * bounds["width_s"]
        values["line_volts"] = min(1.02 * (joules / per_volt) ** 0.5, bounds["line_volts"])
    s.drive(macro, s.batch(kind, 3, **values))


def codes_over_lowered(s: Session) -> None:
    """The same behind the macro's back: codes, to a board that was told the bench's limits."""
    kind, _ = _lowered(s)
    low = s.witness.lowered[kind]
    s.board.arm(10.0)
    row, column = s.rng.randrange(128), s.rng.randrange(128)
    ticks = min(low.energy // low.line**2 + 2, low.width)
    choices = (
        [(low.gate + 1, 60, 1)],
        [(60, low.line + 1, 1)],
        [(60, 60, low.width + 1)],
        [(60, low.line, ticks)],
        [(60, 60, 1)] * (low.pulses + 1),
    )
    entries = [PulseReadRequestEntry(row, column, kind, *one) for one in s.rng.choice(choices)]
    s.board.pulse_read(READ_CODE, entries)


def pulses_of_a_cell(s: Session) -> None:
    """More pulses than a cell may have in a session, one batch after the other."""
    kind, macro = _lowered(s)
    cells = s.cells(1)
    with macro.armed(10.0):
        for _ in range(8):
            batch = s.batch(kind)
            object.__setattr__(batch, "cells", cells)
            macro.pulse_read(batch)


def raised_after_lowering(s: Session) -> None:
    """A second macro, with the board's own limits, on a board that was told lower ones."""
    kind, _ = _lowered(s)
    low = s.witness.lowered[kind]
    volts = (low.gate + 2) * DESCRIPTION.converters.pulse_full_scale_volts / 4095
    most = s.limits.bound(kind, "gate_volts").value
    s.macro.lower_board_limits()
    s.drive(s.macro, s.batch(kind, gate_volts=min(volts, most)))


PYTHON_TRICKS: dict[str, Callable[[Session], None]] = {
    "over in a batch": over_in_a_batch,
    "not a number": not_a_number,
    "one pulse": one_pulse,
    "changed batch": changed_batch,
    "other operation": other_operation,
    "limits of his own": limits_of_his_own,
    "exchanged limits": exchanged_limits,
    "false curves": false_curves,
    "codes": codes,
    "read level": read_level,
    "unarmed": unarmed,
    "armed for too long": too_long,
    "raised on the board": raised_on_the_board,
    "over a lowered limit": over_lowered,
    "codes over a lowered limit": codes_over_lowered,
    "pulses of a cell": pulses_of_a_cell,
    "raised after lowering": raised_after_lowering,
}
