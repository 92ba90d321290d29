"""Frames made by hand: what a host that keeps no rule may send."""

from __future__ import annotations

import random
from collections.abc import Callable

from benchmarks._limit_witness import Lowered, Witness
from drivers.stream import Stream
from hil.boards import OpenBoard
from protocols import frame
from protocols import messages as m
from protocols.codec import Message
from protocols.energy import ENERGY_UNIT

READ_CODE = 163
ARM_MS = 60_000
CODE_MAX = 4095
CODE_ZERO = 2048
PULSES_MAX = m.PulseReadRequest.entries_per_payload(m.PAYLOAD_BYTES)
Pulse = tuple[int, int, int, int, int, int]


class RawHost:
    """One end of the line, without any check of its own."""

    def __init__(self, opened: OpenBoard, witness: Witness, rng: random.Random) -> None:
        self.witness, self.rng = witness, rng
        self.behind = opened.simulated
        self.hello = m.HelloResponse(**{f.name: 0 for f in m.HelloResponse.FIELDS} | {"build": b""})
        self.session, self.next = 0, 1
        self._stream: Stream = opened.stream
        self._decoder = frame.Decoder()
        self._nonce = rng.getrandbits(31)

    # --- the line --------------------------------------------------------------------------------

    def send(self, *frames: bytes) -> list[frame.Frame]:
        """Bytes out; the answers that come back."""
        self._stream.write(b"".join(frames))
        return self._decoder.feed(self._stream.read(1.0))

    def pack(
        self, request: Message, sequence: int | None = None, session: int | None = None
    ) -> bytes:
        """A request as a frame; the next number, unless one is named."""
        if sequence is None:
            sequence, self.next = self.next, self.next + 1
        number = self.session if session is None else session
        return frame.encode(frame.Frame(number, sequence, request.CODE, request.pack()))

    def ask(self, request: Message) -> int:
        """Send a request with the next number; the status of its answer."""
        (answer,) = self.send(self.pack(request))
        return answer.payload[0]

    def anytime(self, request: Message) -> bytes:
        """A request of scope any; its answer's payload."""
        (answer,) = self.send(frame.encode(frame.Frame(0, 0, request.CODE, request.pack())))
        return answer.payload

    # --- states ----------------------------------------------------------------------------------

    def begin(self) -> None:
        """A new session, armed, nothing latched."""
        self.open()
        self.ask(m.SafeClearRequest(self.hello.safe_reason))
        self.arm()

    def open(self) -> None:
        """A new session."""
        self._nonce = (self._nonce + 1) & 0xFFFFFFFF
        payload = self.anytime(m.HelloRequest(self._nonce))
        self.hello = m.HelloResponse.unpack(payload[1:])
        self.session, self.next = self.hello.session, 1
        self.witness.new_session()
        self.witness.allowance = None

    def arm(self, milliseconds: int = ARM_MS) -> None:
        """Arm; the witness knows."""
        if self.ask(m.ArmRequest(milliseconds)) == 0:
            self.witness.may_pulse = True

    def hard(self, kind: int) -> Lowered:
        """The board's own limits of an operation."""
        name, hello = m.Operation(kind).name.lower(), self.hello
        gate, line, width = (getattr(hello, f"{name}_{q}_max") for q in ("gate", "line", "width"))
        energy = getattr(hello, f"{name}_energy_max") * ENERGY_UNIT
        return Lowered(gate, line, width, hello.pulses_per_cell_max, energy)

    def lower(self, kind: int, to: Lowered, arm_ms: int | None = None) -> int:
        """`limits_lower`; the status."""
        most_ms = self.hello.arm_ms_max if arm_ms is None else arm_ms
        energy = to.energy // ENERGY_UNIT
        request = m.LimitsLowerRequest(kind, to.gate, to.line, to.width, to.pulses, energy, most_ms)
        status = self.ask(request)
        if status == 0:
            self.witness.lowered[m.Operation(kind)] = to
        return status

    # --- pulses ----------------------------------------------------------------------------------

    def good(self, kind: int | None = None) -> Pulse:
        """A pulse well within every limit."""
        rng = self.rng
        kind = rng.randrange(3) if kind is None else kind
        return (rng.randrange(128), rng.randrange(128), kind, 60, 60, rng.randint(1, 20))

    def batch(self, *pulses: Pulse, read_code: int = READ_CODE) -> Message:
        """A request of these pulses."""
        entries = tuple(m.PulseReadRequestEntry(*one) for one in pulses)
        return m.PulseReadRequest(read_code, entries)

    def mixed(self, bad: Pulse) -> Message:
        """A request with one pulse among good ones."""
        pulses = [self.good() for _ in range(self.rng.randrange(PULSES_MAX))]
        pulses.insert(self.rng.randint(0, len(pulses)), bad)
        return self.batch(*pulses)


