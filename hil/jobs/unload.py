"""The chip may be taken out: outputs stopped, seen to be at zero, supplies off.

The board is told to stop, which latches, so that nobody drives an empty socket; then its outputs
are read back (`calibration.outputs`), and last the supply that the bench file names is switched
off, line drivers first, and looked at. A board that does not answer confirms nothing by itself;
only a supply that feeds every rail, and sees all of them empty, does. Every step is in the run's
journal; whoever reads the run sees whether it was confirmed.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from calibration.bringup.power import Rail, missing, rails_of
from calibration.outputs import OutputParams, ReadBack, read_back
from drivers.instruments.interfaces import PowerSupply
from hil.bench import Bench
from hil.config import BenchConfig
from hil.instruments import connect_all, simulated_of
from hil.jobs.session import session
from hil.power import RailState, Wait, switch_off
from hil.record import RunFolder
from protocols.board_map import load_map
from protocols.errors import ConfigError, LinkError, UnconfirmedError

KIND = "unload"


@dataclass
class Unloaded:
    """What was done and seen.

    Attributes:
        run: the run's folder.
        outputs: as they were read back; None where the board did not answer.
        silent: why it did not.
        rails: as the supply measures them after it was switched off; empty without a supply.
        by_hand: rails that no supply of the bench feeds, in the order in which to switch them off.
        simulated: whether the board is.
    """

    run: Path
    outputs: ReadBack | None = None
    silent: str = ""
    rails: tuple[RailState, ...] = ()
    by_hand: tuple[str, ...] = ()
    simulated: bool = False

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "outputs": None if self.outputs is None else self.outputs.to_dict(),
            "board_silent": self.silent,
            "rails": [asdict(one) for one in self.rails],
            "switch_off_by_hand": list(self.by_hand),
            "simulated": self.simulated,
        }


@dataclass
class _Steps:
    """The steps of one unloading, each in the journal before anything is concluded from it."""

    config: BenchConfig
    params: OutputParams | None
    rails: tuple[Rail, ...]

    def ask_board(self, bench_text: str | None) -> Unloaded:
        """Stop and read back; a simulated supply goes off with its bench."""
        with session(self.config, KIND, parameters={}, bench_text=bench_text) as (run, bench):
            reason = bench.board.stop()
            run.journal.event("stopped", {"safe_reason": reason.name.lower()})
            found = read_back(bench.board, bench.description, self.params)
            run.journal.event("outputs", found.to_dict())
            found.require()
            done = Unloaded(run.path, found, simulated=bench.is_simulated)
            if not self.has_supply:
                self._off(run, done, self._simulated(bench), bench.wait)
        return done

    def without_board(self, why: LinkError, bench_text: str | None) -> Unloaded:
        """The supply alone, where it feeds everything."""
        with RunFolder.create(
            self.config.runs,
            KIND,
            parameters={},
            seed=self.config.seed,
            bench_text=bench_text,
            board=self.config.name,
        ) as run:
            run.update(chip=self.config.chip.id)
            run.journal.event("board silent", {"why": str(why)})
            done = Unloaded(run.path, silent=str(why))
            self.supply_off(run, done)
            if done.by_hand or not done.rails:
                why.add_note("And no supply of the bench file feeds every rail of the board.")
                raise why
        return done

    def supply_off(self, run: RunFolder, done: Unloaded) -> None:
        """The supply that the bench file names, switched off and looked at."""
        if self.config.instruments is None or not self.has_supply:
            return
        with connect_all(self.config.instruments, ("supply",)) as own:
            self._off(run, done, own.supply, time.sleep)

    @property
    def has_supply(self) -> bool:
        """Whether the bench file names one."""
        section = self.config.instruments
        return section is not None and bool(section.of("supply"))

    def _simulated(self, bench: Bench) -> PowerSupply | None:
        return simulated_of(bench).supply if self.config.instruments is None else None

    def _off(self, run: RunFolder, done: Unloaded, supply: PowerSupply | None, wait: Wait) -> None:
        unfed = self.rails if supply is None else tuple(missing(supply, self.rails))
        done.by_hand = _names(reversed(unfed))
        if supply is None:
            return
        try:
            done.rails = tuple(switch_off(supply, self.rails, wait))
        except UnconfirmedError as error:
            run.journal.event("supplies", {"off": False, "why": str(error)})
            raise
        run.journal.event("supplies", {"off": True, "rails": [asdict(one) for one in done.rails]})


def unload(
    config: BenchConfig, params: OutputParams | None = None, *, bench_text: str | None = None
) -> Unloaded:
    """Makes a bench safe for its chip to be taken out, and sees that it is.

    Raises:
        UnconfirmedError: an output or a rail is not at zero; the run says which.
        LinkError: the board cannot be asked, and no supply confirms that it has no power.
        InstrumentError: the supply cannot be asked.
        ChipBusyError: another process has the chip.
    """
    steps = _Steps(config, params, _rails(config))
    try:
        done = steps.ask_board(bench_text)
    except LinkError as error:
        if not steps.has_supply:
            raise
        done = steps.without_board(error, bench_text)
    else:
        if steps.has_supply:  # the line is closed: the controller goes off with its rail
            with RunFolder.open(done.run) as run:
                steps.supply_off(run, done)
    RunFolder.open(done.run).save_json("results.json", {"confirmed": True, **done.to_dict()})
    return done


def _names(rails: Any) -> tuple[str, ...]:
    return tuple(rail.name for rail in rails)


def _rails(config: BenchConfig) -> tuple[Rail, ...]:
    """The rails that the bench file gives, else those of the drawn board; none is no error."""
    given: Sequence[Rail] = config.bringup.supplies.rails
    try:
        return rails_of(load_map(config.load_description().name), given)
    except ConfigError:
        return tuple(given)
