"""What the benchmarks share: their options, bars, tables, and how a result is judged and kept."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hil.jsonable import to_json

PASSED, MISSED = 0, 1
Bars = Mapping[str, tuple[float, float]]
"""Figure -> (lowest, highest) allowed."""


def option_parser(doc: str | None, quick: str) -> argparse.ArgumentParser:
    """What every benchmark takes; `doc` is its docstring, `quick` says what --quick does."""
    parser = argparse.ArgumentParser(description=(doc or "").partition("\n\n")[0])
    parser.add_argument("--json", type=_new_file, metavar="FILE", help="write the figures here")
    parser.add_argument("--quick", action="store_true", help=quick)
    return parser


def _new_file(text: str) -> Path:
    """A path that can be written: found out before the minutes of measuring, not after them."""
    path = Path(text)
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text}: not a file in a folder that exists")
    return path


def missed_bars(figures: Mapping[str, float], bars: Bars) -> list[str]:
    """One sentence per bar that is missed; a figure that is NaN misses its bar."""
    return [
        f"{name} is {figures[name]:.4g}, the bar is {low:g} to {high:g}"
        for name, (low, high) in bars.items()
        if not low <= figures[name] <= high
    ]


def text_table(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Aligned to the right, two spaces between columns."""
    widths = [max(len(row[i]) for row in [heads, *lines]) for i in range(len(heads))]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [heads, *lines]
    )


def finish(json_file: Path | None, figures: Mapping[str, Any], missed: Sequence[str]) -> int:
    """Names the bars that are missed, keeps the figures, gives the exit status."""
    for sentence in missed:
        print(f"BAR MISSED: {sentence}")
    keep(json_file, {**figures, "missed": list(missed)})
    return MISSED if missed else PASSED


def keep(json_file: Path | None, figures: Mapping[str, Any]) -> None:
    """Writes the figures, where a file was asked for."""
    if json_file is not None:
        json_file.write_text(to_json(figures, indent=1) + "\n", encoding="utf-8")
