"""The published conditional task: the letters H, K and U of EMNIST, in latent space."""

from __future__ import annotations

from pathlib import Path

from hil.diffusion.idx import emnist
from hil.diffusion.latent import latent_config, prepared
from hil.diffusion.task import Prepared, Progress, Task
from hil.diffusion.train_config import VaeConfig
from protocols.errors import DataError

NAMES = ("H", "K", "U")
CLASSES = (17, 20, 30)  # of the split "byclass": ten digits, then capital letters
SIDE = 12
VAE = VaeConfig()  # centres, scale and weight are the published ones


def _prepare(path: Path | None, progress: Progress | None) -> Prepared:
    if path is None:
        raise DataError("task 'letters' needs a folder of IDX files; name it with --data PATH.")
    return prepared(emnist(path, "byclass", "train", CLASSES, NAMES, SIDE), VAE, progress)


TASK = Task(
    name="letters",
    description="the letters H, K and U of EMNIST, by class, in latent space",
    config=latent_config("letters", len(CLASSES), per_class=64),
    prepare=_prepare,
    needs="a folder with the IDX files of EMNIST's split 'byclass'",
)
