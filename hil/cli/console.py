"""What the commands say: tables, maps, progress, errors; or one JSON object and nothing else.

Results go to standard output, progress and errors to standard error, so that a result can be piped
while the work is being watched. Colour and live drawing are used on a terminal only; `NO_COLOR` is
respected.
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.console import Console as RichConsole
from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from drivers.rram.geometry import Cells
from hil.cli.batch_view import Bars, Lines, Silent
from hil.cli.heatmap import ConductanceMap
from hil.cli.steps import LineSteps, LiveSteps, RelayedSteps, Steps, relay_of_steps
from hil.jsonable import to_json
from hil.report import ReportData, tables
from hil.report.tables import Table
from hil.report.text import duration, si
from protocols.errors import (
    BoardError,
    CalibrationError,
    ChipBusyError,
    ClusterError,
    ConfigError,
    HandshakeError,
    HilError,
    InstrumentError,
    LimitError,
    LinkTimeout,
    NotFormedError,
    PortError,
    RecordError,
    SafetyError,
    SessionLost,
    UnconfirmedError,
)

PIPE_WIDTH = 120  # columns assumed where there is no terminal
MAX_FAILURES = 20  # listed on the terminal; all of them are in the run folder

REMEDIES: Mapping[type[HilError], str] = {
    ConfigError: "Correct the key or option that is named; `hil info` shows what is in force.",
    PortError: "Check the cable, the port's name and your permission to open it.",
    LinkTimeout: "Check that the board has power and that no other program uses the port.",
    HandshakeError: "Board and host must be of the same version.",
    SessionLost: "The board was restarted. Read the cells again before any further pulse.",
    BoardError: "Nothing else was sent. `hil info` shows the board's state.",
    InstrumentError: "`hil instruments` lists what is connected and what it is for.",
    LimitError: "Nothing was driven. Limits stand in the bench file and in the board.",
    UnconfirmedError: "Leave the chip where it is. Supplies off by hand, line drivers first.",
    SafetyError: "The outputs are safe. Find out why before the board is armed again.",
    ChipBusyError: "Wait for the other process, or end it.",
    NotFormedError: "`hil form` forms the cells that a model needs.",
    CalibrationError: "The run folder holds what was measured.",
    ClusterError: "Check the address, and that scheduler and workers run with this project.",
    RecordError: "What was recorded before is safe. Check the path and the space on the disk.",
}


class Console:
    """Says things to a person, or gives one JSON object to a program."""

    def __init__(
        self,
        *,
        json: bool = False,
        quiet: bool = False,
        out: IO[str] | None = None,
        err: IO[str] | None = None,
        terminal: bool | None = None,
    ) -> None:
        """A console.

        Args:
            json: print the one JSON object of a command and nothing else.
            quiet: print nothing but JSON and errors.
            out, err: where results and the rest go; standard output and standard error if None.
            terminal: whether those are a terminal; None finds out.
        """
        self._json = json
        self._silent = json or quiet
        self._out = _rich(out or sys.stdout, terminal)
        self._err = _rich(err or sys.stderr, terminal)

    # --- while working -----------------------------------------------------------------------

    def steps(self, title: str, cells: Cells | None = None) -> Steps:
        """A context manager that gives a `Progress` for one or several routines.

        Args:
            title: the line above.
            cells: with them, readings that a routine hands over are drawn as a live map.
        """
        if (relay := relay_of_steps()) is not None:
            return RelayedSteps(title, relay)
        if self._silent:
            return Steps(title)
        if self._err.is_terminal and not self._err.is_dumb_terminal:
            return LiveSteps(title, self._err, cells=cells)
        return LineSteps(title, self._err.file, cells=cells)

    def batch_view(self) -> Silent:
        """A context manager that shows how far the boards of a batch are."""
        if self._silent:
            return Silent()
        if self._err.is_terminal and not self._err.is_dumb_terminal:
            return Bars(self._err)
        return Lines(self._err.file)

    def say(self, text: str) -> None:
        """One line about what is going on."""
        if not self._silent:
            self._err.print(Text(text), highlight=False)

    # --- results -----------------------------------------------------------------------------

    def json(self, data: object) -> None:
        """The one JSON object of a command, without NaN."""
        self._out.file.write(to_json(data, indent=2) + "\n")
        self._out.file.flush()

    def facts(self, title: str, facts: Mapping[str, Any]) -> None:
        """Names and values, one a line."""
        rows = tuple(_fact(str(name), value) for name, value in facts.items())
        self._table(Table(title, ("", ""), rows))

    def plan(self, title: str, facts: Mapping[str, Any]) -> None:
        """What would be driven; nothing was."""
        if self._json:
            self.json({"dry_run": True, "plan": facts})
            return
        self.facts(title, facts)
        if not self._silent:
            self._out.print(Text("  Dry run: nothing was driven.", style="bold"))

    def outcome(
        self, title: str, summary: Mapping[str, Any], failures: Sequence[tuple[int, int, str]] = ()
    ) -> None:
        """A command's figures and the cells that failed; one JSON object in JSON mode."""
        if self._json:
            listed = [{"row": r, "column": c, "reason": why} for r, c, why in failures]
            self.json({**summary, "failures": listed})
            return
        self.facts(title, summary)
        if failures:
            rows = tuple((f"({r}, {c})", why) for r, c, why in failures[:MAX_FAILURES])
            left = len(failures) - MAX_FAILURES
            note = f"and {left} more; all are in the run folder" if left > 0 else ""
            many = "cell" if len(failures) == 1 else "cells"
            self._table(Table(f"{len(failures)} {many} failed", ("", ""), rows, note))

    def table(self, table: Table) -> None:
        """One table of texts."""
        self._table(table)

    def metrics_table(self, data: ReportData) -> None:
        """The metrics of every set of samples."""
        table = tables.metrics(data)
        if table is not None:
            simulated = " (simulated)" if data.simulated else ""
            caption = f"{table.caption}{simulated}"
            self._table(Table(caption, table.header, table.rows, "", table.highlight))

    def class_table(self, data: ReportData) -> None:
        """How far each class is from its own data, if there are classes."""
        table = tables.classes(data)
        if table is not None:
            self._table(table)

    def programming_table(self, data: ReportData) -> None:
        """The figures of programming, if cells were programmed."""
        if data.programming is not None:
            self._table(tables.programming(data))

    def conductance_map(self, cells: Cells, siemens: NDArray[np.float64]) -> None:
        """Readings drawn at their places in the array."""
        self.value_map(ConductanceMap(cells), siemens)

    def value_map(self, picture: ConductanceMap, values: NDArray[np.float64]) -> None:
        """Values of any unit drawn at the places of the picture's cells."""
        if not self._silent:
            picture.show(values)
            self._out.print(picture)

    def done(self, path: Path) -> None:
        """Where to look."""
        if not self._silent:
            self._out.print(Text.assemble("  Written: ", (str(path), "bold")), soft_wrap=True)

    # --- when it went wrong ------------------------------------------------------------------

    def error(self, error: HilError) -> None:
        """One block: what kind of error, what happened, what to do."""
        notes = getattr(error, "__notes__", [])
        self.failure(
            _spaced(type(error).__name__),
            "\n".join([str(error), *notes]),
            next((text for kind, text in REMEDIES.items() if isinstance(error, kind)), ""),
            error.exit_code,
        )

    def interrupted(self, how: str = "stopped from the keyboard", exit_code: int = 130) -> None:
        """The user pressed Ctrl-C, or a signal ended the command."""
        self.failure(
            "Interrupted",
            f"{how[:1].upper()}{how[1:]}; the board's outputs are safe.",
            "Every pulse that was acknowledged is in the run's journal.",
            exit_code,
        )

    def failure(self, title: str, sentence: str, remedy: str = "", exit_code: int = 1) -> None:
        """One block on standard error; in JSON mode one object on standard output."""
        if self._json:
            found = {"title": title, "message": sentence, "remedy": remedy, "exit_code": exit_code}
            self.json({"error": found})
            return
        self._err.print()
        self._err.print(Text(f"✗ {title}" if self._unicode else title, style="bold red"))
        body = Text(sentence)
        if remedy:
            body.append(f"\n{remedy}", style="dim")
        self._err.print(_indented(body))

    # --- inside ------------------------------------------------------------------------------

    @property
    def _unicode(self) -> bool:
        return not self._err.options.ascii_only

    def _table(self, table: Table) -> None:
        if self._silent:
            return
        shown = RichTable(
            title=Text(table.caption, style="bold"),
            title_justify="left",
            box=box.SIMPLE_HEAD if any(table.header) else box.SIMPLE,
            show_header=any(table.header),
            pad_edge=False,
            show_edge=False,
        )
        shown.add_column(Text(table.header[0]), overflow="fold")
        for text in table.header[1:]:
            justify: Literal["left", "right"] = "right" if any(table.header) else "left"
            shown.add_column(Text(text), justify=justify, overflow="fold")
        for at, row in enumerate(table.rows):
            style = "bold" if at in table.highlight else None
            shown.add_row(*(Text(text) for text in row), style=style)
        self._out.print(_indented(shown))
        if table.note:
            self._out.print(_indented(Text(table.note, style="dim")))
        self._out.print()


