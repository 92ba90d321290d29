"""Files: written whole or not at all, read with a bound, parsed without surprises.

A file may have been written by a stranger. Every reader takes its bytes from here, says how large
the file may be, and turns `FileError` into the error of its own kind. What the parsers give back is
plain data: no object is ever made because a file asks for it, no text unfolds into more than it
says (YAML's anchors and aliases, tags), nothing is nested so deeply that walking through it fails,
and no whole number is larger than 64 bits. Bounds are this project's choice.
"""

from __future__ import annotations

import json
import os
import stat
import uuid
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from protocols.errors import FileError

MAX_DEPTH = 32
MAX_YAML_BYTES = 1 << 17
"""A bench file has some kilobytes."""
MAX_DIGITS = 100
_BASE: Any = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
_HARMLESS = frozenset((float, bool, type(None)))
_SURELY = 1 << 62
_INTEGERS = (-(1 << 63), (1 << 64) - 1)


def replace_whole(path: Path, content: bytes) -> None:
    """Writes a file so that it is either all there or not there, also after a power cut.

    Raises:
        OSError: the folder is not there or cannot be written, or the disk is full; an old file is
            untouched.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        with temporary.open("xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError:
        _remove_quietly(temporary)
        raise


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove_quietly(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return  # the error that led here is the one to report


def read_bytes(path: Path, most_bytes: int) -> bytes:
    """The content of a regular file, of which no more than `most_bytes` is ever read.

    Raises:
        FileError: no such file, not a file, not readable, or too large.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise FileError("not a file")
        with path.open("rb") as stream:
            content = stream.read(most_bytes + 1)
    except OSError as error:
        raise FileError(error.strerror or str(error)) from error
    except ValueError as error:  # a zero byte in the path
        raise FileError(f"no name of a file: {error}") from error
    if len(content) > most_bytes:
        raise FileError(f"larger than {most_bytes} bytes")
    return content


def read_text(path: Path, most_bytes: int) -> str:
    """As `read_bytes`, of a text in UTF-8.

    Raises:
        FileError: as there, or not a text.
    """
    return decoded(read_bytes(path, most_bytes))


def decoded(content: bytes) -> str:
    """Bytes as UTF-8. Raises FileError."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FileError(f"not a text in UTF-8: byte {error.start}: {error.reason}") from error


def parse_json(text: str) -> Any:
    """The value of a JSON text.

    Raises:
        FileError: not JSON, nested too deeply, or with a number or text that nothing can hold.
    """
    try:
        value = json.loads(text)
    except RecursionError as error:
        raise FileError(f"nested more than {MAX_DEPTH} deep") from error
    except ValueError as error:
        raise FileError(f"not JSON: {error}") from error
    return _checked(value)


def parse_yaml(text: str) -> Any:
    """The value of a YAML text without anchors, aliases and tags; a key may stand there once.

    Raises:
        FileError: not YAML, or something of what this module refuses; says line and column.
    """
    if len(text) > MAX_YAML_BYTES:
        raise FileError(f"larger than {MAX_YAML_BYTES} characters")
    try:
        _check_events(text)
        return _checked(yaml.load(text, Loader=_PlainLoader))  # noqa: S506  (a SafeLoader)
    except yaml.YAMLError as error:
        raise FileError(f"not valid YAML: {_place_of(error)}") from error
    except (ValueError, OverflowError, IndexError) as error:  # a date or number that is none
        raise FileError(f"not valid YAML: {error}") from error


def _checked(value: Any) -> Any:
    """The value, if every later step can walk through it, compute with it and print it."""
    level, depth = [value], 0
    while level:
        if depth > MAX_DEPTH:
            raise FileError(f"nested more than {MAX_DEPTH} deep")
        inner: list[Any] = []
        for item in level:
            kind = type(item)
            if kind in _HARMLESS or (kind is int and -_SURELY < item < _SURELY):
                continue
            if isinstance(item, dict):
                inner += item.keys()
                inner += item.values()
            elif isinstance(item, list | tuple | set):
                inner += item
            else:
                _check_leaf(item)
        level, depth = inner, depth + 1
    return value


def _check_leaf(item: object) -> None:
    if type(item) is int and not _INTEGERS[0] <= item <= _INTEGERS[1]:
        raise FileError(f"a whole number of {item.bit_length()} bits; 64 are allowed")
    if isinstance(item, str) and not item.isascii():
        try:
            item.encode("utf-8")
        except UnicodeEncodeError as error:
            raise FileError(f"half a character in a text: {error.reason}") from error
    if isinstance(item, str) and "\0" in item:
        raise FileError("a zero byte in a text")


def _check_events(text: str) -> None:
    """Refuse anchors, aliases, tags and depth before anything is built (and that recursively)."""
    depth = 0
    for event in yaml.parse(text, Loader=_BASE):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise _refused("anchors and aliases are not used here; write the value out", event)
        if getattr(event, "tag", None) is not None:
            raise _refused("tags (!...) are not used here", event)
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise _refused(f"nested more than {MAX_DEPTH} deep", event)


class _PlainLoader(_BASE):  # type: ignore[misc]
    """Safe YAML less some misuse of it."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key, _ in node.value:
            name = (key.tag, key.value) if isinstance(key, yaml.ScalarNode) else None
            if name is not None and name in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key.value[:60]!r} stands here twice", key.start_mark
                )
            seen.add(name)
        found: dict[Hashable, Any] = super().construct_mapping(node, deep)
        return found

    def construct_number(self, node: yaml.ScalarNode) -> Any:
        if len(node.value) > MAX_DIGITS:
            raise yaml.constructor.ConstructorError(
                None, None, f"a number of {len(node.value)} characters", node.start_mark
            )
        whole = node.tag == "tag:yaml.org,2002:int"
        return self.construct_yaml_int(node) if whole else self.construct_yaml_float(node)


for _kind in ("int", "float"):
    _PlainLoader.add_constructor(f"tag:yaml.org,2002:{_kind}", _PlainLoader.construct_number)


def _refused(why: str, event: Any) -> yaml.YAMLError:
    return yaml.composer.ComposerError(None, None, why, event.start_mark)


def _place_of(error: yaml.YAMLError) -> str:
    """Line, column and what the parser stumbled over, in one line."""
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None)
    if mark is None or problem is None:
        return " ".join(str(error).split())[:300]
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem[:300]}"
