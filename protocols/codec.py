"""How the dataclasses of `messages.py` become bytes and come back, with every check at the door.

Each generated class carries its fields (`FIELDS`) and its wire format (`STRUCT`); this module is
the only code that reads them. Numbers are little-endian. Nothing here does input or output.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter
from operator import index as whole
from typing import Any, ClassVar, NoReturn, Self

from protocols.errors import MessageError

_CODES = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q", "i16": "h", "i32": "i"}
_RANGES = {
    "u8": (0, (1 << 8) - 1),
    "u16": (0, (1 << 16) - 1),
    "u32": (0, (1 << 32) - 1),
    "u64": (0, (1 << 64) - 1),
    "i16": (-(1 << 15), (1 << 15) - 1),
    "i32": (-(1 << 31), (1 << 31) - 1),
}


class LengthError(MessageError):
    """A payload is shorter or longer than its message."""

    def __init__(self, name: str, length: int, expected: int) -> None:
        super().__init__(f"{name}: the payload has {length} bytes, the message needs {expected}")
        self.length = length
        self.expected = expected


class RangeError(MessageError):
    """A field is outside its range; `field` counts the fields of the message from 0."""

    def __init__(self, name: str, spec: Field, field: int, entry: int, value: int) -> None:
        where = f"{name}.{spec.name}"
        super().__init__(
            f"{where} (entry {entry}) is {value}, allowed are {spec.minimum} to {spec.maximum}"
        )
        self.field = field
        self.entry = entry
        self.value = value
        self.minimum = spec.minimum
        self.maximum = spec.maximum


@dataclass(frozen=True, slots=True)
class Field:
    """One field: its wire type, how many of it stand in a row, and what values are allowed."""

    name: str
    type: str
    count: int = 1
    minimum: int = 0
    maximum: int = 0

    @property
    def size_bytes(self) -> int:
        """Bytes on the wire."""
        return struct.calcsize("<" + self.format)

    @property
    def format(self) -> str:
        """The `struct` format characters."""
        if self.type.startswith("bytes"):
            return f"{int(self.type[5:])}s"
        return _CODES[self.type] * self.count


def field(
    name: str, kind: str, count: int = 1, minimum: int | None = None, maximum: int | None = None
) -> Field:
    """A `Field` whose range defaults to that of its wire type."""
    low, high = _RANGES.get(kind, (0, 0))
    return Field(
        name, kind, count, low if minimum is None else minimum, high if maximum is None else maximum
    )


class Record:
    """A fixed run of fields; base of the generated entry and message classes."""

    __slots__ = ()
    FIELDS: ClassVar[tuple[Field, ...]]
    STRUCT: ClassVar[struct.Struct]
    NAME: ClassVar[str]
    _PLAN: ClassVar[_Plan]

    def __init_subclass__(cls) -> None:
        if "FIELDS" in cls.__dict__:
            cls._PLAN = _plan(cls)

    def pack(self, entry: int = 0) -> bytes:
        """The bytes of the fields; `entry` numbers the record for an error.

        Raises:
            RangeError: a value is outside the range that `messages.yaml` gives it.
            MessageError: a value is no whole number, or there are too many or too few of them.
        """
        plan = self._PLAN
        try:
            values = plan.flatten(self)
            data = self.STRUCT.pack(*values)
        except (struct.error, TypeError):
            self._refuse(entry)
        for at, _, spec in plan.narrow:
            if not spec.minimum <= values[at] <= spec.maximum:
                self._refuse(entry)
        for at, spec in plan.texts:
            if len(values[at]) > spec.size_bytes:
                self._refuse(entry)
        return data

    @classmethod
    def _build(cls, values: tuple[Any, ...], entry: int = 0) -> dict[str, Any]:
        """Constructor arguments from unpacked numbers, checked."""
        plan = cls._PLAN
        for at, index, spec in plan.narrow:
            if not spec.minimum <= values[at] <= spec.maximum:
                raise RangeError(cls.NAME, spec, index, entry, values[at])
        return plan.group(values)

    def _refuse(self, entry: int) -> NoReturn:
        """Say which field cannot be packed: the slow way, for records that cannot."""
        for index, spec in enumerate(self.FIELDS):
            value = getattr(self, spec.name)
            where = f"{self.NAME}.{spec.name}"
            if spec.type.startswith("bytes"):
                if len(value) > spec.size_bytes:
                    raise MessageError(f"{where} has {len(value)} bytes, {spec.size_bytes} fit")
                continue
            parts = value if spec.count > 1 and hasattr(value, "__len__") else (value,)
            if len(parts) != spec.count:
                raise MessageError(
                    f"{where} has {len(parts)} values, the message needs {spec.count}"
                )
            for number in _whole_numbers(where, parts):
                if not spec.minimum <= number <= spec.maximum:
                    raise RangeError(self.NAME, spec, index, entry, number)
        raise MessageError(f"{self.NAME} cannot be packed: {self}")


def _whole_numbers(where: str, parts: tuple[Any, ...]) -> list[int]:
    try:
        return [whole(part) for part in parts]
    except TypeError as error:
        raise MessageError(f"{where} is {parts}, whole numbers are needed") from error


@dataclass(frozen=True, slots=True)
class _Plan:
    """What packing one kind of record takes, worked out once.

    `narrow` lists the numbers whose range is narrower than their wire type's: position, field
    number, field. The wire type's own range is checked by `struct`. `numbers` gives all fields of
    a record each of whose fields is a single number; None for any other.
    """

    names: tuple[str, ...]
    counts: tuple[int, ...]
    narrow: tuple[tuple[int, int, Field], ...]
    texts: tuple[tuple[int, Field], ...]
    numbers: Callable[[Any], tuple[Any, ...]] | None

    def allows(self, values: Sequence[Any]) -> bool:
        """Whether the numbers of many records, one after the other, are within their ranges."""
        width = len(self.names)
        return all(
            spec.minimum <= min(column) and max(column) <= spec.maximum
            for at, _, spec in self.narrow
            if (column := values[at::width])
        )

    def flatten(self, record: Record) -> list[Any]:
        """The numbers of a record in wire order; TypeError where they are too many or too few."""
        values: list[Any] = []
        for name, count in zip(self.names, self.counts, strict=True):
            value = getattr(record, name)
            if count == 1:
                values.append(value)
            elif len(value) == count:
                values += value
            else:
                raise TypeError(f"{name} has {len(value)} values")
        return values

    def group(self, values: tuple[Any, ...]) -> dict[str, Any]:
        """The numbers by field."""
        if len(values) == len(self.names):
            return dict(zip(self.names, values, strict=True))
        out, at = {}, 0
        for name, count in zip(self.names, self.counts, strict=True):
            out[name] = values[at] if count == 1 else values[at : at + count]
            at += count
        return out


def _plan(kind: type[Record]) -> _Plan:
    narrow: list[tuple[int, int, Field]] = []
    texts: list[tuple[int, Field]] = []
    at = 0
    for index, spec in enumerate(kind.FIELDS):
        if spec.type.startswith("bytes"):
            texts.append((at, spec))
        elif (spec.minimum, spec.maximum) != _RANGES[spec.type]:
            narrow += [(at + i, index, spec) for i in range(spec.count)]
        at += spec.count
    names, counts = [f.name for f in kind.FIELDS], [f.count for f in kind.FIELDS]
    single = bool(names) and not texts and max(counts) == 1
    numbers = _getter(names) if single else None
    return _Plan(tuple(names), tuple(counts), tuple(narrow), tuple(texts), numbers)


def _getter(names: list[str]) -> Callable[[Any], tuple[Any, ...]]:
    """The values of a record's fields as a tuple, also where there is one field only."""
    if len(names) > 1:
        return attrgetter(*names)
    one = attrgetter(names[0])
    return lambda record: (one(record),)


