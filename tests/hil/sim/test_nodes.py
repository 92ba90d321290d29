"""The electrical nodes of a simulated board: names, rails, fixtures, and what moves when."""

from __future__ import annotations

import numpy as np
import pytest

from drivers.board import Board
from drivers.link import Link
from drivers.rram.geometry import Cells, Geometry
from drivers.rram.limits import Limits
from drivers.rram.macro import Macro
from drivers.rram.pulses import PulseBatch
from drivers.transfer import Curves
from hil.boards import OpenBoard, simulated, with_firmware
from hil.firmware import what_is_missing
from hil.sim.board import make_board
from hil.sim.config import SimSettings
from hil.sim.instruments import simulated_instruments
from protocols.board_map import load_map
from protocols.errors import InputError
from protocols.hardware import load_board
from protocols.messages import AdcInput, LineCheckRequestEntry, LoopSource
from protocols.resistor_board import OPEN_SITE, SHORT_SITE, TOLERANCE, nominal_siemens

BOARD = load_board("reference")
PULSE = {"gate_volts": 2.0, "line_volts": 2.5, "width_s": 400e-9}
KINDS = ["sim", "native", "native-process"]


def opened(kind: str, settings: SimSettings) -> OpenBoard:
    if kind == "sim":
        return simulated(make_board(settings, BOARD))
    if reason := what_is_missing(kind):
        pytest.skip(reason)
    return with_firmware(kind, settings, BOARD)


def macro_of(board: OpenBoard) -> Macro:
    link = Link(board.stream)
    link.open()
    geometry = Geometry(BOARD.rows, BOARD.columns)
    return Macro(Board(link), geometry, Curves.nominal(BOARD), Limits.of(BOARD.limits))


@pytest.fixture
def sim():
    board = opened("sim", SimSettings())
    yield board
    board.close()


@pytest.fixture
def nodes(sim):
    return sim.simulated.nodes


def seen(scope, node, act, volts=5.0, span_s=4e-6, level=1.0):
    scope.nodes.connect("scope:1", node)
    scope.configure("1", 2.0 * volts, span_s, "1", level)
    scope.arm()
    act()
    return scope.waveform("1")


# --- names and rails ---------------------------------------------------------------------------


def test_every_name_is_its_own_node(nodes) -> None:
    assert len(set(nodes.names)) == len(nodes.names) > 700
    assert all(nodes.resolved(name) == name for name in nodes.names)


def test_connector_pins_of_the_drawn_board_are_nodes(nodes) -> None:
    drawn = load_map()
    assert nodes.resolved(drawn.connector_pin("bit_line", 17)) == "pin:BL17"
    assert nodes.resolved(drawn.dac_channel("word_line").probe) == "dac:word_line"
    assert nodes.resolved(drawn.adc_channel("read").probe) == "adc:read"
    assert nodes.resolved("pad:source_line:3") == "pad:SL3"


@pytest.mark.parametrize("name", ["", "rail:none", "pad:BL128", "pin:XL3", "dac:nothing", "J99.1"])
def test_what_is_no_node_is_refused(nodes, name) -> None:
    with pytest.raises(InputError):
        nodes.resolved(name)


def test_rails_are_those_of_the_drawn_board_and_within_what_it_allows(nodes) -> None:
    for supply in load_map().supplies:
        volts, amperes = nodes.rail(supply.name)
        assert abs(volts / abs(supply.volts) - 1.0) < 0.2 * supply.tolerance
        assert supply.draws_amperes[0] < amperes < supply.draws_amperes[1]
        assert np.sign(nodes.volts(f"rail:{supply.name}")) == np.sign(supply.volts)


def test_a_rail_follows_its_supply_and_gives_way_at_its_limit(nodes) -> None:
    nodes.feed("drivers", 6.0, 0.3, on=False)
    assert nodes.rail("drivers") == (0.0, 0.0)
    nodes.feed("drivers", 6.0, 1e-3, on=True)
    volts, amperes = nodes.rail("drivers")
    assert volts < 1.0
    assert amperes == pytest.approx(1e-3)
    nodes.unfeed("drivers")
    assert nodes.rail("drivers")[0] == pytest.approx(6.0, rel=0.01)


# --- what moves ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_pulse_at_the_pad_has_its_amplitude_width_and_edge(kind) -> None:
    board = opened(kind, SimSettings())
    try:
        macro, physics = macro_of(board), board.simulated
        physics.nodes.fit("resistor board")
        scope = simulated_instruments(physics)["scope"]

        def act() -> None:
            with macro.armed(1.0):
                macro.pulse_read(PulseBatch.set(Cells.of([(3, 5)]), **PULSE))

        wave = seen(scope, "pad:BL3", act)
        t, v = np.asarray(wave.t_s), np.asarray(wave.volts)
        high = t[v > 1.25]
        assert np.median(v[v > 1.25]) == pytest.approx(2.5, rel=0.02)
        assert np.ptp(high) == pytest.approx(400e-9, abs=6e-9)
        rising = (t > -5e-9) & (t < 20e-9)
        assert ((v[rising] > 0.5) & (v[rising] < 2.3)).any()  # it takes a while
        assert np.abs(seen(scope, "pad:WL5", act).volts).max() == pytest.approx(2.0, rel=0.05)
    finally:
        board.close()


