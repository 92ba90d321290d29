"""`hil instruments`: which laboratory instruments are connected, and what for."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated

import typer

from drivers.instruments.catalogue import AUTO, Wanted, serial_baud
from drivers.instruments.discovery import Found, discover
from hil.bench import Bench
from hil.cli.options import BenchOption, BoardOption, JsonOption, SeedOption, context
from hil.config import BenchConfig
from hil.firmware import BOARDS
from hil.instruments import simulated_of
from hil.report.tables import Table


@dataclass(frozen=True)
class Row:
    """One instrument: which role the bench file gives it, and what was found."""

    role: str
    found: Found

    @property
    def state(self) -> str:
        """What was found, against what the bench file wants."""
        found = self.found
        if self.role and found.identity is not None and found.role != self.role:
            return f"wrong instrument: {found.role or 'of no role here'}, not {self.role}"
        return found.state


def command(
    visa: Annotated[
        str | None,
        typer.Option(
            "--visa",
            metavar="LIBRARY",
            help="VISA library, e.g. @py or FILE@sim; default: the bench file's.",
        ),
    ] = None,
    bench: BenchOption = None,
    board: BoardOption = None,
    seed: SeedOption = None,
    json: JsonOption = False,
) -> None:
    """Which instruments are connected, which driver fits, what for. Sends *IDN? only."""
    ctx = context(bench, board, json=json, seed=seed)
    config = ctx.config
    simulated = visa is None and config.instruments is None and _has_simulated(config)
    rows = _simulated(config) if simulated else _connected(config, visa)
    if json:
        listed = [_facts(row) for row in rows]
        ctx.console.json({"simulated": simulated, "instruments": listed})
        return
    ctx.console.table(_table(rows, simulated=simulated))


def _has_simulated(config: BenchConfig) -> bool:
    return config.board == "sim" or config.board in BOARDS


def _simulated(config: BenchConfig) -> list[Row]:
    """The simulated instruments of a simulated board."""
    with Bench.open(config) as opened, simulated_of(opened) as instruments:
        return [
            Row(role, Found("simulated", one.identity, "simulated", role))
            for role, one in instruments.present().items()
        ]


def _connected(config: BenchConfig, visa: str | None) -> list[Row]:
    """What VISA finds, and what the bench file names."""
    section = config.instruments
    wanted = section.wanted() if section is not None else []
    library = visa if visa is not None else section.visa if section is not None else ""
    named = {one.address: serial_baud(one) for one in wanted}
    found = {one.address: one for one in discover(library, named)}
    rows = [Row(one.role, _as_meant(one, found[one.address])) for one in wanted]
    return rows + [Row("", one) for address, one in found.items() if address not in named]


def _as_meant(wanted: Wanted, found: Found) -> Found:
    """What was found, or why it is not the instrument that the bench file means."""
    if found.identity is None:
        return found
    trouble = ""
    if wanted.model not in (AUTO, found.driver):
        trouble = f"wrong instrument: {wanted.model} is named"
    elif wanted.serial not in ("", found.identity.serial):
        trouble = f"wrong instrument: serial number {wanted.serial} is named"
    return Found(**{**vars(found), "state": trouble}) if trouble else found


def _facts(row: Row) -> dict[str, object]:
    facts = asdict(row.found)
    return {**facts, "fits": row.found.role, "role": row.role, "state": row.state}


def _table(rows: list[Row], *, simulated: bool) -> Table:
    texts: list[tuple[str, ...]] = [
        (
            row.found.address,
            str(row.found.identity or "–"),
            row.found.driver or "–",
            row.role or "–",
            row.state,
        )
        for row in rows
    ]
    note = "" if rows else "Nothing was found; instruments on a network have to be named."
    caption = "Instruments (simulated)" if simulated else "Instruments"
    return Table(caption, ("address", "instrument", "driver", "role", "state"), tuple(texts), note)
