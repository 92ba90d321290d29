"""What the lines and converters of a simulated board do, for whoever has a probe on them.

A front end says what it drives (`Watch.drive`); what is said while nobody listens is lost. Nodes
are named `dac:CHANNEL` (an output pin), `pin:BL3` (the connector's pin of bit line 3), `pad:BL3`
(the array's pad); SL and WL likewise. While they are not driven all of them stand at zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocols.messages import ArrayLine

F64 = NDArray[np.float64]

LETTERS = {ArrayLine.BIT_LINE: "BL", ArrayLine.SOURCE_LINE: "SL", ArrayLine.WORD_LINE: "WL"}
MOST_DRIVES = 20_000
"""Kept of each node; what comes after is not seen (an oscilloscope shows one trigger)."""


@dataclass(frozen=True, slots=True)
class Drive:
    """A node is driven from one moment to another, both of the chip's clock.

    It follows with the time constant `edge_s`, at the beginning and at the end.
    """

    start_ns: int
    end_ns: int
    volts: float
    edge_s: float


class Watch:
    """Who listens where, and what was heard since."""

    def __init__(self) -> None:
        self._heard: dict[str, list[Drive]] = {}

    @property
    def nobody(self) -> bool:
        """Whether nobody listens, so that nothing need be said."""
        return not self._heard

    def listen(self, nodes: list[str]) -> None:
        """Listen at these nodes from now on, and at no others; what was heard is forgotten."""
        self._heard = {node: [] for node in nodes}

    def wants(self, node: str) -> bool:
        """Whether somebody listens at a node."""
        return node in self._heard

    def heard(self, node: str) -> list[Drive]:
        """What was heard at a node, in the order in which it was said."""
        return self._heard.get(node, [])

    def drive(self, node: str, start_ns: int, end_ns: int, volts: float, edge_s: float) -> None:
        """A node is driven for a time."""
        found = self._heard.get(node)
        if found is not None and len(found) < MOST_DRIVES:
            found.append(Drive(start_ns, end_ns, volts, edge_s))


def line_node(place: str, kind: ArrayLine, line: int) -> str:
    """`pin:BL3` and its like."""
    return f"{place}:{LETTERS[kind]}{line}"


def at(drives: list[Drive], t_ns: F64) -> F64:
    """Volts of a node at times `t_ns` (n,): the sum of its drives, each with its edges."""
    out = np.zeros(t_ns.shape)
    for each in drives:
        rise = _edge(t_ns - each.start_ns, each.edge_s)
        fall = _edge(t_ns - each.end_ns, each.edge_s)
        reached = _edge(np.array([float(each.end_ns - each.start_ns)]), each.edge_s)[0]
        out += each.volts * np.where(t_ns < each.end_ns, rise, reached * (1.0 - fall))
    return out


def _edge(since_ns: F64, edge_s: float) -> F64:
    """Share that a step has reached some time after it, first order."""
    if edge_s <= 0.0:
        return np.asarray((since_ns >= 0.0).astype(np.float64))
    after = np.maximum(since_ns, 0.0)
    return np.asarray(-np.expm1(-after / (edge_s * 1e9)))
