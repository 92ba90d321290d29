"""`hil run` for a network on macros: calibrate the products, solve stepped, bring samples home."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from calibration.arrays import FloatArray, IntArray
from calibration.progress import Progress, silent
from hil.config import SteppedSection
from hil.diffusion.noise_source import NoiseSource, SeededNoise
from hil.diffusion.sampler import initial_conditions
from hil.diffusion.score_model import ScoreModel
from hil.jobs import startup
from hil.jobs.rows import repeated
from hil.tiled.calibration import TileCalibration, calibrate_tiles
from hil.tiled.network import TiledNetwork
from hil.tiled.products import ProductOptions, TileProduct, layer_sum, tile_products
from hil.tiled.rack import Job, Member, Rack
from hil.tiled.stepping import Stepped, layer_outputs, solve_stepped
from hil.tiled.tiling import Tile
from hil.waveforms import Mode
from protocols.errors import InputError

READ_SAMPLES = 8
CHECK_VECTORS = 40


@dataclass(frozen=True)
class Wanted:
    """What a stepped run is asked for.

    Attributes:
        count: samples of each label.
        mode: ODE or SDE.
        seed: keys initial conditions and noise, together with a sample's number.
        labels: classes, or None alone for no class.
        noise: where the SDE's noise comes from; None is keyed by the seed.
    """

    count: int
    mode: Mode
    seed: int
    labels: tuple[int | None, ...] = (None,)
    noise: NoiseSource | None = None

    def __post_init__(self) -> None:
        if self.count < 1 or not self.labels:
            raise InputError(f"{self.count} samples of {len(self.labels)} classes: at least one.")


@dataclass(frozen=True, eq=False)
class LayerCheck:
    """Outputs of one layer on the macros against those of the ideal network, model units."""

    name: str
    ideal: FloatArray
    measured: FloatArray


@dataclass(frozen=True, eq=False)
class SteppedSamples:
    """What a stepped run brought home, in model units.

    Attributes:
        x: (n, d) samples, label by label.
        initial: (n, d) where they began.
        labels: (n,) class of each, -1 for none.
        mode: ODE or SDE.
        bench_s: time of the products on the boards' own clocks, boards that work at the same time
            counted once. It is the wire's and the converters', not an analog chip's.
        vectors: input vectors that were multiplied, of all tiles together.
    """

    x: FloatArray
    initial: FloatArray
    labels: IntArray
    mode: Mode
    bench_s: float
    vectors: int


@dataclass
class Products:
    """The products of a network on an open rack.

    Attributes:
        rack: the open macros.
        network: what is on them.
        options: how they are driven.
        tiles: by macro.
        calibration_s: bench time of reading the cells and calibrating.
        bench_s, vectors: see `SteppedSamples`.
    """

    rack: Rack
    network: TiledNetwork
    options: ProductOptions
    tiles: Mapping[str, Sequence[TileProduct]]
    calibration_s: float = 0.0
    bench_s: float = 0.0
    vectors: int = 0
    _layers: dict[int, dict[str, list[TileProduct]]] = field(default_factory=dict)

    @classmethod
    def calibrated(
        cls,
        rack: Rack,
        network: TiledNetwork,
        options: ProductOptions,
        seed: int,
        progress: Progress | None = None,
    ) -> tuple[Products, list[TileCalibration]]:
        """Reads every cell, then measures gain and offset of every output.

        Raises:
            CalibrationError: an output does not follow its inputs.
        """
        tell = progress or silent
        jobs: dict[str, Job[tuple[list[TileProduct], list[TileCalibration], float]]] = {
            name: partial(_calibrate, network=network, options=options, seed=seed)
            for name in network.placements
        }
        tell(0, 1, "calibrating products")
        found = rack.some(jobs)
        tell(1, 1, "calibrated products")
        tiles = {name: each[0] for name, each in found.items()}
        spent_s = max(each[2] for each in found.values())
        products = cls(rack, network, options, tiles, calibration_s=spent_s)
        return products, [one for each in found.values() for one in each[1]]

    def multiply(self, layer: int, x: FloatArray) -> FloatArray:
        """Weights times inputs (n, in) of one layer, (n, out), on all its macros at the same time.

        Raises:
            CalibrationError: see `TileProduct.multiply`.
        """
        mine = self._of(layer)
        jobs: dict[str, Job[tuple[list[tuple[Tile, FloatArray]], float]]] = {
            name: partial(_multiply, tiles=tiles, x=x, options=self.options)
            for name, tiles in mine.items()
        }
        found = self.rack.some(jobs)
        self.bench_s += max(spent_s for _, spent_s in found.values())
        self.vectors += len(x) * sum(map(len, mine.values()))
        parts = [part for each, _ in found.values() for part in each]
        return layer_sum(self.network.tiling.shapes[layer], parts, len(x))

    def weights(self) -> list[FloatArray]:
        """The weights of every layer as the cells read before the run."""
        layers = [np.zeros(shape) for shape in self.network.tiling.shapes]
        for each in (product for tiles in self.tiles.values() for product in tiles):
            tile = each.tile
            layers[tile.layer][tile.output_range, tile.input_range] = each.weights()
        return layers

    def _of(self, layer: int) -> dict[str, list[TileProduct]]:
        if layer not in self._layers:
            found = {
                name: [each for each in tiles if each.tile.layer == layer]
                for name, tiles in self.tiles.items()
            }
            self._layers[layer] = {name: tiles for name, tiles in found.items() if tiles}
        return self._layers[layer]


def product_options(section: SteppedSection) -> ProductOptions:
    """What the bench file says."""
    return ProductOptions(section.input_volts, section.conversions, section.centred)


def take_samples(
    products: Products,
    model: ScoreModel,
    wanted: Wanted,
    section: SteppedSection,
    progress: Progress | None = None,
) -> SteppedSamples:
    """Solves all samples, a batch at a time; a batch may hold several classes.

    Raises:
        CalibrationError, ModelError, InputError: see `solve_stepped`.
    """
    tell = progress or silent
    before = (products.bench_s, products.vectors)
    start = initial_conditions(model, wanted.seed, 0, wanted.count * len(wanted.labels))
    labels = repeated(wanted.labels, wanted.count)
    noise = wanted.noise or SeededNoise(wanted.seed)
    ends, total = [], len(start) * section.ticks
    for first in range(0, len(start), section.batch):
        part = slice(first, first + section.batch)
        mine = None if labels is None else labels[part]

        def after(tick: int, x: FloatArray, first: int = first) -> None:
            done = first * section.ticks + tick * len(x)
            tell(done, total, f"solving stepped ({wanted.mode.name})")

        how = Stepped(wanted.mode, section.ticks, mine, noise, first)
        ends.append(solve_stepped(model, products.multiply, start[part], how, after))
    return SteppedSamples(
        x=np.concatenate(ends),
        initial=start,
        labels=np.full(len(start), -1, dtype=np.int64) if labels is None else labels,
        mode=wanted.mode,
        bench_s=products.bench_s - before[0],
        vectors=products.vectors - before[1],
    )


def check_layers(
    products: Products, model: ScoreModel, seed: int, label: int | None = None
) -> list[LayerCheck]:
    """Every layer's outputs at points spread over space and time, against the ideal network's.

    Errors of a layer are passed on to the next one, as in a solve.
    """
    times = np.linspace(0.0, model.capture_time, 4, endpoint=False)
    each = CHECK_VECTORS // len(times)
    ideal: list[list[FloatArray]] = [[] for _ in model.weights]
    measured: list[list[FloatArray]] = [[] for _ in model.weights]
    for number, tau in enumerate(model.tau(times)):
        x = initial_conditions(model, seed, number * each, each)
        injected = model.injected(tau, label)
        for k, wanted in enumerate(model.layer_outputs(x, tau, label=label)):
            ideal[k].append(wanted)
        for k, found in enumerate(layer_outputs(model, products.multiply, x, injected)):
            measured[k].append(found)
    return [
        LayerCheck(
            "output layer" if k == len(ideal) - 1 else f"hidden layer {k + 1}",
            np.concatenate(ideal[k]).ravel(),
            np.concatenate(measured[k]).ravel(),
        )
        for k in range(len(ideal))
    ]


def _calibrate(
    member: Member, network: TiledNetwork, options: ProductOptions, seed: int
) -> tuple[list[TileProduct], list[TileCalibration], float]:
    macro, placement = member.bench.macro, network.placements[member.name]
    macro.read(placement.cells[:1])  # the board says what time it is
    start_s = macro.time_s
    siemens = macro.read(placement.cells, READ_SAMPLES)
    products = tile_products(network, member.name, siemens)
    done, found = calibrate_tiles(macro, products, options, seed)
    facts: dict[str, Any] = {"tiles": [each.to_dict() for each in found]}
    member.run.journal.event("product_calibration", facts)
    member.run.save_json("product-calibration.json", facts)
    return done, found, macro.time_s - start_s


def _multiply(
    member: Member, tiles: Sequence[TileProduct], x: FloatArray, options: ProductOptions
) -> tuple[list[tuple[Tile, FloatArray]], float]:
    """Partial sums of one macro, and the board's time that they took.

    Products drive nothing above the read level and are many: they are not kept in the journal.
    """
    macro = member.bench.macro
    start_s = macro.time_s
    with startup.aside(member.bench):
        parts = [(each.tile, each.multiply(macro, x[:, each.tile.input_range], options))
                 for each in tiles]  # fmt: skip
    return parts, macro.time_s - start_s
