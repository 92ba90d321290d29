"""Bad input at the command line: one clear block, the documented exit code, nothing lost."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from hil.cli.app import run
from hil.diffusion.model import MODEL_FOLDER
from hil.journal import Journal
from hil.record import RunFolder
from hil.sim.chip import Chip
from protocols import errors

README = Path(__file__).parents[2] / "README.md"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def bench(text: str) -> str:
    Path("b.yaml").write_text(text)
    return "b.yaml"


def refused(capsys: pytest.CaptureFixture[str], code: int, *arguments: str) -> str:
    """The message of a command that must fail with `code`: the same in words and as JSON."""
    capsys.readouterr()
    assert run(list(arguments)) == code
    text = capsys.readouterr()
    assert "Traceback" not in text.err + text.out
    assert text.out == ""
    assert run([*arguments, "--json"]) == code
    captured = capsys.readouterr()
    error = json.loads(captured.out)["error"]
    assert captured.err == ""
    assert error["exit_code"] == code
    message = error["message"]
    assert isinstance(message, str)
    assert "".join(message.split()) in "".join(text.err.split())
    return message


def assert_parts(message: str, *parts: str) -> None:
    for part in parts:
        assert part in message, message


# --- usage -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["banana"], ["No such command", "banana"]),
        (["run", "--banana"], ["No such option", "--banana"]),
        (["run", "--samples", "many"], ["--samples", "integer"]),
        (["run", "--samples", "0"], ["--samples", "1"]),
        (["run", "--mode", "pde"], ["--mode", "pde", "ode", "sde"]),
        (["demo", "--samples", "3"], ["--samples", "10"]),
        (["program", "ring", "extra"], ["extra"]),
        (["sim", "fit"], ["DATA_FOLDER"]),
        (["read", "--cell", "3"], ["--cell '3'", "ROW,COLUMN"]),
        (["read", "--cell", "300,1"], ["(300, 1)", "128 x 128"]),
        (["verify", "--after", "soon"], ["--after 'soon'", "30s, 10m, 1h"]),
        (["verify", "--after", "9999d"], ["--after '9999d'", "at most 365d"]),
        (["train", "spirals"], ["'spirals'", "known are: digits10, digits3, letters"]),
        (["train", "--out", "nowhere/x.npz"], ["nowhere", "nothing was trained"]),
        (["sim", "fit", "nowhere"], ["No folder nowhere"]),
        (["program", "nomodel"], ["nomodel.npz", "no such model file", "ring"]),
        (["info", "--bench", "none.yaml"], ["none.yaml", "cannot be read"]),
        (["info", "--board", "banana"], ["--board", "'banana'", "serial:PORT"]),
        (["info", "--seed", "-1"], ["--seed", "-1"]),
        (["demo", "--board", "serial:/dev/x"], ["virgin chip", "'serial:/dev/x'", "hil form"]),
    ],
)
def test_what_was_typed_is_named(
    arguments: list[str], parts: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert_parts(refused(capsys, 2, *arguments), *parts)
    assert not Path("runs").exists()


def test_an_option_without_its_value(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["run", "--samples"]) == 2
    assert_parts(capsys.readouterr().err, "Option '--samples' requires an argument")
    assert run(["run", "--json", "--samples"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert_parts(error["message"], "Option '--samples' requires an argument")


def test_usage_errors_show_the_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["run", "--samples", "many"]) == 2
    text = capsys.readouterr().err
    assert_parts(text, "Usage: hil run", "hil run --help")


# --- the bench file --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("board: sim\na: [unclosed", ["b.yaml", "not valid YAML", "line"]),
        ("colour: red", ["b.yaml", "colour", "no such key"]),
        ("loop: {tick_s: 7}", ["b.yaml", "loop.tick_s", "7", "less than or equal to 1"]),
        ("board: banana", ["b.yaml", "board is 'banana': allowed are"]),
        ("programming: {aim_fraction: 3}", ["b.yaml", "aim_fraction", "(0, 1]"]),
        ("description: nosuch", ["nosuch", "board description", "reference"]),
        ("sim: {profile: nosuch}", ["nosuch", "rram_1t1r_180nm"]),
    ],
)
def test_a_bad_bench_file_is_named_with_its_key(
    text: str, parts: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert_parts(refused(capsys, 2, "info", "--bench", bench(text)), *parts)


# --- the model file --------------------------------------------------------------------------


def model_file(**changes: object) -> str:
    with np.load(MODEL_FOLDER / "ring.npz") as shipped:
        arrays = {name: shipped[name] for name in shipped.files} | changes
    np.savez("bad.npz", **arrays)  # type: ignore[arg-type]
    return "bad.npz"


@pytest.mark.parametrize("command", ["program", "form", "run"])
def test_weights_of_the_wrong_shape_are_refused(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = model_file(weight_2=np.zeros((14, 13)))
    message = refused(capsys, 2, command, path)
    assert_parts(message, "bad.npz", "weight_2", "(14, 13)", "(14, 14) is needed")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers_are_refused(
    value: float, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = np.zeros((14, 2))
    weights[3, 1] = value
    message = refused(capsys, 2, "program", model_file(weight_1=weights))
    assert_parts(message, "bad.npz", "weight_1[3, 1]", str(value), "finite")


def test_a_pickled_model_is_refused_unread(capsys: pytest.CaptureFixture[str]) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (Path("exploded"),)  # type: ignore[return-value]

    path = model_file(weight_1=np.array([Bomb()], dtype=object))
    assert_parts(refused(capsys, 2, "program", path), "bad.npz", "weight_1", "refused")
    assert not Path("exploded").exists()


def test_a_file_that_is_no_model_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    Path("bad.npz").write_bytes(b"these are not weights")
    assert_parts(refused(capsys, 2, "program", "bad.npz"), "bad.npz", "not a readable model file")


# --- the line --------------------------------------------------------------------------------


def test_a_port_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    message = refused(capsys, 4, "info", "--board", "serial:/dev/nonexistent")
    assert_parts(message, "/dev/nonexistent cannot be opened", "Serial ports of this computer")


def test_a_socket_that_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    message = refused(capsys, 4, "info", "--board", f"socket://127.0.0.1:{port}")
    assert_parts(message, f"socket://127.0.0.1:{port}", "refused")


@pytest.fixture
def silent_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_board_that_does_not_answer(silent_port: int, capsys: pytest.CaptureFixture[str]) -> None:
    file = bench("link: {timeout_s: 0.01, attempts: 3}")
    message = refused(
        capsys, 4, "form", "--bench", file, "--board", f"socket://127.0.0.1:{silent_port}"
    )
    assert_parts(message, str(silent_port), "no answer to hello after 3 attempts")
    assert {folder.status for folder in RunFolder.all(Path("runs"))} == {"failed"}


# --- the chip --------------------------------------------------------------------------------


def test_programming_before_forming_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    message = refused(capsys, 8, "program")
    assert_parts(message, "'sim-001'", "cell (0, 0)", "use hil form first")


@pytest.mark.parametrize("command", ["verify", "run"])
def test_a_chip_that_was_never_programmed(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    message = refused(capsys, 10, command)
    assert_parts(message, "runs", "'sim-001'", "use hil program first")


def test_a_chip_made_with_another_seed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["info"]) == 0
    message = refused(capsys, 2, "info", "--seed", "2")
    assert_parts(message, "cells.chip", "seed 1", "2")


def test_a_damaged_chip_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["info"]) == 0
    path = Path("chips/sim-001/cells.chip")
    path.write_bytes(path.read_bytes()[:5000])
    assert_parts(refused(capsys, 2, "form"), "cells.chip", "cut off")
    path.write_bytes(b"nothing")
    assert_parts(refused(capsys, 2, "form"), "cells.chip", "not a chip file")


def test_a_chip_that_another_process_holds(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["info"]) == 0
    from hil.config import BenchConfig

    config = BenchConfig()
    path = Path("chips/sim-001/cells.chip")
    with Chip.open(path, config.sim, config.load_description()):
        assert_parts(refused(capsys, 8, "form"), "cells.chip", "another process holds this chip")


# --- limits ----------------------------------------------------------------------------------

ISPP = "programming: {algorithm: ispp}"  # predictive leaves out what is over a limit
WINDOW = "mapping: {window_siemens: [70.0e-6, 260.0e-6]}"
GATE = "limits: {set: {gate_volts: 2.0}}\n" + ISPP


def no_pulse_was_meant() -> bool:
    for folder in RunFolder.all(Path("runs")):
        journal = folder.file("journal.sqlite")
        if journal.is_file():
            with Journal.open_read(journal) as reader:
                if reader.intents():
                    return False
    return True


@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.parametrize(
    ("text", "code", "parts"),
    [
        (WINDOW, 2, ["cell (0, 0)", "0.00026 S", "lies outside", "350 such targets"]),
        (GATE, 6, ["SET of cell (0, 0)", "3.5 V", "limit is 2 V", "bench file"]),
        (
            "limits: {reset: {line_volts: 1}}\n" + ISPP,
            6,
            ["RESET", "3.2 V", "limit is 1 V", "bench file"],
        ),
        ("limits: {set: {gate_volts: 4}}", 6, ["set.gate_volts", "4", "3.6", "never raised"]),
    ],
)
def test_programming_outside_of_limits_is_refused_before_a_pulse(
    text: str,
    code: int,
    parts: list[str],
    dry_run: bool,
    formed_chip: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    more = ["--dry-run"] if dry_run else []
    message = refused(capsys, code, "program", "--bench", bench(text), *more)
    assert_parts(message, *parts)
    assert no_pulse_was_meant()


@pytest.fixture
def formed_chip() -> None:
    """Cells that read as formed, put there from behind."""
    from hil.config import BenchConfig
    from hil.sim.board import make_board

    config = BenchConfig()
    path = Path("chips/sim-001/cells.chip")
    board = make_board(config.sim, config.load_description(), path)
    board.set_conductances(np.full((128, 128), 100e-6))
    board.close()


@pytest.mark.parametrize("dry_run", [True, False])
def test_forming_over_a_limit_is_refused_before_a_pulse(
    dry_run: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    file = bench("limits: {form: {line_volts: 3.0}}")
    more = ["--dry-run"] if dry_run else []
    message = refused(capsys, 6, "form", "--bench", file, *more)
    assert_parts(message, "FORM of cell (0, 0)", "4.2 V", "limit is 3 V", "bench file")
    assert no_pulse_was_meant()


def test_a_read_voltage_that_could_switch_cells(capsys: pytest.CaptureFixture[str]) -> None:
    message = refused(capsys, 6, "read", "--bench", bench("read_volts: 0.9"))
    assert_parts(message, "0.9 V", "at most")


@pytest.mark.parametrize(
    ("text", "part"),
    [("loop: {tick_s: 0.0002}", "too short"), ("loop: {tick_s: 0.5}", "too long")],
)
def test_a_tick_that_does_not_fit_the_rc(
    text: str, part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert_parts(
        refused(capsys, 2, "run", "--dry-run", "--bench", bench(text)), part, "loop.tick_s"
    )


# --- records ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["report", "nosuch"], ["nosuch", "not a run folder"]),
        (["report"], ["runs", "hil demo or hil run first"]),
        (["verify", "--run", "nosuch"], ["nosuch", "not a run folder"]),
    ],
)
def test_runs_that_are_not_there(
    arguments: list[str], parts: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert_parts(refused(capsys, 10, *arguments), *parts)


def test_a_run_without_report_or_network_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["program"]) == 8  # fails, and leaves a folder that says so
    (folder,) = RunFolder.all(Path("runs"))
    assert folder.status == "failed"
    assert "hil form first" in folder.info["reason"]
    path = str(folder.path)
    assert_parts(refused(capsys, 10, "report", path), path, "'program' run has no report")
    assert_parts(refused(capsys, 10, "verify", "--run", path), path, "did not program a network")


def test_runs_that_cannot_be_written(capsys: pytest.CaptureFixture[str]) -> None:
    Path("taken").write_text("a file where a folder should be")
    message = refused(capsys, 10, "form", "--bench", bench("runs: taken"))
    assert_parts(message, "taken", "run folder cannot be made")


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only to root")
def test_a_read_only_runs_folder(capsys: pytest.CaptureFixture[str]) -> None:
    Path("runs").mkdir(mode=0o500)
    assert_parts(refused(capsys, 10, "form"), "runs", "Permission denied")


def test_an_error_of_the_operating_system_names_the_file(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("chips").write_text("a file where a folder should be")
    assert_parts(refused(capsys, 10, "info"), "chips")


# --- the table of exit codes -----------------------------------------------------------------


def test_exit_codes_are_those_that_the_readme_documents() -> None:
    text = " ".join(README.read_text().split())
    start = text.index("Exit codes:")
    table = text[start : start + 400]
    kinds = {
        "input": errors.InputError,
        "protocol": errors.ProtocolError,
        "line": errors.LinkError,
        "board": errors.BoardError,
        "limit": errors.LimitError,
        "safe state": errors.SafetyError,
        "chip": errors.ChipError,
        "calibration": errors.CalibrationError,
        "records": errors.RecordError,
    }
    for word, kind in kinds.items():
        at = table.index(str(kind.exit_code) + " ")
        assert word in table[at : at + 40]
    assert "130 interrupted" in table
