"""`hil stop` from a second terminal at random moments of every command: how soon is the board safe?

Each command runs in this process on a simulated board or on the firmware in this process; at a
random one of its exchanges a second thread does what `hil stop` does: it connects to the door of
the process that has the board. The watch stands on both sides of the line: it notes the board's
time when the stop is asked for, when the stop's frame reaches the board, and when its outputs are
safe, and every pulse that is driven after that.
"""

from __future__ import annotations

import contextlib
import io
import random
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import yaml

import hil.bench
from drivers.stream import Stream
from hil.boards import OpenBoard
from hil.cli.app import run
from hil.config import load_config
from hil.control import door_of, stop_through
from hil.sim.back_doors import BackDoors
from hil.sim.front_end import FrontEnd
from hil.sim.machine import Machine
from hil.sim.virtual import Op, VirtualFrontEnd
from protocols import frame
from protocols.errors import HilError, SafetyError
from protocols.messages import RunState, SafeReason, StopRequest

TIMES = 100
SAFE_WITHIN_S = 0.1
ENDED = frozenset({0, SafetyError.exit_code})
"""How a command may end that was stopped: reads go on, everything else is refused."""

COMMANDS: dict[str, tuple[list[str], int]] = {
    "form": (["form"], 200),
    "program": (["program"], 1600),
    "verify": (["verify"], 5),
    "run": (["run", "--samples", "20"], 590),
    "calibrate": (["calibrate"], 200),
    "read": (["read"], 3),
    "characterise": (["characterise"], 300),
}
"""Command line and exchanges among which the moment is drawn (the beginning of characterise)."""

_NEEDS = {"form": "", "program": "form", "verify": "program", "run": "program"}
_STOP = frame.encode(frame.Frame(0, 0, StopRequest.CODE, b""))
_TRIES = 4


@dataclass
class Stop:
    """One stop. Times are the board's, in seconds."""

    command: str
    board: str
    exchange: int
    asked_s: float | None = None
    arrived_s: float | None = None
    safe_s: float | None = None
    answer: SafeReason | None = None
    exit_code: int | None = None
    driven_after: int = 0
    running_after: bool = False

    @property
    def took_s(self) -> float:
        """From the frame's arrival to the safe state; infinite where there was none."""
        if self.arrived_s is None or self.safe_s is None:
            return float("inf")
        return self.safe_s - self.arrived_s

    @property
    def asked_to_safe_s(self) -> float:
        """From the moment at which `hil stop` was asked for."""
        if self.asked_s is None or self.safe_s is None:
            return float("inf")
        return self.safe_s - self.asked_s

    @property
    def landed(self) -> bool:
        """Whether the command was still at work when it was asked to stop.

        One that ends at that moment has closed its door and disarmed its board: nobody is there
        any more who could be stopped. A door that never opens is no such case for long.
        """
        return self.arrived_s is not None or self.answer is not None

    @property
    def good(self) -> bool:
        """Whether everything about it was as it should be."""
        return (
            self.took_s <= SAFE_WITHIN_S
            and self.answer is SafeReason.STOP
            and self.driven_after == 0
            and not self.running_after
            and self.exit_code in ENDED
        )


@dataclass
class Tally:
    """All stops of a campaign; `missed` are those that came when their command had ended.

    Those are tried again at an earlier moment, a few times; the last try counts whatever it was.
    """

    stops: list[Stop] = field(default_factory=list)
    missed: int = 0
    host_s: float = 0.0

    @property
    def good(self) -> int:
        """How many ended as they should."""
        return sum(one.good for one in self.stops)

    @property
    def longest_s(self) -> float:
        """From a frame's arrival to the safe state, at most."""
        return max((one.took_s for one in self.stops), default=0.0)

    @property
    def longest_asked_s(self) -> float:
        """From `hil stop` to the safe state, at most."""
        return max((one.asked_to_safe_s for one in self.stops), default=0.0)


