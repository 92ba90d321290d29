"""Spoils good inputs: bytes, trees of JSON or YAML, members of a zip, rows of a database."""

from __future__ import annotations

import copy
import io
import json
import random
import re
import sqlite3
import zipfile
from collections.abc import Callable
from typing import Any

Spoil = Callable[[random.Random, bytes], bytes]

_WORDS = (
    *(
        b"\0",
        b"\xff",
        b"\xfe\xff",
        b"\xed\xa0\x80",
        b"\n",
        b"\t",
        b": ",
        b"- ",
        b"[" * 40,
        b"{" * 40,
    ),
    *(b"&a ", b"*a", b"!!python/object/apply:os.system [x]", b"<<: ", b"1e999", b"-1e999", b".nan"),
    *(b"NaN", b"Infinity", b"-0", b"9" * 30, b"9" * 5000, b"0x_", b"1:1:1", b"2020-13-45", b"null"),
    *(b"true", b'"\\ud800"', b'"\\u0000"', b"../../../etc/passwd", b"%YAML 9.9", b"[[[[", b"}}}}"),
    *(b"\x80\x02", b"PK\x03\x04", b"\x93NUMPY", b"SQLite format 3\0", b"\x7f\xff\xff\xff"),
)
_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, -(2**63) - 1, 10**400, 0.5, -0.0, 1e308),
    *(float("nan"), float("inf"), float("-inf"), "", "x", "\0", "\ud800", "é" * 70, "../../x"),
    *("/dev/zero", "a" * 5000, [], {}, [[]], {"": ""}, [0] * 300, {"x": {"y": [1, "z"]}}, "<deep>"),
)
_DEEP = "[" * 3000 + "]" * 3000
SHORT = re.compile(r"(?<=[^.\d]\d)e(?=[-+]\d)")  # 1e-07 is a text in YAML


def spoil_bytes(rng: random.Random, good: bytes) -> bytes:
    """One to eight flips, words, cuts, repeats or moves."""
    data = bytearray(good)
    for _ in range(rng.choice((1, 1, 2, 4, 8))):
        at = rng.randrange(len(data) + 1)
        kind = rng.randrange(7)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1 and at < len(data):
            data[at] = rng.randrange(256)
        elif kind == 2:
            data[at:at] = rng.choice(_WORDS)
        elif kind == 3:
            del data[at : at + rng.choice((1, 4, 16, 256))]
        elif kind == 4:
            data[at:at] = data[at : at + rng.choice((1, 8, 64))]
        elif kind == 5:
            data[at : at + 4] = rng.getrandbits(32).to_bytes(4, "little")
        elif rng.random() < 0.2:
            del data[at:]
    return bytes(data)


def spoil_tree(rng: random.Random, good: bytes) -> bytes:
    """A JSON text (which is YAML too) with one or two values, keys or lists changed."""
    tree = json.loads(good)
    for _ in range(rng.choice((1, 1, 2))):
        tree = _changed(rng, tree)
    text = SHORT.sub(".0e", json.dumps(tree).replace('"<deep>"', _DEEP))
    return text.encode() if rng.random() < 0.9 else spoil_bytes(rng, text.encode())


def _changed(rng: random.Random, tree: Any) -> Any:
    holder: Any = None
    key: Any = None
    node = tree
    while isinstance(node, dict | list) and node and (holder is None or rng.random() < 0.75):
        holder = node
        key = rng.choice(list(node)) if isinstance(node, dict) else rng.randrange(len(node))
        node = node[key]
    if holder is None:
        return copy.deepcopy(rng.choice(_VALUES))
    kind = rng.randrange(5)
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(holder, dict):
        holder[rng.choice(("x", "", "é", "\ud800", "format", "__class__"))] = rng.choice(_VALUES)
    elif kind == 2 and isinstance(node, int | float) and not isinstance(node, bool):
        less = node * 1e-9 if isinstance(node, float) else node // 7
        holder[key] = rng.choice((-node, node * 10**6, node + 1, less, "1.5", [node]))
    elif kind == 3 and isinstance(holder, list):
        holder[key:key] = [copy.deepcopy(node)] * rng.choice((1, 2, 70))
    else:
        holder[key] = copy.deepcopy(rng.choice(_VALUES))
    return tree


