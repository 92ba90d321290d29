"""Between a macro and its journal: budgets before a pulse, the account after it.

Every bench that is opened for a chip has one. It refuses a batch that would go over a budget
before the batch is journaled or a byte is sent, hands everything on to the run's journal, and books
the journal into the chip's account when the bench is closed. A bench that was opened without a
journal gets one of its own beside the chip, so that no pulse goes unaccounted.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.rram.geometry import Cells
from drivers.rram.macro import Macro
from drivers.rram.pulses import PulseBatch
from drivers.rram.recorder import PulseRecorder
from hil.conditions import EVENT, Conditions
from hil.journal import Journal, meant_of
from hil.journal_reader import Driven
from hil.ledger import Ledger
from hil.record import RunFolder
from hil.wear import DRY_RUN_LABEL, WEAR_FILE, WearAccount, pulses_of
from hil.wear_budget import WearSection
from hil.wear_cells import Ints, Wear, add_pulses, pulse_energy
from hil.wear_entries import ReadScale
from protocols.errors import LimitError, RecordError

OWN_JOURNALS = "journals"


@dataclass(frozen=True)
class WearPlace:
    """Whose account it is and where.

    Attributes:
        folder: where the chip lives; the account is made beside it.
        chip: its id.
        budget: what its cells may take.
        runs: where runs are kept that drove the chip before there was an account.
    """

    folder: Path
    chip: str
    budget: WearSection = field(default_factory=WearSection)
    runs: Path | None = None

    @property
    def path(self) -> Path:
        """Where the account is."""
        return self.folder / WEAR_FILE


@dataclass
class _Session:
    """What is open from the first pulse on.

    Attributes:
        account: with this session's journal named in it.
        journal: where `writer` writes; `own` when it was made here.
        wear: everything until now, without `frames`.
        frames: acknowledged since the last batch.
        meant: the last batch, None for one that is not driven again.
        other_token: the last batch's number by a recorder that is no journal.
    """

    account: WearAccount
    journal: Journal
    writer: PulseRecorder
    own: bool
    wear: Wear
    frames: list[Driven]
    meant: NDArray[Any] | None = None
    other_token: int = 0


class WearKeeper:
    """A `PulseRecorder` that keeps the wear account of one chip.

    Nothing is written before the first pulse, so that a bench that only reads leaves no trace.
    """

    def __init__(
        self,
        place: WearPlace,
        macro: Macro,
        recorder: PulseRecorder | None = None,
        pulse_counts: NDArray[np.integer[Any]] | None = None,
        under: Callable[[], Conditions] | None = None,
    ) -> None:
        """The keeper of a macro whose chip this process holds.

        Args:
            place: whose account it is.
            macro: what is driven; its `recorder` becomes this keeper.
            recorder: the run's journal, or another recorder that hears everything as well.
            pulse_counts: (n,) what a simulated chip's own counters say, to compare with.
            under: asked for the conditions that a journal of its own shall name.
        """
        self.place, self.recorder = place, recorder
        self._macro, self._counts, self._under = macro, pulse_counts, under
        self._session: _Session | None = None
        macro.recorder = self

    # --- what others ask ---------------------------------------------------------------------

    def wear(self) -> Wear:
        """The wear until now, this session's pulses included.

        Raises:
            RecordError: the account is damaged, or of another chip.
        """
        if self._session is not None:
            self._consolidate(self._session)
            return self._session.wear
        with self._opened() as account:
            return account.wear()

    def left(self, cells: Cells) -> Ints:
        """(n,) pulses that each cell may still get."""
        wear = self.wear()
        used = (wear.pulses + wear.unknown)[cells.flat(self._macro.geometry)]
        return np.asarray(self.place.budget.pulses_per_cell - used)

    def notes(self) -> list[str]:
        """What is missing from the account, and where it disagrees with the chip."""
        if self._session is not None:
            return self._session.account.notes()
        with self._opened() as account:
            return account.notes()

    # --- PulseRecorder -----------------------------------------------------------------------

    def intent(self, batch: PulseBatch, *, label: str) -> int:
        """Refuses a batch over a budget, else journals it.

        A round that a resumed run answers from its journal is neither checked nor counted: it is
        booked already, and nothing of it is driven again.

        Raises:
            LimitError: names the cell, its count and the budget; nothing was driven.
            RecordError: the account or the journal cannot be written; nothing was driven.
        """
        session = self._session or self._start()
        self._consolidate(session)
        if isinstance(self.recorder, Ledger) and self.recorder.round_is_known():
            session.meant = None
            return self.recorder.intent(batch, label=label)
        self._check(session.wear, batch)
        if self._macro.dry_run:
            label = f"{DRY_RUN_LABEL}: {label}"
        session.meant = meant_of(batch)
        if session.own and self.recorder is not None:
            session.other_token = self.recorder.intent(batch, label=label)
        return session.writer.intent(batch, label=label)

    def outcome(self, token: int, start: int, records: NDArray[Any]) -> None:
        """Journals one acknowledged frame of the last batch.

        Raises:
            RecordError: it cannot be written; these pulses were driven all the same.
        """
        session = self._session
        if session is None:
            raise RecordError("pulses were acknowledged that were never announced; not journaled.")
        session.writer.outcome(token, start, records)
        if session.meant is not None:
            meant = session.meant[start : start + len(records)]
            session.frames.append(Driven(0, meant, records))
        if session.own and self.recorder is not None:
            self.recorder.outcome(session.other_token, start, records)

    def close(self) -> None:
        """Books what was driven. Where nothing was, nothing is done. Closing twice is allowed.

        Raises:
            RecordError: the account cannot be written; the next session books it from the journal.
        """
        session, self._session = self._session, None
        if session is None:
            return
        try:
            session.account.book(close=True)
        finally:
            session.account.close()
            if session.own:
                session.journal.close()

    # --- inside ------------------------------------------------------------------------------

    @property
    def _scale(self) -> ReadScale:
        amperes, volts = self._macro.curves.read_amperes, self._macro.read_volts
        zero, one = (float(amperes.to_si(code)) / volts for code in (0.0, 1.0))
        return ReadScale(one - zero, zero)

    def _opened(self) -> WearAccount:
        """The account with everything booked; of an untouched chip one that is not on the disk."""
        place, geometry = self.place, self._macro.geometry
        earlier = [] if place.path.exists() else earlier_journals(place)
        if not place.path.exists() and not earlier:
            account = WearAccount.unwritten(geometry, place.chip)
        else:
            account = WearAccount.at(place.path, geometry, place.chip)
        try:
            for journal in earlier:
                account.register(journal, self._scale)
            account.book(close=True)  # this process holds the chip, so no journal can grow
            account.set_disagreement(self._disagreement(account.wear()))
        except BaseException:
            account.close()
            raise
        return account

    def _start(self) -> _Session:
        """Opens the account and names this session's journal in it, before the first pulse."""
        place, geometry = self.place, self._macro.geometry
        with self._opened() as account:
            disagreement = account.disagreement
        account = WearAccount.at(place.path, geometry, place.chip)
        known = _journal_of(self.recorder)
        journal = known
        try:
            account.set_disagreement(disagreement)
            journal = known or self._own_journal()
            if disagreement:
                journal.event("wear_disagreement", {"text": disagreement})
            account.register(journal.path, self._scale)
            writer = journal if known is None or self.recorder is None else self.recorder
            wear = account.wear()
            self._session = _Session(account, journal, writer, known is None, wear, [])
        except BaseException:
            account.close()
            if journal is not None and known is None:
                journal.close()
            raise
        return self._session

    def _own_journal(self) -> Journal:
        folder = self.place.folder / OWN_JOURNALS
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RecordError(f"{folder}: cannot be made ({error.strerror}).") from error
        path = folder / f"{uuid.uuid4().hex}.sqlite"
        journal = Journal.create(path, {"kind": "unattended", "run": "", "chip": self.place.chip})
        if self._under is not None:
            journal.event(EVENT, self._under().facts())
        return journal

    def _consolidate(self, session: _Session) -> None:
        """Books this session's acknowledged frames in memory, as the account will from the file."""
        if session.frames:
            pulses = pulses_of(session.frames, self._macro.geometry, self._scale)
            add_pulses(session.wear.cells, pulses)
            session.frames = []

    def _check(self, wear: Wear, batch: PulseBatch) -> None:
        if not len(batch):
            return
        geometry, budget = self._macro.geometry, self.place.budget
        flat = batch.cells.flat(geometry)
        cells, place = np.unique(flat, return_inverse=True)
        had = (wear.pulses_at(cells) + wear.unknown[cells]).astype(np.float64)
        self._refuse(cells, had, np.bincount(place), budget.pulses_per_cell, "pulses_per_cell")
        energy = pulse_energy(wear.cells["siemens"][flat], batch.line_volts, batch.width_s)
        had = wear.cells["energy_joules"][cells]
        limit = budget.energy_joules_per_cell
        self._refuse(cells, had, np.bincount(place, energy), limit, "energy_joules_per_cell")

    def _refuse(
        self,
        cells: Ints,
        had: NDArray[np.float64],
        more: NDArray[Any],
        budget: float,
        name: str,
    ) -> None:
        after = had + more
        if not after.max(initial=0.0) > budget:
            return
        at = int(np.argmax(after))
        row, column = divmod(int(cells[at]), self._macro.geometry.columns)
        unit = "pulses" if name == "pulses_per_cell" else "J (estimated)"
        raise LimitError(
            f"chip {self.place.chip!r}, cell ({row}, {column}): {had[at]:.10g} {unit} in its life "
            f"and {more[at]:.6g} more make {after[at]:.10g}, the budget is {budget:.10g} "
            f"(wear.{name} in the bench file; {int((after > budget).sum())} cells of the batch are "
            "over it); nothing of the batch was driven"
        )

    def _disagreement(self, wear: Wear) -> str:
        """How a simulated chip's own counters differ from the account, in one sentence."""
        if self._counts is None:
            return ""
        there, booked = self._counts.astype(np.int64), wear.pulses
        fewer, more = there < booked, there > booked + wear.unknown
        if not (fewer.any() or more.any()):
            return ""
        what, cells = (
            ("fewer: the chip's file was replaced, or is an older copy", fewer)
            if fewer.any()
            else ("more: it was driven without a journal of this account", more)
        )
        return (
            f"The chip and its wear account disagree: {int(cells.sum())} cells have had "
            f"{int(np.abs(there - booked)[cells].sum())} pulses {what}. The account counts on; "
            f"give another chip an id of its own (chip.id), or move {self.place.path} away."
        )


def _journal_of(recorder: PulseRecorder | None) -> Journal | None:
    """The journal that a recorder writes, if it writes one."""
    if isinstance(recorder, Ledger):
        return recorder.journal
    return recorder if isinstance(recorder, Journal) else None


def earlier_journals(place: WearPlace) -> list[Path]:
    """Journals of the runs that drove this chip before it had an account, oldest first."""
    if place.runs is None:
        return []
    runs = [run for run in RunFolder.all(place.runs) if run.info.get("chip") == place.chip]
    found = [run.file("journal.sqlite") for run in reversed(runs)]
    return [path for path in found if path.is_file()]
