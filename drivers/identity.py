"""Who a board is and what it can do: its answer to `hello`, readable."""

from __future__ import annotations

from dataclasses import dataclass

from protocols import messages
from protocols.messages import Operation, Port, SafeReason

_LIMITS = ("gate", "line", "width", "energy")


@dataclass(frozen=True)
class OperationCodes:
    """The board's own limits of one kind of pulse, as codes and ticks."""

    gate_code_max: int
    line_code_max: int
    width_ticks_max: int
    energy_max: int  # of line code^2 x ticks, in units of protocols.energy.ENERGY_UNIT


@dataclass(frozen=True)
class Identity:
    """Who the board is and what it can do, from its answer to `hello`."""

    session: int
    protocol_version: int
    fingerprint: int
    build: str
    serial: int
    port: Port
    safe_reason: SafeReason
    window: int
    payload_bytes: int
    rows: int
    columns: int
    read_code_max: int
    multiply_code_max: int  # from the middle
    limits: dict[Operation, OperationCodes]
    pulses_per_cell_max: int
    arm_s_max: float
    watchdog_s: float
    tick_s_min: float
    ticks_max: int
    trajectories_max: int
    trace_points_max: int

    @classmethod
    def of(cls, hello: messages.HelloResponse) -> Identity:
        """Read a `hello` response."""
        limits = {
            operation: OperationCodes(*(getattr(hello, f"{kind}_{name}_max") for name in _LIMITS))
            for operation, kind in ((one, one.name.lower()) for one in Operation)
        }
        return cls(
            session=hello.session,
            protocol_version=hello.protocol_version,
            fingerprint=hello.fingerprint,
            build=hello.build.rstrip(b"\x00").decode("ascii", "replace"),
            serial=hello.board_serial,
            port=Port(hello.port),
            safe_reason=SafeReason(hello.safe_reason),
            window=hello.window,
            payload_bytes=hello.payload_bytes,
            rows=hello.rows,
            columns=hello.columns,
            read_code_max=hello.read_code_max,
            multiply_code_max=hello.multiply_code_max,
            limits=limits,
            pulses_per_cell_max=hello.pulses_per_cell_max,
            arm_s_max=hello.arm_ms_max * 1e-3,
            watchdog_s=hello.watchdog_ms * 1e-3,
            tick_s_min=hello.tick_us_min * 1e-6,
            ticks_max=hello.ticks_max,
            trajectories_max=hello.trajectories_max,
            trace_points_max=hello.trace_points_max,
        )

    def __str__(self) -> str:
        return (
            f"board {self.serial:x} ({self.port.name.lower()}, build {self.build}),"
            f" {self.rows} x {self.columns} cells"
        )
