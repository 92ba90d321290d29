"""A simulated source-measure unit: at a node, or at the pads that the switch matrix takes it to."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hil.sim.instruments.base import SimulatedInstrument
from hil.sim.instruments.matrix import SMU, SimulatedMatrix
from hil.sim.nodes import BoardNodes
from protocols.errors import ComplianceError, LimitError
from protocols.instruments import Reading

MOST_VOLTS, MOST_AMPERES = 20.0, 0.1
"""Of its range (this project's choice)."""
_LEAST_SIEMENS = 1e-15


class SimulatedSmu(SimulatedInstrument):
    """Sources volts into pads, or measures the voltage of any other node.

    Connected to a pad or pin by itself it finds all others pulled to ground and the gates closed;
    through the matrix it finds what the matrix connects.
    """

    model: ClassVar[str] = "source-measure unit"
    number: ClassVar[int] = 2

    def __init__(self, nodes: BoardNodes, matrix: SimulatedMatrix) -> None:
        super().__init__(nodes)
        self._matrix = matrix
        self._volts = 0.0
        self._compliance: float | None = None
        self._on = False
        self._began_ns = 0

    def source_volts(self, volts: float, compliance_amperes: float) -> None:
        """Compliance first, then volts; does not switch the output, follows at once if it is on."""
        self._there()
        if not (abs(volts) <= MOST_VOLTS and 0.0 < compliance_amperes <= MOST_AMPERES):
            raise LimitError(
                f"{self.identity}: {volts:g} V with {compliance_amperes:g} A is over its range of"
                f" {MOST_VOLTS:g} V and {MOST_AMPERES:g} A; nothing was sent"
            )
        self._volts, self._compliance = float(volts), float(compliance_amperes)

    def output(self, on: bool) -> None:
        """Switch the output; off leaves zero volts programmed.

        On and off again is a pulse to the cells that it reaches, of the time that passed between.
        """
        self._there()
        if on and self._compliance is None:
            raise ComplianceError(
                f"{self.identity}: set volts and compliance before switching the output on"
            )
        if on and not self._on:
            self._began_ns = self.nodes.now_ns
        if not on:
            self._end_pulse()
            self._volts, self._compliance = 0.0, None
        self._on = on

    def measure(self) -> Reading:
        """One point, with the output on; of a node that is no pad its voltage."""
        self._there()
        self.nodes.pass_time(self.nodes.settings.smu_reading_s)
        node = self.nodes.cabling["smu"]
        of, z = self.nodes.settings, self.nodes.normals(self.number, 4)
        if node != "matrix" and not node.startswith(("pad:", "pin:")):
            true = self.nodes.volts(node)
            return Reading(float(true * (1.0 + of.smu_sd * z[0]) + of.smu_sd_volts * z[1]), 0.0)
        volts = self._volts if self._on else 0.0
        amperes = self._current(volts) if self._on else 0.0
        limited = self._compliance is not None and abs(amperes) > self._compliance
        if limited and self._compliance is not None:
            volts *= self._compliance / max(abs(amperes), _LEAST_SIEMENS)
            amperes = float(np.copysign(self._compliance, amperes))
        seen_volts = volts * (1.0 + of.smu_sd * z[0]) + of.smu_sd_volts * z[1]
        seen_amperes = amperes * (1.0 + of.smu_sd * z[2]) + of.smu_sd_amperes * z[3]
        return Reading(float(seen_volts), float(seen_amperes), bool(limited))

    def sweep(
        self, volts: NDArray[np.floating[Any]], compliance_amperes: float
    ) -> NDArray[np.float64]:
        """Amperes at each of `volts` (n,), output on during the sweep and off after it."""
        points = np.atleast_1d(np.asarray(volts, np.float64))
        if points.size and float(np.abs(points).max()) > MOST_VOLTS:
            raise LimitError(
                f"{self.identity}: {float(np.abs(points).max()):g} V in a sweep is over its range"
                f" of {MOST_VOLTS:g} V; nothing was sent"
            )
        out = np.empty(points.size)
        try:
            for k, value in enumerate(points.tolist()):
                self.source_volts(value, compliance_amperes)
                self.output(True)
                reading = self.measure()
                if reading.in_compliance:
                    raise ComplianceError(
                        f"{self.identity}: point {k} of the sweep, {value:g} V, reached the"
                        f" compliance of {compliance_amperes:g} A"
                    )
                out[k] = reading.amperes
        finally:
            self.output(False)
        return out

    def safe(self) -> None:
        """Output at zero and off."""
        self._end_pulse()
        self._volts, self._compliance, self._on = 0.0, None, False

    # --- at the pads -----------------------------------------------------------------------------

    def _pads(self) -> list[str]:
        node = self.nodes.cabling["smu"]
        return self._matrix.pads(SMU) if node == "matrix" else [self.nodes.pad_behind(node)]

    def _current(self, volts: float) -> float:
        pads = self.nodes.pads
        pads.grounded = self.nodes.cabling["smu"] != "matrix"
        try:
            return sum(pads.current(pad, volts) for pad in self._pads())
        finally:
            pads.grounded = False

    def _end_pulse(self) -> None:
        """What the cells had from the output's on until now: a long pulse, if above the reads'."""
        if not self._on or self.nodes.cabling["smu"] != "matrix":
            return
        if self._volts <= self.nodes.read_level_volts:
            return
        width_s = (self.nodes.now_ns - self._began_ns) * 1e-9
        if width_s < self.nodes.settings.smu_pulse_s:
            self.nodes.pass_time(self.nodes.settings.smu_pulse_s - width_s)
            width_s = self.nodes.settings.smu_pulse_s
        for pad in self._pads():
            self.nodes.pads.pulse(pad, self._volts, width_s)
