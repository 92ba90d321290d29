"""Good inputs of every reader, and the readers as functions of a path."""

from __future__ import annotations

import functools
import hashlib
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from calibration.cell_model import CellModel
from calibration.mapping_knowledge import ChipKnowledge
from calibration.placement import Placement
from drivers.curves import ChannelCurve, ColumnCurves, MeasuredCurves
from drivers.rram.geometry import Cells, Geometry
from fuzz.mutate import SHORT, spoil_bytes, spoil_tree
from hil.chip_store import ChipStore
from hil.config import BenchConfig, load_config
from hil.curve_store import CurveStore
from hil.diffusion.model import load_model, save_model
from hil.jobs.legacy import SampleFile, load_scope_words
from hil.jsonable import to_json
from hil.record import RunFolder, read_arrays
from hil.report.data import ReportData
from hil.sim.board import make_board
from hil.sim.chip import Chip, _ChipFile, _identity
from hil.sim.config import SimSettings
from hil.sim.perturb import effective_profile
from hil.sim.profile import DEFAULT_PROFILE, load_profile, profile_path
from protocols.hardware import load_board

STAMP = "2026-03-01T09-30-00.000000Z"
RESULT_NAME = f"{STAMP}-read_noise.json"
CURVES_NAME = f"{STAMP}-curves.json"
GEOMETRY = Geometry(4, 4)
BOARD = load_board("reference")
SMALL = BOARD.model_copy(update={"rows": 4, "columns": 4})


def _json(value: object) -> bytes:
    return SHORT.sub(".0e", json.dumps(value)).encode()


# --- YAML ----------------------------------------------------------------------------------------


def bench(_: Path) -> bytes:
    return _json(
        {
            "board": "sim",
            "seed": 3,
            "model": "ring",
            "runs": "runs",
            "chip": {"id": "a", "folder": "chips"},
            "link": {"timeout_s": 0.5, "attempts": 8},
            "limits": {"set": {"gate_volts": 2.0}, "pulses_per_cell": 10},
            "programming": {"algorithm": "ispp", "settle_s": [1.0]},
            "sim": {"seed": 4, "effects": {"dac_error": False}, "zero_drift": 0.1},
        }
    )


def bench_text(_: Path) -> bytes:
    return yaml.safe_dump(json.loads(bench(_))).encode()


def read_bench(path: Path) -> object:
    return load_config(path)


def board(_: Path) -> bytes:
    return _json(BOARD.model_dump(mode="json"))


def read_board(path: Path) -> object:
    return load_board(path)


def profile(_: Path) -> bytes:
    return _json(load_profile().model_dump(mode="json", exclude={"reached"}))


def read_profile(path: Path) -> object:
    return load_profile(path)


def scope(_: Path) -> bytes:
    return _json(dict.fromkeys(("arm", "done", "done_answers", "x", "y"), "CURVE?"))


def read_scope(path: Path) -> object:
    return load_scope_words(path)


# --- models --------------------------------------------------------------------------------------


def model(suffix: str) -> Callable[[Path], bytes]:
    return lambda scratch: save_model(load_model("ring"), scratch / f"seed{suffix}").read_bytes()


def read_model(path: Path) -> object:
    return load_model(path)


def cell_model(_: Path) -> bytes:
    return _json(CellModel.from_profile(profile_path(DEFAULT_PROFILE)).to_dict())


def read_cell_model(path: Path) -> object:
    return CellModel.load(path)


def read_cell_profile(path: Path) -> object:
    return CellModel.from_profile(path)


# --- the chip ------------------------------------------------------------------------------------


@functools.cache
def _chip() -> tuple[SimSettings, dict[str, Any], int]:
    settings = SimSettings()
    return settings, _identity(settings, SMALL, effective_profile(settings)), 16


def chip_file(scratch: Path) -> bytes:
    path = scratch / "seed.chip"
    Chip.open(path, SimSettings(), SMALL).close()
    return path.read_bytes()


def chip_reader() -> Callable[[Path], object]:
    """Maps the file as `Chip.open` does, and computes with what is in it."""

    @functools.cache
    def base() -> Any:
        return make_board(SimSettings(), SMALL).chip.cells

    def read(path: Path) -> object:
        _, identity, count = _chip()
        file = _ChipFile(path, identity, count)
        try:
            cells = base()
            cells.state[:] = file.state
            return cells.read(np.arange(count), 1e9)
        finally:
            state, counters = file.state, file.counters
            file.close()
            del state, counters

    return read


