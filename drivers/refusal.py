"""A status that is not zero becomes an exception with a sentence that says what to do."""

from __future__ import annotations

from protocols import messages
from protocols.codec import Field, Message, Record
from protocols.errors import BoardError, HilError, LimitError, MessageError, SafetyError

_SAFETY = {"not_armed", "safe_state", "interlock_open", "front_end"}
_LIMIT = {"over_limit", "pulse_budget"}


def refusal(request: Message, payload: bytes, where: str) -> HilError:
    """The exception for an error response; `where` names the board and the request.

    Raises:
        MessageError: the response has a status that nobody knows, or of the wrong length.
    """
    status = messages.STATUSES.get(payload[0])
    if status is None:
        raise MessageError(f"{where}: unknown status {payload[0]}; the board is of another version")
    arguments = status.unpack(payload)
    holder, spec = _refused_field(request, arguments)
    words = {**_names(arguments), "field_name": spec.name if spec else "(unknown)"}
    text = f"{where}: {status.sentence.format(**arguments, **words)}{_cell(holder)}"
    if status.name in _SAFETY:
        return SafetyError(text)
    if status.name in _LIMIT:
        return LimitError(text)
    return BoardError(text, status=status.code, request=request.NAME)


def _names(arguments: dict[str, int]) -> dict[str, str]:
    """The words for those arguments that are numbers for something."""
    return {
        "reason_name": _name(messages.SafeReason, arguments.get("reason", 0)),
        "part_name": _name(messages.Part, arguments.get("part", 0)).replace("_", " "),
    }


def _name(kind: type[messages.SafeReason] | type[messages.Part], value: int) -> str:
    return kind(value).name.lower() if value in list(kind) else str(value)


def _refused_field(
    request: Message, arguments: dict[str, int]
) -> tuple[Record | None, Field | None]:
    """Whose field was refused, and which. A status without `field` is about the whole entry.

    Entry 0 may stand for the fixed fields as well: the refused value tells which it is.
    """
    entry = _entry(request, arguments)
    if "field" not in arguments:
        return entry, None
    index, value = arguments["field"], arguments["value"]
    holders: list[Record] = [request, *([entry] if entry else [])]
    if arguments["entry"] > 0:
        holders.reverse()
    named = [(holder, holder.FIELDS[index]) for holder in holders if index < len(holder.FIELDS)]
    for holder, spec in named:
        if _holds(holder, spec, value):
            return holder, spec
    return named[-1] if named else (None, None)


def _holds(holder: Record, spec: Field, value: int) -> bool:
    found = getattr(holder, spec.name)
    return value in found if isinstance(found, tuple) else bool(found == value)


def _entry(request: Message, arguments: dict[str, int]) -> Record | None:
    entries: tuple[Record, ...] = getattr(request, "entries", ())
    number = arguments.get("entry", len(entries))
    return entries[number] if number < len(entries) else None


def _cell(holder: Record | None) -> str:
    row, column = getattr(holder, "row", None), getattr(holder, "column", None)
    return "" if row is None else f" [cell ({row}, {column})]"