def campaign(
    times: int = TIMES,
    seed: int = 1,
    boards: tuple[str, ...] = ("sim", "native"),
    names: tuple[str, ...] = tuple(COMMANDS),
) -> Tally:
    """`times` stops, commands and boards in turn, the moments from the seed.

    The number of commands is odd, so that twice as many stops hit each of them on both boards.
    """
    tally, rng, began = Tally(), random.Random(seed), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        chips = _Chips(Path(folder))
        for number in range(times):
            name = names[number % len(names)]
            board = boards[number % len(boards)]
            most = COMMANDS[name][1]
            for _ in range(_TRIES):
                one = Stop(name, board, rng.randint(1, most))
                _stop_once(one, chips.bench(board, _NEEDS.get(name, "program")))
                if one.landed:
                    break
                tally.missed, most = tally.missed + 1, max(one.exchange // 2, 1)
            tally.stops.append(one)
    tally.host_s = time.perf_counter() - began
    return tally


class _Chips:
    """Benches whose chips are formed, or programmed; made once and copied."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._number = folder, 0
        self._ready: dict[str, Path] = {}

    def bench(self, board: str, after: str) -> Path:
        """The bench file in a new folder, with a chip that has gone through `after`."""
        self._number += 1
        here = self._folder / str(self._number)
        if after:
            shutil.copytree(self._after(after), here)
        here.mkdir(exist_ok=True)
        return _bench_file(here, board)

    def _after(self, command: str) -> Path:
        if command not in self._ready:
            here = self._folder / command
            before = _NEEDS[command]
            if before:
                shutil.copytree(self._after(before), here)
            here.mkdir(exist_ok=True)
            _quietly([*COMMANDS[command][0], "--bench", str(_bench_file(here, "sim"))])
            self._ready[command] = here
        return self._ready[command]


def _bench_file(folder: Path, board: str) -> Path:
    bench: dict[str, Any] = {"board": board, "chip": {"id": "C", "folder": str(folder / "chips")}}
    bench |= {name: str(folder / name) for name in ("runs", "boards")}
    file = folder / "bench.yaml"
    file.write_text(yaml.safe_dump(bench), encoding="utf-8")
    return file


def _quietly(arguments: list[str]) -> int:
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        return run(arguments)


def _stop_once(stop: Stop, bench: Path) -> None:
    """Runs the command, and has it stopped at its exchange."""
    door = door_of(load_config(bench)[0])
    watch = _Watch(stop, lambda: stop_through(door))
    with watch.watching():
        stop.exit_code = _quietly([*COMMANDS[stop.command][0], "--bench", str(bench)])
    watch.join()


class _Watch:
    """Sees one command's traffic, its pulses, and the moment at which its board is safe."""

    def __init__(self, stop: Stop, second_terminal: Callable[[], SafeReason | None]) -> None:
        self.stop = stop
        self._ask = second_terminal
        self._thread: threading.Thread | None = None
        self._exchanges = 0
        self._behind: BackDoors | None = None

    @contextmanager
    def watching(self) -> Iterator[None]:
        """The next bench that is opened is watched."""
        open_board = hil.bench.open_board
        pulse, make_safe = FrontEnd.pulse_read, Machine.make_safe

        def opened(*args: Any) -> OpenBoard:
            found = open_board(*args)
            self._behind = found.simulated
            if isinstance(found.simulated, VirtualFrontEnd):
                self._watch_firmware(found.simulated)
            return OpenBoard(_Spy(found.stream, self), found.simulated, found.lock)

        def pulse_read(end: FrontEnd, index: Any, *rest: Any) -> Any:
            self.stop.driven_after += len(index) if self.stop.safe_s is not None else 0
            return pulse(end, index, *rest)

        def safe(machine: Machine, reason: SafeReason) -> None:
            make_safe(machine, reason)
            if reason is SafeReason.STOP:
                self._safe()

        with (
            patch.object(hil.bench, "open_board", opened),
            patch.object(FrontEnd, "pulse_read", pulse_read),
            patch.object(Machine, "make_safe", safe),
        ):
            yield

    def _watch_firmware(self, front_end: VirtualFrontEnd) -> None:
        operations = front_end._operations
        make_safe = operations[Op.SAFE]

        def safe(body: bytes) -> bytes:
            if self.stop.arrived_s is not None:
                self._safe()
            return make_safe(body)

        operations[Op.SAFE] = safe

    def wrote(self, data: bytes) -> None:
        """Bytes are about to reach the board."""
        if _STOP in data:
            self.stop.arrived_s = self._now_s()
            return
        self._exchanges += 1
        if self._exchanges == self.stop.exchange:
            self.stop.asked_s = self._now_s()
            self._thread = threading.Thread(target=self._second_terminal)
            self._thread.start()

    def settled(self) -> None:
        """The board has worked on them: a stopped one solves nothing any more."""
        if self.stop.safe_s is not None and self._behind is not None:
            going_on = self._behind.machine.runs.state is RunState.RUNNING
            if isinstance(self._behind, VirtualFrontEnd):
                going_on = self._behind._run is not None
            self.stop.running_after = self.stop.running_after or going_on

    def join(self) -> None:
        """The second terminal has its answer."""
        if self._thread is not None:
            self._thread.join(30.0)

    def _second_terminal(self) -> None:
        with contextlib.suppress(HilError):  # the door was closed on the way
            self.stop.answer = self._ask()

    def _safe(self) -> None:
        if self.stop.safe_s is None:
            self.stop.safe_s = self._now_s()

    def _now_s(self) -> float:
        return 0.0 if self._behind is None else self._behind.chip.now_s


class _Spy:
    """The line to the board, with somebody who looks at it."""

    def __init__(self, stream: Stream, watch: _Watch) -> None:
        self.name = stream.name
        self._stream, self._watch = stream, watch

    def write(self, data: bytes) -> None:
        """Send all of `data`."""
        self._watch.wrote(data)
        self._stream.write(data)
        self._watch.settled()

    def read(self, timeout_s: float) -> bytes:
        """What has arrived."""
        return self._stream.read(timeout_s)

    def close(self) -> None:
        """Give the line back."""
        self._stream.close()