def _rich(stream: IO[str], terminal: bool | None) -> RichConsole:
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="replace")  # a terminal without "µ" shows "?", not an error
    console = RichConsole(file=stream, force_terminal=terminal, highlight=False, markup=False)
    if not console.is_terminal:
        console.width = PIPE_WIDTH
    return console


def _spaced(name: str) -> str:
    """LinkTimeout -> Link timeout."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).capitalize()


def _indented(what: RenderableType) -> Padding:
    return Padding(what, (0, 0, 0, 2), expand=False)


def _fact(name: str, value: object) -> tuple[str, str]:
    """A name and a value as a person reads them; a unit at the end of a name is shown with it."""
    shown = name.replace("_", " ")
    if isinstance(value, bool) or value is None:
        return shown, {True: "yes", False: "no", None: "–"}[value]
    if isinstance(value, int | np.integer):
        return shown, f"{value:,}" if not name.endswith("seed") else str(value)
    if isinstance(value, float | np.floating):
        for ending, unit in (("_siemens", "S"), ("_volts", "V")):
            if name.endswith(ending):
                return shown.removesuffix(ending.replace("_", " ")), si(float(value), unit)
        if name.endswith("_s"):
            return f"{shown.removesuffix(' s')} time", duration(float(value))
        return shown, f"{value:.4g}"
    return shown, str(value)
