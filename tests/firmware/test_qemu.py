"""The real ELF on QEMU: fw_sim.elf against the simulated board, fw_hw.elf line by line."""

from __future__ import annotations

import time

import numpy as np
import pytest

from hil.sim.board import make_board
from hil.sim.chip import Chip
from protocols import messages as m
from protocols.board_map import BoardMap, load_map
from tests.firmware import dialogue
from tests.firmware.boards import QemuBoard
from tests.firmware.dialogue import Host
from tests.firmware.physics import Physics
from tests.firmware.trace import Lines, Trace

pytestmark = [pytest.mark.usefixtures("emulator"), pytest.mark.slow]

LOOP_CHANNELS = ["drift", "score", "noise 1", "noise 2", *(f"embedding {i}" for i in range(1, 15))]


@pytest.fixture
def sim_image(tmp_path, description, settings):
    physics = Physics(description, settings, Chip.open(None, settings, description))
    physics.ticks_per_transaction = 1
    board = QemuBoard(tmp_path, "arm/fw_sim.elf", physics)
    yield board
    board.close()


def start(folder, image, board=None):
    """The shipped image and what follows its lines."""
    path = folder / "trace"
    host = Host(QemuBoard(folder, image, trace=path))
    assert host.hello().port == m.Port.STM32F407
    return host, Trace(path, board)


@pytest.fixture
def hw_image(tmp_path):
    host, trace = start(tmp_path, "arm/fw_hw.elf")
    yield host, trace
    host.board.close()


@pytest.fixture
def published_image(tmp_path, make):
    """The same for the published pins, where every DAC is bit-banged."""
    make("arm", WIRING="published", ARM="build/arm_published")
    published = load_map(wiring="published")
    host, trace = start(tmp_path, "arm_published/fw_hw.elf", published)
    yield host, trace
    host.board.close()


# --- fw_sim.elf --------------------------------------------------------------------------------


def test_the_image_gives_the_codes_of_the_simulated_board(sim_image, description, settings):
    """Tick by tick through semihosting, effects and noise on: every answer agrees to the bit."""
    physics = sim_image.server.physics
    sim = Host(make_board(settings, description))
    image = Host(sim_image)
    sim.hello()
    assert image.hello().port == m.Port.QEMU
    rng = np.random.default_rng(3)
    requests = [*dialogue.waves(rng), *dialogue.layers(), *dialogue.initial(rng, 20)]
    for noise in m.Noise:
        requests += dialogue.run(int(noise), 20, noise)
    requests += [dialogue.some(rng) for _ in range(150)]
    for request in requests:
        wanted, got = sim.ask(request), image.ask(request)
        if isinstance(request, m.StatusRequest):  # hello had to be repeated: those frames count
            wanted, got = wanted[:25], got[:25]
        assert got == wanted, f"{request}: {got.hex()} instead of {wanted.hex()}"
    assert physics.transactions > 3 * 20 * dialogue.TICKS


def test_a_front_end_that_dies_leaves_the_board_alive(sim_image):
    host = Host(sim_image)
    host.hello()

    def die(request: bytes) -> bytes:
        raise OSError("the front end has died")

    sim_image.server.physics.answer = die
    assert host.exchange(0, 0, m.StopRequest.CODE, b"")[0] == 0
    status = m.StatusResponse.unpack(host.ask(m.StatusRequest())[1:])
    assert status.safe_reason == m.SafeReason.INTERLOCK


# --- fw_hw.elf ---------------------------------------------------------------------------------


def settle(host: Host) -> None:
    """All that was asked has been done when the answer to this is there."""
    assert host.ask(m.StatusRequest())[0] == 0


def safe_codes(lines):
    """What has to be at each output that the firmware drives while nothing is to be driven."""
    assert {lines.channel(name) for name in LOOP_CHANNELS} == {2048}
    assert {lines.channel(f"{name} line") for name in ("word", "bit", "source")} == {0}
    assert {lines.channel(f"initial {axis}") for axis in "12"} == {2048}


@pytest.mark.parametrize("wiring", ["hw_image", "published_image"])
def test_power_up_leaves_every_output_safe(wiring, request):
    _, trace = request.getfixturevalue(wiring)
    trace.lines.quiet = True
    events = trace.follow()
    lines = trace.lines
    assert all(dac.powered for dac in lines.dacs.values())
    safe_codes(lines)
    assert not any(lines.switches.values())
    assert lines.select[2] == 0
    first = next(k for k, event in enumerate(events) if event[0] == "word")
    assert ("select", 2, 0) in events[:first], "the array is grounded before a DAC gets a word"
    enabled = [k for k, event in enumerate(events) if event[2:] == (0xF010,)]
    assert len(enabled) == 10
    told = {(dac, word >> 12): word & 0xFFF for _, dac, word in events[first : enabled[0]]}
    for channel in lines.board.dac_channels:
        place = (channel.dac, "ABCD".index(channel.output))
        assert told[place] == (channel.safe_code or 0), f"{place} is enabled before its zero"


