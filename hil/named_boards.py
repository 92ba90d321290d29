"""Several boards in one bench file: `boards: {left: {...}, right: {...}}`, addressed by name.

An entry may have every key that the file itself has, but for those of `SHARED`; a section is laid
over the file's own key by key, and what is left out is as the rest of the file says. Two keys are
not inherited: a board without a `chip` of its own has one that is called as the board is, and a
simulated die and board get the file's seeds plus the board's place in the list.

`macros:` says which of the boards a network is cut over, in order; left out, all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from drivers.ports import SERIAL_NUMBER

LINES = ("serial:", "socket://", "rfc2217://", "unix://")
"""How the name of a board begins that lives on its own, on a line."""
MOST_BOARDS = 64  # this project's choice
SHARED = ("boards", "macros", "runs", "curves", "name", "stepped")
"""Keys that all boards of a bench file have in common."""
Plain = dict[str, Any]


def in_todays_form(data: Plain) -> Plain:
    """The values of a bench file, older ways of writing them turned into today's.

    `boards: FOLDER` was the folder of measured curves, now `curves`; `macros` was a list of boards
    with a name each, and is a list of names of `boards`.

    Raises:
        ValueError: they cannot be told apart; says why.
    """
    found = dict(data)
    if isinstance(found.get("boards"), str | Path):
        if "curves" in found:
            raise ValueError(
                "boards is a folder and so is curves; boards is the list of boards, by name"
            )
        found["curves"] = found.pop("boards")
    entries = found.get("macros")
    if not isinstance(entries, list | tuple) or not any(isinstance(e, Mapping) for e in entries):
        return found
    boards = found.get("boards") or {}
    if not isinstance(boards, Mapping):
        return found  # for the check, which says what is wrong
    boards = dict(boards)
    names = []
    for place, entry in enumerate(entries):
        name, own = _entry(place, entry)
        if own is not None:
            if name in boards:
                raise ValueError(f"two macros with the same name: {name}")
            boards[name] = own
        names.append(name)
    return {**found, "boards": boards, "macros": names}


def _entry(place: int, entry: object) -> tuple[Any, Plain | None]:
    """Name and own values of one of `macros`; a name alone has none."""
    if not isinstance(entry, Mapping):
        return entry, None
    own = dict(entry)
    if "name" not in own:
        raise ValueError(f"macros.{place}.name: missing")
    name = own.pop("name")
    if not isinstance(name, str):
        raise ValueError(f"macros.{place}.name is {name!r:.80}: should be a text")
    return name, own


def check_names(name: str | None, boards: Mapping[str, Plain], macros: tuple[str, ...]) -> None:
    """Whether the names fit together.

    Raises:
        ValueError: a shared key in an entry, a macro that is no board, or named twice; a name of
            the file's own beside those of its boards.
    """
    if name is not None and boards:
        raise ValueError(f"name is {name!r}, but the boards have names of their own; leave it out")
    for each, own in boards.items():
        if shared := sorted(set(own) & set(SHARED)):
            raise ValueError(f"boards.{each}.{shared[0]}: all boards of a bench file share it")
    unknown = [one for one in macros if one not in boards]
    if unknown:
        raise ValueError(f"macros: {unknown[0]!r} is none of the boards ({', '.join(boards)})")
    twice = sorted({one for one in macros if macros.count(one) > 1})
    if twice:
        raise ValueError(f"two macros with the same name: {', '.join(twice)}")


def own_changes(name: str, place: int, own: Mapping[str, Any], shared: Plain) -> Plain:
    """What differs from the shared bench in that of one board.

    Args:
        name: of the board.
        place: in the list.
        own: its entry.
        shared: plain values of the file's keys, those that `needed` names.
    """
    changes = {key: laid_over(shared.get(key), value) for key, value in own.items()}
    changes["chip"] = _chip(name, own.get("chip"), shared["chip"])
    seed = changes.pop("seed", None)
    sim = changes.get("sim", shared["sim"])
    if not isinstance(sim, Mapping):
        return changes  # for the check, which says what is wrong
    chip = changes["chip"]
    return {**changes, "sim": {**sim, **_die(place, seed, own.get("sim") or {}, sim, chip, name)}}


def _die(
    place: int, seed: object, own: Plain, sim: Mapping[str, Any], chip: object, name: str
) -> Plain:
    """Seeds and name of a simulated chip; those of its own section `sim` stand."""
    found: Plain = {"chip_id": chip.get("id", name) if isinstance(chip, Mapping) else name}
    for key in {"seed", "board_seed"} - own.keys():
        found[key] = (sim[key] + place) % 2**64 if seed is None else seed
    return {key: value for key, value in found.items() if key not in own}


def needed(own: Mapping[str, Any]) -> set[str]:
    """The keys of the file's own that `own_changes` lays an entry over."""
    return {"chip", "sim", *own}


def _chip(name: str, own: object, shared: Plain) -> object:
    if own is None:
        own = {}
    if not isinstance(own, Mapping):
        return own  # for the check, which says what is wrong
    return {"folder": shared["folder"], "id": name, **own}


def laid_over(below: object, above: object) -> object:
    """Mappings key by key, the upper one's value where both have one; else the upper one.

    A section that names another `algorithm` than the one below has nothing in common with it.
    """
    if not isinstance(below, Mapping) or not isinstance(above, Mapping):
        return above
    if "algorithm" in above and above["algorithm"] != below.get("algorithm"):
        return dict(above)
    merged = dict(below)
    for key, value in above.items():
        merged[key] = laid_over(below.get(key), value)
    return merged


def clashes(places: Mapping[str, tuple[str, Path, str]]) -> str | None:
    """What two boards of a bench file must not share.

    Args:
        places: board name -> chip id, its folder, and how the board is connected.
    """
    chips: dict[tuple[str, Path], str] = {}
    lines: dict[str, str] = {}
    for name, (chip, folder, board) in places.items():
        if (other := chips.setdefault((chip, folder), name)) != name:
            return f"two boards with the same chip id: {chip} ({other} and {name})"
        if not board.startswith((*LINES, SERIAL_NUMBER)):
            continue
        if (other := lines.setdefault(_line(board), name)) != name:
            return f"two of the boards are on {board} ({other} and {name}); each needs its own"
    return None


def _line(board: str) -> str:
    return board.casefold() if board.startswith(SERIAL_NUMBER) else board
