"""Is every planted fault named by its stage of the bring-up, and is a sound bench let through?

    python benchmarks/bringup.py [--json FILE] [--quick] [--seed N] [--workers N]

Each fault of `hil.sim.board_faults` is planted on the simulated board and on the firmware's shared
library in front of the same physics; `hil bringup` has to stop at the stage that the fault belongs
to, with a finding of the right name and place. Clean benches, each another board, chip and set of
instruments, have to pass every stage. For the wrong chip the right one is put on record first. The
time of a whole bring-up is that of the first clean run on each board, its acceptance sheet and this
computer's load included. Exits with 1 when a bar is missed; --quick takes six faults and two clean
runs.
"""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

from _common import Bars, finish, missed_bars, option_parser, text_table

from calibration.startup import Finding
from hil.bench import Bench
from hil.config import BenchConfig
from hil.jobs.bringup import Outcome, bringup
from hil.jobs.startup import check_bench
from hil.sim.board_faults import FAULTS, plant

BOARDS = ("sim", "native")
CLEAN = 50
MOST_S = 300.0
"""Of a whole bring-up on this computer."""

NAMED: dict[str, tuple[str, tuple[int | str, ...]]] = {
    "supply_low": ("supply_low", ("positive",)),
    "rail_over_current": ("rail_over_current", ("drivers",)),
    "dac_swapped": ("dac_swapped", ("embedding_3", "embedding_4")),
    "dac_stuck": ("dead_channel", ("embedding_6",)),
    "adc_gain": ("channel_gain", ("sample_1",)),
    "adc_stuck": ("dead_input", ("probe",)),
    "scope_absent": ("no_instrument", ("scope",)),
    "pads_swapped": ("pads_swapped", ("bit line", 5, "bit line", 6)),
    "resistor_wrong": ("resistor_wrong", (3, 4)),
    "resistor_open": ("resistor_open", (4, 4)),
    "pulse_long": ("pulse_long", ("SET",)),
    "pulse_low": ("pulse_low", ("SET",)),
    "word_line_open": ("open_word_line", (7,)),
    "array_leaky": ("leaky_row", (9,)),
    "wrong_chip": ("other_chip", ()),
    "word_line_weak": ("weak_word_line", (11,)),
    "read_noise": ("read_noise", ()),
    "multiplier_zero": ("multiplier_zero", ("score",)),
    "integrator_leaky": ("integrator_leak", ()),
}
"""What has to be said of each fault: its finding's name and place."""
QUICK = ("supply_low", "dac_swapped", "pads_swapped", "resistor_wrong", "pulse_long", "array_leaky")


@dataclass(frozen=True)
class Case:
    """One bring-up: a planted fault, or none."""

    board: str
    fault: str
    seed: int
    sheet: bool = False

    @property
    def name(self) -> str:
        """For a table."""
        return f"{self.fault or 'clean'} on {self.board}, seed {self.seed}"


@dataclass(frozen=True)
class Found:
    """What became of a case: whether it was right, what was said, and how long it took."""

    case: Case
    right: bool
    said: str
    host_s: float


def run(case: Case) -> Found:
    """One bring-up in a folder of its own."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="bringup-") as folder:
        config = _config(case, Path(folder))
        if case.fault == "wrong_chip":
            with Bench.open(config) as bench:  # the right one, on record
                check_bench(bench)
        if case.fault:
            config = config.with_changes(sim=plant(case.fault, config.sim))
        outcome = bringup(config, ask=lambda _question, _hands: True, sheet=case.sheet)
    right = _named(outcome, case.fault) if case.fault else outcome.accepted
    return Found(case, right, _said(outcome), time.perf_counter() - began)


def _config(case: Case, folder: Path) -> BenchConfig:
    bench = {"seed": case.seed}
    return BenchConfig.model_validate(
        {
            "board": case.board,
            "seed": case.seed,
            "runs": folder / "runs",
            "curves": folder / "curves",
            "chip": {"folder": folder / "chips"},
            "sim": {"seed": case.seed, "board_seed": case.seed, "bench": bench},
        }
    )


def _named(outcome: Outcome, fault: str) -> bool:
    """The right stage has failed, and one of its findings is the fault, at its place."""
    failed = [one for one in outcome.stages if one.status == "failed"]
    if outcome.error is None or [one.name for one in failed] != [FAULTS[fault]]:
        return False
    return any(_is(one, *NAMED[fault]) for one in failed[0].result.findings)


def _is(found: Finding, name: str, place: tuple[int | str, ...]) -> bool:
    return found.fault == name and tuple(found.place) == place


def _said(outcome: Outcome) -> str:
    failed = [one for one in outcome.stages if one.status == "failed"]
    if not failed:
        return "passed"
    said = [(one.fault, one.place) for one in failed[0].result.findings]
    return f"{failed[0].name}: {said or failed[0].result.why}"


def cases(quick: bool, seed: int) -> list[Case]:
    """The faults first, because they end sooner."""
    faults = QUICK if quick else tuple(FAULTS)
    boards = BOARDS[:1] if quick else BOARDS
    found = [Case(board, fault, seed + at) for board in boards for at, fault in enumerate(faults)]
    count = len(BOARDS) if quick else CLEAN
    clean = [
        Case(BOARDS[at % len(BOARDS)], "", seed + 100 + at, sheet=at < len(BOARDS))
        for at in range(count)
    ]
    return [*found, *clean]


def judged(found: list[Found], quick: bool) -> tuple[dict[str, float], Bars]:
    """The figures and their bars."""
    faulty = [one for one in found if one.case.fault]
    clean = [one for one in found if not one.case.fault]
    figures = {
        "kinds of faults": len({one.case.fault for one in faulty}),
        "faults planted": len(faulty),
        "named by their stage": sum(one.right for one in faulty) / len(faulty),
        "clean runs": len(clean),
        "false alarms": sum(not one.right for one in clean),
        **{f"whole on {one.case.board}, s": one.host_s for one in clean if one.case.sheet},
    }
    bars = {
        "kinds of faults": (len(QUICK) if quick else 15, 100),
        "named by their stage": (1.0, 1.0),
        "clean runs": (len(BOARDS) if quick else CLEAN, 1000),
        "false alarms": (0.0, 0.0),
        **{f"whole on {board}, s": (0.0, MOST_S) for board in BOARDS},
    }
    return figures, bars


def main() -> int:
    """Runs the cases, prints what was said, and judges it."""
    parser = option_parser(__doc__, "six faults, two clean runs")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2, help="bring-ups at a time")
    chosen = parser.parse_args()
    with ProcessPoolExecutor(chosen.workers, multiprocessing.get_context("fork")) as pool:
        found = []
        for one in pool.map(run, cases(chosen.quick, chosen.seed)):
            mark = "right" if one.right else "WRONG"
            print(f"{mark}  {one.case.name} ({one.host_s:.0f} s): {one.said}", flush=True)
            found.append(one)
    figures, bars = judged(found, chosen.quick)
    print(text_table(("", ""), [[key, f"{value:,.6g}"] for key, value in figures.items()]))
    missed = missed_bars(figures, bars)
    missed += [f"{one.case.name}: {one.said}" for one in found if not one.right]
    kept = {"seed": chosen.seed, "simulated": True, **figures}
    return finish(chosen.json, {**kept, "said": {o.case.name: o.said for o in found}}, missed)


if __name__ == "__main__":
    sys.exit(main())
