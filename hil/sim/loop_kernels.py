"""The equations of a board's loop, handed to the compiled kernel.

Within a segment (a tick, cut where the loop's electronic noise is redrawn) every word is held and
one step of Heun's method is taken (E. Hairer, S. P. Norsett, G. Wanner, Solving Ordinary
Differential Equations I, II.1). A trajectory is solved alone, in double precision, so its result
cannot depend on which others are solved with it. `loop_reference.py` holds the same equations in
plain numpy; the tests hold the two against each other.

Weights are flat: layer 0 (3 x H), layer 1 (H + 1 x H), layer 2 (H + 1 x 2), inputs outermost, bias
row last in each.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hil.sim.converters import STREAM_LOOP_NOISE, STREAM_WAVE_NOISE
from hil.sim.loop_call import Call
from hil.sim.loop_drive import Drive
from hil.sim.loop_network import Network, layer_sizes
from hil.sim.loop_segments import Segments
from protocols.errors import InputError

F64 = NDArray[np.float64]
AXES = 2


class Stages(NamedTuple):
    """Limits and gains of the stages, volts; what is off is infinite."""

    bias: float
    hidden_clamp: float
    tia_saturation: float
    output_gain: float
    output_clamp: float
    integrator_clamp: float
    noise: float  # standard deviation at each layer's output
    noise_seed: Any  # np.uint64


def solve(
    x: F64,
    traces: F64,
    trajectories: NDArray[np.int64],
    trace_every: int,
    first_segment: int,
    last_segment: int,
    seed: int,
    noisy: bool,
    segments: Segments,
    drive: Drive,
    network: Network,
    deviations: NDArray[np.float32],
    p: Stages,
) -> int:
    """Integrate x (n, 2), volts, in place over the segments; fills traces (count, points, 2).

    Returns how many noise words were cut off at an end of their converter.

    Raises:
        KernelError: the kernel cannot be built here.
    """
    call = _call(x, trajectories, segments, drive, network, deviations, p)
    call.set(
        noisy=int(noisy),
        wave_seed=int(seed),
        wave_stream=STREAM_WAVE_NOISE,
        noise=p.noise,
        noise_seed=int(p.noise_seed),
        noise_stream=STREAM_LOOP_NOISE,
        traced=traces.shape[0],
        trace_points=traces.shape[1],
        trace_every=trace_every,
    )
    call.put_in_place("traces", traces, (traces.shape[0], traces.shape[1], AXES))
    return call.solve(first_segment, last_segment)


def layers(
    x: F64,
    trajectories: NDArray[np.int64],
    noise: F64,
    segments: Segments,
    drive: Drive,
    network: Network,
    deviations: NDArray[np.float32],
    p: Stages,
) -> F64:
    """Outputs (n, 2 H + 2) of the three layers in the first tick; noise is added to the sums."""
    call = _call(x, trajectories, segments, drive, network, deviations, p)
    call.set(noise=1.0)  # that of the argument is taken as it is
    return call.layer_outputs(0, noise)


def _call(
    x: F64,
    trajectories: NDArray[np.int64],
    segments: Segments,
    drive: Drive,
    network: Network,
    deviations: NDArray[np.float32],
    p: Stages,
) -> Call:
    width = drive.embedding.shape[1]
    call = Call((AXES, width, width, AXES))
    call.put_trajectories(x, trajectories)
    call.put_segments(*segments)
    _put_network(call, network, deviations, p.bias)
    _put_drive(call, drive)
    largest = np.finfo(np.float64).max  # the kernel is compiled for finite numbers
    call.set(
        saturation=min(p.tia_saturation, largest),
        saturates=int(np.isfinite(p.tia_saturation)),
        ceiling=min(p.hidden_clamp, largest),
        has_ceiling=int(np.isfinite(p.hidden_clamp)),
        output_gain=p.output_gain,
        output_clamp=min(p.output_clamp, largest),
        state_clamp=min(p.integrator_clamp, largest),
    )
    return call


def _put_network(
    call: Call, network: Network, deviations: NDArray[np.float32], bias: float
) -> None:
    """One network for all where no cell deviates in any solve, else one for each trajectory."""
    volts = _volts_of_rows(call.widths[1], bias)
    base, gain = network.base * volts, network.gain * volts[network.slot]
    cells = network.cells.size
    if not deviations.any():
        np.add.at(base, network.slot, gain)
        call.put("weights", base, np.float64, (call.weights,))
        return
    call.set(cells=cells)
    call.put("base", base, np.float64, (call.weights,))
    call.put("gain", gain, np.float64, (cells,))
    call.put("slot", network.slot, np.int64, (cells,))
    if cells and not 0 <= network.slot.min() <= network.slot.max() < call.weights:
        raise InputError("a cell of the network adds to a weight that is not there")
    call.put("deviation", deviations, np.float32, (int(call.problem.count), cells))


def _volts_of_rows(width: int, bias: float) -> F64:
    """Per weight the voltage that drives its row where that is always the same: the bias rows."""
    parts = []
    for inputs, outputs in layer_sizes(width):
        volts = np.ones((inputs, outputs))
        volts[-1] = bias
        parts.append(volts.ravel())
    return np.concatenate(parts)


def _put_drive(call: Call, drive: Drive) -> None:
    ticks, width = drive.embedding.shape
    real = np.float64
    call.set(
        coded=1,
        embedding_width=width,
        code_max=drive.code_max,
        code_zero=drive.code_zero,
    )
    call.put("rate", drive.rate, real, (ticks, AXES))
    call.put("pull", drive.score, real, (ticks, AXES))
    call.put("embedding", drive.embedding, real, (ticks, width))
    call.put("noise_sd", drive.noise_codes, real, (ticks,))
    call.put("offset_codes", drive.offset_codes, real, (ticks, AXES))
    for name in ("constant", "noise_rate", "noise_gain", "noise_offset", "noise_bow", "noise_lag"):
        call.put(name, getattr(drive, name), real, (AXES,))
