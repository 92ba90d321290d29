"""The error budget: every line can be calibrated and run, whatever is switched off in it."""

import math

import pytest

from hil.config import BenchConfig
from hil.diffusion.model import load_model
from hil.jobs import budget
from hil.jobs.network import place


@pytest.mark.slow
def test_a_loop_without_its_saturating_stages_is_still_calibrated(monkeypatch):
    stages = {"saturating stages": budget.GROUPS["saturating stages"]}
    monkeypatch.setattr(budget, "GROUPS", stages)
    config, model = BenchConfig(), load_model("ring")
    placement = place(model, config)
    lines = budget.error_budget(config, model, placement, placement.target_siemens, 40)
    kinds = [line.kind for line in lines]
    assert kinds == ["all_on", "one_off", "one_off", "all_off"]
    for line in lines:
        assert line.metrics.samples == 40
        assert math.isfinite(line.metrics.sliced_w1)
        assert 0.6 < line.metrics.radius_mean < 0.8
