"""The virtual front end: the physics of a board whose firmware runs elsewhere.

The firmware of a board of virtual time (shared library, process, emulated chip) asks for every
pulse, read and tick; here the chip, the array and the loop of the simulated board answer. The
transactions are those of firmware/ports/FRONT_END.md. The same requests give the same codes as
`SimBoard`, because the same objects work them out.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from enum import IntEnum, IntFlag
from typing import Any

import numpy as np

from hil.sim.back_doors import BackDoors
from hil.sim.chip import Chip
from hil.sim.config import SimSettings
from hil.sim.loop_network import LayerBlock, layer_sizes
from hil.sim.machine import Machine
from hil.sim.upsets import PowerLostError
from hil.sim.virtual_run import WORDS, VirtualRun
from protocols.errors import ConfigError, HilError, MessageError
from protocols.hardware import BoardDescription
from protocols.messages import Noise

VERSION = 2
HEAD = struct.Struct("<HBBQ")
_ANSWER = struct.Struct("<HHH")
FAILED = _ANSWER.pack(4, 1, 0)
"""What a board is told whose front end could not answer: fault 1, as if there were none."""

OFF_GRID_FAULT = 2
"""Fault of a batch with a pulse that the cells have no measured answer to; nothing is driven."""

_OPEN = struct.Struct("<HBBHH")
_OPENED = struct.Struct("<QQHH")
_PULSES = struct.Struct("<HH")
_READS = struct.Struct("<HBBHH")
_LOOPBACK = struct.Struct("<BBBBHH")
_PROBE = struct.Struct("<BBHH14H")
_RUN = struct.Struct("<HHHBBIQ")
_PRESET = struct.Struct("<IHH")
_TICKS = struct.Struct("<HHBBH")
_MULTIPLY = struct.Struct("<HHHHBBH")
_LAYER = struct.Struct("<HHHHBBHH")
_PULSE = np.dtype(
    [
        ("row", "<u2"),
        ("column", "<u2"),
        ("operation", "u1"),
        ("unused", "u1"),
        ("gate", "<u2"),
        ("line", "<u2"),
        ("width", "<u4"),
    ]
)
_REFERENCE = np.dtype([("column", "<u2"), ("resistor", "u1"), ("unused", "u1")])
_LINE = np.dtype([("driven", "u1"), ("probe", "u1"), ("line", "<u2"), ("probed", "<u2")])
_CELL = np.dtype([("row", "<u2"), ("column", "<u2")])


class Op(IntEnum):
    """What a transaction asks for."""

    OPEN = 0x01
    SAFE = 0x02
    INPUTS = 0x03
    TIME = 0x04
    PULSE_READ = 0x10
    READ = 0x11
    PROBE = 0x12
    LOOPBACK = 0x13
    REFERENCE = 0x14
    LINES = 0x15
    MULTIPLY = 0x16
    RUN = 0x20
    PRESET = 0x21
    TICKS = 0x22
    RUN_END = 0x23


class Inputs(IntFlag):
    """What the board senses with every response."""

    INTERLOCK_OPEN = 1
    LATE = 2


class _FaultError(HilError):
    """A transaction that is answered with a fault; it never leaves this module."""

    def __init__(self, number: int) -> None:
        super().__init__(f"fault {number}")
        self.number = number


class VirtualFrontEnd(BackDoors):
    """A simulated chip, array and loop behind the transactions of a board of virtual time.

    Attributes:
        inputs: what the board senses.
        ticks_per_transaction: how many ticks the board is asked to send at once; 1 is lock-step,
            0 as many as it can keep. Counts from the next power-up on.
        transactions: how many were answered.
    """

    def __init__(self, description: BoardDescription, settings: SimSettings, chip: Chip) -> None:
        super().__init__(Machine(description, settings, chip))
        self.inputs = Inputs(0)
        self.ticks_per_transaction = 0
        self.transactions = 0
        self.safe = 0  # how often every output was made safe
        self._planted_fault = 0
        self._power_up_ns = chip.now_ns
        self._run: VirtualRun | None = None
        self._operations: dict[Op, Callable[[bytes], bytes]] = {
            Op.OPEN: self._open,
            Op.SAFE: self._make_safe,
            Op.INPUTS: _nothing,
            Op.TIME: _nothing,
            Op.PULSE_READ: self._pulse_read,
            Op.READ: self._read,
            Op.PROBE: self._probe,
            Op.LOOPBACK: self._loopback,
            Op.REFERENCE: self._reference,
            Op.LINES: self._lines,
            Op.MULTIPLY: self._multiply,
            Op.RUN: self._run_begin,
            Op.PRESET: self._preset,
            Op.TICKS: self._ticks,
            Op.RUN_END: self._run_end,
        }

    def answer(self, request: bytes) -> bytes:
        """One transaction: the whole request in, the whole response out.

        Raises:
            MessageError: bytes that are no transaction; the firmware is not of this checkout.
            ConfigError: the firmware was built for another board than the one described.
        PowerLostError: the board is without power (`hil/sim/upsets.py`).
        """
        op, time_ns, body = _taken_apart(request)
        self.transactions += 1
        supply = self.machine.front_end.supply
        if op is Op.OPEN:
            supply.lost = False
            self._power_up_ns = self.chip.now_ns - time_ns
        if supply.lost:
            raise PowerLostError
        self._pass_time(time_ns)
        if op is Op.PULSE_READ and self._planted_fault:
            fault, self._planted_fault = self._planted_fault, 0
            return _ANSWER.pack(4, fault, self.inputs)
        try:
            out = self._operations[op](body)
        except _FaultError as error:
            return _ANSWER.pack(4, error.number, self.inputs)
        return _ANSWER.pack(4 + len(out), 0, self.inputs) + out

    # --- back doors ------------------------------------------------------------------------------

    def open_interlock(self) -> None:
        """As if somebody had opened the cover; the board sees it before its next request."""
        self.inputs |= Inputs.INTERLOCK_OPEN

    def close_interlock(self) -> None:
        """Close the cover again; the board keeps the reason latched."""
        self.inputs &= ~Inputs.INTERLOCK_OPEN

    def plant_fault(self, detail: int) -> None:
        """Let the next batch of pulses report a fault instead of being driven."""
        self._planted_fault = detail

    def _take_back(self, duration_ns: int) -> None:
        super()._take_back(duration_ns)
        self._power_up_ns -= duration_ns

    def _hold_clock(self, duration_ns: int) -> None:
        super()._hold_clock(duration_ns)
        self._power_up_ns += duration_ns

    # --- time, safety ----------------------------------------------------------------------------

    def _pass_time(self, time_ns: int) -> None:
        """The board owns time: bring the chip to it."""
        ahead_ns = self.chip.now_ns - self._power_up_ns - time_ns
        if ahead_ns > 0:
            raise ConfigError(
                f"the board's clock is {ahead_ns} ns behind its chip's: the firmware was built "
                f"with other times than board {self.machine.description.name!r} has; generate its "
                "header from that description and build it again"
            )
        self.chip.advance_ns(-ahead_ns)

    def _open(self, body: bytes) -> bytes:
        version, _, _, rows, columns = _fields(_OPEN, body)
        description = self.machine.description
        if version != VERSION:
            raise MessageError(
                f"the firmware speaks version {version} of the front end, this is {VERSION}; build "
                "firmware and host from one checkout"
            )
        if (rows, columns) != (description.rows, description.columns):
            raise ConfigError(
                f"the firmware was built for an array of {rows} x {columns}, board "
                f"{description.name!r} has {description.rows} x {description.columns}; name the "
                "description that it was built from, or build it from this one"
            )
        self._run = None
        serial = self.machine.settings.board_seed
        return _OPENED.pack(serial, self.chip.now_ns, self.ticks_per_transaction, 0)

    def _make_safe(self, body: bytes) -> bytes:
        self.safe += 1
        return _nothing(body)

    # --- the array -------------------------------------------------------------------------------

    def _pulse_read(self, body: bytes) -> bytes:
        read_code, count = _fields(_PULSES, body)
        e = _records(_PULSE, body, _PULSES.size, count)
        index = self._cells(e)
        parts = [e[name].astype(np.int64) for name in ("operation", "gate", "line", "width")]
        if self.machine.front_end.off_grid(parts[0], parts[1], parts[2], parts[3]) is not None:
            raise _FaultError(OFF_GRID_FAULT)
        codes = self.machine.front_end.pulse_read(
            index, parts[0], parts[1], parts[2], parts[3], read_code
        )
        return codes.astype("<u2").tobytes()

    def _read(self, body: bytes) -> bytes:
        read_code, samples, _, count, _ = _fields(_READS, body)
        index = self._cells(_records(_CELL, body, _READS.size, count))
        return self.machine.front_end.read(index, read_code, samples).astype("<u4").tobytes()

    def _loopback(self, body: bytes) -> bytes:
        source, destination, samples, _, count, _ = _fields(_LOOPBACK, body)
        codes = _records(np.dtype("<u2"), body, _LOOPBACK.size, count).astype(np.int64)
        path = self.machine.front_end.calibration
        return path.loopback(source, destination, codes, samples).astype("<u4").tobytes()

    def _reference(self, body: bytes) -> bytes:
        read_code, samples, _, count, _ = _fields(_READS, body)
        e = _records(_REFERENCE, body, _READS.size, count)
        columns, resistors = e["column"].astype(np.int64), e["resistor"].astype(np.int64)
        sums = self.machine.front_end.calibration.read_reference(
            columns, resistors, read_code, samples
        )
        return sums.astype("<u4").tobytes()

    def _lines(self, body: bytes) -> bytes:
        read_code, samples, _, count, _ = _fields(_READS, body)
        e = _records(_LINE, body, _READS.size, count)
        parts = [e[name].astype(np.int64) for name in ("driven", "line", "probe", "probed")]
        asked = np.stack(parts, axis=1)
        sums = self.machine.front_end.lines.check(asked, read_code, samples)
        return sums.astype("<u4").tobytes()

    def _multiply(self, body: bytes) -> bytes:
        row, column, inputs, columns, scale, samples, vectors = _fields(_MULTIPLY, body)
        codes = _records(np.dtype("<u2"), body, _MULTIPLY.size, vectors * inputs).astype(np.int64)
        array = self.machine.array
        if row + inputs > array.rows or column + columns > array.columns:
            raise MessageError(
                f"the firmware asks for a block outside the array of {array.rows} x {array.columns}"
            )
        sums = self.machine.front_end.products.multiply(
            (row, column), columns, codes.reshape(vectors, inputs), scale, samples
        )
        return sums.astype("<u2").tobytes()

    def _cells(self, entries: Any) -> Any:
        array = self.machine.array
        rows, columns = entries["row"].astype(np.int64), entries["column"].astype(np.int64)
        if (rows >= array.rows).any() or (columns >= array.columns).any():
            raise MessageError(
                f"the firmware asks for a cell outside the array of {array.rows} x {array.columns}"
            )
        return array.flat(rows, columns)

    # --- the loop --------------------------------------------------------------------------------

    def _probe(self, body: bytes) -> bytes:
        samples, _, x0, x1, *embedding = _fields(_PROBE, body)
        words = np.full((1, WORDS), self.machine.description.code_zero)
        words[0, -len(embedding) :] = embedding
        machine = self.machine
        sums = machine.loop.probe(
            self._blocks(body, _PROBE.size),
            VirtualRun.waves(words, machine.description.loop.tick_s),
            0,
            np.array([x0, x1]),
            samples=samples,
            number=machine.chip.count("probes"),
            now_s=machine.chip.now_s,
        )
        return sums.astype("<u4").tobytes()

    def _run_begin(self, body: bytes) -> bytes:
        _, _, capture_tick, noise, _, tick_us, _ = _fields(_RUN, body)
        machine, shortest_us = self.machine, self.machine.settings.tick_us_min
        if tick_us < shortest_us:
            raise ConfigError(
                f"ticks of {tick_us} us are shorter than the simulated converters can follow "
                f"({shortest_us} us); use longer ticks, or lower sim.tick_us_min together with "
                "sim.word_update_s"
            )
        own = noise == Noise.HARDWARE
        seed = machine.loop.hardware_seed(machine.chip.count("runs")) if own else 0
        blocks = self._blocks(body, _RUN.size)
        self._run = VirtualRun(machine, blocks, capture_tick, tick_us * 1e-6)
        return seed.to_bytes(8, "little")

    def _preset(self, body: bytes) -> bytes:
        trajectory, x0, x1 = _fields(_PRESET, body)
        self._running().preset(trajectory, (x0, x1))
        return b""

    def _ticks(self, body: bytes) -> bytes:
        first, count, convert, _, _ = _fields(_TICKS, body)
        words = _records(np.dtype("<u2"), body, _TICKS.size, count * WORDS)
        run = self._running()
        run.advance(first, words.reshape(-1, WORDS))
        return run.convert().astype("<u2").tobytes() if convert else b""

    def _run_end(self, body: bytes) -> bytes:
        self._run = None
        return _nothing(body)

    def _running(self) -> VirtualRun:
        if self._run is None:
            raise MessageError("the firmware drives ticks without a run")
        return self._run

    def _blocks(self, body: bytes, offset: int) -> Sequence[LayerBlock]:
        scales, array = self.machine.description.converters, self.machine.array
        sizes = layer_sizes(self.machine.description.loop.hidden_width)
        if len(body) != offset + len(sizes) * _LAYER.size:
            raise MessageError(f"{len(body)} bytes are no layers of a front end's transaction")
        blocks = [
            LayerBlock(
                first_row=row,
                first_column=column,
                inputs=inputs,
                outputs=outputs,
                differential=bool(differential),
                feedback_ohm=feedback * scales.feedback_ohm_per_code,
                reference_siemens=reference * scales.reference_siemens_per_code,
            )
            for row, column, inputs, outputs, differential, _, feedback, reference in (
                _LAYER.iter_unpack(body[offset:])
            )
        ]
        for block, size in zip(blocks, sizes, strict=True):
            fits = block.first_row + block.inputs <= array.rows
            fits = fits and block.first_column + block.columns <= array.columns
            if (block.inputs, block.outputs) != size or not fits:
                raise MessageError(f"the firmware connects {block}, which this loop cannot have")
        return blocks


def _taken_apart(request: bytes) -> tuple[Op, int, bytes]:
    """Operation, board time in nanoseconds and body of a request."""
    if len(request) < HEAD.size:
        raise MessageError(f"{len(request)} bytes are no transaction of a front end")
    length, op, _, time_ns = HEAD.unpack_from(request)
    if length != len(request) - 2:
        raise MessageError(f"a transaction says {length} bytes and has {len(request) - 2}")
    try:
        return Op(op), time_ns, request[HEAD.size :]
    except ValueError as error:
        raise MessageError(
            f"the firmware asks for operation {op:#04x}, which a front end does not have; build "
            "firmware and host from one checkout"
        ) from error


def _nothing(body: bytes) -> bytes:
    """The answer to what only tells the time."""
    if body:
        raise MessageError(f"a transaction without fields came with {len(body)} bytes")
    return b""


def _fields(layout: struct.Struct, body: bytes) -> tuple[int, ...]:
    """The fields that a body begins with."""
    if len(body) < layout.size:
        raise MessageError(f"a transaction's body has {len(body)} bytes, {layout.size} are needed")
    return layout.unpack_from(body)


def _records(dtype: np.dtype[Any], body: bytes, offset: int, count: int) -> Any:
    """The records that follow the fields, all of them."""
    if len(body) != offset + count * dtype.itemsize:
        raise MessageError(f"a transaction's body has {len(body)} bytes for {count} records")
    return np.frombuffer(body, dtype, count, offset)
