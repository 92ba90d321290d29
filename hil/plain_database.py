"""What is asked of an SQLite file before it is read: it may come from a stranger."""

from __future__ import annotations

import sqlite3


def refuse_programs(db: sqlite3.Connection) -> None:
    """Refuse a database with more than plain tables: a view or trigger would run what it says.

    Raises:
        sqlite3.DatabaseError: there is one.
    """
    db.execute("PRAGMA trusted_schema = OFF")
    for kind, name, text in db.execute("SELECT type, name, sql FROM sqlite_master LIMIT 100"):
        plain = kind == "table" and str(text).upper().startswith("CREATE TABLE")
        if not plain and not (kind == "index" and text is None):
            raise sqlite3.DatabaseError(f"it holds a {kind} {name!r:.80}; only plain tables do")