def _above(rng: random.Random, limit: int, top: int) -> int:
    """Just over a limit, or far."""
    return min(limit + 1 + (rng.randrange(top) if rng.random() < 0.5 else 0), max(top, limit + 1))


def over_a_code(host: RawHost) -> None:
    """One quantity of one pulse is over the board's limit."""
    rng = host.rng
    row, column, kind, *codes = host.good()
    hard = host.hard(kind)
    which = rng.randrange(3)
    limit, top = ((hard.gate, CODE_MAX), (hard.line, CODE_MAX), (hard.width, 1 << 31))[which]
    codes[which] = _above(rng, limit, top)
    host.send(host.pack(host.mixed((row, column, kind, codes[0], codes[1], codes[2]))))


def another_operation(host: RawHost) -> None:
    """What one operation may have and another may not."""
    form, reset = host.hard(m.Operation.FORM), host.hard(m.Operation.RESET)
    row, column, *_ = host.good()
    bad: tuple[Pulse, ...] = (
        (row, column, m.Operation.SET, 100, form.line, 10),
        (row, column, m.Operation.RESET, 100, 100, form.width),
        (row, column, m.Operation.FORM, reset.gate, 100, 10),
    )
    host.send(host.pack(host.mixed(host.rng.choice(bad))))


def over_the_read_level(host: RawHost) -> None:
    """A read voltage that could change a cell."""
    code = _above(host.rng, host.hello.read_code_max, CODE_MAX)
    requests: tuple[Message, ...] = (
        host.batch(host.good(), read_code=code),
        m.ReadRequest(code, 1, (m.ReadRequestEntry(1, 2),)),
        m.ReadReferenceRequest(code, 1, (m.ReadReferenceRequestEntry(1, 2),)),
        m.LineCheckRequest(code, 1, (m.LineCheckRequestEntry(0, 1, 3, 0),)),
        _product(host),
    )
    host.send(host.pack(host.rng.choice(requests)))


def _product(host: RawHost) -> Message:
    """A vector with one input beyond the read level, of either sign."""
    most = host.hello.multiply_code_max
    size = host.rng.choice((most + 1, host.rng.randint(most + 1, CODE_ZERO - 1)))
    codes = [CODE_ZERO] * host.rng.randint(0, 20) + [CODE_ZERO + host.rng.choice((-1, 1)) * size]
    host.rng.shuffle(codes)
    entries = tuple(map(m.MultiplyRequestEntry, codes))
    return m.MultiplyRequest(0, 0, len(codes), 3, host.rng.randrange(4), 1, entries)


def loopback(host: RawHost) -> None:
    """A line of the array at more than any pulse may have, or unarmed above the read level."""
    source = host.rng.choice(
        (m.LoopSource.BIT_LINE, m.LoopSource.SOURCE_LINE, m.LoopSource.WORD_LINE)
    )
    code = host.rng.randint(3700, CODE_MAX)
    if host.rng.random() < 0.5:
        _disarm(host)
        code = host.rng.randint(host.hello.read_code_max + 1, CODE_MAX)
    host.send(host.pack(m.LoopbackRequest(source, 0, 1, (m.LoopbackRequestEntry(code),))))


