"""How fast and how well samples are generated, beside the published sampler and the libraries.

    python benchmarks/generation.py [--json FILE] [--quick] [--part PART ...]

Parts, all on the shipped ring model unless said otherwise:

- ode: samples per second of the compiled loop, the published sampler, torchdiffeq, diffrax and a
  C kernel written by hand for nothing else (`_generation_speed.py`, `_generation_kernel.c`)
- sde: the same for the reverse SDE, beside torchsde and diffrax
- noise: what fresh read noise costs
- accuracy: distance from the exact solution of the held words (`_generation_exact.py`)
- memory: that it does not grow with the number of ticks
- start: time to the first result, with and without what was compiled before
- digits: ten handwritten digits on programmed, simulated chips (`_generation_digits.py`)

Rates are of this computer, in software; no figure here is of silicon. The libraries are installed
by `make bench` from requirements-bench.lock; a bar that needs one that is missing is missed.
"Equal quality" is the loop with the fewest ticks that are as good as what it is compared with. On a
computer that is busy HIL_BENCH_CORES=1 gives everybody one core and counts processor seconds.
Exits with 1 when a bar is missed.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

# Every contestant may use every core; torch and OpenMP read this when they are loaded.
os.environ.pop("OMP_NUM_THREADS", None)

import _generation_digits
import _generation_exact
import _generation_speed
from _common import Bars, finish, missed_bars, option_parser, text_table

Figures = Mapping[str, Any]


def digits(quick: bool) -> tuple[Figures, Bars]:
    """Every class on five programmed chips; see the module."""
    return _generation_digits.digits_part(quick=quick)


PARTS: dict[str, Callable[[bool], tuple[Figures, Bars]]] = {
    part.__name__: part
    for part in (
        _generation_speed.ode,
        _generation_speed.sde,
        _generation_speed.noise,
        _generation_exact.accuracy,
        _generation_exact.memory,
        _generation_exact.start,
        digits,
    )
}


def main() -> int:
    """Runs the parts, prints what they found, and judges it."""
    parser = option_parser(__doc__, "fewer samples and rounds, one chip")
    parser.add_argument("--part", nargs="+", choices=PARTS, metavar="PART")
    chosen = parser.parse_args()
    found: dict[str, dict[str, Any]] = {}
    missed: list[str] = []
    for name in chosen.part or PARTS:
        began = time.perf_counter()
        figures, bars = PARTS[name](chosen.quick)
        missed += [f"{name}: {sentence}" for sentence in missed_bars(figures, bars)]
        found[name] = {**figures, "host_s": time.perf_counter() - began}
        print(f"{name}\n{text_table(['', ''], _lines(found[name]))}\n", flush=True)
    return finish(chosen.json, found, missed)


def _lines(figures: Figures) -> list[list[str]]:
    """Name and value of each plain number."""
    numbers = {k: v for k, v in figures.items() if isinstance(v, int | float)}
    return [[name, f"{value:,.6g}"] for name, value in numbers.items()]


if __name__ == "__main__":
    sys.exit(main())
