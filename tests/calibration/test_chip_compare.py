"""Two maps on one scale: differences are found, chance is none, small ones are said to be small."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.chip_compare import CompareParams, compare_maps
from protocols.errors import InputError


def chip(seed: int, formed: float = 0.5, level: float = 1e-4, spread: float = 1e-5) -> np.ndarray:
    rng = np.random.default_rng(seed)
    programmed = rng.normal(level, spread, (40, 40))
    pristine = 1e-7 * np.exp(rng.normal(0, 0.3, (40, 40)))
    return np.where(rng.random((40, 40)) < formed, programmed, pristine)


def verdicts(found) -> dict[str, str]:
    return {d.name: d.verdict(found.params.significance) for d in found.differences}


def test_two_draws_of_the_same_do_not_differ():
    """A family-wise chance of 1 % in each of 40 comparisons: one false difference may be among
    them, more are not chance."""
    false = sum(bool(compare_maps(chip(2 * k), chip(2 * k + 1)).differing) for k in range(40))
    assert false <= 2


def test_a_higher_level_is_found_and_sized():
    found = compare_maps(chip(1), chip(2, level=1.1e-4))
    by_name = {d.name: d for d in found.differences}
    level = by_name["level of formed cells"]
    assert level.differs(0.01)
    assert 0.4 < level.effect < 0.6  # normals a standard deviation apart: 2 Phi(1 / sqrt 2) - 1
    assert level.b - level.a == pytest.approx(1e-5, rel=0.2)
    assert verdicts(found)["level of unformed cells"] == "no difference"


def test_a_wider_spread_is_found():
    found = verdicts(compare_maps(chip(1), chip(2, spread=2e-5)))
    assert found["spread of formed cells"] == "differs"
    assert found["level of formed cells"] == "no difference"


def test_formed_and_lost_cells_are_counted():
    a, b = chip(1), chip(1)
    b[:5] = 1e-7
    b[30:] = 1e-4
    found = compare_maps(a, b)
    assert found.lost == int((a[:5] > 1e-6).sum())
    assert found.formed == int((a[30:] < 1e-6).sum())
    assert found.to_dict()["cells"] == 1600


def test_the_same_cells_later_show_a_drift_that_the_distributions_do_not():
    a = chip(1, spread=3e-5)
    b = np.where(a > 1e-6, a * 0.97, a)
    found = verdicts(compare_maps(a, b))
    assert found["the same cells"] == "differs"
    assert found["level of formed cells"] in ("no difference", "too little to matter")


def test_what_is_sure_but_small_is_not_called_a_difference():
    rng = np.random.default_rng(3)
    a = rng.normal(1e-4, 1e-5, (120, 120))
    b = rng.normal(1.01e-4, 1e-5, (120, 120))
    found = verdicts(compare_maps(a, b))
    assert found["level of formed cells"] == "too little to matter"
    pristine = np.full((60, 60), 1e-7) * np.exp(rng.normal(0, 0.1, (60, 60)))
    shifted = verdicts(compare_maps(pristine, pristine + 2e-8))
    assert shifted["level of unformed cells"] == "finer than the readings"


def test_cells_that_were_not_looked_at_take_no_part():
    a, b = chip(1, formed=1.0), chip(2, formed=1.0)
    b[:, 20:] = np.nan
    found = compare_maps(a, b)
    counts = {d.name: d.count for d in found.differences}
    assert counts["level of formed cells"] == (1600, 800)
    assert counts["the same cells"] == (800, 800)
    assert found.lost == 0
    assert np.isnan(found.change[:, 20:]).all()


def test_a_handful_of_cells_is_not_tested():
    a = np.full((4, 4), np.nan)
    a[0, 0] = 1e-4
    assert [d.name for d in compare_maps(a, a).differences] == ["share of formed cells"]


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(InputError, match="one scale"):
        compare_maps(np.ones((2, 2)), np.ones((2, 3)))
    with pytest.raises(InputError, match="nothing to compare"):
        compare_maps(np.full((2, 2), np.nan), np.ones((2, 2)))
    with pytest.raises(InputError, match="not positive"):
        CompareParams(delta=0.0)
    with pytest.raises(InputError, match="is none"):
        CompareParams(significance=0.9)


def test_probabilities_hold_for_all_tests_together():
    """Holm: never smaller than that of the test alone, and in its order."""
    a, b = chip(1), chip(2, level=1.02e-4)
    found = compare_maps(a, b)
    assert all(0.0 <= d.p <= 1.0 for d in found.differences)
    from scipy.stats import mannwhitneyu

    alone = mannwhitneyu(b[b > 1e-6], a[a > 1e-6]).pvalue
    (level,) = [d for d in found.differences if d.name == "level of formed cells"]
    assert alone <= level.p <= min(1.0, alone * len(found.differences))
