"""Is nothing applied twice, nothing lost, nothing over the limit? Fault campaigns on the simulator.

    python benchmarks/reliability.py [--json FILE] [--quick] [--only SECTION ...] [--seed N]
                                     [--workers N]

Sections, each described in its own module:

- line: acts over a line that drops, flips and repeats one byte in a thousand (`_hostile_line.py`)
- kills: hosts that are killed while they program or run, then taken up again (`_kills.py`)
- resets: boards that reset in the middle of batches (`_kills.py`)
- limits: attempts to exceed a limit by every public path (`_over_limit.py`)
- stops: `hil stop` during each command (`_stops.py`)
- fuzz: random and mutated input to decoder, dispatcher and every file reader (`_fuzz.py`)
- chips: analog faults that the start-up checks have to name (`_chip_faults.py`)

Sections run side by side, one per worker. The full campaign takes most of an hour on two cores,
--quick about two minutes. All figures are of simulated boards. Exits with 1 when a bar is missed.
"""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

import _chip_faults
import _fuzz
import _hostile_line
import _kills
import _over_limit
import _stops
from _common import Bars, finish, missed_bars, option_parser, text_table

from hil.cli.tree import tree

tree()  # every command is loaded once, before processes are forked

Figures = dict[str, float]
ALL, NONE = (1.0, 1.0), (0.0, 0.0)


def line(quick: bool, seed: int) -> tuple[Figures, Bars]:
    """Overhead is frames sent over frames needed; a clean line needs one per request."""
    acts = 5_000 if quick else 1_000_000
    tally = _hostile_line.campaign(acts, seed)
    figures = {
        "acts": tally.acts,
        "applied twice": tally.twice,
        "lost without an error": tally.lost,
        "wrong readings accepted": tally.wrong,
        "errors": tally.errors,
        "frames per request": tally.frames_per_request,
    }
    bars = dict.fromkeys(list(figures)[1:4], NONE)
    return figures, {**bars, "acts": (acts, 2 * acts), "frames per request": (1.0, 1.6)}


def kills(quick: bool, seed: int) -> tuple[Figures, Bars]:
    """Killed hosts; `in flight` counts kills that hit the board at work."""
    count = 4 if quick else 500
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:
        tally = _kills.campaign(count, seed, Path(folder), seeds=1 if quick else 4)
    return _resumed(tally, "kills", count)


def resets(quick: bool, seed: int) -> tuple[Figures, Bars]:
    """Boards that lose their power; what was in flight is never known."""
    count = 4 if quick else 300
    with tempfile.TemporaryDirectory(prefix="resets-") as folder:
        tally = _kills.resets(count, seed, Path(folder))
    return _resumed(tally, "resets", count)


def _resumed(tally: _kills.Tally, what: str, count: int) -> tuple[Figures, Bars]:
    """Every job has to be completed, the same as undisturbed where nothing was in flight."""
    figures = {
        what: tally.kills,
        "in flight": tally.in_flight,
        "jobs": tally.jobs,
        "completed": tally.completed / tally.jobs,
        "identical, nothing in flight": _share(tally.identical, tally.to_be_identical),
        "in tolerance, else": _share(tally.within, tally.to_be_within),
        "acknowledged pulses missing": tally.acts_missing,
        "pulses beyond what was meant": tally.acts_twice,
        "pulses outside of the job": tally.outside,
    }
    bars = dict.fromkeys(list(figures)[-3:], NONE) | dict.fromkeys(list(figures)[3:6], ALL)
    return figures, {**bars, what: (count, 2 * count + 20)}


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 1.0


def limits(quick: bool, seed: int) -> tuple[Figures, Bars]:
    """Attempts to drive more than is allowed, judged by a witness in the physics."""
    attempts = 500 if quick else 10_000
    tally = _over_limit.campaign(attempts, seed)
    figures = {"attempts": tally.attempts, "passed": tally.passed}
    return figures, {"attempts": (attempts, 2 * attempts), "passed": NONE}


def stops(quick: bool, seed: int) -> tuple[Figures, Bars]:
    """Board time from the stop frame to the safe state."""
    count = 6 if quick else 100
    tally = _stops.campaign(count, seed)
    figures = {
        "stops": len(tally.stops),
        "safe within 100 ms of board time": tally.good / len(tally.stops),
        "longest, s of board time": tally.longest_s,
    }
    return figures, {"stops": (count, 2 * count), "safe within 100 ms of board time": ALL}


def fuzz(quick: bool, seed: int) -> tuple[Figures, Bars]:
    """Inputs that nobody wrote."""
    inputs, per_reader = (1, 1) if quick else _fuzz.FULL
    tally = _fuzz.quick(seed) if quick else _fuzz.campaign(inputs, per_reader, seed)
    print(tally.page())  # how to make a finding again
    figures = {
        "inputs to decoder and dispatcher": tally.line_inputs,
        "fewest inputs to a file reader": tally.fewest_per_reader,
        "targets": len(tally.rows),
        "findings": tally.findings,
    }
    bars = {
        "inputs to decoder and dispatcher": (inputs, 1e9),
        "fewest inputs to a file reader": (per_reader, 1e9),
    }
    return figures, {**bars, "findings": NONE}


def chips(quick: bool, seed: int) -> tuple[Figures, Bars]:
    """Planted analog faults, and good chips of which nothing may be said."""
    each, good = (1, 10) if quick else (20, 200)
    tally = _chip_faults.campaign(each, good, seed)
    planted = sum(tally.planted.values())
    figures = {
        "kinds of faults": len(tally.planted),
        "planted": planted,
        "named": sum(tally.named.values()) / planted,
        "pulses before they were named": tally.driven,
        "good chips": tally.good,
        "false alarms": len(tally.alarms),
    }
    bars = {"pulses before they were named": NONE, "false alarms": NONE}
    return figures, {**bars, "kinds of faults": (12, 100), "named": ALL}


SECTIONS: dict[str, Callable[[bool, int], tuple[Figures, Bars]]] = {
    section.__name__: section for section in (fuzz, kills, line, resets, stops, chips, limits)
}
"""The longest first, so that the workers end together."""


def run(name: str, quick: bool, seed: int) -> tuple[Figures, list[str]]:
    """One section: its figures with the host's time, and the bars that it misses."""
    began = time.perf_counter()
    figures, bars = SECTIONS[name](quick, seed)
    missed = [f"{name}: {sentence}" for sentence in missed_bars(figures, bars)]
    return {**figures, "host_s": time.perf_counter() - began}, missed


def main() -> int:
    """Runs the sections, prints what they found, and judges it."""
    parser = option_parser(__doc__, "every campaign in a small size")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, metavar="SECTION")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2, help="sections at a time")
    chosen = parser.parse_args()
    found: dict[str, Figures] = {}
    missed: list[str] = []
    names = chosen.only or SECTIONS
    with ProcessPoolExecutor(chosen.workers, multiprocessing.get_context("fork")) as pool:
        pending = {pool.submit(run, name, chosen.quick, chosen.seed): name for name in names}
        for done in as_completed(pending):
            name, error = pending[done], done.exception()
            if error is not None:  # the other sections' figures took an hour
                missed.append(f"{name} ended with {error!r}")
                continue
            found[name], sentences = done.result()
            missed += sentences
            lines = [[key, f"{value:,.6g}"] for key, value in found[name].items()]
            print(f"{name} (simulated)\n{text_table(['', ''], lines)}\n", flush=True)
    return finish(chosen.json, {"seed": chosen.seed, **found}, missed)


if __name__ == "__main__":
    sys.exit(main())
