"""Which noise gives a network its best samples: a study in software, then on a simulated loop.

    python benchmarks/noise_law.py [--model NAME] [--quick] [--json FILE] [--figure FILE]
                                   [--part PART]

Part "software" searches the laws (see `hil.diffusion.noise_law`) and judges the best one against
the probability-flow ODE on eight fresh seeds of 50,000 samples each: same count, same initial
conditions, same reference set. Its bar: the sliced Wasserstein-1 distance is no worse than the
ODE's (in the mean over seeds, or not worse by a one-sided t test at 5 %), by a law whose noise does
decide (share of at least 0.25). The law that the model's file holds has the same bar.

Part "ideal" solves with the analog loop of which every effect is off and every cell is at its
target: the 1-D KL of its SDE samples within 10 % of the software's at 1,000 steps, for the reverse
SDE and for the stored law (means over five seeds of 200,000 samples: one such KL of 0.002 scatters
by 5 %). Part "chip" programs a simulated chip and solves with the best laws on it, for comparison;
no bar.

--quick searches nothing: it judges the stored law with fewer samples. Software and simulation: no
silicon has run this. Exits with 1 when a bar is missed.
"""

from __future__ import annotations

import dataclasses
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

from _common import finish, option_parser, text_table

from hil.config import BenchConfig
from hil.diffusion.metrics import kl_1d
from hil.diffusion.model import load_model
from hil.diffusion.noise_law import REVERSE_SDE, NoiseLaw
from hil.diffusion.noise_study import (
    JUDGE_SAMPLES,
    JUDGE_SEEDS,
    LEAST_SHARE,
    SEARCH_SAMPLES,
    SEARCH_SEEDS,
    STEPS,
    Comparison,
    LawFigures,
    References,
    compare,
    measure,
    search,
)
from hil.diffusion.sampler import Solve, initial_conditions
from hil.diffusion.score_model import ScoreModel
from hil.generation import solve_fast
from hil.jobs import rows
from hil.jobs.network import form_cells, place, program_cells
from hil.jobs.noise import laws_for_loop, loop_study, references_of
from hil.jobs.session import session
from hil.report.noise_figure import noise_figure
from hil.report.style import save_figure
from hil.sim.effects import Effects
from hil.waveforms import Mode

PARTS = ("software", "ideal", "chip")
IDEAL_SAMPLES, QUICK_IDEAL_SAMPLES = 200_000, 10_000
CHIP_SAMPLES = 10_000
KL_RATIO = (0.9, 1.1)
QUICK_KL_RATIO = (0.7, 1.4)  # of 10,000 samples: their own scatter
SOFTWARE_STEPS = 1000
IDEAL_SEEDS = (9_001, 9_002, 9_003, 9_004, 9_005)
Found = dict[str, Any]


# --- software ----------------------------------------------------------------------------------


def table_of(found: Sequence[LawFigures]) -> str:
    lines = [
        [f.name, f"{f.sliced_w1:.5f}", f"{f.kl_1d:.5f}", f"{f.noise_share:.2f}", f"{f.samples:,}"]
        for f in found
    ]
    return text_table(["law", "sliced W1", "KL 1-D", "noise decides", "samples"], lines)


def verdict(name: str, found: Comparison) -> tuple[Found, list[str]]:
    """What is printed of a comparison, and the bar if it is missed."""
    law, ode = found.law, found.ode
    print(
        f"{name}: {law.name}: sliced W1 {law.sliced_w1:.5f} against {ode.sliced_w1:.5f} of the ODE,"
        f" difference {found.difference:+.5f} +- {found.standard_error:.5f} over"
        f" {len(law.per_seed)} seeds (p of being worse {found.p_worse:.3g});"
        f" KL {law.kl_1d:.5f} against {ode.kl_1d:.5f}; noise decides {law.noise_share:.2f}"
    )
    missed = []
    if not found.no_worse:
        missed.append(
            f"{name}: sliced W1 {law.sliced_w1:.5f} is worse than the ODE's {ode.sliced_w1:.5f}"
        )
    if law.noise_share < LEAST_SHARE:
        missed.append(
            f"{name}: its noise decides {law.noise_share:.2f}, less than {LEAST_SHARE}: no SDE"
        )
    figures = {
        "law": law.to_dict(),
        "ode": ode.to_dict(),
        "difference": found.difference,
        "standard_error": found.standard_error,
        "p_worse": found.p_worse,
        "better": found.better,
    }
    return figures, missed


