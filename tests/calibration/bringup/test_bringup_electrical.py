"""The board's stages on a simulated bench: sound boards pass, planted faults are named."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from calibration.bringup import converters, pin_map, pulses, resistor_board, supplies
from calibration.bringup.power import Rail, power_down, power_up, rails_of
from calibration.bringup.stage import Rig
from drivers.board import Board
from drivers.curves import MeasuredCurves
from drivers.instruments.interfaces import ROLES
from drivers.integrator import Integrator
from drivers.link import Link
from drivers.rram.geometry import Geometry
from drivers.rram.limits import Limits
from drivers.rram.macro import Macro
from drivers.stream import MemoryStream
from drivers.transfer import Curves
from hil.sim.board import make_board
from hil.sim.board_faults import plant
from hil.sim.config import SimSettings
from hil.sim.instruments import simulated_instruments
from protocols.board_map import load_map
from protocols.errors import CalibrationError, InputError, NoInstrument
from protocols.hardware import load_board

BOARD = load_board("reference").model_copy(update={"rows": 16, "columns": 12})


def opened(settings: SimSettings | None = None) -> Rig:
    """A rig on a small simulated board with the resistor board in its socket."""
    simulated = make_board(settings or SimSettings(), BOARD)
    link = Link(MemoryStream(simulated.receive), nonce=1)
    link.open()
    board, curves = Board(link), Curves.nominal(BOARD)
    geometry, limits = Geometry(BOARD.rows, BOARD.columns), Limits.of(BOARD.limits)
    have = dict.fromkeys(ROLES) | simulated_instruments(simulated)
    simulated.nodes.fit("resistor board")
    kept: list[MeasuredCurves] = []
    rig = Rig(
        macro=Macro(board, geometry, curves, limits),
        integrator=Integrator(board, curves, BOARD),
        description=BOARD,
        instruments=SimpleNamespace(**have),
        pins=load_map("reference"),
        put_probe=simulated.nodes.put_probe,
        put_fixture=simulated.nodes.fit,
        keep_curves=lambda curves, _result: kept.append(curves),
        ask=lambda _question: True,
    )
    rig.kept, rig.simulated_board = kept, simulated
    return rig


def measured(rig: Rig) -> Rig:
    """With the converters' curves, which later stages need."""
    rig.found["converters"] = converters.run(rig, converters.ConvertersParams()).data
    return rig


def faults(result) -> list[tuple[str, tuple]]:
    return [(one.fault, one.place) for one in result.findings]


# --- supplies --------------------------------------------------------------------------------


def test_supplies_of_a_sound_board_pass():
    rig = opened()
    result = supplies.run(rig, supplies.SuppliesParams())
    assert result.passed
    assert [f.name for f in result.figures][:2] == ["volts of rail logic", "current of rail logic"]
    assert len(result.figures) == 8


@pytest.mark.parametrize("fault", ["supply_low", "rail_over_current"])
def test_a_wrong_rail_is_named_and_all_rails_are_off(fault):
    rig = opened(plant(fault))
    result = supplies.run(rig, supplies.SuppliesParams())
    (found,) = result.findings
    assert found.fault == fault
    assert "off again" in found.remedy
    for name in rig.supply.channels:
        assert rig.supply.measure(name)[0] < 0.1


def test_a_rail_that_feeds_nothing_is_named():
    rail = Rail("logic", 3.3, amperes_low=0.4, amperes_high=0.5, limit_amperes=0.6)
    result = supplies.run(opened(), supplies.SuppliesParams(rails=(rail,)))
    assert faults(result) == [("rail_open", ("logic",))]


def test_a_supply_without_a_rails_channel_is_refused_before_anything_is_on():
    rig = opened()
    with pytest.raises(NoInstrument, match="rail aux"):
        supplies.run(rig, supplies.SuppliesParams(rails=(Rail("aux", 1.8),)))


class RecordingSupply:
    """Writes down what is done; the second rail's output fails."""

    channels = ("a", "b", "c")

    def __init__(self, fails: str = "") -> None:
        self.did, self.fails = [], fails

    def set(self, channel, volts, current_limit_amperes):
        self.did.append(("set", channel, volts, current_limit_amperes))

    def output(self, channel, on):
        self.did.append(("on" if on else "off", channel))
        if on and channel == self.fails:
            raise NoInstrument("plug pulled")


RAILS = tuple(Rail(name, 1.0 + k, limit_amperes=0.1) for k, name in enumerate("abc"))


def test_rails_go_on_in_order_and_off_in_reverse():
    supply, waited = RecordingSupply(), []
    power_up(supply, RAILS, waited.append)
    assert [one[:2] for one in supply.did] == [
        *(("set", "a"), ("on", "a"), ("set", "b"), ("on", "b"), ("set", "c"), ("on", "c"))
    ]
    assert waited == [0.2] * 3
    supply.did.clear()
    power_down(supply, RAILS)
    assert supply.did == [("off", "c"), ("off", "b"), ("off", "a")]