def test_a_reset_pulses_the_source_line(sim, nodes) -> None:
    macro, scope = macro_of(sim), simulated_instruments(sim.simulated)["scope"]

    def act() -> None:
        with macro.armed(1.0):
            macro.pulse_read(PulseBatch.reset(Cells.of([(3, 5)]), **PULSE))

    assert np.asarray(seen(scope, "pad:SL5", act).volts).max() > 2.3
    # the bit line is grounded meanwhile; only the read after it is seen there
    assert np.asarray(seen(scope, "pad:BL3", act, level=0.1).volts).max() < 0.5


def test_a_looped_back_channel_moves_at_its_output_alone(sim, nodes) -> None:
    macro, scope = macro_of(sim), simulated_instruments(sim.simulated)["scope"]
    codes = [2048] * 4 + [4095] * 8

    def act() -> None:
        macro.board.loopback(LoopSource.EMBEDDING_3, AdcInput.PROBE, codes, 1)

    wave = seen(scope, "dac:embedding_3", act, 0.4, 4e-4, 0.1)
    assert wave.volts[-1] == pytest.approx(0.2, rel=0.03)
    assert not np.abs(wave.volts[: len(wave.volts) // 2 - 50]).max() > 0.02
    scope.nodes.connect("scope:1", "dac:embedding_4")
    scope.arm()
    act()
    with pytest.raises(Exception, match="nothing at dac:embedding_4"):
        scope.waveform("1")


def test_a_line_check_toggles_the_driven_line(sim) -> None:
    macro, scope = macro_of(sim), simulated_instruments(sim.simulated)["scope"]
    entry = LineCheckRequestEntry(2, 9, 3, 0)  # word line 9, its near end

    def act() -> None:
        macro.board.line_check(200, [entry], 4)

    wave = seen(scope, "pin:WL9", act, 0.5, 1e-3, 0.1)
    assert np.asarray(wave.volts).max() == pytest.approx(200 * 5.0 / 4095, rel=0.05)


def test_listening_changes_nothing(sim) -> None:
    codes = []
    for listened in (False, True):
        board = opened("sim", SimSettings())
        macro = macro_of(board)
        if listened:
            board.simulated.nodes.watch.listen(["pad:BL0", "dac:bit_line"])
        with macro.armed(10.0):
            batch = PulseBatch.form(
                Cells.block(0, 0, 4, 4), gate_volts=2.0, line_volts=4.2, width_s=1e-3
            )
            codes.append(macro.pulse_read(batch).tolist())
    assert codes[0] == codes[1]


# --- fixtures -----------------------------------------------------------------------------------


def test_the_resistor_board_is_read_through_the_same_path(sim, nodes) -> None:
    macro = macro_of(sim)
    nodes.fit("resistor board")
    got = macro.read_map(samples=8)
    true = nominal_siemens(128, 128)
    inside = np.ones(true.shape, bool)
    inside[OPEN_SITE] = inside[SHORT_SITE] = False
    error = np.abs(got - true)[inside]
    assert error.max() < 0.3e-6 + (0.01 + TOLERANCE) * true[inside].max()
    assert got[OPEN_SITE] < 0.2e-6
    assert got[SHORT_SITE] >= 0.98 * macro.full_scale_siemens


def test_pulses_do_nothing_to_resistors_nor_to_the_chip_beside_them(sim, nodes) -> None:
    macro, cells = macro_of(sim), Cells.block(0, 0, 2, 2)
    before = sim.simulated.chip.cells.state.copy()
    nodes.fit("resistor board")
    first = macro.read(cells, 4)
    with macro.armed(1.0):
        macro.pulse_read(PulseBatch.form(cells, gate_volts=2.0, line_volts=4.2, width_s=1e-3))
    np.testing.assert_allclose(macro.read(cells, 4), first, atol=0.2e-6)
    nodes.fit("chip")
    assert (sim.simulated.chip.cells.state == before).all()
    assert nodes.fitted == "chip"


def test_a_product_with_resistors_is_not_that_of_the_chip(sim, nodes) -> None:
    macro, volts = macro_of(sim), np.full((1, 4), 0.1)
    sim.simulated.set_conductances(np.full((128, 128), 150e-6))
    chip = macro.multiply(4, 4, 4, volts)
    nodes.fit("resistor board")
    board = macro.multiply(4, 4, 4, volts)
    wanted = 0.1 * nominal_siemens(128, 128)[4:8, 4:8].sum(0)
    np.testing.assert_allclose(board[0], wanted, atol=1e-6)
    assert np.abs(chip - board).min() > 5e-6


def test_nothing_in_the_socket_reads_nothing(sim, nodes) -> None:
    nodes.fit("nothing")
    assert macro_of(sim).read(Cells.block(0, 0, 4, 4), 4).max() < 0.3e-6
    with pytest.raises(InputError, match="fits no socket"):
        nodes.fit("a shoe")


def test_time_of_instruments_is_the_chips_and_not_the_boards(sim, nodes) -> None:
    macro = macro_of(sim)
    before, chip_s = macro.board.status().time_s, sim.simulated.chip.now_s
    nodes.pass_time(3.0)
    assert sim.simulated.chip.now_s == pytest.approx(chip_s + 3.0, abs=0.01)
    assert macro.board.status().time_s < before + 0.1
