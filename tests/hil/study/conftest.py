"""A study that is solved in a second or two: an ideal loop, few samples, no drive to fit."""

from __future__ import annotations

import pytest

from hil.study.config import parse_study
from hil.study.job import Study

SMALL = """\
name: small
grid:
  weight_error: [0, 0.05]
  chip: {first: 1, count: 3}
  tolerance_siemens: 0
  samples: 50
effects: []
batch: 2
bench:
  loop: {trim_drive: false}
figures:
  - {x: weight_error, y: kl_1d, log_y: true}
  - {kind: yield, x: weight_error, y: sliced_w1, most: 0.2}
"""


def study_of(text: str) -> Study:
    return Study.of(parse_study(text, "test.yaml"), "test.yaml", text)


@pytest.fixture
def small() -> Study:
    return study_of(SMALL)


@pytest.fixture
def small_text() -> str:
    return SMALL


@pytest.fixture
def make_study():
    return study_of
