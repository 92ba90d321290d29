"""House rules over messages.yaml and what is generated from it."""

from __future__ import annotations

import copy
import shutil
import subprocess
from pathlib import Path

import pytest

from protocols import codegen, messages
from protocols.codec import Record

DESCRIPTION = codegen.load(codegen.SOURCE.read_text(encoding="utf-8"))

# What a number counts or names has no unit; everything else is a quantity and needs one. The list
# is meant to shrink.
NO_UNIT = {
    "line", "probed",
    "board_serial", "build", "columns", "count", "crc", "differential", "done", "dropped",
    "fingerprint", "first", "first_column", "first_row", "frames", "inputs", "layer", "nonce",
    "outputs", "payload_bytes", "protocol_version", "pulses", "pulses_per_cell_max", "reads",
    "repeated", "resistor", "row", "column", "rows", "run_id", "samples", "scale", "seed",
    "session", "tick", "trace_count", "trace_points_max", "trajectories_max", "trajectory",
    "window",
}  # fmt: skip
UNITS = {"code", "ms", "us", "ticks", "ticks of 20 ns", "1024 code^2 ticks"}


def all_leaves():
    for message in DESCRIPTION["messages"]:
        for side in ("request", "response"):
            for item in message[side]:
                for leaf in item.get("entries", [item]):
                    yield pytest.param(leaf, id=f"{message['name']}.{side}.{leaf['name']}")


LEAVES = list(all_leaves())


def test_generated_files_are_not_stale(capsys):
    assert codegen.main(["--check"]) == 0, capsys.readouterr().err


def test_generated_python_is_formatted():
    ruff = shutil.which("ruff", path=str(Path(__import__("sys").executable).parent))
    if ruff is None:
        pytest.skip("ruff is not installed")
    done = subprocess.run([ruff, "format", "--check", codegen.TARGET], capture_output=True)
    assert done.returncode == 0, done.stdout.decode()


@pytest.mark.parametrize("leaf", LEAVES)
def test_a_quantity_has_a_unit(leaf):
    if "enum" in leaf or leaf["name"] in NO_UNIT:
        assert "unit" not in leaf
    else:
        assert leaf.get("unit") in UNITS


def test_exceptions_are_in_use():
    names = {param.values[0]["name"] for param in LEAVES}
    assert names >= NO_UNIT


@pytest.mark.parametrize("leaf", LEAVES)
def test_a_unit_in_a_name_is_the_unit(leaf):
    wanted = {"_us": "us", "_ms": "ms", "_code": "code", "width_ticks": "ticks of 20 ns"}
    for suffix, unit in wanted.items():
        if leaf["name"].endswith(suffix):
            assert leaf["unit"] == unit


@pytest.mark.parametrize(
    "message", [pytest.param(m, id=m["name"]) for m in DESCRIPTION["messages"]]
)
def test_message_is_described(message):
    assert message["kind"] in {"act", "learn"}
    assert message["scope"] in {"any", "session"}
    assert message["doc"].endswith(".")
    assert 0 < message["code"] < 0x80


def test_codes_are_unique():
    for table in ("messages", "statuses"):
        for key in ("code", "name"):
            found = [item[key] for item in DESCRIPTION[table]]
            assert len(found) == len(set(found))


def test_every_message_fits_into_a_payload():
    for request in messages.REQUESTS.values():
        response = messages.RESPONSES[request.CODE]
        for kind, room in (
            (request, messages.PAYLOAD_BYTES),
            (response, messages.PAYLOAD_BYTES - 1),
        ):
            assert kind.STRUCT.size <= room, kind
            if kind.ENTRY is not None:
                assert kind.entries_per_payload(room) >= 1, kind


def test_counted_answers_fit_into_a_payload():
    for name in ("samples", "trace"):
        (request,) = (m for m in messages.REQUESTS.values() if name == m.NAME)
        (count,) = (f for f in request.FIELDS if f.name == "count")
        fit = messages.RESPONSES[request.CODE].entries_per_payload(messages.PAYLOAD_BYTES - 1)
        assert count.maximum <= fit


def test_sentences_name_only_what_the_board_sends():
    helpers = {"field_name", "reason_name", "part_name"}
    for status in messages.STATUSES.values():
        arguments = {name: 1 for name, _ in status.arguments}
        text = status.sentence.format(**arguments, **dict.fromkeys(helpers, "x"))
        assert "{" not in text


def test_classes_agree_with_their_tables():
    for table in (messages.REQUESTS, messages.RESPONSES):
        for code, kind in table.items():
            assert code == kind.CODE
            for record in (kind, kind.ENTRY):
                if record is not None:
                    check_record(record)


def check_record(record: type[Record]) -> None:
    assert record.STRUCT.size == sum(f.size_bytes for f in record.FIELDS)
    for field in record.FIELDS:
        assert field.minimum <= field.maximum


def test_fingerprint_ignores_words():
    changed = copy.deepcopy(DESCRIPTION)
    changed["messages"][0]["doc"] = "Something else."
    changed["statuses"][3]["sentence"] = "no"
    assert codegen.fingerprint(changed) == messages.FINGERPRINT


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["messages"][0].update(code=0x44),
        lambda d: d["messages"][0].update(kind="act"),
        lambda d: d["messages"][8]["request"][0].update(max=4094),
        lambda d: d["messages"][8]["request"][1]["entries"][0].update(type="u8"),
        lambda d: d["messages"][8]["request"][1]["entries"].reverse(),
        lambda d: d["statuses"].pop(),
        lambda d: d["enums"]["operation"]["values"].update(set=1, reset=0),
    ],
)
def test_fingerprint_sees_what_the_wire_depends_on(change):
    changed = copy.deepcopy(DESCRIPTION)
    change(changed)
    assert codegen.fingerprint(changed) != messages.FINGERPRINT
