"""The stand-in front end: in which order instruments are told what, and what is refused first."""

from __future__ import annotations

import pytest

from drivers.instruments.stand_in import StandIn, StandInParams, StandInSet, StandInWiring
from drivers.rram.geometry import Cells
from drivers.rram.limits import Limits
from drivers.rram.pulses import PulseBatch
from protocols.errors import InputError, InstrumentTimeout, LimitError
from protocols.hardware import load_board
from protocols.instruments import InstrumentIdentity, Reading

LIMITS = Limits.of(load_board("reference").limits)
WIRING = StandInWiring((4, 4))
PULSE = {"gate_volts": 2.0, "line_volts": 2.5, "width_s": 1e-6}


class Recorder:
    """An instrument of every role that notes what it is told."""

    rows, columns, channels = 4, 12, ("gate",)
    identity = InstrumentIdentity("nobody", "recorder")

    def __init__(self, name: str, said: list[tuple[object, ...]]) -> None:
        self.name, self.said, self.fails = name, said, False

    def __getattr__(self, verb: str):
        if verb.startswith("_"):
            raise AttributeError(verb)

        def told(*arguments: object, **named: object) -> object:
            self.said.append((self.name, verb, *arguments, *named.items()))
            if self.fails:
                raise InstrumentTimeout(f"{self.name} does not answer")
            return Reading(0.2, 2e-5) if verb == "measure" else None

        return told


class Bench:
    def __init__(self, *, pulser: bool = True, **params: object) -> None:
        self.said: list[tuple[object, ...]] = []
        names = ("matrix", "smu", "gate", "pulser")
        self.by_name = {name: Recorder(name, self.said) for name in names}
        chosen = {n: one for n, one in self.by_name.items() if pulser or n != "pulser"}
        self.stand_in = StandIn(
            StandInSet(**chosen), WIRING, LIMITS, StandInParams(**params),
            lambda s: self.said.append(("wait", s)),
        )  # fmt: skip

    def verbs(self) -> list[str]:
        return [f"{one[0]}.{one[1]}" if len(one) > 2 or one[0] != "wait" else "wait" for one in
                self.said]  # fmt: skip


def set_pulse(*cells: tuple[int, int], **changes: float) -> PulseBatch:
    return PulseBatch.set(Cells.of(cells), **(PULSE | changes))


def test_the_order_of_a_pulse() -> None:
    bench = Bench()
    bench.stand_in.pulse(set_pulse((1, 2)))
    assert bench.verbs() == [
        "matrix.open_all",
        "matrix.close_path",
        "matrix.close_path",
        "matrix.close_path",
        "gate.set",
        "gate.output",
        "wait",
        "pulser.configure",
        "pulser.output",
        "pulser.burst",
        "pulser.output",
        "gate.output",
    ]
    paths = [one[2:] for one in bench.said if one[1] == "close_path"]
    # ground to source line 2, the gate to word line 2, the pulser to bit line 1, in this order
    assert paths == [(2, 5 + 2), (3, 9 + 2), (4, 1 + 1)]
    assert bench.said[5] == ("gate", "output", "gate", True)
    assert bench.said[-1] == ("gate", "output", "gate", False)


def test_a_reset_drives_the_source_line_and_grounds_the_bit_line() -> None:
    bench = Bench()
    bench.stand_in.pulse(PulseBatch.reset(Cells.of([(1, 2)]), **PULSE))
    paths = [one[2:] for one in bench.said if one[1] == "close_path"]
    assert paths == [(2, 1 + 1), (3, 9 + 2), (4, 5 + 2)]


def test_paths_stay_closed_for_the_same_cell_and_change_for_another() -> None:
    bench = Bench()
    bench.stand_in.pulse(set_pulse((1, 2), (1, 2), (1, 3)))
    assert bench.verbs().count("matrix.open_all") == 2
    bench.stand_in.safe()
    bench.stand_in.pulse(set_pulse((1, 3)))
    assert bench.verbs().count("matrix.open_all") == 3


def test_a_read_sources_the_read_voltage_with_compliance() -> None:
    bench = Bench(read_amperes=5e-5)
    assert bench.stand_in.read(0, 3, 0.2, samples=3) == [2e-5] * 3
    assert ("smu", "source_volts", 0.2, 5e-5) in bench.said
    assert ("gate", "set", "gate", 3.6, 1e-3) in bench.said  # open as on the board
    assert bench.said[-2:] == [("smu", "output", False), ("gate", "output", "gate", False)]


@pytest.mark.parametrize("changes", [{"line_volts": 3.7}, {"gate_volts": 3.7}, {"width_s": 30e-6}])
def test_limits_refuse_the_whole_batch_before_anything_is_said(changes) -> None:
    bench = Bench()
    with pytest.raises(LimitError):
        bench.stand_in.pulse(PulseBatch.join([set_pulse((0, 0)), set_pulse((1, 1), **changes)]))
    with pytest.raises(LimitError):
        bench.stand_in.read(0, 0, 0.5)
    assert bench.said == []


def test_an_smu_alone_refuses_short_pulses_and_times_long_ones() -> None:
    bench = Bench(pulser=False, smu_shortest_s=1e-4)
    with pytest.raises(LimitError, match="shorter"):
        bench.stand_in.pulse(set_pulse((0, 0)))
    assert bench.said == []
    form = PulseBatch.form(Cells.of([(0, 0)]), gate_volts=2.0, line_volts=4.0, width_s=5e-4)
    bench.stand_in.pulse(form)
    at = bench.said.index(("smu", "output", True))
    assert bench.said[at : at + 3] == [
        ("smu", "output", True),
        ("wait", 5e-4),
        ("smu", "output", False),
    ]


@pytest.mark.parametrize("broken", ["matrix", "smu", "gate", "pulser"])
def test_whatever_fails_the_others_are_made_safe(broken) -> None:
    bench = Bench()
    bench.by_name[broken].fails = True
    use = bench.stand_in
    act = {"smu": lambda: use.read(0, 0, 0.2)}.get(broken, lambda: use.pulse(set_pulse((0, 0))))
    with pytest.raises(InstrumentTimeout, match=broken):
        act()
    safe = [one[0] for one in bench.said if one[1] == "safe"]
    assert safe == ["pulser", "smu", "gate", "matrix"]  # sources first, paths last


def test_wiring_that_cannot_be_is_refused() -> None:
    assert WIRING.column("word_line", 3) == 12
    with pytest.raises(InputError, match="same column"):
        StandInWiring((4, 4), source_line=4)
    with pytest.raises(InputError, match="row of its own"):
        StandInWiring((4, 4), gate_row=1)
    with pytest.raises(InputError, match="12 columns"):
        StandIn(Bench().stand_in.instruments, StandInWiring((4, 5)), LIMITS)
    with pytest.raises(InputError, match="no channel 'vg'"):
        Bench(gate_channel="vg")
    with pytest.raises(InputError, match="positive"):
        StandInParams(load_ohms=0.0)
    with pytest.raises(LimitError, match=r"gate of 3\.7 V"):
        Bench(read_gate_volts=3.7)
    with pytest.raises(InputError, match="not wired"):
        Bench().stand_in.read(4, 0, 0.2)
