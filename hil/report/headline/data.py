"""What the headline table is made from: three kinds of time that are never added up or mixed.

host      measured on this computer: what software takes
bench     the clock of the bench's board (simulated: its virtual clock)
modelled  what a chip would take by component figures; no clock has shown it
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from hil.report.headline.components import ChipEnergy, Published


@dataclass(frozen=True)
class SoftwareRow:
    """One form of the software on this computer.

    Attributes:
        key, name: of the form (`hil.diffusion.baselines`).
        steps: of a solve.
        kl_1d, sliced_w1: at that number of steps; the second is no part of the search.
        found: whether the steps were searched for; otherwise they are the published number.
        batch, batch_seconds: samples at once, and time per sample of them.
        single_seconds: of one sample alone.
        timed_steps: that the clock ran for; the time is scaled to `steps`.
        joules: per sample of the batch; None where the computer's power is not known.
    """

    key: str
    name: str
    steps: int
    kl_1d: float
    sliced_w1: float
    found: bool
    batch: int
    batch_seconds: float
    single_seconds: float
    timed_steps: int
    joules: float | None


@dataclass(frozen=True)
class BenchRow:
    """One sample on the bench, by the board's own clock."""

    seconds: float
    ticks: int
    tick_s: float
    samples: int


@dataclass(frozen=True)
class ModelledRow:
    """One sample on the modelled chip."""

    seconds: float | None
    is_assumed: bool
    energy: ChipEnergy


@dataclass(frozen=True)
class TaskRow:
    """One task.

    Attributes:
        task, model: names.
        is_conditional: whether the model has classes.
        reference_steps, reference_kl: of the solve that sets the quality.
        tolerance: of the KL, by which a solve may exceed it.
        tried: number of steps -> KL, of the Euler search.
        software, bench, modelled: the three accounts.
        published: what is stated for a task of this kind.
    """

    task: str
    model: str
    is_conditional: bool
    reference_steps: int
    reference_kl: float
    tolerance: float
    samples: int
    tried: Mapping[int, float]
    software: tuple[SoftwareRow, ...]
    bench: BenchRow | None
    modelled: ModelledRow
    published: tuple[Published, ...]


@dataclass(frozen=True)
class Factor:
    """How much faster, or less hungry, the modelled chip is than one baseline on this computer.

    `speed` and `energy` are software over chip; None where a figure is missing. `energy_at_most`:
    the chip's energy is a lower bound, so the factor is an upper one.
    """

    baseline: str
    speed: float | None
    energy: float | None
    energy_at_most: bool


@dataclass(frozen=True)
class HeadlineData:
    """The whole table."""

    tasks: tuple[TaskRow, ...]
    computer: Mapping[str, str]
    power_source: str
    components_file: str
    bench_simulated: bool = True
    notes: tuple[str, ...] = field(default=())


def to_dict(data: HeadlineData) -> dict[str, Any]:
    """Plain values for JSON; the three accounts stay apart."""
    tasks = []
    for task in data.tasks:
        energy = task.modelled.energy
        tasks.append(
            {
                "task": task.task,
                "model": task.model,
                "conditional": task.is_conditional,
                "quality": {
                    "figure": "kl_1d",
                    "reference_steps": task.reference_steps,
                    "reference": task.reference_kl,
                    "tolerance": task.tolerance,
                    "samples": task.samples,
                    "euler_tried": {str(n): kl for n, kl in task.tried.items()},
                },
                "host": [asdict(row) for row in task.software],
                "bench": None if task.bench is None else asdict(task.bench),
                "modelled": {
                    "seconds": task.modelled.seconds,
                    "seconds_assumed": task.modelled.is_assumed,
                    "joules": energy.joules,
                    "joules_is_lower_bound": not energy.is_complete,
                    "unknown": list(energy.unknown),
                    "assumed": list(energy.assumed),
                    "parts": [asdict(part) for part in energy.parts],
                },
                "factors": [asdict(factor) for factor in factors(task)],
                "published": [each.model_dump(exclude_none=True) for each in task.published],
            }
        )
    return {
        "computer": dict(data.computer),
        "power": data.power_source,
        "components": data.components_file,
        "bench_simulated": data.bench_simulated,
        "tasks": tasks,
        "notes": list(data.notes),
    }


def factors(task: TaskRow) -> list[Factor]:
    """Every baseline of a task against the modelled chip, batch and single sample apart."""
    chip = task.modelled
    return [
        Factor(
            f"{row.name}, {row.steps:,} steps, {how}",
            None if chip.seconds is None else seconds / chip.seconds,
            _ratio(row.joules, chip.energy.joules) if how == BATCH else None,
            not chip.energy.is_complete,
        )
        for row in task.software
        for how, seconds in ((BATCH, row.batch_seconds), (SINGLE, row.single_seconds))
    ]


BATCH, SINGLE = "in a batch", "one at a time"


def _ratio(above: float | None, below: float | None) -> float | None:
    return None if above is None or not below else above / below
