"""The wear of the bench's chip, asked of the board's holder where it answers, else of the file."""

from __future__ import annotations

from dataclasses import dataclass

from drivers.rram.geometry import Geometry
from hil.bench import Bench
from hil.config import BenchConfig
from hil.wear import WEAR_FILE, WearAccount
from hil.wear_cells import Wear
from protocols.errors import ChipBusyError, LinkError, RecordError


@dataclass(frozen=True)
class ChipWear:
    """A chip's account as it stands, and everything that is to be said about it."""

    chip: str
    wear: Wear
    notes: tuple[str, ...]
    simulated: bool


def chip_wear(config: BenchConfig) -> ChipWear:
    """The account with all that is in the journals; compared with the chip where it answers.

    Raises:
        RecordError: the account is damaged, or there is neither a board nor an account.
        ConfigError: board and bench file do not fit together.
    """
    try:
        with Bench.open(config) as bench:
            if bench.wear is None:
                raise RecordError(f"chip {config.chip.id!r}: this bench keeps no wear account.")
            notes = tuple(bench.wear.notes())
            return ChipWear(config.chip.id, bench.wear.wear(), notes, bench.is_simulated)
    except (ChipBusyError, LinkError) as error:
        return _from_file(config, f"The chip was not asked, only its account: {error}")


def _from_file(config: BenchConfig, why: str) -> ChipWear:
    description = config.load_description()
    geometry = Geometry(description.rows, description.columns)
    path = config.chip.folder / config.chip.id / WEAR_FILE
    with WearAccount.open(path, geometry, config.chip.id) as account:
        account.book(close=False)  # another process may be writing the last journal
        notes = (*account.notes(), why)
        return ChipWear(config.chip.id, account.wear(), notes, config.board == "sim")