def test_a_rail_that_fails_has_all_of_them_off():
    supply = RecordingSupply(fails="b")
    with pytest.raises(NoInstrument, match="plug"):
        power_up(supply, RAILS, lambda _: None)
    assert supply.did[-3:] == [("off", "c"), ("off", "b"), ("off", "a")]


def test_rails_are_those_given_else_those_of_the_drawn_board():
    assert rails_of(load_map("reference"))[0].name == "logic"
    assert rails_of(None, RAILS) == RAILS
    with pytest.raises(InputError, match="not drawn"):
        rails_of(None)


@pytest.mark.parametrize(
    "bad",
    [
        {"tolerance": 0.0},
        {"limit_amperes": -1.0},
        {"volts": float("nan")},
        {"amperes_low": 1.0, "amperes_high": 0.5},
        {"settle_s": -1.0},
    ],
)
def test_a_rail_that_makes_no_sense_is_refused(bad):
    with pytest.raises(InputError, match="rail x"):
        Rail(**{"name": "x", "volts": 3.3, **bad})


# --- converters ------------------------------------------------------------------------------


def test_converters_of_a_sound_board_pass_with_a_curve_for_each():
    result = converters.run(opened(), converters.ConvertersParams())
    assert result.passed, result.why
    curves = MeasuredCurves.from_dict(result.data["curves"])
    assert set(curves.adcs) == {"read", "sample_1", "sample_2", "probe"}
    assert {"bit_line", "source_line", "word_line", "embedding_14"} <= set(curves.dacs)
    assert len(result.figures) == 4 * (len(curves.adcs) + len(curves.dacs))


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        ("dac_swapped", ("dac_swapped", ("embedding_3", "embedding_4"))),
        ("dac_stuck", ("dead_channel", ("embedding_6",))),
        ("adc_gain", ("channel_gain", ("sample_1",))),
        ("adc_stuck", ("dead_input", ("probe",))),
    ],
)
def test_a_broken_channel_is_named(fault, named):
    result = converters.run(opened(plant(fault)), converters.ConvertersParams())
    assert faults(result) == [named]


def test_swapped_channels_without_a_scope_are_two_dead_ones():
    rig = opened(plant("dac_swapped"))
    rig.instruments.scope = None
    result = converters.run(rig, converters.ConvertersParams())
    assert faults(result) == [("dead_channel", (f"embedding_{k}",)) for k in (3, 4)]


def test_a_channel_outside_of_a_limit_has_a_figure_that_says_so():
    result = converters.run(opened(), converters.ConvertersParams(gain=1e-6))
    assert not result.passed
    assert not result.findings
    assert "gain of" in result.why
    assert all(one.startswith("Check ") for one in result.to_check)


def test_noise_alone_is_no_stuck_bit():
    result = converters.run(
        opened(SimSettings(adc_noise_sd_codes=2.5)), converters.ConvertersParams()
    )
    assert result.passed, result.why


# --- pin map ---------------------------------------------------------------------------------


def test_the_pin_map_of_a_sound_board_passes():
    result = pin_map.run(opened(), pin_map.PinMapParams())
    assert result.passed, result.why
    assert result.data["probed"] == 16 + 12 + 12


def test_pads_that_were_exchanged_are_named():
    result = pin_map.run(opened(plant("pads_swapped")), pin_map.PinMapParams())
    assert faults(result) == [("pads_swapped", ("bit line", 5, "bit line", 6))]
    assert "BL5 (J1.6)" in result.why


def test_a_stride_probes_fewer_and_always_the_ends():
    result = pin_map.run(opened(), pin_map.PinMapParams(stride=5))
    assert result.data["probed"] == (4 + 4 + 4)


class DeafScope:
    """A scope that never triggers, but for one node."""

    channels = ("1",)

    def __init__(self, real, hears) -> None:
        self.real, self.hears, self.node = real, hears, ""

    def __getattr__(self, name):
        return getattr(self.real, name)

    def waveform(self, channel):
        from protocols.errors import NotTriggered

        if not self.hears(self.node):
            raise NotTriggered("nothing triggered")
        return self.real.waveform(channel)


def deaf(rig: Rig, hears) -> Rig:
    scope = DeafScope(rig.instruments.scope, hears)
    rig.instruments.scope, put = scope, rig.put_probe

    def placed(role, channel, node):
        scope.node = node
        put(role, channel, node)

    rig.put_probe = placed
    return rig


def test_an_open_way_to_the_pad_is_told_from_a_dead_driver():
    rig = deaf(opened(), lambda node: node != "pad:WL3")
    assert faults(pin_map.run(rig, pin_map.PinMapParams())) == [("pad_open", ("word line", 3))]
    rig = deaf(opened(), lambda node: not node.endswith(":WL3"))
    assert faults(pin_map.run(rig, pin_map.PinMapParams())) == [("driver_dead", ("word line", 3))]


