"""The faults of the published firmware, each of which can be taken away, and its timing.

A test takes one fault away to show what it does, and a driver is tested with all of them on.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from protocols.errors import ConfigError


@dataclass(frozen=True)
class LegacyFaults:
    """True is what was published; False is what a sound firmware would do.

    Attributes:
        lockout: `Go` is dropped within 1000 ticks of boot, last start or counter wrap.
        counter_wrap: the counter of those ticks starts anew every 10 minutes.
        deaf_while_busy: bytes that arrive between the end of a line and the end of its reply
            are dropped.
        uart_overrun: the tick's interrupt outlasts a character, and of the characters that arrive
            during it all but the first are lost.
        stale_buffer: short lines go on with the bytes of earlier ones, and an empty line repeats
            the line before.
        unchecked_digits: any byte passes for a digit.
        prefix_match: a line that only starts like a command is taken for it.
        dac_overflow: a code over 12 bits spills into the address; without it, it stops at 4095.
        torn_words: `In` during a run spoils a DAC word where the tick interrupts its own. With
            `shared_delay` the main loop wakes right after a tick, so this needs that one off.
        shared_delay: a tick during a run ends the main loop's pause early.
        runs_past_zero: 40 updates more, with beta below zero, until t = 1.2.
        noise_late: noise takes beta one tick late.
        noise_by_beta: noise is proportional to beta, not to its square root.
        noise_left: the closing tick leaves the noise words at a last random value.
        skewed_updates: the 18 words change one after the other, not together.
        front_keys: two keys on the front panel switch the noise behind the host's back.
    """

    lockout: bool = True
    counter_wrap: bool = True
    deaf_while_busy: bool = True
    uart_overrun: bool = True
    stale_buffer: bool = True
    unchecked_digits: bool = True
    prefix_match: bool = True
    dac_overflow: bool = True
    torn_words: bool = True
    shared_delay: bool = True
    runs_past_zero: bool = True
    noise_late: bool = True
    noise_by_beta: bool = True
    noise_left: bool = True
    skewed_updates: bool = True
    front_keys: bool = True

    @classmethod
    def none(cls) -> LegacyFaults:
        """A firmware without any of them."""
        return cls(**dict.fromkeys((field.name for field in fields(cls)), False))

    @classmethod
    def without(cls, *names: str) -> LegacyFaults:
        """All but these.

        Raises:
            ConfigError: there is no such fault.
        """
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(names) - known)
        if unknown:
            raise ConfigError(
                f"no such fault of the published firmware: {', '.join(unknown)};"
                f" there are {', '.join(sorted(known))}"
            )
        return cls(**dict.fromkeys(names, False))


NANOSECONDS = 1_000_000_000


@dataclass(frozen=True)
class LegacyTiming:
    """Times in nanoseconds.

    The character, tick, poll and switch times follow from the source. A word is at least 16 clocks
    of 4 us. The whole interrupt takes about a quarter of the tick; the part before the words is
    what is left of that (this project's choice).
    """

    character_ns: int = 10 * NANOSECONDS // 9600
    tick_ns: int = 5_000_000
    poll_ns: int = 10_000_000
    switch_wait_ns: int = 100_000
    word_ns: int = 64_000
    compute_ns: int = 98_000
