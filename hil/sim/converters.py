"""The converters of one board: what a code really drives, what a voltage really reads.

    DAC   effective code = code (1 + gain) + offset + 4 bow u (1 - u),  u = code / code_max
    ADC   code = round(ideal code (1 + gain) + offset + noise), saturating at its ends

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


class Dac(IntEnum):
    """DAC channels; the embedding has as many as the loop is wide, from `EMBEDDING` on."""

    BIT_LINE = 0
    SOURCE_LINE = 1
    WORD_LINE = 2
    DRIFT = 3
    SCORE = 4
    NOISE = 5  # two
    INITIAL = 7  # two
    EMBEDDING = 9


class Adc(IntEnum):
    """ADC channels."""

    READ = 0
    SAMPLE = 1  # two
    PROBE = 3


def cut_normals(seed: int, stream: int, count: int, block: int = 0) -> F64:
    """`count` standard normals that are cut at three standard deviations."""
    values = draws.normals(seed, stream, np.arange(count), block)
    return np.clip(values, -CUT_SIGMAS, CUT_SIGMAS)


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
    noise_codes: float
    noise_seed: int

    @classmethod
    def of(cls, description: BoardDescription, settings: SimSettings) -> Converters:
        """The converters that `board_seed` draws; ideal where effects are off."""
        effects, seed = settings.switched(), settings.board_seed
        dacs = Dac.EMBEDDING + description.loop.hidden_width
        dac, adc = float(effects.dac_error), float(effects.adc_error)
        return cls(
            code_max=description.code_max,
            code_zero=description.code_zero,
            dac_gain=dac * settings.dac_gain_sd * cut_normals(seed, STREAM_DAC, dacs, 0),
            dac_offset_codes=dac
            * settings.dac_offset_sd_codes
            * cut_normals(seed, STREAM_DAC, dacs, 1),
            dac_bow_codes=dac * settings.dac_bow_sd_codes * cut_normals(seed, STREAM_DAC, dacs, 2),
            adc_gain=adc * settings.adc_gain_sd * cut_normals(seed, STREAM_ADC, 4, 0),
            adc_offset_codes=adc
            * settings.adc_offset_sd_codes
            * cut_normals(seed, STREAM_ADC, 4, 1),
            noise_codes=float(effects.front_end_noise) * settings.adc_noise_sd_codes,
            noise_seed=seed,
        )

    def unipolar(self, channel: int | Codes, codes: Codes) -> F64:
        """Fraction of full scale that a unipolar DAC gives; it cannot go below zero."""
        u = codes / self.code_max
        offset = self.dac_offset_codes[channel] + 4.0 * self.dac_bow_codes[channel] * u * (1.0 - u)
        fraction: F64 = u * (1.0 + self.dac_gain[channel]) + offset / self.code_max
        return np.maximum(fraction, 0.0)

    def bipolar(self, channel: int | Codes, codes: Codes) -> F64:
        """Fraction of full scale, -1 to 1, that a bipolar DAC gives."""
        u = codes / self.code_max
        offset = self.dac_offset_codes[channel] + 4.0 * self.dac_bow_codes[channel] * u * (1.0 - u)
        centred = (codes - self.code_zero) * (1.0 + self.dac_gain[channel])
        fraction: F64 = (centred + offset) / self.code_zero
        return fraction

    def convert_unipolar(self, channel: int, fraction: F64, noise: F64) -> Codes:
        """Codes of fractions of full scale; `noise` is in standard deviations."""
        ideal = fraction * self.code_max
        return self._rounded(ideal * (1.0 + self.adc_gain[channel]), channel, noise)

    def convert_bipolar(self, channel: int | Codes, fraction: F64, noise: F64) -> Codes:
        """Codes of fractions of full scale, -1 to 1; `noise` is in standard deviations."""
        centred = fraction * self.code_zero * (1.0 + self.adc_gain[channel])
        return self._rounded(self.code_zero + centred, channel, noise)

    def _rounded(self, value: F64, channel: int | Codes, noise: F64) -> Codes:
        code = np.rint(value + self.adc_offset_codes[channel] + self.noise_codes * noise)
        return np.clip(code, 0, self.code_max).astype(np.int64)
