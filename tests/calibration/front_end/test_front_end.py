"""Planted errors are found, applied, and stated with an uncertainty that holds."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.front_end import FrontEndParams
from drivers.rram.geometry import Cells
from drivers.rram.pulses import PulseBatch
from drivers.transfer import Curves
from hil.sim.converters import Adc, Dac
from protocols.errors import CalibrationError, InputError, LimitError, SafetyError
from protocols.messages import Operation
from tests.calibration.front_end.conftest import BOARD, LARGE

STEP = BOARD.converters.pulse_full_scale_volts / BOARD.code_max
LINES = {"bit_line": Dac.BIT_LINE, "source_line": Dac.SOURCE_LINE, "word_line": Dac.WORD_LINE}


def true_volts(rig, line, codes):
    return 5.0 * rig.board.machine.converters.unipolar(LINES[line], np.asarray(codes))


def test_an_ideal_board_has_nothing_to_find(rig):
    ideal = rig(dac_gain_sd=0, dac_offset_sd_codes=0, dac_bow_sd_codes=0, adc_gain_sd=0,
                adc_offset_sd_codes=0)  # fmt: skip
    found = ideal.calibrate()
    for one in (*found.adcs.values(), *found.dacs.values()):
        assert one.gain == pytest.approx(1.0, abs=1e-4)
        assert abs(one.offset_codes) < 0.25
        assert np.abs(one.curve.deviation).max() < 0.5
    np.testing.assert_allclose(found.columns.columns.gain, 1.0, atol=5e-4)
    assert np.abs(found.columns.columns.offset_amperes).max() < 5e-9


@pytest.mark.parametrize("seed", [1, 2, 7])
def test_planted_gains_and_offsets_are_found(rig, seed):
    one = rig(board_seed=seed, **LARGE)
    found, truth = one.calibrate(), one.board.machine.converters
    for name, channel in LINES.items():
        assert found.dacs[name].gain == pytest.approx(1 + truth.dac_gain[channel], abs=4e-4)
        offset = truth.dac_offset_codes[channel]
        assert found.dacs[name].offset_codes == pytest.approx(offset, abs=0.25)
    for name, channel in (("read", Adc.READ), ("probe", Adc.PROBE), ("sample_2", 2)):
        assert found.adcs[name].gain == pytest.approx(1 + truth.adc_gain[channel], abs=2e-3)
    for k in range(14):
        got = found.dacs[f"embedding_{k + 1}"].offset_codes
        bow = truth.dac_bow_codes[Dac.EMBEDDING + k]
        assert got == pytest.approx(truth.dac_offset_codes[Dac.EMBEDDING + k] + bow, abs=0.15)
    stages = one.board.machine.front_end._tia
    np.testing.assert_allclose(found.columns.columns.gain, 1 + stages.gain, rtol=6e-4)
    np.testing.assert_allclose(
        found.columns.columns.offset_amperes, stages.offset_amperes, atol=8e-9
    )


def test_stated_spreads_are_the_errors_that_are_made(rig):
    z = []
    for seed in range(1, 13):
        one = rig(board_seed=seed, **LARGE)
        curves = one.calibrate().curves.applied_to(BOARD)
        for name in LINES:
            curve = getattr(curves, name)
            codes = np.array([163, 500, 1200, 2000, 2900])
            miss = (curve.to_si(codes) - true_volts(one, name, codes)) / STEP
            z.append(miss / curve.sd_codes)
    rms = np.sqrt(np.mean(np.square(z)))
    assert 0.3 < rms < 1.3
    assert np.abs(z).max() < 4.0


@pytest.mark.parametrize("seed", [1, 3, 5])
def test_a_calibrated_bench_reads_cells_within_three_per_mille(rig, seed):
    one = rig(board_seed=seed, **LARGE)
    siemens = np.random.default_rng(seed).uniform(20e-6, 250e-6, (128, 128))
    one.board.set_conductances(siemens)
    cells = Cells.all(one.bench.geometry)[::5]
    plain = one.macro(Curves.nominal(BOARD)).read(cells, 16)
    better = one.macro(one.calibrate().curves.applied_to(BOARD)).read(cells, 16)
    true = siemens.ravel()[::5]
    error = np.abs(better / true - 1.0)
    assert error.max() < 3e-3
    assert np.sqrt(np.mean(error**2)) < 1e-3
    assert np.abs(plain / true - 1.0).max() > 0.03
    assert np.sqrt(np.mean((plain / true - 1.0) ** 2)) > 3e-3


@pytest.mark.parametrize("seed", [1, 3, 5])
def test_pulses_have_the_voltage_that_was_wanted(rig, seed):
    one = rig(board_seed=seed, **LARGE)
    curves = one.calibrate().curves.applied_to(BOARD)
    macro = one.macro(curves)
    rng = np.random.default_rng(seed)
    wanted = rng.uniform(0.5, 3.3, 300)
    cells = Cells(np.arange(300) % 128, np.arange(300) // 128)
    for operation, line in (("set", "bit_line"), ("reset", "source_line"), ("form", "bit_line")):
        gates = np.minimum(wanted, macro.limits.bounds[f"{operation}.gate_volts"].value)
        batch = getattr(PulseBatch, operation)(
            cells, gate_volts=gates, line_volts=wanted, width_s=1e-6
        )
        columns = macro._codes(batch)
        for codes, volts, name in ((columns[4], wanted, line), (columns[3], gates, "word_line")):
            curve = getattr(curves, name)
            allowed = 0.5 * STEP + 3.0 * curve.sd_codes * STEP
            assert np.abs(true_volts(one, name, codes) - volts).max() < allowed
    nominal = Curves.nominal(BOARD).bit_line.to_code(wanted)
    assert np.abs(true_volts(one, "bit_line", nominal) - wanted).max() > 5 * STEP


def test_no_measured_curve_lifts_a_voltage_over_its_limit(rig):
    for seed in range(1, 6):
        one = rig(board_seed=seed, **LARGE)
        macro = one.macro(one.calibrate().curves.applied_to(BOARD))
        for operation in Operation:
            kind = operation.name.lower()
            gate, line = (
                macro.limits.bounds[f"{kind}.{part}_volts"].value for part in ("gate", "line")
            )
            batch = PulseBatch._make(
                operation, Cells.of([(0, 0)]), np.array(gate), np.array(line), np.array(1e-6)
            )
            codes = macro._codes(batch)
            own = macro.board.identity.limits[operation]
            assert codes[3][0] <= own.gate_code_max
            assert codes[4][0] <= own.line_code_max
            name = "source_line" if operation is Operation.RESET else "bit_line"
            hard = getattr(BOARD.limits, kind)
            slack = 4 * 0.05 * STEP
            assert true_volts(one, name, codes[4])[0] <= min(line + slack, hard.line_volts)
            assert true_volts(one, "word_line", codes[3])[0] <= min(gate + slack, hard.gate_volts)
            with pytest.raises(LimitError):
                macro.limits.check(
                    PulseBatch._make(
                        operation,
                        Cells.of([(0, 0)]),
                        np.array(gate),
                        np.array(line * 1.01),
                        np.array(1e-6),
                    )
                )
        codes = macro._read_code, macro.board.identity.read_code_max
        assert codes[0] <= codes[1]


def test_a_wrong_reference_is_within_what_is_stated(rig):
    """Nobody can see it from inside; amplitudes are off by it, conductances are not."""
    tolerance = BOARD.references.ladder_tolerance
    one = rig(ladder_error=tolerance, **LARGE)
    siemens = np.random.default_rng(4).uniform(20e-6, 250e-6, (128, 128))
    one.board.set_conductances(siemens)
    found = one.calibrate()
    curves = found.curves.applied_to(BOARD)
    codes = np.array([2500])
    off = curves.bit_line.to_si(codes)[0] / true_volts(one, "bit_line", codes)[0] - 1.0
    assert off == pytest.approx(-tolerance, abs=1e-4)
    assert curves.bit_line.uncertainty > abs(off) * 2.5
    read = one.macro(curves).read(Cells.all(one.bench.geometry)[::5], 16)
    assert np.abs(read / siemens.ravel()[::5] - 1.0).max() < 3e-3
    assert found.pulse.lines["bit_line"].uncertainty_volts[-1] > tolerance * 3.0


def test_loop_converters_are_applied_channel_by_channel(rig):
    one = rig(**LARGE)
    curves, truth = one.calibrate().curves.applied_to(BOARD), one.board.machine.converters
    volts = np.random.default_rng(2).uniform(-0.15, 0.15, (40, 14))
    codes = curves.embedding.to_code(volts, "embedding", ("tick", "channel"))
    channels = Dac.EMBEDDING + np.arange(14)
    given = BOARD.converters.embedding_full_scale_volts * truth.bipolar(channels, codes)
    step = curves.embedding.gain
    assert np.abs(given - volts).max() < 0.65 * step
    x = np.random.default_rng(3).uniform(-0.3, 0.3, (40, 2))
    codes = curves.initial.to_code(x, "initial", ("trajectory", "integrator"))
    given = BOARD.converters.initial_full_scale_volts * truth.bipolar(
        Dac.INITIAL + np.arange(2), codes
    )
    assert np.abs(given - x).max() < 0.65 * curves.initial.gain
    volts[1, 3] = 0.21
    with pytest.raises(LimitError, match="tick 1, channel 3"):
        curves.embedding.to_code(volts, "embedding", ("tick", "channel"))


@pytest.mark.parametrize(
    ("faults", "words"),
    [
        ({"bit_line": "dead"}, "DAC channel bit_line is (dead|at its rail)"),
        ({"word_line": "railed"}, "DAC channel word_line is at its rail"),
        ({"embedding_9": "dead"}, "DAC channel embedding_9 is dead"),
        ({"initial_2": "railed"}, "DAC channel initial_2 is at its rail"),
        ({"read": "dead"}, "ADC input read is at its rail"),
        ({"probe": "railed"}, "ADC input probe is at its rail"),
        (
            {"read": "dead", "sample_1": "dead", "sample_2": "railed", "probe": "dead"},
            "check the voltage reference",
        ),
    ],
)
def test_a_broken_channel_is_named(rig, faults, words):
    with pytest.raises(CalibrationError, match=words):
        rig(channel_faults=faults).calibrate()


def test_a_bent_channel_is_named(rig):
    bent = rig(dac_bow_sd_codes=60.0, dac_offset_margin_codes=200.0)
    with pytest.raises(CalibrationError, match=r"DAC channel \w+: its curve bends"):
        bent.calibrate()


def test_a_stuck_bit_is_no_smooth_curve(rig, monkeypatch):
    one = rig()
    path = one.board.machine.front_end.calibration
    honest = path.loopback

    def stuck(source, destination, codes, samples):
        wrong = codes | 64 if source == 6 else codes
        return honest(source, destination, wrong, samples)

    monkeypatch.setattr(path, "loopback", stuck)
    with pytest.raises(CalibrationError, match="DAC channel drift: its points leave the curve"):
        one.calibrate()


@pytest.mark.parametrize(
    ("gain", "offset", "words"),
    [(-1.0, 0.0, "column 5 "), (0.3, 0.0, "column 5 "), (0.0, 9e-6, "column 5 .*offset")],
)
def test_a_broken_read_path_is_named(rig, gain, offset, words):
    one = rig()
    stages = one.board.machine.front_end._tia
    stages.gain[5], stages.offset_amperes[5] = gain, offset
    with pytest.raises(CalibrationError, match=words):
        one.calibrate()


def test_noise_is_answered_by_more_conversions(rig):
    quiet, loud = rig(), rig(adc_noise_sd_codes=4.0)
    few, many = quiet.calibrate(), loud.calibrate()
    assert many.conversions > 2 * few.conversions
    assert many.dacs["bit_line"].gain == pytest.approx(few.dacs["bit_line"].gain, abs=3e-4)


def test_a_stopped_board_is_not_calibrated_over(rig):
    one = rig()
    one.bench.board.stop()
    with pytest.raises(SafetyError):
        one.calibrate()


def test_the_outputs_are_left_safe_and_no_cell_is_touched(rig):
    one = rig()
    before = one.board.chip.cells.state.copy()
    one.calibrate()
    status = one.bench.board.status()
    assert status.armed_s == 0.0
    assert (status.pulses, status.reads) == (0, 0)
    assert (one.board.chip.cells.state == before).all()


@pytest.mark.parametrize(
    "changes",
    [{"samples": 65}, {"rounds_min": 1}, {"dac_points": 3}, {"target_codes": 0.0}, {"order": 9},
     {"largest_gain_error": float("nan")}, {"rounds_max": 1}],
)  # fmt: skip
def test_parameters_are_checked(changes):
    with pytest.raises(InputError, match="front-end calibration"):
        FrontEndParams(**changes)