def _disarm(host: RawHost) -> None:
    host.ask(m.DisarmRequest())
    host.witness.may_pulse = False


def unarmed(host: RawHost) -> None:
    """Pulses after a disarm."""
    _disarm(host)
    host.send(host.pack(host.mixed(host.good())))


def out_of_time(host: RawHost) -> None:
    """Pulses after the arming has ended, or after the watchdog has acted."""
    if host.rng.random() < 0.5:
        host.arm(20)
        host.ask(m.AdvanceRequest(host.rng.randint(21_000, 1_000_000)))
    else:
        host.ask(m.AdvanceRequest(host.hello.watchdog_ms * 1000 + host.rng.randrange(10**6)))
    host.witness.may_pulse = False
    host.send(host.pack(host.mixed(host.good())))


def armed_for_too_long(host: RawHost) -> None:
    """Arming for longer than allowed, by the board or by a lowered limit."""
    _disarm(host)
    most = host.hello.arm_ms_max
    if host.rng.random() < 0.5:
        most = host.rng.randint(1, 5000)
        host.lower(0, host.hard(0), most)
    host.send(host.pack(m.ArmRequest(_above(host.rng, most, 1 << 31))))
    host.send(host.pack(host.mixed(host.good())))


def stopped(host: RawHost) -> None:
    """Pulses behind a stop, with an arming, and with the wrong reason cleared."""
    host.anytime(m.StopRequest())
    host.witness.may_pulse = False
    host.send(host.pack(m.SafeClearRequest(m.SafeReason.WATCHDOG)), host.pack(m.ArmRequest(ARM_MS)))
    host.send(host.pack(host.mixed(host.good())))


def stop_between(host: RawHost) -> None:
    """A stop between batches that are on their way already: those behind it are not driven."""
    before = host.batch(*[host.good() for _ in range(host.rng.randint(1, PULSES_MAX))])
    first = host.pack(before)
    behind = [host.pack(host.mixed(host.good())) for _ in range(host.rng.randint(1, 6))]
    stop = frame.encode(frame.Frame(0, 0, m.StopRequest.CODE, b""))
    host.witness.allowance = len(before.entries)  # type: ignore[attr-defined]
    host.send(first, stop, *behind)


def interlock(host: RawHost) -> None:
    """Pulses with an open cover."""
    host.behind.open_interlock()  # type: ignore[union-attr]
    host.witness.may_pulse = False
    host.send(host.pack(m.ArmRequest(ARM_MS)), host.pack(host.mixed(host.good())))
    host.behind.close_interlock()  # type: ignore[union-attr]
    host.send(host.pack(host.mixed(host.good())))


