"""Three handwritten digits, generated in the latent plane of an autoencoder: 0, 1 and 2."""

from __future__ import annotations

from pathlib import Path

from hil.diffusion.digits import digits
from hil.diffusion.latent import latent_config, prepared, shipped_source
from hil.diffusion.task import Prepared, Progress, Task
from hil.diffusion.train_config import VaeConfig

CLASSES = (0, 1, 2)
VAE = VaeConfig(prior_weight=1.3)  # the published 3 per 144 pixels, for 64


def _prepare(path: Path | None, progress: Progress | None) -> Prepared:  # noqa: ARG001  (protocol)
    return prepared(digits(CLASSES), VAE, progress)


TASK = Task(
    name="digits3",
    description="three handwritten digits (0, 1, 2) from scikit-learn, by class, in latent space",
    config=latent_config("digits3", len(CLASSES), per_class=64),
    prepare=_prepare,
    builtin=lambda: shipped_source("digits3"),
)
