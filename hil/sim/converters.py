"""The converters of one board: what a code really drives, what a voltage really reads.

    DAC   effective code = code (1 + gain) + offset + 4 bow u (1 - u),  u = code / code_max
    ADC   code = round(ideal code (1 + gain) + offset + 4 bow u (1 - u) + noise), u = ideal code /
          code_max; saturating at its ends
    TIA   current = true current (1 + gain) + offset, each column its own

Bipolar converters are the same with the code counted from the middle (gain acts about zero). Every
channel has its own errors, drawn with keys from `board_seed`: they are what calibration finds.
The noise of a conversion is keyed by what is converted, never drawn in order.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from hil.sim import draws
from hil.sim.config import CUT_SIGMAS, SimSettings
from protocols.hardware import BoardDescription

F64 = NDArray[np.float64]
U16 = NDArray[np.uint16]
Codes = NDArray[np.int64]

NANOSECONDS = 1_000_000_000

# Streams of the keyed draws of boards; those of cells are below 200. Never reuse or renumber one.
STREAM_WAVE_NOISE = 201  # (trajectory, tick): what the board adds to its noise words
STREAM_LOOP_NOISE = 202  # (trajectory, noise tick, block of four outputs)
STREAM_SAMPLE_NOISE = 203  # (trajectory, tick): conversions of the integrators
STREAM_READ_NOISE = 204  # (cell, read): conversions of reads
STREAM_PROBE_NOISE = 205  # (probe, output): conversions, and noise of the probed outputs
STREAM_DAC = 211
STREAM_ADC = 212
STREAM_LOOP_ERRORS = 213
STREAM_HARDWARE_NOISE = 214  # (run): seed of a run that leaves the noise to the board
STREAM_TIA = 215
STREAM_LOOPBACK_NOISE = 206  # (ADC input, time): conversions of loop-backs
STREAM_REFERENCE_NOISE = 207  # (column, time): conversions of reference resistors
STREAM_LINE_NOISE = 208  # (0, time): conversions of line checks
STREAM_LINE_CURRENT = 209  # (line, time): read noise of all cells of a line together
STREAM_PRODUCT_NOISE = 217  # (column, time): conversions of products
STREAM_PRODUCT_CURRENT = 218  # (column, time): read noise of all cells of a product together


class Dac(IntEnum):
    """DAC channels; the embedding has as many as the loop is wide, from `EMBEDDING` on.

    The rows have one each for products, from `ROW` on; between the two there are none.
    """

    BIT_LINE = 0
    SOURCE_LINE = 1
    WORD_LINE = 2
    DRIFT = 3
    SCORE = 4
    NOISE = 5  # two
    INITIAL = 7  # two
    EMBEDDING = 9
    ROW = 128


class Adc(IntEnum):
    """ADC channels."""

    READ = 0
    SAMPLE = 1  # two
    PROBE = 3


def cut_normals(seed: int, stream: int, count: int, block: int = 0) -> F64:
    """`count` standard normals that are cut at three standard deviations."""
    values = draws.normals(seed, stream, np.arange(count), block)
    return np.clip(values, -CUT_SIGMAS, CUT_SIGMAS)


_DACS: dict[str, int] = {
    "bit_line": Dac.BIT_LINE,
    "source_line": Dac.SOURCE_LINE,
    "word_line": Dac.WORD_LINE,
    "drift": Dac.DRIFT,
    "score": Dac.SCORE,
    **{f"noise_{k + 1}": Dac.NOISE + k for k in range(2)},
    **{f"initial_{k + 1}": Dac.INITIAL + k for k in range(2)},
    **{f"embedding_{k + 1}": Dac.EMBEDDING + k for k in range(14)},
}
_ADCS = {"read": 0, "sample_1": 1, "sample_2": 2, "probe": 3}


@dataclass(frozen=True)
class Converters:
    """All converters of one board."""

    code_max: int
    code_zero: int
    dac_gain: F64
    dac_offset_codes: F64
    dac_bow_codes: F64
    adc_gain: F64
    adc_offset_codes: F64
    adc_bow_codes: F64
    noise_codes: float
    noise_seed: int
    bits_kept: Codes  # of each DAC channel: those that follow the code
    bits_high: Codes  # those that are 1 whatever the code is
    dac_stuck: F64  # fraction that a broken channel gives whatever its code is, else NaN
    reached_by: Codes  # of each DAC channel's output, the channel whose code it follows
    adc_stuck: F64  # code of a broken input, else NaN

    @classmethod
    def of(cls, description: BoardDescription, settings: SimSettings) -> Converters:
        """The converters that `board_seed` draws; ideal where effects are off."""
        effects, seed = settings.switched(), settings.board_seed
        dacs = Dac.ROW + description.rows
        dac, adc = float(effects.dac_error), float(effects.adc_error)
        last = Dac.EMBEDDING + description.loop.hidden_width
        names = {name: at for name, at in _DACS.items() if at < last}
        kept, high = _stuck_bits(settings, names, dacs, description.code_max)
        return cls(
            code_max=description.code_max,
            code_zero=description.code_zero,
            dac_gain=dac * settings.dac_gain_sd * cut_normals(seed, STREAM_DAC, dacs, 0)
            + _off(settings.chip_faults.read_voltage, dacs, Dac.BIT_LINE),
            dac_offset_codes=dac
            * settings.dac_offset_sd_codes
            * cut_normals(seed, STREAM_DAC, dacs, 1),
            dac_bow_codes=dac * settings.dac_bow_sd_codes * cut_normals(seed, STREAM_DAC, dacs, 2),
            adc_gain=adc * settings.adc_gain_sd * cut_normals(seed, STREAM_ADC, 4, 0)
            + _off(settings.chip_faults.adc_reference, 4, slice(None))
            + _wrong_gain(settings.board_faults.adc_gain),
            adc_offset_codes=adc
            * settings.adc_offset_sd_codes
            * cut_normals(seed, STREAM_ADC, 4, 1),
            adc_bow_codes=adc * settings.adc_bow_sd_codes * cut_normals(seed, STREAM_ADC, 4, 2),
            noise_codes=float(effects.front_end_noise) * settings.adc_noise_sd_codes,
            noise_seed=seed,
            bits_kept=kept,
            bits_high=high,
            dac_stuck=_stuck(settings, names, dacs),
            reached_by=_exchanged(settings.board_faults.partner, names, dacs),
            adc_stuck=_stuck(settings, _ADCS, 4) * description.code_max,
        )

    def arriving(self, channels: Codes, codes: Codes) -> Codes:
        """The codes (..., n) that the outputs of channels (n,) follow, all of them written.

        They are another channel's where two of them have changed places.
        """
        if np.array_equal(self.reached_by[channels], channels):
            return codes
        places = {int(channel): k for k, channel in enumerate(channels)}
        sources = [places.get(int(self.reached_by[c]), k) for k, c in enumerate(channels)]
        return np.asarray(codes[..., sources])

    def lone_unipolar(self, channel: int, codes: Codes) -> F64:
        """`unipolar`, no other channel written: at rest if it is another that it follows."""
        mine = self.reached_by[channel] == channel
        return self.unipolar(channel, codes if mine else np.zeros_like(codes))

    def lone_bipolar(self, channel: int, codes: Codes) -> F64:
        """`bipolar`, no other channel written: at rest if it is another that it follows."""
        mine = self.reached_by[channel] == channel
        return self.bipolar(channel, codes if mine else np.full_like(codes, self.code_zero))

    def unipolar(self, channel: int | Codes, codes: Codes) -> F64:
        """Fraction of full scale that a unipolar DAC gives; it cannot go below zero."""
        codes = self._taken(channel, codes)
        u = codes / self.code_max
        offset = self.dac_offset_codes[channel] + 4.0 * self.dac_bow_codes[channel] * u * (1.0 - u)
        fraction: F64 = u * (1.0 + self.dac_gain[channel]) + offset / self.code_max
        return self._broken(channel, np.maximum(fraction, 0.0))

    def bipolar(self, channel: int | Codes, codes: Codes) -> F64:
        """Fraction of full scale, -1 to 1, that a bipolar DAC gives."""
        codes = self._taken(channel, codes)
        u = codes / self.code_max
        offset = self.dac_offset_codes[channel] + 4.0 * self.dac_bow_codes[channel] * u * (1.0 - u)
        centred = (codes - self.code_zero) * (1.0 + self.dac_gain[channel])
        fraction: F64 = (centred + offset) / self.code_zero
        return self._broken(channel, fraction)

    def _taken(self, channel: int | Codes, codes: Codes) -> Codes:
        """The codes as a channel with a stuck bit takes them."""
        kept, high = self.bits_kept[channel], self.bits_high[channel]
        if np.all(kept == self.code_max):
            return codes
        stuck = (np.rint(codes).astype(np.int64) & kept) | high
        return np.where(kept == self.code_max, codes, stuck)

    def _broken(self, channel: int | Codes, fraction: F64) -> F64:
        stuck = self.dac_stuck[channel]
        return np.where(np.isnan(stuck), fraction, stuck)

    def convert_unipolar(self, channel: int, fraction: F64, noise: F64) -> Codes:
        """Codes of fractions of full scale; `noise` is in standard deviations."""
        ideal = fraction * self.code_max
        bow = self._bow(channel, ideal)
        return self._rounded(ideal * (1.0 + self.adc_gain[channel]) + bow, channel, noise)

    def convert_bipolar(self, channel: int | Codes, fraction: F64, noise: F64) -> Codes:
        """Codes of fractions of full scale, -1 to 1; `noise` is in standard deviations."""
        ideal = fraction * self.code_zero
        centred = ideal * (1.0 + self.adc_gain[channel])
        bow = self._bow(channel, self.code_zero + ideal)
        return self._rounded(self.code_zero + centred + bow, channel, noise)

    def _bow(self, channel: int | Codes, ideal: F64) -> F64:
        u = np.clip(ideal / self.code_max, 0.0, 1.0)
        bow: F64 = 4.0 * self.adc_bow_codes[channel] * u * (1.0 - u)
        return bow

    def _rounded(self, value: F64, channel: int | Codes, noise: F64) -> Codes:
        code = np.rint(value + self.adc_offset_codes[channel] + self.noise_codes * noise)
        code = np.where(np.isnan(self.adc_stuck[channel]), code, self.adc_stuck[channel])
        return np.clip(code, 0, self.code_max).astype(np.int64)


@dataclass(frozen=True)
class Tia:
    """The trans-impedance stage in the read path of each column; arrays (columns,).

    `hum_amperes` at `hum_hertz` is what the mains add to every read path, seen as a current.
    """

    gain: F64
    offset_amperes: F64
    railed: NDArray[np.bool_]
    full_scale_amperes: float
    hum_amperes: float = 0.0
    hum_hertz: float = 50.0

    @classmethod
    def of(cls, description: BoardDescription, settings: SimSettings) -> Tia:
        """The stages that `board_seed` draws; ideal where `adc_error` is off."""
        on, seed = float(settings.switched().adc_error), settings.board_seed
        count, faults = description.columns, settings.chip_faults
        return cls(
            on * settings.tia_gain_sd * cut_normals(seed, STREAM_TIA, count, 0),
            on * settings.tia_offset_sd_amperes * cut_normals(seed, STREAM_TIA, count, 1),
            np.arange(count) == (-1 if faults.railed_stage is None else faults.railed_stage),
            description.converters.read_full_scale_amperes,
            faults.mains or 0.0,
            faults.mains_hertz,
        )

    def through(self, columns: Codes, amperes: F64) -> F64:
        """What the read input of the ADC gets, as a current."""
        out: F64 = amperes * (1.0 + self.gain[columns]) + self.offset_amperes[columns]
        return np.where(self.railed[columns], 2.0 * self.full_scale_amperes, out)

    def hum(self, at_ns: Codes) -> F64 | float:
        """What the mains add to a conversion that ends at a time."""
        if self.hum_amperes == 0.0:
            return 0.0
        turns = at_ns * (self.hum_hertz / NANOSECONDS)
        return np.asarray(self.hum_amperes * np.sin(2.0 * np.pi * turns))


def _off(deviation: float | None, count: int, where: int | slice) -> F64:
    out = np.zeros(count)
    out[where] = deviation or 0.0
    return out


def _wrong_gain(planted: tuple[str, float] | None) -> F64:
    out = np.zeros(4)
    if planted is not None:
        out[_ADCS[planted[0]]] = planted[1]
    return out


def _exchanged(partner: dict[str, str], places: dict[str, int], count: int) -> Codes:
    """Of each channel's output, the channel whose code it follows."""
    out = np.arange(count)
    for name, other in partner.items():
        if name in places and other in places:
            out[places[name]] = places[other]
    return out


def _stuck_bits(
    settings: SimSettings, places: dict[str, int], count: int, code_max: int
) -> tuple[Codes, Codes]:
    """Of each channel, the bits that follow the code and those that are always 1."""
    kept, high = np.full(count, code_max), np.zeros(count, np.int64)
    stuck = settings.chip_faults.stuck_bit
    if stuck is not None and stuck[0] in places:
        name, bit, value = stuck
        kept[places[name]] &= ~(1 << bit)
        high[places[name]] = value << bit
    return kept, high


def _stuck(settings: SimSettings, places: dict[str, int], count: int) -> F64:
    """0 where a channel is planted as dead, 1 where it is railed, NaN where it works."""
    out = np.full(count, np.nan)
    for name, fault in settings.channel_faults.items():
        if name in places:
            out[places[name]] = float(fault == "railed")
    return out