def chip_result(_: Path) -> bytes:
    head = {"format": "chip-result-1", "kind": "read_noise", "time": STAMP, "chip": "a"}
    return _json({**head, "board": "1", "simulated": True, "result": {"a": [1.0, 2.0]}})


def read_chip_result(path: Path) -> object:
    return ChipStore(path.parent, "a").load(path)


def curves(_: Path) -> bytes:
    line = ChannelCurve(np.array([0.0, 2000.0, 4095.0]), np.array([3.0, 4.0, 3.0]), 0.05)
    columns = ColumnCurves(np.linspace(0.98, 1.02, 8), np.full(8, 1e-9), 5e-4)
    found = MeasuredCurves({"bit_line": line}, {"read": line}, columns, 5e-4)
    head = {"format": "board-curves-1", "time": STAMP, "serial": "1", "origin": "x"}
    facts = {"temperature_celsius": None, "age_limit_days": 90.0, "simulated": True}
    return _json({**head, **facts, "curves": found.to_dict(), "result": {}})


def spoil_curves(rng: random.Random, good: bytes) -> bytes:
    """The body spoiled under a checksum that is right, or all of it without."""
    spoiled = spoil_tree(rng, good)
    try:
        body = json.loads(spoiled)
        text = json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (ValueError, RecursionError):
        return spoiled
    digest = hashlib.sha256(text.encode()).hexdigest()
    whole = json.dumps({"sha256": digest, "body": body}).encode()
    return whole if rng.random() < 0.8 else spoil_bytes(rng, whole)


def read_curves(path: Path) -> object:
    kept = CurveStore(path.parent, 1).load(path)
    return kept.curves.to_dict()


def placement(_: Path) -> bytes:
    from hil.jobs.network import place

    return _json(place(load_model("ring"), BenchConfig()).to_dict())


def read_placement(path: Path) -> object:
    return Placement.load(path)


def knowledge(_: Path) -> bytes:
    blank = ChipKnowledge.blank("a", GEOMETRY)
    stuck = blank.with_stuck(Cells.of([(1, 2), (3, 3)]), [1e-5, 0.0])
    return _json(stuck.to_dict())


def read_knowledge(path: Path) -> object:
    return ChipKnowledge.load(path)


# --- records -------------------------------------------------------------------------------------


def _run(scratch: Path) -> RunFolder:
    return RunFolder.create(scratch, "program", parameters={"a": 1}, seed=1, bench_text="seed: 1\n")


def run_json(scratch: Path) -> bytes:
    return _run(scratch).file("run.json").read_bytes()


def read_run(path: Path) -> object:
    run = RunFolder.open(path.parent)
    return run.kind, run.status


def config_json(_: Path) -> bytes:
    return _json(BenchConfig().model_dump(mode="json"))


def read_config_json(path: Path) -> object:
    from hil.config import validated_config

    run = RunFolder(path.parent, {})
    return validated_config(run.load_json(path.name), str(path))


def report_json(_: Path) -> bytes:
    data = ReportData(title="t", rows={"data": {"sliced_w1": 0.1}}, notes=("n",), seed=1)
    return to_json(data).encode()


def read_report(path: Path) -> object:
    run = RunFolder(path.parent, {})
    if not (path.parent / "report.npz").exists():
        run.save_arrays("report.npz", {})
    return ReportData.load(run)


def arrays(scratch: Path) -> bytes:
    path = scratch / "seed.npz"
    np.savez(path, a=np.arange(6.0).reshape(3, 2), t=np.array(["x", "yy"]), n=np.uint8(3))
    return path.read_bytes()


def read_arrays_file(path: Path) -> object:
    return read_arrays(path)


def samples(_: Path) -> bytes:
    rows = ({"index": i, "x_volts": 0.1 * i, "y_volts": -0.1} for i in range(4))
    return b"".join(_json(row) + b"\n" for row in rows)


def read_samples(path: Path) -> object:
    return SampleFile(path).load()
