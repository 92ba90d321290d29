"""The columns of a study's table: a row is one point, one chip.

The table holds nothing that depends on who solved a point or when; that goes to a table of its own
(`TIMES`), so that two tables of one study can be compared byte by byte.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import pyarrow as pa

from hil.study.axes import AXES, Kind

DONE, FAILED = "done", "failed"

FIGURES: Mapping[str, str] = MappingProxyType(
    {
        "kl_1d": "published KL divergence of the samples from the data, nats",
        "kl_2d": "KL divergence of 2-D histograms, nats",
        "sliced_w1": "sliced Wasserstein-1 distance to the data, model units",
        "radius_mean": "mean distance of the samples from the origin, model units",
        "radius_sd": "its standard deviation over samples, model units",
        "angle_kuiper": "Kuiper's distance of the angles from uniform",
        "software_kl_1d": "kl_1d of the software from the same initial conditions",
        "software_sliced_w1": "sliced_w1 of the software from the same initial conditions",
        "weight_rms": "rms error of the weights on the chip, over their layers' largest",
        "in_tolerance": "share of the network's cells that programming left in tolerance",
        "bad_cells": "stuck and dead cells of the whole macro, as far as they are known",
        "flow_error": "how far the chip's solutions end from the software's, over their size",
    }
)
"""Name -> what it is; every one a float, null where there is none."""

_ARROW: Mapping[Kind, pa.DataType] = {
    "text": pa.string(),
    "whole": pa.int64(),
    "number": pa.float64(),
}

TABLE = pa.schema(
    [
        pa.field("point", pa.int64(), nullable=False),
        *(pa.field(name, _ARROW[axis.kind]) for name, axis in AXES.items()),
        pa.field("status", pa.string(), nullable=False),
        pa.field("reason", pa.string()),
        *(pa.field(name, pa.float64()) for name in FIGURES),
    ]
)
"""What is compared."""

TIMES = pa.schema(
    [
        pa.field("point", pa.int64(), nullable=False),
        pa.field("host_s", pa.float64()),
        pa.field("worker", pa.string()),
    ]
)
"""What this computer spent, and where."""

ROW = pa.schema([*TABLE, *list(TIMES)[1:]])
"""What a worker hands back: both."""
