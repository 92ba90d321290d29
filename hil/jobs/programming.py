"""The parameters that a bench programs with: those of its file, and the chip's own cell model."""

from __future__ import annotations

from dataclasses import replace

from calibration.cell_model import CellModel
from calibration.programming import ProgramParams
from calibration.programming.menu import PulseMenu
from calibration.programming.predictive import PredictiveParams
from drivers.rram.limits import Limits
from hil.chip_store import ChipStore
from hil.config import BenchConfig
from hil.sim.profile import profile_path
from protocols.errors import RecordError

VERIFY_READS = "verify_reads"
"""Under which the chip's store keeps how many readings a verify should average."""
MOST_READS = 64


def stated_menu(config: BenchConfig) -> PulseMenu | None:
    """The menu that the bench file states; None where it is its algorithm's own.

    A stated one is all that this chip can be given, whatever is done with it.
    """
    params = config.programming
    own, menu = type(params)().menu, params.menu
    if menu is None or (own is not None and own.to_dict() == menu.to_dict()):
        return None
    return menu


def programming_params(config: BenchConfig, limits: Limits) -> ProgramParams:
    """What the bench file says; the predictive algorithm gets a model and a menu that it can use.

    The model is the one fitted to this chip's characterisation, if it was characterised, else that
    of the technology profile, of which chips may differ: characterise first. Of its menu the
    entries within `limits` are used. Where the file does not say how many readings a confirming
    read averages, it is what the chip's bring-up asked for, if it was brought up.
    """
    params = _with_reads(config)
    if not isinstance(params, PredictiveParams) or params.menu is None:
        return params
    model = params.model or ChipStore.of(config).model()
    if model is None:
        model = CellModel.from_profile(profile_path(config.sim.profile))
    return replace(params, model=model, menu=params.menu.within(limits))


def _with_reads(config: BenchConfig) -> ProgramParams:
    params = config.programming
    if params.confirm_samples != type(params)().confirm_samples:
        return params
    reads = kept_reads(config)
    return params if reads is None else replace(params, confirm_samples=reads)


def kept_reads(config: BenchConfig) -> int | None:
    """The readings per verify that this chip's bring-up asked for; None without one.

    Raises:
        RecordError: the file is damaged.
    """
    stored = ChipStore.of(config).latest(VERIFY_READS)
    if stored is None:
        return None
    reads = stored.result.get("reads")
    if type(reads) is not int or not 1 <= reads <= MOST_READS:
        raise RecordError(f"{stored.path}: no number of readings in it; bring the chip up again")
    return reads