def test_pull_downs_are_tried_when_everything_is_safe(hw_image):
    _, trace = hw_image
    events = trace.follow()
    tried = [k for k, event in enumerate(events) if event[0] == "pulled up"]
    pulled = {line.pin for line in trace.lines.board.mcu_lines if line.pull == "down"}
    inputs = {"PC13", "PA10"}  # interlock and UART are pulled up for good
    assert {events[k][1] for k in tried} == pulled | inputs
    after = [k for k in tried if events[k][1] not in inputs]
    assert min(after) > max(k for k, event in enumerate(events) if event[2:] == (0xF010,))


def test_a_reset_in_the_middle_of_a_pulse_leaves_nothing_driven(hw_image, tmp_path):
    """The trace up to the pulse, cut there, and what the program does when it starts again."""
    host, _ = hw_image
    trace = Trace(tmp_path / "trace")
    power_up = trace.writes()
    assert host.ask(m.ArmRequest(1000))[0] == 0
    pulse = m.PulseReadRequestEntry(17, 99, m.Operation.FORM, 1000, 1234, 50000)
    assert host.ask(m.PulseReadRequest(163, (pulse,)))[0] == 0
    lines = Lines(load_map())
    for address, value in [*power_up, *trace.writes()]:
        lines.write(address, value)
        if lines.window:
            break
    assert lines.driven() == ["a line of the array", "the pulse window"]
    lines.restart()
    assert lines.driven() == [], "the resistors and the cleared latches hold it"
    assert lines.channel("bit line") == 1234, "while the DACs still put the pulse out"
    lines.quiet = True
    for address, value in power_up:
        lines.write(address, value)
    safe_codes(lines)


def test_without_cleared_latches_a_reset_would_leave_a_line_driven(hw_image):
    """What the model of the reset is worth: it finds a board that is drawn otherwise."""
    _, trace = hw_image
    drawn = load_map().drawn
    reset = drawn.reset.model_copy(update={"also_clears": ()})
    lines = Lines(BoardMap(drawn.model_copy(update={"reset": reset})))
    for address, value in trace.writes():
        lines.write(address, value)
    lines.select[2] = 3
    lines.dacs[5].outputs[1] = 163
    lines.restart()
    assert lines.driven() == ["a line of the array"]


def test_a_reset_in_the_middle_of_a_run_leaves_nothing_driven(hw_image):
    host, trace = hw_image
    rng = np.random.default_rng(2)
    requests = [*dialogue.waves(rng, 20, noise=0), *dialogue.layers(), *dialogue.initial(rng, 50)]
    for request in requests:
        assert host.ask(request)[0] == 0
    assert host.ask(m.RunRequest(1, 0, 50, 20, m.Noise.NONE, 0, 0, 0, 0))[0] == 0
    deadline = time.monotonic() + 20
    while not any(trace.lines.switches.values()):
        trace.follow()
        assert time.monotonic() < deadline
    restarts = trace.lines.restarts
    host.board.reset()
    assert host.hello(nonce=6).safe_reason == m.SafeReason.POWER_UP
    settle(host)
    before = True
    for address, value in trace.writes():
        trace.lines.write(address, value)
        if before and trace.lines.restarts > restarts:
            before, trace.lines.quiet = False, True
    assert trace.lines.restarts == restarts + 1
    assert not any(trace.lines.switches.values())
    safe_codes(trace.lines)


def test_a_pulse_drives_its_lines_in_order(hw_image):
    host, trace = hw_image
    trace.follow()
    assert host.ask(m.ArmRequest(1000))[0] == 0
    pulse = m.PulseReadRequestEntry(17, 99, m.Operation.SET, 1000, 1234, 500)
    assert host.ask(m.PulseReadRequest(163, (pulse,)))[0] == 0
    assert trace.follow() == [
        ("select", 0, 17),
        ("select", 1, 99),
        ("select", 2, 1),
        ("word", 5, 0x0000 | 1000),
        ("word", 5, 0x1000 | 1234),
        ("pulse", 10_000),  # 10 us of a timer that QEMU runs at 1 GHz
        ("word", 5, 0x1000),
        ("select", 2, 3),
        ("word", 5, 0x0000 | 2913),
        ("word", 5, 0x1000 | 163),
        ("word", 5, 0x1000),
        ("word", 5, 0x2000),
        ("word", 5, 0x0000),
        ("select", 2, 0),
    ]
    pulse = m.PulseReadRequestEntry(1, 2, m.Operation.RESET, 1000, 1234, 500)
    assert host.ask(m.PulseReadRequest(163, (pulse,)))[0] == 0
    events = trace.follow()
    assert events[2:7] == [
        ("select", 2, 2), ("word", 5, 1000), ("word", 5, 0x2000 | 1234), ("pulse", 10_000),
        ("word", 5, 0x2000),
    ]  # fmt: skip


