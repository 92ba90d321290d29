"""The board's converters and read paths, quickly: is one broken, and which bit, stage, reference?

`calibration.front_end` measures how far a working channel is off; here a channel only has to
be one that works. Bits are told by differences: a code and the same with one bit turned differ by
that bit's weight, or by nothing if it is stuck. The lowest two bits are averaged over three codes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from calibration.arrays import FloatArray
from calibration.front_end.adc import span_codes
from calibration.front_end.dac import LINES, largest_code, loop_channels
from calibration.startup.findings import Finding, StartupParams
from drivers.board import Board
from protocols.hardware import LADDER_STEPS, BoardDescription
from protocols.messages import AdcInput, LoopSource, ReadReferenceRequest

LINE_BASES = (85, 98, 171)
LOOP_BASES = (1365, 1378, 2731)
LOW_BITS = 2
LOW_SAMPLES, SAMPLES = 32, 8
AGAIN = 32
"""How many times as many conversions are made of a bit that seems to be stuck."""
DEAD = 0.1
"""A channel whose gain is less than this does not follow its codes."""
SURE_BIT = 5
"""From here on a bit's weight is more than the offsets of working channels."""
RESISTOR = 2
HUM_SPAN_S = 0.05
FREQUENCIES_HERTZ = (50.0, 60.0)
TAPS = (4, 12)


@dataclass(frozen=True)
class Subject:
    """A board, what it should be, and the bounds."""

    board: Board
    description: BoardDescription
    params: StartupParams
    read_code: int


# --- inputs ---------------------------------------------------------------------------------------


def check_inputs(at: Subject) -> list[Finding]:
    """Every ADC input at two taps of the reference ladder; and, where all are off, why."""
    gains = {adc: _input_gain(at, adc) for adc in AdcInput}
    off = {a: g for a, g in gains.items() if abs(g - 1.0) > at.params.gain_tolerance}
    if len(off) == len(gains) and min(off.values()) > DEAD:
        return [_reference(at, float(np.median(list(off.values()))))]
    return [
        Finding(
            "dead_input" if gain < DEAD else "channel_gain",
            (adc.name.lower(),),
            f"ADC input {adc.name.lower()} follows the reference ladder with a gain of {gain:.3f}",
            "Check its amplifier and the wiring of the calibration line",
        )
        for adc, gain in off.items()
    ]


def _input_gain(at: Subject, adc: AdcInput) -> float:
    means = _loopback(at, LoopSource.REFERENCE, adc, TAPS, SAMPLES)
    step = (TAPS[1] - TAPS[0]) / LADDER_STEPS * span_codes(adc, at.description)
    return float(means[1] - means[0]) / step


def _reference(at: Subject, gain: float) -> Finding:
    """All inputs are off by the ladder: do the DACs, which hang on their own reference, agree?"""
    codes = (at.description.code_zero - 800, at.description.code_zero + 800)
    found = [
        float(np.diff(_loopback(at, s, AdcInput.PROBE, codes, SAMPLES))[0]) / 1600.0
        for s in (LoopSource.INITIAL_1, LoopSource.DRIFT, LoopSource.SCORE)
    ]
    inputs = abs(float(np.median(found)) / gain - 1.0) < at.params.gain_tolerance
    fault, what = ("adc_reference", "the ADC's") if inputs else ("ladder", "the ladder's")
    percent = (1.0 / gain - 1.0 if inputs else gain - 1.0) * 100.0
    return Finding(
        fault,
        (),
        f"{what} reference voltage is {abs(percent):.0f} % too {'high' if percent > 0 else 'low'}",
        "Measure it with a voltmeter and set it right; every reading would be wrong by as much",
    )


# --- DACs -----------------------------------------------------------------------------------------


def check_dacs(at: Subject) -> list[Finding]:
    """Every bit of every DAC channel that can be tried out at the read level."""
    sources = (*LINES, *loop_channels(at.description))
    return [found for source in sources for found in _channel(at, source)]


def check_upper(at: Subject, tried: Mapping[LoopSource, Sequence[int]]) -> list[Finding]:
    """The bits of the lines' channels above the read level; the board is armed."""
    found = []
    for source, bits in tried.items():
        steps = _steps(at, source, AdcInput.READ, bits)
        found += [_stuck(source, b, 0) for b, step in steps.items() if step < 0.5 * (1 << b)]
    return found


def upper_bits(at: Subject, source: LoopSource, allowed: int) -> tuple[int, ...]:
    """The bits of a line's channel that a code between the read level and `allowed` can turn."""
    most = min(largest_code(source, at.board.identity, at.description), allowed)
    level = at.board.identity.read_code_max
    return _bits(at, LINE_BASES[0], level + 1, most)


