"""The seeds of the fuzzer: one short session per file, made of the golden requests.

python3 make_corpus.py GOLDEN_FOLDER CORPUS_FOLDER
"""

from __future__ import annotations

import json
import struct
import sys
import zlib
from pathlib import Path

FRAME, REQUEST, AGAIN, DIRECT = range(4)


def piece(kind: int, data: bytes) -> bytes:
    """One piece of the fuzzer's input."""
    return bytes([len(data), kind]) + data


def run_session() -> bytes:
    """Everything that a run needs, the run, and what it captured."""
    record = struct.pack("<19H", 2100, 2200, 30, *[2048] * 16)
    crc = zlib.crc32(bytes(28), zlib.crc32(record * 4))
    requests = [
        b"\x30" + struct.pack("<HI", 4, 5000),
        b"\x31" + struct.pack("<H", 0) + record * 4,
        b"\x33" + struct.pack("<I", crc),
        b"\x34" + struct.pack("<BHHHHBHH", 0, 0, 0, 3, 14, 1, 700, 0),
        b"\x34" + struct.pack("<BHHHHBHH", 1, 20, 0, 15, 14, 1, 700, 0),
        b"\x34" + struct.pack("<BHHHHBHH", 2, 40, 0, 15, 2, 1, 700, 0),
        b"\x35" + struct.pack("<H4H", 0, 1000, 2000, 3000, 4000),
        b"\x36" + struct.pack("<HHHB", 1, 1000, 2000, 2),
        b"\x38" + struct.pack("<HHHHBQIHH", 1, 0, 2, 4, 1, 99, 7, 2, 1),
        b"\x39",
        b"\x3a" + struct.pack("<HB", 0, 2),
        b"\x3b" + struct.pack("<HHB", 0, 0, 3),
    ]
    return b"".join(piece(REQUEST, request) for request in requests)


def pulse_session() -> bytes:
    """Arming, pulses, a repetition, time, stop."""
    pulse = struct.pack("<HHBHHI", 3, 4, 0, 900, 900, 100)
    requests = [
        b"\x12" + struct.pack("<I", 1000),
        b"\x20" + struct.pack("<H", 100) + pulse * 2,
        b"\x21" + struct.pack("<HB", 100, 4) + bytes([3, 4, 5, 6]),
        b"\x70" + struct.pack("<Q", 3_000_000),
        b"\x14\x03",
        b"\x11" + struct.pack("<BHHII", 0, 500, 500, 50, 2),
        b"\x10",
    ]
    out = b"".join(piece(REQUEST, request) for request in requests)
    return out + piece(AGAIN, requests[1]) + piece(DIRECT, b"\x02") + piece(DIRECT, b"\x13")


def main(golden: Path, corpus: Path) -> None:
    """Write the files."""
    corpus.mkdir(parents=True, exist_ok=True)
    vectors = json.loads((golden / "messages.json").read_text(encoding="utf-8"))["vectors"]
    by_style: dict[str, bytes] = {}
    for vector in vectors:
        if vector["side"] == "request":
            style = vector["name"].split()[-1]
            payload = bytes([vector["code"]]) + bytes.fromhex(vector["payload"])
            frame = bytes.fromhex(vector["frame"])
            both = piece(DIRECT, payload[:255]) + piece(FRAME, frame[:255])
            by_style[style] = by_style.get(style, b"") + both
    by_style |= {"run": run_session(), "pulse": pulse_session()}
    for name, content in by_style.items():
        (corpus / name).write_bytes(content)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
