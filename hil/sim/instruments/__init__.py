"""Simulated instruments with a memory, at the nodes of a simulated board.

They fit the interfaces of `drivers/instruments/interfaces.py` by having their methods, speak no
SCPI, and see what a probe would see: `hil.sim.nodes`. Accuracy and noise are stated in
`hil.sim.bench_settings`; readings are keyed by a seed and their number, so that a run repeats.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hil.sim.instruments.matrix import SimulatedMatrix
from hil.sim.instruments.pulser import SimulatedPulser
from hil.sim.instruments.scope import SimulatedScope
from hil.sim.instruments.smu import SimulatedSmu
from hil.sim.instruments.supply import SimulatedSupply
from hil.sim.instruments.thermometer import SimulatedThermometer

if TYPE_CHECKING:
    from hil.sim.back_doors import BackDoors

__all__ = [
    "SimulatedMatrix",
    "SimulatedPulser",
    "SimulatedScope",
    "SimulatedSmu",
    "SimulatedSupply",
    "SimulatedThermometer",
    "simulated_instruments",
]


def simulated_instruments(simulated: BackDoors) -> dict[str, object]:
    """The instruments of a simulated bench by role; those that are planted as absent are not."""
    nodes = simulated.nodes
    matrix = SimulatedMatrix(nodes)
    supply = SimulatedSupply(nodes, matrix)
    found: dict[str, object] = {
        "supply": supply,
        "smu": SimulatedSmu(nodes, matrix),
        "scope": SimulatedScope(nodes),
        "pulser": SimulatedPulser(nodes, matrix),
        "thermometer": SimulatedThermometer(nodes),
        "matrix": matrix,
    }
    absent = simulated.machine.settings.board_faults.absent_instruments
    return {role: one for role, one in found.items() if role not in absent}
