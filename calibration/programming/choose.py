"""The programming algorithms by name, and how one is made from its parameters."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, cast

from calibration.cell_model import CellModel
from calibration.programming import Programmer, ProgramParams
from calibration.programming.coarse_fine import CoarseFine, CoarseFineParams
from calibration.programming.fppv import Fppv, FppvParams
from calibration.programming.ispp import Ispp, IsppParams
from calibration.programming.job import RecipeProgrammer
from calibration.programming.menu import PulseMenu
from calibration.programming.pairs import PairTrim
from calibration.programming.predictive import Predictive, PredictiveParams
from calibration.programming.two_step import TwoStep, TwoStepParams
from protocols.errors import InputError


@dataclass(frozen=True)
class Algorithm:
    """One way of programming: what it takes, and what does it."""

    params: type[ProgramParams]
    programmer: Callable[..., Programmer]


ALGORITHMS: Mapping[str, Algorithm] = {
    "ispp": Algorithm(IsppParams, Ispp),
    "fppv": Algorithm(FppvParams, Fppv),
    "coarse_fine": Algorithm(CoarseFineParams, CoarseFine),
    "two_step": Algorithm(TwoStepParams, TwoStep),
    "predictive": Algorithm(PredictiveParams, Predictive),
}
"""Name -> algorithm; the names of the bench file and of `hil program --algorithm`."""

_MENUS: Mapping[str, Callable[[], PulseMenu]] = {
    "default": PulseMenu.default,
    "short": PulseMenu.short,
}


def algorithm(name: str) -> Algorithm:
    """The algorithm of a name. Raises InputError for an unknown one; names those that exist."""
    if name not in ALGORITHMS:
        raise InputError(
            f"{name!r} is no programming algorithm; known are {', '.join(ALGORITHMS)}."
        )
    return ALGORITHMS[name]


def name_of(params: ProgramParams) -> str:
    """The name of the algorithm that takes these parameters."""
    for name, known in ALGORITHMS.items():
        if type(params) is known.params:
            return name
    raise InputError(f"{type(params).__name__} belongs to no programming algorithm.")


def make_programmer(
    params: ProgramParams,
    wait: Callable[[float], None] = time.sleep,
    pairs: PairTrim | None = None,
) -> Programmer:
    """The programmer of these parameters; `wait` and `pairs` as in `Ispp`."""
    return ALGORITHMS[name_of(params)].programmer(params, wait, pairs)


def switched(params: ProgramParams, name: str) -> ProgramParams:
    """Another algorithm's parameters, with what all share taken over where it was stated.

    What stands at its algorithm's default takes the other's default; the menu is never taken over.
    """
    if name_of(params) == name:
        return params
    common = {item.name for item in fields(ProgramParams)} - {"menu"}
    stated = {
        item.name: getattr(params, item.name)
        for item in fields(params)
        if item.name in common and getattr(params, item.name) is not item.default
    }
    return algorithm(name).params(**stated)


def plain_params(params: ProgramParams) -> dict[str, Any]:
    """Plain values for JSON, as a bench file states them, with the algorithm's name."""
    model = getattr(params, "model", None)
    without: dict[str, Any] = {"menu": None}
    if hasattr(params, "model"):
        without["model"] = None
    bare = replace(params, **without)
    plain = {"algorithm": name_of(params), **asdict(bare)}
    plain["menu"] = None if params.menu is None else params.menu.to_dict()
    if isinstance(model, CellModel):
        plain["model"] = model.to_dict()
    return plain


def recipe_programmer(params: ProgramParams) -> RecipeProgrammer[Any] | None:
    """The programmer of these parameters if it is made of a recipe, else None."""
    made = make_programmer(params)
    return made if isinstance(made, RecipeProgrammer) else None


def read_model(value: object) -> CellModel | None:
    """A cell model as a bench file states it: None, the path of a model or profile file, or a
    model's own mapping.

    Raises:
        InputError: something else.
        CalibrationError: the file holds no model.
    """
    if value is None or isinstance(value, CellModel):
        return value
    if isinstance(value, Mapping):
        return CellModel.from_dict(value)
    if not isinstance(value, str):
        raise InputError(f"model={value!r}: the path of a cell model (.json) or profile (.yaml).")
    path = Path(value)
    return CellModel.load(path) if path.suffix == ".json" else CellModel.from_profile(path)


def read_menu(value: object) -> PulseMenu | None:
    """A menu as a bench file states it: None, "default", "short", or a menu's own mapping.

    Raises:
        InputError: something else.
    """
    if value is None or isinstance(value, PulseMenu):
        return value
    if isinstance(value, str) and value in _MENUS:
        return _MENUS[value]()
    if isinstance(value, Mapping):
        return PulseMenu.from_dict(cast(Mapping[str, Any], value))
    raise InputError(f"menu={value!r}: known are {', '.join(_MENUS)}, or a menu's own lists.")
