"""The chip's file: kept, locked, refused when it is another's, and alive after a kill."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hil.sim.board import make_board
from hil.sim.chip import Chip
from hil.sim.config import SimSettings, parse_settings
from protocols import messages as m
from protocols.errors import ChipBusyError, ConfigError, RecordError
from tests.hil.sim.board_host import REFERENCE, Host

ROOT = Path(__file__).parents[3]
SETTINGS = SimSettings()


def small() -> tuple[SimSettings, object]:
    return SETTINGS, REFERENCE.model_copy(update={"rows": 8, "columns": 8})


def test_what_was_done_is_there_in_the_next_process(tmp_path: Path) -> None:
    path = tmp_path / "a.chip"
    board = make_board(SETTINGS, REFERENCE, path)
    target = np.full((128, 128), np.nan)
    target[2, 3:6] = 120e-6
    board.set_conductances(target)
    board.chip.advance(12.5)
    seen = board.true_conductances()
    board.close()
    again = make_board(SETTINGS, REFERENCE, path)
    assert again.chip.now_s == 12.5
    np.testing.assert_array_equal(again.true_conductances(), seen)
    assert again.chip.cells.state["formed"].sum() == 3
    again.close()


def test_board_time_starts_at_power_up_and_chip_time_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "a.chip"
    board = make_board(SETTINGS, REFERENCE, path)
    board.chip.advance(100.0)
    board.close()
    host = Host(make_board(SETTINGS, REFERENCE, path))
    host.hello()
    assert host(m.StatusRequest()).time_us < 1000
    assert host.board.chip.now_s > 100.0
    host.board.close()


def test_one_process_at_a_time(tmp_path: Path) -> None:
    settings, description = small()
    with Chip.open(tmp_path / "a.chip", settings, description):
        with pytest.raises(ChipBusyError, match=r"a\.chip"):
            Chip.open(tmp_path / "a.chip", settings, description)
        Chip.open(tmp_path / "b.chip", settings, description).close()
    Chip.open(tmp_path / "a.chip", settings, description).close()


@pytest.mark.parametrize(
    ("key", "value"),
    [("chip_id", "sim-002"), ("seed", 2), ("profile_fingerprint", None), ("rows", 7)],
)
def test_another_chips_file_is_refused(tmp_path: Path, key: str, value: object) -> None:
    settings, description = small()
    path = tmp_path / "a.chip"
    Chip.open(path, settings, description).close()
    if key == "rows":
        description = description.model_copy(update={"rows": value})
    elif key == "profile_fingerprint":
        content = path.read_bytes()
        at = content.index(b'"profile_fingerprint": ') + 23
        other = b"1" if content[at : at + 1] != b"1" else b"2"
        path.write_bytes(content[:at] + other + content[at + 1 :])
    else:
        settings = settings.model_copy(update={key: value})
    with pytest.raises(ConfigError, match=key):
        Chip.open(path, settings, description)


def test_what_is_no_chip_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    settings, description = small()
    good = tmp_path / "a.chip"
    Chip.open(good, settings, description).close()
    content = good.read_bytes()
    for bad in (b"", b"hello", content[:-1], content + b"x", b"HILCHIP1[]" + content[10:]):
        path = tmp_path / "bad.chip"
        path.write_bytes(bad)
        with pytest.raises(ConfigError, match=r"bad\.chip"):
            Chip.open(path, settings, description)
        assert path.read_bytes() == bad


def test_a_chip_that_cannot_be_made_leaves_nothing(tmp_path: Path) -> None:
    settings, description = small()
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RecordError, match="chip file"):
        Chip.open(tmp_path / "file" / "a.chip", settings, description)
    Chip.open(tmp_path / "a.chip", settings, description).close()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.chip", "file"], "no file half made"


def test_a_full_disk_is_said_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    settings, description = small()
    with pytest.raises(RecordError, match=r"a\.chip.*No space left"):
        Chip.open(tmp_path / "a.chip", settings, description)
    assert list(tmp_path.iterdir()) == []


def test_a_killed_host_leaves_a_readable_chip(tmp_path: Path) -> None:
    path = tmp_path / "a.chip"
    child = subprocess.Popen(
        [sys.executable, "-c", _PULSE_FOR_EVER, str(path)],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    try:
        assert child.stdout is not None
        acknowledged = 0
        for _ in range(20):
            acknowledged = int(child.stdout.readline())
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    with Chip.open(path, SETTINGS, REFERENCE) as chip:
        state = chip.cells.state
        assert state["pulse_count"].sum() >= acknowledged > 0
        assert chip.now_s > 0
        siemens = chip.cells.read(np.arange(len(chip.cells)), chip.now_s)
        assert np.isfinite(siemens).all()
        assert (siemens > 0).all()
        assert (state["last_pulse_time_s"] <= chip.now_s + 0.1).all()


_PULSE_FOR_EVER = """
import sys
from pathlib import Path
from hil.sim.board import make_board
from hil.sim.config import SimSettings
from protocols import messages as m
from tests.hil.sim.board_host import REFERENCE, Host

host = Host(make_board(SimSettings(), REFERENCE, Path(sys.argv[1])))
host.hello()
host(m.ArmRequest(600_000))
count = 0
while True:
    host.pulse_read(*[(row, 0, 2, 1638, 3300, 5000) for row in range(16)])
    count += 16
    print(count, flush=True)
"""


# --- settings --------------------------------------------------------------------------------


def test_settings_refuse_what_they_do_not_know() -> None:
    with pytest.raises(ConfigError, match=r"bench\.yaml: sped: no such key"):
        parse_settings({"sped": 1}, "bench.yaml")
    with pytest.raises(ConfigError, match="unknown effect drfit; known are cycle_to_cycle"):
        parse_settings({"effects": {"drfit": False}}, "bench.yaml")
    with pytest.raises(ConfigError, match=r"bench\.yaml: seed is -1"):
        parse_settings({"seed": -1}, "bench.yaml")
    with pytest.raises(ConfigError, match="three dac_gain_sd"):
        parse_settings({"dac_gain_sd": 0.02}, "bench.yaml")
    with pytest.raises(ConfigError, match="tick_us_min"):
        parse_settings({"tick_us_min": 100}, "bench.yaml")


def test_effects_that_are_named_are_switched() -> None:
    effects = SimSettings(effects={"drift": False, "skew": True}).switched()
    assert not effects.drift
    assert effects.skew
    assert effects.read_noise
    assert not any(getattr(SimSettings.ideal().switched(), name) for name in effects.names())
