"""The same solve for both sides of the circuit benchmark: codes as they are driven, x(t) of each.

A mapped network, the codes of the words and of the initial conditions are what both get. The
simulator makes of them what it does for a board; for the circuit they become volts here, by the
board description's full scales alone.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks._circuit_netlist import LayerCells, Timeline, Words, netlist
from benchmarks._circuit_ngspice import transient
from calibration.loop import LoopCalibration
from calibration.mapping import map_network
from calibration.placement import Placement
from drivers.rram.geometry import Geometry
from drivers.transfer import Curves
from hil.diffusion.sampler import initial_conditions
from hil.diffusion.score_model import ScoreModel
from hil.sim.board import make_board
from hil.sim.config import SimSettings
from hil.sim.effects import Effects
from hil.sim.loop_drive import Waves
from hil.sim.loop_network import LayerBlock
from hil.waveforms import LoopTiming, Mode, build_waveforms
from protocols.hardware import BoardDescription

F64 = NDArray[np.float64]
Codes = NDArray[np.int64]
EFFECTS = ("hidden_clamp",)
"""What the netlist has of the simulator's effects; all others are off."""
SEED = 2_026
FAR_VOLTS = (0.3, -0.3)
"""A start beyond all that the model draws, where many hidden stages are clamped."""
STEPS_PER_TICK = 10  # at least


@dataclass(frozen=True)
class Solve:
    """One solve as it is driven, codes throughout."""

    waves: Waves
    initial: Codes  # (n, 2)
    capture_tick: int


@dataclass(frozen=True)
class Trace:
    """x (ticks + 1, 2) in volts at the start of each tick and the end of the last; what is held."""

    x: F64
    held: F64  # (2,)


class MappedNetwork:
    """The shipped model's network on the macro: conductances as they are aimed at."""

    def __init__(self, model: ScoreModel, board: BoardDescription) -> None:
        self.model, self.board = model, board
        weights, biases = zip(*model.layers, strict=True)
        self._placement = map_network(
            weights,
            biases,
            geometry=Geometry(board.rows, board.columns),
            loop=board.loop,
            converters=board.converters,
        )

    @property
    def siemens(self) -> F64:
        """(rows, columns) of the macro, NaN where no cell is used."""
        found = np.full((self.board.rows, self.board.columns), np.nan)
        cells = self._placement.cells
        found[cells.rows, cells.columns] = self._placement.target_siemens
        return found

    @property
    def blocks(self) -> list[LayerBlock]:
        """Where the layers stand, for the simulator."""
        return [LayerBlock(**asdict(block)) for block in self._placement.blocks]

    @property
    def layers(self) -> list[LayerCells]:
        """The same for the netlist."""
        return layer_cells(self._placement, self.siemens)


def layer_cells(placement: Placement, siemens: F64) -> list[LayerCells]:
    """Plus and minus conductances of each layer; a single-ended one's minus is its reference."""
    found = []
    for block in placement.blocks:
        rows = slice(block.first_row, block.first_row + block.inputs)
        part = siemens[rows, block.first_column : block.first_column + block.columns]
        if block.differential:
            plus, minus = part[:, 0::2], part[:, 1::2]
        else:
            plus, minus = part, np.full_like(part, block.reference_siemens)
        found.append(LayerCells(plus, minus, block.feedback_ohm))
    return found


