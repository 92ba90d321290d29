"""Loop-backs and reference resistors: what is converted, what is refused, on every board."""

from __future__ import annotations

import numpy as np
import pytest

from protocols.hardware import LADDER_STEPS
from protocols.messages import (
    AdcInput,
    ArmRequest,
    ArrayLine,
    HelloRequest,
    HelloResponse,
    LimitsLowerRequest,
    LineCheckRequest,
    LineCheckRequestEntry,
    LineProbe,
    LoopbackRequest,
    LoopbackRequestEntry,
    LoopSource,
    Operation,
    ReadReferenceRequest,
    ReadReferenceRequestEntry,
    StopRequest,
)

LINES = (LoopSource.BIT_LINE, LoopSource.SOURCE_LINE, LoopSource.WORD_LINE)


def loopback(source, codes, destination=AdcInput.READ, samples=8):
    return LoopbackRequest(source, destination, samples, tuple(map(LoopbackRequestEntry, codes)))


def reference(*pairs, code=163, samples=8):
    entries = tuple(ReadReferenceRequestEntry(*pair) for pair in pairs)
    return ReadReferenceRequest(code, samples, entries)


@pytest.fixture
def limits(target, wire):
    payload = target.wire.exchange(HelloRequest.CODE, HelloRequest(1).pack(), 0, 0)
    return HelloResponse.unpack(payload[1:])


def means(wire, request) -> np.ndarray:
    got = wire.good(request)
    return np.array([entry.sum for entry in got.entries]) / request.samples


@pytest.mark.parametrize("adc", list(AdcInput))
def test_the_ladder_rises_along_the_span_of_every_input(target, wire, adc):
    target.need("known cells")
    found = means(wire, loopback(LoopSource.REFERENCE, range(LADDER_STEPS + 1), adc))
    np.testing.assert_allclose(found, np.arange(LADDER_STEPS + 1) / LADDER_STEPS * 4095, atol=40)


@pytest.mark.parametrize("source", [s for s in LoopSource if s != LoopSource.REFERENCE])
def test_every_channel_comes_back(target, wire, source):
    target.need("known cells")
    adc = AdcInput.READ if source in LINES else AdcInput.PROBE
    codes = [50, 200, 350] if source in LINES else [10, 2048, 4000]
    np.testing.assert_allclose(means(wire, loopback(source, codes, adc)), codes, atol=40)


def test_resistors_read_as_what_they_are(target, wire):
    target.need("known cells")
    pairs = [(column, resistor) for column in (0, 64, 127) for resistor in range(4)]
    found = means(wire, reference(*pairs, samples=16)).reshape(3, 4)
    siemens = np.array([0.0, *(1 / ohm for ohm in target.description.references.ohms)])
    scales = target.description.converters
    volts = 163 / 4095 * scales.pulse_full_scale_volts
    expected = siemens * volts / scales.read_full_scale_amperes * 4095
    np.testing.assert_allclose(found, np.broadcast_to(expected, (3, 4)), rtol=0.05, atol=6)


def test_the_read_level_needs_no_arming_and_more_does(target, wire, limits):
    level = limits.read_code_max
    most = {
        LoopSource.BIT_LINE: max(limits.set_line_max, limits.form_line_max),
        LoopSource.SOURCE_LINE: limits.reset_line_max,
        LoopSource.WORD_LINE: max(limits.set_gate_max, limits.reset_gate_max, limits.form_gate_max),
    }
    for line in LINES:
        wire.good(loopback(line, [0, level]))
        assert wire.refused(loopback(line, [0, level + 1]))[0] == "not_armed"
        expected = {"field": 0, "entry": 1, "value": most[line] + 1, "limit": most[line]}
        assert wire.refused(loopback(line, [0, most[line] + 1])) == ("over_limit", expected)
    wire.good(loopback(LoopSource.DRIFT, [0, 4095], AdcInput.PROBE))
    wire.good(ArmRequest(10_000))
    for line in LINES:
        wire.good(loopback(line, [level + 1, most[line]]))
    wire.good(LimitsLowerRequest(Operation.RESET, 500, 400, 100, 5, 20_000, 60_000))
    assert wire.refused(loopback(LoopSource.SOURCE_LINE, [401]))[0] == "over_limit"


def test_the_arming_has_to_last(wire):
    wire.good(ArmRequest(2))
    assert wire.refused(loopback(LoopSource.BIT_LINE, [1000] * 10, samples=64))[0] == "not_armed"


