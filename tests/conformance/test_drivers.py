"""The drivers on a real conversation: macro, integrator, and exactly-once over a bad line."""

from __future__ import annotations

import numpy as np
import pytest

from drivers.board import Board
from drivers.integrator import Integrator, LayerBlock, Waveforms
from drivers.link import Link
from drivers.rram.geometry import Cells, Geometry
from drivers.rram.limits import Limits
from drivers.rram.macro import Macro
from drivers.rram.pulses import PulseBatch
from drivers.stream import MemoryStream
from drivers.transfer import Curves
from hil.sim.board import make_board
from hil.sim.config import SimSettings
from protocols.errors import LimitError, SafetyError
from protocols.messages import Noise, Operation, SafeReason


def macro_of(target, board, **options) -> Macro:
    geometry = Geometry(target.description.rows, target.description.columns)
    limits = Limits.of(target.description.limits)
    return Macro(board, geometry, Curves.nominal(target.description), limits, **options)


@pytest.fixture
def macro(target, board):
    return macro_of(target, board)


@pytest.fixture
def integrator(target, board):
    width = target.description.loop.hidden_width
    made = Integrator(board, Curves.nominal(target.description), target.description)
    made.connect(
        [
            LayerBlock(0, 0, 3, width, True, 10e3),
            LayerBlock(3, 0, width + 1, width, True, 10e3),
            LayerBlock(width + 4, 0, width + 1, 2, True, 10e3),
        ]
    )
    return made


def waveforms(ticks=20) -> Waveforms:
    return Waveforms(
        5e-3,
        np.full(ticks, -0.2),
        np.full(ticks, 0.1),
        np.full(ticks, 0.02),
        np.zeros((ticks, 2)),
        np.zeros((ticks, 14)),
    )


def test_identity_agrees_with_the_description(target, board):
    identity = board.identity
    assert (identity.rows, identity.columns) == (
        target.description.rows,
        target.description.columns,
    )
    assert identity.watchdog_s == pytest.approx(target.description.limits.watchdog_s)
    assert identity.arm_s_max == pytest.approx(target.description.limits.arm_s)
    curves = Curves.nominal(target.description)
    for operation in Operation:
        stated = getattr(target.description.limits, operation.name.lower())
        own = identity.limits[operation]
        assert curves.pulse_volts.to_si(own.gate_code_max) <= stated.gate_volts
        assert curves.pulse_volts.to_si(own.line_code_max) <= stated.line_volts
        assert curves.width.to_si(own.width_ticks_max) <= stated.width_s * (1 + 1e-9)


@pytest.mark.parametrize("operation", Operation)
@pytest.mark.parametrize("quantity", ["gate_volts", "line_volts", "width_s"])
def test_a_pulse_at_the_limit_passes_host_and_board(macro, operation, quantity):
    bound = macro.limits.bound(operation, quantity).value
    pulse = {"gate_volts": 1.0, "line_volts": 1.0, "width_s": 1e-7}
    make = getattr(PulseBatch, operation.name.lower())
    with macro.armed():
        macro.pulse_read(make(Cells.of([(0, 0)]), **{**pulse, quantity: bound}))
        with pytest.raises(LimitError, match="nothing of the batch was driven"):
            macro.pulse_read(make(Cells.of([(0, 0)]), **{**pulse, quantity: bound * 1.01}))
    assert macro.board.status().pulses == 1


def test_lowered_limits_hold_on_the_board_too(target, macro, board):
    macro.limits = macro.limits.lowered({"set.gate_volts": 1.5})
    macro.lower_board_limits()
    open_macro = macro_of(target, board)
    with open_macro.armed(), pytest.raises(LimitError, match=r"gate_code of entry 0.*cell"):
        open_macro.pulse_read(
            PulseBatch.set(Cells.of([(0, 0)]), gate_volts=1.6, line_volts=1.0, width_s=1e-7)
        )


def test_known_cells_are_read_in_siemens(target, macro):
    target.need("known cells")
    wanted = np.full((macro.geometry.rows, macro.geometry.columns), np.nan)
    wanted[:3, 1] = [100e-6, 150e-6, 200e-6]
    target.back_door.set_conductances(wanted)
    cells = Cells.block(0, 1, 3, 1)
    assert macro.read(cells, samples=16) == pytest.approx(wanted[:3, 1], rel=0.1)


