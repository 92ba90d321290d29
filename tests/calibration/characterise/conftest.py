"""Rigs on simulated boards whose physics is planted; the routines know nothing of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml

from calibration.characterise import Rig
from drivers.board import Board
from drivers.link import Link
from drivers.rram.geometry import Cells, Geometry
from drivers.rram.limits import Limits
from drivers.rram.macro import Macro
from drivers.stream import MemoryStream
from drivers.transfer import Curves
from hil.sim.board import make_board
from hil.sim.config import SimSettings
from hil.sim.profile import DEFAULT_PROFILE, profile_path
from protocols.hardware import load_board

BOARD = load_board("reference")
GEOMETRY = Geometry(BOARD.rows, BOARD.columns)
Make = Callable[..., SimpleNamespace]


@pytest.fixture
def make() -> Make:
    """A rig on formed cells, `board` and `rig`; `formed` in siemens, None leaves them virgin."""

    def made(
        cells: int = 64, formed: float | None = 150e-6, seed: int = 3, **settings: Any
    ) -> SimpleNamespace:
        board = make_board(SimSettings(seed=seed, **settings), BOARD)
        link = Link(MemoryStream(board.receive, "sim"))
        link.open()
        macro = Macro(Board(link), GEOMETRY, Curves.nominal(BOARD), Limits.of(BOARD.limits))
        wide = Cells.block(64, 64, 32, 32)
        chosen = wide[np.random.default_rng(0).permutation(len(wide))[:cells]]
        if formed is not None:
            flat = chosen.flat(GEOMETRY)
            board.chip.cells.set_conductance(flat, formed, board.chip.now_s)
        return SimpleNamespace(board=board, rig=Rig(macro, chosen, board.chip.advance))

    return made


@pytest.fixture
def planted(tmp_path: Path) -> Callable[..., str]:
    """The path of a copy of the default profile with some values replaced: `group__key=value`."""

    def written(**values: Any) -> str:
        content = yaml.safe_load(profile_path(DEFAULT_PROFILE).read_text(encoding="utf-8"))
        for name, value in values.items():
            group, key = name.split("__")
            old = content[group][key]
            content[group][key] = [value] * len(old) if isinstance(old, list) else value
        path = tmp_path / "planted.yaml"
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
        return str(path)

    return written
