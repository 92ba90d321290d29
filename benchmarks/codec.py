"""What a frame costs: byte stuffing and CRC in C against pure Python, side by side in one process.

    python benchmarks/codec.py [--quick] [--json FILE]

Answers three questions: is the C core of the `cobs` package in use (it falls back to pure Python
without a word), what is it worth, and how many frames of what kind does a host pack and unpack in a
second. Exits with 1 when the C core is missing or a bar below is missed. The bars are ratios within
one run, because times depend on the machine; Python's side is the package's own fall-back and a
table-driven CRC.
"""

from __future__ import annotations

import random
import sys
import timeit
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cobs import cobs
from cobs.cobs import _cobs_py

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

from _common import finish, option_parser

from protocols import frame, messages

SIZES = (24, 231, 1000)  # a small request, the largest frame of the default payload, a long one
BARS = {"encode": 10.0, "decode": 10.0, "crc32": 20.0}  # C against Python at 231 bytes


def crc_table() -> list[int]:
    """The 256 remainders of CRC-32, polynomial 0xEDB88320 (reflected)."""
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0xEDB88320 if crc & 1 else 0)
        table.append(crc)
    return table


TABLE = crc_table()


def python_crc32(data: bytes) -> int:
    """CRC-32 by table, one byte at a time: what `zlib.crc32` replaces."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def seconds(call: Callable[[], Any], budget_s: float) -> float:
    """Best time of one call over five rounds that share the budget."""
    timer = timeit.Timer(call)
    number, taken = timer.autorange()
    per_round = max(1, int(budget_s / 5 / (taken / number)))
    return min(timer.repeat(5, per_round)) / per_round


def compare(data: bytes, budget_s: float) -> dict[str, tuple[float, float]]:
    """Seconds in C and in Python for the three steps."""
    stuffed = cobs.encode(data)
    pairs: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
        "encode": (lambda: cobs.encode(data), lambda: _cobs_py.encode(data)),
        "decode": (lambda: cobs.decode(stuffed), lambda: _cobs_py.decode(stuffed)),
        "crc32": (lambda: zlib.crc32(data), lambda: python_crc32(data)),
    }
    out = {}
    for name, (fast, slow) in pairs.items():
        if fast() != slow():
            raise SystemExit(f"{name}: C and Python disagree")
        out[name] = (seconds(fast, budget_s), seconds(slow, budget_s))
    return out


def frames_per_second(budget_s: float) -> dict[str, float]:
    """Whole frames: request packed and framed, response found in the stream and unpacked."""
    entry = messages.PulseReadRequestEntry(1, 2, 0, 1000, 2000, 10)
    count = messages.PulseReadRequest.entries_per_payload(messages.PAYLOAD_BYTES)
    pulses = messages.PulseReadRequest(163, (entry,) * count)
    answer = messages.PulseReadResponse(1, (messages.PulseReadResponseEntry(99),) * count)
    arm = messages.ArmRequest(1000)
    whole = frame.encode(frame.Frame(1, 2, 0xA0, b"\x00" + answer.pack()))

    def receive() -> None:
        (one,) = frame.Decoder().feed(whole)
        messages.PulseReadResponse.unpack(one.payload[1:])

    calls: dict[str, Callable[[], Any]] = {
        f"send pulse_read of {count} pulses": lambda: frame.encode(
            frame.Frame(1, 2, 0x20, pulses.pack())
        ),
        "send arm": lambda: frame.encode(frame.Frame(1, 2, 0x12, arm.pack())),
        f"receive {count} readings": receive,
    }
    return {name: 1.0 / seconds(call, budget_s) for name, call in calls.items()}


def report(steps: dict[int, dict[str, tuple[float, float]]], frames: dict[str, float]) -> None:
    """The tables on the screen."""
    print(f"cobs: {'C core' if frame.cobs_in_c() else 'PURE PYTHON (no C core found)'}")
    print(f"{'step':8} {'bytes':>6} {'C us':>9} {'Python us':>10} {'ratio':>7}")
    for size, found in steps.items():
        for name, (fast, slow) in found.items():
            print(f"{name:8} {size:6} {fast * 1e6:9.3f} {slow * 1e6:10.2f} {slow / fast:6.0f}x")
    print()
    for name, rate in frames.items():
        print(f"{name:32} {rate:10,.0f} frames/s")


def missed(found: dict[str, tuple[float, float]]) -> list[str]:
    """Bars that were missed at the size of a full frame."""
    out = (
        [] if frame.cobs_in_c() else ["the C core of cobs is missing: reinstall it with a compiler"]
    )
    for name, bar in BARS.items():
        ratio = found[name][1] / found[name][0]
        if ratio < bar:
            out.append(f"{name}: C is {ratio:.1f} times as fast as Python, the bar is {bar:g}")
    return out


def main(arguments: list[str]) -> int:
    """Measure, print, write, judge."""
    asked = option_parser(__doc__, "a tenth of the time").parse_args(arguments)
    budget_s = 0.02 if asked.quick else 0.2
    rng = random.Random(1)
    steps = {size: compare(rng.randbytes(size), budget_s) for size in SIZES}
    frames = frames_per_second(budget_s)
    report(steps, frames)
    figures = {
        "cobs_in_c": frame.cobs_in_c(),
        "steps": [
            {"step": name, "bytes": size, "c_s": fast, "python_s": slow, "ratio": slow / fast}
            for size, found in steps.items()
            for name, (fast, slow) in found.items()
        ],
        "frames_per_second": frames,
    }
    return finish(asked.json, figures, missed(steps[231]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
