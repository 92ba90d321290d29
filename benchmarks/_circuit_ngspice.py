"""ngspice run on a netlist: voltages at chosen times, or a clear error."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from protocols.errors import HilError

F64 = NDArray[np.float64]
PROGRAM = "ngspice"
HOW_TO_GET_IT = "as root on a Debian: sh benchmarks/install_tools.sh (or apt-get install ngspice)"
TIME_SLACK = 1e-9  # of the end: where a simulation may end by rounding


class CircuitError(HilError):
    """The circuit simulator is missing, or did not get to the end."""


def program() -> str:
    """Path of ngspice. Raises CircuitError: it is not installed."""
    found = shutil.which(PROGRAM)
    if found is None:
        raise CircuitError(f"{PROGRAM} is not installed; {HOW_TO_GET_IT}")
    return found


def version() -> str:
    """First line of what ngspice says of itself."""
    done = subprocess.run([program(), "--version"], capture_output=True, text=True, check=False)
    named = [line for line in done.stdout.splitlines() if "ngspice-" in line]
    return named[0].strip("* ").partition(" :")[0] if named else "unknown"


def transient(
    circuit: str, nodes: Sequence[str], end_s: float, step_s: float, timeout_s: float = 600.0
) -> tuple[F64, F64]:
    """Time points (n,) in seconds and voltages (n, nodes) of a transient analysis.

    `step_s` is the largest step; ngspice chooses smaller ones by its own error estimate (Gear's
    method, relative tolerance 1e-4).

    Raises:
        CircuitError: ngspice is missing, takes too long, or stops before `end_s`.
    """
    with tempfile.TemporaryDirectory() as folder:
        table, deck = Path(folder, "out.txt"), Path(folder, "circuit.cir")
        deck.write_text(circuit + commands(nodes, end_s, step_s, table.name), encoding="ascii")
        try:
            done = subprocess.run(
                [program(), "-b", deck.name],
                cwd=folder,
                capture_output=True,
                text=True,
                check=False,
                timeout=timeout_s,
            )
        except subprocess.TimeoutExpired:
            raise CircuitError(f"{PROGRAM} did not end within {timeout_s:g} s") from None
        said = (done.stdout + done.stderr).strip().splitlines()
        found = np.loadtxt(table, ndmin=2) if table.is_file() else np.empty((0, 0))
    return _checked(found, len(nodes), end_s, said)


def commands(nodes: Sequence[str], end_s: float, step_s: float, table: str) -> str:
    """Options and commands behind a circuit; `table` is the file that the voltages go to."""
    wanted = " ".join(f"v({node})" for node in nodes)
    return "\n".join(
        [
            ".options method=gear reltol=1e-4 abstol=1e-12 vntol=1e-7",
            f".save {wanted}",
            f".tran {step_s:.9g} {end_s:.9g} 0 {step_s:.9g}",
            ".control",
            "set wr_singlescale",
            "option numdgt=9",
            "run",
            f"wrdata {table} {wanted}",
            "quit",
            ".endc",
            ".end",
            "",
        ]
    )


def _checked(table: F64, count: int, end_s: float, said: Sequence[str]) -> tuple[F64, F64]:
    if table.shape[0] == 0 or table.shape[1] != count + 1:
        tail = "; ".join(said[-5:]) or "it said nothing"
        raise CircuitError(f"{PROGRAM} gave no voltages: {tail}")
    last_s = float(table[-1, 0])
    if last_s < end_s * (1 - TIME_SLACK) or not np.isfinite(table).all():
        raise CircuitError(f"{PROGRAM} stopped at {last_s:g} s of {end_s:g} s: {said[-1]}")
    return table[:, 0], table[:, 1:]
