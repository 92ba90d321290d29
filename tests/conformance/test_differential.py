"""One conversation, several boards: the same requests get the same answers, byte for byte.

Noise and variation are off, so whatever differs is the firmware. Every board has a chip of its own
with the same cells. Answers are compared as they come over the line; captured codes of the loop may
differ by one.
"""

from __future__ import annotations

import struct
import zlib
from contextlib import ExitStack, contextmanager

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hil.boards import simulated, with_firmware
from hil.sim.board import make_board
from hil.sim.config import SimSettings
from protocols import messages as m
from protocols.hardware import load_board
from tests.conformance.conftest import Wire

BOARD = load_board("reference")
CAPACITY = {
    "ticks_max": 512,
    "trajectories_max": 2048,
    "trace_points_max": 4096,
    "tick_us_min": 100,
    "word_update_s": 4e-6,  # 18 words within the shortest tick
}
IDEAL = SimSettings.ideal(**CAPACITY)
REAL = SimSettings(**CAPACITY)
TICKS = 12
WIDTH = BOARD.loop.hidden_width
CAPTURED = (m.SamplesRequest.CODE, m.TraceRequest.CODE)
OWN = {"build", "port"}  # of hello; every board has its own
CODE = st.one_of(st.integers(0, 4095), st.sampled_from([0, 1, 2047, 2048, 4095]))


class Boards:
    """Some boards that are told the same."""

    def __init__(self, names, settings, stack) -> None:
        rng = np.random.default_rng(5)
        cells = np.full((BOARD.rows, BOARD.columns), np.nan)
        cells[:40, :40] = rng.uniform(20e-6, 180e-6, (40, 40))
        self.wires: dict[str, Wire] = {}
        for name in names:
            opened = (
                simulated(make_board(settings, BOARD))
                if name == "sim"
                else with_firmware(name, settings, BOARD)
            )
            stack.callback(opened.close)
            opened.simulated.set_conductances(cells)
            self.wires[name] = Wire(opened.stream)

    def hello(self, nonce: int) -> None:
        answers = [wire.hello(nonce) for wire in self.wires.values()]
        for name in {spec.name for spec in m.HelloResponse.FIELDS} - OWN:
            assert len({getattr(answer, name) for answer in answers}) == 1, name

    def ask(self, code: int, payload: bytes) -> int:
        """Ask all; the status that all have answered."""
        known = m.REQUESTS.get(code)
        answers = {}
        for name, wire in self.wires.items():
            if known is not None and known.SCOPE == "any":
                answers[name] = wire.exchange(code, payload, 0, 0)
            else:
                answers[name] = wire.ask_raw(code, payload)
        first, *others = answers
        for other in others:
            a, b = answers[first], answers[other]
            assert same(code, a, b), (
                f"{code:#04x} {payload.hex()}: {first} {a.hex()}, {other} {b.hex()}"
            )
        return answers[first][0]


@contextmanager
def boards(*names, settings=IDEAL):
    with ExitStack() as stack:
        found = Boards(names, settings, stack)
        found.hello(1)
        yield found


def same(code: int, a: bytes, b: bytes) -> bool:
    if code not in CAPTURED or a[0] != 0 or a[0] != b[0] or len(a) != len(b):
        return a == b
    captured = (np.frombuffer(x, "<u2", offset=1).astype(int) for x in (a, b))
    return int(np.abs(np.subtract(*captured)).max(initial=0)) <= 1


# --- requests -----------------------------------------------------------------------------------


def packed(*requests):
    return [(request.CODE, request.pack()) for request in requests]