def software_part(
    model: ScoreModel, references: References, quick: bool
) -> tuple[Found, list[LawFigures], list[str]]:
    """The search (unless quick), and the judgement of what it found and of what is stored."""
    found: list[LawFigures] = []
    laws: dict[str, NoiseLaw] = {"stored law": model.noise}
    if not quick:
        found = search(model, references, progress=_say, solver=solve_fast)
        print(table_of(found))
        laws = {"best law": found[0].law or model.noise, **laws}
    samples, seeds = (
        (JUDGE_SAMPLES // 5, JUDGE_SEEDS[:4]) if quick else (JUDGE_SAMPLES, JUDGE_SEEDS)
    )
    figures: Found = {"search": [f.to_dict() for f in found]}
    missed: list[str] = []
    for name, law in laws.items():
        judged = compare(
            model, law, references, samples=samples, seeds=seeds, steps=STEPS, solver=solve_fast
        )
        figures[name], over = verdict(name, judged)
        missed += over
    return figures, found, missed


def _say(done: int, total: int, what: str) -> None:
    print(f"  {done}/{total} {what}", file=sys.stderr, flush=True)


# --- the ideal loop ----------------------------------------------------------------------------


def ideal_part(model: ScoreModel, references: References, quick: bool) -> tuple[Found, list[str]]:
    """KL of the loop without any error against the software's, per law."""
    count = QUICK_IDEAL_SAMPLES if quick else IDEAL_SAMPLES
    low, high = QUICK_KL_RATIO if quick else KL_RATIO
    figures: Found = {"samples": count}
    missed = []
    for law in dict.fromkeys((REVERSE_SDE, model.noise)):
        chosen = dataclasses.replace(model, noise=law)
        seeds = IDEAL_SEEDS[: 1 if quick else None]
        loops, softwares = (
            loop_kl(chosen, references, count, seeds),
            [software_kl(chosen, references, count, seed) for seed in seeds],
        )
        loop, software = float(np.mean(loops)), float(np.mean(softwares))
        ratio = loop / software if software > 0.0 else float("nan")
        print(
            f"ideal loop (simulated), {law}: KL {loop:.5f}, software {software:.5f}: {ratio:.3f}"
            f" (means over {len(seeds)} seeds of {count:,} samples)",
            flush=True,
        )
        figures[str(law)] = {"loop_kl": loops, "software_kl": softwares, "ratio": ratio}
        if not low <= ratio <= high:
            missed.append(
                f"ideal loop, {law}: KL ratio {ratio:.3f}, the bar is {low:g} to {high:g}"
            )
    return figures, missed


def software_kl(model: ScoreModel, references: References, count: int, seed: int) -> float:
    start = initial_conditions(model, seed, 0, count)
    how = Solve(steps=SOFTWARE_STEPS, sde=True, seed=seed)
    each = [
        kl_1d(solve_fast(model, start, dataclasses.replace(how, label=label)), reference)
        for label, reference in references.items()
    ]
    return sum(each) / len(each)


def loop_kl(
    model: ScoreModel, references: References, count: int, seeds: Sequence[int]
) -> list[float]:
    """Of the simulated loop with every effect off, per seed."""
    config = BenchConfig()
    config = config.with_changes(loop=config.loop.model_copy(update={"trim_drive": False}))
    placement = place(model, config)
    description = config.load_description()
    cells = rows.conductance_map(placement, placement.target_siemens, description)
    with rows.simulated_bench(config, Effects.none(), cells) as bench:
        loop = rows.run_loop(bench, model, placement)
        each = [
            [
                kl_1d(loop.run(count, Mode.SDE, seed=seed, label=label).x, reference)
                for label, reference in references.items()
            ]
            for seed in seeds
        ]
    return [sum(one) / len(one) for one in each]


# --- a programmed chip -------------------------------------------------------------------------


def chip_part(
    model: ScoreModel, references: References, found: Sequence[LawFigures]
) -> tuple[Found, list[LawFigures]]:
    """The ODE and the laws on the loop of one programmed chip."""
    laws = laws_for_loop(found)
    laws += [law for law in (model.noise,) if law not in laws]
    with tempfile.TemporaryDirectory(prefix="noise-law-") as folder:
        config = BenchConfig(runs=Path(folder))
        with session(config, "noise", parameters={}, virgin_chip=True) as (run, bench):
            placement = place(model, config)
            form_cells(bench, run, placement)
            placed = program_cells(bench, run, placement).placement
            on_loop = loop_study(bench, model, placed, laws, references, CHIP_SAMPLES)
    print("On one programmed chip (simulated)\n" + table_of(on_loop))
    return {"laws": [f.to_dict() for f in on_loop]}, on_loop


# --- all ---------------------------------------------------------------------------------------


def main(argv: Sequence[str] | None = None) -> int:
    parser = option_parser(__doc__, "the stored law alone, fewer samples, no chip")
    parser.add_argument("--model", default="ring", help="model file or name (default: ring)")
    parser.add_argument("--figure", type=Path, metavar="FILE", help="write the figure here (PNG)")
    parser.add_argument("--part", choices=PARTS, help="only this part; default: all")
    asked = parser.parse_args(argv)
    began = time.perf_counter()
    model = load_model(asked.model)
    references = references_of(model)
    figures: Found = {"model": model.name, "simulated": True}
    missed: list[str] = []
    found: list[LawFigures] = []
    on_loop: list[LawFigures] = []
    if asked.part in (None, "software"):
        figures["software"], found, over = software_part(model, references, asked.quick)
        missed += over
    if asked.part in (None, "ideal"):
        figures["ideal"], over = ideal_part(model, references, asked.quick)
        missed += over
    if asked.part == "chip" or (asked.part is None and not asked.quick):
        figures["chip"], on_loop = chip_part(model, references, found)
    if asked.figure is not None and found:
        searched = [f for f in found if f.samples == SEARCH_SAMPLES]
        ode = measure(model, None, references, SEARCH_SAMPLES, SEARCH_SEEDS, solver=solve_fast)
        title = f"Noise laws for the network {model.name!r}"
        save_figure(noise_figure(title, searched, ode, on_loop), asked.figure)
    print(f"{time.perf_counter() - began:.0f} s")
    return finish(asked.json, figures, missed)


if __name__ == "__main__":
    sys.exit(main())
