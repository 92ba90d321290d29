"""The study of noise laws: what it measures, how it searches, how it judges."""

import numpy as np
import pytest

from hil.diffusion.metrics import reference_set
from hil.diffusion.model import load_model
from hil.diffusion.noise_law import REVERSE_SDE, NoiseLaw
from hil.diffusion.noise_study import (
    FINALISTS,
    LEAST_SHARE,
    LawFigures,
    candidates,
    compare,
    compared,
    measure,
    neighbours,
    ranked,
    search,
)
from protocols.errors import InputError

REFERENCES = {None: reference_set()}


@pytest.fixture(scope="module")
def ring():
    return load_model("ring")


def figures(w1, share=0.5, per_seed=(1.0, 1.0), law=REVERSE_SDE):
    return LawFigures(law, 0.01, w1, share, 1000, tuple(per_seed))


def test_the_share_tells_a_noisy_law_from_a_quiet_one(ring):
    shares = [
        measure(ring, NoiseLaw.preserving(s), REFERENCES, 500, (1,), 40).noise_share
        for s in (0.0, 0.2, 1.0)
    ]
    assert shares[0] == 0.0
    assert 0.05 < shares[1] < LEAST_SHARE < shares[2] < 1.0
    assert measure(ring, None, REFERENCES, 500, (1,), 40).noise_share == 0.0


def test_figures_are_means_over_seeds_with_the_distances_kept(ring):
    found = measure(ring, None, REFERENCES, 500, (1, 2, 3), 20)
    assert found.sliced_w1 == pytest.approx(np.mean(found.per_seed))
    assert len(found.per_seed) == 3
    assert found.name == "probability-flow ODE"
    again = measure(ring, None, REFERENCES, 500, (3,), 20)
    assert again.per_seed == found.per_seed[2:]


def test_the_search_finds_the_law_that_is_best(ring):
    laws = [REVERSE_SDE, NoiseLaw.preserving(0.4), NoiseLaw.preserving(0.05)]
    told = []
    found = search(
        ring, REFERENCES, laws, samples=1500, final_samples=1500, progress=lambda *a: told.append(a)
    )
    best = found[0]
    assert best.law in [laws[1], *neighbours(laws[1])]
    assert best.noise_share >= LEAST_SHARE
    assert len(found) == FINALISTS + len(laws) + len(neighbours(laws[1]))
    assert told[-1][0] == told[-1][1]
    assert all(done <= total for done, total, _ in told)


def test_quiet_laws_rank_behind_however_good():
    quiet, noisy = figures(0.001, share=0.1), figures(0.01)
    assert ranked([quiet, noisy]) == [noisy, quiet]


def test_the_candidates_hold_every_kind():
    laws = candidates()
    assert len(set(laws)) == len(laws)
    assert {law.kind for law in laws} == {"proper", "published"}
    assert REVERSE_SDE in laws
    near = neighbours(NoiseLaw.preserving(0.5, 0.3))
    assert all(law == NoiseLaw.preserving(law.scale, law.until) for law in near)
    assert all(law.until >= 0.0 for law in neighbours(REVERSE_SDE))


def test_a_comparison_is_paired_by_seed():
    ode = figures(0.0, per_seed=(0.010, 0.020, 0.030), law=None)
    better = compared(figures(0.0, per_seed=(0.009, 0.0191, 0.0289)), ode)
    assert better.difference == pytest.approx(-0.001)
    assert better.no_worse
    assert better.better
    worse = compared(figures(0.0, per_seed=(0.011, 0.0209, 0.0311)), ode)
    assert not worse.no_worse
    unsure = compared(figures(0.0, per_seed=(0.005, 0.020, 0.0355)), ode)
    assert unsure.no_worse
    assert not unsure.better


def test_the_reverse_sde_of_the_ring_is_worse_than_its_ode(ring):
    found = compare(ring, REVERSE_SDE, REFERENCES, samples=4000, seeds=(1, 2, 3), steps=60)
    assert not found.no_worse


def test_bad_requests(ring):
    with pytest.raises(InputError, match="two or more"):
        compare(ring, REVERSE_SDE, REFERENCES, samples=10, seeds=(1,))
    with pytest.raises(InputError, match="at least one"):
        measure(ring, None, {}, 10, (1,))
