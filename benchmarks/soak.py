"""Random programs and runs over a hostile line, killed and reset at random, until the time is over.

    python benchmarks/soak.py [--seconds N] [--seed S] [--job NUMBER ...] [--quick] [--json FILE]

Each job is `hil program` or `hil run` on a chip of its own. Algorithm, rate of damaged bytes,
faults of the board (resets, brown-outs, hangs, late answers, overruns) and the moments of SIGKILL
come from the seed and the job's number, so that `--job` makes one again. A job that is killed or
loses its board is taken up with `--resume` until it ends. Its end is held against that of the same
job undisturbed: every acknowledged pulse on the chip, none twice, none outside of the job, the
result in tolerance.

Simulated; no silicon has run this. Exits with 1 when a job ends badly; --quick does two jobs.
"""

from __future__ import annotations

import math
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

import _kills
from _common import finish, option_parser, text_table

from hil.cli.tree import tree
from protocols.errors import LinkError

PROGRAMMING = "algorithm: {}, settle_s: [0.0, 10.0]"
ALGORITHMS = ("ispp", "two_step", "coarse_fine", "predictive")
LINE_RATES = (1e-5, 1e-3)
"""Per byte, of all damage together; evenly in the logarithm."""
CUT_SHARE = 0.01  # of it, the connection is cut
PULSE_RATES = (3e-5, 1e-3)  # resets and brown-outs, per pulse
PIECE_RATES = (1e-5, 1e-3)  # hangs, late answers and overruns, per piece of traffic
MOST_KILLS = 4
MOST_STARTS = 120
"""Of one job; the most that was seen is a quarter of it."""


@dataclass(frozen=True)
class Row:
    """How one job ended."""

    number: int
    kind: str
    algorithm: str
    line_rate: float
    kills: int
    losses: int
    completed: bool
    within: bool
    missing: int
    twice: int
    outside: int
    host_s: float

    @property
    def good(self) -> bool:
        """Whether it ended as it has to."""
        return self.completed and self.within and not (self.missing or self.twice or self.outside)

    def cells(self) -> list[str]:
        """A line of the page."""
        pulses = f"{self.missing}/{self.twice}/{self.outside}"
        end = "good" if self.good else "BAD"
        counts = (str(n) for n in (self.kills, self.losses))
        names = (str(self.number), self.kind, self.algorithm, f"{self.line_rate:.0e}")
        return [*names, *counts, pulses, f"{self.host_s:.0f}", end]


HEADS = ("job", "kind", "algorithm", "line", "kills", "lost", "miss/2x/out", "s", "end")


def soak(numbers: Iterable[int], seconds: float, seed: int, folder: Path) -> Iterator[Row]:
    """Job after job while there is time; the last one is brought to its end."""
    until = time.monotonic() + seconds
    for number in numbers:
        yield _job(number, seed, folder / f"job{number}")
        shutil.rmtree(folder / f"job{number}")
        if time.monotonic() >= until:
            return


def _job(number: int, seed: int, folder: Path) -> Row:
    began, rng = time.monotonic(), random.Random(f"{seed} {number}")
    kind, algorithm = rng.choice(("program", "run")), rng.choice(ALGORITHMS)
    programming = PROGRAMMING.format(algorithm)
    stage = _kills.Stage(folder, kind, rng.getrandbits(31), programming)
    here = stage.copy("disturbed")
    _disturb(here, rng)
    rate = _drawn(rng, LINE_RATES)
    kills, losses, code = _brought_to_its_end(stage, here, rng, rate)
    run = _kills.run_of(here, kind)
    missing, twice, outside = stage.pulses(here)
    completed = code == 0 and run is not None and run.status == "done"
    if not completed:
        sys.stderr.write((here / "said.txt").read_text(errors="replace")[-2000:])
    within = completed and _kills.close(_kills.end_of(here, kind).figures, stage.end.figures)
    return Row(
        number=number,
        kind=kind,
        algorithm=algorithm,
        line_rate=rate,
        kills=kills,
        losses=losses,
        completed=completed,
        within=within,
        missing=missing,
        twice=twice,
        outside=outside,
        host_s=time.monotonic() - began,
    )


def _brought_to_its_end(
    stage: _kills.Stage, here: Path, rng: random.Random, rate: float
) -> tuple[int, int, int]:
    """Starts a job again and again; how often it was killed, how often it lost its board, and its
    last exit code."""
    kills = losses = code = 0
    to_kill, command = rng.randint(0, MOST_KILLS), stage.command
    for _ in range(MOST_STARTS):
        after_s = rng.uniform(0.0, stage.lasts_s) if kills < to_kill else None
        faults = f"rate={rate * (1.0 - CUT_SHARE)},cut={rate * CUT_SHARE}"
        faults += f",seed={rng.getrandbits(31)}"
        code = _kills.forked(here, [*command, "--line-faults", faults], after_s)
        kills += code == -signal.SIGKILL
        losses += code == LinkError.exit_code
        if code not in (-signal.SIGKILL, LinkError.exit_code):
            break
        command = stage.again(here)
    return kills, losses, code


def _disturb(here: Path, rng: random.Random) -> None:
    """Faults of the board into the bench file of a job."""
    rates = {name: _drawn(rng, PULSE_RATES) for name in ("reset", "brown_out")}
    rates |= {name: _drawn(rng, PIECE_RATES) for name in ("hang", "late", "overrun")}
    _kills.upset(here, rates, rng.getrandbits(32))


def _drawn(rng: random.Random, ends: tuple[float, float]) -> float:
    """Evenly in the logarithm, rounded so that it can be read and typed."""
    return float(f"{math.exp(rng.uniform(*map(math.log, ends))):.2g}")


def main() -> int:
    """Soaks, prints one page, and judges it."""
    parser = option_parser(__doc__, "two jobs")
    parser.add_argument("--seconds", type=float, default=60.0, help="begin no job after this")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--job", type=int, nargs="+", metavar="NUMBER", help="these jobs alone")
    chosen = parser.parse_args()
    tree()  # every command is loaded once, before jobs are forked
    numbers = chosen.job or (range(2) if chosen.quick else count())
    seconds = math.inf if chosen.job or chosen.quick else chosen.seconds
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        rows = []
        for row in soak(numbers, seconds, chosen.seed, Path(folder)):
            rows.append(row)
            sys.stderr.write(f"{'  '.join(row.cells())}\n")
    bad = [row.number for row in rows if not row.good]
    print(f"Jobs on simulated boards and chips, seed {chosen.seed}")
    print(text_table(HEADS, [row.cells() for row in rows]))
    kills, losses = (sum(getattr(row, name) for row in rows) for name in ("kills", "losses"))
    print(f"{len(rows)} jobs, {kills} kills, {losses} times the board was lost, {len(bad)} bad")
    again = [f"job {n}: python benchmarks/soak.py --seed {chosen.seed} --job {n}" for n in bad]
    figures = {"seed": chosen.seed, "jobs": len(rows), "kills": kills, "losses": losses}
    return finish(chosen.json, figures, again)


if __name__ == "__main__":
    sys.exit(main())
