"""`hil calibrate`: what it leaves behind and what later commands make of it, board by board."""

from __future__ import annotations

import json
from contextlib import chdir
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import yaml

from calibration.front_end import FrontEndParams
from drivers.rram.geometry import Cells
from hil.bench import Bench
from hil.chip_store import ChipStore
from hil.cli.app import run
from hil.config import BenchConfig, parse_config
from hil.jobs.calibrate import CalibrateOptions, calibrate
from hil.record import RunFolder
from hil.sim.config import SimSettings
from hil.sim.effects import Effects
from protocols.errors import CalibrationError

LARGE = {
    "dac_gain_sd": 0.01,
    "dac_gain_margin": 0.03,
    "dac_offset_sd_codes": 2.0,
    "dac_offset_margin_codes": 10.0,
    "adc_gain_sd": 0.01,
    "adc_offset_sd_codes": 13.0,
    "tia_gain_sd": 0.01,
}
QUICK = FrontEndParams(rounds_max=2, dac_points=9, verify_points=3)
PNG = b"\x89PNG"


def config_in(folder: Path, **changes) -> BenchConfig:
    config = BenchConfig()
    chip = config.chip.model_copy(update={"folder": folder / "chips"})
    places = {"curves": folder / "boards", "runs": folder / "runs", "chip": chip}
    return config.with_changes(**places | changes)


def test_a_calibration_is_kept_drawn_and_applied(tmp_path):
    config = config_in(tmp_path, sim=SimSettings(**LARGE))
    options = CalibrateOptions(temperature_celsius=24.0, age_limit_days=10.0)
    when = datetime(2026, 3, 1, tzinfo=UTC)
    done = calibrate(config, options, clock=lambda: when)
    assert done.kept.temperature_celsius == 24.0
    assert done.kept.path.parent == tmp_path / "boards" / "1"
    folder = RunFolder.open(done.run)
    assert folder.status == "done"
    assert folder.info["curves"]["state"] == "nominal"  # those that it was measured with
    assert folder.load_json("results.json")["channels"]["bit_line"]["gain_sd"] > 0
    assert set(folder.load_json("front_end.json")["dacs"]) >= {"word_line", "embedding_14"}
    assert done.figures[0].read_bytes().startswith(PNG)
    with Bench.open(config) as bench:
        assert bench.board_curves.kept.path == done.kept.path
        assert bench.board_curves.state == "stale"  # this computer's clock is years later
        assert bench.curves.columns is not None


def test_reads_through_the_bench_get_better(tmp_path):
    only = Effects.none().only("dac_error", "adc_error", "front_end_noise")
    effects = {name: getattr(only, name) for name in Effects.names()}
    config = config_in(tmp_path, sim=SimSettings(effects=effects, **LARGE))
    siemens = np.random.default_rng(1).uniform(50e-6, 230e-6, (128, 128))

    def error() -> float:
        with Bench.open(config) as bench:
            bench.simulated.set_conductances(siemens)
            cells = Cells.all(bench.geometry)[::11]
            true = bench.simulated.machine.array.conductance(
                cells.flat(bench.geometry), bench.simulated.chip.now_s
            )
            return float(np.abs(bench.macro.read(cells, 8) / true - 1.0).max())

    before = error()
    calibrate(config)
    assert error() < 5e-3 < 0.02 < before


@pytest.mark.parametrize("board", ["native", "qemu"])
def test_the_firmware_is_calibrated_as_the_simulated_board(tmp_path, need_firmware, board):
    need_firmware(board)
    found = {}
    for name in ("sim", board):
        config = config_in(tmp_path / name, board=name)
        found[name] = calibrate(config, CalibrateOptions(params=QUICK))
    a, b = (found[name].kept.curves.to_dict() for name in ("sim", board))
    assert a == b
    assert found["sim"].found.bench_s == pytest.approx(found[board].found.bench_s, rel=1e-6)


def test_lines_are_kept_with_the_chip(tmp_path):
    sim = SimSettings(line_resistance_ohm=5.0)
    config = config_in(tmp_path, sim=sim)
    rng = np.random.default_rng(2)
    with Bench.open(config) as bench:
        siemens = np.full((128, 128), np.nan)
        siemens[:48, :48] = 200e-6 * np.exp(0.1 * rng.standard_normal((48, 48)))
        bench.simulated.set_conductances(siemens)
    done = calibrate(config, CalibrateOptions(with_lines=True, params=QUICK))
    assert abs(done.lines.common_ohm - 5.0) < 4 * done.lines.common_sd_ohm
    stored = ChipStore.of(config).latest("line_resistance")
    assert stored.result["common"]["ohm_per_pitch"] == done.lines.common_ohm
    assert stored.board == "1"
    assert stored.figure.read_bytes().startswith(PNG)
    assert len(done.figures) == 2


def test_lines_that_cannot_be_told_leave_the_curves(tmp_path):
    config = config_in(tmp_path)
    with pytest.raises(CalibrationError, match="cells conduct"):
        calibrate(config, CalibrateOptions(with_lines=True, params=QUICK))
    assert len(list((tmp_path / "boards" / "1").glob("*-curves.json"))) == 1


def test_a_broken_channel_keeps_nothing(tmp_path):
    config = config_in(tmp_path, sim=SimSettings(channel_faults={"source_line": "railed"}))
    with pytest.raises(CalibrationError, match="source_line"):
        calibrate(config, CalibrateOptions(params=QUICK))
    assert not (tmp_path / "boards").exists()
    assert RunFolder.latest(tmp_path / "runs").status == "failed"


def test_the_command(tmp_path, capsys):
    (tmp_path / "bench.yaml").write_text(yaml.safe_dump({"sim": LARGE}), encoding="utf-8")
    with chdir(tmp_path):
        assert run(["calibrate", "--dry-run", "--json"]) == 0
        plan = json.loads(capsys.readouterr().out)["plan"]
        assert plan["cells pulsed"] == 0
        assert not Path("boards").exists()
        assert run(["calibrate", "--json", "--temperature", "21"]) == 0
        shown = json.loads(capsys.readouterr().out)
        assert shown["temperature_celsius"] == 21.0
        assert Path(shown["curves"]).is_file()
        assert run(["info", "--json"]) == 0
        info = json.loads(capsys.readouterr().out)
        assert info["board"]["curves"]["state"] == "measured"
        assert run(["info"]) == 0
        assert "curves measured on" in capsys.readouterr().out
        assert run(["calibrate"]) == 0
        printed = capsys.readouterr()
        assert "(simulated)" in printed.out
        assert "oscilloscope" in printed.out
        assert run(["read", "--cell", "1,1", "--json"]) == 0
        capsys.readouterr()
        newest = sorted(Path("boards/1").iterdir())[-1]
        newest.write_text("{}", encoding="utf-8")
        assert run(["read", "--cell", "1,1", "--json"]) == 9
        assert "cannot be used" in json.loads(capsys.readouterr().out)["error"]["message"]
        assert run(["calibrate", "--json"]) == 0  # the way out that the error names


def test_unknown_channels_are_refused():
    with pytest.raises(Exception, match="unknown channel bitline"):
        parse_config("sim: {channel_faults: {bitline: dead}}", "bench.yaml")