def test_a_loopback_cuts_the_array_off_before_anything_is_put_out(hw_image):
    host, trace = hw_image
    trace.follow()
    codes = tuple(map(m.LoopbackRequestEntry, (5, 300)))
    assert host.ask(m.LoopbackRequest(m.LoopSource.BIT_LINE, m.AdcInput.READ, 2, codes))[0] == 0
    events = trace.follow()
    shown = [e for e in events if e[0] == "select" or e[:2] == ("word", 5)]
    one = [("word", 5, 0x0000), ("word", 5, 0x1000), ("word", 5, 0x2000)]
    for code in (5, 300):  # one at a time: a stop may come between
        part, shown = shown[:8], shown[8:]
        assert part[:3] == [("select", 13, 1), ("select", 2, 5), ("word", 5, 0x1000 | code)]
        assert part[3:6] == one
        assert part[6:] == [("select", 14, 0), ("select", 2, 0)]
    assert shown == []
    loop = m.LoopbackRequest(m.LoopSource.EMBEDDING_14, m.AdcInput.PROBE, 1, codes[:1])
    assert host.ask(loop)[0] == 0
    dac, channel = trace.lines.place("embedding 14")
    assert ("word", dac, channel << 12 | 5) in trace.follow()
    tap = m.LoopbackRequest(m.LoopSource.REFERENCE, m.AdcInput.READ, 1, codes[:1])
    assert host.ask(tap)[0] == 0
    assert ("select", 14, 5) in trace.follow()
    assert {trace.lines.channel(name) for name in LOOP_CHANNELS} == {2048}
    high = m.LoopbackRequest(1, 0, 1, (m.LoopbackRequestEntry(2000),))
    assert m.STATUSES[host.ask(high)[0]].name == "not_armed"
    assert trace.follow() == []


def test_a_reference_resistor_takes_the_place_of_the_array(hw_image):
    host, trace = hw_image
    trace.follow()
    entry = (m.ReadReferenceRequestEntry(99, 3),)
    assert host.ask(m.ReadReferenceRequest(163, 2, entry))[0] == 0
    assert trace.follow() == [
        ("select", 1, 99),
        ("select", 15, 3),
        ("select", 2, 6),
        ("word", 5, 0x1000 | 163),
        ("word", 5, 0x1000),
        ("word", 5, 0x2000),
        ("word", 5, 0x0000),
        ("select", 2, 0),
        ("select", 15, 0),
    ]


def test_a_line_check_drives_one_line_with_the_gates_closed(hw_image):
    host, trace = hw_image
    trace.follow()
    entry = m.LineCheckRequestEntry(m.ArrayLine.SOURCE_LINE, 7, m.LineProbe.FAR_BIT_LINE, 9)
    assert host.ask(m.LineCheckRequest(82, 1, (entry,)))[0] == 0
    seen = trace.follow()
    selected = [("select", 13, 1), ("select", 14, 0), ("select", 0, 7), ("select", 1, 9)]
    assert seen[:6] == [*selected, ("select", 2, 7), ("word", 5, 0x2000 | 82)]
    assert ("select", 2, 0) in seen[6:]
    assert not any(one[-1] == 82 for one in seen[6:])


def test_a_product_loads_its_rows_before_they_are_let_go(hw_image):
    host, trace = hw_image
    trace.follow()
    codes = tuple(map(m.MultiplyRequestEntry, (2100, 1900, 2048, 3000)))
    assert host.ask(m.MultiplyRequest(3, 9, 2, 2, 2, 1, codes))[0] == 0
    expected = []
    for rows in ({3: 2100, 4: 1900}, {3: 2048, 4: 3000}):  # one at a time: a stop may come between
        expected += [
            ("select", 16, 2),
            ("select", 2, 10),
            ("word", 5, 0x0000 | 2913),
            ("select", 0, 3),
            ("select", 0, 4),
            ("rows", rows),
            ("select", 1, 9),
            ("select", 1, 10),
            ("rows", {}),
            ("word", 5, 0x1000),
            ("word", 5, 0x2000),
            ("word", 5, 0x0000),
            ("select", 2, 0),
            ("select", 16, 0),
        ]
    assert trace.follow() == expected


