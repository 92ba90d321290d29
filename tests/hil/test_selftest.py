"""The self-test: good boards pass, each kind of bad board fails the check that is about it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from drivers.stream import MemoryStream
from hil.boards import open_board
from hil.cli.app import run
from hil.config import BenchConfig
from hil.jobs.selftest import CHECKS, Outcome, Verdict, failed, run_checks
from hil.record import RunFolder
from hil.sim.board import SimBoard, make_board
from hil.sim.config import SimSettings
from protocols import frame, messages
from protocols.errors import BoardError, InputError
from protocols.hardware import BoardDescription, load_board
from protocols.messages import SafeReason
from tests.firmware.conftest import need

REFERENCE = load_board("reference")
NAMES = [check.name for check in CHECKS]
Peer = Callable[[bytes], bytes]


def checked(peer: Peer, description: BoardDescription = REFERENCE) -> dict[str, Outcome]:
    """Outcomes by the names of their checks."""
    outcomes, _ = run_checks(MemoryStream(peer), description, answer_s=0.2)
    assert [one.name for one in outcomes] == NAMES
    return {one.name: one for one in outcomes}


def bad(outcomes: dict[str, Outcome]) -> set[str]:
    """Names of the checks that failed."""
    return {name for name, one in outcomes.items() if one.verdict is Verdict.FAILED}


def board(**settings: Any) -> SimBoard:
    return make_board(SimSettings(**settings), REFERENCE)


def changed(peer: Peer, change: Callable[[frame.Frame], frame.Frame | None], **only: int) -> Peer:
    """A board whose answers are changed on the way; None loses one."""

    def receive(data: bytes) -> bytes:
        out = b""
        for one in frame.Decoder().feed(peer(data)):
            if any(getattr(one, name) != value for name, value in only.items()):
                other: frame.Frame | None = one
            else:
                other = change(one)
            out += b"" if other is None else frame.encode(other)
        return out

    return receive


def with_payload(one: frame.Frame, payload: bytes) -> frame.Frame:
    return frame.Frame(one.session, one.sequence, one.code, payload)


# --- good boards ---------------------------------------------------------------------------------


def test_a_good_board_passes_and_nothing_was_driven():
    one = board()
    outcomes = checked(one.receive)
    assert {
        name: o.sentence for name, o in outcomes.items() if o.verdict is not Verdict.PASSED
    } == {}
    assert one.machine.pulses == 0
    assert not one.machine.cell_pulses.any()
    assert not one.machine.safety.latched


@pytest.mark.parametrize("name", ["native", "qemu"])
def test_the_firmware_passes(name):
    need("gcc", "make")
    if name == "qemu":
        need("arm-none-eabi-gcc", "qemu-system-arm", "setpriv")
    opened = open_board(BenchConfig(board=name), REFERENCE, None)
    try:
        outcomes, identity = run_checks(opened.stream, REFERENCE)
    finally:
        opened.close()
    assert [one for one in outcomes if one.verdict is not Verdict.PASSED] == []
    assert identity is not None
    assert identity.port.name.lower() in ("host", "qemu")


def test_a_formed_and_noisy_chip_passes():
    one = board()
    one.set_conductances(np.full((128, 128), 200e-6))
    assert not bad(checked(one.receive))


# --- bad boards ----------------------------------------------------------------------------------


def test_a_dead_line_ends_the_test():
    outcomes = checked(lambda _: b"")
    assert bad(outcomes) == {"hello"}
    assert "answers came" in outcomes["hello"].sentence
    assert all(o.verdict is Verdict.NOT_RUN for n, o in outcomes.items() if n != "hello")


def test_another_message_table_ends_the_test():
    def change(one: frame.Frame) -> frame.Frame:
        payload = bytearray(one.payload)
        payload[9] ^= 1
        return with_payload(one, bytes(payload))

    outcomes = checked(changed(board().receive, change, code=0x81))
    assert bad(outcomes) == {"hello"}
    assert "another message table" in outcomes["hello"].sentence


def test_another_array_or_higher_limits_than_described():
    small = REFERENCE.model_copy(update={"rows": 64})
    outcomes = checked(board().receive, small)
    assert bad(outcomes) == {"identity"}
    assert "128 x 128" in outcomes["identity"].sentence
    low = REFERENCE.limits.set.model_copy(update={"line_volts": 2.0})
    limits = REFERENCE.limits.model_copy(update={"set": low})
    outcomes = checked(board().receive, REFERENCE.model_copy(update={"limits": limits}))
    assert bad(outcomes) == {"identity"}
    assert "set line" in outcomes["identity"].sentence


def test_a_board_that_repeats_what_it_was_told_once():
    """It gives the repeated request a new answer, as one does that executes it again."""
    seen: list[tuple[int, int]] = []

    def change(one: frame.Frame) -> frame.Frame:
        key = (one.session, one.sequence)
        again, payload = key in seen, bytearray(one.payload)
        seen.append(key)
        if again:
            payload[1] ^= 1
        return with_payload(one, bytes(payload))

    outcomes = checked(changed(board().receive, change, code=0x90))
    assert bad(outcomes) == {"exactly once"}
    assert "carried out again" in outcomes["exactly once"].sentence


def test_a_frame_lost_within_the_window_costs_one_check():
    one = board()

    def receive(data: bytes) -> bytes:
        blocks = data.split(b"\0")
        if len(blocks) > 6:  # eight frames in one piece: an overrun loses the last
            data = b"\0".join([*blocks[:-2], b""])
        return one.receive(data)

    outcomes = checked(receive)
    assert bad(outcomes) == {"window"}
    assert "7 of 8 answers" in outcomes["window"].sentence


def test_a_clock_that_goes_back():
    times = iter(range(1000, 0, -1))

    def change(one: frame.Frame) -> frame.Frame:
        return with_payload(one, one.payload[:1] + next(times).to_bytes(8, "little") + b"\0")

    assert bad(checked(changed(board().receive, change, code=0x83))) == {"keep alive"}


def test_a_board_that_pulses_without_being_armed(mocker):
    one = board()
    mocker.patch.object(one.machine.safety, "require_armed")
    outcomes = checked(one.receive)
    assert bad(outcomes) == {"unarmed"}
    assert "pulse_read was carried out" in outcomes["unarmed"].sentence


@pytest.mark.parametrize(
    ("change", "check", "sentence"),
    [
        (lambda sums, call: [64 * 4095] * len(sums), "reads", "upper end"),
        (lambda sums, call: [s + 16 * 400 * (call % 2) for s in sums], "reads", "are allowed"),
    ],
)
def test_a_read_path_that_is_broken(change, check, sentence):
    calls = iter(range(1000))

    def spoil(one: frame.Frame) -> frame.Frame:
        if one.payload[0] != 0:
            return one
        found = messages.ReadResponse.unpack(one.payload[1:])
        sums = change([entry.sum for entry in found.entries], next(calls))
        entries = tuple(messages.ReadResponseEntry(value) for value in sums)
        answer = messages.ReadResponse(found.time_us, entries)
        return with_payload(one, b"\0" + answer.pack())

    outcomes = checked(changed(board().receive, spoil, code=0xA1))
    assert bad(outcomes) == {check}
    assert sentence in outcomes[check].sentence


def test_a_waveform_store_without_a_check():
    peer = changed(board().receive, lambda one: with_payload(one, b"\0"), code=0xB3)
    outcomes = checked(peer)
    assert bad(outcomes) == {"waveform CRC"}
    assert "wave_commit was carried out" in outcomes["waveform CRC"].sentence


@pytest.mark.parametrize("reason", [SafeReason.STOP, SafeReason.FAULT])
def test_what_somebody_latched_is_not_cleared(reason):
    one = board()
    one.machine.make_safe(reason)
    outcomes = checked(one.receive)
    assert bad(outcomes) == {"no safe state"}
    assert f"hil stop --clear {reason.name.lower()}" in outcomes["no safe state"].sentence
    left = {name for name, o in outcomes.items() if o.verdict is Verdict.NOT_RUN}
    assert left == {check.name for check in CHECKS if check.drives}
    assert failed(list(outcomes.values()))
    assert one.machine.safety.reason is reason


def test_a_stop_that_does_not_latch(mocker):
    one = board()
    mocker.patch.object(type(one.machine.safety), "latched", property(lambda _: False))
    outcomes = checked(one.receive)
    assert "stop and clear" in bad(outcomes)
    assert one.machine.safety.armed_ns(one.chip.now_ns) == 0


def test_a_loop_that_drifts():
    outcomes = checked(board(integrator_offset_volts_per_s=(0.5, -0.9)).receive)
    assert bad(outcomes) == {"loop holds"}
    assert "mV are allowed" in outcomes["loop holds"].sentence


# --- the command ---------------------------------------------------------------------------------


def called(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    code = run(["selftest", *arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_the_command_lists_every_check(capsys):
    code, found = called(capsys)
    assert code == 0
    assert [check["name"] for check in found["checks"]] == NAMES
    assert (found["passed"], found["failed"], found["not_run"]) == (len(NAMES), 0, 0)
    assert found["simulated"] is True
    assert RunFolder.all(BenchConfig().runs) == []


def test_the_command_for_a_person(capsys):
    assert run(["selftest"]) == 0
    text = capsys.readouterr().out
    for name in NAMES:
        assert name in text
    assert "FAILED" not in text


def test_a_failure_is_exit_code_5_and_drives_no_pulse(capsys, tmp_path):
    bench = tmp_path / "bench.yaml"
    bench.write_text("sim: {integrator_offset_volts_per_s: [0.9, 0.9]}")
    code, found = called(capsys, "--bench", str(bench), "--yes-pulse", "3,4")
    assert code == BoardError.exit_code == 5
    assert found["failed"] == 1
    assert found["checks"][-1]["verdict"] == "not run"
    assert "no pulse was driven" in found["checks"][-1]["sentence"]
    assert RunFolder.all(BenchConfig().runs) == []


def test_one_cell_is_pulsed_when_asked_for_and_journaled(capsys):
    code, found = called(capsys, "--yes-pulse", "3,4")
    assert code == 0
    assert found["checks"][-1]["name"] == "pulse"
    assert "cell (3, 4) got one SET" in found["checks"][-1]["sentence"]
    (folder,) = RunFolder.all(BenchConfig().runs)
    assert str(folder.path) == found["run"]
    with folder.journal.open_read(folder.file("journal.sqlite")) as journal:
        (intent,) = journal.intents()
    assert intent.records[["row", "column"]].tolist() == [(3, 4)]


@pytest.mark.parametrize("cell", ["3", "a,b", "1,2,3"])
def test_a_cell_that_is_none(cell, capsys):
    assert run(["selftest", "--yes-pulse", cell]) == InputError.exit_code
    assert "ROW,COLUMN" in capsys.readouterr().err


def test_a_cell_outside_of_the_array_fails_the_pulse_check(capsys):
    code, found = called(capsys, "--yes-pulse", "200,0")
    assert code == 5
    assert found["checks"][-1]["verdict"] == "failed"


def test_a_pulse_that_is_driven_twice_is_found(mocker, capsys):
    real = SimBoard.receive

    def twice(self: SimBoard, data: bytes) -> bytes:
        before = self.machine.pulses
        out = real(self, data)
        self.machine.pulses += self.machine.pulses - before
        return out

    mocker.patch.object(SimBoard, "receive", twice)
    code, found = called(capsys, "--yes-pulse", "3,4")
    assert code == 5
    assert "the board counts 2" in found["checks"][-1]["sentence"]
