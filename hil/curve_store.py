"""Measured curves of boards, kept by serial number: dated, checked, and never too old in silence.

    boards/1a2b/2026-03-01T09-30-00.123456Z-curves.json

A file holds the curves, when they were measured, at which temperature, with what spread and for how
long they count. A checksum stands over all of it. Nothing is overwritten; names sort by time.

`choose` says what a bench works with: measured curves, measured ones that are too old (applied, and
said), or nominal ones (said on a real board). Curves of a simulated board belong to the errors
that it was given: another set of errors is another board, whatever its serial number.
"""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, Self

from drivers.curves import MeasuredCurves
from drivers.identity import Identity
from drivers.transfer import Curves
from hil.config import BenchConfig
from hil.jsonable import to_json
from hil.record import write_whole
from hil.sim.config import SimSettings
from protocols.errors import CalibrationError, FileError, InputError, RecordError
from protocols.files import parse_json, read_text
from protocols.hardware import BoardDescription
from protocols.messages import Port

FORMAT = "board-curves-1"
MAX_BYTES = 8 << 20  # of one file (this project's choice)
AGE_LIMIT_DAYS = 90.0  # this project's choice; converters drift by their reference and by ageing
_NAME = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{6}Z-curves\.json")
_TIME = "%Y-%m-%dT%H-%M-%S.%fZ"
_BOARD_KEYS = ("dac_", "adc_", "tia_", "board_seed", "ladder_", "reference_ohm", "channel_faults")
_CONVERTER_FAULTS = {"dac_swapped", "adc_gain"}
_BOARD_EFFECTS = ("dac_error", "adc_error")

Clock = Callable[[], datetime]
State = Literal["measured", "stale", "nominal"]


def now() -> datetime:
    """This computer's clock."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Kept:
    """One measurement of a board as it was kept.

    Attributes:
        path: its file.
        time: when it was measured.
        serial: of the board; origin: of which description and, where simulated, of which errors.
        temperature_celsius: of the bench, None where nobody said.
        age_limit_days: after which it counts as stale.
        simulated: whether the board is.
        curves: what the drivers apply.
        result: all figures of the routine, spreads included.
    """

    path: Path
    time: datetime
    serial: str
    origin: str
    temperature_celsius: float | None
    age_limit_days: float
    simulated: bool
    curves: MeasuredCurves
    result: Mapping[str, Any]

    def age_days(self, at: datetime) -> float:
        """Days from the measurement to a moment."""
        return (at - self.time) / timedelta(days=1)


class CurveStore:
    """The curves of one board."""

    def __init__(self, folder: Path, serial: int, clock: Clock = now) -> None:
        """Curves in `folder` / serial number in hexadecimal digits."""
        self.serial = f"{serial:x}"
        self.folder = folder / self.serial
        self._clock = clock

    @classmethod
    def of(cls, config: BenchConfig, serial: int, clock: Clock = now) -> Self:
        """The store of a board at the bench of a bench file."""
        return cls(config.curves, serial, clock)

    def save(
        self,
        curves: MeasuredCurves,
        result: Mapping[str, Any],
        *,
        origin: str,
        simulated: bool,
        temperature_celsius: float | None = None,
        age_limit_days: float = AGE_LIMIT_DAYS,
    ) -> Kept:
        """Keep curves, dated now.

        Raises:
            InputError: no temperature or age limit that can be.
            RecordError: the file cannot be written, or one that is there is dated later than now.
        """
        if not 0.0 < age_limit_days <= 3650.0:
            raise InputError(f"an age limit of {age_limit_days} days; 0 to 3650 are allowed")
        if temperature_celsius is not None and not -100.0 <= temperature_celsius <= 200.0:
            raise InputError(f"a temperature of {temperature_celsius} C; -100 to 200 are allowed")
        moment = self._clock().astimezone(UTC)
        path = self.folder / f"{moment.strftime(_TIME)}-curves.json"
        before = self.history()
        if before and path.name <= before[-1].name:
            raise RecordError(
                f"{before[-1]}: is dated later than now ({path.name}); set this computer's clock"
                " right, or move the file away"
            )
        body = {
            "format": FORMAT,
            "time": moment.strftime(_TIME),
            "serial": self.serial,
            "origin": origin,
            "temperature_celsius": temperature_celsius,
            "age_limit_days": age_limit_days,
            "simulated": simulated,
            "curves": curves.to_dict(),
            "result": dict(result),
        }
        text = to_json({"sha256": _digest(json.loads(to_json(body))), "body": body}, indent=1)
        write_whole(path, (text + "\n").encode())
        return self.load(path)

    def history(self) -> list[Path]:
        """All files, the oldest first; none is no error."""
        found = [p for p in self.folder.glob("*-curves.json") if _NAME.fullmatch(p.name)]
        return sorted(found, key=lambda path: path.name)

    def latest(self) -> Kept | None:
        """What was measured last; None when nothing was.

        Raises:
            CalibrationError: that file is damaged. An older one is not taken for it.
        """
        found = self.history()
        return self.load(found[-1]) if found else None

    def load(self, path: Path) -> Kept:
        """One measurement.

        Raises:
            CalibrationError: too large, damaged, of another version, or another board's.
        """
        body = _body(path)
        if body.get("serial") != self.serial:
            raise _damaged(path, f"it is of board {body.get('serial')!r}, not {self.serial!r}")
        temperature = body.get("temperature_celsius")
        try:
            return Kept(
                path=path,
                time=datetime.strptime(body["time"], _TIME).replace(tzinfo=UTC),
                serial=self.serial,
                origin=str(body["origin"]),
                temperature_celsius=None if temperature is None else float(temperature),
                age_limit_days=float(body["age_limit_days"]),
                simulated=body["simulated"] is True,
                curves=MeasuredCurves.from_dict(body["curves"]),
                result=dict(body["result"]),
            )
        except (KeyError, TypeError, ValueError, OverflowError, CalibrationError) as error:
            raise _damaged(path, str(error)) from error


def _body(path: Path) -> dict[str, Any]:
    """What stands in a file, if its checksum and version are right."""
    try:
        data: Any = parse_json(read_text(path, MAX_BYTES))
    except FileError as error:
        raise _damaged(path, str(error)) from error
    body = data.get("body") if isinstance(data, dict) else None
    if not isinstance(body, dict):
        raise _damaged(path, "not curves")
    if body.get("format") != FORMAT:
        raise _damaged(path, f"format {body.get('format')!r}, {FORMAT!r} is expected")
    try:
        digest = _digest(body)
    except ValueError as error:  # NaN: nothing that was ever kept
        raise _damaged(path, str(error)) from error
    if data.get("sha256") != digest:
        raise _damaged(path, "its checksum is wrong: it was changed or cut off")
    return body


def _digest(body: Any) -> str:
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _damaged(path: Path, why: str) -> CalibrationError:
    return CalibrationError(
        f"{path}: these curves cannot be used ({why}). Move the file away to work with the ones"
        " before it, or run `hil calibrate` to measure new ones."
    )


# --- which curves a bench works with ----------------------------------------------------------


@dataclass(frozen=True)
class BoardCurves:
    """What a bench works with, and what has to be said about it.

    Attributes:
        curves: of every converter.
        state: where they come from.
        note: one line for a person.
        say: whether the line has to be said at every opening.
        kept: the measurement, None for nominal curves.
    """

    curves: Curves
    state: State
    note: str
    say: bool
    kept: Kept | None = None

    def facts(self) -> dict[str, Any]:
        """For a run's record and `hil info`."""
        out: dict[str, Any] = {"state": self.state, "note": self.note}
        if self.kept is not None:
            out |= {
                "file": str(self.kept.path),
                "measured": self.kept.time.isoformat(),
                "temperature_celsius": self.kept.temperature_celsius,
                "age_limit_days": self.kept.age_limit_days,
            }
        return out


