"""The golden vectors against the implementation, and against a second one that shares no code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from protocols import frame, messages
from protocols.codec import Message

ROOT = Path(__file__).parents[2]
DESCRIPTION = yaml.safe_load((ROOT / "protocols" / "messages.yaml").read_text())


def read(name: str) -> list[dict]:
    return json.loads((ROOT / "tests" / "golden" / name).read_text())["vectors"]


def by_name(vectors):
    return [pytest.param(vector, id=vector["name"]) for vector in vectors]


def side_of(vector) -> list[dict]:
    (message,) = (m for m in DESCRIPTION["messages"] if m["name"] == vector["message"])
    return message[vector["side"]]


def build(kind, fields: dict):
    """A message from the values in a vector."""
    values = {}
    for spec in kind.FIELDS:
        value = fields[spec.name]
        if spec.type.startswith("bytes"):
            value = bytes.fromhex(value)
        values[spec.name] = tuple(value) if isinstance(value, list) else value
    if "entries" in fields:
        values["entries"] = tuple(build(kind.ENTRY, entry) for entry in fields["entries"])
    return kind(**values)


def kind_of(vector) -> type[Message]:
    table = messages.REQUESTS if vector["side"] == "request" else messages.RESPONSES
    return table[vector["code"] & ~frame.RESPONSE_BIT]


@pytest.mark.parametrize("vector", by_name(read("messages.json")))
def test_message(vector, oracle):
    status = b"" if vector["side"] == "request" else b"\x00"
    payload = bytes.fromhex(vector["payload"])
    message = build(kind_of(vector), vector["fields"])
    assert status + message.pack() == payload
    assert kind_of(vector).unpack(payload[len(status) :]) == message
    assert status + oracle.pack(side_of(vector), vector["fields"]) == payload


@pytest.mark.parametrize("vector", by_name(read("messages.json")))
def test_frame_of_message(vector, oracle):
    whole = bytes.fromhex(vector["frame"])
    parts = (
        vector["session"],
        vector["sequence"],
        vector["code"],
        bytes.fromhex(vector["payload"]),
    )
    assert frame.encode(frame.Frame(*parts)) == whole
    assert frame.decode(whole[:-1]) == frame.Frame(*parts)
    assert oracle.frame(*parts) == whole
    assert len(parts[3]) <= messages.PAYLOAD_BYTES


@pytest.mark.parametrize("vector", by_name(read("statuses.json")))
def test_status(vector, oracle):
    status = messages.STATUSES[vector["status"]]
    payload = bytes.fromhex(vector["payload"])
    assert status.pack(*vector["arguments"].values()) == payload
    assert status.unpack(payload) == vector["arguments"]
    (described,) = (s for s in DESCRIPTION["statuses"] if s["code"] == vector["status"])
    fields = [{"name": name, "type": kind} for name, kind in described.get("args", [])]
    assert bytes([vector["status"]]) + oracle.pack(fields, vector["arguments"]) == payload


@pytest.mark.parametrize("vector", by_name(read("cobs.json")))
def test_cobs(vector, oracle):
    decoded, encoded = bytes.fromhex(vector["decoded"]), bytes.fromhex(vector["encoded"])
    assert frame.cobs.encode(decoded) == encoded
    assert frame.cobs.decode(encoded) == decoded
    assert oracle.stuff(decoded) == encoded
    assert oracle.unstuff(encoded) == decoded
    assert 0 not in encoded


@pytest.mark.parametrize("vector", by_name(read("streams.json")))
def test_stream(vector, oracle):
    stream = bytes.fromhex(vector["stream"])
    wanted = [
        frame.Frame(f["session"], f["sequence"], f["code"], bytes.fromhex(f["payload"]))
        for f in vector["frames"]
    ]
    decoder = frame.Decoder()
    assert decoder.feed(stream) == wanted
    assert decoder.dropped == vector["dropped"]
    found = []
    for block in stream.split(b"\x00")[:-1]:
        body = oracle.unstuff(block)
        if len(body) >= 11 and len(block) <= frame.MAX_FRAME_BYTES:
            crc = int.from_bytes(body[-4:], "little")
            if oracle.crc32(body[:-4]) == crc:
                found.append(body[:-4])
    assert [oracle.frame(f.session, f.sequence, f.code, f.payload) for f in wanted] == [
        oracle.stuff(body + oracle.number(oracle.crc32(body), "u32")) + b"\x00" for body in found
    ]


def test_the_oracle_is_the_published_crc(oracle):
    assert oracle.crc32(b"123456789") == 0xCBF43926


def test_every_message_has_vectors_of_both_sides():
    vectors = {(v["message"], v["side"]) for v in read("messages.json")}
    wanted = {
        (m["name"], side) for m in DESCRIPTION["messages"] for side in ("request", "response")
    }
    assert vectors == wanted


def test_every_status_has_a_vector():
    assert {v["status"] for v in read("statuses.json")} == set(messages.STATUSES) - {0}


@pytest.mark.parametrize("name", ["messages.json", "statuses.json", "cobs.json", "streams.json"])
def test_vector_names_are_unique(name):
    names = [v["name"] for v in read(name)]
    assert len(names) == len(set(names))
