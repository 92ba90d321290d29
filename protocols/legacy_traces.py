"""What the published firmware will put on its 18 DAC outputs, computed before anything is sent.

Each 5 ms update writes 18 words in the order of `CHANNELS`: bits 15-12 name the output A to D of
one MAX5742, bits 11-0 the code. code = trunc(2048 (1 + v)) for a fraction v of the half range, in
single precision, every step rounded as the firmware's is. Below v = -1 the conversion to unsigned
saturates at code 0. From v = 1 on the code needs bit 12 and more, and those bits are OR-ed into the
address: A's word goes to output B and C's to D, while B's and D's own words wrap to about v = -1.
An output whose word went astray keeps what it had.

The firmware takes its sines from a table of the CMSIS-DSP library; here they are exact, so a code
may differ by one. `TABLE_SINE_ERROR` is the bound for 512 entries and linear interpolation, and
whatever comes that close to the end of the range is counted as an overflow too.

Source: MCU_Project of github.com/yangjc97/memristor-sde-diffusion (timer.c, max5742.c, rng.c).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocols.errors import InputError, LimitError
from protocols.legacy import UPDATES, LegacySettings
from protocols.legacy_tables import FREQUENCIES, legacy_table

F32 = NDArray[np.float32]
I32 = NDArray[np.int32]
F64 = NDArray[np.float64]

CHANNELS = ("g2", "f", *(f"t{k}" for k in range(1, 15)), "noise1", "noise2")
WORDS = len(CHANNELS)
NOISE = WORDS - 2  # the first of the two noise channels
OUTPUTS = (  # (DAC number, output 0-3 = A-D) of each channel
    (9, 0),
    (9, 1),
    *((1 + k // 4, k % 4) for k in range(14)),
    (9, 2),
    (9, 3),
)
CODE_ZERO = 2048
CODES = 4096
UNKNOWN = -1  # a word or code that depends on the board's random generator
TABLE_SINE_ERROR = (2 * math.pi / 512) ** 2 / 8

_ONE, _END = np.float32(1.0), np.float32(1.2)
_STEP = np.float32(0.005)
_BETA_0, _BETA_RISE = np.float32(0.001), np.float32(0.499)
_TWO_PI = np.float32(2.0) * np.float32(3.14159265358979)
_CHANNEL_AT = {output: index for index, output in enumerate(OUTPUTS)}


@dataclass(frozen=True)
class Overflow:
    """One word that will not do what it was meant to.

    Attributes:
        channel: whose word it is.
        update: 0 to 240; 241 is the closing tick.
        value: what was to be put out, as a fraction of the half range.
        lands_on: the channel whose output the word reaches, "" for none.
        code: the code that this output gets.
    """

    channel: str
    update: int
    value: float
    lands_on: str
    code: int

    def __str__(self) -> str:
        place = f"{self.lands_on or 'no output'} gets code {self.code}"
        return f"{self.channel} at update {self.update} is {self.value:+.4f} of its range: {place}"


@dataclass(frozen=True)
class Prediction:
    """One run: rows are the 241 updates and, last, the closing tick; columns are `CHANNELS`.

    Attributes:
        settings: what was predicted.
        values: fractions of the half range; NaN for noise that is not known.
        words: as they go over the wires; `UNKNOWN` for noise.
        codes: what each output holds after the update; `UNKNOWN` where noise decides.
        overflows: every word that needs more than 12 bits, or comes closer to that than the
            firmware's sine table is exact (then `code` is below 4096 and it may arrive after all).
        saturations: how many words of each channel are cut off at code 0.
        noise_overflows: expected number of overflowing noise words, of both channels, per run.
    """

    settings: LegacySettings
    values: F32
    words: I32
    codes: I32
    overflows: tuple[Overflow, ...]
    saturations: dict[str, int]
    noise_overflows: float

    @property
    def traces(self) -> I32:
        """Codes (241, 18) of the updates alone."""
        return self.codes[:UPDATES]

    def summary(self) -> str:
        """The overflows in one sentence, the worst of each channel."""
        worst: dict[str, Overflow] = {}
        count: dict[str, int] = {}
        for one in self.overflows:
            count[one.channel] = count.get(one.channel, 0) + 1
            if one.channel not in worst or one.value > worst[one.channel].value:
                worst[one.channel] = one
        return "; ".join(f"{worst[c]} ({n} of {UPDATES} updates)" for c, n in count.items())


def predict(
    settings: LegacySettings, *, noise: F64 | None = None, before: I32 | None = None
) -> Prediction:
    """The traces of one run.

    Args:
        settings: what is in force when the run starts.
        noise: (242, 2) values of the noise channels without offset, where they are known; only
            used while the noise is on.
        before: (18,) codes that the outputs hold before the run; all 2048 if None, as after a
            reset and (but for the noise channels) after every run.

    Raises:
        InputError: an array has another shape.
    """
    values = _values(settings, noise)
    words = _words(values)
    before = np.full(WORDS, CODE_ZERO, np.int32) if before is None else np.asarray(before, np.int32)
    if before.shape != (WORDS,):
        raise InputError(f"`before` has shape {before.shape}, not ({WORDS},)")
    codes = _outputs(words, before)
    with np.errstate(invalid="ignore"):
        cut_off = (values < -1).sum(axis=0)
    return Prediction(
        settings,
        values,
        words,
        codes,
        _overflows(settings, values, words),
        {name: int(n) for name, n in zip(CHANNELS, cut_off, strict=True) if n},
        noise_overflows(settings) if settings.noise_on else 0.0,
    )


def refuse_overflow(settings: LegacySettings, noise_overflows_max: float) -> Prediction:
    """The prediction, if the settings may be sent.

    Raises:
        LimitError: a word would not reach its output, or noise is expected to overflow more often
            than `noise_overflows_max` times in a run.
    """
    found = predict(settings)
    if found.overflows:
        raise LimitError(
            f"table {settings.table!r} with v_bias {settings.v_bias:g}, coef {settings.coef:.2f}"
            f" would overflow DACs, and the words would reach other outputs: {found.summary()}."
            " Nothing was sent. Choose a smaller v_bias or coef, or another table"
        )
    if found.noise_overflows > noise_overflows_max:
        raise LimitError(
            f"noise scale {settings.noise_scale:.2f} would overflow a noise DAC"
            f" {found.noise_overflows:.2g} times in a run on average; at most"
            f" {noise_overflows_max:g} are allowed. Nothing was sent. Choose a smaller noise scale"
            " (0.50 is safe with offsets at 0)"
        )
    return found


def decode_word(word: int) -> tuple[int | None, int]:
    """(output 0-3, code) of a word that a MAX5742 gets; output None for any other command."""
    address = word >> 12 & 0xF
    return (address if address < 4 else None), word & 0xFFF


# --- values --------------------------------------------------------------------------------------


def update_times() -> F32:
    """(241,) times t of the updates as the firmware adds them up, in single precision."""
    times, t = [], np.float32(0.0)
    while not t > _END:
        times.append(t)
        t = t + _STEP
    return np.array(times, np.float32)


def beta(t: F32) -> F32:
    """The firmware's noise schedule at t; below zero from t = 1.002 on."""
    return (_ONE - t) * _BETA_RISE + _BETA_0