def origin_of(config: BenchConfig, description: BoardDescription, identity: Identity) -> str:
    """What curves belong to besides a serial number: the nominal scales that they are told in, and
    the errors that a simulated board was given."""
    parts = [description.converters.model_dump_json(), description.references.model_dump_json()]
    if identity.port is not Port.STM32F407:
        parts.append(_errors_of(config.sim))
    return f"{zlib.crc32('|'.join(parts).encode()):08x}"


def _errors_of(settings: SimSettings) -> str:
    values = settings.model_dump(mode="json")
    own = {key: value for key, value in values.items() if key.startswith(_BOARD_KEYS)}
    own |= settings.board_faults.model_dump(include=_CONVERTER_FAULTS, exclude_none=True)
    on = settings.switched()
    effects = {name: getattr(on, name) for name in _BOARD_EFFECTS}
    return json.dumps({**own, **effects}, sort_keys=True)


def choose(
    config: BenchConfig,
    description: BoardDescription,
    identity: Identity,
    *,
    clock: Clock = now,
    nominal: bool = False,
) -> BoardCurves:
    """The curves of the board that answered.

    Args:
        nominal: do not look at what was measured, for a calibration that is about to measure it.

    Raises:
        CalibrationError: the latest file of this board is damaged.
    """
    plain = Curves.nominal(description)
    real = identity.port is Port.STM32F407
    name = f"board {identity.serial:x}"
    if nominal:
        return BoardCurves(plain, "nominal", f"{name}: nominal curves, as asked for", say=False)
    kept = CurveStore.of(config, identity.serial, clock).latest()
    if kept is None:
        return BoardCurves(
            plain,
            "nominal",
            f"{name}: its converters were never measured, nominal curves are used; `hil calibrate`"
            " measures them",
            say=real,
        )
    if kept.origin != origin_of(config, description, identity):
        return BoardCurves(
            plain,
            "nominal",
            f"{name}: the curves in {kept.path} were measured with another board description or"
            " other simulated errors; nominal curves are used, `hil calibrate` measures new ones",
            say=True,
        )
    return _aged(kept, kept.curves.applied_to(description), name, clock())


def _aged(kept: Kept, curves: Curves, name: str, at: datetime) -> BoardCurves:
    age, day = kept.age_days(at), f"{kept.time:%Y-%m-%d}"
    if 0.0 <= age <= kept.age_limit_days:
        note = f"{name}: curves measured on {day} ({age:.0f} days ago)"
        return BoardCurves(curves, "measured", note, say=False, kept=kept)
    why = f"{age:.0f} days old, {kept.age_limit_days:g} are allowed" if age > 0 else "of the future"
    note = f"{name}: its curves of {day} are {why}; they are used, `hil calibrate` renews them"
    return BoardCurves(curves, "stale", note, say=True, kept=kept)
