"""Checks of limits, reads, the safe state and the loop; nothing above the read level is driven."""

from __future__ import annotations

import struct
import time
import zlib

import numpy as np
from numpy.typing import NDArray

from drivers.transfer import Curves
from hil.jobs.selftest_line import Line
from hil.jobs.selftest_subject import Subject, latched
from protocols import messages
from protocols.errors import BoardError, SafetyError
from protocols.messages import (
    ArmRequest,
    DisarmRequest,
    DisarmResponse,
    InitialRequest,
    InitialRequestEntry,
    InitialResponse,
    LimitsLowerRequest,
    LoopLayerRequest,
    LoopLayerResponse,
    Noise,
    Operation,
    ProgressRequest,
    ProgressResponse,
    PulseReadRequest,
    PulseReadRequestEntry,
    ReadRequest,
    ReadRequestEntry,
    ReadResponse,
    RunRequest,
    RunResponse,
    RunState,
    SafeClearRequest,
    SafeClearResponse,
    SafeReason,
    SamplesRequest,
    SamplesResponse,
    StopRequest,
    StopResponse,
    WaveBeginRequest,
    WaveBeginResponse,
    WaveCommitRequest,
    WaveCommitResponse,
    WaveLoadRequest,
    WaveLoadRequestEntry,
    WaveLoadResponse,
)

# Tolerances and sizes are this project's choice.
CELLS = 16
SAMPLES = 16
STEADY_CODES = 8.0
STEADY_FRACTION = 0.1
TICKS = 4
TRAJECTORIES = 8
START_CODES = 1000
"""Largest distance of an initial condition from the middle, half of the range."""
HOLD_FRACTION = 0.02
"""How far x may move in a run without drift and score, as a fraction of the sample full scale."""
RUN_GRACE_S = 10.0
POLL_S = 0.005
READ_VOLTS = 0.2

Codes = NDArray[np.float64]


# --- limits --------------------------------------------------------------------------------------


def over_the_limits(subject: Subject) -> str:
    """Limits are kept at the door; none of these requests could drive anything."""
    line, hello = subject.line, subject.line.hello
    line.refused_request(ArmRequest(hello.arm_ms_max + 1), "over_limit", "safe_state")
    raised = LimitsLowerRequest(
        Operation.SET,
        hello.set_gate_max,
        hello.set_line_max + 1,
        hello.set_width_max,
        hello.pulses_per_cell_max,
        hello.set_energy_max,
        hello.arm_ms_max,
    )
    line.refused_request(raised, "over_limit")
    cell = (ReadRequestEntry(0, 0),)
    line.refused_request(ReadRequest(hello.read_code_max + 1, 1, cell), "over_limit")
    return "a longer arming, a raised limit and a higher read voltage were refused"


def unarmed(subject: Subject) -> str:
    """Pulses are refused while the board is not armed. Their word line is at zero all the same."""
    line, hello = subject.line, subject.line.hello
    before = line.status()
    if before.armed_ms:
        raise SafetyError("the board is armed at the beginning of a session")
    reasons = ("not_armed", "safe_state", "interlock_open", "over_limit")
    for line_code in (1, hello.set_line_max + 1):
        entry = PulseReadRequestEntry(0, 0, Operation.SET, 0, line_code, 1)
        line.refused_request(PulseReadRequest(1, (entry,)), *reasons)
    after = line.status()
    if (after.pulses, after.reads) != (before.pulses, before.reads):
        raise SafetyError("a refused pulse was counted: it may have been driven")
    return "pulses within and over the limits were refused; the pulse counter stands still"


# --- reads ---------------------------------------------------------------------------------------


def reads(subject: Subject) -> str:
    """Two reads of the same cells agree, and the converter is not at its end."""
    before = subject.line.status().reads
    first, second = _read(subject), _read(subject)
    counted = subject.line.status().reads - before
    if counted != 2 * CELLS * SAMPLES:
        raise BoardError(
            f"{2 * CELLS * SAMPLES} conversions were asked for, the board counts {counted}"
        )
    if float(first.min()) >= subject.description.code_max:
        raise BoardError("every reading is at the converter's upper end: check the read path")
    moved = float(np.sqrt(np.mean((first - second) ** 2)))
    allowed = STEADY_CODES + STEADY_FRACTION * float(np.sqrt(np.mean(first**2)))
    figures = f"{CELLS} cells read twice differ by {moved:.2f} codes rms"
    if moved > allowed:
        raise BoardError(f"{figures}, {allowed:.2f} are allowed")
    return f"{figures} ({allowed:.2f} allowed)"


