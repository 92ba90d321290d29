"""The faults that a bring-up has to find, by name, each with the stage that names it.

`plant` gives settings with one of them; the same names do for `--chip-faults`, which also takes
the faults of the chip and its bonds (`chip_faults.py`). They work wherever the physics is
simulated: on the simulated board and behind the firmware alike.
"""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from hil.sim.chip_faults import ChipFaults
from hil.sim.config import SimSettings
from hil.sim.faulty_board import KINDS as BOARD_KINDS
from protocols.errors import InputError
from protocols.hardware import BoardDescription

Changes = dict[str, Any]


def _board(**faults: object) -> Changes:
    return {"board_faults": faults}


def _chip(**faults: object) -> Changes:
    return {"chip_faults": faults}


_PLANTS: dict[str, tuple[str, Changes]] = {
    "supply_low": ("supplies", _board(supply_low=("positive", 0.9))),
    "rail_over_current": ("supplies", _board(rail_over_current=("drivers", 4.0))),
    "dac_swapped": ("converters", _board(dac_swapped=("embedding_3", "embedding_4"))),
    "dac_stuck": ("converters", {"channel_faults": {"embedding_6": "railed"}}),
    "adc_gain": ("converters", _board(adc_gain=("sample_1", 0.08))),
    "adc_stuck": ("converters", {"channel_faults": {"probe": "dead"}}),
    "pads_swapped": ("pin_map", _board(pads_swapped=("bit_line", 5, 6))),
    "resistor_wrong": ("resistor_board", _board(resistor_wrong=(3, 4, 1.5))),
    "resistor_open": ("resistor_board", _board(resistor_open=(4, 4))),
    "scope_absent": ("pin_map", _board(absent_instruments=("scope",))),
    "pulse_long": ("pulses", _board(pulse_width=1.3)),
    "pulse_low": ("pulses", _board(pulse_amplitude=0.85)),
    "word_line_open": ("leakage", _chip(open_word_line=7)),
    "array_leaky": ("leakage", _chip(leaky_row=9)),
    "wrong_chip": ("leakage", _chip(other_chip=4242)),
    "word_line_weak": ("transistors", _chip(weak_word_line=11)),
    "read_noise": ("read_noise", {"adc_noise_sd_codes": 5.0}),
    "multiplier_zero": ("loop", {"zero_score": 0.08}),
    "integrator_leaky": ("loop", {"leak_time_s": 0.5}),
}
"""By name: the stage that has to name it, and what it changes in the settings. `read_noise` is the
factor of the noise that is set."""

FAULTS: dict[str, str] = {name: stage for name, (stage, _) in _PLANTS.items()}
"""The stage of a bring-up that has to stop at each fault, and name it."""


def plant(name: str, settings: SimSettings | None = None) -> SimSettings:
    """Settings with one fault of `FAULTS`; others that are planted already stay.

    Raises:
        InputError: no such fault.
    """
    return _changed(settings or SimSettings(), _changes_of(name))


def planted(text: str, settings: SimSettings, description: BoardDescription) -> SimSettings:
    """The settings with what `--chip-faults` was given: names with commas between them.

    A name of `FAULTS` stands for the fault as `plant` plants it, one of `BoardFaults` needs its
    value (`pulse_width=1.3`, parts with colons between them: `pads_swapped=bit_line:5:6`), every
    other one is the chip's.

    Raises:
        InputError: an unknown fault, or a place or value that is not allowed.
    """
    chip: list[str] = []
    for part in (one.strip() for one in text.split(",") if one.strip()):
        name, _, value = (piece.strip() for piece in part.partition("="))
        if name in _PLANTS and not value:
            settings = _changed(settings, _changes_of(name))
        elif name in BOARD_KINDS:
            settings = _changed(settings, _board(**{name: _value(name, value)}))
        else:
            chip.append(part)
    if any("seed" not in one for one in chip):
        found = ChipFaults.parse(",".join(chip), description.rows, description.columns)
        before = settings.chip_faults.model_dump(exclude_defaults=True)
        faults = before | found.model_dump(exclude_defaults=True)
        settings = _changed(settings, {"chip_faults": faults})
    settings.board_faults.check_places(description.rows, description.columns)
    return settings


def _changes_of(name: str) -> Changes:
    if name not in _PLANTS:
        raise InputError(f"{name!r} is no fault of a bring-up; known are {', '.join(FAULTS)}")
    return _PLANTS[name][1]


def _value(name: str, value: str) -> object:
    if not value:
        raise InputError(f"--chip-faults: {name} needs a value, as in {_EXAMPLES[name]}")
    parts = value.split(":")
    return parts if name not in _SINGLE else value


def _changed(settings: SimSettings, changes: Changes) -> SimSettings:
    """The settings with some keys replaced; sections keep what is not named."""
    own = settings.model_dump()
    for key, value in changes.items():
        merged = isinstance(value, dict)
        own[key] = {**_set(own[key]), **value} if merged else _scaled(key, own[key], value)
    try:
        return SimSettings.model_validate(own)
    except ValidationError as error:
        found = error.errors()[0]
        place = ".".join(map(str, found["loc"]))
        raise InputError(f"planted faults: {place}: {found['msg']}") from error


def _set(section: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in section.items() if value is not None}


def _scaled(key: str, before: object, value: object) -> object:
    """Noise is planted as a factor, everything else as it is."""
    factor = key == "adc_noise_sd_codes" and isinstance(before, float) and isinstance(value, float)
    return before * value if factor else value  # type: ignore[operator]


_SINGLE = ("pulse_width", "pulse_amplitude")
_EXAMPLES = {
    "dac_swapped": "dac_swapped=embedding_3:embedding_4",
    "adc_gain": "adc_gain=read:0.05",
    "supply_low": "supply_low=positive:0.9",
    "rail_over_current": "rail_over_current=drivers:4",
    "pads_swapped": "pads_swapped=bit_line:5:6",
    "resistor_wrong": "resistor_wrong=3:4:1.5",
    "resistor_open": "resistor_open=4:4",
    "pulse_width": "pulse_width=1.3",
    "pulse_amplitude": "pulse_amplitude=0.85",
    "absent_instruments": "absent_instruments=scope",
}