def waves(rng, tick_us: int):
    """A store of random waveforms, committed."""
    codes = rng.integers(1000, 3100, (TICKS, 18)).tolist()
    entries = [
        m.WaveLoadRequestEntry(row[0], row[1], 40, (row[2], row[3]), tuple(row[4:]))
        for row in codes
    ]
    raw = b"".join(
        struct.pack("<19H", e.drift, e.score, e.noise, *e.offset, *e.embedding) for e in entries
    )
    offsets = m.WaveClassRequest(tuple(rng.integers(-200, 200, 14).tolist()))
    loads = [m.WaveLoadRequest(at, tuple(entries[at : at + 5])) for at in range(0, TICKS, 5)]
    crc = zlib.crc32(offsets.pack(), zlib.crc32(raw))
    return [m.WaveBeginRequest(TICKS, tick_us), offsets, *loads, m.WaveCommitRequest(crc)]


def layers(rng):
    sizes = ((3, WIDTH), (WIDTH + 1, WIDTH), (WIDTH + 1, 2))
    return [
        m.LoopLayerRequest(
            k, int(rng.integers(0, 20)), int(rng.integers(0, 12)), rows, columns,
            int(rng.integers(0, 2)), int(rng.integers(100, 1500)), int(rng.integers(0, 1500)),
        )
        for k, (rows, columns) in enumerate(sizes)
    ]  # fmt: skip


@st.composite
def loaded(draw):
    """Everything that a run needs."""
    rng = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    codes = rng.integers(1500, 2600, (300, 2)).tolist()
    pairs = [m.InitialRequestEntry((a, b)) for a, b in codes]
    starts = [m.InitialRequest(at, tuple(pairs[at : at + 50])) for at in range(0, 300, 50)]
    tick_us = draw(st.sampled_from([100, 777, 5000]))
    return packed(*waves(rng, tick_us), *layers(rng), *starts)


