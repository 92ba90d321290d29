"""The C side of `messages.yaml` and of a board description, for `firmware/src`.

`protocols.codegen` writes and checks these files together with the Python ones. C structs hold the
fixed fields of a message; entries are packed and unpacked one at a time, so a payload is never
copied. Which values a field may have is a table that one function of the firmware goes through
before a handler sees the request, with the same field numbers as `protocols.codec`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from protocols.energy import ENERGY_UNIT, energy_code, energy_corner
from protocols.hardware import LADDER_STEPS, BoardDescription, OperationLimits

DAC_GAIN_MARGIN = 0.01
"""Hard limits hold for every converter gain within this; the simulator's default is the same."""
DAC_OFFSET_MARGIN_CODES = 6.0

_SIZES = {"u8": 1, "u16": 2, "u32": 4, "u64": 8, "i16": 2, "i32": 4}
_TYPES = {
    "u8": "uint8_t",
    "u16": "uint16_t",
    "u32": "uint32_t",
    "u64": "uint64_t",
    "i16": "int16_t",
    "i32": "int32_t",
}
_BANNER = (
    "/* Generated from {source} by protocols.codegen; do not edit. */\n/* clang-format off */\n"
)
Item = dict[str, Any]


def size_of(item: Item) -> int:
    """Bytes of one field on the wire."""
    kind: str = item["type"]
    return int(kind[5:]) if kind.startswith("bytes") else _SIZES[kind] * int(item.get("count", 1))


def _plain(items: list[Item]) -> list[Item]:
    return [item for item in items if "entries" not in item]


def _nested(items: list[Item]) -> list[Item]:
    return next((item["entries"] for item in items if "entries" in item), [])


def _record_bytes(items: list[Item]) -> int:
    return sum(size_of(item) for item in items)


# --- header ----------------------------------------------------------------------------------


def render_header(description: Item, fingerprint: int) -> str:
    """The text of `messages.h`."""
    parts = [
        _BANNER.format(source="protocols/messages.yaml"),
        "#ifndef MESSAGES_H\n#define MESSAGES_H\n",
        '#include <stddef.h>\n#include <stdint.h>\n\n#include "bytes.h"\n',
        f"#define MSG_PROTOCOL_VERSION {description['version']}u",
        f"#define MSG_FINGERPRINT 0x{fingerprint:08x}u",
        f"#define MSG_PAYLOAD_BYTES {description['payload_bytes']}u",
        f"#define MSG_COUNT {len(description['messages'])}u\n",
        *(_c_enum(name, body) for name, body in description["enums"].items()),
        _codes(description),
        _TABLE_TYPES,
        *(_status_packer(status) for status in description["statuses"]),
        *(_message_c(message) for message in description["messages"]),
        "#endif",
    ]
    return "\n".join(parts) + "\n"


def _c_enum(name: str, body: Item) -> str:
    values = ", ".join(f"{name.upper()}_{key.upper()} = {v}" for key, v in body["values"].items())
    return f"/* {body['doc']} */\nenum {{ {values} }};\n"


def _codes(description: Item) -> str:
    messages = description["messages"]
    codes = "\n".join(f"    MSG_{m['name'].upper()} = 0x{m['code']:02x}," for m in messages)
    index = "\n".join(f"    MSG_INDEX_{m['name'].upper()}," for m in messages)
    statuses = "\n".join(
        f"    STATUS_{s['name'].upper()} = {s['code']}, /* {s['sentence']} */"
        for s in description["statuses"]
    )
    longest = max(
        1 + sum(_SIZES[kind] for _, kind in s.get("args", [])) for s in description["statuses"]
    )
    return (
        f"enum {{\n{codes}\n}};\n\nenum {{\n{index}\n}};\n\nenum {{\n{statuses}\n}};\n"
        f"#define STATUS_BYTES_MAX {longest}u\n"
    )


_TABLE_TYPES = """enum { MSG_LEARN = 0, MSG_ACT = 1 };
enum { MSG_SESSION = 0, MSG_ANY = 1 };

/* The values that a field may have, where its type alone allows more. */
typedef struct {
    uint8_t field;  /* number of the field in its message or entry */
    uint8_t offset; /* bytes from the start of the fields or of the entry */
    uint8_t size;   /* bytes of one value */
    uint8_t count;
    int32_t minimum; /* negative: the values are signed */
    uint32_t maximum;
} msg_range_t;

typedef struct {
    uint8_t code;
    uint8_t kind;
    uint8_t scope;
    uint8_t head_bytes;           /* of the request's fixed fields */
    uint8_t entry_bytes;          /* 0: no entries */
    uint8_t response_head_bytes;  /* the status byte apart */
    uint8_t response_entry_bytes;
    uint8_t head_ranges;  /* how many */
    uint8_t entry_ranges;
    uint8_t first_range; /* head's, then the entry's, in MSG_RANGES */
} msg_info_t;

extern const msg_info_t MSG_TABLE[MSG_COUNT];
extern const msg_range_t MSG_RANGES[];
"""


