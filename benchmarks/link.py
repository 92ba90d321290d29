"""The link: how fast is the talk with each board, what does a frame cost, how full is the line?

    python benchmarks/link.py [--json FILE] [--quick] [--board BOARD ...]

Per board (those that this computer can run; sim, native, native-process, qemu): the time of one
round trip (a `status` there and back, median), bytes per second of a full-array read in both
directions together, and the host's processor time per frame sent or received: `Link.call_many`,
from request objects to response objects, with frames as full as they get; what is spent inside of
the stream is not in it. The bar on it is for boards in this process, whose answers come whole; from
another process they come in pieces, each of which costs a turn (`reads per frame`) and, in a
benchmark, the reading of two clocks. These boards show what host and firmware cost, not how fast a
bench is.

Then the line: a full-array read and the programming of the shipped network (write-verify, reads and
waits included) over a modelled serial line at 921,600 baud to a board that takes no time; the model
is described in `_line.py`. The share is that of the busier direction: requests of a write-verify
are longer than its answers, answers of a read longer than its requests. What keeps it from 1 is the
round trip at the end of each batch, because the next pulses depend on the readings, and frames that
are not full. The bars are on the line alone, which is the same on every computer; the share with
this host's own processor time is given beside it.

Exits with 1 when a bar is missed.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

from _common import Bars, finish, missed_bars, option_parser, text_table
from _line import ModelledLine

from calibration.forming import form
from calibration.programming import SETTLE_LONG_S
from calibration.programming.ispp import Ispp, IsppParams
from drivers.link import Link
from drivers.stream import Stream
from hil import firmware
from hil.bench import Bench
from hil.boards import OpenBoard, open_board
from hil.config import BenchConfig
from hil.diffusion.model import load_model
from hil.jobs.network import place
from protocols import messages
from protocols.codec import Message
from protocols.messages import Operation

ROUND_TRIPS, QUICK_ROUND_TRIPS = 500, 100
ROUNDS, QUICK_ROUNDS = 7, 3
QUICK_CELLS = 2048
PULSES = 256  # 16 full frames
READ_CODE = 163
CPU_BAR_US = 30.0
IN_PROCESS = ("sim", "native")
LINE_BARS: Bars = {"full-array read": (0.85, 1.0), "write-verify": (0.70, 1.0)}
Figures = dict[str, float]


class Metered:
    """A stream that keeps account of its reads and of the processor time spent inside of it."""

    def __init__(self, inner: Stream) -> None:
        self.name = inner.name
        self.inside_s = 0.0
        self.reads = 0
        self._inner = inner

    def write(self, data: bytes) -> None:
        start = time.thread_time()
        self._inner.write(data)
        self.inside_s += time.thread_time() - start

    def read(self, timeout_s: float) -> bytes:
        start = time.thread_time()
        data = self._inner.read(timeout_s)
        self.reads += 1
        self.inside_s += time.thread_time() - start
        return data

    def close(self) -> None:
        self._inner.close()


# --- one board -------------------------------------------------------------------------------


def board_figures(name: str, *, quick: bool) -> Figures:
    """Round trip, bytes per second and host's cost per frame of one board, its chip in memory."""
    config = BenchConfig(board=name)
    description = config.load_description()
    opened = open_board(config, description, None)
    stream = Metered(opened.stream)
    with Bench(config, description, OpenBoard(stream, opened.simulated)) as bench:
        reads = full_reads(bench, QUICK_CELLS if quick else None)
        rounds = (QUICK_ROUNDS if quick else ROUNDS) if name in IN_PROCESS else 1
        trips = QUICK_ROUND_TRIPS if quick else ROUND_TRIPS
        return {
            "round trip us": 1e6 * round_trip(bench, trips),
            "bytes per second": bytes_per_second(bench.link, reads),
            "reads per frame": reads_per_frame(bench.link, stream, reads[: len(reads) // 4]),
            "read us per frame": 1e6 * cost_of(bench.link, stream, reads, rounds),
            "pulse_read us per frame": 1e6 * cost_of_pulses(bench, stream, rounds),
        }


def round_trip(bench: Bench, count: int) -> float:
    """Median time of one `status` there and back, seconds."""
    taken = []
    for _ in range(count):
        start = time.perf_counter()
        bench.board.status()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def full_reads(bench: Bench, cells: int | None) -> list[Message]:
    """The requests of a full-array read, or of its first cells."""
    rows, columns = bench.geometry.rows, bench.geometry.columns
    every = [messages.ReadRequestEntry(*divmod(at, columns)) for at in range(rows * columns)]
    size = bench.board.capacity(messages.ReadRequest)
    wanted = every[:cells]
    return [
        messages.ReadRequest(READ_CODE, 1, tuple(wanted[at : at + size]))
        for at in range(0, len(wanted), size)
    ]


def bytes_per_second(link: Link, requests: Sequence[Message]) -> float:
    """Bytes of both directions per second of this computer's time."""
    stats = link.stats
    before, start = stats.bytes_sent + stats.bytes_received, time.perf_counter()
    link.call_many(requests)
    taken_s = time.perf_counter() - start
    return (stats.bytes_sent + stats.bytes_received - before) / taken_s


def reads_per_frame(link: Link, stream: Metered, requests: Sequence[Message]) -> float:
    """In how many pieces an answer comes."""
    reads, frames = stream.reads, link.stats.frames_received
    link.call_many(requests)
    return (stream.reads - reads) / (link.stats.frames_received - frames)


def cost_of(link: Link, stream: Metered, requests: Sequence[Message], rounds: int) -> float:
    """The host's processor time per frame sent or received, seconds; the best of some rounds."""
    found = []
    for _ in range(rounds):
        frames = link.stats.frames_sent + link.stats.frames_received
        inside_s, start = stream.inside_s, time.thread_time()
        link.call_many(requests)
        own_s = time.thread_time() - start - (stream.inside_s - inside_s)
        found.append(own_s / (link.stats.frames_sent + link.stats.frames_received - frames))
    return min(found)


def cost_of_pulses(bench: Bench, stream: Metered, rounds: int) -> float:
    """As `cost_of`, for weak pulses on a few columns of a virgin chip."""
    size = bench.board.capacity(messages.PulseReadRequest)
    entries = [
        messages.PulseReadRequestEntry(at % bench.geometry.rows, 0, Operation.SET, 800, 800, 5)
        for at in range(PULSES)
    ]
    requests: list[Message] = [
        messages.PulseReadRequest(READ_CODE, tuple(entries[at : at + size]))
        for at in range(0, PULSES, size)
    ]
    with bench.macro.armed():
        return cost_of(bench.link, stream, requests, rounds)


# --- the modelled line -----------------------------------------------------------------------


def line_figures(host_factor: float) -> dict[str, Figures]:
    """Shares of the line that a full-array read and the programming of a network use."""
    config = BenchConfig()
    description = config.load_description()
    opened = open_board(config, description, None)
    line = ModelledLine(opened.stream, config.link.baud, host_factor)
    placement = place(load_model(config.model), config)
    with Bench(config, description, OpenBoard(line, opened.simulated)) as bench:
        form(bench.macro, placement.cells, config.forming)
        programmer = Ispp(IsppParams(settle_s=SETTLE_LONG_S), bench.wait)
        return {
            "full-array read": used(line, bench.macro.read_map),
            "write-verify": used(
                line,
                lambda: programmer.run(bench.macro, placement.cells, placement.target_siemens),
            ),
        }


def used(line: ModelledLine, work: Callable[[], Any]) -> Figures:
    """What a piece of work made of the line."""
    line.reset()
    work()
    return {
        "share": max(line.out_share, line.back_share),
        "share out": line.out_share,
        "share back": line.back_share,
        "seconds": line.now_s,
        "bytes": line.out_bytes + line.back_bytes,
    }


# --- all of it -------------------------------------------------------------------------------


def runnable() -> list[str]:
    """The boards that this computer can run; says why it cannot run the others."""
    names = ["sim"]
    for name in firmware.BOARDS:
        if reason := firmware.what_is_missing(name):
            print(f"skipped: {reason}")
        else:
            names.append(name)
    return names


def report(boards: dict[str, Figures], alone: dict[str, Figures], host: dict[str, Figures]) -> None:
    """The two tables on the screen."""
    heads = ("board", "round trip us", "kB/s", "reads/frame", "host us/frame: read", "pulse_read")
    rows = [
        (
            name,
            f"{found['round trip us']:.0f}",
            f"{found['bytes per second'] / 1e3:.0f}",
            f"{found['reads per frame']:.2f}",
            f"{found['read us per frame']:.1f}",
            f"{found['pulse_read us per frame']:.1f}",
        )
        for name, found in boards.items()
    ]
    print(text_table(heads, rows))
    print("\nmodelled line, 921,600 baud, simulated board without time")
    heads = ("work", "share of the line", "out", "back", "s", "kB", "share with this host")
    rows = [
        (
            name,
            f"{found['share']:.3f}",
            f"{found['share out']:.3f}",
            f"{found['share back']:.3f}",
            f"{found['seconds']:.2f}",
            f"{found['bytes'] / 1e3:.0f}",
            f"{host[name]['share']:.3f}",
        )
        for name, found in alone.items()
    ]
    print(text_table(heads, rows))


def missed(boards: dict[str, Figures], alone: dict[str, Figures]) -> list[str]:
    """A sentence per bar that is missed."""
    out = []
    for name, found in boards.items():
        if name not in IN_PROCESS:
            continue
        costs = {
            f"{name}: host us per frame of {kind}": found[f"{kind} us per frame"]
            for kind in ("read", "pulse_read")
        }
        out += missed_bars(costs, dict.fromkeys(costs, (0.0, CPU_BAR_US)))
    shares = {name: found["share"] for name, found in alone.items()}
    return out + [f"share of the line, {text}" for text in missed_bars(shares, LINE_BARS)]


def main(arguments: list[str]) -> int:
    """Measure, print, write, judge."""
    parser = option_parser(__doc__, "fewer round trips, a part of the array")
    parser.add_argument("--board", action="append", help="this board; may be given again")
    asked = parser.parse_args(arguments)
    boards = {name: board_figures(name, quick=asked.quick) for name in asked.board or runnable()}
    alone, host = line_figures(0.0), line_figures(1.0)
    report(boards, alone, host)
    figures = {"boards": boards, "line": alone, "line_with_this_host": host, "simulated": True}
    return finish(asked.json, figures, missed(boards, alone))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
