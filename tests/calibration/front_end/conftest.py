"""Simulated boards with errors that are known, and macros with or without curves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from calibration.front_end import FrontEndParams, calibrate_front_end
from drivers.rram.geometry import Geometry
from drivers.rram.limits import Limits
from drivers.rram.macro import Macro
from drivers.transfer import Curves
from hil.bench import Bench
from hil.boards import simulated
from hil.config import BenchConfig
from hil.sim.board import SimBoard, make_board
from hil.sim.config import SimSettings
from hil.sim.effects import Effects
from protocols.hardware import load_board

BOARD = load_board("reference")
FRONT_END = ("dac_error", "adc_error", "front_end_noise")
LARGE = {  # gains of up to 3 %, offsets of up to 1 % of the range
    "dac_gain_sd": 0.01,
    "dac_gain_margin": 0.03,
    "dac_offset_sd_codes": 13.6,
    "dac_bow_sd_codes": 2.0,
    "dac_offset_margin_codes": 60.0,
    "adc_gain_sd": 0.01,
    "adc_offset_sd_codes": 13.6,
    "adc_bow_sd_codes": 2.0,
    "tia_gain_sd": 0.01,
    "tia_offset_sd_amperes": 0.2e-6,
}


@dataclass
class Rig:
    """A simulated board in memory and a macro that knows nothing of its errors."""

    board: SimBoard
    bench: Bench

    def calibrate(self, params: FrontEndParams | None = None):
        return calibrate_front_end(self.bench.macro, BOARD, params)

    def macro(self, curves: Curves) -> Macro:
        limits = Limits.of(BOARD.limits)
        return Macro(self.bench.board, Geometry(128, 128), curves, limits)


@pytest.fixture
def rig() -> Callable[..., Rig]:
    def make(**changes) -> Rig:
        only = Effects.none().only(*FRONT_END, *changes.pop("effects", ()))
        settings = SimSettings(
            effects={name: getattr(only, name) for name in Effects.names()}, **changes
        )
        board = make_board(settings, BOARD)
        return Rig(board, Bench(BenchConfig(), BOARD, simulated(board), nominal_curves=True))

    return make