def _status_packer(status: Item) -> str:
    args = status.get("args", [])
    name = status["name"]
    if not args:
        return ""
    parameters = "".join(f", {_TYPES[kind]} {arg}" for arg, kind in args)
    lines, at = [f"    out[0] = STATUS_{name.upper()};"], 1
    for arg, kind in args:
        lines.append(_put(f"out + {at}", kind, arg))
        at += _SIZES[kind]
    body = "\n".join([*lines, f"    return {at};"])
    return f"static inline size_t status_{name}(uint8_t *out{parameters}) {{\n{body}\n}}\n"


def _put(where: str, kind: str, value: str) -> str:
    unsigned = kind.replace("i", "u")
    cast = f"({_TYPES[unsigned]}){value}" if unsigned != kind else value
    return f"    put_{unsigned}({where}, {cast});"


def _get(where: str, kind: str) -> str:
    unsigned = kind.replace("i", "u")
    value = f"get_{unsigned}({where})"
    return f"({_TYPES[kind]}){value}" if unsigned != kind else value


def _message_c(message: Item) -> str:
    out = [f"/* {message['name']}: {message['doc']} */"]
    for side, render in (("request", _unpacker), ("response", _packer)):
        name = f"{message['name']}_{side}"
        plain, nested = _plain(message[side]), _nested(message[side])
        for items, stem, size in (
            (plain, name, name.upper() + "_BYTES"),
            (nested, f"{name}_entry", name.upper() + "_ENTRY_BYTES"),
        ):
            if items:
                out.append(f"#define {size} {_record_bytes(items)}u")
                out.append(_struct(stem, items) + render(stem, items))
    return "\n".join(out) + "\n"


def _struct(name: str, items: list[Item]) -> str:
    lines = []
    for item in items:
        kind, count = item["type"], item.get("count", 1)
        if kind.startswith("bytes"):
            kind, count = "u8", int(kind[5:])
        array = f"[{count}]" if count != 1 else ""
        unit = f" /* {item['unit']} */" if "unit" in item else ""
        lines.append(f"    {_TYPES[kind]} {item['name']}{array};{unit}")
    body = "\n".join(lines)
    return f"typedef struct {{\n{body}\n}} {name}_t;\n"


def _lines(items: list[Item], scalar: Callable[[str, str, str], str]) -> list[str]:
    """One statement per field; `scalar` renders (place in the payload, type, member)."""
    lines, at = [], 0
    for item in items:
        kind, count, name = item["type"], item.get("count", 1), item["name"]
        if kind.startswith("bytes"):
            kind, count = "u8", int(kind[5:])
        if count == 1:
            lines.append("    " + scalar(f"p + {at}", kind, name))
        else:
            inner = scalar(f"p + {at} + i * {_SIZES[kind]}", kind, f"{name}[i]")
            lines.append(f"    for (size_t i = 0; i < {count}; i++) {{ {inner} }}")
        at += size_of(item)
    return lines


def _unpacker(name: str, items: list[Item]) -> str:
    def scalar(where: str, kind: str, member: str) -> str:
        return f"out->{member} = {_get(where, kind)};"

    body = "\n".join(_lines(items, scalar))
    head = f"static inline void {name}_unpack(const uint8_t *p, {name}_t *out) {{"
    return f"{head}\n{body}\n}}\n"


def _packer(name: str, items: list[Item]) -> str:
    def scalar(where: str, kind: str, member: str) -> str:
        return _put(where, kind, f"in->{member}").strip()

    body = "\n".join(_lines(items, scalar))
    head = f"static inline void {name}_pack(const {name}_t *in, uint8_t *p) {{"
    return f"{head}\n{body}\n}}\n"


# --- tables ----------------------------------------------------------------------------------


def render_source(description: Item) -> str:
    """The text of `messages.c`."""
    ranges: list[str] = []
    rows = [_row(message, ranges) for message in description["messages"]]
    table = "\n".join(rows)
    listed = "\n".join(ranges)
    return (
        _BANNER.format(source="protocols/messages.yaml")
        + '#include "messages.h"\n\n'
        + f"const msg_range_t MSG_RANGES[] = {{\n{listed}\n}};\n\n"
        + f"const msg_info_t MSG_TABLE[MSG_COUNT] = {{\n{table}\n}};\n"
    )


def _row(message: Item, ranges: list[str]) -> str:
    request, response = message["request"], message["response"]
    first = len(ranges)
    head = _ranges(_plain(request))
    entry = _ranges(_nested(request))
    ranges += head + entry
    numbers = [
        f"0x{message['code']:02x}",
        f"MSG_{message['kind'].upper()}",
        f"MSG_{message['scope'].upper()}",
        *(_record_bytes(part) for part in (_plain(request), _nested(request))),
        *(_record_bytes(part) for part in (_plain(response), _nested(response))),
        len(head),
        len(entry),
        first,
    ]
    cells = ", ".join(str(number) for number in numbers)
    return f"    [MSG_INDEX_{message['name'].upper()}] = {{{cells}}},"