def test_forming_set_and_reset_move_a_cell(macro):
    cells = Cells.block(0, 0, 2, 4)
    with macro.armed():
        for volts in np.arange(2.0, 4.4, 0.1):
            macro.pulse_read(
                PulseBatch.form(cells, gate_volts=2.0, line_volts=volts, width_s=10e-6)
            )
        formed = macro.read(cells)
        low = macro.pulse_read(
            PulseBatch.reset(cells, gate_volts=3.5, line_volts=2.0, width_s=1e-6)
        )
        high = macro.pulse_read(PulseBatch.set(cells, gate_volts=2.3, line_volts=2.0, width_s=1e-6))
    assert np.median(formed) > 80e-6
    assert np.median(low) < 0.5 * np.median(formed)
    assert np.median(high) > 2 * np.median(low)
    assert macro.time_s > 0


def test_a_stopped_board_says_so_and_is_cleared(macro, board):
    board.stop()
    with pytest.raises(SafetyError, match=r"safe state \(stop\); clear it"), macro.armed():
        pass
    board.safe_clear(SafeReason.STOP)
    with macro.armed():
        pass


def test_run_and_probe(integrator):
    integrator.load(waveforms())
    x = np.random.default_rng(1).uniform(-0.1, 0.1, (70, 2))
    out = integrator.run(x, trace_every=5, trace_count=2)
    assert out.x_volts.shape == (70, 2)
    assert out.traces_volts.shape == (2, 5, 2)
    assert out.traces_volts[:, 0] == pytest.approx(x[:2], abs=5e-3)
    assert out.duration_s >= 70 * 20 * 5e-3
    # Virgin cells: no network, so x grows by f alone; kf f T = -4 * -0.2 * 0.1 = 0.08.
    growth = np.polyfit(x.ravel(), out.x_volts.ravel(), 1)[0]
    assert growth == pytest.approx(np.exp(0.08), rel=0.03)
    assert [layer.shape for layer in integrator.probe(0, x)] == [(70, 14), (70, 14), (70, 2)]


def test_splitting_a_job_changes_nothing(integrator):
    integrator.load(waveforms())
    x = np.random.default_rng(1).uniform(-0.1, 0.1, (40, 2))
    whole = integrator.run(x, noise=Noise.SEEDED, seed=3)
    parts = [
        integrator.run(x[a:b], noise=Noise.SEEDED, seed=3, first_trajectory=a)
        for a, b in ((0, 15), (15, 40))
    ]
    assert np.array_equal(whole.codes, np.concatenate([part.codes for part in parts]))


def test_a_stop_during_a_run_is_an_honest_error(integrator, board):
    integrator.load(waveforms())

    def stop(done, total):
        if done > 0:
            board.stop()

    with pytest.raises(SafetyError, match=r"was aborted.*safe state: stop"):
        integrator.run(np.zeros((600, 2)), progress=stop)


# --- a bad line ----------------------------------------------------------------------------------


def history(target, board) -> list:
    """A short session of everything: what came back, and what the board counted."""
    macro = macro_of(target, board)
    cells = Cells.block(0, 0, 4, 20)
    found = []
    with macro.armed():
        for volts in (2.6, 3.2, 3.8):
            batch = PulseBatch.form(cells, gate_volts=2.0, line_volts=volts, width_s=10e-6)
            found.append(macro.pulse_read(batch))
        found.append(macro.read(cells, samples=4))
        batch = PulseBatch.reset(cells, gate_volts=3.5, line_volts=1.5, width_s=1e-6)
        found.append(macro.pulse_read(batch))
    status = board.status()
    return [np.concatenate(found).tolist(), status.pulses, status.reads, status.time_s]


@pytest.mark.parametrize("seed", range(4))
def test_a_bad_line_changes_nothing_on_the_chip(target, make_line, seed):
    """The same session over a good and a bad line: the same pulses, readings and board time."""
    target.need("known cells")
    clean = make_board(SimSettings(), target.description)
    with Link(MemoryStream(clean.receive), nonce=1) as link:
        wanted = history(target, Board(link))
    line = make_line(target.peer, seed, drop=0.1, repeat=0.1, damage=0.1, delay=0.1)
    link = Link(MemoryStream(line.receive), nonce=1, attempts=40)
    link.open()
    assert history(target, Board(link)) == wanted
    assert link.stats.repeated > 10
    assert Board(link).status().repeated > 5
