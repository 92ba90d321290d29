"""The waveforms of a run as the loop gets them: codes of the store to rates and volts per tick.

Words are held between ticks. Two ways in which they are not quite held, both first order (the mean
voltage over the tick, exact to first order in the step from tick to tick):
- settling: each DAC follows with a time constant `wave_settling_s`;
- skew: the DACs have no common latch, so word number w of a tick is updated w times
  `word_update_s` after the tick (order: drift, score, two noise words, embedding; this project's
  choice).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hil.sim.config import SimSettings
from hil.sim.converters import Converters, Dac
from hil.sim.loop_errors import LoopErrors
from protocols.hardware import BoardDescription

F64 = NDArray[np.float64]
Codes = NDArray[np.int64]


@dataclass(frozen=True)
class Waves:
    """Codes of a run, tick by tick; the class offset is in the embedding already."""

    tick_s: float
    drift: Codes  # (ticks,)
    score: Codes  # (ticks,)
    noise: Codes  # (ticks,), codes per standard deviation
    offset: Codes  # (ticks, 2)
    embedding: Codes  # (ticks, hidden width)

    def held(self, tick: int) -> Waves:
        """The words of one tick alone, held for so long that none of them is late."""
        one = slice(tick, tick + 1)
        return Waves(
            self.tick_s,
            self.drift[one],
            self.score[one],
            self.noise[one],
            self.offset[one],
            self.embedding[one],
        )

    def content(self) -> bytes:
        """Everything in it, as a key."""
        words = self.drift, self.score, self.noise, self.offset, self.embedding
        return b"".join([np.float64(self.tick_s).tobytes(), *(part.tobytes() for part in words)])


class Drive(NamedTuple):
    """What the kernels read of the waveforms. Rates per second, volts."""

    rate: F64  # (ticks, 2), of x
    score: F64  # (ticks, 2), of the network's output
    constant: F64  # (2,), volts per second
    embedding: F64  # (ticks, hidden width), volts
    noise_codes: F64  # (ticks,)
    offset_codes: F64  # (ticks, 2)
    noise_rate: F64  # (2,), volts per second at full scale
    noise_gain: F64  # (2,), the noise DACs' errors
    noise_offset: F64  # (2,)
    noise_bow: F64  # (2,)
    noise_lag: F64  # (2,)
    code_max: float
    code_zero: float


def drive_of(
    waves: Waves,
    description: BoardDescription,
    settings: SimSettings,
    converters: Converters,
    errors: LoopErrors,
) -> Drive:
    """The drive of a board's loop by these waveforms."""
    width = description.loop.hidden_width
    lag = _lags(settings, width, waves.tick_s)
    channels = np.arange(Dac.EMBEDDING, Dac.EMBEDDING + width)
    words = np.array([Dac.DRIFT, Dac.SCORE])
    held = converters.arriving(words, np.stack([waves.drift, waves.score], axis=1))
    drift = _late(converters.bipolar(Dac.DRIFT, held[:, 0])[:, None], lag[0])
    score = _late(converters.bipolar(Dac.SCORE, held[:, 1])[:, None], lag[1])
    codes = converters.arriving(channels, waves.embedding[:, :width])
    embedding = _late(converters.bipolar(channels, codes), lag[4:])
    noise = slice(Dac.NOISE, Dac.NOISE + 2)
    return Drive(
        rate=errors.drift_rate_per_s * (drift + errors.drift_zero) - errors.leak_per_s,
        score=errors.score_rate_per_s * (score + errors.score_zero),
        constant=errors.offset_volts_per_s + errors.noise_rate_volts_per_s * errors.noise_zero,
        embedding=description.converters.embedding_full_scale_volts * embedding,
        noise_codes=waves.noise.astype(np.float64),
        offset_codes=waves.offset.astype(np.float64),
        noise_rate=errors.noise_rate_volts_per_s,
        noise_gain=converters.dac_gain[noise],
        noise_offset=converters.dac_offset_codes[noise],
        noise_bow=converters.dac_bow_codes[noise],
        noise_lag=np.ascontiguousarray(lag[2:4]),
        code_max=float(converters.code_max),
        code_zero=float(converters.code_zero),
    )


def _lags(settings: SimSettings, width: int, tick_s: float) -> F64:
    """Share of a tick for which each word still has its value before."""
    effects = settings.switched()
    words = np.arange(4 + width, dtype=np.float64)
    late_s = float(effects.skew) * settings.word_update_s * words
    return (late_s + float(effects.settling) * settings.wave_settling_s) / tick_s


def _late(words: F64, lag: F64 | float) -> F64:
    """Mean over each tick of words (ticks, channels) that come late; the first is preset."""
    out = words.copy()
    out[1:] += (words[:-1] - words[1:]) * lag
    return out
