"""How fast the simulated cells are: a SET pulse and a read of a million cells.

    python benchmarks/cell_speed.py [--json FILE] [--quick]

The best of five repeats (the machine may be shared), after compilation, every effect on; the cells
are programmed before, so that the pulse moves nearly all of them. The plain numpy reference of the
draws stands beside the compiled one, so that part of the speed is a ratio. Exits with 1 when a
million cells take 2 s or more.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

from _common import finish, option_parser

from hil.sim import draws
from hil.sim.cells import CellArray
from hil.sim.profile import load_profile

SECONDS_BAR = 2.0
CELLS, QUICK_CELLS = 1_000_000, 200_000
REPEATS = 5


def seconds(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def measure(cells: int) -> dict[str, float]:
    """Seconds per million cells (or draws) of each figure."""
    array = CellArray(load_profile(), 7, CellArray.virgin_state(cells))
    index = np.arange(cells)
    array.set_conductance(index[:8], 5e-5)
    array.pulse(index[:8], 1, 2.5, 2.0, 1e-7, 1e-6)
    array.read(index[:8], 2e-6)
    draws.normal_lanes(1, 2, index[:8])
    times: dict[str, list[float]] = {}

    def take(name: str, action: Callable[[], object]) -> None:
        times.setdefault(name, []).append(seconds(action) * 1e6 / cells)

    for repeat in range(REPEATS):
        array.set_conductance(index, 5e-5, float(repeat))
        now = repeat + 1e-6
        take("set_pulse_s", lambda now=now: array.pulse(index, 1, 2.5, 2.0, 1e-7, now))
        take("read_s", lambda now=now: array.read(index, now + 1e-6))
        take("normals_4_s", lambda: draws.normal_lanes(1, 2, index))
        take("normals_4_numpy_s", lambda: draws.normal_lanes_reference(1, 2, index))
    return {name: min(values) for name, values in times.items()}


def main(argv: list[str] | None = None) -> int:
    asked = option_parser(__doc__, "fewer cells, same figures per million").parse_args(argv)
    figures = measure(QUICK_CELLS if asked.quick else CELLS)
    together = figures["set_pulse_s"] + figures["read_s"]
    ratio = figures["normals_4_numpy_s"] / figures["normals_4_s"]
    slow = f"SET pulse and read take {together:.2f} s, the bar is below {SECONDS_BAR:g} s"
    print(f"SET pulse, 1,000,000 cells   {figures['set_pulse_s']:.2f} s")
    print(f"read, 1,000,000 cells        {figures['read_s']:.2f} s")
    print(f"together                     {together:.2f} s, bar {SECONDS_BAR} s")
    print(
        f"4,000,000 keyed normals      {figures['normals_4_s']:.2f} s, "
        f"numpy {ratio:.1f} times as long"
    )
    content = {**figures, "together_s": together, "bar_s": SECONDS_BAR}
    return finish(asked.json, content, [] if together < SECONDS_BAR else [slow])


if __name__ == "__main__":
    raise SystemExit(main())
