"""What a report is made of: plain numbers and arrays, nothing that needs a board.

A run fills a `ReportData` and saves it in its folder (`report.npz`, `report.json`); the report can
be rendered again from there at any time. Every part but the title is optional: what is None or
empty is left out of the page with a sentence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil.jsonable import plain
from hil.record import RunFolder
from protocols.errors import HilError, RecordError

Array = NDArray[Any]
Text = str | int | float | bool | None
METRICS = (
    "kl_1d",
    "kl_2d",
    "sliced_w1",
    "radius_mean",
    "radius_sd",
    "angle_kuiper",
    "samples",
)
ARRAYS_FILE, FIGURES_FILE = "report.npz", "report.json"


@dataclass(frozen=True)
class ProgrammingData:
    """One entry per programmed cell; all arrays have shape (n,).

    Attributes:
        rows, columns: where each cell is in the array.
        array_rows, array_columns: size of the whole array.
        target_siemens, reached_siemens: what was asked for, and the last verify reading (NaN for
            a cell that could not be read).
        pulses: programming pulses that each cell took.
        status: "in_tolerance" or why the cell is not ("budget", "stuck_low", ...), one str each.
        tolerance_siemens: accepted |reached - target|, per cell or one for all (shape (1,)).
        round_trips: exchanges with the board that programming took, None if not counted.
        forming_volts: line voltage at which each cell formed (NaN: not formed), or None.
        group: which layer a cell belongs to, one small integer each, or None.
    """

    rows: Array
    columns: Array
    array_rows: int
    array_columns: int
    target_siemens: Array
    reached_siemens: Array
    pulses: Array
    status: Array
    tolerance_siemens: Array
    round_trips: int | None = None
    forming_volts: Array | None = None
    group: Array | None = None

    def __post_init__(self) -> None:
        n = len(self.rows)
        for name in ("columns", "target_siemens", "reached_siemens", "pulses", "status"):
            if np.shape(getattr(self, name)) != (n,):
                raise RecordError(
                    f"programming data: {name} is not one entry for each of {n} cells."
                )
        if n == 0:
            raise RecordError("programming data without a cell; leave the section out instead.")
        if np.shape(self.tolerance_siemens) not in ((n,), (1,)):
            raise RecordError("programming data: one tolerance, or one for each cell, is needed.")

    @property
    def error_siemens(self) -> Array:
        """Reached minus target."""
        error: Array = self.reached_siemens - self.target_siemens
        return error

    @property
    def in_tolerance(self) -> Array:
        """Which cells the algorithm reported as in tolerance."""
        inside: Array = self.status == "in_tolerance"
        return inside

    def summary(self) -> dict[str, Text]:
        """The figures of the programming table."""
        return {
            "cells": len(self.rows),
            "in_tolerance": int(self.in_tolerance.sum()),
            "pulses_mean": float(np.mean(self.pulses)),
            "pulses_p99": float(np.percentile(self.pulses, 99)),
            "round_trips": self.round_trips,
        }


@dataclass(frozen=True)
class TrajectoryData:
    """Whole solves of the chip and of the software from the same initial conditions.

    Attributes:
        time: model time of each point, shape (points,).
        chip: model units, shape (k, points, 2).
        software_time, software: the same of the software, its own points; None if not computed.
    """

    time: Array
    chip: Array
    software_time: Array | None = None
    software: Array | None = None


@dataclass(frozen=True)
class WaveformData:
    """The 18 channels as driven, one value per tick, held for the tick.

    Attributes:
        tick_s: length of a tick.
        drift, score: words f and g2 as fractions of full scale, shape (ticks,).
        embedding_volts: shape (ticks, 14).
        offset: of the two noise/offset channels, fractions of full scale, shape (ticks, 2).
        noise: standard deviation of the noise on them, fractions of full scale, shape (ticks,).
        noise_drawn: one realisation of the two channels, shape (ticks, 2), or None.
        mode: "ODE" or "SDE".
    """

    tick_s: float
    drift: Array
    score: Array
    embedding_volts: Array
    offset: Array
    noise: Array
    noise_drawn: Array | None = None
    mode: str = "ODE"


@dataclass(frozen=True)
class LayerData:
    """Outputs of one layer in volts, each of shape (m,): ideal network against measured."""

    name: str
    ideal_volts: Array
    measured_volts: Array


@dataclass(frozen=True)
class ClassData:
    """Samples class by class, and as pictures.

    Attributes:
        names: of the classes; empty for samples without classes.
        labels: row name to the class of each point of `ReportData.samples`, as a place in `names`.
        sliced_w1: row name to the distance of each class from its own data, shape (classes,).
        pictures: row name to pictures from 0 to 1, shape (classes, k, h, w), one class where there
            are none; empty where samples are no pictures.
    """

    names: tuple[str, ...]
    labels: Mapping[str, Array]
    sliced_w1: Mapping[str, Array]
    pictures: Mapping[str, Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, values in self.sliced_w1.items():
            if np.shape(values) != (len(self.names),):
                raise RecordError(f"class data: {name} has {np.shape(values)} distances.")
        for name, images in self.pictures.items():
            if np.ndim(images) != 4 or len(images) != max(len(self.names), 1):
                raise RecordError(f"class data: pictures of {name} have shape {np.shape(images)}.")


@dataclass(frozen=True)
class BudgetRow:
    """One line of the error budget: what was changed, and the metrics with that change.

    Attributes:
        name: for instance "read noise off".
        figures: metric name (one of METRICS) to value.
        kind: "one_off" (this effect alone switched off), or a reference line: "all_on", "all_off",
            "data" (data against data with as many samples as the other rows).
    """

    name: str
    figures: Mapping[str, float | None]
    kind: str = "one_off"


@dataclass(frozen=True)
class LoopRow:
    """One calibrated figure of the analog loop, with its standard uncertainty if known."""

    name: str
    value: float
    unit: str
    nominal: float | None = None
    uncertainty: float | None = None


@dataclass(frozen=True)
class ReportData:
    """Everything on one report.

    Attributes:
        title: heading of the front page.
        simulated: whether the board (and so every figure) is simulated.
        summary: two or three sentences for the front page.
        run, board, chip: names and values for the front page, in order.
        seed: the run's seed.
        rows: row name ("data", "software", "loop_ideal", "chip_ode", "chip_sde", ...) to metrics
            (METRICS); order is kept.
        row_titles: row name to the title that is shown, where it is not the default.
        samples: row name to points in model units, shape (n, d); the panels follow `rows`, and
            show points of the plane.
        classes, programming, trajectories, waveforms: see their classes, or None.
        layers: one entry per layer, in order.
        budget: lines of the error budget; `budget_metric` is the one that the bars show.
        loop: calibrated figures of the loop.
        bench_time, host_time, modelled: name to value; seconds for the times. They are three
            accounts that are never added up. `modelled` maps a name to (value, unit).
        notes: further sentences for the last section, for instance how to repeat this run.
    """

    title: str
    simulated: bool = True
    summary: str = ""
    run: Mapping[str, Text] = field(default_factory=dict)
    board: Mapping[str, Text] = field(default_factory=dict)
    chip: Mapping[str, Text] = field(default_factory=dict)
    seed: int | None = None
    rows: Mapping[str, Mapping[str, float | int | None]] = field(default_factory=dict)
    row_titles: Mapping[str, str] = field(default_factory=dict)
    samples: Mapping[str, Array] = field(default_factory=dict)
    classes: ClassData | None = None
    programming: ProgrammingData | None = None
    trajectories: TrajectoryData | None = None
    waveforms: WaveformData | None = None
    layers: tuple[LayerData, ...] = ()
    budget: tuple[BudgetRow, ...] = ()
    budget_metric: str = "sliced_w1"
    loop: tuple[LoopRow, ...] = ()
    bench_time: Mapping[str, float] = field(default_factory=dict)
    host_time: Mapping[str, float] = field(default_factory=dict)
    modelled: Mapping[str, tuple[float, str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, points in self.samples.items():
            if np.ndim(points) != 2 or np.shape(points)[1] < 1 or len(points) == 0:
                raise RecordError(f"samples {name!r} have shape {np.shape(points)}, not (n, d).")
        for name, places in (self.classes.labels if self.classes else {}).items():
            if len(places) != len(self.samples.get(name, ())):
                raise RecordError(f"samples {name!r}: not one class for each of them.")
        if self.budget_metric not in METRICS:
            raise RecordError(f"{self.budget_metric!r} is no metric; use one of {METRICS}.")

    @property
    def plane(self) -> Mapping[str, Array]:
        """Those sets of samples that are points of the plane."""
        return {name: points for name, points in self.samples.items() if points.shape[1] == 2}

    def row_title(self, name: str) -> str:
        """What a row of metrics is called on the page."""
        return self.row_titles.get(name) or ROW_TITLES.get(name, name.replace("_", " "))

    # --- to a run folder and back ------------------------------------------------------------

    def save(self, run: RunFolder) -> None:
        """Writes report.npz and report.json into the run's folder (RecordError if it cannot)."""
        arrays: dict[str, Array] = {}
        tree = _pack(self, "", arrays)
        run.save_arrays(ARRAYS_FILE, arrays)
        run.save_json(FIGURES_FILE, tree)

    @classmethod
    def load(cls, run: RunFolder) -> ReportData:
        """What a run has saved.

        Raises:
            RecordError: no report was saved, or its files are damaged or of another version.
        """
        tree = run.load_json(FIGURES_FILE)
        arrays = run.load_arrays(ARRAYS_FILE)
        try:
            return _build(_unpack(tree, arrays))
        except (LookupError, TypeError, ValueError, AttributeError, HilError) as error:
            raise RecordError(
                f"{run.path / FIGURES_FILE}: not the report data of this version ({error!r}); "
                "make the run again."
            ) from error


