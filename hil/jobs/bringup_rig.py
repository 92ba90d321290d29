"""The bench as the stages of a bring-up see it: hands, probes, fixtures, and what is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from calibration.bringup import Rig
from calibration.bringup.stage import Fixture
from calibration.progress import Progress
from calibration.startup.identity import Identified
from drivers.curves import MeasuredCurves
from drivers.rram.macro import Macro
from hil.bench import Bench
from hil.chip_store import ChipStore
from hil.config import BenchConfig
from hil.curve_store import CurveStore, origin_of
from hil.firmware import BOARDS
from hil.instruments import Instruments
from hil.jobs.bringup_chip import give_up
from hil.jobs.bringup_record import PASSED, stages_of
from hil.jobs.startup import keep_map, recorded_map
from hil.record import RunFolder
from protocols.board_map import BoardMap, load_map
from protocols.errors import ConfigError, SafetyError
from protocols.hardware import BoardDescription

Ask = Callable[[str, bool], bool]
"""A question to the person, and whether it is about something that takes hands; True for yes."""


@dataclass
class _Hands:
    """Puts probes and fixtures where they belong: by itself on a simulated bench, else by asking.

    Attributes:
        fitted: what is in the socket of a real bench, None where nobody has said.
        rig: whose macro follows the fixture: pulses into a fixture are no wear of the chip's cells.
    """

    bench: Bench
    ask: Ask
    pins: BoardMap | None
    fitted: Fixture | None = None
    rig: Rig | None = None

    def probe(self, role: str, channel: str, node: str) -> None:
        simulated = self.bench.simulated
        if simulated is not None:
            simulated.nodes.put_probe(role, channel, node)
            return
        tip = f"{role}, channel {channel}" if channel else role
        by_hand(f"Put the probe of the {tip} to {_place(self.pins, node)}. Is it there?", self.ask)

    def fixture(self, what: Fixture) -> None:
        simulated = self.bench.simulated
        if simulated is not None:
            simulated.nodes.fit(what)
        elif what != self.fitted:
            raise SafetyError(f"{_ARTICLES[what]} goes in while the rails are off; begin anew")
        if self.rig is not None:
            self.rig.macro = self.bench.macro if what == "chip" else _unrecorded(self.bench.macro)


_ARTICLES = {"nothing": "nothing", "resistor board": "the resistor board", "chip": "the chip"}


def is_simulated(config: BenchConfig) -> bool:
    """Whether fixtures and probes of a bench move by themselves."""
    return config.board == "sim" or config.board in BOARDS


def by_hand(question: str, ask: Ask) -> None:
    """Something that a person has to do.

    Raises:
        SafetyError: it was not done.
    """
    if not ask(question, True):
        raise SafetyError(f"not confirmed, nothing more was driven: {question}")


def fit_by_hand(what: Fixture, ask: Ask) -> None:
    """Has a fixture put into the socket before anything is switched on.

    Raises:
        SafetyError: it is not there.
    """
    by_hand(f"With every rail off: is {_ARTICLES[what]} in the socket?", ask)


def make_rig(
    bench: Bench,
    instruments: Instruments,
    run: RunFolder,
    ask: Ask,
    progress: Progress,
    fitted: Fixture | None = None,
) -> Rig:
    """The rig of an open bench, with what the stages before it found; `fitted` is what a person
    has put into the socket of a real one."""
    pins = drawn(bench.description)
    hands = _Hands(bench, ask, pins, fitted)
    store = ChipStore.of(bench.config, bench.conditions)
    rig = Rig(
        macro=bench.macro,
        integrator=bench.integrator,
        description=bench.description,
        instruments=instruments,
        pins=pins,
        chip=bench.config.chip.id,
        expected=recorded_map(store),
        seed=bench.config.seed,
        simulated=bench.is_simulated,
        progress=progress,
        ask=lambda question: ask(question, False),
        put_probe=hands.probe,
        put_fixture=hands.fixture,
        keep_curves=lambda curves, result: _keep_curves(bench, curves, result),
        keep_map=lambda found: _keep_map(bench, store, found),
        give_up=lambda cells, siemens: give_up(bench.config, cells, siemens),
        wait=bench.wait,
        found={one.name: one.result.data for one in stages_of(run) if one.status == PASSED},
    )
    hands.rig = rig
    return rig


def _unrecorded(macro: Macro) -> Macro:
    return Macro(
        macro.board, macro.geometry, macro.curves, macro.limits, read_volts=macro.read_volts
    )


def drawn(description: BoardDescription) -> BoardMap | None:
    """The drawn board of a description; None where it was never drawn."""
    try:
        return load_map(description.name)
    except ConfigError:
        return None


def _place(pins: BoardMap | None, node: str) -> str:
    """A node as a person finds it: with its connector pin where the board is drawn."""
    kind, _, name = node.partition(":")
    kinds = {"BL": "bit_line", "SL": "source_line", "WL": "word_line"}
    if kind not in ("pad", "pin") or pins is None or name[:2] not in kinds:
        return f"the output of {name}" if kind == "dac" else f"{kind} {name}"
    line = pins.line(kinds[name[:2]], int(name[2:]))
    where = f"pad {line.pad}" if kind == "pad" else f"connector pin {line.connector_pin}"
    return f"{where} ({line.connector_pin})" if kind == "pad" else f"{where} ({line.pad})"


def _keep_curves(bench: Bench, curves: MeasuredCurves, result: Mapping[str, Any]) -> None:
    identity = bench.board.identity
    CurveStore.of(bench.config, identity.serial).save(
        curves,
        result,
        origin=origin_of(bench.config, bench.description, identity),
        simulated=bench.is_simulated,
        temperature_celsius=bench.conditions.temperature_celsius,
    )


def _keep_map(bench: Bench, store: ChipStore, found: Identified) -> None:
    keep_map(bench, store, found)
