"""`hil batch`: commands for several boards of the bench file, at the same time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from hil.batch.job import run_batch
from hil.batch.plan import Plan, Step, plan_of, read_steps
from hil.batch.record import BatchRecord, StepRecord, cut_off_run, take_up
from hil.cli.console import Console
from hil.cli.options import BenchOption, JsonOption
from hil.config import load_config
from hil.record import RunFolder
from hil.report.tables import Table
from hil.report.text import duration
from protocols.errors import InputError

SETTINGS = {"ignore_unknown_options": True}
"""Options that are not this command's belong to the command that the boards are given."""
_OURS = ("bench", "board", "on", "json", "resume")
_ENDINGS = (".yaml", ".yml")


def command(
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE | COMMAND [OPTIONS]",
            help="A batch file (YAML), or one command as it follows hil.",
        ),
    ] = None,
    on: Annotated[
        str | None,
        typer.Option("--on", metavar="NAMES", help="Boards for COMMAND: left,right or all."),
    ] = None,
    bench: BenchOption = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            "--resume", metavar="RUN", help="Take up a batch: what is done stays, the rest goes on."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say which board would do what, and start nothing.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Run commands on several boards of the bench file at the same time.

    Each board has a worker process, its own lock, journal, limits and run folder. One that fails
    stops no other; Ctrl-C puts all of them into their safe state.

    A file has steps: - {command: program ring, boards: [left, right], with: {algorithm: ispp}}
    """
    console = Console(json=json)
    if resume is None:
        wanted = _wanted(what or [], on, bench)
        if dry_run:
            lines = {n: "; ".join(" ".join(x) for x in each) for n, each in wanted.plan.items()}
            console.plan("hil batch would run", lines)
            return
        record = wanted.begin()
    else:
        if what or on or bench or dry_run:
            raise InputError(f"--resume takes everything from the batch {resume.name}")
        record = take_up(resume)
    _work(record, console, json=json)


@dataclass(frozen=True)
class _Wanted:
    """What a new batch is asked to do."""

    plan: Plan
    runs: Path
    seed: int
    bench_text: str
    batch_text: str | None

    def begin(self) -> BatchRecord:
        """Its run folder, with all that it needs to be taken up."""
        parameters = {"boards": list(self.plan), "folder": str(Path.cwd())}
        run = RunFolder.create(
            self.runs, "batch", parameters=parameters, seed=self.seed, bench_text=self.bench_text
        )
        if self.batch_text is not None:
            run.save_text("batch.yaml", self.batch_text)
        return BatchRecord.new(run, self.plan)


def _wanted(what: list[str], on: str | None, bench: Path | None) -> _Wanted:
    config, bench_text = load_config(bench)
    if not what:
        raise InputError("name a batch file, or a command and its boards with --on left,right")
    text: str | None = None
    if len(what) == 1 and what[0].endswith(_ENDINGS):
        if on is not None:
            raise InputError(f"--on {on}: the batch file says which board does what")
        (steps, text), source = read_steps(Path(what[0])), what[0]
        plan = plan_of(steps, config.boards, source)
    else:
        if on is None:
            raise InputError("say which boards with --on left,right or --on all")
        names = tuple(name.strip() for name in on.split(","))
        source = "--on"
        plan = plan_of([Step(command=what[0], boards=names)], config.boards, source)
        plan = {name: [what] for name in plan}
    for line in {tuple(words): None for lines in plan.values() for words in lines}:
        _check(line)
    return _Wanted(plan, config.runs, config.seed, bench_text, text)


def _check(words: Sequence[str]) -> None:
    """Refuses a step that would be refused later, before any board is opened."""
    parameters = _parameters(words[0])
    if not {"board", "on", "json"} <= parameters:
        raise InputError(f"hil {words[0]}: no command for one board of a bench file")
    given = _parsed(words)
    ours = [name for name in _OURS if given.get(name) not in (None, False)]
    if ours:
        raise InputError(f"hil {' '.join(words)}: leave out --{ours[0]}; the batch gives it")


def _command(name: str) -> Any:
    from hil.cli.tree import tree  # late: it imports this module

    return tree([name]).commands.get(name)


def _parameters(name: str) -> set[str]:
    found = _command(name)
    return set() if found is None else {one.name for one in found.params}


def _parsed(words: Sequence[str]) -> dict[str, Any]:
    """What a command line gives, checked as the command itself would. Raises a usage error."""
    made = _command(words[0]).make_context(words[0], list(words[1:]))
    return dict(made.params)


def _work(record: BatchRecord, console: Console, *, json: bool) -> None:
    run = record.run
    runs = run.path.resolve().parent
    bench = str(run.file("bench.yaml").resolve())

    def arguments(board: str, step: StepRecord) -> list[str]:
        before = cut_off_run(runs, board, step)
        if before is not None and "resume" in _parameters(step.command):
            return [step.command, "--resume", str(before.path), "--json"]
        return [*step.arguments, "--bench", bench, "--on", board, "--json"]

    with console.batch_view() as view:
        code = run_batch(record, arguments, view)
    if json:
        console.json({"batch": str(run.path), "exit_code": code, "boards": record.summary()})
    else:
        console.table(_table(record))
        console.done(run.file("batch.json"))
    if code:
        raise typer.Exit(code)


def _table(record: BatchRecord) -> Table:
    rows = []
    for name, steps in record.boards.items():
        for step in steps:
            spent = "–" if step.host_s is None else duration(step.host_s)
            cpu = "–" if step.cpu_s is None else duration(step.cpu_s)
            result = step.result or {}
            error = result.get("error")
            said = str(error.get("message", "")) if isinstance(error, dict) else _figure(result)
            line = " ".join(step.arguments)
            rows.append((name, line, step.status, spent, cpu, said.splitlines()[0] if said else ""))
    heads = ("board", "hil", "status", "time", "processor", "")
    return Table("Batch", heads, tuple(rows))


def _figure(result: dict[str, Any]) -> str:
    """What a result is about in a few words."""
    cells, run = result.get("cells"), result.get("run")
    for name in ("in_tolerance", "formed"):
        if name in result and cells is not None:
            where = f", {Path(str(run)).name}" if run else ""
            return f"{result[name]} of {cells} cells {name.replace('_', ' ')}{where}"
    return Path(str(run)).name if run else ""
