"""What every source-measure unit that speaks SCPI does alike."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from drivers.instruments.driver import Driver
from drivers.instruments.interfaces import SourceMeasureUnit
from drivers.instruments.limits import InstrumentLimits
from protocols.errors import ComplianceError, InputError
from protocols.instruments import Reading


class ScpiSourceMeasureUnit(Driver, SourceMeasureUnit):
    """Sources volts under a current compliance; measures volts and amperes.

    `COMMANDS` has compliance, volts, on and what `_point` asks. `RATING` is the largest volts and
    amperes of the model, of its range with the most of each. `VOLTMETER` makes it a voltmeter that
    sources 0 A, `SOURCE` a source of volts again, `OPEN` asks for the volts.
    """

    ROLE = "smu"
    RATING: ClassVar[InstrumentLimits]
    VOLTMETER: ClassVar[tuple[str, ...]]
    SOURCE: ClassVar[tuple[str, ...]]
    OPEN: ClassVar[str]
    _compliance: float | None
    _on: bool

    def _prepare(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._compliance = None
        self._on = False

    def source_volts(self, volts: float, compliance_amperes: float) -> None:
        """Compliance first, then volts; see `SourceMeasureUnit`."""
        self._check(volts, compliance_amperes)
        self._set_compliance(compliance_amperes)
        self.send("volts", volts=float(volts))

    def _check(self, volts: float, compliance_amperes: float) -> None:
        for limits in (self.limits, self.RATING):
            limits.check_volts(volts, f"{self.name}, volts")
            limits.check_amperes(compliance_amperes, f"{self.name}, current compliance")

    def _set_compliance(self, amperes: float) -> None:
        if amperes != self._compliance:
            self.send("compliance", amperes=float(amperes))
            self._compliance = amperes

    def output(self, on: bool) -> None:
        """Switch the output; see `SourceMeasureUnit`."""
        if not on:
            self.safe()
            return
        if self._compliance is None:
            raise ComplianceError(
                f"{self.name}: its output may go on only after source_volts has set a current"
                " compliance; nothing was sent"
            )
        self.send("on")
        self._on = True

    def measure(self) -> Reading:
        """One point; see `SourceMeasureUnit`."""
        return self._point() if self._on else Reading(self._open_volts(), 0.0)

    def _point(self) -> Reading:
        """Ask for one point, in the model's own way."""
        raise NotImplementedError

    def _open_volts(self) -> float:
        with self.safe_after_failure():
            for command in (*self.VOLTMETER, self.COMMANDS["on"]):
                self.session.do(command)
            volts = self.session.numbers(self.OPEN)
            self.safe()
            for command in self.SOURCE:
                self.session.do(command)
        return volts[0]

    def sweep(
        self, volts: NDArray[np.floating[Any]], compliance_amperes: float
    ) -> NDArray[np.floating[Any]]:
        """Amperes at each of `volts`; see `SourceMeasureUnit`."""
        points = np.asarray(volts, dtype=np.float64)
        if points.ndim != 1 or not points.size:
            raise InputError(f"{self.name}: a sweep is a row of volts, not shape {points.shape}")
        for point in points.tolist():
            self._check(point, compliance_amperes)
        with self.safe_after_failure():
            self.source_volts(0.0, compliance_amperes)
            self.output(True)
            found = np.array([self._swept(v, compliance_amperes) for v in points.tolist()])
            self.output(False)
        return found

    def _swept(self, volts: float, compliance_amperes: float) -> float:
        self.source_volts(volts, compliance_amperes)
        reading = self._point()
        if reading.in_compliance:
            raise ComplianceError(
                f"{self.name}: the current reached the compliance of {compliance_amperes:g} A at"
                f" {volts:g} V ({reading.volts:g} V at the terminals), so the sweep is no curve"
                " from there on; look for a short, or raise the compliance"
            )
        return reading.amperes
