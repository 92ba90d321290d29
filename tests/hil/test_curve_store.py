"""Curves of boards: kept whole, checked when read, never stale or missing in silence."""

from __future__ import annotations

import json
import logging
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drivers.curves import ChannelCurve, MeasuredCurves
from drivers.transfer import ColumnCurves, Curves
from hil.bench import Bench
from hil.boards import simulated
from hil.config import BenchConfig
from hil.curve_store import MAX_BYTES, CurveStore, choose, origin_of
from hil.sim.board import make_board
from hil.sim.config import SimSettings
from protocols.errors import CalibrationError, InputError, RecordError
from protocols.hardware import load_board
from protocols.messages import Port

BOARD = load_board("reference")
START = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
KNOTS = np.array([0.0, 2000.0, 4095.0])


class Watch:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.at = START

    def __call__(self) -> datetime:
        return self.at


def curves(shift: float = 3.0) -> MeasuredCurves:
    line = ChannelCurve(KNOTS, np.array([shift, shift + 1.0, shift]), 0.05)
    columns = ColumnCurves(np.linspace(0.98, 1.02, 128), np.full(128, 1e-9), 5e-4)
    return MeasuredCurves({"bit_line": line}, {"read": line}, columns, 5e-4)


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def config(tmp_path: Path) -> BenchConfig:
    return BenchConfig().with_changes(curves=tmp_path / "boards", runs=tmp_path / "runs")


@pytest.fixture
def identity(config):
    with in_memory(config) as bench:
        return bench.board.identity


def in_memory(config: BenchConfig) -> Bench:
    return Bench(config, BOARD, simulated(make_board(config.sim, BOARD)))


def keep(config, identity, watch, shift: float = 3.0, **changes):
    store = CurveStore.of(config, identity.serial, watch)
    origin = origin_of(config, BOARD, identity)
    return store.save(
        curves(shift), {"bench_s": 1.0}, **{"origin": origin, "simulated": True} | changes
    )


def test_what_is_kept_comes_back(config, identity, watch):
    kept = keep(config, identity, watch, temperature_celsius=23.5, age_limit_days=30.0)
    assert kept.path.parent == config.curves / "1"
    assert (kept.time, kept.temperature_celsius, kept.age_limit_days) == (START, 23.5, 30.0)
    assert kept.result == {"bench_s": 1.0}
    np.testing.assert_array_equal(
        kept.curves.dacs["bit_line"].deviation, curves().dacs["bit_line"].deviation
    )
    np.testing.assert_array_equal(kept.curves.columns.gain, curves().columns.gain)
    watch.at += timedelta(days=1)
    later = keep(config, identity, watch, shift=5.0)
    store = CurveStore.of(config, identity.serial, watch)
    assert store.latest().path == later.path
    assert store.history() == [kept.path, later.path]


def test_a_bench_applies_them(config, identity, watch, monkeypatch, caplog):
    monkeypatch.setattr("hil.bench.choose.__kwdefaults__", {"clock": watch, "nominal": False})
    assert in_memory(config).board_curves.state == "nominal"
    kept = keep(config, identity, watch)
    bench = in_memory(config)
    assert bench.board_curves.state == "measured"
    assert bench.board_curves.facts()["file"] == str(kept.path)
    nominal = Curves.nominal(BOARD).bit_line
    assert float(bench.curves.bit_line.to_si(0)) == pytest.approx(3.0 * nominal.gain)
    assert bench.macro.curves is bench.curves
    assert bench.integrator.curves is bench.curves
    assert not [r for r in caplog.records if "curves" in r.getMessage()]
    watch.at += timedelta(days=91)
    assert in_memory(config).board_curves.state == "stale"
    assert "91 days old, 90 are allowed" in caplog.text
    said = [r for r in caplog.records if "curves" in r.getMessage()]
    assert [r.levelno for r in said] == [logging.WARNING]


def test_a_real_board_without_curves_says_so(config, identity, watch):
    real = replace(identity, port=Port.STM32F407)
    found = choose(config, BOARD, real, clock=watch)
    assert (found.state, found.say) == ("nominal", True)
    assert "never measured" in found.note
    assert "hil calibrate" in found.note
    assert not choose(config, BOARD, identity, clock=watch).say
    assert not choose(config, BOARD, real, clock=watch, nominal=True).say


@pytest.mark.parametrize("days", [-1, 91])
def test_old_and_future_curves_are_used_and_said(config, identity, watch, days):
    keep(config, identity, watch)
    watch.at += timedelta(days=days)
    found = choose(config, BOARD, identity, clock=watch)
    assert (found.state, found.say) == ("stale", True)
    assert found.kept is not None


