"""Other ways to sample one score model: the published code's, torchdiffeq, torchsde and diffrax.

Each solver takes initial conditions (n, 2) and gives end points (n, 2). `published` is written anew
after the published sampler: an eager torch loop over equal Euler steps, in each of which the whole
network, its time embedding included, is evaluated on all samples. The libraries solve the same
equation with their own method on the whole batch at once, at the tolerance or step count given.

The libraries are no dependency of this project: `make bench` puts them into `.venv/peers`
(requirements-bench.lock); HIL_BENCH_PEERS names another folder.
"""

from __future__ import annotations

import importlib
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hil.diffusion.score_model import ScoreModel

FOLDER = Path(os.environ.get("HIL_BENCH_PEERS") or Path(__file__).parents[1] / ".venv" / "peers")
TOLERANCE = 1e-4
PUBLISHED_END = 1e-4
"""The published sampler stops at this tau."""
Solver = Callable[[np.ndarray], np.ndarray]


def missing() -> list[str]:
    """The libraries that cannot be imported; what can is importable from here on."""
    if str(FOLDER) not in sys.path:
        sys.path.append(str(FOLDER))  # last: what the project has installed comes first
    if os.environ.get("HIL_BENCH_CORES") == "1":  # jax reads it when it is loaded
        os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
    lacking = []
    for name in ("torchdiffeq", "torchsde", "diffrax"):
        try:
            importlib.import_module(name)
        except ImportError:
            lacking.append(name)
    return lacking