def drive(network: MappedNetwork, mode: Mode, count: int, timing: LoopTiming) -> Solve:
    """Words of the model on a board that needs no calibration; `count` starts and a far one.

    The noise of an SDE is drawn here, tick by tick, and driven as offsets of its channels; it is
    the same for every start.
    """
    model, board = network.model, network.board
    nominal, curves = LoopCalibration.nominal(board.loop), Curves.nominal(board)
    waveforms = build_waveforms(model, nominal, timing, board, mode)
    words = waveforms.encode(curves)
    drift, score, noise, offset, embedding = (
        np.array([getattr(entry, name) for entry in words.entries], np.int64)
        for name in ("drift", "score", "noise", "offset", "embedding")
    )
    gauss = np.random.default_rng(SEED).standard_normal(offset.shape)
    waves = Waves(
        tick_s=timing.tick_s,
        drift=drift,
        score=score,
        noise=np.zeros_like(noise),
        offset=np.rint(offset + noise[:, None] * gauss).astype(np.int64),
        embedding=embedding + np.array(words.class_offset) - board.code_zero,
    )
    drawn = initial_conditions(model, SEED, 0, count) * model.volts_per_unit
    initial = curves.initial.to_code(np.vstack([drawn, FAR_VOLTS]), "initial condition")
    return Solve(waves, initial, timing.ticks)


def simulator(network: MappedNetwork, solve: Solve) -> list[Trace]:
    """x(t) of the simulated board's loop, one trace per initial condition."""
    effects = {name: name in EFFECTS for name in Effects.names()}
    board = make_board(SimSettings.ideal(effects=effects), network.board)
    board.set_conductances(network.siemens)
    loop = board.machine.loop
    plan = loop.plan(network.blocks, solve.waves, solve.capture_tick, now_s=board.chip.now_s)
    numbers = np.arange(len(solve.initial))
    steps = [loop.preset(solve.initial)]
    for tick in range(solve.capture_tick):
        steps.append(loop.step(plan, steps[-1], numbers, tick))
    codes = loop.sample(steps[-1], numbers, solve.capture_tick)
    held = _bipolar(codes, network.board) * network.board.converters.sample_full_scale_volts
    traces = np.array(steps).swapaxes(0, 1)
    return [Trace(x, sample) for x, sample in zip(traces, held, strict=True)]


def circuit(network: MappedNetwork, solve: Solve, number: int) -> Trace:
    """x(t) of the netlist from initial condition `number`.

    Raises:
        CircuitError: ngspice is missing, or did not get to the end.
    """
    board, timeline = network.board, timeline_of(network.board, solve)
    volts = _bipolar(solve.initial[number], board) * board.converters.initial_full_scale_volts
    text = netlist(
        f"analog loop of board {board.name}, initial condition {number}",
        board.loop,
        network.layers,
        words_of(solve, board),
        volts.tolist(),
        timeline,
    )
    nodes = ("x1", "x2", "held1", "held2")
    step_s = timeline.tick_s / STEPS_PER_TICK
    times, found = transient(text, nodes, timeline.end_s, step_s)
    x = np.array([np.interp(timeline.ticks_s, times, found[:, axis]) for axis in (0, 1)])
    return Trace(x.T, found[-1, 2:])


def timeline_of(board: BoardDescription, solve: Solve) -> Timeline:
    """The switches' times of a solve."""
    return Timeline(board.loop.preset_settle_s, solve.waves.tick_s, solve.capture_tick)


def words_of(solve: Solve, board: BoardDescription) -> Words:
    """The codes as fractions of full scale and volts."""
    waves = solve.waves
    return Words(
        drift=_bipolar(waves.drift, board),
        score=_bipolar(waves.score, board),
        noise=_bipolar(waves.offset, board),
        embedding_volts=_bipolar(waves.embedding, board)
        * board.converters.embedding_full_scale_volts,
    )


def _bipolar(codes: Codes, board: BoardDescription) -> F64:
    """Fractions of full scale; the zero is in the middle."""
    middle = 1 << (board.converters.bits - 1)
    return np.asarray((codes - middle) / middle)


def rms_volts(found: Trace, wanted: Trace) -> float:
    """Distance of x(t), root mean square over a solve's ticks and both axes."""
    return float(np.sqrt(np.mean((found.x - wanted.x) ** 2)))


def way_volts(trace: Trace) -> float:
    """How far x gets from where it starts, root mean square like the distance."""
    return float(np.sqrt(np.mean((trace.x - trace.x[0]) ** 2)))