class Message(Record):
    """One request or response: fixed fields, then, where `ENTRY` is set, records to the end."""

    __slots__ = ()
    CODE: ClassVar[int]
    KIND: ClassVar[str]
    SCOPE: ClassVar[str]
    ENTRY: ClassVar[type[Record] | None] = None

    def pack(self, entry: int = 0) -> bytes:
        """The payload; errors as in `Record.pack`."""
        # Not super(): a dataclass with slots is made anew, and super() would look in the old one.
        head = Record.pack(self, entry)
        if self.ENTRY is None:
            return head
        entries: tuple[Record, ...] = getattr(self, "entries")  # noqa: B009  (generated field)
        at_once = _pack_at_once(self.ENTRY, entries)
        if at_once is not None:
            return head + at_once
        return head + b"".join(record.pack(i) for i, record in enumerate(entries))

    @classmethod
    def unpack(cls, payload: bytes) -> Self:
        """The message in a payload.

        Raises:
            LengthError: the payload is too short, too long or ends inside a record.
            RangeError: a value is outside its range.
        """
        head = cls.STRUCT.size
        if cls.ENTRY is None:
            if len(payload) != head:
                raise LengthError(cls.NAME, len(payload), head)
            return cls(**cls._build(cls.STRUCT.unpack(payload)))
        size = cls.ENTRY.STRUCT.size
        count, rest = divmod(len(payload) - head, size)
        if count < 0 or rest:
            raise LengthError(cls.NAME, len(payload), head + max(count + 1, 0) * size)
        out = cls._build(cls.STRUCT.unpack_from(payload))
        out["entries"] = tuple(_entries(cls.ENTRY, payload[head:]))
        return cls(**out)

    @classmethod
    def entries_per_payload(cls, payload_bytes: int) -> int:
        """How many entries fit into a payload of the given size."""
        if cls.ENTRY is None:
            raise MessageError(f"{cls.NAME} has no entries")
        return (payload_bytes - cls.STRUCT.size) // cls.ENTRY.STRUCT.size


