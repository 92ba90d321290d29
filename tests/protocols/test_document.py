"""The examples in PROTOCOL.md are real frames, and its drawing is the one that is implemented."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from protocols import frame, messages

TEXT = (Path(messages.__file__).parent / "PROTOCOL.md").read_text(encoding="utf-8")
LINES = [bytes.fromhex(line) for line in re.findall(r"^on the line +([0-9a-f ]+)$", TEXT, re.M)]
PLAIN = re.findall(r"^before stuffing +([0-9a-f |]+)$", TEXT, re.M)

WANTED = [
    frame.Frame(0x1234, 1, 0x12, messages.ArmRequest(1000).pack()),
    frame.Frame(0x1234, 1, 0x92, b"\x00" + messages.ArmResponse(2_500_000).pack()),
    frame.Frame(0x1234, 1, 0x92, messages.STATUSES[7].pack(messages.SafeReason.STOP)),
    frame.Frame(0, 0, messages.StopRequest.CODE, b""),
]


@pytest.mark.parametrize(("line", "wanted"), list(zip(LINES, WANTED, strict=True)))
def test_examples_on_the_line(line, wanted):
    decoder = frame.Decoder()
    assert decoder.feed(line) == [wanted]
    assert decoder.dropped == 0
    assert line.lstrip(b"\x00") == frame.encode(wanted)


@pytest.mark.parametrize(("text", "line"), list(zip(PLAIN, LINES, strict=False)))
def test_examples_before_stuffing(text, line, oracle):
    assert oracle.unstuff(line[:-1]) == bytes.fromhex(text.replace("|", " "))


def test_numbers_in_the_text():
    assert f"at most {frame.MAX_FRAME_BYTES:,}" in TEXT
    assert f"shorter than {frame.OVERHEAD_BYTES} bytes" in TEXT
    assert {m.NAME for m in messages.REQUESTS.values() if m.SCOPE == "any"} == {
        "hello",
        "stop",
        "keep_alive",
    }
    assert [f.name for f in messages.HelloResponse.FIELDS[:4]] == [
        "nonce",
        "session",
        "protocol_version",
        "fingerprint",
    ]


def test_every_safe_reason_is_explained():
    for reason in messages.SafeReason:
        if reason is not messages.SafeReason.NONE:
            assert f"| {reason.name.lower()} |" in TEXT
