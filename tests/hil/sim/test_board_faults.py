"""Planted faults of a board and its instruments: each does what it says, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from drivers.board import Board
from drivers.integrator import Integrator, LayerBlock
from drivers.link import Link
from drivers.rram.geometry import Cells, Geometry
from drivers.rram.limits import Limits
from drivers.rram.macro import Macro
from drivers.rram.pulses import PulseBatch
from drivers.transfer import Curves
from drivers.waveforms import Waveforms
from hil.boards import simulated
from hil.sim.back_doors import BackDoors
from hil.sim.board import make_board
from hil.sim.board_faults import FAULTS, plant, planted
from hil.sim.config import SimSettings, parse_settings
from hil.sim.faulty_board import KINDS, BoardFaults
from hil.sim.instruments import simulated_instruments
from protocols.errors import ConfigError, InputError
from protocols.hardware import load_board
from protocols.messages import AdcInput, LoopSource

BOARD = load_board("reference")


class Opened:
    """A simulated board with what is planted in it."""

    def __init__(self, *names: str, **settings: object) -> None:
        chosen = SimSettings(**settings)
        for name in names:
            chosen = plant(name, chosen)
        board = simulated(make_board(chosen, BOARD))
        assert board.simulated is not None
        self.physics: BackDoors = board.simulated
        link = Link(board.stream)
        link.open()
        self.curves = Curves.nominal(BOARD)
        self.board = Board(link)
        geometry = Geometry(BOARD.rows, BOARD.columns)
        self.macro = Macro(self.board, geometry, self.curves, Limits.of(BOARD.limits))

    def looped(self, name: str, codes: list[int], to: AdcInput = AdcInput.PROBE):
        return self.board.loopback(LoopSource[name.upper()], to, codes, 8).codes / 8


def test_every_fault_is_named_once_and_belongs_to_a_stage() -> None:
    electrical = {"supplies", "converters", "pin_map", "resistor_board", "pulses"}
    chip = {"leakage", "transistors", "read_noise", "loop"}
    assert set(FAULTS.values()) == electrical | chip
    assert len(FAULTS) >= 15
    clean = SimSettings()
    for name in FAULTS:
        assert plant(name) != clean


def test_several_can_be_planted_and_the_settings_stay() -> None:
    settings = SimSettings(seed=7, board_faults={"pulse_width": 1.1})
    both = plant("supply_low", plant("resistor_open", settings))
    assert both.board_faults.planted == ("supply_low", "resistor_open", "pulse_width")
    assert both.seed == 7
    with pytest.raises(InputError, match="no fault of a bring-up"):
        plant("a_shoe")


def test_noise_is_planted_as_a_factor() -> None:
    before = SimSettings(adc_noise_sd_codes=0.4)
    assert plant("read_noise", before).adc_noise_sd_codes == pytest.approx(2.0)


def test_the_command_line_names_faults_of_both_kinds() -> None:
    text = "open_bit_line=5, pulse_width=1.2,scope_absent,dac_swapped=drift:score"
    got = planted(text, SimSettings(), BOARD)
    assert got.chip_faults.open_bit_line == 5
    assert got.board_faults.pulse_width == 1.2
    assert got.board_faults.absent_instruments == ("scope",)
    assert got.board_faults.partner == {"drift": "score", "score": "drift"}
    assert planted("absent", SimSettings(), BOARD).chip_faults.absent
    drawn = planted("open_bit_line,seed=3", SimSettings(), BOARD).chip_faults.open_bit_line
    assert drawn == planted("seed=3,open_bit_line", SimSettings(), BOARD).chip_faults.open_bit_line


@pytest.mark.parametrize(
    "text",
    [
        "a_shoe",
        "pulse_width",
        "pulse_width=20",
        "resistor_open=200:0",
        "pads_swapped=bit_line:3:3",
        "dac_swapped=drift:embedding_1",
        "adc_gain=nothing:0.1",
        "absent_instruments=toaster",
    ],
)
def test_what_cannot_be_planted_is_refused(text) -> None:
    with pytest.raises(InputError):
        planted(text, SimSettings(), BOARD)


def test_the_bench_file_has_them_too() -> None:
    got = parse_settings({"board_faults": {"pulse_amplitude": 0.9}}, "bench.yaml")
    assert got.board_faults == BoardFaults(pulse_amplitude=0.9)
    with pytest.raises(ConfigError, match=r"bench.yaml: board_faults\.door"):
        parse_settings({"board_faults": {"door": 1}}, "bench.yaml")
    assert "absent_instruments" in KINDS


# --- converters ---------------------------------------------------------------------------------


def test_a_swapped_channel_is_silent_and_its_partner_moves() -> None:
    opened, sound = Opened("dac_swapped"), Opened()
    codes = [0, 2048, 4095]
    assert np.ptp(opened.looped("embedding_3", codes)) < 5
    assert np.ptp(sound.looped("embedding_3", codes)) > 3500
    scope = simulated_instruments(opened.physics)["scope"]
    for node, moves in (("dac:embedding_3", False), ("dac:embedding_4", True)):
        scope.nodes.connect("scope:1", node)
        scope.configure("1", 0.8, 1e-3, "1", 0.1)
        scope.arm()
        opened.looped("embedding_3", codes)
        heard = scope.nodes.watch.heard(node)
        assert bool(heard) is moves


def test_swapped_initial_conditions_start_from_each_other() -> None:
    volts = []
    for names in ((), ("dac_swapped",)):
        opened = Opened(zero_drift=0.0, zero_score=0.0)
        settings = opened.physics.machine.settings
        if names:
            settings = settings.model_copy(
                update={"board_faults": BoardFaults(dac_swapped=("initial_1", "initial_2"))}
            )
        board = simulated(make_board(settings, BOARD))
        link = Link(board.stream)
        link.open()
        integrator = Integrator(Board(link), opened.curves, BOARD)
        ohm = 2e4
        integrator.connect(
            [
                LayerBlock(0, 0, 3, 14, True, ohm),
                LayerBlock(3, 28, 15, 14, True, ohm),
                LayerBlock(18, 56, 15, 2, True, ohm),
            ]
        )
        ticks = 2
        zero = np.zeros(ticks)
        pairs, embedding = np.zeros((ticks, 2)), np.zeros((ticks, 14))
        integrator.load(Waveforms(5e-3, zero, zero, zero, pairs, embedding))
        volts.append(integrator.run([[0.2, -0.1]]).x_volts[0])
    np.testing.assert_allclose(volts[0], [0.2, -0.1], atol=0.01)
    np.testing.assert_allclose(volts[1], [-0.1, 0.2], atol=0.01)


def test_a_wrong_gain_is_that_of_one_input() -> None:
    opened, sound = Opened("adc_gain"), Opened()
    for name, ratio in (("SAMPLE_1", 1.08), ("SAMPLE_2", 1.0)):
        spans = [np.ptp(one.looped("drift", [1024, 3072], AdcInput[name])) for one in
                 (opened, sound)]  # fmt: skip
        assert spans[0] / spans[1] == pytest.approx(ratio, rel=0.005)


def test_stuck_channels_are_stuck() -> None:
    assert np.ptp(Opened("dac_stuck").looped("embedding_6", [0, 4095])) < 5
    assert np.ptp(Opened("adc_stuck").looped("embedding_1", [0, 4095])) == 0


# --- supplies, pads, resistors, pulses ----------------------------------------------------------


def test_rails_are_low_or_draw_too_much() -> None:
    low, sound = Opened("supply_low").physics.nodes, Opened().physics.nodes
    assert low.rail("positive")[0] == pytest.approx(0.9 * sound.rail("positive")[0])
    assert low.rail("logic") == sound.rail("logic")
    hungry = Opened("rail_over_current").physics.nodes
    assert hungry.rail("drivers")[1] > max(sound.rails["drivers"].draws_amperes)


def test_swapped_pads_swap_whatever_is_in_the_socket() -> None:
    opened = Opened("pads_swapped")
    opened.physics.nodes.fit("resistor board")
    got = opened.macro.read(Cells.of([(5, 0), (6, 0)]), 8)
    sound = Opened()
    sound.physics.nodes.fit("resistor board")
    expected = sound.macro.read(Cells.of([(6, 0), (5, 0)]), 8)
    np.testing.assert_allclose(got, expected, rtol=0.01)
    assert opened.physics.nodes.pad_behind("pin:BL5") == "pad:BL6"
    assert opened.physics.nodes.pad_behind("pin:BL7") == "pad:BL7"


def test_swapped_pads_and_bonds_of_one_kind_are_too_much() -> None:
    with pytest.raises(ConfigError, match="swapped already"):
        parse_settings(
            {
                "board_faults": {"pads_swapped": ["bit_line", 1, 2]},
                "chip_faults": {"swapped_bit_line": [3, 4]},
            },
            "bench.yaml",
        )


@pytest.mark.parametrize(
    ("name", "site", "factor"), [("resistor_wrong", (3, 4), 1 / 1.5), ("resistor_open", (4, 4), 0)]
)
def test_one_resistor_is_wrong(name, site, factor) -> None:
    maps = []
    for opened in (Opened(name), Opened()):
        opened.physics.nodes.fit("resistor board")
        maps.append(opened.macro.read_map(samples=4))
    wrong = np.abs(maps[0] - maps[1]) > 0.5e-6
    assert list(zip(*np.nonzero(wrong), strict=True)) == [site]
    assert maps[0][site] == pytest.approx(factor * maps[1][site], abs=0.2e-6)


@pytest.mark.parametrize(
    ("name", "volts", "width_s"), [("pulse_long", 2.5, 520e-9), ("pulse_low", 2.125, 400e-9)]
)
def test_pulses_are_long_or_low(name, volts, width_s) -> None:
    opened = Opened(name)
    scope = simulated_instruments(opened.physics)["scope"]
    scope.nodes.connect("scope:1", "pad:BL0")
    scope.configure("1", 10.0, 4e-6, "1", 1.0)
    scope.arm()
    with opened.macro.armed(1.0):
        opened.macro.pulse_read(
            PulseBatch.set(Cells.of([(0, 0)]), gate_volts=2.0, line_volts=2.5, width_s=400e-9)
        )
    wave = scope.waveform("1")
    high = np.asarray(wave.volts) > 0.5 * volts
    assert np.median(np.asarray(wave.volts)[high]) == pytest.approx(volts, rel=0.03)
    assert np.ptp(np.asarray(wave.t_s)[high]) == pytest.approx(width_s, abs=10e-9)


def test_cells_feel_a_long_pulse() -> None:
    after = []
    for opened in (Opened(), Opened(board_faults={"pulse_width": 10.0})):
        opened.physics.set_conductances(np.full((128, 128), 60e-6))
        with opened.macro.armed(10.0):
            got = opened.macro.pulse_read(
                PulseBatch.set(
                    Cells.block(0, 0, 8, 8), gate_volts=2.0, line_volts=2.0, width_s=200e-9
                )
            )
        after.append(float(np.median(got)))
    assert after[1] > after[0] + 5e-6


def test_a_fault_shows_through_the_firmware_as_well() -> None:
    from hil.boards import with_firmware
    from hil.firmware import what_is_missing

    if reason := what_is_missing("native"):
        pytest.skip(reason)
    board = with_firmware("native", plant("resistor_open"), BOARD)
    try:
        assert board.simulated is not None
        board.simulated.nodes.fit("resistor board")
        link = Link(board.stream)
        link.open()
        limits = Limits.of(BOARD.limits)
        macro = Macro(Board(link), Geometry(128, 128), Curves.nominal(BOARD), limits)
        assert macro.read(Cells.of([(4, 4)]), 4)[0] < 0.2e-6
        assert macro.read(Cells.of([(4, 8)]), 4)[0] > 200e-6
    finally:
        board.close()
