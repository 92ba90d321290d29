"""A comparison as one HTML page with its figures, and as JSON."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from calibration.chip_compare import Comparison, Difference
from hil.compare import Compared, Side
from hil.jsonable import to_json
from hil.record import write_whole
from hil.report.compare.figure import distribution_figure, map_figure
from hil.report.page import environment
from hil.report.style import png
from hil.report.tables import Table
from hil.report.text import number, si

PAGE_NAME, JSON_NAME = "compare.html", "compare.json"
SMALLEST_P = 1e-15
"""What the normal and asymptotic laws behind the tests can be trusted for."""
MAPS = (
    "Every cell at its place in the array; both maps share one scale. Cells that were not looked at"
    " are grey. A single reading of a cell that was never formed is mostly noise."
)
DISTRIBUTIONS = (
    "Left and middle: how many of the cells lie below a conductance. Right: the same cell on both"
    " sides; on the grey line nothing has changed."
)


def render(found: Compared, folder: Path) -> Path:
    """Writes page, figures and JSON into `folder`; returns the page's path.

    Raises:
        RecordError: the folder cannot be written.
    """
    names, simulated = _names(found), found.a.simulated or found.b.simulated
    figures = {
        "maps": map_figure(found.comparison, names, simulated=simulated),
        "distributions": distribution_figure(found.comparison, simulated=simulated),
    }
    captions = {"maps": MAPS, "distributions": DISTRIBUTIONS}
    shown = [_figure(folder, key, each, captions[key]) for key, each in figures.items()]
    page = (
        environment()
        .get_template("compare.html.j2")
        .render(
            title=f"{names[0]} and {names[1]}",
            verdict=found.verdict,
            simulated=simulated,
            sides=[_side("A", found.a), _side("B", found.b)],
            figures=shown,
            tables=[differences(found.comparison), counts(found)],
        )
    )
    write_whole(folder / JSON_NAME, (to_json(found.to_dict(), indent=1) + "\n").encode())
    return write_whole(folder / PAGE_NAME, page.encode())


def differences(found: Comparison) -> Table:
    """One line per statistic; those that differ and matter are marked."""
    limit = found.params.significance
    rows = tuple(
        (
            each.name,
            _value(each, each.a),
            _value(each, each.b),
            f"{each.effect:+.3f}".replace("-", "−"),
            f"{each.measure}, {each.relevant:g} matters",
            f"below {SMALLEST_P:g}" if each.p < SMALLEST_P else f"{each.p:.2g}",
            each.verdict(limit),
        )
        for each in found.differences
    )
    note = (
        f"p: how often chance alone gives as much, all {len(rows)} tests taken together (Holm);"
        f" below {limit:g} it is taken for more than chance. A difference counts where the effect"
        " is large enough to matter as well. Of distributions the share below A's median is shown."
    )
    marked = tuple(k for k, each in enumerate(found.differences) if each.differs(limit))
    header = ("", "A", "B", "effect", "measured as", "p", "verdict")
    return Table("What differs", header, rows, note, marked)


def counts(found: Compared) -> Table:
    """Cells and identity."""
    made = found.comparison.to_dict()
    rows: list[tuple[str, str]] = [
        ("cells looked at on both sides", number(made["cells"])),
        ("formed in B and not in A", number(found.comparison.formed)),
        ("formed in A and not in B", number(found.comparison.lost)),
    ]
    if found.likeness is not None:
        each = found.likeness
        rows += [
            ("score of the fingerprint", number(each.score, 1)),
            ("expected of the same chip", number(each.expected_score, 1)),
            ("above this it is the same chip", number(each.bound, 2)),
        ]
    return Table("Cells and fingerprint", ("", ""), tuple(rows))


def _value(of: Difference, value: float) -> str:
    return si(value, of.unit) if of.unit else f"{100.0 * value:.1f} %"


def _names(found: Compared) -> tuple[str, str]:
    def named(side: Side) -> str:
        return f"{side.chip}, {side.time.astimezone():%Y-%m-%d %H:%M}"

    return named(found.a), named(found.b)


def _side(letter: str, side: Side) -> dict[str, Any]:
    celsius = side.facts.get("temperature_celsius")
    facts = {
        "asked for as": side.name,
        "chip": side.chip,
        "time": f"{side.time.astimezone():%Y-%m-%d %H:%M:%S}",
        "operator": side.facts.get("operator") or "–",
        "temperature": "–" if celsius is None else f"{celsius:.1f} °C",
        "temperature from": side.facts.get("temperature_source") or "–",
    }
    return {"title": letter, "facts": list(facts.items())}


def _figure(folder: Path, key: str, figure: Figure, caption: str) -> dict[str, str]:
    content = png(figure, {"Software": None})
    write_whole(folder / f"compare-{key}.png", content)
    source = "data:image/png;base64," + base64.b64encode(content).decode()
    return {"source": source, "caption": caption}
