"""One function per message: what is converted at the read level, and loop-backs.

All of it is allowed unarmed and in the safe state; a loop-back of more than that is not.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hil.sim.handlers import Handler, check_geometry, check_read_code, check_span
from hil.sim.machine import Machine
from hil.sim.refusal import RefusedError
from protocols import messages as m
from protocols.codec import Message
from protocols.hardware import LADDER_STEPS


def read(machine: Machine, request: m.ReadRequest) -> m.ReadResponse:
    """Read cells; allowed unarmed and in the safe state."""
    machine.runs.require_idle()
    entries = request.entries
    _check_room(machine, request, m.ReadResponse)
    check_read_code(machine, request.read_code)
    check_geometry(machine, entries)
    cells = np.array([(e.row, e.column) for e in entries], np.int64).reshape(-1, 2)
    index = machine.array.flat(cells[:, 0], cells[:, 1])
    sums = machine.front_end.read(index, request.read_code, request.samples)
    machine.reads += len(entries) * request.samples
    return m.ReadResponse(machine.time_us, tuple(m.ReadResponseEntry(s) for s in sums.tolist()))


def loopback(machine: Machine, request: m.LoopbackRequest) -> m.LoopbackResponse:
    """Convert a DAC's output; allowed unarmed and in the safe state up to the read level."""
    machine.runs.require_idle()
    _check_room(machine, request, m.LoopbackResponse)
    limit = machine.limits.loopback_max(request.source)
    for number, entry in enumerate(request.entries):
        if request.source == m.LoopSource.REFERENCE and entry.code > LADDER_STEPS:
            raise RefusedError("out_of_range", 0, number, entry.code, 0, LADDER_STEPS)
        if limit is not None and entry.code > limit:
            raise RefusedError("over_limit", 0, number, entry.code, limit)
    codes = np.array([entry.code for entry in request.entries], np.int64)
    path = machine.front_end.calibration
    if limit is not None and codes.max(initial=0) > machine.limits.read_code_max:
        machine.safety.require_safe_to_drive()
        lasting_ns = path.duration_ns(codes.size, request.samples)
        machine.safety.require_armed(machine.chip.now_ns, lasting_ns)
    sums = path.loopback(request.source, request.destination, codes, request.samples)
    return m.LoopbackResponse(
        machine.time_us, tuple(m.LoopbackResponseEntry(s) for s in sums.tolist())
    )


def read_reference(machine: Machine, request: m.ReadReferenceRequest) -> m.ReadReferenceResponse:
    """Read reference resistors in place of cells; allowed unarmed and in the safe state."""
    machine.runs.require_idle()
    _check_room(machine, request, m.ReadReferenceResponse)
    check_read_code(machine, request.read_code)
    last = machine.description.columns - 1
    for number, entry in enumerate(request.entries):
        if entry.column > last:
            raise RefusedError("out_of_range", 0, number, entry.column, 0, last)
    asked = np.array([(e.column, e.resistor) for e in request.entries], np.int64).reshape(-1, 2)
    sums = machine.front_end.calibration.read_reference(
        asked[:, 0], asked[:, 1], request.read_code, request.samples
    )
    return m.ReadReferenceResponse(
        machine.time_us, tuple(m.ReadReferenceResponseEntry(s) for s in sums.tolist())
    )


def line_check(machine: Machine, request: m.LineCheckRequest) -> m.LineCheckResponse:
    """Drive lines at the read level; allowed unarmed and in the safe state."""
    machine.runs.require_idle()
    _check_room(machine, request, m.LineCheckResponse)
    check_read_code(machine, request.read_code)
    gate_max = machine.hard_limits.of_operation(m.Operation.SET).gate_max
    for number, entry in enumerate(request.entries):
        _check_line(machine, 1, number, entry.driven, entry.line)
        if entry.probe <= m.LineProbe.FAR_WORD_LINE:
            _check_line(machine, 3, number, entry.probe, entry.probed)
        elif entry.probe == m.LineProbe.CURRENT and entry.probed > gate_max:
            raise RefusedError("over_limit", 3, number, entry.probed, gate_max)
    asked = [(e.driven, e.line, e.probe, e.probed) for e in request.entries]
    sums = machine.front_end.lines.check(
        np.array(asked, np.int64).reshape(-1, 4), request.read_code, request.samples
    )
    return m.LineCheckResponse(
        machine.time_us, tuple(m.LineCheckResponseEntry(s) for s in sums.tolist())
    )


def multiply(machine: Machine, request: m.MultiplyRequest) -> m.MultiplyResponse:
    """Products of a block with vectors; allowed unarmed and in the safe state."""
    machine.runs.require_idle()
    of, room = machine.description, _room_for(machine, m.MultiplyResponse)
    _check_size(2, request.inputs, of.rows)
    _check_size(3, request.columns, min(of.columns, room))
    check_span(0, request.first_row, request.inputs, of.rows)
    check_span(1, request.first_column, request.columns, of.columns)
    _check_vectors(request, room // request.columns)
    codes = np.array([entry.code for entry in request.entries], np.int64)
    _check_row_codes(machine, codes)
    corner = (request.first_row, request.first_column)
    sums = machine.front_end.products.multiply(
        corner, request.columns, codes.reshape(-1, request.inputs), request.scale, request.samples
    )
    return m.MultiplyResponse(
        machine.time_us, tuple(m.MultiplyResponseEntry(s) for s in sums.ravel().tolist())
    )


def _check_room(machine: Machine, request: Any, response: type[Message]) -> None:
    """More entries than the answer has room for are refused by the length that they have."""
    fit = _room_for(machine, response)
    if len(request.entries) > fit:
        size, each = request.STRUCT.size, request.ENTRY.STRUCT.size
        raise RefusedError("bad_length", size + len(request.entries) * each, size + fit * each)


def _room_for(machine: Machine, response: type[Message]) -> int:
    """Entries of an answer that fit behind its status."""
    return response.entries_per_payload(machine.settings.payload_bytes - 1)


def _check_size(field: int, size: int, most: int) -> None:
    if size > most:
        raise RefusedError("out_of_range", field, 0, size, 1, most)


def _check_vectors(request: m.MultiplyRequest, most: int) -> None:
    """Whole vectors, and not more of them than the answer has room for."""
    codes, inputs = len(request.entries), request.inputs
    head, each = request.STRUCT.size, m.MultiplyRequestEntry.STRUCT.size
    wanted = min(-(-codes // inputs), most) if codes % inputs == 0 else -(-codes // inputs)
    if codes != wanted * inputs:
        raise RefusedError("bad_length", head + codes * each, head + wanted * inputs * each)


def _check_row_codes(machine: Machine, codes: Any) -> None:
    size, limit = np.abs(codes - machine.description.code_zero), machine.limits.multiply_code_max
    if (size > limit).any():
        first = int(np.argmax(size > limit))
        raise RefusedError("over_limit", 0, first, int(size[first]), limit)


def _check_line(machine: Machine, field: int, entry: int, kind: int, line: int) -> None:
    of = machine.description
    last = (of.rows if kind == m.ArrayLine.BIT_LINE else of.columns) - 1
    if line > last:
        raise RefusedError("out_of_range", field, entry, line, 0, last)


READ_HANDLERS: dict[type[Message], Handler] = {
    m.ReadRequest: read,
    m.LoopbackRequest: loopback,
    m.ReadReferenceRequest: read_reference,
    m.LineCheckRequest: line_check,
    m.MultiplyRequest: multiply,
}