def test_refused_pulses_move_no_line(hw_image):
    host, trace = hw_image
    trace.follow()
    pulse = m.PulseReadRequestEntry(17, 99, m.Operation.SET, 1000, 1234, 500)
    high = m.PulseReadRequestEntry(17, 99, m.Operation.SET, 2914, 1234, 500)
    assert m.STATUSES[host.ask(m.PulseReadRequest(163, (pulse,)))[0]].name == "not_armed"
    assert host.ask(m.ArmRequest(1000))[0] == 0
    assert m.STATUSES[host.ask(m.PulseReadRequest(163, (pulse, high)))[0]].name == "over_limit"
    assert trace.follow() == []


@pytest.mark.parametrize("wiring", ["hw_image", "published_image"])
def test_a_run_updates_all_words_of_a_tick_together(wiring, request):
    host, trace = request.getfixturevalue(wiring)
    ticks, count = 6, 2
    rng = np.random.default_rng(2)
    requests = [*dialogue.waves(rng, ticks, noise=0), *dialogue.layers()]
    for one in [*requests, *dialogue.initial(rng, count)]:
        assert host.ask(one)[0] == 0
    entries = [e for r in requests if isinstance(r, m.WaveLoadRequest) for e in r.entries]
    offsets = next(r.offset for r in requests if isinstance(r, m.WaveClassRequest))
    trace.follow()
    assert host.ask(m.RunRequest(1, 0, count, ticks, m.Noise.NONE, 0, 0, 2, 1))[0] == 0
    deadline = time.monotonic() + 20
    while True:
        progress = m.ProgressResponse.unpack(host.ask(m.ProgressRequest())[1:])
        if progress.run_state != m.RunState.RUNNING or time.monotonic() > deadline:
            break
    settle(host)
    assert (progress.run_state, progress.done) == (m.RunState.DONE, count)
    events, lines = trace.follow(), trace.lines
    updates = lines.updates()
    assert [set(update) for update in updates] == [{1, 2, 3, 4, 9}] * (ticks * count)
    for k, update in enumerate(updates):
        e = entries[k % ticks]
        shifted = [code + offset for code, offset in zip(e.embedding, offsets, strict=True)]
        codes = [update[dac][channel] for dac, channel in map(lines.place, LOOP_CHANNELS)]
        assert codes == [e.drift, e.score, *e.offset, *shifted], f"tick {k}"
    switches = [event[1:] for event in events if event[0] == "switch"]
    one = [("preset_1", 1), ("preset_2", 1), ("preset_1", 0), ("preset_2", 0)]
    one += [("integrate_1", 1), ("integrate_2", 1), ("integrate_1", 0), ("integrate_2", 0)]
    assert switches == one * count
    assert {lines.channel(name) for name in LOOP_CHANNELS} == {2048}, "safe after the run"


def test_stop_opens_every_switch(hw_image):
    host, trace = hw_image
    rng = np.random.default_rng(2)
    requests = [*dialogue.waves(rng, 20, noise=0), *dialogue.layers(), *dialogue.initial(rng, 50)]
    for request in requests:
        assert host.ask(request)[0] == 0
    assert host.ask(m.RunRequest(1, 0, 50, 20, m.Noise.NONE, 0, 0, 0, 0))[0] == 0
    assert host.exchange(0, 0, m.StopRequest.CODE, b"")[1] == m.SafeReason.STOP
    progress = m.ProgressResponse.unpack(host.ask(m.ProgressRequest())[1:])
    assert progress.run_state == m.RunState.ABORTED
    trace.follow()
    assert not any(trace.lines.switches.values())
    assert {trace.lines.channel(name) for name in LOOP_CHANNELS} == {2048}
    assert trace.lines.select[2] == 0
    assert trace.follow() == []


def test_what_the_emulator_lacks_is_refused(hw_image):
    host, _ = hw_image
    rng = np.random.default_rng(2)
    for request in [*dialogue.waves(rng), *dialogue.layers(), *dialogue.initial(rng, 1)]:
        assert host.ask(request)[0] == 0
    hardware = m.RunRequest(1, 0, 1, 5, m.Noise.HARDWARE, 0, 0, 0, 0)
    assert m.STATUSES[host.ask(hardware)[0]].name == "not_supported"
    assert m.STATUSES[host.ask(m.AdvanceRequest(5))[0]].name == "not_supported"
