"""`hil batch`: plans, the record, and boards that go on whatever happens to another."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from hil.batch import job
from hil.batch.crew import ENDED
from hil.batch.job import run_batch
from hil.batch.plan import plan_of, read_steps
from hil.batch.record import BatchRecord, StepRecord, alone, cut_off_run, take_up
from hil.cli.app import run as command
from hil.cli.batch_view import Lines, Silent
from hil.cli.batch_worker import Worker
from hil.cli.steps import Steps, relayed
from hil.record import DONE, FAILED, INTERRUPTED, RunFolder
from protocols.errors import ConfigError, InputError, RecordError, SafetyError

BOARDS = {"left": {}, "right": {}, "third": {}}
STEPS = """
steps:
  - {command: form, boards: all}
  - {command: program ring --algorithm ispp, boards: [right, left]}
  - {command: verify, boards: left, with: {after: 1h, retrim: true, repeat: 2}}
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bench.yaml").write_text("boards: {left: {}, right: {seed: 9}}\n")
    return tmp_path


def hil(*words):
    said = io.StringIO()
    with redirect_stdout(said):
        code = command([*words, "--json"])
    return code, json.loads(said.getvalue())


def plan(text, tmp_path):
    path = tmp_path / "batch.yaml"
    path.write_text(text)
    return plan_of(read_steps(path)[0], BOARDS, "batch.yaml")


# --- plans ------------------------------------------------------------------------------------


def test_each_board_gets_its_own_steps_in_order(tmp_path):
    ispp = ["program", "ring", "--algorithm", "ispp"]
    assert plan(STEPS, tmp_path) == {
        "left": [["form"], ispp, ["verify", "--after", "1h", "--retrim", "--repeat", "2"]],
        "right": [["form"], ispp],
        "third": [["form"]],
    }


def test_boards_without_steps_are_left_out_and_false_is_a_no(tmp_path):
    text = "steps: [{command: demo, boards: right, with: {budget: false}}]"
    assert plan(text, tmp_path) == {"right": [["demo", "--no-budget"]]}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("steps: []", "at least 1"),
        ("steps: [{command: form}]", r"steps\.0\.boards: missing"),
        ("steps: [{command: form, boards: []}]", r"steps\.0\.boards"),
        ("steps: [{command: form, boards: left, how: fast}]", r"how: no such key"),
        ("steps: [{command: form, boards: left, with: {a: [1]}}]", r"with\.a"),
        ("steps: [{command: form, boards: [left, middle]}]", "no board is called 'middle'"),
        ("- form", "batch.yaml"),
        ("steps: {", "cannot be read"),
    ],
)
def test_files_that_cannot_be_followed_are_refused(text, reason, tmp_path):
    with pytest.raises(ConfigError, match=reason):
        plan(text, tmp_path)


