"""Every message as a dataclass.

Generated from `messages.yaml` by `protocols.codegen`; do not edit.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar

from protocols.codec import Message, Record, Status, field

PROTOCOL_VERSION = 2
FINGERPRINT = 0xDBE08D4E
PAYLOAD_BYTES = 220


class Operation(IntEnum):
    """What a pulse is for; each operation has its own limits."""

    SET = 0
    RESET = 1
    FORM = 2


class SafeReason(IntEnum):
    """Why the outputs are at their safe values."""

    NONE = 0
    POWER_UP = 1
    STOP = 2
    WATCHDOG = 3
    ARM_TIMEOUT = 4
    FAULT = 5
    INTERLOCK = 6
    DISARM = 7


class RunState(IntEnum):
    """Where the run sequencer stands."""

    IDLE = 0
    RUNNING = 1
    DONE = 2
    ABORTED = 3
    LATE = 4


class Port(IntEnum):
    """What the board runs on."""

    SIM = 0
    HOST = 1
    STM32F407 = 2
    QEMU = 3


class Noise(IntEnum):
    """Where the noise of a run comes from."""

    NONE = 0
    SEEDED = 1
    HARDWARE = 2


class Part(IntEnum):
    """What a run still needs."""

    WAVEFORMS = 0
    LAYERS = 1
    INITIAL_CONDITIONS = 2
    SAMPLES = 3


class LoopSource(IntEnum):
    """What a loop-back puts on the calibration line.

    A reference is a tap of the voltage ladder.
    """

    REFERENCE = 0
    BIT_LINE = 1
    SOURCE_LINE = 2
    WORD_LINE = 3
    INITIAL_1 = 4
    INITIAL_2 = 5
    DRIFT = 6
    SCORE = 7
    NOISE_1 = 8
    NOISE_2 = 9
    EMBEDDING_1 = 10
    EMBEDDING_2 = 11
    EMBEDDING_3 = 12
    EMBEDDING_4 = 13
    EMBEDDING_5 = 14
    EMBEDDING_6 = 15
    EMBEDDING_7 = 16
    EMBEDDING_8 = 17
    EMBEDDING_9 = 18
    EMBEDDING_10 = 19
    EMBEDDING_11 = 20
    EMBEDDING_12 = 21
    EMBEDDING_13 = 22
    EMBEDDING_14 = 23


class AdcInput(IntEnum):
    """Which input of the ADC converts."""

    READ = 0
    SAMPLE_1 = 1
    SAMPLE_2 = 2
    PROBE = 3


class ArrayLine(IntEnum):
    """A kind of line of the array."""

    BIT_LINE = 0
    SOURCE_LINE = 1
    WORD_LINE = 2


class LineProbe(IntEnum):
    """What is converted while one line is driven.

    The far end of a line, the driver's end, or the current of its cells.
    """

    FAR_BIT_LINE = 0
    FAR_SOURCE_LINE = 1
    FAR_WORD_LINE = 2
    NEAR = 3
    CURRENT = 4


@dataclass(frozen=True, slots=True)
class HelloRequest(Message):
    """Opens a session and says who the board is.

    The same nonce gets the same session, so it may be repeated until answered.
    """

    NAME: ClassVar[str] = "hello"
    FIELDS = (field("nonce", "u32"),)
    STRUCT = struct.Struct("<I")
    CODE: ClassVar[int] = 0x01
    KIND: ClassVar[str] = "learn"
    SCOPE: ClassVar[str] = "any"

    nonce: int


@dataclass(frozen=True, slots=True)
class HelloResponse(Message):
    """Answer to `hello`."""

    NAME: ClassVar[str] = "hello"
    FIELDS = (
        field("nonce", "u32"),
        field("session", "u16"),
        field("protocol_version", "u16"),
        field("fingerprint", "u32"),
        field("build", "bytes16"),
        field("board_serial", "u64"),
        field("port", "u8", maximum=3),
        field("safe_reason", "u8", maximum=7),
        field("window", "u8"),
        field("payload_bytes", "u16"),
        field("rows", "u16"),
        field("columns", "u16"),
        field("read_code_max", "u16"),
        field("multiply_code_max", "u16"),
        field("set_gate_max", "u16"),
        field("set_line_max", "u16"),
        field("set_width_max", "u32"),
        field("reset_gate_max", "u16"),
        field("reset_line_max", "u16"),
        field("reset_width_max", "u32"),
        field("form_gate_max", "u16"),
        field("form_line_max", "u16"),
        field("form_width_max", "u32"),
        field("set_energy_max", "u32"),
        field("reset_energy_max", "u32"),
        field("form_energy_max", "u32"),
        field("pulses_per_cell_max", "u32"),
        field("arm_ms_max", "u32"),
        field("watchdog_ms", "u32"),
        field("tick_us_min", "u32"),
        field("ticks_max", "u16"),
        field("trajectories_max", "u16"),
        field("trace_points_max", "u16"),
    )
    STRUCT = struct.Struct("<IHHI16sQBBBHHHHHHHIHHIHHIIIIIIIIHHH")
    CODE: ClassVar[int] = 0x01
    KIND: ClassVar[str] = "learn"
    SCOPE: ClassVar[str] = "any"

    nonce: int
    session: int
    protocol_version: int
    fingerprint: int
    build: bytes
    board_serial: int
    port: int
    safe_reason: int
    window: int
    payload_bytes: int
    rows: int
    columns: int
    read_code_max: int
    multiply_code_max: int
    set_gate_max: int
    set_line_max: int
    set_width_max: int
    reset_gate_max: int
    reset_line_max: int
    reset_width_max: int
    form_gate_max: int
    form_line_max: int
    form_width_max: int
    set_energy_max: int
    reset_energy_max: int
    form_energy_max: int
    pulses_per_cell_max: int
    arm_ms_max: int
    watchdog_ms: int
    tick_us_min: int
    ticks_max: int
    trajectories_max: int
    trace_points_max: int


@dataclass(frozen=True, slots=True)
class StopRequest(Message):
    """Puts every output to its safe value now.

    It needs no session, so anybody on the line can send it.
    """

    NAME: ClassVar[str] = "stop"
    FIELDS = ()
    STRUCT = struct.Struct("<")
    CODE: ClassVar[int] = 0x02
    KIND: ClassVar[str] = "act"
    SCOPE: ClassVar[str] = "any"


@dataclass(frozen=True, slots=True)
class StopResponse(Message):
    """Answer to `stop`."""

    NAME: ClassVar[str] = "stop"
    FIELDS = (field("safe_reason", "u8", maximum=7),)
    STRUCT = struct.Struct("<B")
    CODE: ClassVar[int] = 0x02
    KIND: ClassVar[str] = "act"
    SCOPE: ClassVar[str] = "any"

    safe_reason: int


@dataclass(frozen=True, slots=True)
class KeepAliveRequest(Message):
    """Feeds the watchdog."""

    NAME: ClassVar[str] = "keep_alive"
    FIELDS = ()
    STRUCT = struct.Struct("<")
    CODE: ClassVar[int] = 0x03
    KIND: ClassVar[str] = "learn"
    SCOPE: ClassVar[str] = "any"


@dataclass(frozen=True, slots=True)
class KeepAliveResponse(Message):
    """Answer to `keep_alive`."""

    NAME: ClassVar[str] = "keep_alive"
    FIELDS = (field("time_us", "u64"), field("safe_reason", "u8", maximum=7))
    STRUCT = struct.Struct("<QB")
    CODE: ClassVar[int] = 0x03
    KIND: ClassVar[str] = "learn"
    SCOPE: ClassVar[str] = "any"

    time_us: int
    safe_reason: int


@dataclass(frozen=True, slots=True)
class StatusRequest(Message):
    """The state of the board and its counters."""

    NAME: ClassVar[str] = "status"
    FIELDS = ()
    STRUCT = struct.Struct("<")
    CODE: ClassVar[int] = 0x10
    KIND: ClassVar[str] = "learn"
    SCOPE: ClassVar[str] = "session"


@dataclass(frozen=True, slots=True)
class StatusResponse(Message):
    """Answer to `status`."""

    NAME: ClassVar[str] = "status"
    FIELDS = (
        field("time_us", "u64"),
        field("safe_reason", "u8", maximum=7),
        field("armed_ms", "u32"),
        field("run_state", "u8", maximum=4),
        field("run_id", "u16"),
        field("pulses", "u32"),
        field("reads", "u32"),
        field("frames", "u32"),
        field("dropped", "u32"),
        field("repeated", "u32"),
    )
    STRUCT = struct.Struct("<QBIBHIIIII")
    CODE: ClassVar[int] = 0x10
    KIND: ClassVar[str] = "learn"
    SCOPE: ClassVar[str] = "session"

    time_us: int
    safe_reason: int
    armed_ms: int
    run_state: int
    run_id: int
    pulses: int
    reads: int
    frames: int
    dropped: int
    repeated: int


@dataclass(frozen=True, slots=True)
class LimitsLowerRequest(Message):
    """Lowers the limits of one operation, and the longest arming, for this session.

    A value above the limit in force is refused.
    """

    NAME: ClassVar[str] = "limits_lower"
    FIELDS = (
        field("operation", "u8", maximum=2),
        field("gate_max", "u16", maximum=4095),
        field("line_max", "u16", maximum=4095),
        field("width_max", "u32"),
        field("pulses_per_cell_max", "u32"),
        field("energy_max", "u32"),
        field("arm_ms_max", "u32", minimum=1),
    )
    STRUCT = struct.Struct("<BHHIIII")
    CODE: ClassVar[int] = 0x11
    KIND: ClassVar[str] = "act"
    SCOPE: ClassVar[str] = "session"

    operation: int
    gate_max: int
    line_max: int
    width_max: int
    pulses_per_cell_max: int
    energy_max: int
    arm_ms_max: int


@dataclass(frozen=True, slots=True)
class LimitsLowerResponse(Message):
    """Answer to `limits_lower`."""

    NAME: ClassVar[str] = "limits_lower"
    FIELDS = ()
    STRUCT = struct.Struct("<")
    CODE: ClassVar[int] = 0x11
    KIND: ClassVar[str] = "act"
    SCOPE: ClassVar[str] = "session"


@dataclass(frozen=True, slots=True)
class ArmRequest(Message):
    """Allows voltages above the read level for a time."""

    NAME: ClassVar[str] = "arm"
    FIELDS = (field("duration_ms", "u32", minimum=1),)
    STRUCT = struct.Struct("<I")
    CODE: ClassVar[int] = 0x12
    KIND: ClassVar[str] = "act"
    SCOPE: ClassVar[str] = "session"

    duration_ms: int


@dataclass(frozen=True, slots=True)
class ArmResponse(Message):
    """Answer to `arm`."""

    NAME: ClassVar[str] = "arm"
    FIELDS = (field("until_us", "u64"),)
    STRUCT = struct.Struct("<Q")
    CODE: ClassVar[int] = 0x12
    KIND: ClassVar[str] = "act"
    SCOPE: ClassVar[str] = "session"

    until_us: int


@dataclass(frozen=True, slots=True)
class DisarmRequest(Message):
    """Puts every output to its safe value and ends the arming."""

    NAME: ClassVar[str] = "disarm"
    FIELDS = ()
    STRUCT = struct.Struct("<")
    CODE: ClassVar[int] = 0x13
    KIND: ClassVar[str] = "act"
    SCOPE: ClassVar[str] = "session"


@dataclass(frozen=True, slots=True)
class DisarmResponse(Message):
    """Answer to `disarm`."""

    NAME: ClassVar[str] = "disarm"
    FIELDS = ()
    STRUCT = struct.Struct("<")
    CODE: ClassVar[int] = 0x13
    KIND: ClassVar[str] = "act"
    SCOPE: ClassVar[str] = "session"


@dataclass(frozen=True, slots=True)
class SafeClearRequest(Message):
    """Acknowledges the reason of a safe state.

    It has to be named, so that nobody clears what he has not read.
    """

    NAME: ClassVar[str] = "safe_clear"
    FIELDS = (field("reason", "u8", maximum=7),)
    STRUCT = struct.Struct("<B")
    CODE: ClassVar[int] = 0x14
    KIND: ClassVar[str] = "act"
    SCOPE: ClassVar[str] = "session"

    reason: int


@dataclass(frozen=True, slots=True)
class SafeClearResponse(Message):
    """Answer to `safe_clear`."""

    NAME: ClassVar[str] = "safe_clear"
    FIELDS = ()
    STRUCT = struct.Struct("<")
    CODE: ClassVar[int] = 0x14
    KIND: ClassVar[str] = "act"
    SCOPE: ClassVar[str] = "session"


@dataclass(frozen=True, slots=True)
class PulseReadRequestEntry(Record):
    """What is asked for one item of `pulse_read`."""

    NAME: ClassVar[str] = "pulse_read.entries"
    FIELDS = (
        field("row", "u16"),
        field("column", "u16"),
        field("operation", "u8", maximum=2),
        field("gate_code", "u16", maximum=4095),
        field("line_code", "u16", maximum=4095),
        field("width_ticks", "u32", minimum=1),
    )
    STRUCT = struct.Struct("<HHBHHI")

    row: int
    column: int
    operation: int
    gate_code: int
    line_code: int
    width_ticks: int


@dataclass(frozen=True, slots=True)
class PulseReadRequest(Message):
    """Applies each pulse in order and reads the cell after it.

    The whole batch is checked before the first pulse.
    """

    NAME: ClassVar[str] = "pulse_read"
    FIELDS = (field("read_code", "u16", maximum=4095),)
    STRUCT = struct.Struct("<H")
    CODE: ClassVar[int] = 0x20
    KIND: ClassVar[str] = "act"
    SCOPE: ClassVar[str] = "session"
    ENTRY = PulseReadRequestEntry

    read_code: int
    entries: tuple[PulseReadRequestEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class PulseReadResponseEntry(Record):
    """What comes back for one item of `pulse_read`."""

    NAME: ClassVar[str] = "pulse_read.entries"
    FIELDS = (field("reading", "u16"),)
    STRUCT = struct.Struct("<H")

    reading: int


@dataclass(frozen=True, slots=True)
class PulseReadResponse(Message):
    """Answer to `pulse_read`."""

    NAME: ClassVar[str] = "pulse_read"
    FIELDS = (field("time_us", "u64"),)
    STRUCT = struct.Struct("<Q")
    CODE: ClassVar[int] = 0x20
    KIND: ClassVar[str] = "act"
    SCOPE: ClassVar[str] = "session"
    ENTRY = PulseReadResponseEntry

    time_us: int
    entries: tuple[PulseReadResponseEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class ReadRequestEntry(Record):
    """What is asked for one item of `read`."""

    NAME: ClassVar[str] = "read.entries"
    FIELDS = (field("row", "u16"), field("column", "u16"))
    STRUCT = struct.Struct("<HH")

    row: int
    column: int


@dataclass(frozen=True, slots=True)
class ReadRequest(Message):
    """Reads cells at a voltage that changes nothing."""

    NAME: ClassVar[str] = "read"
    FIELDS = (
        field("read_code", "u16", maximum=4095),
        field("samples", "u8", minimum=1, maximum=64),
    )
    STRUCT = struct.Struct("<HB")
    CODE: ClassVar[int] = 0x21
    KIND: ClassVar[str] = "learn"
    SCOPE: ClassVar[str] = "session"
    ENTRY = ReadRequestEntry

    read_code: int
    samples: int
    entries: tuple[ReadRequestEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class ReadResponseEntry(Record):
    """What comes back for one item of `read`."""

    NAME: ClassVar[str] = "read.entries"
    FIELDS = (field("sum", "u32"),)
    STRUCT = struct.Struct("<I")

    sum: int


@dataclass(frozen=True, slots=True)
class ReadResponse(Message):
    """Answer to `read`."""

    NAME: ClassVar[str] = "read"
    FIELDS = (field("time_us", "u64"),)
    STRUCT = struct.Struct("<Q")
    CODE: ClassVar[int] = 0x21
    KIND: ClassVar[str] = "learn"
    SCOPE: ClassVar[str] = "session"
    ENTRY = ReadResponseEntry

    time_us: int
    entries: tuple[ReadResponseEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class LoopbackRequestEntry(Record):
    """What is asked for one item of `loopback`."""

    NAME: ClassVar[str] = "loopback.entries"
    FIELDS = (field("code", "u16", maximum=4095),)
    STRUCT = struct.Struct("<H")

    code: int


@dataclass(frozen=True, slots=True)
class LoopbackRequest(Message):
    """Converts a DAC's output, or a tap of the reference ladder, with the array cut off.

    A code above the read level on a line of the array needs an armed board all the same.
    """

    NAME: ClassVar[str] = "loopback"
    FIELDS = (
        field("source", "u8", maximum=23),
        field("destination", "u8", maximum=3),
        field("samples", "u8", minimum=1, maximum=64),
    )
    STRUCT = struct.Struct("<BBB")
    CODE: ClassVar[int] = 0x22
    KIND: ClassVar[str] = "learn"
    SCOPE: ClassVar[str] = "session"
    ENTRY = LoopbackRequestEntry

    source: int
    destination: int
    samples: int
    entries: tuple[LoopbackRequestEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class LoopbackResponseEntry(Record):
    """What comes back for one item of `loopback`."""

    NAME: ClassVar[str] = "loopback.entries"
    FIELDS = (field("sum", "u32"),)
    STRUCT = struct.Struct("<I")

    sum: int


@dataclass(frozen=True, slots=True)
class LoopbackResponse(Message):
    """Answer to `loopback`."""

    NAME: ClassVar[str] = "loopback"
    FIELDS = (field("time_us", "u64"),)
    STRUCT = struct.Struct("<Q")
    CODE: ClassVar[int] = 0x22
    KIND: ClassVar[str] = "learn"
    SCOPE: ClassVar[str] = "session"
    ENTRY = LoopbackResponseEntry

    time_us: int
    entries: tuple[LoopbackResponseEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class ReadReferenceRequestEntry(Record):
    """What is asked for one item of `read_reference`."""

    NAME: ClassVar[str] = "read_reference.entries"
    FIELDS = (field("column", "u16"), field("resistor", "u8", maximum=3))
    STRUCT = struct.Struct("<HB")

    column: int
    resistor: int


@dataclass(frozen=True, slots=True)
class ReadReferenceRequest(Message):
    """Reads reference resistors in place of cells, each through a column's own read path."""

    NAME: ClassVar[str] = "read_reference"
    FIELDS = (
        field("read_code", "u16", maximum=4095),
        field("samples", "u8", minimum=1, maximum=64),
    )
    STRUCT = struct.Struct("<HB")
    CODE: ClassVar[int] = 0x23
    KIND: ClassVar[str] = "learn"
    SCOPE: ClassVar[str] = "session"
    ENTRY = ReadReferenceRequestEntry

    read_code: int
    samples: int
    entries: tuple[ReadReferenceRequestEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class ReadReferenceResponseEntry(Record):
    """What comes back for one item of `read_reference`."""

    NAME: ClassVar[str] = "read_reference.entries"
    FIELDS = (field("sum", "u32"),)
    STRUCT = struct.Struct("<I")

    sum: int


@dataclass(frozen=True, slots=True)
class ReadReferenceResponse(Message):
    """Answer to `read_reference`."""

    NAME: ClassVar[str] = "read_reference"
    FIELDS = (field("time_us", "u64"),)
    STRUCT = struct.Struct("<Q")
    CODE: ClassVar[int] = 0x23
    KIND: ClassVar[str] = "learn"
    SCOPE: ClassVar[str] = "session"
    ENTRY = ReadReferenceResponseEntry

    time_us: int
    entries: tuple[ReadReferenceResponseEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class LineCheckRequestEntry(Record):
    """What is asked for one item of `line_check`."""

    NAME: ClassVar[str] = "line_check.entries"
    FIELDS = (
        field("driven", "u8", maximum=2),
        field("line", "u16"),
        field("probe", "u8", maximum=4),
        field("probed", "u16"),
    )
    STRUCT = struct.Struct("<BHBH")

    driven: int
    line: int
    probe: int
    probed: int


@dataclass(frozen=True, slots=True)
class LineCheckRequest(Message):
    """Drives one line at the read level and converts what comes of it; selects no single cell.

    Far and near ends are probed with every gate closed, as a position on the span of the line
    drivers. The current is that of all cells of a bit line with every gate open and the source
    lines joined, or of all cells of a source line through its own read path, its gates open and
    every bit line driven. The gates are open as for a read, or at a code of their own.
    """

    NAME: ClassVar[str] = "line_check"
    FIELDS = (
        field("read_code", "u16", maximum=4095),
        field("samples", "u8", minimum=1, maximum=64),
    )
    STRUCT = struct.Struct("<HB")
    CODE: ClassVar[int] = 0x24
    KIND: ClassVar[str] = "learn"
    SCOPE: ClassVar[str] = "session"
    ENTRY = LineCheckRequestEntry

    read_code: int
    samples: int
    entries: tuple[LineCheckRequestEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class LineCheckResponseEntry(Record):
    """What comes back for one item of `line_check`."""

    NAME: ClassVar[str] = "line_check.entries"
    FIELDS = (field("sum", "u32"),)
    STRUCT = struct.Struct("<I")

    sum: int


@dataclass(frozen=True, slots=True)
class LineCheckResponse(Message):
    """Answer to `line_check`."""

    NAME: ClassVar[str] = "line_check"
    FIELDS = (field("time_us", "u64"),)
    STRUCT = struct.Struct("<Q")
    CODE: ClassVar[int] = 0x24
    KIND: ClassVar[str] = "learn"
    SCOPE: ClassVar[str] = "session"
    ENTRY = LineCheckResponseEntry

    time_us: int
    entries: tuple[LineCheckResponseEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class MultiplyRequestEntry(Record):
    """What is asked for one item of `multiply`."""

    NAME: ClassVar[str] = "multiply.entries"
    FIELDS = (field("code", "u16", maximum=4095),)
    STRUCT = struct.Struct("<H")

    code: int


@dataclass(frozen=True, slots=True)
class MultiplyRequest(Message):
    """Multiplies a block with vectors, at the read level.

    Each row gets its code, each column is converted.
    """

    NAME: ClassVar[str] = "multiply"
    FIELDS = (
        field("first_row", "u16"),
        field("first_column", "u16"),
        field("inputs", "u16", minimum=1),
        field("columns", "u16", minimum=1),
        field("scale", "u8", maximum=3),
        field("samples", "u8", minimum=1, maximum=16),
    )
    STRUCT = struct.Struct("<HHHHBB")
    CODE: ClassVar[int] = 0x25
    KIND: ClassVar[str] = "learn"
    SCOPE: ClassVar[str] = "session"
    ENTRY = MultiplyRequestEntry

    first_row: int
    first_column: int
    inputs: int
    columns: int
    scale: int
    samples: int
    entries: tuple[MultiplyRequestEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class MultiplyResponseEntry(Record):
    """What comes back for one item of `multiply`."""

    NAME: ClassVar[str] = "multiply.entries"
    FIELDS = (field("sum", "u16"),)
    STRUCT = struct.Struct("<H")

    sum: int


@dataclass(frozen=True, slots=True)
class MultiplyResponse(Message):
    """Answer to `multiply`."""

    NAME: ClassVar[str] = "multiply"
    FIELDS = (field("time_us", "u64"),)
    STRUCT = struct.Struct("<Q")
    CODE: ClassVar[int] = 0x25
    KIND: ClassVar[str] = "learn"
    SCOPE: ClassVar[str] = "session"
    ENTRY = MultiplyResponseEntry

    time_us: int
    entries: tuple[MultiplyResponseEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class WaveBeginRequest(Message):
    """Empties the waveform store and fixes its length and tick."""

    NAME: ClassVar[str] = "wave_begin"
    FIELDS = (field("ticks", "u16", minimum=1), field("tick_us", "u32", minimum=1))
    STRUCT = struct.Struct("<HI")
    CODE: ClassVar[int] = 0x30
    KIND: ClassVar[str] = "act"
    SCOPE: ClassVar[str] = "session"

    ticks: int
    tick_us: int


@dataclass(frozen=True, slots=True)
class WaveBeginResponse(Message):
    """Answer to `wave_begin`."""

    NAME: ClassVar[str] = "wave_begin"
    FIELDS = ()
    STRUCT = struct.Struct("<")
    CODE: ClassVar[int] = 0x30
    KIND: ClassVar[str] = "act"
    SCOPE: ClassVar[str] = "session"


@dataclass(frozen=True, slots=True)
class WaveLoadRequestEntry(Record):
    """What is asked for one item of `wave_load`."""

    NAME: ClassVar[str] = "wave_load.entries"
    FIELDS = (
        field("drift", "u16", maximum=4095),
        field("score", "u16", maximum=4095),
        field("noise", "u16", maximum=2047),
        field("offset", "u16", count=2, maximum=4095),
        field("embedding", "u16", count=14, maximum=4095),
    )
    STRUCT = struct.Struct("<HHHHHHHHHHHHHHHHHHH")

    drift: int
    score: int
    noise: int
    offset: tuple[int, ...]
    embedding: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class WaveLoadRequest(Message):
    """Stores consecutive ticks of the waveforms.

    Bipolar codes, 2048 is zero.
    """

    NAME: ClassVar[str] = "wave_load"
    FIELDS = (field("first", "u16"),)
    STRUCT = struct.Struct("<H")
    CODE: ClassVar[int] = 0x31
    KIND: ClassVar[str] = "act"
    SCOPE: ClassVar[str] = "session"
    ENTRY = WaveLoadRequestEntry

    first: int
    entries: tuple[WaveLoadRequestEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class WaveLoadResponse(Message):
    """Answer to `wave_load`."""

    NAME: ClassVar[str] = "wave_load"
    FIELDS = ()
    STRUCT = struct.Struct("<")
    CODE: ClassVar[int] = 0x31
    KIND: ClassVar[str] = "act"
    SCOPE: ClassVar[str] = "session"


@dataclass(frozen=True, slots=True)
class WaveClassRequest(Message):
    """Offsets of one class, added to the 14 embedding codes of every tick."""

    NAME: ClassVar[str] = "wave_class"
    FIELDS = (field("offset", "i16", count=14, minimum=-4095, maximum=4095),)
    STRUCT = struct.Struct("<hhhhhhhhhhhhhh")
    CODE: ClassVar[int] = 0x32
    KIND: ClassVar[str] = "act"
    SCOPE: ClassVar[str] = "session"

    offset: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class WaveClassResponse(Message):
    """Answer to `wave_class`."""

    NAME: ClassVar[str] = "wave_class"
    FIELDS = ()
    STRUCT = struct.Struct("<")
    CODE: ClassVar[int] = 0x32
    KIND: ClassVar[str] = "act"
    SCOPE: ClassVar[str] = "session"


@dataclass(frozen=True, slots=True)
class WaveCommitRequest(Message):
    """Declares the waveforms complete.

    The CRC is that of the records as sent, tick by tick, then the class offsets.
    """

    NAME: ClassVar[str] = "wave_commit"
    FIELDS = (field("crc", "u32"),)
    STRUCT = struct.Struct("<I")
    CODE: ClassVar[int] = 0x33
    KIND: ClassVar[str] = "act"
    SCOPE: ClassVar[str] = "session"

    crc: int


@dataclass(frozen=True, slots=True)
class WaveCommitResponse(Message):
    """Answer to `wave_commit`."""

    NAME: ClassVar[str] = "wave_commit"
    FIELDS = ()
    STRUCT = struct.Struct("<")
    CODE: ClassVar[int] = 0x33
    KIND: ClassVar[str] = "act"
    SCOPE: ClassVar[str] = "session"


@dataclass(frozen=True, slots=True)
class LoopLayerRequest(Message):
    """Connects a block of the array as one layer of the loop."""

    NAME: ClassVar[str] = "loop_layer"
    FIELDS = (
        field("layer", "u8", maximum=2),
        field("first_row", "u16"),
        field("first_column", "u16"),
        field("inputs", "u16", minimum=1),
        field("outputs", "u16", minimum=1),
        field("differential", "u8", maximum=1),
        field("feedback_code", "u16", minimum=1, maximum=4095),
        field("reference_code", "u16", maximum=4095),
    )
    STRUCT = struct.Struct("<BHHHHBHH")
    CODE: ClassVar[int] = 0x34
    KIND: ClassVar[str] = "act"
    SCOPE: ClassVar[str] = "session"

    layer: int
    first_row: int
    first_column: int
    inputs: int
    outputs: int
    differential: int
    feedback_code: int
    reference_code: int


@dataclass(frozen=True, slots=True)
class LoopLayerResponse(Message):
    """Answer to `loop_layer`."""

    NAME: ClassVar[str] = "loop_layer"
    FIELDS = ()
    STRUCT = struct.Struct("<")
    CODE: ClassVar[int] = 0x34
    KIND: ClassVar[str] = "act"
    SCOPE: ClassVar[str] = "session"


@dataclass(frozen=True, slots=True)
class InitialRequestEntry(Record):
    """What is asked for one item of `initial`."""

    NAME: ClassVar[str] = "initial.entries"
    FIELDS = (field("x", "u16", count=2, maximum=4095),)
    STRUCT = struct.Struct("<HH")

    x: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class InitialRequest(Message):
    """Stores initial conditions of the two integrators."""

    NAME: ClassVar[str] = "initial"
    FIELDS = (field("first", "u16"),)
    STRUCT = struct.Struct("<H")
    CODE: ClassVar[int] = 0x35
    KIND: ClassVar[str] = "act"
    SCOPE: ClassVar[str] = "session"
    ENTRY = InitialRequestEntry

    first: int
    entries: tuple[InitialRequestEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class InitialResponse(Message):
    """Answer to `initial`."""

    NAME: ClassVar[str] = "initial"
    FIELDS = ()
    STRUCT = struct.Struct("<")
    CODE: ClassVar[int] = 0x35
    KIND: ClassVar[str] = "act"
    SCOPE: ClassVar[str] = "session"


@dataclass(frozen=True, slots=True)
class ProbeRequest(Message):
    """Reads every layer's outputs.

    The integrators are held at x and the embedding of one tick is driven.
    """

    NAME: ClassVar[str] = "probe"
    FIELDS = (
        field("tick", "u16"),
        field("x", "u16", count=2, maximum=4095),
        field("samples", "u8", minimum=1, maximum=64),
    )
    STRUCT = struct.Struct("<HHHB")
    CODE: ClassVar[int] = 0x36
    KIND: ClassVar[str] = "learn"
    SCOPE: ClassVar[str] = "session"

    tick: int
    x: tuple[int, ...]
    samples: int


@dataclass(frozen=True, slots=True)
class ProbeResponseEntry(Record):
    """What comes back for one item of `probe`."""

    NAME: ClassVar[str] = "probe.entries"
    FIELDS = (field("sum", "u32"),)
    STRUCT = struct.Struct("<I")

    sum: int


@dataclass(frozen=True, slots=True)
class ProbeResponse(Message):
    """Answer to `probe`."""

    NAME: ClassVar[str] = "probe"
    FIELDS = ()
    STRUCT = struct.Struct("<")
    CODE: ClassVar[int] = 0x36
    KIND: ClassVar[str] = "learn"
    SCOPE: ClassVar[str] = "session"
    ENTRY = ProbeResponseEntry

    entries: tuple[ProbeResponseEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class RunRequest(Message):
    """Starts solving; answers at once.

    Progress is polled.
    """

    NAME: ClassVar[str] = "run"
    FIELDS = (
        field("run_id", "u16"),
        field("first", "u16"),
        field("count", "u16", minimum=1),
        field("capture_tick", "u16", minimum=1),
        field("noise", "u8", maximum=2),
        field("seed", "u64"),
        field("trajectory", "u32"),
        field("trace_every", "u16"),
        field("trace_count", "u16"),
    )
    STRUCT = struct.Struct("<HHHHBQIHH")
    CODE: ClassVar[int] = 0x38
    KIND: ClassVar[str] = "act"
    SCOPE: ClassVar[str] = "session"

    run_id: int
    first: int
    count: int
    capture_tick: int
    noise: int
    seed: int
    trajectory: int
    trace_every: int
    trace_count: int


@dataclass(frozen=True, slots=True)
class RunResponse(Message):
    """Answer to `run`."""

    NAME: ClassVar[str] = "run"
    FIELDS = (field("duration_us", "u64"),)
    STRUCT = struct.Struct("<Q")
    CODE: ClassVar[int] = 0x38
    KIND: ClassVar[str] = "act"
    SCOPE: ClassVar[str] = "session"

    duration_us: int


@dataclass(frozen=True, slots=True)
class ProgressRequest(Message):
    """How far the run is.

    On a simulated board a poll lets the solves go on.
    """

    NAME: ClassVar[str] = "progress"
    FIELDS = ()
    STRUCT = struct.Struct("<")
    CODE: ClassVar[int] = 0x39
    KIND: ClassVar[str] = "learn"
    SCOPE: ClassVar[str] = "session"


@dataclass(frozen=True, slots=True)
class ProgressResponse(Message):
    """Answer to `progress`."""

    NAME: ClassVar[str] = "progress"
    FIELDS = (
        field("time_us", "u64"),
        field("run_id", "u16"),
        field("run_state", "u8", maximum=4),
        field("done", "u16"),
    )
    STRUCT = struct.Struct("<QHBH")
    CODE: ClassVar[int] = 0x39
    KIND: ClassVar[str] = "learn"
    SCOPE: ClassVar[str] = "session"

    time_us: int
    run_id: int
    run_state: int
    done: int


@dataclass(frozen=True, slots=True)
class SamplesRequest(Message):
    """Fetches captured outputs."""

    NAME: ClassVar[str] = "samples"
    FIELDS = (field("first", "u16"), field("count", "u8", minimum=1, maximum=52))
    STRUCT = struct.Struct("<HB")
    CODE: ClassVar[int] = 0x3A
    KIND: ClassVar[str] = "learn"
    SCOPE: ClassVar[str] = "session"

    first: int
    count: int


@dataclass(frozen=True, slots=True)
class SamplesResponseEntry(Record):
    """What comes back for one item of `samples`."""

    NAME: ClassVar[str] = "samples.entries"
    FIELDS = (field("x", "u16", count=2),)
    STRUCT = struct.Struct("<HH")

    x: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SamplesResponse(Message):
    """Answer to `samples`."""

    NAME: ClassVar[str] = "samples"
    FIELDS = ()
    STRUCT = struct.Struct("<")
    CODE: ClassVar[int] = 0x3A
    KIND: ClassVar[str] = "learn"
    SCOPE: ClassVar[str] = "session"
    ENTRY = SamplesResponseEntry

    entries: tuple[SamplesResponseEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class TraceRequest(Message):
    """Fetches points of a captured trajectory.

    Point 0 is the initial condition as it was converted.
    """

    NAME: ClassVar[str] = "trace"
    FIELDS = (
        field("trajectory", "u16"),
        field("first", "u16"),
        field("count", "u8", minimum=1, maximum=52),
    )
    STRUCT = struct.Struct("<HHB")
    CODE: ClassVar[int] = 0x3B
    KIND: ClassVar[str] = "learn"
    SCOPE: ClassVar[str] = "session"

    trajectory: int
    first: int
    count: int


@dataclass(frozen=True, slots=True)
class TraceResponseEntry(Record):
    """What comes back for one item of `trace`."""

    NAME: ClassVar[str] = "trace.entries"
    FIELDS = (field("x", "u16", count=2),)
    STRUCT = struct.Struct("<HH")

    x: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TraceResponse(Message):
    """Answer to `trace`."""

    NAME: ClassVar[str] = "trace"
    FIELDS = ()
    STRUCT = struct.Struct("<")
    CODE: ClassVar[int] = 0x3B
    KIND: ClassVar[str] = "learn"
    SCOPE: ClassVar[str] = "session"
    ENTRY = TraceResponseEntry

    entries: tuple[TraceResponseEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class AdvanceRequest(Message):
    """Lets virtual time pass.

    Only a simulated board can do that.
    """

    NAME: ClassVar[str] = "advance"
    FIELDS = (field("duration_us", "u64", minimum=1),)
    STRUCT = struct.Struct("<Q")
    CODE: ClassVar[int] = 0x70
    KIND: ClassVar[str] = "act"
    SCOPE: ClassVar[str] = "session"

    duration_us: int


@dataclass(frozen=True, slots=True)
class AdvanceResponse(Message):
    """Answer to `advance`."""

    NAME: ClassVar[str] = "advance"
    FIELDS = (field("time_us", "u64"),)
    STRUCT = struct.Struct("<Q")
    CODE: ClassVar[int] = 0x70
    KIND: ClassVar[str] = "act"
    SCOPE: ClassVar[str] = "session"

    time_us: int


STATUSES: dict[int, Status] = {
    0: Status(0, "ok", (), "done"),
    1: Status(
        1,
        "unknown_code",
        (("code", "u8"),),
        "the board does not know message code {code}; board and host are of different versions",
    ),
    2: Status(
        2,
        "bad_length",
        (("length", "u16"), ("expected", "u16")),
        "the payload has {length} bytes, the message needs {expected}",
    ),
    3: Status(
        3,
        "out_of_range",
        (
            ("field", "u8"),
            ("entry", "u16"),
            ("value", "i32"),
            ("minimum", "i32"),
            ("maximum", "i32"),
        ),
        "field {field_name} (entry {entry}) is {value}, allowed are {minimum} to {maximum}",
    ),
    4: Status(
        4,
        "bad_sequence",
        (("expected", "u32"),),
        "the board expects sequence number {expected}; the request was not executed",
    ),
    5: Status(
        5,
        "bad_session",
        (("session", "u16"),),
        "the session has ended (the board is in session {session}); open it again with hello",
    ),
    6: Status(
        6,
        "not_armed",
        (),
        "voltages above the read level need an armed board; arm it first",
    ),
    7: Status(
        7,
        "safe_state",
        (("reason", "u8"),),
        "the board is in its safe state ({reason_name}); clear it before driving anything",
    ),
    8: Status(
        8,
        "over_limit",
        (("field", "u8"), ("entry", "u16"), ("value", "u32"), ("limit", "u32")),
        "field {field_name} of entry {entry} is {value}, the board's limit is {limit}; nothing of"
        " the batch was driven",
    ),
    9: Status(
        9,
        "busy",
        (("run_id", "u16"),),
        "run {run_id} is in progress; wait for it or stop it",
    ),
    10: Status(
        10,
        "not_ready",
        (("part", "u8"),),
        "a run still needs its {part_name}; load them first",
    ),
    11: Status(
        11,
        "crc_mismatch",
        (("expected", "u32"), ("found", "u32")),
        "the stored waveforms have CRC {found:#010x}, the host announced {expected:#010x}; load"
        " them again",
    ),
    12: Status(
        12,
        "pulse_budget",
        (("entry", "u16"), ("count", "u32"), ("limit", "u32")),
        "the cell of entry {entry} has had {count} pulses of the {limit} that a session may give"
        " it; nothing of the batch was driven",
    ),
    13: Status(13, "not_supported", (), "this board cannot do that"),
    14: Status(
        14,
        "no_data",
        (("first", "u16"), ("available", "u16")),
        "asked from position {first}, but only {available} are there",
    ),
    15: Status(
        15,
        "interlock_open",
        (),
        "the interlock is open; close it before driving anything above the read level",
    ),
    16: Status(
        16,
        "front_end",
        (("detail", "u16"),),
        "the analog front end reported fault {detail}; outputs are at their safe values",
    ),
}

REQUESTS: dict[int, type[Message]] = {
    0x01: HelloRequest,
    0x02: StopRequest,
    0x03: KeepAliveRequest,
    0x10: StatusRequest,
    0x11: LimitsLowerRequest,
    0x12: ArmRequest,
    0x13: DisarmRequest,
    0x14: SafeClearRequest,
    0x20: PulseReadRequest,
    0x21: ReadRequest,
    0x22: LoopbackRequest,
    0x23: ReadReferenceRequest,
    0x24: LineCheckRequest,
    0x25: MultiplyRequest,
    0x30: WaveBeginRequest,
    0x31: WaveLoadRequest,
    0x32: WaveClassRequest,
    0x33: WaveCommitRequest,
    0x34: LoopLayerRequest,
    0x35: InitialRequest,
    0x36: ProbeRequest,
    0x38: RunRequest,
    0x39: ProgressRequest,
    0x3A: SamplesRequest,
    0x3B: TraceRequest,
    0x70: AdvanceRequest,
}

RESPONSES: dict[int, type[Message]] = {
    0x01: HelloResponse,
    0x02: StopResponse,
    0x03: KeepAliveResponse,
    0x10: StatusResponse,
    0x11: LimitsLowerResponse,
    0x12: ArmResponse,
    0x13: DisarmResponse,
    0x14: SafeClearResponse,
    0x20: PulseReadResponse,
    0x21: ReadResponse,
    0x22: LoopbackResponse,
    0x23: ReadReferenceResponse,
    0x24: LineCheckResponse,
    0x25: MultiplyResponse,
    0x30: WaveBeginResponse,
    0x31: WaveLoadResponse,
    0x32: WaveClassResponse,
    0x33: WaveCommitResponse,
    0x34: LoopLayerResponse,
    0x35: InitialResponse,
    0x36: ProbeResponse,
    0x38: RunResponse,
    0x39: ProgressResponse,
    0x3A: SamplesResponse,
    0x3B: TraceResponse,
    0x70: AdvanceResponse,
}
