"""Where the models that ship with the project are."""

from pathlib import Path

MODEL_FOLDER = Path(__file__).parent / "models"
