"""The benchmark of fingerprints in small, and that its bars can be missed."""

from __future__ import annotations

from collections import Counter

import numpy as np

from benchmarks._common import missed_bars
from benchmarks.fingerprint import (
    BARS,
    FULL_CHIPS,
    STATES,
    Tally,
    ask_pairs,
    changed,
    figures_of,
    network,
    visit_twice,
)


def test_three_chips_in_small():
    tally, states = Tally(), ["virgin", "every line", "every line"]
    for chip, state in enumerate(states):
        visit_twice(tally, chip, state)
    ask_pairs(tally, states)
    assert tally.verdicts == Counter({("virgin", "same"): 1, ("every line", "same"): 2})
    assert tally.pairs == Counter({("every line", "other"): 1, ("different states", "other"): 2})
    figures = figures_of(tally, Tally())
    assert (figures["refused"], figures["confused_pairs"], figures["pulses"]) == (0, 0, 0)
    assert figures["later_look_board_s"] < 5.0


def test_a_confused_pair_misses_its_bar():
    figures = dict.fromkeys(BARS, 0.0) | {"other_score_sd": 1.0}
    assert missed_bars(figures, BARS) == []
    for name in ("confused_pairs", "refused", "not_decided", "wrong_of_full_chips"):
        assert missed_bars({**figures, name: 1.0}, BARS)
    assert missed_bars({**figures, "other_score_sd": 1.3}, BARS)


def test_states_are_what_they_say():
    formed = {state: int(np.isfinite(network(state)).sum()) for state in (*STATES, "full")}
    assert formed["virgin"] == 0
    assert formed["block"] == 33 * 28
    assert np.isfinite(network("every line")).any(axis=0).all()
    assert np.isfinite(network("every line")).any(axis=1).all()
    assert 0.89 < formed["nine tenths"] / 128**2 < 0.91
    assert formed["full"] == 128**2
    assert FULL_CHIPS > 1
    between = np.isfinite(changed(network("block"), 1))
    assert 0.2 * formed["block"] < between.sum() < 0.5 * formed["block"] + 64
    assert not np.isfinite(changed(network("virgin"), 1)).any()