def spoil_zip(rng: random.Random, good: bytes) -> bytes:
    """An archive with one member's bytes changed and its checksum right, or changed anywhere."""
    if rng.random() < 0.4:
        return spoil_bytes(rng, good)
    with zipfile.ZipFile(io.BytesIO(good)) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    name = rng.choice(list(members))
    kind = rng.randrange(6)
    if kind == 0:
        del members[name]
    elif kind == 1:
        members[rng.choice(("x.npy", "../x.npy", "weight_9.npy"))] = members[name]
    elif kind == 2:
        members[name] = members[rng.choice(list(members))]
    elif kind == 3:
        members[name] += bytes(rng.choice((1, 1000, 200_000)))
    else:
        members[name] = spoil_bytes(rng, members[name])
    out = io.BytesIO()
    method = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    with zipfile.ZipFile(out, "w", method) as archive:
        for member, content in members.items():
            archive.writestr(zipfile.ZipInfo(member), content, method)
    return out.getvalue()


def spoil_packed(rng: random.Random, good: bytes) -> bytes:
    """A gzip member around changed bytes, or a changed one."""
    if rng.random() < 0.3:
        return spoil_bytes(rng, good)
    import gzip

    return gzip.compress(spoil_bytes(rng, gzip.decompress(good)), 1)


def database_spoiler(repair: Callable[[sqlite3.Connection], None] | None) -> Spoil:
    """Changes cells and rows of an SQLite file; `repair` makes its checksums right again."""

    def spoil(rng: random.Random, good: bytes) -> bytes:
        if rng.random() < 0.4:
            return spoil_bytes(rng, good)
        db = sqlite3.connect(":memory:", isolation_level=None)
        try:
            db.deserialize(good)
            _change_rows(rng, db)
            if repair is not None and rng.random() < 0.8:
                repair(db)
            return bytes(db.serialize())
        except sqlite3.Error:
            return spoil_bytes(rng, good)
        finally:
            db.close()

    return spoil


_CELLS: tuple[Any, ...] = (
    *(None, 0, -1, 1, 2**31, 2**63 - 1, -(2**63), 1e308, "", "x", b"", b"\0", b"\xff" * 40, "[]"),
    *("[" * 3000, '[["row","|O"]]', '[{"name":"row","type":"|O"}]', "[-5]", "[1000000000000]"),
    *('[{"name":"row","type":"V2147483647"}]', "{}", "null", "1e999", "\0", "é"),
)
_PROGRAMS = (
    "CREATE VIEW v AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c)"
    " SELECT x FROM c",
    "CREATE TRIGGER t AFTER UPDATE ON meta BEGIN DELETE FROM meta; END",
)


def _change_rows(rng: random.Random, db: sqlite3.Connection) -> None:
    tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type='table'")]
    for _ in range(rng.choice((1, 1, 2, 3))):
        table = rng.choice(tables)
        columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
        column, kind = rng.choice(columns), rng.randrange(10)
        (count,) = db.execute(f"SELECT COUNT(*) FROM {table}").fetchone()
        row = f"SELECT {columns[0]} FROM {table} LIMIT 1 OFFSET {rng.randrange(max(count, 1))}"
        where = f"WHERE {columns[0]} = ({row})"
        if kind == 0:
            db.execute(f"DELETE FROM {table} {where}")
        elif kind == 1 and rng.random() < 0.3:
            db.execute(f"DROP TABLE {table}")
            return
        elif kind == 2 and rng.random() < 0.3:
            db.execute(rng.choice(_PROGRAMS))
        elif kind in (3, 4):
            old = db.execute(f"SELECT {column} FROM {table} {where}").fetchone()
            raw = old[0] if old else b""
            raw = raw if isinstance(raw, bytes) else str(raw).encode()
            spoiled: Any = spoil_bytes(rng, raw)
            if not isinstance(old and old[0], bytes):
                spoiled = spoiled.decode("utf-8", "replace")
            db.execute(f"UPDATE OR IGNORE {table} SET {column} = ? {where}", (spoiled,))
        else:
            value = rng.choice(_CELLS)
            db.execute(f"UPDATE OR IGNORE {table} SET {column} = ? {where}", (value,))
