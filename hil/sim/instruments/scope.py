"""A simulated oscilloscope: what its probes see from `arm` to the end of the screen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from hil.sim.instruments.base import SimulatedInstrument
from hil.sim.nodes import BoardNodes
from hil.sim.watch import Drive, at
from protocols.errors import InputError, NotTriggered
from protocols.instruments import Waveform

F64 = NDArray[np.float64]

CHANNELS = ("1", "2", "3", "4")
_STEPS_PER_EDGE = 8
_EDGES_SEARCHED = 12.0


@dataclass(frozen=True)
class _Shown:
    full_scale_volts: float


@dataclass(frozen=True)
class _Trigger:
    channel: str
    volts: float
    rising: bool
    full_scale_s: float


class SimulatedScope(SimulatedInstrument):
    """Four channels of 8 bits, one trigger."""

    model: ClassVar[str] = "oscilloscope"
    number: ClassVar[int] = 3

    def __init__(self, nodes: BoardNodes) -> None:
        super().__init__(nodes)
        self._shown: dict[str, _Shown] = {}
        self._trigger: _Trigger | None = None
        self._armed: dict[str, str] | None = None

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the inputs."""
        return CHANNELS

    def configure(
        self,
        channel: str,
        full_scale_volts: float,
        full_scale_s: float,
        trigger_channel: str,
        trigger_volts: float,
        *,
        rising: bool = True,
    ) -> None:
        """Show a channel from -half to +half full scale, the trigger in the middle of the time."""
        self._there()
        for name in (channel, trigger_channel):
            self._check(name)
        if not (full_scale_volts > 0.0 and full_scale_s > 0.0):
            raise InputError(
                f"{self.identity}: scales of {full_scale_volts:g} V and {full_scale_s:g} s; both"
                " have to be positive"
            )
        self._shown[channel] = _Shown(float(full_scale_volts))
        self._trigger = _Trigger(trigger_channel, float(trigger_volts), rising, float(full_scale_s))

    def arm(self) -> None:
        """Wait for one trigger from now on."""
        self._there()
        if self._trigger is None:
            raise InputError(f"{self.identity}: configure a channel before arming")
        wanted = {*self._shown, self._trigger.channel}
        self._armed = {name: self.nodes.cabling[f"scope:{name}"] for name in wanted}
        self.nodes.watch.listen(list(self._armed.values()))

    def waveform(self, channel: str) -> Waveform:
        """What was captured; t = 0 is the trigger."""
        self._there()
        self._check(channel)
        if self._armed is None or self._trigger is None or channel not in self._armed:
            raise InputError(f"{self.identity}: channel {channel} was not configured and armed")
        trigger = self._trigger
        zero = self._triggered_ns(trigger)
        of = self.nodes.settings
        half = 0.5 * trigger.full_scale_s * 1e9
        t_ns = np.linspace(-half, half, of.scope_points)
        true = self._at(self._armed[channel], zero + t_ns)
        full = self._shown.get(channel, _Shown(2.0 * max(abs(trigger.volts), 1e-3)))
        return Waveform(t_ns * 1e-9, self._seen(true, full.full_scale_volts))

    def safe(self) -> None:
        """Nothing is listened to any more."""
        self._armed = None
        self.nodes.watch.listen([])

    # --- what the probes see ---------------------------------------------------------------------

    def _seen(self, true: F64, full_scale_volts: float) -> F64:
        of = self.nodes.settings
        z = self.nodes.normals(self.number, true.size + 1)
        noisy = true * (1.0 + of.scope_gain_sd * z[0]) + of.scope_noise * full_scale_volts * z[1:]
        step = full_scale_volts / (1 << of.scope_bits)
        half = 0.5 * full_scale_volts
        return np.asarray(np.clip(np.rint(noisy / step) * step, -half, half - step))

    def _at(self, node: str, t_ns: F64) -> F64:
        if node.startswith("rail:"):
            return np.full(t_ns.shape, self.nodes.volts(node))
        return at(self.nodes.watch.heard(node), t_ns)

    def _triggered_ns(self, trigger: _Trigger) -> float:
        """The first edge through the level after arming; raises NotTriggered."""
        node = "" if self._armed is None else self._armed[trigger.channel]
        heard = self.nodes.watch.heard(node)
        for t_ns in _grid(heard):
            volts = at(heard, t_ns)
            above = volts >= trigger.volts if trigger.rising else volts <= trigger.volts
            found = np.flatnonzero(~above[:-1] & above[1:])
            if found.size:
                k = int(found[0])
                share = (trigger.volts - volts[k]) / (volts[k + 1] - volts[k])
                return float(t_ns[k] + share * (t_ns[k + 1] - t_ns[k]))
        raise NotTriggered(
            f"{self.identity}: nothing at {node} went through {trigger.volts:g} V since it was"
            " armed; check the probe, the level and that something was driven"
        )

    def _check(self, channel: str) -> None:
        if channel not in CHANNELS:
            raise InputError(
                f"{self.identity} has no channel {channel!r}, only {', '.join(CHANNELS)}"
            )


def _grid(heard: list[Drive]) -> list[F64]:
    """Times about each edge, in order, fine enough to find a crossing."""
    moments = sorted(
        {(each.start_ns, each.edge_s) for each in heard}
        | {(each.end_ns, each.edge_s) for each in heard}
    )
    out = []
    for k, (moment, edge_s) in enumerate(moments):
        until = moments[k + 1][0] if k + 1 < len(moments) else np.inf
        span = min(_EDGES_SEARCHED * max(edge_s * 1e9, 0.01), until - moment)
        steps = int(_STEPS_PER_EDGE * _EDGES_SEARCHED)
        before = np.array([moment - 1e-3])
        out.append(np.concatenate([before, moment + np.linspace(0.0, max(span, 1e-2), steps)]))
    return out