def noise_times() -> F32:
    """(242,) times at which the noise words take beta: one tick late, the closing tick anew."""
    return np.append(update_times() + _STEP, _STEP)


def scale_of(settings: LegacySettings) -> np.float32:
    """The factor of the embedding voltages."""
    fixed = legacy_table(settings.table).scale
    return np.float32(settings.v_bias) * np.float32(5) if fixed is None else np.float32(fixed)


def offsets_of(settings: LegacySettings) -> F32:
    """(2,) offsets as the firmware holds them."""
    digits = [round(100 * one) + 50 for one in (settings.offset_1, settings.offset_2)]
    return np.array(digits, np.float32) * np.float32(0.01) - np.float32(0.5)


def _values(settings: LegacySettings, noise: F64 | None) -> F32:
    table, t = legacy_table(settings.table), update_times()
    values = np.zeros((len(t) + 1, WORDS), np.float32)
    coef = np.float32(round(100 * settings.coef)) * np.float32(0.01)
    values[:-1, 0] = np.float32(0.5) * beta(t) * coef
    values[:-1, 1] = np.float32(-0.25) * beta(t)
    offsets = np.array(table.class_offsets, np.float32)
    angle = (_TWO_PI * np.array(table.frequencies, np.float32)) * (_ONE - t)[:, None]
    exact = angle.astype(np.float64)
    waves = np.hstack([np.sin(exact), np.cos(exact)]).astype(np.float32)
    values[:-1, 2 : 2 + 2 * FREQUENCIES] = scale_of(settings) * (waves + offsets)
    values[:, NOISE:] = offsets_of(settings)
    if settings.noise_on and noise is None:
        values[:, NOISE:] = np.nan
    elif settings.noise_on and noise is not None:
        if noise.shape != (len(t) + 1, 2):
            raise InputError(f"`noise` has shape {noise.shape}, not ({len(t) + 1}, 2)")
        values[:, NOISE:] = noise.astype(np.float64) + offsets_of(settings)
    return values