def test_a_stopped_board_stays_at_the_read_level(target, wire):
    wire.good(ArmRequest(10_000))
    assert target.wire.exchange(StopRequest.CODE, b"", 0, 0)[0] == 0
    wire.good(loopback(LoopSource.WORD_LINE, [100]))
    wire.good(reference((0, 1)))
    assert wire.refused(loopback(LoopSource.WORD_LINE, [1000])) == ("safe_state", {"reason": 2})


def test_what_is_not_there_is_refused(wire, limits):
    expected = {"field": 0, "entry": 0, "value": 17, "minimum": 0, "maximum": LADDER_STEPS}
    assert wire.refused(loopback(LoopSource.REFERENCE, [17])) == ("out_of_range", expected)
    column = {"field": 0, "entry": 1, "value": limits.columns, "minimum": 0,
              "maximum": limits.columns - 1}  # fmt: skip
    bad = reference((0, 1), (limits.columns, 1))
    assert wire.refused(bad) == ("out_of_range", column)
    level = limits.read_code_max
    wire.good(reference((0, 1), code=level))
    assert wire.refused(reference((0, 1), code=level + 1))[0] == "over_limit"
    for code, payload in (
        (LoopbackRequest.CODE, bytes([24, 0, 1, 0, 0])),
        (LoopbackRequest.CODE, bytes([0, 4, 1, 0, 0])),
        (LoopbackRequest.CODE, bytes([0, 0, 65, 0, 0])),
        (ReadReferenceRequest.CODE, bytes([0, 0, 1, 0, 0, 4])),
        (ReadReferenceRequest.CODE, bytes([0, 0, 0, 0, 0, 1])),
    ):
        assert wire.ask_raw(code, payload)[0] == 3


def test_no_cell_sees_any_of_it(target, wire):
    before = wire.status()
    wire.good(ArmRequest(10_000))
    wire.good(loopback(LoopSource.BIT_LINE, [100, 2000]))
    wire.good(reference((5, 1), (5, 2)))
    after = wire.status()
    assert (after.pulses, after.reads) == (before.pulses, before.reads)
    if target.back_door is not None:
        assert not target.back_door.chip.cells.state["pulse_count"].any()


def line_check(*entries, code=163, samples=8):
    return LineCheckRequest(code, samples, tuple(LineCheckRequestEntry(*e) for e in entries))


@pytest.mark.parametrize("kind", list(ArrayLine))
def test_a_driven_line_shows_at_its_own_far_end_alone(target, wire, kind):
    target.need("known cells")
    far = LineProbe(int(kind))
    others = [LineProbe(n) for n in range(3) if n != kind]
    asked = [(kind, 5, far, 5), (kind, 5, LineProbe.NEAR, 0), (kind, 5, far, 6)]
    asked += [(kind, 5, other, 5) for other in others]
    found = means(wire, line_check(*asked))
    np.testing.assert_allclose(found, [163, 163, 0, 0, 0], atol=12)


def test_lines_of_pristine_cells_carry_a_current_and_no_cell_is_read(target, wire):
    target.need("known cells")
    before = wire.status()
    rows = means(
        wire, line_check(*[(ArrayLine.BIT_LINE, n, LineProbe.CURRENT, 0) for n in (3, 99)])
    )
    columns = means(wire, line_check((ArrayLine.SOURCE_LINE, 3, LineProbe.CURRENT, 0)))
    assert np.concatenate([rows, columns]).min() > 100
    after = wire.status()
    assert (after.reads, after.pulses) == (before.reads, before.pulses)


def test_line_checks_stay_at_the_read_level_and_inside_the_array(target, wire, limits):
    far = (ArrayLine.BIT_LINE, 0, LineProbe.FAR_BIT_LINE, 0)
    wire.good(line_check(far, code=limits.read_code_max))
    assert wire.refused(line_check(far, code=limits.read_code_max + 1))[0] == "over_limit"
    for wrong in (
        (ArrayLine.BIT_LINE, limits.rows, LineProbe.NEAR, 0),
        (ArrayLine.WORD_LINE, limits.columns, LineProbe.CURRENT, 0),
        (ArrayLine.BIT_LINE, 0, LineProbe.FAR_WORD_LINE, limits.columns),
    ):
        assert wire.refused(line_check(wrong))[0] == "out_of_range"


def test_the_gates_of_a_current_have_a_code_of_their_own(target, wire, limits):
    column = (ArrayLine.SOURCE_LINE, 3, LineProbe.CURRENT)
    found = means(wire, line_check((*column, 0), (*column, limits.set_gate_max), (*column, 1)))
    if "known cells" in target.features:
        np.testing.assert_allclose(found[1], found[0], atol=5)
        assert found[2] < 5  # closed gates
    assert wire.refused(line_check((*column, limits.set_gate_max + 1)))[0] == "over_limit"
