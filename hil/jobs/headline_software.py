"""Software on this computer, timed: what a sample takes in each form, in time and energy."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from hil.diffusion.baselines import Form
from hil.diffusion.keyed import FloatArray
from hil.diffusion.noise_law import ODE_COEFFICIENT
from hil.diffusion.score_model import ScoreModel
from hil.host_power import EnergyCounter
from hil.report.headline.components import Figure
from hil.report.headline.data import SoftwareRow
from hil.sim.generate import HeldWords, generate

TIMED_STEPS = 200
"""Steps that a clock runs for at most; longer solves are scaled, as every step costs the same."""
REPEATS = 3


@dataclass(frozen=True)
class CompiledForm:
    """The compiled kernel (`hil.sim.generate`): Heun's rule, words from the middle of each step."""

    model: ScoreModel
    key: str = "compiled"
    name: str = "best compiled (C, Heun)"

    def solve(self, x0: FloatArray, steps: int, label: int | None = None) -> FloatArray:
        """See `hil.diffusion.baselines.Form`."""
        model, tick = self.model, self.model.capture_time / steps
        tau = model.tau(tick * (np.arange(steps) + 0.5))
        beta = np.asarray(model.schedule.beta(tau))
        words = HeldWords(
            tick_s=tick,
            rate=0.5 * model.kf * beta,
            pull=ODE_COEFFICIENT * model.kg * beta,
            embedding=model.injected(tau, label),
        )
        return generate(model.layers, words, x0, output_gain=model.output_gain)


@dataclass(frozen=True)
class Planned:
    """A form with the number of steps that it is used with."""

    form: Form
    steps: int
    kl_1d: float
    sliced_w1: float
    found: bool


def time_forms(
    plan: Sequence[Planned], start: FloatArray, label: int | None, power: Power
) -> tuple[SoftwareRow, ...]:
    """Times every form on a batch and on one sample alone, interleaved."""
    clocks = [_Clock(each.form, start, each.steps, label) for each in plan]
    for _ in range(REPEATS):  # interleaved: a busy moment hits every form alike
        for clock in clocks:
            clock.run()
    return tuple(
        SoftwareRow(
            key=each.form.key,
            name=each.form.name,
            steps=each.steps,
            kl_1d=each.kl_1d,
            sliced_w1=each.sliced_w1,
            found=each.found,
            batch=len(start),
            batch_seconds=clock.batch_seconds,
            single_seconds=clock.single_seconds,
            timed_steps=clock.timed,
            joules=power.joules(clock.solve_batch, clock.batch_seconds, clock.per_sample),
        )
        for each, clock in zip(plan, clocks, strict=True)
    )


class _Clock:
    """Times one form; each figure is the median of the runs."""

    def __init__(self, form: Form, start: FloatArray, steps: int, label: int | None) -> None:
        self._form, self._start, self._label = form, start, label
        self.timed = min(steps, TIMED_STEPS)
        self._scale = steps / self.timed
        self._batch: list[float] = []
        self._single: list[float] = []
        form.solve(start[:1], 1, label)  # what is only done once: building, loading

    def run(self) -> None:
        """One more run of both kinds."""
        self._batch.append(_seconds(self.solve_batch) * self._scale / len(self._start))
        alone = self._start[:1]
        single = _seconds(lambda: self._form.solve(alone, self.timed, self._label))
        self._single.append(single * self._scale)

    def solve_batch(self) -> FloatArray:
        """What is timed as a batch."""
        return self._form.solve(self._start, self.timed, self._label)

    @property
    def batch_seconds(self) -> float:
        """Per sample of a batch."""
        return float(np.median(self._batch))

    @property
    def single_seconds(self) -> float:
        """Of one sample alone."""
        return float(np.median(self._single))

    def per_sample(self, joules: float) -> float:
        """Of an energy that `solve_batch` took."""
        return joules * self._scale / len(self._start)


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


@dataclass(frozen=True)
class Power:
    """Where the software's energy comes from: a counter, a figure, or nowhere."""

    counter: EnergyCounter | None
    watts: float | None
    origin: str

    @classmethod
    def of(cls, given_watts: float | None, host: Figure) -> Power:
        """What the user gave, else the processor's counters, else the figure of the file."""
        if given_watts is not None:
            return cls(None, given_watts, f"{given_watts:g} W, given by the user")
        counter = EnergyCounter.open()
        if counter is not None:
            return cls(counter, None, "measured: energy counters of the processor (RAPL)")
        if host.used is not None:
            kind, said = ("assumed", host.assumption) if host.is_assumed else ("", host.source)
            return cls(None, host.used, f"{host.used:g} W {kind}: {said}".replace(" :", ":"))
        return cls(None, None, "unknown: no energy counter can be read here and no power is given")

    def joules(
        self,
        work: Callable[[], object],
        seconds: float,
        per_sample: Callable[[float], float],
    ) -> float | None:
        """Of one sample, which takes `seconds`; `work` is what a counter is read around."""
        if self.counter is not None:
            found = self.counter.joules_of(work)
            return None if found is None else per_sample(found)
        return None if self.watts is None else self.watts * seconds


def computer() -> dict[str, str]:
    """What the software ran on."""
    return {
        "processor": _processor(),
        "processors used": str(len(os.sched_getaffinity(0))),
        "torch threads": str(torch.get_num_threads()),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