@st.composite
def ran(draw):
    """A run, polled once or twice, and what it captured."""
    count = draw(st.sampled_from([1, 2, 30, 257]))
    capture = draw(st.integers(1, TICKS + 1))
    every = draw(st.integers(0, 5))
    request = m.RunRequest(
        draw(st.integers(0, 0xFFFF)), draw(st.integers(0, 40)), count, capture,
        draw(st.sampled_from(list(m.Noise))), draw(st.integers(0, (1 << 64) - 1)),
        draw(st.integers(0, 1 << 20)), every, draw(st.integers(0, 4)),
    )  # fmt: skip
    polls = [m.ProgressRequest()] * draw(st.integers(0, 2))
    found = [m.SamplesRequest(0, min(count, 50)), m.SamplesRequest(max(count - 5, 0), 5)]
    traces = [m.TraceRequest(k, 0, capture // max(every, 1) + 1) for k in range(2)]
    return packed(request, *polls, *found, *traces)


@st.composite
def driven(draw):
    """Pulses and reads around what is allowed, mostly on a few cells."""
    place = st.one_of(st.integers(0, 4), st.integers(0, 130))
    entry = st.builds(
        m.PulseReadRequestEntry, place, place, st.sampled_from(list(m.Operation)),
        st.integers(0, 2200), st.integers(0, 3000), st.integers(1, 1001),
    )  # fmt: skip
    cells = st.builds(m.ReadRequestEntry, place, place)
    level = st.one_of(st.integers(0, 358), st.integers(0, 4095))
    pulses = m.PulseReadRequest(draw(level), tuple(draw(st.lists(entry, max_size=16))))
    reads = m.ReadRequest(draw(level), draw(st.integers(1, 64)), tuple(draw(st.lists(cells))))
    arm = m.ArmRequest(draw(st.sampled_from([1, 50, 60_000])))
    return packed(*draw(st.permutations([arm, pulses, pulses, reads, *draw(referred())])))


@st.composite
def products(draw):
    """Vectors around what is allowed: blocks beyond the array, vectors that are not whole."""
    corner = st.one_of(st.integers(0, 30), st.integers(100, 130))
    code = st.one_of(st.integers(1800, 2300), st.sampled_from([229, 230, 3866, 3867, 0, 4095]))
    inputs, vectors = draw(st.integers(1, 30)), draw(st.integers(0, 3))
    count = inputs * vectors + draw(st.sampled_from([0, 0, 0, 1]))
    codes = draw(st.lists(code, min_size=count, max_size=count))
    return m.MultiplyRequest(
        draw(corner), draw(corner), inputs, draw(st.integers(1, 60)), draw(st.integers(0, 3)),
        draw(st.integers(1, 16)), tuple(map(m.MultiplyRequestEntry, codes)),
    )  # fmt: skip


@st.composite
def referred(draw):
    """Loop-backs and reference resistors around what is allowed."""
    source = draw(st.one_of(st.integers(0, 4), st.sampled_from(list(m.LoopSource))))
    code = st.one_of(st.integers(0, 17), st.integers(0, 2900), CODE)
    codes = tuple(draw(st.lists(st.builds(m.LoopbackRequestEntry, code), max_size=54)))
    resistors = st.builds(m.ReadReferenceRequestEntry, st.integers(0, 130), st.integers(0, 3))
    lines = st.builds(
        m.LineCheckRequestEntry,
        st.integers(0, 2),
        st.integers(0, 128),
        st.integers(0, 4),
        st.one_of(st.integers(0, 129), st.integers(2900, 2930)),
    )
    return [
        draw(products()),
        m.LineCheckRequest(draw(st.integers(0, 360)), 2, tuple(draw(st.lists(lines, max_size=9)))),
        m.LoopbackRequest(source, draw(st.sampled_from(list(m.AdcInput))), 3, codes),
        m.ReadReferenceRequest(
            draw(st.integers(0, 360)), draw(st.integers(1, 64)), tuple(draw(st.lists(resistors)))
        ),
    ]


def field(spec):
    return st.one_of(
        st.integers(spec.minimum, spec.maximum),
        st.sampled_from([spec.minimum, spec.maximum]),
        st.integers(spec.minimum, min(spec.maximum, spec.minimum + 60)),
    )


@st.composite
def anything(draw):
    """Any request with any allowed values, or bytes that are none."""
    kind = draw(st.sampled_from([*m.REQUESTS.values(), None]))
    if kind is None or kind in (m.HelloRequest, m.RunRequest):
        return [(draw(st.integers(0x10, 0x7F)), draw(st.binary(max_size=30)))]
    values = []
    for record, most in ((kind, 1), (kind.ENTRY, 4)):
        for _ in range(0 if record is None else draw(st.integers(min(most, 1), most))):
            numbers = [draw(field(spec)) for spec in record.FIELDS for _ in range(spec.count)]
            values.append(record.STRUCT.pack(*numbers))
    return [(kind.CODE, b"".join(values))]


@st.composite
def probed(draw):
    x = (draw(CODE), draw(CODE))
    asked = m.ProbeRequest(draw(st.integers(0, TICKS)), x, draw(st.integers(1, 8)))
    clear = m.SafeClearRequest(draw(st.sampled_from(list(m.SafeReason))))
    return packed(asked, clear, m.AdvanceRequest(draw(st.integers(1, 3_000_000))))


STATUS = packed(m.StatusRequest())
STEP = st.one_of(loaded(), ran(), driven(), anything(), probed(), st.just(STATUS))
TALK = st.tuples(loaded(), st.lists(STEP, min_size=5, max_size=25))


def talk(all_boards: Boards, conversation) -> None:
    start, steps = conversation
    for step in (start, *steps, STATUS):
        for code, payload in step:
            all_boards.ask(code, payload)


# --- tests --------------------------------------------------------------------------------------

QUICK = settings(max_examples=40, suppress_health_check=list(HealthCheck))


@QUICK
@given(conversation=TALK)
def test_the_firmware_answers_as_the_simulated_board(need_firmware, conversation):
    need_firmware("native")
    with boards("sim", "native") as both:
        talk(both, conversation)


@settings(QUICK, max_examples=15)
@given(conversation=TALK)
def test_noise_and_variation_change_nothing_of_that(need_firmware, conversation):
    """The firmware draws the same noise, and asks for the same things at the same times."""
    need_firmware("native")
    with boards("sim", "native", settings=REAL) as both:
        talk(both, conversation)


@settings(QUICK, max_examples=12)
@given(conversation=TALK)
def test_the_emulated_chip_answers_as_both(need_firmware, conversation):
    need_firmware("qemu")
    with boards("sim", "native", "qemu") as all_three:
        talk(all_three, conversation)


def test_a_job_gives_the_same_codes(need_firmware):
    """A fixed conversation in which nothing is refused: not all of the above are refusals."""
    need_firmware("native")
    rng = np.random.default_rng(8)
    pairs = tuple(m.InitialRequestEntry((1800 + i, 2300 - i)) for i in range(40))
    pulses = tuple(
        m.PulseReadRequestEntry(r, 50, operation, 1500 + 40 * r, 2000 + 100 * r, 50 + r)
        for r in range(5)
        for operation in m.Operation
    )
    run = {"count": 40, "capture_tick": TICKS, "seed": 9, "trajectory": 3}
    with boards("sim", "native") as both:
        for request in (
            m.ArmRequest(60_000),
            m.PulseReadRequest(163, pulses),
            m.ReadRequest(163, 16, tuple(m.ReadRequestEntry(r, 50) for r in range(6))),
            *(
                m.LoopbackRequest(
                    source, number % 4, 5, tuple(map(m.LoopbackRequestEntry, (0, 7, 16)))
                )
                for number, source in enumerate(m.LoopSource)
            ),
            m.LoopbackRequest(m.LoopSource.WORD_LINE, 0, 9, (m.LoopbackRequestEntry(3000),)),
            m.ReadReferenceRequest(
                163, 8, tuple(m.ReadReferenceRequestEntry(9 * r, r) for r in range(4))
            ),
            m.LineCheckRequest(
                163,
                8,
                tuple(
                    m.LineCheckRequestEntry(k, 9 * k, p, 9 * k) for k in range(3) for p in range(5)
                ),
            ),
            *(
                m.MultiplyRequest(
                    3, 5, 7, 20, scale, 3, tuple(map(m.MultiplyRequestEntry, range(1900, 2150, 9)))
                )
                for scale in range(4)
            ),
            *waves(rng, 5000),
            *layers(rng),
            m.InitialRequest(0, pairs),
            *(m.ProbeRequest(tick, (1900, 2200), 4) for tick in range(TICKS)),
            *(
                request
                for number, noise in enumerate(m.Noise)
                for request in (
                    m.RunRequest(number, 0, noise=noise, trace_every=4, trace_count=3, **run),
                    m.ProgressRequest(),
                    m.SamplesRequest(0, 40),
                    *(m.TraceRequest(k, 0, TICKS // 4 + 1) for k in range(3)),
                )
            ),
            m.StatusRequest(),
        ):
            assert both.ask(request.CODE, request.pack()) == 0, request


@pytest.mark.parametrize("ticks", [1, 5, 0])
def test_ticks_per_transaction_change_no_code(need_firmware, ticks):
    """Lock-step or a trajectory at once: the same captures to the last bit, noise on."""
    need_firmware("native")
    rng = np.random.default_rng(2)
    requests = [*waves(rng, 777), *layers(rng)]
    requests += [
        m.InitialRequest(0, tuple(m.InitialRequestEntry((2000, 2100 + i)) for i in range(9)))
    ]
    requests += [
        m.RunRequest(1, 0, 9, TICKS, m.Noise.SEEDED, 4, 0, 3, 2),
        m.ProgressRequest(),
        m.SamplesRequest(0, 9),
        m.TraceRequest(1, 0, TICKS // 3 + 1),
    ]
    found = []
    for name, share in (("sim", 0), ("native", ticks)):
        opened = (
            simulated(make_board(REAL, BOARD))
            if name == "sim"
            else with_firmware(name, REAL, BOARD, ticks_per_transaction=share)
        )
        wire = Wire(opened.stream)
        wire.hello()
        found.append([wire.ask(request) for request in requests])
        opened.close()
    assert found[0] == found[1]
    assert all(answer[0] == 0 for answer in found[0])
