"""A bench: opened whole or not at all, always left safe; two clocks; one process per chip."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drivers.rram.geometry import Cells
from hil.bench import Bench
from hil.boards import OpenBoard, simulated
from hil.config import BenchConfig, LimitsSection, OperationSection
from hil.sim.board import SimBoard, make_board
from hil.sim.config import SimSettings
from protocols.errors import (
    ChipBusyError,
    ConfigError,
    HilError,
    LimitError,
    LinkTimeout,
    PortError,
    SessionLost,
)
from protocols.hardware import load_board

BOARD = load_board("reference")


def config_in(folder: Path, **changes: Any) -> BenchConfig:
    config = BenchConfig()
    chip = config.chip.model_copy(update={"folder": folder / "chips"})
    return config.with_changes(chip=chip, **changes)


def in_memory(**changes: Any) -> tuple[SimBoard, Bench]:
    board = make_board(SimSettings(), BOARD)
    return board, Bench(BenchConfig(**changes), BOARD, simulated(board))


def form_one(bench: Bench) -> float:
    return bench.macro.pulse(3, 4, "form", gate_volts=2.0, line_volts=3.9, width_s=1e-6)


def test_a_closed_bench_refuses_and_closing_twice_is_allowed(tmp_path: Path) -> None:
    bench = Bench.open(config_in(tmp_path))
    bench.close()
    bench.close()
    with pytest.raises(SessionLost, match="it was closed"):
        bench.board.status()


def test_an_exception_leaves_the_outputs_safe_and_the_chip_free(tmp_path: Path) -> None:
    config = config_in(tmp_path)
    with pytest.raises(ZeroDivisionError), Bench.open(config) as bench:  # noqa: PT012
        bench.board.arm(10.0)
        machine = bench.simulated.machine  # type: ignore[union-attr]
        assert machine.safety.armed_ns(machine.chip.now_ns) > 0
        raise ZeroDivisionError
    assert machine.safety.armed_ns(machine.chip.now_ns) == 0
    with Bench.open(config):
        pass  # the lock was given back


def test_an_interrupt_while_pulsing_is_no_different(tmp_path: Path) -> None:
    config = config_in(tmp_path)

    class Interrupting:
        def intent(self, batch: Any, *, label: str) -> int:
            return 1

        def outcome(self, token: int, start: int, records: Any) -> None:
            raise KeyboardInterrupt

    with (  # noqa: PT012
        pytest.raises(KeyboardInterrupt),
        Bench.open(config, recorder=Interrupting()) as bench,
    ):
        machine = bench.simulated.machine  # type: ignore[union-attr]
        form_one(bench)
    assert machine.safety.armed_ns(machine.chip.now_ns) == 0
    with Bench.open(config) as bench:
        assert bench.macro.read(Cells.of([(3, 4)]))[0] > 20e-6  # what was driven is in the file


def test_a_second_bench_on_the_same_chip_is_refused(tmp_path: Path) -> None:
    config = config_in(tmp_path)
    with Bench.open(config), pytest.raises(ChipBusyError, match=r"cells\.chip: another process"):
        Bench.open(config)
    with Bench.open(config):
        pass


def test_two_chips_at_once_are_two_chips(tmp_path: Path) -> None:
    one, two = (
        config_in(tmp_path).with_changes(chip={"id": name, "folder": tmp_path})
        for name in ("A", "B")
    )
    with Bench.open(one) as first, Bench.open(two) as second:
        assert form_one(first) > 20e-6
        assert second.macro.read(Cells.of([(3, 4)]))[0] < 1e-6


def test_a_chip_keeps_its_state_from_bench_to_bench(tmp_path: Path) -> None:
    config = config_in(tmp_path)
    with Bench.open(config) as bench:
        after = form_one(bench)
    with Bench.open(config) as bench:
        again = bench.macro.read(Cells.of([(3, 4)]), samples=16)[0]
    assert after > 20e-6
    assert again == pytest.approx(after, rel=0.2)


def test_a_chip_of_another_seed_is_refused(tmp_path: Path) -> None:
    with Bench.open(config_in(tmp_path)):
        pass
    with pytest.raises(ConfigError, match=r"cells\.chip: this file holds a chip with seed 1"):
        Bench.open(config_in(tmp_path, sim=SimSettings(seed=2)))


def test_bench_time_is_the_boards_and_virtual(tmp_path: Path) -> None:
    started = time.perf_counter()
    with Bench.open(config_in(tmp_path)) as bench:
        assert bench.accounts().bench_s < 0.1
        bench.wait(3600.0)
        accounts = bench.accounts()
        spent = time.perf_counter() - started
    assert accounts.bench_s == pytest.approx(3600.0, abs=0.1)
    assert 0.0 < accounts.host_s <= spent


def test_time_before_the_bench_was_opened_does_not_count(tmp_path: Path) -> None:
    config = config_in(tmp_path)
    with Bench.open(config) as bench:
        bench.wait(1000.0)
    with Bench.open(config) as bench:
        assert bench.accounts().bench_s < 0.1


def test_a_bench_says_that_it_is_simulated() -> None:
    board, bench = in_memory()
    with bench:
        assert bench.is_simulated
        assert bench.simulated is board


def test_limits_of_the_bench_file_hold_on_host_and_board() -> None:
    limits = LimitsSection(form=OperationSection(line_volts=3.0), pulses_per_cell=7)
    board, bench = in_memory(limits=limits)
    with bench:
        assert bench.limits.bounds["form.line_volts"].source == "bench file"
        with pytest.raises(LimitError, match=r"line_volts is 3.9 V, the limit is 3 V.*bench file"):
            form_one(bench)
        set_, _, form = board.machine.limits.operations
        assert form.line_max < set_.line_max  # lowered on the board as well
        assert form.pulses_per_cell_max == 7
    assert np.all(board.chip.cells.state["pulse_count"] == 0)


def test_limits_above_the_boards_are_refused_before_anything_is_driven() -> None:
    limits = LimitsSection(set=OperationSection(gate_volts=9.0))
    with pytest.raises(LimitError, match=r"set\.gate_volts is 9.*at most 3\.6.*never\s+raised"):
        in_memory(limits=limits)


def test_a_failure_while_opening_closes_the_line_and_the_chip(tmp_path: Path) -> None:
    config = config_in(tmp_path)
    with pytest.raises(LimitError, match="read voltage"):
        Bench.open(config.with_changes(read_volts=0.9))
    with Bench.open(config):
        pass  # neither lock nor line was kept


class Deaf:
    """A line on which nobody answers."""

    name = "deaf"

    def __init__(self) -> None:
        self.closed = False

    def write(self, data: bytes) -> None:
        pass

    def read(self, timeout_s: float) -> bytes:
        return b""

    def close(self) -> None:
        self.closed = True


def test_a_line_without_a_board_ends_in_a_sentence_and_is_closed() -> None:
    stream = Deaf()
    config = BenchConfig().with_changes(link={"timeout_s": 0.001, "attempts": 2})
    with pytest.raises(LinkTimeout, match=r"no answer to hello after 2 attempts"):
        Bench(config, BOARD, OpenBoard(stream))
    assert stream.closed


def test_a_port_that_is_not_there_is_named() -> None:
    with pytest.raises(PortError, match="/dev/nonexistent cannot be opened"):
        Bench.open(BenchConfig(board="serial:/dev/nonexistent"))


def test_an_error_on_closing_does_not_hide_the_first_one(tmp_path: Path) -> None:
    config = config_in(tmp_path)
    with pytest.raises(ZeroDivisionError) as caught, Bench.open(config) as bench:  # noqa: PT012
        bench.link._stream.close()  # as if the cable were pulled
        raise ZeroDivisionError
    assert any("closing" in note.lower() for note in caught.value.__notes__)
    with Bench.open(config):
        pass


def test_an_error_on_closing_is_told_when_there_was_no_other(tmp_path: Path) -> None:
    with pytest.raises(HilError), Bench.open(config_in(tmp_path)) as bench:
        bench.link._stream.close()
