"""The simulated board: bytes of the wire in, bytes out.

What is modelled, each part with its source in its own module:

- wire: frames, sessions, exactly-once (`session.py`), limits in codes (`limits.py`), arming,
  watchdog, stop and latched reasons (`safety.py`), waveform store (`wave_store.py`), runs
  (`runs.py`);
- front end: converters with gain, offset, non-linearity and noise (`converters.py`), settling,
  virtual time of each primitive (`front_end.py`);
- array: line resistance, half-select (`array.py`) around the cells (`cells.py`);
- loop: network in the array, rectifiers, clamps, multipliers, integrators, held words, noise
  (`loop*.py`).

Board time is virtual: a request that is executed costs its bytes on the line in both directions,
a fixed overhead, and what its primitives last. Answers from memory, `hello`, `stop`, `keep_alive`
and refused numbers cost nothing, so a bad line changes no physics (this project's choice).
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Self

from hil.sim.back_doors import BackDoors
from hil.sim.chip import NANOSECONDS, Chip
from hil.sim.config import SimSettings
from hil.sim.handlers import HANDLERS, Handler
from hil.sim.handlers_loop import LOOP_HANDLERS
from hil.sim.handlers_reads import READ_HANDLERS
from hil.sim.machine import Machine
from hil.sim.refusal import RefusedError
from protocols.codec import LengthError, Message, RangeError
from protocols.frame import OVERHEAD_BYTES, RESPONSE_BIT, Decoder, Frame, encode
from protocols.hardware import BoardDescription
from protocols.messages import REQUESTS, AdvanceRequest, HelloRequest, SafeReason

BOARD_HANDLERS: dict[type[Message], Handler] = HANDLERS | READ_HANDLERS | LOOP_HANDLERS
"""What a board does with each request."""
_OK = b"\0"
_COBS_BYTES = 2  # the code byte and the closing zero
_BITS_PER_BYTE = 10  # 8N1


class SimBoard(BackDoors):
    """One simulated board with its chip.

    `receive` is all that a host sees. The other methods are back doors for reports and tests.
    """

    machine_kind: ClassVar[type[Machine]] = Machine
    handlers: dict[type[Message], Handler] = BOARD_HANDLERS

    def __init__(self, description: BoardDescription, settings: SimSettings, chip: Chip) -> None:
        super().__init__(self.machine_kind(description, settings, chip))
        self._decoder = Decoder()
        self._responses = 0  # frames that are no requests

    def power_up_again(self) -> Self:
        """As after a loss of power: nothing is remembered but what was done to the chip."""
        before = self.machine
        self.machine = Machine(before.description, before.settings, before.chip)
        self.machine.front_end.supply = before.front_end.supply
        self.machine.front_end.supply.lost = False
        self._decoder, self._responses = Decoder(), 0
        return self

    # --- the wire ------------------------------------------------------------------------------

    def receive(self, data: bytes) -> bytes:
        """Take bytes from the line; the bytes of the answers. Any input is allowed."""
        answers = [self._answer(frame) for frame in self._decoder.feed(data)]
        self._count_dropped()
        return b"".join(answers)

    def _answer(self, frame: Frame) -> bytes:
        if frame.code & RESPONSE_BIT:
            self._responses += 1
            return b""
        self._count_dropped()
        machine = self.machine
        machine.frames += 1
        machine.safety.feed(machine.chip.now_ns)
        known = REQUESTS.get(frame.code)
        if known is not None and known.SCOPE == "any":
            return self._answer_any(frame)
        try:
            remembered = machine.session.remembered(frame.session, frame.sequence)
        except RefusedError as refusal:
            return _frame(frame, refusal.pack())
        if remembered is not None:
            machine.repeated += 1
            return remembered
        answer = self._execute_in_session(frame)
        machine.session.remember(frame.sequence, answer)
        return answer

    def _answer_any(self, frame: Frame) -> bytes:
        session = self.machine.session
        if frame.code == HelloRequest.CODE and len(frame.payload) == HelloRequest.STRUCT.size:
            nonce = HelloRequest.unpack(frame.payload).nonce
            if session.knows(nonce):
                self.machine.repeated += 1
            else:
                session.greeting = self._execute(frame)
            return _frame(frame, session.greeting)
        return _frame(frame, self._execute(frame))

    def _execute_in_session(self, frame: Frame) -> bytes:
        """Execute the expected request and account for its time on the line."""
        chip, safety = self.machine.chip, self.machine.safety
        chip.advance_ns(self._line_ns(frame.payload))
        payload = self._execute(frame)
        chip.advance_ns(self._line_ns(payload))
        if frame.code != AdvanceRequest.CODE:
            safety.feed(chip.now_ns)  # the board was at work, the host not silent
        return _frame(frame, payload)

    def _execute(self, frame: Frame) -> bytes:
        """The payload of the answer. Length and ranges are checked here, for every handler."""
        try:
            if frame.code not in REQUESTS:
                raise RefusedError("unknown_code", frame.code)
            longest = self.machine.settings.payload_bytes
            if len(frame.payload) > longest:
                raise RefusedError("bad_length", len(frame.payload), longest)
            request = REQUESTS[frame.code].unpack(frame.payload)
            if type(request) not in self.handlers:
                raise RefusedError("not_supported")
            return _OK + self.handlers[type(request)](self.machine, request).pack()
        except LengthError as error:
            return RefusedError("bad_length", error.length, error.expected).pack()
        except RangeError as error:
            return RefusedError(
                "out_of_range", error.field, error.entry, error.value, error.minimum, error.maximum
            ).pack()
        except RefusedError as refusal:
            return refusal.pack()

    def _line_ns(self, payload: bytes) -> int:
        """Time of one frame on the line."""
        timing = self.machine.description.timing
        bits = (len(payload) + OVERHEAD_BYTES + _COBS_BYTES) * _BITS_PER_BYTE
        return round((timing.frame_overhead_s + bits / timing.baud) * NANOSECONDS)

    def _count_dropped(self) -> None:
        self.machine.dropped = self._decoder.dropped + self._responses

    # --- back doors ----------------------------------------------------------------------------

    def open_interlock(self) -> None:
        """As if somebody had opened the cover: latches, and no clearing while it is open."""
        self.machine.safety.interlock_open = True
        self.machine.make_safe(SafeReason.INTERLOCK)

    def close_interlock(self) -> None:
        """Close the cover again; the reason stays latched."""
        self.machine.safety.interlock_open = False

    def plant_fault(self, detail: int) -> None:
        """Let the next batch of pulses report a front-end fault instead of being driven."""
        self.machine.planted_fault = detail


def make_board(
    settings: SimSettings, description: BoardDescription, state_path: Path | None = None
) -> SimBoard:
    """A board with the chip in `state_path`, a virgin one if there is none; None: in memory.

    Raises:
        ConfigError: the file holds another chip, or the description does not fit the wire.
        ChipBusyError: another process holds the chip.
        RecordError: the file cannot be created.
    """
    chip = Chip.open(state_path, settings, description)
    try:
        return SimBoard(description, settings, chip)
    except BaseException:
        chip.close()
        raise


def _frame(request: Frame, payload: bytes) -> bytes:
    return encode(Frame(request.session, request.sequence, request.code | RESPONSE_BIT, payload))
