"""Why a model does not fit the analog loop of a board, with counts; empty when it does."""

from __future__ import annotations

from hil.diffusion.score_model import ScoreModel
from protocols.errors import MappingError
from protocols.hardware import BoardDescription

INTEGRATORS = 2
LAYERS = 3


def missing_on_loop(
    model: ScoreModel, description: BoardDescription, *, arms: int = 2
) -> list[str]:
    """What the board's analog loop would need more of to run this model.

    The counts are of channels, units, integrators, layers and cells; `arms` is the number of
    columns per output (2 differential).
    """
    width, loop = model.channels, description.loop
    shapes = [weight.shape for weight in model.weights]
    wants = [
        ("integrators", model.dimensions, INTEGRATORS),
        ("layers", len(shapes), LAYERS),
        ("embedding channels", width, loop.hidden_width),
        ("hidden units per layer", width, loop.hidden_width),
        ("rows of cells", sum(inputs + 1 for _, inputs in shapes), description.rows),
        ("columns of cells", arms * sum(out for out, _ in shapes), description.columns),
        (
            "cells",
            arms * sum(out * (inputs + 1) for out, inputs in shapes),
            description.rows * description.columns,
        ),
    ]
    found = [
        f"{needed - have} {what} ({needed} needed, {have} there)"
        for what, needed, have in wants
        if needed > have
    ]
    odd = [
        f"a network of exactly {have} {what} (this one has {needed})"
        for what, needed, have in wants[:4]
        if needed < have
    ]
    return found + odd


def refuse_unfit(model: ScoreModel, description: BoardDescription, *, arms: int = 2) -> None:
    """Raises MappingError, with everything that is missing, when a model does not fit the loop."""
    missing = missing_on_loop(model, description, arms=arms)
    if missing:
        raise MappingError(
            f"Model {model.name!r} does not fit the analog loop of board {description.name!r}; "
            f"missing are: {'; '.join(missing)}. It can be run stepped (--stepped), with the "
            "arithmetic between the products in code."
        )