def _pack_at_once(kind: type[Record], entries: tuple[Record, ...]) -> bytes | None:
    """All entries in one go; None where one of them has to be looked at by itself.

    Entries are most of a long payload: one by one they would cost many times the rest of a frame.
    """
    plan = kind._PLAN
    if plan.numbers is None or any(type(record) is not kind for record in entries):
        return None
    values = list(chain.from_iterable(map(plan.numbers, entries)))
    try:
        data = struct.pack("<" + kind.STRUCT.format[1:] * len(entries), *values)
    except struct.error:
        return None
    return data if plan.allows(values) else None


def _entries(kind: type[Record], data: bytes) -> Iterable[Record]:
    """The records in the bytes behind the fixed fields."""
    plan = kind._PLAN
    found = list(kind.STRUCT.iter_unpack(data))
    if plan.numbers is not None and plan.allows(list(chain.from_iterable(found))):
        make: Callable[..., Record] = kind
        return (make(*values) for values in found)
    return (kind(**kind._build(values, i)) for i, values in enumerate(found))


@dataclass(frozen=True, slots=True)
class Status:
    """One status code of a response: its arguments and the sentence they fill."""

    code: int
    name: str
    arguments: tuple[tuple[str, str], ...]
    sentence: str

    def pack(self, *values: int) -> bytes:
        """Status byte and arguments."""
        return struct.pack("<B" + self._format(), self.code, *values)

    def unpack(self, payload: bytes) -> dict[str, int]:
        """The arguments of a response whose first byte is this status."""
        form = "<" + self._format()
        if len(payload) != 1 + struct.calcsize(form):
            raise LengthError(f"status {self.name}", len(payload), 1 + struct.calcsize(form))
        return dict(
            zip((name for name, _ in self.arguments), struct.unpack(form, payload[1:]), strict=True)
        )

    def _format(self) -> str:
        return "".join(_CODES[kind] for _, kind in self.arguments)
