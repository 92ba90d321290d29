"""All ten handwritten digits, generated in the latent plane of an autoencoder."""

from __future__ import annotations

from pathlib import Path

from hil.diffusion.digits import digits
from hil.diffusion.latent import latent_config, prepared, shipped_source
from hil.diffusion.task import Prepared, Progress, Task
from hil.diffusion.train_config import VaeConfig, circle

CLASSES = tuple(range(10))
RADIUS = 7.5  # latent units: neighbours are 4.6 of their standard deviations apart
VAE = VaeConfig(circle(len(CLASSES), RADIUS), prior_weight=1.3)  # as for three digits


def _prepare(path: Path | None, progress: Progress | None) -> Prepared:  # noqa: ARG001  (protocol)
    return prepared(digits(CLASSES), VAE, progress)


TASK = Task(
    name="digits10",
    description="all ten handwritten digits from scikit-learn, by class, in latent space",
    config=latent_config("digits10", len(CLASSES), per_class=32),
    prepare=_prepare,
    builtin=lambda: shipped_source("digits10"),
)
