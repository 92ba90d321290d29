"""One function per message: session, safety, pulses and time.

Length and range of every field have been checked when a handler is called; it checks what depends
on the board's state, all of it before it changes anything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from hil.sim.limits import GATE, LINE, WIDTH
from hil.sim.machine import Machine
from hil.sim.pulse_grid import GRID_VOLTS
from hil.sim.refusal import RefusedError
from protocols import messages as m
from protocols.codec import Message
from protocols.energy import ENERGY_UNIT

Handler = Callable[[Machine, Any], Message]

BUILD = b"sim-1"
ADVANCE_US_MAX = 10 * 365 * 86400 * 1_000_000
_NS_PER_US, _NS_PER_MS = 1_000, 1_000_000


def hello(machine: Machine, request: m.HelloRequest) -> m.HelloResponse:
    """Open a session. A repeated nonce is answered by the board from memory."""
    reason = machine.new_session(request.nonce)
    limits, settings = machine.hard_limits, machine.settings
    set_, reset, form = limits.operations
    return m.HelloResponse(
        nonce=request.nonce,
        session=machine.session.number,
        protocol_version=m.PROTOCOL_VERSION,
        fingerprint=m.FINGERPRINT,
        build=BUILD.ljust(16, b"\0"),
        board_serial=settings.board_seed,
        port=m.Port.SIM,
        safe_reason=reason,
        window=settings.window,
        payload_bytes=settings.payload_bytes,
        rows=machine.description.rows,
        columns=machine.description.columns,
        read_code_max=limits.read_code_max,
        multiply_code_max=limits.multiply_code_max,
        set_gate_max=set_.gate_max,
        set_line_max=set_.line_max,
        set_width_max=set_.width_max,
        reset_gate_max=reset.gate_max,
        reset_line_max=reset.line_max,
        reset_width_max=reset.width_max,
        form_gate_max=form.gate_max,
        form_line_max=form.line_max,
        form_width_max=form.width_max,
        set_energy_max=set_.energy_max,
        reset_energy_max=reset.energy_max,
        form_energy_max=form.energy_max,
        pulses_per_cell_max=set_.pulses_per_cell_max,
        arm_ms_max=limits.arm_ms_max,
        watchdog_ms=limits.watchdog_ms,
        tick_us_min=settings.tick_us_min,
        ticks_max=settings.ticks_max,
        trajectories_max=settings.trajectories_max,
        trace_points_max=settings.trace_points_max,
    )


def stop(machine: Machine, _request: m.StopRequest) -> m.StopResponse:
    """Everything safe, now, and latched."""
    machine.make_safe(m.SafeReason.STOP)
    return m.StopResponse(machine.safety.reason)


def keep_alive(machine: Machine, _request: m.KeepAliveRequest) -> m.KeepAliveResponse:
    """The frame itself has fed the watchdog."""
    return m.KeepAliveResponse(machine.time_us, machine.safety.reason)


def status(machine: Machine, _request: m.StatusRequest) -> m.StatusResponse:
    """State and counters."""
    left_ns = machine.safety.armed_ns(machine.chip.now_ns)
    return m.StatusResponse(
        time_us=machine.time_us,
        safe_reason=machine.safety.reason,
        armed_ms=-(-left_ns // _NS_PER_MS),
        run_state=machine.runs.state,
        run_id=machine.runs.run_id,
        pulses=machine.pulses & 0xFFFFFFFF,
        reads=machine.reads & 0xFFFFFFFF,
        frames=machine.frames & 0xFFFFFFFF,
        dropped=machine.dropped & 0xFFFFFFFF,
        repeated=machine.repeated & 0xFFFFFFFF,
    )


def limits_lower(machine: Machine, request: m.LimitsLowerRequest) -> m.LimitsLowerResponse:
    """Lower one operation's limits, and the longest arming, for this session."""
    machine.limits = machine.limits.lower(request)
    return m.LimitsLowerResponse()


def arm(machine: Machine, request: m.ArmRequest) -> m.ArmResponse:
    """Allow pulses for a time; arming again starts the time anew."""
    machine.safety.require_safe_to_drive()
    most = machine.limits.arm_ms_max
    if request.duration_ms > most:
        raise RefusedError("over_limit", 0, 0, request.duration_ms, most)
    until_ns = machine.safety.arm(machine.chip.now_ns, request.duration_ms * _NS_PER_MS)
    return m.ArmResponse(machine.to_board_us(until_ns))


def disarm(machine: Machine, _request: m.DisarmRequest) -> m.DisarmResponse:
    """Outputs safe without latching; a run in progress is over."""
    machine.make_safe(m.SafeReason.DISARM)
    return m.DisarmResponse()


def safe_clear(machine: Machine, request: m.SafeClearRequest) -> m.SafeClearResponse:
    """Acknowledge a latched reason."""
    machine.safety.clear(m.SafeReason(request.reason))
    return m.SafeClearResponse()


def pulse_read(machine: Machine, request: m.PulseReadRequest) -> m.PulseReadResponse:
    """Check the whole batch, then each pulse and its read in order."""
    machine.safety.require_safe_to_drive()
    machine.runs.require_idle()
    entries = request.entries
    fields = np.array(
        [(e.row, e.column, e.operation, e.gate_code, e.line_code, e.width_ticks) for e in entries],
        np.int64,
    ).reshape(-1, 6)
    rows, columns, operation, gate, line, width = fields.T
    lasting_ns = machine.front_end.duration_ns(width)
    machine.safety.require_armed(machine.chip.now_ns, lasting_ns)
    check_read_code(machine, request.read_code)
    check_geometry(machine, entries)
    if not _within_limits(machine, operation, gate, line, width):
        for number, entry in enumerate(entries):
            _check_limits(machine, number, entry)
    _check_grid(machine, operation, gate, line, width)
    index = machine.array.flat(rows, columns)
    counts = _check_budget(machine, index, operation)
    if machine.planted_fault:
        detail, machine.planted_fault = machine.planted_fault, 0
        machine.make_safe(m.SafeReason.FAULT)
        raise RefusedError("front_end", detail)
    codes = machine.front_end.pulse_read(index, operation, gate, line, width, request.read_code)
    machine.cell_pulses[index] = counts
    machine.pulses += len(entries)
    machine.reads += len(entries)
    readings = tuple(m.PulseReadResponseEntry(code) for code in codes.tolist())
    return m.PulseReadResponse(machine.time_us, readings)


