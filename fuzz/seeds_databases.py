"""Good databases, images and lines of text, and their readers as functions of a path."""

from __future__ import annotations

import gzip
import sqlite3
import struct
import zlib
from pathlib import Path

import numpy as np

from drivers.rram.geometry import Cells
from drivers.rram.pulses import PulseBatch
from drivers.rram.recorder import PULSE_RECORD
from fuzz.seeds import GEOMETRY
from hil.control import reason_in
from hil.jobs.elf import read_elf
from hil.journal import Journal, checksum
from hil.journal_reader import JournalReader
from hil.ledger import Exchange, past_of
from hil.sim.fit.data import read_forming
from hil.sim.legacy_faults import LegacyFaults
from hil.sim.legacy_parser import Variables, execute, finish_init
from hil.wear import WearAccount
from hil.wear_entries import ReadScale
from protocols import legacy
from protocols import messages as m

# --- databases -----------------------------------------------------------------------------------


def _sealed(path: Path) -> bytes:
    """The bytes of a database that needs no log beside it."""
    with sqlite3.connect(path, isolation_level=None) as db:
        db.execute("PRAGMA journal_mode = DELETE")
    db.close()
    return path.read_bytes()


def _written(path: Path) -> Journal:
    book = Journal.create(path, {"chip": "a"})
    for row in range(2):
        cells = Cells.of([(row, 0), (row, 1), (row, 2)])
        batch = PulseBatch.set(cells, gate_volts=1.5, line_volts=2.0, width_s=1e-7)
        token = book.intent(batch, label="round")
        records = np.zeros(2, PULSE_RECORD)
        records["row"], records["column"] = row, [0, 1]
        book.outcome(token, 0, records)
        asked = [m.StatusRequest(), m.ArmRequest(5)]
        book.exchange(0, Exchange.of(asked, [b"\0abc", None]).pack(), 2)
    again = Exchange((m.PulseReadRequest.CODE,), (2,), (b"\0" + bytes(10),), token)
    book.exchange(token, again.pack(), 1)
    book.event("calibration", {"gain": 0.25})
    book.array("codes", np.arange(6, dtype=np.uint16).reshape(3, 2))
    return book


def journal(scratch: Path) -> bytes:
    path = scratch / "seed.sqlite"
    _written(path).close()
    return _sealed(path)


def repair_journal(db: sqlite3.Connection) -> None:
    """Checksums that fit again, as somebody would write them who means harm."""
    db.create_function("hil_crc", -1, _crc, deterministic=True)
    for table, values in (
        ("layout", "x'', name, fields"),
        ("intent", "blob, label, layout, count"),
        ("outcome", "blob, token, start, layout, count"),
        ("exchange", "blob, after, token, count"),
        ("event", "x'', kind, data"),
        ("array", "blob, kind, dtype, shape"),
    ):
        try:
            db.execute(f"UPDATE {table} SET crc = hil_crc({values})")
        except sqlite3.Error:
            continue  # the table is gone


def _crc(blob: object, *belongs: object) -> int:
    if not isinstance(blob, bytes) or not all(isinstance(v, int | str) for v in belongs):
        return 0
    return checksum(blob, *belongs)  # type: ignore[arg-type]


def read_journal(path: Path) -> object:
    for check in (True, False):
        with JournalReader(path, check) as reader:
            if not check or not reader.damage():
                reader.units()
                reader.sound_records()
                list(reader.driven(0, []))
                reader.events()
                reader.arrays("codes")
                reader.unknown()
    return None


def read_ledger(path: Path) -> object:
    with JournalReader(path) as reader:
        return past_of(reader)


def wear(scratch: Path) -> bytes:
    book = scratch / "j.sqlite"
    _written(book).close()
    path = scratch / "seed-wear.sqlite"
    with WearAccount.at(path, GEOMETRY, "a") as account:
        account.register(book, ReadScale(1e-8, 0.0))
        account.book(close=True)
    return _sealed(path)


def repair_wear(db: sqlite3.Connection) -> None:
    """The checksum over the sums."""
    db.create_function("hil_crc", 1, lambda v: zlib.crc32(v) if isinstance(v, bytes) else 0)
    db.execute("UPDATE total SET crc = hil_crc(blob)")


def read_wear(path: Path) -> object:
    with WearAccount.open(path, GEOMETRY, "a") as account:
        account.book(close=False)
        return account.wear(), account.notes(), account.entries()


# --- others --------------------------------------------------------------------------------------


def measured(_: Path) -> bytes:
    rows = [f"{k}\t1.8\t{3.0 + 0.1 * k}\t{1e4 + k}\t1" for k in range(8)]
    return gzip.compress("\n".join(rows).encode() + b"\n")


def read_measured(path: Path) -> object:
    return read_forming(path.parent)


def elf(_: Path) -> bytes:
    names = b"\0main\0"
    symbols = struct.pack("<IIIBBH", 1, 0x08000000, 4, 0, 0, 1)
    data_at, names_at, symbols_at = 52 + 32 + 80, 52 + 32 + 80 + 8, 52 + 32 + 80 + 16
    ident = b"\x7fELF\x01\x01\x01".ljust(16, b"\0")
    head = (ident, 2, 40, 1, 0, 52, 84, 0, 52, 32, 1, 40, 2, 0)
    out = struct.pack("<16sHHIIIIIHHHHHH", *head)
    out += struct.pack("<8I", 1, data_at, 0x08000000, 0x08000000, 8, 8, 5, 4)
    out += struct.pack("<10I", 0, 2, 0, 0, symbols_at, len(symbols), 1, 0, 4, 16)
    out += struct.pack("<10I", 0, 3, 0, 0, names_at, len(names), 0, 0, 1, 0)
    return out + bytes(8) + names.ljust(8, b"\0") + symbols


def read_elf_file(path: Path) -> object:
    found = read_elf(path)
    return [found.read(at, 4) for at in found.symbols.values()]


def stop_answer(_: Path) -> bytes:
    return b'{"safe_reason": "STOP"}\n'


def read_stop_answer(path: Path) -> object:
    return reason_in(path.read_bytes())


def legacy_reply(_: Path) -> bytes:
    return b"Offset set1: 0.100000\nOffset set2: -0.200000\r\n"


def read_legacy_reply(path: Path) -> object:
    return legacy.parse_reply(path.read_bytes())


def legacy_lines(_: Path) -> bytes:
    return b"I01\r\nO5050\r\nC100\r\nD1\r\nN050\r\nGo\r\n"


def read_legacy_lines(path: Path) -> object:
    variables = Variables()
    for line in path.read_bytes().split(b"\r\n"):
        buffer = line[:64].ljust(64, b"\0")
        outcome = execute(buffer, len(line[:64]), variables, LegacyFaults())
        if outcome.power_up:
            finish_init(buffer, variables)
    return variables
