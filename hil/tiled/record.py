"""Which network is on which macros: the file of a `network` run, and finding the latest one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from calibration.arrays import FloatArray
from calibration.placement import Placement
from hil.config import BenchConfig
from hil.diffusion.score_model import ScoreModel
from hil.jobs.network import LARGEST_MISMATCH, PLACEMENT_FILE, latest_placement
from hil.record import DONE, RunFolder
from hil.tiled.network import TiledNetwork
from hil.tiled.tiling import MacroShape, Tile, Tiling
from protocols.errors import ChipError, MappingError, RecordError
from protocols.hardware import explain

NETWORK_KIND = "network"
NETWORK_FILE = "network.json"
FORMAT: Literal["tiled-network-1"] = "tiled-network-1"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


_Count = Annotated[int, Field(ge=0, lt=1 << 16)]
_Some = Annotated[int, Field(ge=1, le=1 << 16)]


class _TileFile(_Part):
    layer: _Count
    first_output: _Count
    outputs: _Some
    first_input: _Count
    inputs: _Some
    macro: str
    first_row: _Count
    first_column: _Count
    arms: Annotated[int, Field(ge=1, le=2)]
    scale: Annotated[list[Annotated[float, Field(gt=0)]], Field(max_length=1 << 16)]


class _MacroFile(_Part):
    name: str
    rows: _Some
    columns: _Some
    chip: str
    run: str


class _NetworkFile(_Part):
    format: Literal["tiled-network-1"]
    shapes: Annotated[list[tuple[_Some, _Some]], Field(min_length=1, max_length=256)]
    macros: Annotated[list[_MacroFile], Field(min_length=1, max_length=64)]
    tiles: Annotated[list[_TileFile], Field(min_length=1, max_length=1 << 14)]


def save_network(
    run: RunFolder, network: TiledNetwork, chips: Mapping[str, str], members: Mapping[str, str]
) -> None:
    """Writes how a network's parts belong together; targets are in the members' own runs."""
    tiling = network.tiling
    run.save_json(
        NETWORK_FILE,
        {
            "format": FORMAT,
            "shapes": [list(shape) for shape in tiling.shapes],
            "macros": [
                {
                    "name": macro.name,
                    "rows": macro.rows,
                    "columns": macro.columns,
                    "chip": chips[macro.name],
                    "run": members[macro.name],
                }
                for macro in tiling.used
            ],
            "tiles": [
                _tile(tile, scale) for tile, scale in zip(tiling.tiles, network.scales, strict=True)
            ],
        },
    )


def _tile(tile: Tile, scale: FloatArray) -> dict[str, Any]:
    return {**asdict(tile), "scale": scale.tolist()}


def load_network(run: RunFolder) -> tuple[TiledNetwork, dict[str, str], dict[str, str]]:
    """The network of a run, and by macro the chips and the runs that programmed them.

    Raises:
        RecordError: the run did not program a network to its end, or its files are damaged.
    """
    if not run.file(NETWORK_FILE).is_file():
        raise RecordError(f"{run.path}: this {run.kind!r} run did not program a tiled network")
    try:
        file = _NetworkFile.model_validate_json(json.dumps(run.load_json(NETWORK_FILE)))
        tiles = tuple(Tile(**each.model_dump(exclude={"scale"})) for each in file.tiles)
        macros = tuple(MacroShape(each.name, each.rows, each.columns) for each in file.macros)
        tiling = Tiling(tuple(file.shapes), macros, tiles)
        placements = {
            each.name: Placement.load(run.path.parent / _plain(each.run) / PLACEMENT_FILE)
            for each in file.macros
        }
    except ValidationError as error:
        raise RecordError(explain(run.file(NETWORK_FILE), error)) from error
    except MappingError as error:
        raise RecordError(f"{run.path}: the network cannot be read ({error})") from error
    scales = tuple(np.array(each.scale, dtype=np.float64) for each in file.tiles)
    network = TiledNetwork(tiling, scales, placements)
    chips = {each.name: each.chip for each in file.macros}
    return network, chips, {each.name: each.run for each in file.macros}


def latest_network(config: BenchConfig, path: Path | None = None) -> tuple[TiledNetwork, RunFolder]:
    """The tiled network that was last programmed into this bench's macros, and its run.

    Args:
        config: the bench.
        path: the run to take instead of the latest.

    Raises:
        RecordError: there is none, or it is one of other macros or chips.
        ChipError: one of the chips was programmed with something else since.
    """
    run = RunFolder.open(path) if path is not None else _latest(config)
    network, chips, members = load_network(run)
    benches = config.each_macro()
    for name, chip in chips.items():
        if name not in benches or benches[name].chip.id != chip:
            have = ", ".join(f"{key} ({each.chip.id})" for key, each in benches.items())
            raise RecordError(
                f"{run.path}: the network is on macro {name!r} with chip {chip!r}; this bench has "
                f"{have}. Name the bench file that it was programmed with"
            )
        _, latest = latest_placement(benches[name])
        if latest.path.name != members[name]:
            raise ChipError(
                f"macro {name!r}: chip {chip!r} was programmed again since ({latest.path.name}); "
                "program the network again"
            )
    return network, run


def _latest(config: BenchConfig) -> RunFolder:
    for run in RunFolder.all(config.runs):
        here = run.info.get("on") == config.name
        if here and run.kind == NETWORK_KIND and run.status == DONE:
            return run
    raise RecordError(
        f"{config.runs}: no tiled network has been programmed yet; use hil program first, with the "
        "same model and the same --guidance"
    )


def refuse_other_network(network: TiledNetwork, model: ScoreModel) -> None:
    """Raises ChipError when the macros were programmed with other weights than the model's."""
    held = network.weights_from(network.targets())
    same = [weight.shape for weight in held] == [weight.shape for weight in model.weights]
    if not same or not all(map(_is_close, held, model.weights)):
        raise ChipError(
            f"the macros were programmed with another network than model {model.name!r}; name the "
            "model that is on them, or use hil program first"
        )


def _is_close(held: FloatArray, wanted: FloatArray) -> bool:
    off = float(np.sqrt(np.mean((held - wanted) ** 2)))
    return off <= LARGEST_MISMATCH * float(np.abs(wanted).max())


def _plain(name: str) -> str:
    """A run folder's name, which may not lead elsewhere."""
    if Path(name).name != name or name in ("", ".", ".."):
        raise MappingError(f"{name!r} is no run folder's name.")
    return name