def test_a_whole_plug_is_one_fault():
    rig = deaf(opened(), lambda node: "BL" not in node)
    assert faults(pin_map.run(rig, pin_map.PinMapParams())) == [("pads_dark", ())]


# --- resistor board --------------------------------------------------------------------------


def test_the_resistor_board_passes_and_its_curves_are_kept():
    settings = SimSettings(tia_gain_sd=0.01, tia_offset_sd_amperes=50e-9)
    rig = measured(opened(settings))
    result = resistor_board.run(rig, resistor_board.ResistorBoardParams())
    assert result.passed, result.why
    (kept,) = rig.kept
    true = rig.simulated_board.machine.front_end._tia
    np.testing.assert_allclose(kept.columns.gain, 1.0 + true.gain, atol=3e-3)
    assert kept.columns.relative_sd < 2e-3
    assert set(kept.dacs) == set(MeasuredCurves.from_dict(result.data["curves"]).dacs)


@pytest.mark.parametrize(
    ("fault", "place"), [("resistor_wrong", (3, 4)), ("resistor_open", (4, 4))]
)
def test_a_wrong_site_is_named_and_nothing_is_kept(fault, place):
    rig = measured(opened(plant(fault)))
    result = resistor_board.run(rig, resistor_board.ResistorBoardParams())
    assert faults(result) == [(fault, place)]
    assert rig.kept == []


def test_a_little_wrong_resistor_is_named_as_well():
    settings = SimSettings.model_validate({"board_faults": {"resistor_wrong": (9, 2, 1.05)}})
    result = resistor_board.run(measured(opened(settings)), resistor_board.ResistorBoardParams())
    assert faults(result) == [("resistor_wrong", (9, 2))]


def test_noise_of_the_converter_is_no_wrong_resistor():
    rig = measured(opened(SimSettings(adc_noise_sd_codes=2.5)))
    result = resistor_board.run(rig, resistor_board.ResistorBoardParams())
    assert result.passed, result.why


def test_an_empty_socket_is_named():
    rig = measured(opened())
    rig.simulated_board.nodes.fit("nothing")
    with pytest.raises(CalibrationError, match="socket"):
        resistor_board.run(rig, resistor_board.ResistorBoardParams())


def test_without_the_converters_curves_the_resistor_board_is_refused():
    with pytest.raises(CalibrationError, match="hil bringup --from converters"):
        resistor_board.run(opened(), resistor_board.ResistorBoardParams())


# --- pulses ----------------------------------------------------------------------------------


def test_pulses_of_a_sound_board_pass():
    result = pulses.run(measured(opened()), pulses.PulsesParams())
    assert result.passed, result.why
    seen = result.data["pulses"]
    assert {one["kind"] for one in seen} == {"set", "reset", "form"}
    for one in seen:
        assert one["width_s"] == pytest.approx(one["asked_s"], rel=0.03, abs=15e-9)
        assert one["volts"] == pytest.approx(1.5, rel=0.04)
    assert result.data["gate_volts"] == pytest.approx(1.5, rel=0.04)


@pytest.mark.parametrize("fault", ["pulse_long", "pulse_low"])
def test_a_wrong_pulse_is_named(fault):
    result = pulses.run(measured(opened(plant(fault))), pulses.PulsesParams())
    assert [one.fault for one in result.findings] == [fault]


def test_a_pad_without_a_pulse_is_named():
    rig = deaf(measured(opened()), lambda node: "SL" not in node)
    result = pulses.run(rig, pulses.PulsesParams())
    assert faults(result) == [("no_pulse", ("RESET",))]


def test_pulses_reach_no_cell_of_a_chip():
    rig = measured(opened())
    pulses.run(rig, pulses.PulsesParams())
    rig.simulated_board.nodes.fit("chip")
    assert not rig.simulated_board.chip.cells.state["pulse_count"].any()


# --- parameters ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "made",
    [
        lambda: supplies.SuppliesParams(readings=0),
        lambda: converters.ConvertersParams(gain=0.0),
        lambda: pin_map.PinMapParams(stride=0),
        lambda: pin_map.PinMapParams(level=1.5),
        lambda: resistor_board.ResistorBoardParams(samples=65),
        lambda: resistor_board.ResistorBoardParams(site=0.0),
        lambda: pulses.PulsesParams(widths_s=()),
        lambda: pulses.PulsesParams(line_volts=float("nan")),
        lambda: pulses.PulsesParams(edge=0.0),
    ],
)
def test_parameters_that_make_no_sense_are_refused(made):
    with pytest.raises(InputError, match="bring-up"):
        made()