def _read(subject: Subject) -> Codes:
    """Mean ADC codes of cells on the array's diagonal."""
    hello = subject.line.hello
    cells = tuple(
        ReadRequestEntry(at * hello.rows // CELLS, at * hello.columns // CELLS)
        for at in range(CELLS)
    )
    wanted = int(Curves.nominal(subject.description).pulse_volts.to_code(READ_VOLTS))
    request = ReadRequest(min(wanted, hello.read_code_max), SAMPLES, cells)
    got = subject.line.good(request, ReadResponse)
    return np.array([entry.sum for entry in got.entries], dtype=np.float64) / SAMPLES


# --- waveforms -----------------------------------------------------------------------------------


def waveform_crc(subject: Subject) -> str:
    """Waveforms with a wrong CRC are refused, with the right one taken."""
    line = subject.line
    crc = _load(subject)
    _, found = line.refused_request(WaveCommitRequest(crc ^ 1), "crc_mismatch")
    if found["found"] != crc:
        raise BoardError(f"the board's CRC is {found['found']:#010x}, the host's {crc:#010x}")
    line.good(WaveCommitRequest(crc), WaveCommitResponse)
    return f"{TICKS} ticks: a wrong CRC was refused, {crc:#010x} taken"


def _load(subject: Subject) -> int:
    """Waveforms with every word at zero; their CRC."""
    line, zero = subject.line, subject.description.code_zero
    tick_us = max(line.hello.tick_us_min, round(subject.description.loop.tick_s * 1e6))
    entry = WaveLoadRequestEntry(zero, zero, 0, (zero, zero), (zero,) * 14)
    line.good(WaveBeginRequest(TICKS, tick_us), WaveBeginResponse)
    line.good(WaveLoadRequest(0, (entry,) * TICKS), WaveLoadResponse)
    return zlib.crc32(entry.pack() * TICKS + struct.pack("<14h", *(0,) * 14))


# --- the safe state ------------------------------------------------------------------------------


def no_safe_state(subject: Subject) -> str:
    """Nothing is latched; what is, is not cleared by a self-test."""
    if reason := latched(subject):
        raise SafetyError(
            f"the board is latched safe ({reason}); find out why, then acknowledge it with"
            f" hil stop --clear {reason}"
        )
    return "nothing is latched"


def stop_and_clear(subject: Subject) -> str:
    """`stop` latches, arming is refused, only the named reason clears it."""
    line = subject.line
    said = SafeReason(line.good(StopRequest(), StopResponse).safe_reason)
    if said is not SafeReason.STOP or latched(subject) != "stop":
        raise SafetyError(f"after a stop the board names {said.name.lower()} as its reason")
    try:
        line.refused_request(ArmRequest(1), "safe_state")
    except BoardError:
        line.good(DisarmRequest(), DisarmResponse)
        raise
    payload = line.exchange(SafeClearRequest.CODE, SafeClearRequest(SafeReason.FAULT).pack())
    if payload[0] == 0 or latched(subject) != "stop":
        raise SafetyError("a stop was cleared by another reason's name")
    line.good(SafeClearRequest(SafeReason.STOP), SafeClearResponse)
    if reason := latched(subject):
        raise SafetyError(f"the board is still latched safe ({reason}) after it was cleared")
    return "stop latched, arming was refused, and only the named reason cleared it"


# --- the loop ------------------------------------------------------------------------------------


def loop_holds(subject: Subject) -> str:
    """A short run with drift and score at zero gives back what was put in."""
    start = _connect(subject)
    line = subject.line
    line.good(WaveCommitRequest(_load(subject)), WaveCommitResponse)
    request = RunRequest(1, 0, TRAJECTORIES, TICKS, Noise.NONE, 0, 0, 0, 0)
    duration_s = line.good(request, RunResponse).duration_us * 1e-6
    _finish(line, duration_s + RUN_GRACE_S)
    got = line.good(SamplesRequest(0, TRAJECTORIES), SamplesResponse)
    curves = Curves.nominal(subject.description)
    before = curves.initial.to_si(start)
    after = curves.sample.to_si(np.array([entry.x for entry in got.entries]))
    moved = float(np.max(np.abs(after - before)))
    allowed = HOLD_FRACTION * subject.description.converters.sample_full_scale_volts
    figures = f"x moved by at most {moved * 1e3:.2f} mV in {TICKS} ticks"
    if not moved <= allowed:
        raise BoardError(f"{figures}, {allowed * 1e3:.2f} mV are allowed")
    return f"{figures} ({allowed * 1e3:.2f} mV allowed)"


def _connect(subject: Subject) -> NDArray[np.int64]:
    """Three layers with the smallest feedback resistor, and initial conditions (n, 2) as codes."""
    width, zero = subject.description.loop.hidden_width, subject.description.code_zero
    for layer, (inputs, outputs) in enumerate(((3, width), (width + 1, width), (width + 1, 2))):
        block = LoopLayerRequest(layer, 0, 0, inputs, outputs, 1, 1, 0)
        subject.line.good(block, LoopLayerResponse)
    start = zero + np.linspace(-START_CODES, START_CODES, 2 * TRAJECTORIES).round().astype(np.int64)
    pairs = start.reshape(TRAJECTORIES, 2)
    entries = tuple(InitialRequestEntry((a, b)) for a, b in pairs.tolist())
    subject.line.good(InitialRequest(0, entries), InitialResponse)
    return pairs


def _finish(line: Line, limit_s: float) -> messages.ProgressResponse:
    """Poll until the run is done."""
    deadline = time.monotonic() + limit_s
    while True:
        now = line.good(ProgressRequest(), ProgressResponse)
        if now.run_state == RunState.DONE:
            return now
        if now.run_state != RunState.RUNNING:
            raise BoardError(f"the run ended as {RunState(now.run_state).name.lower()}")
        if time.monotonic() > deadline:
            raise BoardError(f"the run is not done after {limit_s:g} s")
        time.sleep(POLL_S)
