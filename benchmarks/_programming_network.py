"""The shipped score network, programmed whole with the settings of the bench file's defaults."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from _chips import ChipShop, FormedChip
from _programming_tasks import Contender, Task, figures, run

from calibration.mapping import map_network
from calibration.placement import Placement
from calibration.programming import SETTLE_LONG_S, default_tolerance
from drivers.rram.geometry import Geometry
from hil.diffusion.model import load_model


def network_rows(
    shop: ChipShop, chips: list[FormedChip], contenders: Mapping[str, Contender]
) -> dict[str, dict[str, float]]:
    """One row per algorithm, with the worst layer's weight error."""
    placement = _placement(shop)
    target = placement.target_siemens
    task = Task("network", target, default_tolerance(target), {"settle_s": SETTLE_LONG_S})
    rows = {}
    for name, contender in contenders.items():
        outcomes = [
            run(
                shop,
                replace(chip, cells=placement.cells),
                task,
                contender,
                time.process_time,
            )
            for chip in chips
        ]
        errors = [_weight_error(placement, outcome.truth) for outcome in outcomes]
        rows[name] = {**figures(outcomes), "weight_error": float(np.mean(errors))}
    return rows


def network_size(shop: ChipShop) -> int:
    """Rows of the array that the network needs."""
    return int(_placement(shop).cells.rows.max()) + 1


def _placement(shop: ChipShop) -> Placement:
    weights, biases = zip(*load_model("ring").layers, strict=True)
    return map_network(
        weights,
        biases,
        geometry=Geometry(shop.description.rows, shop.description.columns),
        loop=shop.description.loop,
        converters=shop.description.converters,
    )


def _weight_error(placement: Placement, truth: Any) -> float:
    """Root mean square error of weights and biases over the layer's largest, worst layer."""
    wanted, found = (placement.weights_from(g) for g in (placement.target_siemens, truth))
    worst = 0.0
    for w, b, w2, b2 in zip(*wanted, *found, strict=True):
        error = np.concatenate([(w2 - w).ravel(), b2 - b])
        worst = max(worst, float(np.sqrt(np.mean(error**2)) / np.abs(w).max()))
    return worst
