"""JART VCM v1b behind a select transistor, compiled: the physics of one 1T1R cell.

The model is that of the Juelich Aachen Resistive Switching Tools (F. Cueppers et al., APL
Materials 7, 091105, 2019, doi 10.1063/1.5108654; C. Bengel et al., IEEE TCAS-I 67, 4618, 2020,
doi 10.1109/TCSI.2020.3018502, for its variability). State is the concentration N of oxygen
vacancies in the disc at the active electrode, in 1e26 per cubic metre:

    dN/dt = +- c a nu0 F / l_disc (exp(-W_min / kT) - exp(-W_max / kT)),   c = (N_plug + N) / 2
    W_min, W_max = W (sqrt(1 - g^2) -+ g pi / 2 + g asin g),               g = z a E / (pi W)
    SET    F = 1 - (N / N_max)^10,  E = V_disc / l_disc,  V_disc = I l_disc / (z e N mu A)
    RESET  F = 1 - (N_min / N)^10,  E = V / l_cell
    T = T_0 + R_th I V

with the algebraic current of the same authors in place of the implicit one:

    I(V, N) = -g0 (exp(-g1 V) - 1) / [1 + (h0 + h1 V + h2 exp(-h3 V)) (N / N_0)^-j0]^(1 / k0)

V is positive in the RESET direction and without the drop over the series resistance in E and T.
The transistor follows the square law; in RESET its source is at the cell, so that the word line
limits the cell's voltage, and in SET the cell's current.

Time is integrated by midpoint steps that change ln N by about STEP_LN; the circuit is solved anew
at each point (heat and charge settle at once, as in the model).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numba

STEP_LN = 0.07
STEPS_MAX = 4000
_CHARGE = 1.602176634e-19
_BOLTZMANN_EV = 8.617333262e-5
_ROOM_K = 293.0
_VALENCE = 2.0
_JUMP_M = 0.25e-9  # a
_ATTEMPT_HZ = 2.0e13  # nu0
_BARRIER_EV = 1.35  # dW_A
_CELL_M = 3.0e-9  # l_cell
_MOBILITY = 4.0e-6  # m^2 / (V s)
_RADIUS_M = 45.0e-9  # that the algebraic current holds for
_SERIES_OHM = 650.0 + 719.2  # R_TiOx + R_0
_PLUG = 20.0  # N_plug
_FIT_N = 8.0e-3  # N_0 of the algebraic current
_G0, _G1 = 4.84e-3, 0.1353
_H0, _H1, _H2, _H3 = 5.548, 6.8648, 51.586, 0.36
_J0, _K0 = 1.054, 1.0526
READ_VOLTS = 0.2  # at which `conductance` holds


class CellModel(NamedTuple):
    """Parameters of one cell of the JART model and its transistor."""

    radius_m: float = 45.0e-9  # of the filament
    disc_m: float = 0.4e-9  # l_disc
    n_min: float = 3.0e-3  # 1e26 per cubic metre
    n_max: float = 20.0
    gain: float = 80.0e-6  # A/V^2, mu C_ox W / L
    threshold: float = 1.0  # V
    heat_set: float = 15.72e6  # K/W
    heat_reset: float = 15.72e6
    step_ln: float = STEP_LN


@numba.njit(cache=True)
def current(volts: float, n: float, radius_m: float) -> Any:
    """Amperes of a cell; positive volts are the RESET direction."""
    resistance = _H0 + _H1 * volts + _H2 * math.exp(-_H3 * volts)
    shape = (1.0 + resistance * (n / _FIT_N) ** -_J0) ** (1.0 / _K0)
    area = (radius_m / _RADIUS_M) ** 2
    return -area * _G0 * math.expm1(-_G1 * volts) / shape


@numba.njit(cache=True)
def conductance(n: float, radius_m: float) -> float:
    """Siemens at the read voltage."""
    return float(current(READ_VOLTS, n, radius_m) / READ_VOLTS)


@numba.njit(cache=True)
def vacancies(siemens: float, radius_m: float) -> float:
    """The N that has this conductance; the inverse of `conductance`."""
    area = (radius_m / _RADIUS_M) ** 2
    most = -area * _G0 * math.expm1(-_G1 * READ_VOLTS) / READ_VOLTS
    resistance = _H0 + _H1 * READ_VOLTS + _H2 * math.exp(-_H3 * READ_VOLTS)
    share = max((most / siemens) ** _K0 - 1.0, 1e-6)
    return float(_FIT_N * (share / resistance) ** (-1.0 / _J0))


@numba.njit(cache=True)
def transistor(gate: float, drain: float, gain: float, threshold: float) -> float:
    """Amperes of an nMOS over gate-source and drain-source voltage (square law)."""
    over = gate - threshold
    if over <= 0.0 or drain <= 0.0:
        return 0.0
    if drain < over:
        return gain * drain * (over - 0.5 * drain)
    return 0.5 * gain * over * over


@numba.njit(cache=True)
def cell_volts(
    direction: int, gate: float, line: float, n: float, guess: float, c: Any
) -> tuple[float, float]:
    """Voltage over the cell and current through both, sizes, for a cell in series."""
    low, high, volts = 0.0, line, min(guess, line)
    sign = -1.0 if direction > 0 else 1.0
    amperes = 0.0
    before, surplus_before = 0.0, transistor(gate, line, c.gain, c.threshold)  # at 0 V: no current
    for _ in range(60):
        follows = gate if direction > 0 else gate - volts
        amperes = abs(current(sign * volts, n, c.radius_m))
        surplus = transistor(follows, line - volts, c.gain, c.threshold) - amperes
        if surplus > 0.0:
            low = volts
        else:
            high = volts
        if high - low < 1e-5 or abs(surplus) < 1e-4 * amperes:
            break
        slope = (surplus - surplus_before) / (volts - before) if volts != before else 0.0
        before, surplus_before = volts, surplus
        volts = volts - surplus / slope if slope < 0.0 else 0.5 * (low + high)
        if not low < volts < high:
            volts = 0.5 * (low + high)
    return volts, amperes


@numba.njit(cache=True)
def rate(direction: int, volts: float, amperes: float, n: float, c: Any) -> Any:
    """dN/dt in 1e26 per cubic metre and second; positive in SET."""
    inner = max(volts - amperes * _SERIES_OHM, 0.0)
    heat = c.heat_set if direction > 0 else c.heat_reset
    area = math.pi * c.radius_m**2
    kt = _BOLTZMANN_EV * (_ROOM_K + heat * (_RADIUS_M / c.radius_m) ** 2 * amperes * inner)
    if direction > 0:
        disc = amperes * c.disc_m / (_VALENCE * _CHARGE * n * 1e26 * _MOBILITY * area)
        field = min(disc, inner) / c.disc_m
        room = 1.0 - (n / c.n_max) ** 10
    else:
        field = inner / _CELL_M
        room = 1.0 - (c.n_min / n) ** 10
    if room <= 0.0:
        return 0.0
    lean = min(_VALENCE * _JUMP_M * field / (math.pi * _BARRIER_EV), 0.99)
    flat = math.sqrt(1.0 - lean * lean) + lean * math.asin(lean)
    tilt = 0.5 * math.pi * lean
    jumps = math.exp(-_BARRIER_EV * (flat - tilt) / kt) - math.exp(
        -_BARRIER_EV * (flat + tilt) / kt
    )
    speed = 0.5 * (_PLUG + n) * _JUMP_M * _ATTEMPT_HZ * room / c.disc_m * jumps
    return speed if direction > 0 else -speed


@numba.njit(cache=True)
def pulse(direction: int, gate: float, line: float, width_s: float, n: float, c: Any) -> float:
    """N after a pulse of the size `line` (SET: bit line, RESET: source line) and `gate`."""
    left, guess = width_s, line
    for _ in range(STEPS_MAX):
        guess, amperes = cell_volts(direction, gate, line, n, guess, c)
        speed = rate(direction, guess, amperes, n, c)
        if speed == 0.0:
            break
        step = min(c.step_ln * n / abs(speed), left)
        middle = min(max(n + 0.5 * speed * step, c.n_min), c.n_max)
        guess, amperes = cell_volts(direction, gate, line, middle, guess, c)
        speed = rate(direction, guess, amperes, middle, c)
        step = min(step, 2.0 * c.step_ln * n / max(abs(speed), 1e-30))
        n = min(max(n + speed * step, c.n_min), c.n_max)
        left -= step
        if left <= 0.0:
            break
    return n
