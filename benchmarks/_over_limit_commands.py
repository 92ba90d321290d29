"""Command lines with bench files that ask a board for more than it may give."""

from __future__ import annotations

import contextlib
import io
import random
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from benchmarks._limit_witness import Lowered
from hil.cli.app import run
from protocols.hardware import load_board
from protocols.messages import Operation

Bench = dict[str, Any]
Made = tuple[list[str], Bench, dict[Operation, Lowered]]
_FAR = 1 << 62
FORMED_SEED = 4711
_DESCRIPTION = load_board("reference")
_PER_CODE = _DESCRIPTION.converters.pulse_full_scale_volts / _DESCRIPTION.code_max
_TICK_S = _DESCRIPTION.converters.width_tick_s


def _lowered(
    gate_volts: float | None = None,
    line_volts: float | None = None,
    width_s: float | None = None,
    pulses: int = _FAR,
    energy_joules: float | None = None,
) -> Lowered:
    """What a bench file lowers, in codes of converters that deviate in nothing."""
    energy = _FAR
    if energy_joules is not None:
        per_unit = _DESCRIPTION.limits.cell_siemens * _TICK_S * _PER_CODE**2
        energy = int(energy_joules / per_unit * (1 + 1e-9))
    return Lowered(
        _FAR if gate_volts is None else int(gate_volts / _PER_CODE + 1e-6),
        _FAR if line_volts is None else int(line_volts / _PER_CODE + 1e-6),
        _FAR if width_s is None else int(width_s / _TICK_S + 1e-6),
        pulses,
        energy,
    )


def forming(rng: random.Random) -> Made:
    """A forming ramp over a limit."""
    over = rng.choice(
        (
            {"stop_volts": rng.uniform(4.51, 9.0)},
            {"gate_volts": rng.uniform(2.61, 6.0)},
            {"width_s": rng.uniform(1.001e-3, 1.0)},
        )
    )
    return ["form"], {"forming": over}, {}


@cache
def formed_chip() -> bytes:
    """The cells of a simulated chip that was formed for the model."""
    with tempfile.TemporaryDirectory() as folder:
        file = _bench_file(Path(folder), {"seed": FORMED_SEED})
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            run(["form", "--bench", str(file)])
        return (Path(folder) / "chips" / "C" / "cells.chip").read_bytes()


def programming(rng: random.Random) -> Made:
    """Programming pulses over a limit, on a formed chip."""
    over = rng.choice(
        (
            {"set_line_volts": rng.uniform(3.61, 8.0)},
            {"set_width_s": rng.uniform(2.01e-5, 1e-2)},
            {"reset_gate_volts": rng.uniform(4.51, 9.0)},
            {"reset_width_s": rng.uniform(2.01e-5, 1e-2)},
        )
    )
    return ["program"], {"programming": over, "seed": FORMED_SEED}, {}


def raised(rng: random.Random) -> Made:
    """A bench file with limits above the board's."""
    kind = rng.choice(("set", "reset", "form"))
    over = rng.choice(
        (
            {kind: {"gate_volts": rng.uniform(4.51, 9.0)}},
            {kind: {"line_volts": rng.uniform(4.51, 9.0)}},
            {kind: {"width_s": rng.uniform(1.1e-3, 1.0)}},
            {kind: {"line_volts_per_s": rng.uniform(1e9, 1e12)}},
            {kind: {"energy_joules": rng.uniform(1e-5, 1.0)}},
            {"pulses_per_cell": rng.randint(5001, 10**9)},
            {"arm_s": rng.uniform(600.1, 1e6)},
        )
    )
    return [rng.choice(("form", "program", "read", "info"))], {"limits": over}, {}


def below_the_ramp(rng: random.Random) -> Made:
    """Lowered limits, and a forming ramp that wants more: volts, slew, width, energy."""
    volts, joules = rng.uniform(1.0, 4.1), 10 ** rng.uniform(-12, -9)
    edge_s = _DESCRIPTION.limits.edge_s
    limit, low = rng.choice(
        (
            ({"line_volts": volts}, _lowered(line_volts=volts)),
            ({"line_volts_per_s": volts / edge_s}, _lowered(line_volts=volts)),
            ({"gate_volts": volts / 2.3}, _lowered(gate_volts=volts / 2.3)),
            ({"width_s": 5e-7}, _lowered(width_s=5e-7)),
            ({"energy_joules": joules}, _lowered(energy_joules=joules)),
        )
    )
    return ["form"], {"limits": {"form": limit}}, {Operation.FORM: low}


def few_pulses(rng: random.Random) -> Made:
    """Fewer pulses per cell than forming needs."""
    most = rng.randint(1, 3)
    low = {kind: _lowered(pulses=most) for kind in Operation}
    return ["form"], {"limits": {"pulses_per_cell": most}}, low


def read_level(rng: random.Random) -> Made:
    """Reads at a voltage that could change a cell."""
    return [rng.choice(("read", "verify", "form"))], {"read_volts": rng.uniform(0.4501, 1.0)}, {}


def another_description(rng: random.Random) -> Made:
    """A board description with higher limits than the firmware was built with."""
    raised = _DESCRIPTION.model_dump(mode="json")
    for kind in ("set", "reset", "form"):
        raised["limits"][kind] |= {"gate_volts": 4.9, "line_volts": 4.9, "width_s": 1.0}
    raised["limits"]["pulses_per_cell"] = 10**6
    over = {"stop_volts": rng.uniform(4.6, 4.9), "gate_volts": rng.uniform(2.7, 4.0)}
    return ["form"], {"forming": over, "description": raised, "board": "native"}, {}


COMMANDS: dict[str, Callable[[random.Random], Made]] = {
    "forming": forming,
    "limits raised": raised,
    "programming": programming,
    "read level": read_level,
    "below the ramp": below_the_ramp,
    "another description": another_description,
    "few pulses": few_pulses,
}


def make(
    number: int, board: str, folder: Path, rng: random.Random
) -> tuple[str, list[str], dict[Operation, Lowered]]:
    """One command line in a folder: what it tries, its arguments, what it lowers."""
    name, trick = list(COMMANDS.items())[number % len(COMMANDS)]
    arguments, bench, lowered = trick(rng)
    bench = {"board": board, "seed": rng.randrange(1000), **bench}
    if bench["seed"] == FORMED_SEED:
        chip = folder / "chips" / "C" / "cells.chip"
        chip.parent.mkdir(parents=True)
        chip.write_bytes(formed_chip())
    if "description" in bench:
        path = folder / "board.yaml"
        path.write_text(yaml.safe_dump(bench["description"]), encoding="utf-8")
        bench["description"] = str(path)
    return name, [*arguments, "--bench", str(_bench_file(folder, bench))], lowered


def _bench_file(folder: Path, bench: Bench) -> Path:
    """A bench file whose every path lies in the folder."""
    own = {"chip": {"id": "C", "folder": str(folder / "chips")}}
    own |= {name: str(folder / name) for name in ("runs", "boards")}
    file = folder / "bench.yaml"
    file.write_text(yaml.safe_dump({**bench, **own}), encoding="utf-8")
    return file