def test_open_quotes_are_refused(tmp_path):
    with pytest.raises(InputError, match="No closing quotation"):
        plan('steps: [{command: "program \'ring", boards: left}]', tmp_path)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ((), "name a batch file, or a command"),
        (("form",), "say which boards with --on"),
        (("form", "--on", "left,middle"), "no board is called 'middle'"),
        (("frm", "--on", "left"), "hil frm: no command for one board"),
        (("report", "--on", "left"), "hil report: no command for one board"),
        (("batch", "--on", "left"), "hil batch: no command for one board"),
        (("train", "--on", "left"), "hil train: no command for one board"),
        (("form", "--board", "sim", "--on", "left"), "leave out --board"),
        (("program", "--algoritm", "ispp", "--on", "all"), "algoritm"),
        (("run", "--samples", "0", "--on", "all"), "samples"),
        (("x.yaml", "--on", "left"), "the batch file says which board does what"),
        (("x.yaml",), "x.yaml: the batch file cannot be read"),
        (("--resume", "x", "--on", "left"), "--resume takes everything"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_begins(words, reason, here):
    code, said = hil("batch", *words)
    assert code == 2
    assert reason in said["error"]["message"]
    assert not (here / "runs").exists()


def test_a_dry_run_starts_nothing(here):
    code, said = hil("batch", "program", "ring", "--algorithm", "ispp", "--on", "all", "--dry-run")
    assert code == 0
    assert said["plan"] == dict.fromkeys(("left", "right"), "program ring --algorithm ispp")
    assert not (here / "runs").exists()


# --- what happens, with workers that say what they are told to ---------------------------------


class Crew:
    """Workers by the book: `script` maps a board's steps to the exit codes they end with."""

    def __init__(self, script):
        self.script = {name: list(codes) for name, codes in script.items()}
        self.orders, self.dismissed, self.events = [], [], []
        self.interrupt_at = None

    def __call__(self, boards, logs, folder):
        self.started = list(boards)
        return self

    def order(self, name, arguments):
        self.orders.append((name, list(arguments)))
        code = self.script[name].pop(0)
        if code == "dies":
            self.events.append((name, {"event": ENDED, "exit_code": -9}))
        elif code is not None:
            moved = {"step": "forming", "done": 5, "total": 10, "message": "half"}
            self.events.append((name, {"event": "progress", **moved}))
            self.events.append((name, result(code)))

    def dismiss(self, name):
        self.dismissed.append(name)

    def next_event(self, timeout_s=None):
        if not self.events:
            raise KeyboardInterrupt
        return self.events.pop(0)

    def interrupt(self, names):
        for name in names:
            if self.script.get(f"{name} stops", True):
                yield name, result(130)
            yield name, {"event": ENDED, "exit_code": 130}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None


def result(code):
    said = {"run": "x"} if code == 0 else {"error": {"message": f"ended with {code}"}}
    return {"event": "result", "exit_code": code, "result": said, "host_s": 1.0, "cpu_s": 0.5}


def batch(tmp_path, plan, script, monkeypatch, view=None):
    run = RunFolder.create(tmp_path / "runs", "batch", parameters={}, seed=1, bench_text="")
    record = BatchRecord.new(run, plan)
    crew = Crew(script)
    monkeypatch.setattr(job, "Crew", crew)
    return record, crew, lambda: run_batch(record, lambda n, s: s.arguments, view or Silent())


def test_every_board_does_its_steps_in_order(tmp_path, monkeypatch):
    plan = {"left": [["form"], ["program"]], "right": [["form"]]}
    record, crew, go = batch(tmp_path, plan, {"left": [0, 0], "right": [0]}, monkeypatch)
    assert go() == 0
    assert crew.orders == [("left", ["form"]), ("right", ["form"]), ("left", ["program"])]
    assert [step.status for steps in record.boards.values() for step in steps] == [DONE] * 3
    assert RunFolder.open(record.run.path).status == DONE
    again = BatchRecord.load(record.run)
    assert again.summary() == record.summary()


def test_a_failure_ends_its_own_board_alone(tmp_path, monkeypatch):
    plan = {"left": [["form"], ["program"]], "right": [["form"], ["program"]]}
    record, crew, go = batch(tmp_path, plan, {"left": [8], "right": [0, 0]}, monkeypatch)
    assert go() == 8
    assert [step.status for step in record.boards["left"]] == [FAILED, "skipped"]
    assert [step.status for step in record.boards["right"]] == [DONE, DONE]
    assert ("left", ["program"]) not in crew.orders
    found = RunFolder.open(record.run.path)
    assert (found.status, found.info["reason"]) == (FAILED, "not done on left")


def test_a_worker_that_dies_is_a_failure_of_its_board(tmp_path, monkeypatch):
    record, _, go = batch(
        tmp_path, {"left": [["form"]], "right": [["form"]]}, {"left": ["dies"], "right": [0]},
        monkeypatch,
    )  # fmt: skip
    assert go() == 1
    assert "its worker ended (-9)" in record.boards["left"][0].result["error"]["message"]
    assert record.status_of("right") == DONE


def test_an_interrupt_ends_all_and_says_so(tmp_path, monkeypatch):
    plan = {"left": [["form"], ["program"]], "right": [["form"]]}
    record, _, go = batch(tmp_path, plan, {"left": [0, None], "right": [None]}, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        go()
    assert [step.status for step in record.boards["left"]] == [DONE, INTERRUPTED]
    assert record.status_of("right") == INTERRUPTED
    assert RunFolder.open(record.run.path).status == INTERRUPTED


def test_an_interrupt_that_a_worker_does_not_confirm_is_no_quiet_end(tmp_path, monkeypatch):
    record, crew, go = batch(
        tmp_path, {"left": [["form"]], "right": [["form"]]}, {"left": [None], "right": [None]},
        monkeypatch,
    )  # fmt: skip
    crew.interrupt = lambda names: iter([("left", result(130))])
    with pytest.raises(SafetyError, match="workers of right do not confirm"):
        go()
    assert record.status_of("left") == INTERRUPTED


def test_what_is_done_stays_done_when_a_batch_is_taken_up(tmp_path, monkeypatch):
    plan = {"left": [["form"], ["program"]], "right": [["form"], ["program"]]}
    record, _, go = batch(tmp_path, plan, {"left": [0, 9], "right": [0, 0]}, monkeypatch)
    assert go() == 9
    again = take_up(record.run.path)
    crew = Crew({"left": [0]})
    monkeypatch.setattr(job, "Crew", crew)
    assert run_batch(again, lambda n, s: s.arguments, Silent()) == 0
    assert (crew.started, crew.orders) == (["left"], [("left", ["program"])])
    with pytest.raises(RecordError, match="this batch is done"):
        take_up(record.run.path)


def test_only_one_process_works_on_a_batch(tmp_path, monkeypatch):
    record, _, go = batch(tmp_path, {"left": [["form"]]}, {"left": [0]}, monkeypatch)
    with alone(record.run), pytest.raises(RecordError, match="another process works on this"):
        go()


def test_no_batch_and_a_damaged_one_are_refused(tmp_path):
    run = RunFolder.create(tmp_path, "form", parameters={}, seed=1, bench_text=None)
    with pytest.raises(RecordError, match="a 'form' run, not a batch"):
        take_up(run.path)
    run = RunFolder.create(tmp_path, "batch", parameters={}, seed=1, bench_text=None)
    run.save_json("batch.json", {"left": [{"status": 3}]})
    with pytest.raises(RecordError, match="arguments: missing"):
        take_up(run.path)


def test_the_run_of_a_step_that_was_cut_off_is_found(tmp_path):
    step = StepRecord(["program"])
    assert cut_off_run(tmp_path, "left", step) is None
    runs = []
    old = RunFolder.create(
        tmp_path, "program", parameters={}, seed=1, bench_text=None, board="left"
    )
    step.begin()
    for board, kind in (("left", "program"), ("right", "program"), ("left", "form")):
        run = RunFolder.create(tmp_path, kind, parameters={}, seed=1, bench_text=None, board=board)
        run.journal.event("x", {})
        run.save_json("config.json", {})
        run.close()
        runs.append(run)
    found = cut_off_run(tmp_path, "left", step)
    assert found is not None
    assert found.path == runs[0].path != old.path
    runs[0].finish(DONE)
    assert cut_off_run(tmp_path, "left", step) is None


def test_progress_and_ends_name_their_board(tmp_path, monkeypatch):
    said = io.StringIO()
    _, _, go = batch(
        tmp_path, {"left": [["form"]], "right": [["form"]]}, {"left": [0], "right": [4]},
        monkeypatch, Lines(said),
    )  # fmt: skip
    assert go() == 4
    lines = said.getvalue().splitlines()
    assert "left: hil form (step 1 of 1)" in lines
    assert "left:   forming: 50 % (5 of 10)" in lines
    assert "right: form failed in 1.00 s: ended with 4" in lines


# --- a worker, in this process ------------------------------------------------------------------


def orders(*lines):
    return io.BytesIO(b"".join(json.dumps({"arguments": list(x)}).encode() + b"\n" for x in lines))


def test_a_worker_answers_with_what_the_command_said(here, monkeypatch):
    monkeypatch.setattr("os.kill", lambda *_: None)  # the orders end before the commands do
    said = io.StringIO()
    Worker(orders(("info", "--on", "right", "--json"), ("info", "--json")), said).run()
    first, second = [json.loads(line) for line in said.getvalue().splitlines()]
    assert (first["exit_code"], first["result"]["chip"]["id"]) == (0, "right")
    assert first["cpu_s"] > 0.0
    assert second["exit_code"] == 2
    assert "several boards" in second["result"]["error"]["message"]


def test_a_defect_of_ours_is_an_answer_too(here, monkeypatch):
    monkeypatch.setattr("os.kill", lambda *_: None)

    def broken(_arguments):
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr("hil.cli.tree.invoke", broken)
    said = io.StringIO()
    Worker(orders(("info",)), said).run()
    event = json.loads(said.getvalue())
    assert (event["exit_code"], event["result"]["error"]["title"]) == (1, "ZeroDivisionError")


def test_progress_is_relayed_instead_of_shown(capsys):
    from hil.cli.console import Console

    told = []
    with relayed(lambda *what: told.append(what)), Console().steps("Forming") as progress:
        progress(1, 4, "formed 1")
        progress(4, 4, "formed 4")
    assert told == [("forming", 1, 4, "formed 1"), ("forming", 4, 4, "formed 4")]
    assert capsys.readouterr().err == ""
    assert type(Console(json=True).steps("x")) is Steps
