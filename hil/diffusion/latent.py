"""Tasks in latent space: pictures, an autoencoder trained on them, and its latents as the data."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from hil.diffusion.companion import Companion, load_companion
from hil.diffusion.model_folder import MODEL_FOLDER
from hil.diffusion.pictures import Pictures, Vae
from hil.diffusion.sources import FiniteSource
from hil.diffusion.task import Prepared, Progress
from hil.diffusion.train_config import TrainConfig, VaeConfig, WeightNoise
from protocols.errors import ModelError

SUFFIX = "vae"


def latent_config(name: str, n_classes: int, per_class: int) -> TrainConfig:
    """How a conditional network of the published size learns latents; some minutes on one core."""
    return TrainConfig(
        name=name,
        data=name,
        groups=6,
        batch=n_classes * per_class,
        score_steps=1200,
        solve_steps=1200,
        sde_share=0.25,
        radius_weight=0.0,
        moment_weight=0.0,
        spread_weight=2.0,
        ticks=10,
        heun=True,
        solve_noise=WeightNoise(additive=0.012, multiplicative=0.02, multiplicative_limit=0.04),
    )


def latent_source(vae: Vae, pictures: Pictures) -> FiniteSource:
    """The posterior of every picture: a normal about its mean, in model units."""
    mean, spread = vae.encode(pictures.images)
    return FiniteSource(mean, spread, pictures.labels, pictures.class_names)


def prepared(pictures: Pictures, config: VaeConfig, progress: Progress | None) -> Prepared:
    """Trains the autoencoder; minutes at most."""
    from hil.diffusion.train_vae import train_vae  # torch: a second that only training needs

    vae = train_vae(pictures, config, progress)
    source = latent_source(vae, pictures)
    return Prepared(source, Companion(source, vae), SUFFIX)


@lru_cache(maxsize=4)
def shipped_source(name: str) -> FiniteSource:
    """The latents that a shipped model was trained on."""
    path = Path(MODEL_FOLDER) / f"{name}.{SUFFIX}.npz"
    source = load_companion(path).source
    if source is None:
        raise ModelError(f"{path}: holds no points; install the project again.")
    return source
