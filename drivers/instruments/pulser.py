"""What every pulse generator that speaks SCPI does alike."""

from __future__ import annotations

import math
import time
from typing import ClassVar

from drivers.instruments.driver import Driver
from drivers.instruments.interfaces import PulseGenerator
from drivers.instruments.limits import InstrumentLimits
from protocols.errors import ComplianceError, InputError

OPEN_OHMS = 10e3  # from here on a load is none: the programmed volts are those of an open output
MAX_BURST_S = 60.0


class ScpiPulseGenerator(Driver, PulseGenerator):
    """Rectangular pulses on demand; the output is at the low level between them.

    `CONFIGURE` sets up the pulse with the output off, in an order in which no setting contradicts
    the one before; `LIMIT` sets the instrument's own limits of volts, so that a wrong level is
    refused by it as well. `COMMANDS` has on, burst and done.

    A pulse generator has no current compliance: its current is what its volts drive through the
    load, and that is checked against the bench file's amperes.
    """

    ROLE = "pulser"
    RATING: ClassVar[InstrumentLimits]
    SHORTEST_S: ClassVar[float]
    CONFIGURE: ClassVar[tuple[str, ...]]
    LIMIT: ClassVar[tuple[str, ...]]
    _period_s: float | None
    _on: bool

    def _prepare(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._period_s = None
        self._on = False

    def configure(
        self,
        *,
        low_volts: float,
        high_volts: float,
        width_s: float,
        edge_s: float,
        load_ohms: float,
    ) -> None:
        """The pulse at its load, output off; see `PulseGenerator`."""
        self._check(low_volts, high_volts, load_ohms)
        if not (width_s >= self.SHORTEST_S and math.isfinite(width_s) and 0.0 < edge_s < width_s):
            raise InputError(
                f"{self.name}: a pulse of {width_s:g} s with edges of {edge_s:g} s; it makes pulses"
                f" of {self.SHORTEST_S:g} s and more, with edges above 0 and shorter than that"
            )
        self.safe()
        period_s = 2.0 * width_s + 4.0 * edge_s
        values = {
            "middle_volts": (low_volts + high_volts) / 2.0,  # never out of range on the way,
            "step_volts": high_volts - low_volts,  # as it starts from the smallest step
            "width_s": width_s,
            "edge_s": edge_s,
            "period_s": period_s,
            "load": "INF" if load_ohms >= OPEN_OHMS else f"{load_ohms:.6g}",
            "least_volts": min(low_volts, 0.0),
            "most_volts": max(high_volts, 0.0),
        }
        with self.safe_after_failure():
            for command in (*self.CONFIGURE, *self.LIMIT):
                self.session.do(command.format(**values))
        self._period_s = period_s

    def _check(self, low_volts: float, high_volts: float, load_ohms: float) -> None:
        if not load_ohms > 0.0:
            raise InputError(f"{self.name}: a load of {load_ohms:g} ohms is none")
        if not low_volts < high_volts:
            raise InputError(
                f"{self.name}: low level {low_volts:g} V, high level {high_volts:g} V: not a pulse"
            )
        amperes = max(abs(low_volts), abs(high_volts)) / load_ohms
        for limits in (self.limits, self.RATING):
            for volts in (low_volts, high_volts):
                limits.check_volts(volts, f"{self.name}, level")
            limits.check_amperes(amperes, f"{self.name}, current into {load_ohms:g} ohms")

    def output(self, on: bool) -> None:
        """Switch the output; see `PulseGenerator`."""
        if not on:
            self.safe()
            return
        if self._period_s is None:
            raise ComplianceError(
                f"{self.name}: its output may go on only after configure has checked levels and"
                " load; nothing was sent"
            )
        self.send("on")
        self._on = True

    def burst(self, count: int = 1) -> None:
        """Pulses now; see `PulseGenerator`."""
        if self._period_s is None or not self._on:
            raise ComplianceError(f"{self.name}: its output is off; no pulse was sent")
        if count < 1 or count * self._period_s > MAX_BURST_S:
            raise InputError(
                f"{self.name}: a burst of {count} pulses; 1 to"
                f" {int(MAX_BURST_S / self._period_s)} of this length are allowed"
            )
        self._burst(count, count * self._period_s)

    def _burst(self, count: int, duration_s: float) -> None:
        """All of them in one train; a model that cannot does them one by one."""
        self.send("count", count=count)
        self._train(duration_s)

    def _train(self, duration_s: float) -> None:
        self.send("burst")
        time.sleep(duration_s)
        self.ask("done")
