"""Chips and measurements of the relaxation benchmark: one chip, plain and re-trimmed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.forming import form
from calibration.mapping import map_network
from calibration.programming import Programmer
from calibration.programming.ispp import Ispp, IsppParams
from calibration.pulse_clock import PulseClock
from calibration.retrim import RetrimParams, RetrimResult, retrim
from calibration.retrim_policy import rms_of_weights
from drivers.board import Board
from drivers.link import Link
from drivers.rram.geometry import Cells, Geometry
from drivers.rram.limits import Limits
from drivers.rram.macro import Macro
from drivers.stream import MemoryStream
from drivers.transfer import Curves
from hil.diffusion.model import load_model
from hil.sim.board import SimBoard, make_board
from hil.sim.config import SimSettings
from protocols.hardware import BoardDescription, load_board

WINDOW_SIEMENS = (70e-6, 205e-6)
RANGE_SIEMENS = WINDOW_SIEMENS[1] - WINDOW_SIEMENS[0]
TOLERANCE_SIEMENS = 0.025 * RANGE_SIEMENS
UNIFORM_CELLS = 1024
HOUR_S = 3600.0
Floats = NDArray[np.float64]


@dataclass
class Subject:
    """One formed simulated chip and what it shall hold."""

    board: SimBoard
    macro: Macro
    cells: Cells
    targets: Floats
    partner: NDArray[np.int64] | None

    def true_after(self, wait_s: float) -> Floats:
        """True conductances of the cells `wait_s` from now, without letting time pass."""
        chip, flat = self.board.chip, self.cells.flat(self.macro.geometry)
        return np.asarray(chip.cells.conductance(flat, chip.now_s + wait_s))

    def error_percent(self, siemens: Floats) -> float:
        """rms error of the weights in per cent of the window."""
        partner = np.full(len(self.cells), -1) if self.partner is None else self.partner
        return 100.0 * rms_of_weights(siemens - self.targets, partner) / RANGE_SIEMENS


def subject(kind: str, seed: int, description: BoardDescription | None = None) -> Subject:
    """A chip with `uniform` analog targets in single cells, or the `demo`'s differential pairs."""
    described = description or load_board("reference")
    board = make_board(SimSettings(seed=seed, board_seed=seed), described)
    link = Link(MemoryStream(board.receive, f"sim chip {seed}"))
    link.open()
    geometry = Geometry(described.rows, described.columns)
    macro = Macro(Board(link), geometry, Curves.nominal(described), Limits.of(described.limits))
    if kind == "demo":
        weights, biases = zip(*load_model("ring").layers, strict=True)
        placed = map_network(
            weights,
            biases,
            geometry=geometry,
            loop=described.loop,
            converters=described.converters,
        )
        made = Subject(board, macro, placed.cells, placed.target_siemens, placed.partner())
    else:
        cells = Cells.all(geometry)[np.arange(UNIFORM_CELLS)]
        targets = np.random.default_rng(seed).uniform(*WINDOW_SIEMENS, UNIFORM_CELLS)
        made = Subject(board, macro, cells, targets, None)
    form(macro, made.cells)
    return made


def plain_programmer(subject: Subject) -> Programmer:
    """Program and verify without a wait: ISPP whose confirming reads follow at once."""
    paired = subject.partner is not None
    params = IsppParams(
        tolerance_siemens=None if paired else TOLERANCE_SIEMENS, settle_s=(0.0,) * 10
    )
    return Ispp(params, subject.board.chip.advance)


def measure(
    kind: str,
    seed: int,
    params: RetrimParams,
    programmer: Any = plain_programmer,
    touch_up: Any = None,
) -> dict[str, float]:
    """One chip: what plain verify leaves an hour after it, what re-trim leaves an hour after it.

    `programmer` and `touch_up` make a `Programmer` for a subject.
    """
    chip = subject(kind, seed)
    clock = PulseClock(chip.macro)
    with clock:
        first = programmer(chip).run(chip.macro, chip.cells, chip.targets)
    start_s = chip.board.chip.now_s
    figures = {
        "chip": float(seed),
        "plain_now": chip.error_percent(chip.true_after(0.0)),
        "plain_1h": chip.error_percent(chip.true_after(HOUR_S)),
        "pulses": float(first.pulses.mean()),
    }
    state = chip.board.chip.cells.state.copy()
    done = _retrim(chip, (touch_up or programmer)(chip), params, clock)
    spent_s = chip.board.chip.now_s - start_s
    figures |= {
        "retrim_now": chip.error_percent(chip.true_after(0.0)),
        "retrim_1h": chip.error_percent(chip.true_after(HOUR_S)),
        "extra_pulses": float(done.pulses.mean()),
        "extra_pulses_most": float(done.pulses.max()),
        "touched": float(np.mean(done.pulses > 0)),
        "extra_reads": done.reads / len(chip.cells),
        "extra_bench_s": spent_s,
    }
    chip.board.chip.cells.state[:] = state  # the same chip, had it only been left alone
    figures["plain_as_old"] = chip.error_percent(chip.true_after(HOUR_S))
    figures["ratio"] = figures["retrim_1h"] / figures["plain_1h"]
    figures["ratio_as_old"] = figures["retrim_1h"] / figures["plain_as_old"]
    return figures


def _retrim(
    chip: Subject, programmer: Programmer, params: RetrimParams, clock: PulseClock
) -> RetrimResult:
    return retrim(
        chip.macro,
        programmer,
        chip.cells,
        chip.targets,
        params,
        chip.board.chip.advance,
        age_s=clock.ages(chip.cells),
        partner=chip.partner,
    )
