"""The beta law's marginals against a simulated forward process."""

import numpy as np
import pytest

from hil.diffusion.schedule import VpSchedule
from protocols.errors import InputError


def test_published_marginal():
    # mean 0.882 and std 0.471 at tau = 1 for beta from 0.001 to 0.5 (published notebook's law).
    schedule = VpSchedule(0.001, 0.5)
    assert float(schedule.mean(1.0)) == pytest.approx(0.882, abs=5e-4)
    assert float(schedule.std(1.0)) == pytest.approx(0.471, abs=5e-4)


def test_marginals_match_a_simulation():
    schedule = VpSchedule(0.01, 2.0)
    rng = np.random.default_rng(3)
    steps, n = 400, 40_000
    x = np.full(n, 0.7)
    for k in range(steps):
        beta = float(schedule.beta((k + 0.5) / steps))
        x += -0.5 * beta * x / steps + np.sqrt(beta / steps) * rng.standard_normal(n)
    assert x.mean() == pytest.approx(0.7 * float(schedule.mean(1.0)), abs=4 / np.sqrt(n))
    assert x.std() == pytest.approx(float(schedule.std(1.0)), rel=0.015)


def test_variance_is_preserved():
    tau = np.linspace(0.0, 1.0, 50)
    schedule = VpSchedule(0.001, 3.0)
    np.testing.assert_allclose(schedule.mean(tau) ** 2 + schedule.std(tau) ** 2, 1.0, rtol=1e-12)


@pytest.mark.parametrize("pair", [(-0.1, 1.0), (2.0, 1.0), (0.0, 0.0), (0.0, float("nan"))])
def test_refuses_what_is_no_schedule(pair):
    with pytest.raises(InputError, match="beta_min"):
        VpSchedule(*pair)
