"""A hostile chip: is each analog fault named before anything above the read level is driven?

Each fault of `hil.sim.chip_faults` is planted at a drawn place on chips that are virgin, formed
(through the board) or programmed (whole blocks at drawn conductances), and the start-up checks have
to name the fault and the line. Good chips in the same states are checked twice, the second time a
simulated day later against their own record, and none may be refused. The witness stands in the
physics: it counts pulses that reach the array, whatever the board says.

    python -m benchmarks._chip_faults            the full campaign, a table and the bar
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._common import PASSED, text_table
from calibration.forming import FormParams, form
from calibration.startup import Finding, StartupResult
from drivers.rram.geometry import Cells
from hil.bench import Bench
from hil.config import BenchConfig
from hil.jobs.startup import check_bench
from hil.sim.chip_faults import KINDS, ChipFaults

STATES = ("virgin", "formed", "programmed")
DAY_S = 86_400.0
FORMING = FormParams(start_volts=2.4, step_volts=0.1)
FORMED_ROWS, FORMED_COLUMNS = 6, 8
SPACING = 1000
"""Seeds between one kind's chips and the next's."""


@dataclass
class Tally:
    """What became of the chips.

    Attributes:
        planted, named: by fault.
        wrong: what was said instead, with the chip.
        driven: pulses that reached an array in a check; 0 is wanted.
        good, alarms: good chips, and what was said of them.
        incomparable: good chips that could not be told from another one.
        slowest_s: host time of the slowest check; board_s: board time of a whole one.
    """

    planted: Counter[str] = field(default_factory=Counter)
    named: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    driven: int = 0
    good: int = 0
    alarms: list[str] = field(default_factory=list)
    incomparable: int = 0
    slowest_s: float = 0.0
    board_s: float = 0.0

    @property
    def missed(self) -> int:
        """Faulty chips that were not named rightly."""
        return sum(self.planted.values()) - sum(self.named.values())

    @property
    def passed(self) -> bool:
        """Whether the bar is met."""
        return not (self.missed or self.driven or self.alarms)


def campaign(
    chips_per_fault: int = 20,
    good_chips: int = 200,
    seed: int = 1,
    *,
    kinds: Sequence[str] = KINDS,
) -> Tally:
    """Every fault on `chips_per_fault` chips, and `good_chips` good ones twice."""
    tally = Tally()
    with tempfile.TemporaryDirectory(prefix="chip-faults-") as folder:
        for kind in kinds:
            first = seed + SPACING * KINDS.index(kind)
            for chip in range(chips_per_fault):
                _faulty(Path(folder), kind, chip, first + chip, tally)
        for chip in range(good_chips):
            _good(Path(folder), chip, seed + SPACING * (len(KINDS) + chip), tally)
    return tally


def matches(finding: Finding, kind: str, faults: ChipFaults) -> bool:
    """Whether a finding is the planted fault, at its place."""
    planted: Any = getattr(faults, kind)
    place: tuple[object, ...] = ()
    if kind.startswith("bridged"):
        place = (planted, planted + 1)
    elif kind.startswith("swapped"):
        place = tuple(sorted(planted))
    elif kind == "stuck_bit":
        place = planted[:2]
    elif kind.startswith(("open", "grounded")) or kind in ("dead_row", "railed_stage"):
        place = (planted,)
    return finding.fault == kind and finding.place == place


def _faulty(folder: Path, kind: str, chip: int, seed: int, tally: Tally) -> None:
    config = _config(folder, f"{kind}-{chip}", seed)
    with Bench.open(config) as bench:
        _bring_to(bench, STATES[chip % len(STATES)], seed)
        check_bench(bench)  # the map on record, from when all was well
    rows, columns = config.load_description().rows, config.load_description().columns
    faults = ChipFaults.parse(f"{kind},seed={seed}", rows, columns)
    if kind == "other_chip" and chip % 2:  # another die with the same network on it
        found = _another_die(folder, config, STATES[chip % len(STATES)], seed, tally)
    else:
        sim = config.sim.model_copy(update={"chip_faults": faults})
        found = _checked(config.with_changes(sim=sim), tally)
    tally.planted[kind] += 1
    right = len(found.findings) == 1 and matches(found.findings[0], kind, faults)
    tally.named[kind] += right
    if not right:
        said = [(one.fault, one.place) for one in found.findings] or "nothing"
        tally.wrong.append(f"{kind} {getattr(faults, kind)} (seed {seed}): {said}")


def _another_die(
    folder: Path, config: BenchConfig, state: str, seed: int, tally: Tally
) -> StartupResult:
    sim = config.sim.model_copy(update={"seed": seed + SPACING // 2})
    other, path = config.with_changes(sim=sim), folder / f"other-{seed}" / "cells.chip"
    with Bench.open(other, state_path=path) as bench:
        _bring_to(bench, state, seed)
    return _checked(other, tally, path)


def _good(folder: Path, chip: int, seed: int, tally: Tally) -> None:
    config = _config(folder, f"good-{chip}", seed)
    with Bench.open(config) as bench:
        _bring_to(bench, STATES[chip % len(STATES)], seed)
    for visit in range(2):
        found = _checked(config, tally, wait_s=DAY_S * visit)
        tally.alarms += [f"seed {seed}: {one}" for one in found.findings]
    tally.incomparable += bool(found.skipped)
    tally.board_s = found.bench_s
    tally.good += 1


def _config(folder: Path, chip_id: str, seed: int) -> BenchConfig:
    chip = {"id": chip_id.replace("_", "-"), "folder": str(folder)}
    return BenchConfig.model_validate(
        {"chip": chip, "sim": {"seed": seed, "board_seed": seed, "chip_id": chip["id"]}}
    )


def _checked(
    config: BenchConfig, tally: Tally, path: Path | None = None, wait_s: float = 0.0
) -> StartupResult:
    with Bench.open(config, state_path=path) as bench, _witness(bench, tally):
        bench.wait(wait_s)
        began = time.perf_counter()
        found = check_bench(bench)
        tally.slowest_s = max(tally.slowest_s, time.perf_counter() - began)
        tally.driven += bench.board.status().pulses
    return found


@contextmanager
def _witness(bench: Bench, tally: Tally) -> Iterator[None]:
    """Counts pulses where they reach the cells."""
    assert bench.simulated is not None
    cells = bench.simulated.chip.cells
    before, pulse = cells.state["pulse_count"].astype(np.int64).copy(), cells.pulse

    def counted(*arguments: Any, **named: Any) -> None:
        tally.driven += 1
        pulse(*arguments, **named)

    cells.pulse = counted  # type: ignore[method-assign]
    try:
        yield
    finally:
        tally.driven += int(abs(cells.state["pulse_count"].astype(np.int64) - before).sum())
        del cells.pulse  # type: ignore[method-assign]


def _bring_to(bench: Bench, state: str, seed: int) -> None:
    """A chip as it is at some time of its life."""
    if state == "formed":
        first = seed % 64
        form(bench.macro, Cells.block(first, first, FORMED_ROWS, FORMED_COLUMNS), FORMING)
    elif state == "programmed":
        assert bench.simulated is not None
        shape = (bench.description.rows, bench.description.columns)
        targets, rng = np.full(shape, np.nan), np.random.default_rng(seed)
        first = int(rng.integers(0, 40))
        size = (int(rng.integers(15, 48)), int(rng.integers(28, 64)))
        targets[first : first + size[0], first : first + size[1]] = rng.uniform(5e-6, 150e-6, size)
        bench.simulated.set_conductances(targets)


def table(tally: Tally) -> str:
    """One line per fault."""
    lines = [[k, str(tally.named[k]), str(tally.planted[k])] for k in KINDS]
    return text_table(("fault", "named", "planted"), lines)


def main() -> int:
    """The full campaign."""
    tally = campaign()
    print(table(tally))
    print(f"good chips {tally.good}, false alarms {len(tally.alarms)}, pulses {tally.driven}")
    print(
        f"not comparable {tally.incomparable}; slowest check {tally.slowest_s:.2f} s of host time"
    )
    print(f"a whole check takes {tally.board_s:.2f} s of simulated board time")
    for sentence in (*tally.wrong, *tally.alarms):
        print(f"BAR MISSED: {sentence}")
    return PASSED if tally.passed else 1


if __name__ == "__main__":
    raise SystemExit(main())