def _bits(at: Subject, base: int, least: int, most: int) -> tuple[int, ...]:
    bits = range(at.description.converters.bits)
    return tuple(b for b in bits if least <= base ^ (1 << b) <= most)


def _steps(
    at: Subject, source: LoopSource, adc: AdcInput, bits: Sequence[int], times: int = 1
) -> dict[int, float]:
    base = _bases(source)[0]
    codes = (base, *(base ^ (1 << b) for b in bits))
    means = np.mean([_loopback(at, source, adc, codes, SAMPLES) for _ in range(times)], axis=0)
    return {b: _step(means[0], mean, base, b) for b, mean in zip(bits, means[1:], strict=True)}


def _bases(source: LoopSource) -> tuple[int, ...]:
    return LINE_BASES if source in LINES else LOOP_BASES


def _channel(at: Subject, source: LoopSource) -> list[Finding]:
    line, bases = source in LINES, _bases(source)
    adc = AdcInput.READ if line else AdcInput.PROBE
    most = at.board.identity.read_code_max if line else at.description.code_max
    high = [b for b in _bits(at, bases[0], 0, most) if b >= LOW_BITS]
    steps = _steps(at, source, adc, high)
    gain = _gain(steps)
    if gain > DEAD:
        steps |= _low_steps(at, source, adc, bases)
    stuck = _weak(steps, gain)
    if gain > DEAD and stuck:  # noise alone can look like that
        steps |= _steps(at, source, adc, [b for b in stuck if b >= LOW_BITS], AGAIN)
        steps |= _low_steps(at, source, adc, bases, AGAIN) if stuck[0] < LOW_BITS else {}
        stuck = _weak(steps, gain)
    base = float(_loopback(at, source, adc, bases[:1], SAMPLES)[0])
    return _named(at, source, gain, stuck, base - gain * bases[0] if line else base - bases[0])


def _weak(steps: dict[int, float], gain: float) -> list[int]:
    """Bits that do less than half of what they should."""
    return sorted(b for b, step in steps.items() if step < 0.5 * max(gain, DEAD) * (1 << b))


def _low_steps(
    at: Subject, source: LoopSource, adc: AdcInput, bases: tuple[int, ...], times: int = 1
) -> dict[int, float]:
    codes = [code for base in bases for code in (base, *(base ^ (1 << b) for b in range(LOW_BITS)))]
    rounds = [_loopback(at, source, adc, codes, LOW_SAMPLES) for _ in range(times)]
    means = np.mean(rounds, axis=0).reshape(len(bases), 1 + LOW_BITS)
    return {
        b: float(np.mean([_step(m[0], m[1 + b], n, b) for n, m in zip(bases, means, strict=True)]))
        for b in range(LOW_BITS)
    }


def _step(base: float, turned: float, code: int, bit: int) -> float:
    return float(turned - base) * (-1.0 if code & (1 << bit) else 1.0)


def _gain(steps: dict[int, float]) -> float:
    """By the largest bits that do anything; 0 where none does."""
    ratios = {b: step / (1 << b) for b, step in steps.items()}
    alive = [b for b, ratio in ratios.items() if ratio > DEAD]
    return ratios[max(alive)] if 2 * len(alive) > len(ratios) else 0.0


def _named(
    at: Subject, source: LoopSource, gain: float, stuck: list[int], offset: float
) -> list[Finding]:
    name = source.name.lower()
    if gain <= DEAD:
        return [
            Finding(
                "dead_channel",
                (name,),
                f"DAC channel {name} does not follow its codes",
                "Check its chip select and supply, and its way to the calibration line",
            )
        ]
    if stuck:
        return [_stuck(source, b, _value(source, b, offset)) for b in stuck]
    top = round(np.log2(offset / gain)) if offset > 256.0 else 0
    if top > 8 and source in LINES:
        return [_stuck(source, top, 1)]
    if abs(gain - 1.0) > at.params.gain_tolerance:
        return [_wrong_gain(source, gain)]
    return []


def _value(source: LoopSource, bit: int, offset: float) -> int | None:
    """Which value a bit keeps: that of the base, unless the base came out wrong by its weight."""
    if bit < SURE_BIT:
        return None
    own = _bases(source)[0] >> bit & 1
    return 1 - own if abs(offset) > 0.5 * (1 << bit) else own


def _stuck(source: LoopSource, bit: int, value: int | None) -> Finding:
    name, at = source.name.lower(), "" if value is None else f" at {value}"
    return Finding(
        "stuck_bit",
        (name, bit),
        f"DAC channel {name}: bit {bit} is stuck{at}",
        "Check the data line and the solder joints of that converter, or replace it",
    )


