"""`hil noise`: laws measured, the best one stored; `hil run --noise`: refusals before anything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hil.cli.app import run
from hil.diffusion.model import load_model
from hil.diffusion.noise_law import NoiseLaw
from hil.diffusion.noise_source import write_noise


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def called(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    capsys.readouterr()
    assert run([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, dict)
    return found


def test_the_best_of_the_laws_given_is_stored_and_nothing_else_changes(here, capsys):
    laws = ("--law", "strength=1", "--law", "strength=0.4,until=0.1")
    found = called(capsys, "noise", "ring", *laws, "--samples", "1000", "--out", "mine.npz")
    assert NoiseLaw(**found["best"]) == NoiseLaw.preserving(0.4, until=0.1)
    assert isinstance(found["no_worse_than_ode"], bool)
    assert [line["law"] is None for line in found["software"]] == [False, False, True]
    mine, ring = load_model(here / "mine.npz"), load_model("ring")
    assert mine.noise == NoiseLaw.preserving(0.4, until=0.1)
    for a, b in zip(mine.weights, ring.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    assert mine.training == ring.training


def test_the_table_says_what_is_best(capsys):
    assert run(["noise", "ring", "--law", "strength=0.35", "--samples", "1000"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "proper, scale 0.35, c 0.56125" in said
    assert "probability-flow ODE" in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["noise", "ring", "--law", "loud"], "noise law 'loud'"),
        (["noise", "ring", "--out", "no/where.npz"], "nothing was measured"),
        (["noise", "nosuch"], "no such model file"),
        (["run", "--noise", "board"], "mode ode has no noise; use --mode sde"),
        (["run", "--mode", "sde", "--noise", "nothing.npz"], "not a recorded noise stream"),
    ],
)
def test_bad_requests_are_refused_first(here, capsys, arguments, words):
    assert run(arguments) != 0
    assert words in " ".join(capsys.readouterr().err.split())
    assert list(here.iterdir()) == []


def test_a_recording_that_is_no_noise_is_refused(here, capsys):
    np.savez(here / "volts.npz", noise=np.linspace(0.0, 5.0, 5000))
    assert run(["run", "--mode", "sde", "--noise", "volts.npz"]) != 0
    assert "scale the recording first" in " ".join(capsys.readouterr().err.split())
    write_noise(here / "good.npz", np.random.default_rng(1).normal(size=5000))
