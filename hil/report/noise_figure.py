"""The figure of a study of noise laws: how good, against how much the noise decides."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hil.diffusion.noise_law import PROPER, NoiseLaw
from hil.diffusion.noise_study import LEAST_SHARE, LawFigures
from hil.report.style import AMBER, BLACK, BLUE, GREEN, GREY, look, new_figure

KINDS = {
    "keeps the marginals": (BLUE, "o"),
    "tempered": (GREEN, "s"),
    "published": (AMBER, "^"),
}


def kind_of(law: NoiseLaw) -> str:
    """Which of the three families a law belongs to."""
    if law.kind != PROPER:
        return "published"
    return "keeps the marginals" if law == NoiseLaw.preserving(law.scale, law.until) else "tempered"


def noise_figure(
    title: str,
    found: Sequence[LawFigures],
    ode: LawFigures,
    on_loop: Sequence[LawFigures] = (),
) -> Figure:
    """Every law of a search as a point, and what the best did on a loop.

    `found` are the laws of one count of samples, as `ode` is; `on_loop` (with the ODE as the law
    None) come from a simulated loop.
    """
    with look():
        figure = new_figure(title, 3.9, simulated=bool(on_loop))
        columns = 3 if on_loop else 2
        axes = np.atleast_1d(figure.subplots(1, columns))
        _against_share(axes[0], found, [f.sliced_w1 for f in found], ode.sliced_w1)
        _against_share(axes[1], found, [f.kl_1d for f in found], ode.kl_1d)
        axes[0].set(ylabel="sliced W₁ (model units)", title="software: distance from the data")
        axes[1].set(ylabel="KL, 1-D (nats)", title="software: published figure", yscale="log")
        axes[0].legend(loc="best")
        if on_loop:
            _loop(axes[2], on_loop)
    return figure


def _against_share(
    ax: Axes, found: Sequence[LawFigures], values: Sequence[float], ode: float
) -> None:
    for name, (shade, marker) in KINDS.items():
        chosen = [k for k, f in enumerate(found) if f.law is not None and kind_of(f.law) == name]
        ax.plot(
            [found[k].noise_share for k in chosen],
            [values[k] for k in chosen],
            marker,
            color=shade,
            ms=5,
            alpha=0.85,
            mew=0,
            label=name,
        )
    ax.axhline(ode, color=BLACK, lw=1.1, ls="--", label="probability-flow ODE")
    ax.axvspan(0.0, LEAST_SHARE, color=GREY, alpha=0.12, lw=0)
    ax.set_xlabel("how much the noise decides")
    ax.set_xlim(left=0.0)


def _loop(ax: Axes, on_loop: Sequence[LawFigures]) -> None:
    names = ["ODE" if f.law is None else _short(f.law) for f in on_loop]
    shades = [GREY if f.law is None else KINDS[kind_of(f.law)][0] for f in on_loop]
    places = np.arange(len(on_loop))[::-1]
    ax.barh(places, [f.sliced_w1 for f in on_loop], color=shades, height=0.6)
    ax.set_yticks(places, names)
    ax.grid(visible=False, axis="y")
    ax.set(xlabel="sliced W₁ (model units)", title="on the programmed chip's loop")


def _short(law: NoiseLaw) -> str:
    until = f"\nuntil τ = {law.until:g}" if law.until else ""
    return f"{law.kind} {law.scale:g}, c {law.coefficient:.3g}{until}"