def _lowered(host: RawHost, kind: int) -> Lowered:
    rng, hard = host.rng, host.hard(kind)
    line, width = rng.randint(100, hard.line), rng.randint(20, hard.width)
    unit = max(1, line**2 * width // ENERGY_UNIT // rng.choice((1, 2, 8)))
    gate = rng.randint(100, hard.gate)
    return Lowered(gate, line, width, rng.randint(1, 40), unit * ENERGY_UNIT)


def over_what_was_lowered(host: RawHost) -> None:
    """One quantity over a limit that the host has lowered, energy and pulse count among them."""
    row, column, kind, *codes = host.good()
    low = _lowered(host, kind)
    host.lower(kind, low)
    which = host.rng.randrange(5)
    if which < 3:
        limit, top = ((low.gate, CODE_MAX), (low.line, CODE_MAX), (low.width, 1 << 31))[which]
        codes[which] = _above(host.rng, limit, top)
        host.send(host.pack(host.batch((row, column, kind, codes[0], codes[1], codes[2]))))
    elif which == 3:
        line = max(1, host.rng.randint(low.line // 2, low.line))
        ticks = low.energy // line**2 + 1
        host.send(host.pack(host.batch((row, column, kind, 60, line, ticks))))
    else:
        pulse = (row, column, kind, 60, min(60, low.line), 1)
        for _ in range(low.pulses // 10 + 2):
            host.send(host.pack(host.batch(*[pulse] * 10)))


def raised(host: RawHost) -> None:
    """Limits raised over the board's own, or over what was lowered; then pulses that use it."""
    row, column, kind, *codes = host.good()
    low = _lowered(host, kind)
    if host.rng.random() < 0.5:
        host.lower(kind, low)
    else:
        low = host.hard(kind)
    parts = [low.gate, low.line, low.width, low.pulses, low.energy]
    which = host.rng.randrange(5)
    parts[which] += ENERGY_UNIT if which == 4 else host.rng.randint(1, 200)
    values = [
        min(parts[0], CODE_MAX),
        min(parts[1], CODE_MAX),
        *parts[2:4],
        parts[4] // ENERGY_UNIT,
    ]
    host.send(host.pack(m.LimitsLowerRequest(kind, *values, host.hello.arm_ms_max)))
    if which < 3:
        codes[which] = values[which]
    host.send(host.pack(host.batch((row, column, kind, codes[0], codes[1], codes[2]))))


def other_sessions(host: RawHost) -> None:
    """Good pulses of a session that was never opened, or that has ended."""
    old, rng = host.session, host.rng
    pulses = host.mixed(host.good())
    if rng.random() < 0.5:
        number = (old + rng.randint(1, 65_535)) & 0xFFFF
        host.witness.allowance = 0
        host.send(host.pack(pulses, sequence=host.next, session=number))
    else:
        host.open()
        host.witness.allowance = 0
        host.send(*[host.pack(pulses, sequence=k, session=old) for k in (1, 2, 3, 4)])


def repeated(host: RawHost) -> None:
    """The same frame many times, and numbers that are not its turn: driven once."""
    batch = host.batch(*[host.good() for _ in range(host.rng.randint(1, PULSES_MAX))])
    whole = host.pack(batch)
    host.witness.allowance = len(batch.entries)  # type: ignore[attr-defined]
    host.send(*[whole] * host.rng.randint(2, 8))
    ahead = host.next + host.rng.randint(1, 1000)
    host.send(host.pack(batch, sequence=ahead), whole)


def random_pulses(host: RawHost) -> None:
    """Any codes at all; what is within the limits may be driven."""
    rng = host.rng
    pulses = [
        (
            rng.randrange(140),
            rng.randrange(140),
            rng.randrange(3),
            rng.randrange(CODE_MAX + 1),
            rng.randrange(CODE_MAX + 1),
            rng.randint(1, 1 << rng.randint(1, 32)) & 0xFFFFFFFF or 1,
        )
        for _ in range(rng.randint(1, 3))
    ]
    host.send(host.pack(host.batch(*pulses)))


def random_payload(host: RawHost) -> None:
    """Any bytes in a frame of pulses: other lengths, other enums."""
    payload = host.rng.randbytes(host.rng.randint(0, 220))
    sequence, host.next = host.next, host.next + 1
    code = m.PulseReadRequest.CODE if host.rng.random() < 0.7 else m.LimitsLowerRequest.CODE
    host.send(frame.encode(frame.Frame(host.session, sequence, code, payload)))
    host.send(host.pack(host.mixed(host.good())))


RAW_TRICKS: dict[str, Callable[[RawHost], None]] = {
    "over a code": over_a_code,
    "another operation's limit": another_operation,
    "over the read level": over_the_read_level,
    "loop-back": loopback,
    "unarmed": unarmed,
    "out of time": out_of_time,
    "armed for too long": armed_for_too_long,
    "stopped": stopped,
    "stop between batches": stop_between,
    "open interlock": interlock,
    "over a lowered limit": over_what_was_lowered,
    "limits raised": raised,
    "other sessions": other_sessions,
    "repeated": repeated,
    "random codes": random_pulses,
    "random bytes": random_payload,
}