def _ranges(items: list[Item]) -> list[str]:
    """Rows of the range table: the fields whose type alone allows too much."""
    rows, at = [], 0
    for number, item in enumerate(items):
        if "min" in item or "max" in item:
            size = _SIZES[item["type"]]
            maximum = min(item.get("max", (1 << 8 * size) - 1), 0xFFFFFFFF)
            minimum, count = item.get("min", 0), item.get("count", 1)
            cells = f"{number}, {at}, {size}, {count}, {minimum}, {maximum}u"
            rows.append(f"    {{{cells}}}, /* {item['name']} */")
        at += size_of(item)
    return rows


# --- board description -----------------------------------------------------------------------


def limit_code(volts: float, board: BoardDescription) -> int:
    """The largest code that stays at or below `volts` for every converter within the margins."""
    full = board.converters.pulse_full_scale_volts * (1.0 + DAC_GAIN_MARGIN)
    code = math.floor(volts / full * board.code_max - DAC_OFFSET_MARGIN_CODES)
    return max(0, min(board.code_max, code))


def limit_multiply(board: BoardDescription) -> int:
    """The largest distance from the middle of a row's code that stays at the read level."""
    full = board.converters.multiply_full_scale_volts * (1.0 + DAC_GAIN_MARGIN)
    code = math.floor(board.limits.read_volts / full * board.code_zero - DAC_OFFSET_MARGIN_CODES)
    return max(0, min(board.code_zero - 1, code))


def limit_energy(part: OperationLimits, board: BoardDescription) -> int:
    """The energy limit of an operation on the wire, for every converter within the margins."""
    limits, line_max = board.limits, limit_code(board.limits.line_volts_of(part), board)
    ticks = _ticks(part, board)
    if part.energy_joules is None:
        return energy_corner(line_max, ticks)
    step = board.converters.pulse_full_scale_volts * (1.0 + DAC_GAIN_MARGIN) / board.code_max
    volts = [(code + DAC_OFFSET_MARGIN_CODES) * step for code in range(line_max + 1)]
    tick_s = board.converters.width_tick_s
    return energy_code(part.energy_joules, limits.cell_siemens, tick_s, volts, ticks)


def _ticks(part: OperationLimits, board: BoardDescription) -> int:
    return math.floor(part.width_s / board.converters.width_tick_s + 1e-9)


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)


def render_limits(board: BoardDescription) -> str:
    """The text of `board_limits.h`: what is compiled into the firmware of one kind of board."""
    limits, timing, loop = board.limits, board.timing, board.loop
    numbers: dict[str, int] = {
        "ROWS": board.rows,
        "COLUMNS": board.columns,
        "CODE_MAX": board.code_max,
        "CODE_ZERO": board.code_zero,
        "HIDDEN_WIDTH": loop.hidden_width,
        "LADDER_STEPS": LADDER_STEPS,
        "READ_CODE_MAX": limit_code(limits.read_volts, board),
        "MULTIPLY_CODE_MAX": limit_multiply(board),
        **_operation("SET", limits.set, board),
        **_operation("RESET", limits.reset, board),
        **_operation("FORM", limits.form, board),
        "ENERGY_UNIT": ENERGY_UNIT,
        "PULSES_PER_CELL_MAX": limits.pulses_per_cell,
        "ARM_MS_MAX": round(limits.arm_s * 1e3),
        "WATCHDOG_MS": round(limits.watchdog_s * 1e3),
        "TICK_US": round(loop.tick_s * 1e6),
        "WIDTH_TICK_NS": _nanoseconds(board.converters.width_tick_s),
        "PULSE_OVERHEAD_NS": _nanoseconds(timing.pulse_overhead_s),
        "READ_NS": _nanoseconds(timing.read_s),
        "VECTOR_NS": _nanoseconds(timing.vector_s),
        "RUN_OVERHEAD_NS": _nanoseconds(timing.run_overhead_s),
        "PRESET_SETTLE_NS": _nanoseconds(loop.preset_settle_s),
        "BAUD": timing.baud,
    }
    lines = [f"#define BOARD_{name} {value}u" for name, value in numbers.items()]
    lines.append(f"#define BOARD_FRAME_OVERHEAD_S {timing.frame_overhead_s!r}")
    return (
        _BANNER.format(source=f"protocols/boards/{board.name}.yaml")
        + "#ifndef BOARD_LIMITS_H\n#define BOARD_LIMITS_H\n\n"
        + "/* The limits hold for every converter gain and offset within the stated margins. */\n"
        + "\n".join(lines)
        + "\n\n#endif\n"
    )


def _operation(name: str, part: OperationLimits, board: BoardDescription) -> dict[str, int]:
    limits = board.limits
    return {
        f"{name}_GATE_MAX": limit_code(limits.gate_volts_of(part), board),
        f"{name}_LINE_MAX": limit_code(limits.line_volts_of(part), board),
        f"{name}_WIDTH_MAX": _ticks(part, board),
        f"{name}_ENERGY_MAX": limit_energy(part, board),
    }
