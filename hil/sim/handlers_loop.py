"""One function per message: waveforms, layers, initial conditions, runs and what they captured."""

from __future__ import annotations

import numpy as np

from hil.sim.chip import NANOSECONDS
from hil.sim.handlers import Handler, check_span
from hil.sim.loop_network import LayerBlock, layer_sizes
from hil.sim.machine import Machine
from hil.sim.refusal import RefusedError
from protocols import messages as m
from protocols.codec import Message

_LAYERS = 3


def wave_begin(machine: Machine, request: m.WaveBeginRequest) -> m.WaveBeginResponse:
    """Empty the store."""
    machine.runs.require_idle()
    settings = machine.settings
    if request.ticks > settings.ticks_max:
        raise RefusedError("out_of_range", 0, 0, request.ticks, 1, settings.ticks_max)
    if request.tick_us < settings.tick_us_min:
        low, high = settings.tick_us_min, 0xFFFFFFFF
        raise RefusedError("out_of_range", 1, 0, request.tick_us, low, high)
    machine.store.begin(request.ticks, request.tick_us)
    return m.WaveBeginResponse()


def wave_load(machine: Machine, request: m.WaveLoadRequest) -> m.WaveLoadResponse:
    """Store ticks."""
    machine.runs.require_idle()
    machine.store.load(request)
    return m.WaveLoadResponse()


def wave_class(machine: Machine, request: m.WaveClassRequest) -> m.WaveClassResponse:
    """Store the class offsets."""
    machine.runs.require_idle()
    machine.store.set_class(request)
    return m.WaveClassResponse()


def wave_commit(machine: Machine, request: m.WaveCommitRequest) -> m.WaveCommitResponse:
    """Compare the CRC."""
    machine.runs.require_idle()
    machine.store.commit(request.crc)
    return m.WaveCommitResponse()


def loop_layer(machine: Machine, request: m.LoopLayerRequest) -> m.LoopLayerResponse:
    """Connect a block of the array. The loop's widths are wired, so the sizes are fixed."""
    machine.runs.require_idle()
    description = machine.description
    inputs, outputs = layer_sizes(description.loop.hidden_width)[request.layer]
    if request.inputs != inputs:
        raise RefusedError("out_of_range", 3, 0, request.inputs, inputs, inputs)
    if request.outputs != outputs:
        raise RefusedError("out_of_range", 4, 0, request.outputs, outputs, outputs)
    scales = description.converters
    block = LayerBlock(
        first_row=request.first_row,
        first_column=request.first_column,
        inputs=inputs,
        outputs=outputs,
        differential=bool(request.differential),
        feedback_ohm=request.feedback_code * scales.feedback_ohm_per_code,
        reference_siemens=request.reference_code * scales.reference_siemens_per_code,
    )
    check_span(1, block.first_row, inputs, description.rows)
    check_span(2, block.first_column, block.columns, description.columns)
    machine.layers[request.layer] = block
    return m.LoopLayerResponse()


def initial(machine: Machine, request: m.InitialRequest) -> m.InitialResponse:
    """Store initial conditions."""
    machine.runs.require_idle()
    codes = np.array([entry.x for entry in request.entries], np.uint16).reshape(-1, 2)
    machine.runs.store_initial(request.first, codes)
    return m.InitialResponse()


def probe(machine: Machine, request: m.ProbeRequest) -> m.ProbeResponse:
    """Hold the integrators and read every layer's outputs."""
    machine.runs.require_idle()
    waves = machine.store.waves()
    blocks = _blocks(machine)
    if request.tick >= machine.store.ticks:
        raise RefusedError("out_of_range", 0, 0, request.tick, 0, machine.store.ticks - 1)
    sums = machine.loop.probe(
        blocks,
        waves,
        request.tick,
        np.array(request.x, np.int64),
        samples=request.samples,
        number=machine.chip.count("probes"),
        now_s=machine.chip.now_s,
    )
    timing, settle_s = machine.description.timing, machine.description.loop.preset_settle_s
    machine.chip.advance(settle_s + sums.size * request.samples * timing.read_s)
    return m.ProbeResponse(tuple(m.ProbeResponseEntry(value) for value in sums.tolist()))


def run(machine: Machine, request: m.RunRequest) -> m.RunResponse:
    """Freeze what the run needs and begin it."""
    machine.safety.require_safe_to_drive()
    machine.runs.require_idle()
    waves = machine.store.waves()
    blocks = _blocks(machine)
    machine.runs.check(request, machine.store.ticks)
    seed = request.seed
    if request.noise == m.Noise.HARDWARE:
        seed = machine.loop.hardware_seed(machine.chip.count("runs"))
    plan = machine.loop.plan(
        blocks,
        waves,
        request.capture_tick,
        now_s=machine.chip.now_s,
        noisy=request.noise != m.Noise.NONE,
        seed=seed,
    )
    machine.runs.start(request, plan)
    return m.RunResponse(request.count * _solve_ns(machine, request.capture_tick) // 1000)


def progress(machine: Machine, _request: m.ProgressRequest) -> m.ProgressResponse:
    """Let the solves go on and say how far they are."""
    runs = machine.runs
    solved = runs.poll()
    machine.chip.advance_ns(solved * _solve_ns(machine, runs.capture_tick))
    return m.ProgressResponse(machine.time_us, runs.run_id, runs.state, runs.done)


def samples(machine: Machine, request: m.SamplesRequest) -> m.SamplesResponse:
    """Captured outputs; those of a run in progress as far as it is."""
    codes = machine.runs.samples(request.first, request.count)
    return m.SamplesResponse(tuple(m.SamplesResponseEntry((a, b)) for a, b in codes.tolist()))


def trace(machine: Machine, request: m.TraceRequest) -> m.TraceResponse:
    """Points of a captured trajectory."""
    codes = machine.runs.trace(request.trajectory, request.first, request.count)
    return m.TraceResponse(tuple(m.TraceResponseEntry((a, b)) for a, b in codes.tolist()))


def _solve_ns(machine: Machine, capture_tick: int) -> int:
    """Virtual time of one solve: preset, switches, ticks."""
    overhead_s = machine.description.timing.run_overhead_s
    return round(overhead_s * NANOSECONDS) + capture_tick * machine.store.tick_us * 1000


def _blocks(machine: Machine) -> list[LayerBlock]:
    if len(machine.layers) < _LAYERS:
        raise RefusedError("not_ready", m.Part.LAYERS)
    return [machine.layers[layer] for layer in range(_LAYERS)]


LOOP_HANDLERS: dict[type[Message], Handler] = {
    m.WaveBeginRequest: wave_begin,
    m.WaveLoadRequest: wave_load,
    m.WaveClassRequest: wave_class,
    m.WaveCommitRequest: wave_commit,
    m.LoopLayerRequest: loop_layer,
    m.InitialRequest: initial,
    m.ProbeRequest: probe,
    m.RunRequest: run,
    m.ProgressRequest: progress,
    m.SamplesRequest: samples,
    m.TraceRequest: trace,
}
