"""Checks of the wire: who answers, sessions, numbers, repetition, refusals at the door."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drivers.identity import Identity, OperationCodes
from drivers.transfer import Curves
from hil.jobs.selftest_subject import Subject
from protocols import messages
from protocols.errors import BoardError
from protocols.messages import KeepAliveRequest, KeepAliveResponse, StatusRequest

STATUSES_SENT = 3
PAYLOAD_BYTES_MIN = 64
UNKNOWN_CODE = max(set(range(1, 0x80)) - set(messages.REQUESTS))
WIDTH_ROUNDING = 1e-9


def hello(subject: Subject) -> str:
    """It answers in this checkout's protocol, and a repeated `hello` changes nothing."""
    line = subject.line
    line.open()
    again = line.greet()
    if again != line.hello:
        raise BoardError("a repeated hello was answered otherwise than the first")
    line.status()
    return (
        f"protocol version {line.hello.protocol_version}, fingerprint"
        f" {line.hello.fingerprint:#010x}: those of this checkout"
    )


def identity(subject: Subject) -> str:
    """Array and limits are those of the description; no limit of the board is higher."""
    found = Identity.of(subject.line.hello)
    stated = subject.description
    if (found.rows, found.columns) != (stated.rows, stated.columns):
        raise BoardError(
            f"it has {found.rows} x {found.columns} cells, the description {stated.name!r} says"
            f" {stated.rows} x {stated.columns}"
        )
    if not found.build:
        raise BoardError("its build has no name")
    if found.payload_bytes < PAYLOAD_BYTES_MIN:
        raise BoardError(f"it takes payloads of {found.payload_bytes} bytes only")
    curves = Curves.nominal(stated)
    over = _over("read", curves.pulse_volts.to_si(found.read_code_max), stated.limits.read_volts)
    for operation, codes in found.limits.items():
        over += _over_limits(operation.name.lower(), codes, curves, subject)
    if over:
        raise BoardError(f"its limits are higher than described: {', '.join(over)}")
    return f"{found}; limits as described or lower"


def _over_limits(name: str, codes: OperationCodes, curves: Curves, subject: Subject) -> list[str]:
    stated = getattr(subject.description.limits, name)
    volts = curves.pulse_volts
    return [
        *_over(f"{name} gate", volts.to_si(codes.gate_code_max), stated.gate_volts),
        *_over(f"{name} line", volts.to_si(codes.line_code_max), stated.line_volts),
        *_over(f"{name} width", curves.width.to_si(codes.width_ticks_max), stated.width_s),
    ]


def _over(name: str, value: NDArray[np.float64], limit: float) -> list[str]:
    found = float(value)
    return [f"{name} {found:.6g} > {limit:.6g}"] if found > limit * (1 + WIDTH_ROUNDING) else []


def keep_alive(subject: Subject) -> str:
    """It is answered without a session, and the board's clock does not go back."""
    times = [subject.line.good(KeepAliveRequest(), KeepAliveResponse).time_us for _ in range(3)]
    if times != sorted(times):
        raise BoardError(f"the board's clock went back: {times} us")
    return f"answered three times; the board has been up for {times[-1] * 1e-6:.3f} s"


def counters(subject: Subject) -> str:
    """Good frames are counted one by one."""
    line = subject.line
    first = line.status().frames
    found = [line.status().frames - first for _ in range(STATUSES_SENT)]
    if found != list(range(1, STATUSES_SENT + 1)):
        raise BoardError(f"{STATUSES_SENT} frames were sent, the board counts {found}")
    return f"{STATUSES_SENT} frames were sent and as many were counted"


def exactly_once(subject: Subject) -> str:
    """A request that the line repeats is answered from memory, word for word."""
    line = subject.line
    before = line.status().repeated
    number, line.next = line.next, line.next + 1
    data, key = line.encode(StatusRequest(), number), _key(subject, number)
    first, second = line.collect(data, [key]) + line.collect(data, [key])
    after = line.status().repeated
    if first != second:
        raise BoardError("a repeated request was carried out again: the answers differ")
    if after - before != 1:
        raise BoardError(f"one request was repeated, the board counts {after - before}")
    return "a repeated request was answered from memory and counted"


def window(subject: Subject) -> str:
    """As many requests as the window allows, in one piece, are answered in order."""
    line = subject.line
    numbers = range(line.next, line.next + line.window)
    line.next += line.window
    data = b"".join(line.encode(StatusRequest(), number) for number in numbers)
    answers = line.collect(data, [_key(subject, number) for number in numbers])
    if [one.sequence for one in answers] != list(numbers):
        raise BoardError(f"answers came in the order {[one.sequence for one in answers]}")
    if any(one.payload[0] != 0 for one in answers):
        raise BoardError("a request within the window was refused")
    return f"{line.window} requests at once were answered in order"


def order(subject: Subject) -> str:
    """A number that is not due is not executed, and the right one is named."""
    line = subject.line
    due, line.next = line.next, line.next + 1
    line.refused_request(StatusRequest(), "bad_sequence")
    line.next = due
    line.status()
    return "a request with a wrong number was refused, the right one was taken"


def unknown_message(subject: Subject) -> str:
    """A code that is in no table is refused."""
    subject.line.refused(UNKNOWN_CODE, b"", "unknown_code")
    subject.line.status()
    return f"message {UNKNOWN_CODE:#04x} was refused"


def out_of_range(subject: Subject) -> str:
    """A field out of its range is refused with its limits."""
    kind = messages.ReadRequest
    spec = next(field for field in kind.FIELDS if field.name == "samples")
    bad = spec.maximum + 1
    payload = kind.STRUCT.pack(0, bad) + messages.ReadRequestEntry.STRUCT.pack(0, 0)
    _, found = subject.line.refused(kind.CODE, payload, "out_of_range")
    if (found["value"], found["maximum"]) != (bad, spec.maximum):
        raise BoardError(f"a read of {bad} samples was refused with the wrong numbers: {found}")
    return f"a read of {bad} samples was refused, {spec.maximum} are allowed"


def _key(subject: Subject, sequence: int) -> tuple[int, int, int]:
    return subject.line.hello.session, sequence, StatusRequest.CODE