class TorchScore(torch.nn.Module):
    """dx/dt of a score model in eager torch; `forward(t, x)` is what torchdiffeq wants."""

    noise_type, sde_type = "diagonal", "ito"

    def __init__(self, model: ScoreModel, coefficient: float = 0.5) -> None:
        super().__init__()
        self._model, self._coefficient = model, coefficient
        self._layers = torch.nn.ModuleList()
        for weight, bias in model.layers:
            layer = torch.nn.Linear(weight.shape[1], weight.shape[0])
            layer.weight.data = torch.tensor(weight, dtype=torch.float32)
            layer.bias.data = torch.tensor(bias, dtype=torch.float32)
            self._layers.append(layer)
        self._frequencies = torch.tensor(2 * np.pi * model.frequencies, dtype=torch.float32)

    def score(self, tau: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """The network with its time embedding; tau is one number, or (1,)."""
        phase = tau * self._frequencies
        embedding = torch.cat([torch.sin(phase), torch.cos(phase)], dim=-1)
        for layer in self._layers[:-1]:
            x = torch.relu(layer(x) + embedding)
        return self._model.output_gain * self._layers[-1](x)

    def beta(self, tau: torch.Tensor) -> torch.Tensor:
        model = self._model
        return model.beta_min + tau * (model.beta_max - model.beta_min)

    def forward(self, t: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        tau = 1.0 - t / self._model.duration
        beta = self.beta(tau)
        pull = self._model.kg * self._coefficient * beta * self.score(tau, x)
        return self._model.kf * 0.5 * beta * x + pull

    def f(self, t: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Drift, as torchsde calls it."""
        return self.forward(t, x)

    def g(self, t: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Diffusion, as torchsde calls it."""
        density = torch.sqrt(self._model.kg * self.beta(1.0 - t / self._model.duration))
        return (self._model.noise.scale * density).expand_as(x)


def published(model: ScoreModel, steps: int, of_steps: int) -> Solver:
    """The first `steps` of a solve of `of_steps` Euler steps, as the published sampler takes them.

    All samples share one time; each step evaluates network and drift, and draws the noise that the
    probability flow then multiplies by nothing.
    """
    network = TorchScore(model)
    dt = (1.0 - PUBLISHED_END) / of_steps

    def solve(x0: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            times = torch.linspace(1.0, PUBLISHED_END, of_steps)
            x = torch.tensor(x0, dtype=torch.float32)
            for n in range(steps):
                tau = times[n].unsqueeze(-1)
                beta = network.beta(tau)
                spread = torch.sqrt(beta)[:, None]
                drift = -0.5 * model.kf * beta[:, None] * x
                drift = drift - model.kg * spread**2 * network.score(tau, x) * 0.5
                mean = x - drift * dt
                x = mean + math.sqrt(dt) * 0.0 * torch.randn_like(x)
        return mean.numpy()

    return solve


def torchdiffeq_dopri5(model: ScoreModel) -> Solver:
    """Dormand and Prince's method with the whole batch as one state."""
    torchdiffeq = importlib.import_module("torchdiffeq")
    network, times = TorchScore(model), torch.tensor([0.0, model.capture_time])

    def solve(x0: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            x = torch.tensor(x0, dtype=torch.float32)
            return torchdiffeq.odeint(
                network, x, times, rtol=TOLERANCE, atol=TOLERANCE, method="dopri5"
            )[-1].numpy()

    return solve


def torchsde_euler(model: ScoreModel, steps: int) -> Solver:
    """Euler and Maruyama's method in equal steps."""
    torchsde = importlib.import_module("torchsde")
    network = TorchScore(model, model.noise.coefficient)
    times = torch.tensor([0.0, model.capture_time])

    def solve(x0: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            x = torch.tensor(x0, dtype=torch.float32)
            dt = model.capture_time / steps
            return torchsde.sdeint(network, x, times, dt=dt, method="euler")[-1].numpy()

    return solve


def _jax_rates(model: ScoreModel, coefficient: float) -> tuple[Any, Any]:
    """dx/dt and the noise's density, as diffrax calls them."""
    jnp = importlib.import_module("jax.numpy")
    layers = [(jnp.asarray(w.T, jnp.float32), jnp.asarray(b, jnp.float32)) for w, b in model.layers]
    frequencies = jnp.asarray(2 * np.pi * model.frequencies, jnp.float32)

    def beta(t: Any) -> Any:
        return model.beta_min + (1.0 - t / model.duration) * (model.beta_max - model.beta_min)

    def rate(t: Any, x: Any, _arguments: Any) -> Any:
        phase = (1.0 - t / model.duration) * frequencies
        embedding = jnp.concatenate([jnp.sin(phase), jnp.cos(phase)])
        h = x
        for weights, bias in layers[:-1]:
            h = jnp.maximum(h @ weights + (bias + embedding), 0.0)
        score = model.output_gain * (h @ layers[-1][0] + layers[-1][1])
        return model.kf * 0.5 * beta(t) * x + model.kg * coefficient * beta(t) * score

    lineax = importlib.import_module("lineax")

    def density(t: Any, x: Any, _arguments: Any) -> Any:
        root = jnp.sqrt(model.kg * beta(t))
        return lineax.DiagonalLinearOperator(jnp.full_like(x, model.noise.scale) * root)

    return rate, density


def diffrax_tsit5(model: ScoreModel) -> Solver:
    """Tsitouras' method, compiled, with the whole batch as one state."""
    diffrax, jax = importlib.import_module("diffrax"), importlib.import_module("jax")
    rate, _density = _jax_rates(model, 0.5)

    @jax.jit
    def compiled(x0: Any) -> Any:
        return diffrax.diffeqsolve(
            diffrax.ODETerm(rate),
            diffrax.Tsit5(),
            0.0,
            model.capture_time,
            0.01,
            x0,
            stepsize_controller=diffrax.PIDController(rtol=TOLERANCE, atol=TOLERANCE),
            adjoint=diffrax.DirectAdjoint(),
        ).ys[-1]

    return lambda x0: np.asarray(compiled(np.asarray(x0, np.float32)))


def diffrax_euler(model: ScoreModel, steps: int) -> Solver:
    """Euler and Maruyama's method in equal steps, compiled, with the fastest Brownian path."""
    diffrax, jax = importlib.import_module("diffrax"), importlib.import_module("jax")
    rate, density = _jax_rates(model, model.noise.coefficient)

    @jax.jit
    def compiled(x0: Any, key: Any) -> Any:
        path = diffrax.UnsafeBrownianPath(shape=x0.shape, key=key)
        noise = diffrax.ControlTerm(density, path)
        return diffrax.diffeqsolve(
            diffrax.MultiTerm(diffrax.ODETerm(rate), noise),
            diffrax.Euler(),
            0.0,
            model.capture_time,
            model.capture_time / steps,
            x0,
            adjoint=diffrax.DirectAdjoint(),
            max_steps=steps + 1,
        ).ys[-1]

    key = jax.random.key(1)
    return lambda x0: np.asarray(compiled(np.asarray(x0, np.float32), key))