def test_other_errors_or_scales_are_another_board(config, identity, watch):
    keep(config, identity, watch)
    same = config.with_changes(sim=SimSettings(seed=9, line_resistance_ohm=2.0))
    assert choose(same, BOARD, identity, clock=watch).state == "measured"
    for changed in ({"adc_gain_sd": 0.001}, {"effects": {"dac_error": False}}):
        other = config.with_changes(sim=SimSettings(**changed))
        found = choose(other, BOARD, identity, clock=watch)
        assert (found.state, found.say) == ("nominal", True)
        assert "other simulated errors" in found.note
    scales = BOARD.converters.model_copy(update={"pulse_full_scale_volts": 4.0})
    wider = BOARD.model_copy(update={"converters": scales})
    assert choose(config, wider, identity, clock=watch).state == "nominal"
    assert choose(config, BOARD, replace(identity, serial=77), clock=watch).kept is None


def test_a_damaged_file_is_no_older_one(config, identity, watch):
    keep(config, identity, watch)
    watch.at += timedelta(days=1)
    kept = keep(config, identity, watch)
    text = kept.path.read_text(encoding="utf-8")
    kept.path.write_text(text.replace("0.05", "0.06", 1), encoding="utf-8")
    with pytest.raises(CalibrationError, match=r"checksum is wrong.*hil calibrate"):
        choose(config, BOARD, identity, clock=watch)
    with pytest.raises(CalibrationError):
        in_memory(config)
    assert choose(config, BOARD, identity, clock=watch, nominal=True).state == "nominal"


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_damage_is_one_clear_error(config, identity, data):
    watch = Watch()
    store = CurveStore.of(config, identity.serial, watch)
    kept = store.load(store.history()[0]) if store.history() else keep(config, identity, watch)
    whole = kept.path.read_bytes()
    path = kept.path.with_name(kept.path.name.replace("2026", "2027"))
    at = data.draw(st.integers(0, len(whole) - 1))
    cut = data.draw(st.booleans())
    byte = bytes([data.draw(st.integers(0, 255))])
    damaged = whole[:at] if cut else whole[:at] + byte + whole[at + 1 :]
    path.write_bytes(damaged)
    try:
        if json_is_the_same(damaged, whole):  # white space may change
            assert store.load(path).curves.to_dict() == kept.curves.to_dict()
        else:
            with pytest.raises(CalibrationError, match=re.escape(str(path))):
                store.load(path)
    finally:
        path.unlink()


def json_is_the_same(a: bytes, b: bytes) -> bool:
    try:
        return json.loads(a) == json.loads(b)
    except ValueError:
        return False


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c["dacs"]["bit_line"].pop("knots"),
        lambda c: c["dacs"]["bit_line"].update(knots=[0, 2000, 2000]),
        lambda c: c["dacs"]["bit_line"].update(deviation=[0, None, 1]),
        lambda c: c["dacs"]["bit_line"].update(deviation=[0, 2000, 1]),
        lambda c: c["dacs"]["bit_line"].update(sd_codes=-1),
        lambda c: c["adcs"].update(read=7),
        lambda c: c["columns"].update(gain=[1, 0]),
        lambda c: c["columns"].pop("relative_sd"),
        lambda c: c.update(ladder_sd=2.0),
        lambda c: c.pop("adcs"),
    ],
)
def test_tables_that_no_converter_has_are_refused(change):
    plain = json.loads(json.dumps(curves().to_dict()))
    change(plain)
    with pytest.raises(CalibrationError):
        MeasuredCurves.from_dict(plain)


def test_tables_of_another_board_are_refused():
    short = ChannelCurve(np.array([0.0, 1000.0]), np.zeros(2), 0.1)
    with pytest.raises(CalibrationError, match="0 to 1000"):
        MeasuredCurves({"bit_line": short}, {}, None, 0.0).applied_to(BOARD)
    few = ColumnCurves(np.ones(16), np.zeros(16), 0.0)
    with pytest.raises(CalibrationError, match="16 read paths"):
        MeasuredCurves({}, {}, few, 0.0).applied_to(BOARD)


def test_bounds(config, identity, watch):
    for bad in ({"age_limit_days": 0.0}, {"temperature_celsius": 400.0}):
        with pytest.raises(InputError):
            keep(config, identity, watch, **bad)
    kept = keep(config, identity, watch)
    with pytest.raises(RecordError, match="dated later than now"):
        keep(config, identity, watch)
    other = CurveStore(config.curves, 2, watch)
    other.folder.mkdir(parents=True)
    (other.folder / kept.path.name).write_bytes(kept.path.read_bytes())
    with pytest.raises(CalibrationError, match="it is of board '1'"):
        other.latest()
    kept.path.write_bytes(b" " * (MAX_BYTES + 1))
    with pytest.raises(CalibrationError, match="larger than"):
        CurveStore.of(config, identity.serial, watch).latest()
