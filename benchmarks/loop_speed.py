"""How fast the simulated analog loop is, and how exactly one step per tick solves the held model.

    python benchmarks/loop_speed.py [--json FILE] [--quick]

Three figures, all simulated, medians of interleaved repeats in one run:
- 2,000 ODE samples of 240 ticks as the board's sequencer solves them, every effect on (noise of
  cells, stages and converters): must take under 5 s after compilation;
- the same 2,000 trajectories in the plain numpy reference, so that the speed is a ratio;
- the rms distance of one Heun step per tick from DOP853 at rtol 1e-9 on the same held equations, in
  units of 0.1 V: must be at most 5e-5.
Exits with 1 when a bar is missed.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.integrate import solve_ivp

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

from _common import finish, missed_bars, option_parser

from hil.sim import loop_reference as reference
from hil.sim.board import SimBoard, make_board
from hil.sim.config import SimSettings
from hil.sim.loop import Plan
from hil.sim.loop_drive import Waves
from hil.sim.loop_network import LayerBlock, layer_sizes
from hil.sim.runs import Runs
from protocols.hardware import BoardDescription, load_board
from protocols.messages import RunRequest

SECONDS_BAR = 5.0
RMS_BAR_UNITS = 5e-5
UNIT_VOLTS = 0.1
FEEDBACK_OHM = 40_000.0
TICK_S = 5e-3


def network(description: BoardDescription) -> tuple[list[LayerBlock], np.ndarray]:
    """Three blocks on the diagonal with random weights of up to 2.4, and their conductances."""
    rng = np.random.default_rng(3)
    siemens = np.full((description.rows, description.columns), np.nan)
    blocks, row, column = [], 0, 0
    for layer, (inputs, outputs) in enumerate(layer_sizes(description.loop.hidden_width)):
        block = LayerBlock(row, column, inputs, outputs, True, FEEDBACK_OHM, 0.0)
        spread = 20e-6 * (3 / inputs) ** 0.5 * (0.3 if layer == 2 else 1.0)
        dg = np.clip(rng.normal(0, spread, (inputs, outputs)), -60e-6, 60e-6)
        part = np.stack([160e-6 + dg / 2, 160e-6 - dg / 2], axis=-1).reshape(inputs, -1)
        siemens[row : row + inputs, column : column + block.columns] = part
        blocks.append(block)
        row, column = row + inputs, column + block.columns
    return blocks, siemens


def waves(ticks: int) -> Waves:
    """Words of the published kind: f = -beta / 4, g = beta / 4, seven sines and cosines."""
    tau = 1 - np.arange(ticks) / ticks
    beta = 0.001 + 0.499 * tau
    phase = 2 * np.pi * tau[:, None] * np.array([0.93, -0.84, 0.32, -0.4, 0.62, 0.31, -0.18])
    return Waves(
        tick_s=TICK_S,
        drift=_code(-0.25 * beta),
        score=_code(0.25 * beta),
        noise=np.zeros(ticks, np.int64),
        offset=np.full((ticks, 2), 2048),
        embedding=_code(0.5 * np.concatenate([np.sin(phase), np.cos(phase)], axis=1)),
    )


def _code(fraction: np.ndarray) -> np.ndarray:
    return np.rint(2048 + 2048 * fraction).astype(np.int64)


def starts(count: int) -> np.ndarray:
    """Codes of normal initial conditions of one unit."""
    normal = np.random.default_rng(1).normal(0, 0.25, (count, 2))
    return _code(normal.clip(-0.95, 0.95))


def plan_of(board: SimBoard, blocks: list[LayerBlock], ticks: int) -> Plan:
    return board.machine.loop.plan(blocks, waves(ticks), ticks, now_s=board.chip.now_s)


def run_once(board: SimBoard, plan: Plan, count: int) -> None:
    """A run as the sequencer does it, block by block, conversions and traces included."""
    runs = Runs(board.machine.loop, board.machine.settings)
    runs.store_initial(0, starts(count).astype(np.uint16))
    runs.start(RunRequest(1, 0, count, plan.capture_tick, 0, 0, 0, 20, 20), plan)
    while runs.running:
        runs.poll()


def reference_once(board: SimBoard, plan: Plan, count: int) -> None:
    loop, numbers = board.machine.loop, np.arange(count)
    deviations = board.chip.cells.solve_noise(plan.network.cells, numbers)
    x = loop.preset(starts(count))
    reference.solve(
        x, numbers, 0, False, plan.segments, plan.drive, plan.network, deviations, loop.stages
    )


def seconds(function: Callable[[], None]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def rms_error_units(description: BoardDescription, count: int) -> float:
    """One Heun step per tick against DOP853, every effect off, the integrators' clamp away."""
    loop_figures = description.loop.model_copy(update={"integrator_clamp_volts": 50.0})
    board = make_board(SimSettings.ideal(), description.model_copy(update={"loop": loop_figures}))
    blocks, siemens = network(description)
    board.set_conductances(siemens)
    loop, plan = board.machine.loop, plan_of(board, blocks, 200)
    width = description.loop.hidden_width
    weights = reference.weights(plan.network, np.zeros((1, plan.network.cells.size)), width)
    quiet = np.zeros((1, 2 * width + 2))

    def right(_t: float, x: np.ndarray, tick: int) -> np.ndarray:
        x = x.reshape(-1, 2)
        e = plan.drive.embedding[tick]
        s = reference.layers(x, weights, e, quiet, loop.stages)[2]
        return (plan.drive.rate[tick] * x + plan.drive.score[tick] * s).ravel()

    x0 = loop.preset(starts(count))
    x = x0.ravel()
    for tick in range(200):
        x = solve_ivp(right, (0, TICK_S), x, "DOP853", args=(tick,), rtol=1e-9, atol=1e-11).y[:, -1]
    found = loop.advance(plan, x0, np.arange(count), 0, 200)
    return float(np.sqrt(np.mean((found - x.reshape(-1, 2)) ** 2)) / UNIT_VOLTS)


def measure(quick: bool) -> dict[str, Any]:
    description = load_board("reference")
    count, ticks, repeats = (500, 240, 1) if quick else (2000, 240, 5)
    board = make_board(SimSettings(), description)
    blocks, siemens = network(description)
    board.set_conductances(siemens)
    plan = plan_of(board, blocks, ticks)
    compile_s = seconds(lambda: run_once(board, plan, 2))
    compiled, plain = [], []
    for _ in range(repeats):
        compiled.append(seconds(lambda: run_once(board, plan, count)))
        plain.append(seconds(lambda: reference_once(board, plan, count)))
    solve_s = statistics.median(compiled)
    return {
        "samples": count,
        "ticks": ticks,
        "first_call_s": compile_s,
        "solve_s": solve_s,
        "samples_per_s": count / solve_s,
        "numpy_s": statistics.median(plain),
        "speed_over_numpy": statistics.median(plain) / solve_s,
        "seconds_bar": SECONDS_BAR * count / 2000,
        "rms_units": rms_error_units(description, 50 if quick else 200),
        "rms_bar_units": RMS_BAR_UNITS,
    }


def main(argv: Sequence[str] | None = None) -> int:
    asked = option_parser(__doc__, "fewer samples, one repeat").parse_args(argv)
    figures = measure(asked.quick)
    for name, value in figures.items():
        print(f"{name:18} {value:.4g}" if isinstance(value, float) else f"{name:18} {value}")
    bars = {"solve_s": (0.0, figures["seconds_bar"]), "rms_units": (0.0, RMS_BAR_UNITS)}
    return finish(asked.json, figures, missed_bars(figures, bars))


if __name__ == "__main__":
    sys.exit(main())