def advance(machine: Machine, request: m.AdvanceRequest) -> m.AdvanceResponse:
    """Let virtual time pass; to the watchdog it is silence."""
    far_us = ADVANCE_US_MAX - machine.chip.now_ns // _NS_PER_US
    if request.duration_us > far_us:
        raise RefusedError("out_of_range", 0, 0, request.duration_us, 1, max(far_us, 0))
    machine.pass_in_silence(request.duration_us * _NS_PER_US)
    return m.AdvanceResponse(machine.time_us)


def check_span(field: int, first: int, size: int, there: int) -> None:
    """Whether lines `first` to `first + size - 1` are there."""
    if first + size > there:
        raise RefusedError("out_of_range", field, 0, first, 0, max(there - size, 0))


def check_read_code(machine: Machine, read_code: int) -> None:
    """A read voltage is at most the read level."""
    limit = machine.limits.read_code_max
    if read_code > limit:
        raise RefusedError("over_limit", 0, 0, read_code, limit)


def check_geometry(machine: Machine, entries: tuple[Any, ...]) -> None:
    """Cells are those of the array."""
    rows, columns = machine.description.rows, machine.description.columns
    for number, entry in enumerate(entries):
        if entry.row >= rows:
            raise RefusedError("out_of_range", 0, number, entry.row, 0, rows - 1)
        if entry.column >= columns:
            raise RefusedError("out_of_range", 1, number, entry.column, 0, columns - 1)


def _within_limits(machine: Machine, operation: Any, gate: Any, line: Any, width: Any) -> bool:
    """Whether all pulses of a batch keep their limits; `_check_limits` names one that does not."""
    by_kind = [machine.limits.of_operation(kind) for kind in m.Operation]
    most = np.array([(of.gate_max, of.line_max, of.width_max) for of in by_kind], np.int64)
    energy = np.array([of.energy_max * ENERGY_UNIT for of in by_kind], np.int64)
    if not np.all(np.stack([gate, line, width], axis=1) <= most[operation]):
        return False
    return bool(np.all(line * line * width <= energy[operation]))


def _check_limits(machine: Machine, number: int, entry: m.PulseReadRequestEntry) -> None:
    limits = machine.limits.of_operation(entry.operation)
    for field, value, limit in (
        (GATE, entry.gate_code, limits.gate_max),
        (LINE, entry.line_code, limits.line_max),
        (WIDTH, entry.width_ticks, limits.width_at(entry.line_code)),
    ):
        if value > limit:
            raise RefusedError("over_limit", field, number, value, limit)


def _check_grid(machine: Machine, operation: Any, gate: Any, line: Any, width: Any) -> None:
    """Empirical cells: refuse what was not measured, with the nearest pulse that was."""
    front_end = machine.front_end
    off = front_end.off_grid(operation, gate, line, width)
    if off is None:
        return
    number, near = off
    near_codes = (front_end.code_of(near.gate_volts), front_end.code_of(near.line_volts))
    wanted = (
        (WIDTH, int(width[number]), front_end.ticks_of(near.width_s), 1),
        (GATE, int(gate[number]), near_codes[0], front_end.code_of(GRID_VOLTS)),
        (LINE, int(line[number]), near_codes[1], front_end.code_of(GRID_VOLTS)),
    )
    field, value, allowed, _ = max(wanted, key=lambda part: abs(part[1] - part[2]) / part[3])
    raise RefusedError("out_of_range", field, number, value, allowed, allowed)


def _check_budget(machine: Machine, index: Any, operation: Any) -> Any:
    """Pulses of each cell after this batch, entry by entry.

    All of a cell's pulses in the session count, whatever they were; the limit is that of the
    operation asked for.
    """
    had = np.asarray(machine.cell_pulses[index], np.int64)
    by_kind = [machine.limits.of_operation(kind).pulses_per_cell_max for kind in m.Operation]
    if np.unique(index).size == index.size and np.all(had < np.array(by_kind)[operation]):
        return had + 1
    return _check_budget_in_order(machine, index, operation)


def _check_budget_in_order(machine: Machine, index: Any, operation: Any) -> Any:
    """The same where a cell comes more than once, or where a pulse has to be named."""
    given: dict[int, int] = {}
    for number, (cell, kind) in enumerate(zip(index.tolist(), operation.tolist(), strict=True)):
        had = given.get(cell, int(machine.cell_pulses[cell]))
        limit = machine.limits.of_operation(kind).pulses_per_cell_max
        if had >= limit:
            raise RefusedError("pulse_budget", number, had, limit)
        given[cell] = had + 1
    return np.array([given[cell] for cell in index.tolist()], np.int64)


HANDLERS: dict[type[Message], Handler] = {
    m.HelloRequest: hello,
    m.StopRequest: stop,
    m.KeepAliveRequest: keep_alive,
    m.StatusRequest: status,
    m.LimitsLowerRequest: limits_lower,
    m.ArmRequest: arm,
    m.DisarmRequest: disarm,
    m.SafeClearRequest: safe_clear,
    m.PulseReadRequest: pulse_read,
    m.AdvanceRequest: advance,
}
