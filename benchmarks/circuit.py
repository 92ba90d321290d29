"""The simulated loop against an independent circuit simulation of it (ngspice).

    python benchmarks/circuit.py [--solves N] [--figure FILE] [--json FILE] [--quick]

The loop of the reference board with the shipped ring network as it is mapped on the macro is
written as a netlist of op-amps with finite gain and bandwidth, multipliers, resistors for the
cells, rectifiers, switches and sample-and-holds (`_circuit_netlist.py`), preset, closed and driven
with the same codes as `hil.sim`'s loop, whose effects are off except those that the netlist has.
The bars: x(t), taken at every tick of a solve, is within 1 % of full scale (root mean square over
ticks and axes) for every initial condition, by the probability-flow ODE and with held noise by the
reverse SDE; so is the sample that is held at the end; and, since full scale is many times the way
that x goes, the distance is within 1 % of that way as well. Both sides are simulated. ngspice has
to be installed. Exits with 1 when a bar is missed, with 2 when ngspice is missing or fails.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

from _common import finish, option_parser, text_table

from benchmarks._circuit_figure import draw
from benchmarks._circuit_loops import (
    EFFECTS,
    MappedNetwork,
    Trace,
    circuit,
    drive,
    rms_volts,
    simulator,
    way_volts,
)
from benchmarks._circuit_ngspice import CircuitError, version
from hil.diffusion.model import load_model
from hil.waveforms import LoopTiming, Mode
from protocols.hardware import load_board

BAR = 0.01
BARRED = ("rms", "of_way", "held")
TICKS = 200
FAILED = 2


def measure(solves: dict[Mode, int], figure: Path | None) -> dict[str, Any]:
    """Figures of every solve. Raises CircuitError: ngspice is missing or fails."""
    simulator_version = version()  # before anything else takes time
    board = load_board("reference")
    network = MappedNetwork(load_model("ring"), board)
    timing = LoopTiming(board.loop.tick_s, TICKS)
    full_scale = board.converters.sample_full_scale_volts
    circuits: dict[str, list[Trace]] = {}
    simulated: dict[str, list[Trace]] = {}
    rows = []
    for mode, count in solves.items():
        solve = drive(network, mode, count, timing)
        simulated[mode.name] = simulator(network, solve)
        circuits[mode.name] = []
        for number, trace in enumerate(simulated[mode.name]):
            start = time.perf_counter()
            found = circuit(network, solve, number)
            took_s = time.perf_counter() - start
            circuits[mode.name].append(found)
            rows.append(_row(mode.name, number, found, trace, full_scale) | {"ngspice_s": took_s})
    if figure is not None:
        draw(figure, circuits, simulated, timing.duration_s, full_scale)
    return {
        "ngspice": simulator_version,
        "board": board.name,
        "simulated": True,
        "effects": list(EFFECTS),
        "full_scale_volts": full_scale,
        "bar": BAR,
        "solves": rows,
        "worst_rms": max(row["rms"] for row in rows),
        "worst_of_way": max(row["of_way"] for row in rows),
        "worst_held": max(row["held"] for row in rows),
    }


def _row(mode: str, number: int, found: Trace, wanted: Trace, full_scale: float) -> dict[str, Any]:
    apart = rms_volts(found, wanted)
    return {
        "mode": mode,
        "number": number,
        "start_volts": found.x[0].tolist(),
        "end_volts": found.x[-1].tolist(),
        "rms": apart / full_scale,
        "of_way": apart / way_volts(wanted),
        "largest": float(np.abs(found.x - wanted.x).max() / full_scale),
        "held": float(np.abs(found.held - wanted.held).max() / full_scale),
    }


def missed(figures: dict[str, Any]) -> list[str]:
    """One sentence per solve and figure that is over the bar; NaN is over it."""
    return [
        f"{row['mode']} {row['number']}: {name} is {row[name]:.3%}, the bar is {BAR:.0%}"
        for row in figures["solves"]
        for name in BARRED
        if not row[name] <= BAR
    ]


def table(figures: dict[str, Any]) -> str:
    """The solves, line by line."""
    heads = ("solve", "start (mV)", "end (mV)", "rms", "of way", "largest", "held", "ngspice")
    lines = [
        (
            f"{row['mode']} {row['number']}",
            *(" ".join(f"{1e3 * v:7.1f}" for v in row[f"{end}_volts"]) for end in ("start", "end")),
            *(f"{row[name]:.4%}" for name in ("rms", "of_way", "largest", "held")),
            f"{row['ngspice_s']:.1f} s",
        )
        for row in figures["solves"]
    ]
    return text_table(heads, lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = option_parser(__doc__, "one drawn start of each mode")
    parser.add_argument(
        "--solves", type=int, default=5, metavar="N", help="drawn starts by ODE (default 5)"
    )
    parser.add_argument("--figure", type=Path, metavar="FILE", help="draw x(t) into this PNG")
    asked = parser.parse_args(argv)
    if asked.solves < 1:
        parser.error("--solves must be at least 1")
    ode, sde = (1, 1) if asked.quick else (asked.solves, 2)
    try:
        figures = measure({Mode.ODE: ode, Mode.SDE: sde}, asked.figure)
    except CircuitError as error:
        print(f"circuit.py: {error}", file=sys.stderr)
        return FAILED
    print(f"{figures['ngspice']}; of {figures['full_scale_volts']:g} V; both sides simulated")
    print(table(figures))
    return finish(asked.json, figures, missed(figures))


if __name__ == "__main__":
    sys.exit(main())