ROW_TITLES = {
    "data": "data",
    "software": "software (Euler ODE, 1000 steps)",
    "software_sde": "software (SDE)",
    "loop_ideal": "analog loop, ideal weights",
    "chip_ode": "programmed chip, ODE",
    "chip_sde": "programmed chip, SDE",
}

_ARRAY_KEY = "$array"


def _pack(value: object, path: str, arrays: dict[str, Array]) -> Any:
    """`value` as a JSON tree; each array goes to `arrays` and leaves its key behind."""
    if isinstance(value, np.ndarray):
        arrays[path] = value
        return {_ARRAY_KEY: path}
    if isinstance(value, Mapping):
        return {str(k): _pack(v, f"{path}/{k}".lstrip("/"), arrays) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return [_pack(v, f"{path}/{i}", arrays) for i, v in enumerate(value)]
    if hasattr(value, "__dataclass_fields__"):
        items = {f.name: getattr(value, f.name) for f in fields(value)}  # type: ignore[arg-type]
        return _pack(items, path, arrays)
    return plain(value)


def _unpack(tree: Any, arrays: Mapping[str, Array]) -> Any:
    if isinstance(tree, dict):
        if set(tree) == {_ARRAY_KEY}:
            return arrays[tree[_ARRAY_KEY]]
        return {key: _unpack(item, arrays) for key, item in tree.items()}
    if isinstance(tree, list):
        return [_unpack(item, arrays) for item in tree]
    return tree


def _build(tree: dict[str, Any]) -> ReportData:
    parts = {
        "programming": ProgrammingData,
        "trajectories": TrajectoryData,
        "waveforms": WaveformData,
    }
    if tree.get("classes") is not None:
        tree["classes"]["names"] = tuple(tree["classes"]["names"])
        tree["classes"] = ClassData(**tree["classes"])
    for name, kind in parts.items():
        if tree.get(name) is not None:
            tree[name] = kind(**tree[name])
    lists = {"layers": LayerData, "budget": BudgetRow, "loop": LoopRow}
    for name, item_kind in lists.items():
        tree[name] = tuple(item_kind(**item) for item in tree.get(name, ()))
    tree["modelled"] = {k: (pair[0], str(pair[1])) for k, pair in tree.get("modelled", {}).items()}
    tree["notes"] = tuple(tree.get("notes", ()))
    return ReportData(**tree)