# --- words and outputs ---------------------------------------------------------------------------


def _words(values: F32) -> I32:
    known = np.isfinite(values)
    scaled = np.float32(CODE_ZERO) * (_ONE + np.where(known, values, np.float32(0)))
    codes = np.maximum(scaled, np.float32(0)).astype(np.int64) & 0xFFFF
    address = np.array([output for _, output in OUTPUTS], np.int64) << 12
    return np.where(known, codes | address, UNKNOWN).astype(np.int32)


def _outputs(words: I32, before: I32) -> I32:
    """What the outputs hold after each row of words."""
    direct = (words >> 12 & 0xF) == np.array([output for _, output in OUTPUTS])
    if bool((direct | (words == UNKNOWN)).all()):
        return np.where(words == UNKNOWN, UNKNOWN, words & 0xFFF).astype(np.int32)
    held, rows = before.copy(), []
    for row in words:
        for channel, word in enumerate(row):
            if word == UNKNOWN:
                held[channel] = UNKNOWN
                continue
            reached = _reached(channel, int(word))
            if reached is not None:
                held[reached] = word & 0xFFF
        rows.append(held.copy())
    return np.array(rows, np.int32)


def _reached(channel: int, word: int) -> int | None:
    """The channel whose output a word reaches; None when none of the 18 does."""
    output, _ = decode_word(word)
    return None if output is None else _CHANNEL_AT.get((OUTPUTS[channel][0], output))


def _overflows(settings: LegacySettings, values: F32, words: I32) -> tuple[Overflow, ...]:
    limit = np.full(WORDS, 1.0)
    limit[2:NOISE] -= TABLE_SINE_ERROR * float(scale_of(settings))
    found = []
    with np.errstate(invalid="ignore"):
        places = np.argwhere((values >= limit) | (_ONE + values >= np.float32(2)))
    for update, channel in places:
        word, value = int(words[update, channel]), float(values[update, channel])
        reached = _reached(int(channel), word)
        name = "" if reached is None else CHANNELS[reached]
        found.append(Overflow(CHANNELS[channel], int(update), value, name, word & 0xFFF))
    return tuple(found)


# --- noise ---------------------------------------------------------------------------------------


def noise_overflows(settings: LegacySettings) -> float:
    """Expected number of noise words per run that overflow, both channels and the closing tick.

    The firmware's gauss is the sum of 12 uniform numbers less 6; its tail is Irwin's and Hall's
    (Biometrika 19, 1927). It is multiplied by the noise scale and by beta.
    """
    factor = np.abs(beta(noise_times()).astype(np.float64)) * settings.noise_scale
    total = 0.0
    for offset in offsets_of(settings):
        with np.errstate(divide="ignore"):
            needed = np.where(factor > 0, (1.0 - float(offset)) / factor, np.inf)
        total += sum(_gauss_tail(z) for z in needed if z < 6.0)
    return total


def _gauss_tail(z: float) -> float:
    """P(gauss >= z) for z >= 0: the Irwin-Hall distribution function of 12 numbers at 6 - z."""
    x = 6.0 - z
    terms = ((-1) ** k * math.comb(12, k) * (x - k) ** 12 for k in range(math.floor(x) + 1))
    return max(math.fsum(terms), 0.0) / math.factorial(12)