def _wrong_gain(source: LoopSource, gain: float) -> Finding:
    name, percent = source.name.lower(), (gain - 1.0) * 100.0
    size = f"{abs(percent):.0f} % too {'high' if percent > 0 else 'low'}"
    if source is LoopSource.BIT_LINE:
        return Finding(
            "read_voltage",
            (),
            f"the read voltage is {size} (driver of the bit lines)",
            "Set the reference voltage of that converter right; reads would disturb or mislead",
        )
    return Finding(
        "channel_gain",
        (name,),
        f"DAC channel {name} gives voltages {size}",
        "Check its reference voltage and its amplifier",
    )


# --- read paths -----------------------------------------------------------------------------------


def check_stages(at: Subject) -> list[Finding]:
    """The trans-impedance stage of every column with a reference resistor in place of cells."""
    columns = list(range(at.description.columns))
    codes = at.board.read_reference(at.read_code, columns, [RESISTOR] * len(columns), 4).codes / 4
    expected = _resistor_code(at)
    found = []
    for column in np.flatnonzero(abs(codes / expected - 1.0) > at.params.stage_tolerance).tolist():
        railed = codes[column] >= at.description.code_max - 3 or codes[column] <= 3
        found.append(_stage(column, float(codes[column] / expected), railed))
    return found


def _stage(column: int, ratio: float, railed: bool) -> Finding:
    what = "stands at its rail" if railed else f"reads a resistor as {ratio:.2f} of what it is"
    return Finding(
        "railed_stage" if railed else "stage_gain",
        (column,),
        f"the trans-impedance stage of column {column} {what}",
        "Check its supply and feedback resistor, or leave the column out",
    )


def _resistor_code(at: Subject) -> float:
    scales, top = at.description.converters, at.description.code_max
    volts = at.read_code * scales.pulse_full_scale_volts / top
    ohm = at.description.references.ohms[RESISTOR - 1]
    return volts / ohm / scales.read_full_scale_amperes * top


@dataclass(frozen=True)
class Hum:
    """Mains pick-up of a read path: frequency, amplitude in ADC codes, and what is too much."""

    hertz: float
    amplitude_codes: float
    bound_codes: float


def read_hum(at: Subject) -> Hum:
    """A resistor read for two and a half periods; waves fitted to the readings."""
    count = min(52, at.board.capacity(ReadReferenceRequest))
    read_s = at.description.timing.read_s
    samples = int(min(64, max(1, np.ceil(HUM_SPAN_S / (count * read_s)))))
    middle = at.description.columns // 2
    codes = at.board.read_reference(
        at.read_code, [middle] * count, [RESISTOR] * count, samples
    ).codes
    times = np.asarray(np.arange(count) * samples * read_s, np.float64)
    fits = {
        hertz: _wave(times, np.asarray(codes / samples, np.float64), hertz)
        for hertz in FREQUENCIES_HERTZ
    }
    hertz = min(fits, key=lambda one: fits[one][1])
    amplitude, left = fits[hertz]
    return Hum(hertz, amplitude, max(at.params.hum_codes, 6.0 * left * np.sqrt(2.0 / count)))


def check_hum(at: Subject) -> list[Finding]:
    """Mains pick-up that is too much."""
    hum = read_hum(at)
    if hum.amplitude_codes <= hum.bound_codes:
        return []
    scale = at.description.converters.read_full_scale_amperes / at.description.code_max
    nanoamperes = hum.amplitude_codes * scale * 1e9
    return [
        Finding(
            "mains",
            (),
            f"the read paths pick up {hum.hertz:.0f} Hz mains hum of {nanoamperes:.0f} nA",
            "Close the shield and check the grounds; readings would beat with it",
        )
    ]


def _wave(times_s: FloatArray, codes: FloatArray, hertz: float) -> tuple[float, float]:
    """Amplitude of a wave of one frequency, and the rms of what it leaves."""
    turns = 2.0 * np.pi * hertz * times_s
    basis = np.stack([np.cos(turns), np.sin(turns), np.ones_like(turns)], axis=1)
    solved, *_ = np.linalg.lstsq(basis, codes, rcond=None)
    left = codes - basis @ solved
    return float(np.hypot(solved[0], solved[1])), float(np.sqrt(np.mean(left**2)))


def _loopback(
    at: Subject, source: LoopSource, adc: AdcInput, codes: Sequence[int], samples: int
) -> FloatArray:
    return np.asarray(at.board.loopback(source, adc, codes, samples).codes / samples)
