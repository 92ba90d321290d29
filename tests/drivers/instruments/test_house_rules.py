"""Rules that every driver keeps, whichever it is; a new model is tested by being in the list."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import string
from pathlib import Path

import pytest
import yaml

from drivers.instruments import models
from drivers.instruments.catalogue import DRIVERS, MODELS
from drivers.instruments.driver import Driver
from drivers.instruments.interfaces import ROLES
from drivers.instruments.session import parse_identity
from protocols.errors import ComplianceError

DIALOGUES = Path(__file__).parent / "dialogues"
DRIVES = ("supply", "smu", "pulser")
UNITS = ("volts", "amperes", "_s", "ohms")
PLAIN = {"n", "source", "slope", "probe", "load", "count", "sensor", "path"}
every_driver = pytest.mark.parametrize("driver", DRIVERS, ids=list(MODELS))
every_name = pytest.mark.parametrize("name", MODELS)


def commands(driver: type[Driver]) -> list[str]:
    """Everything that stands in a driver's class."""
    lists = ("SETUP", "SAFE", "VOLTMETER", "SOURCE", "VERTICAL", "TIMEBASE", "TRIGGER")
    found = [one for name in (*lists, "CONFIGURE", "LIMIT") for one in getattr(driver, name, ())]
    return [*found, *driver.COMMANDS.values()]


def test_every_file_of_models_is_one_driver_in_the_catalogue():
    found = set()
    for info in pkgutil.iter_modules(models.__path__):
        module = importlib.import_module(f"{models.__name__}.{info.name}")
        own = [
            one
            for one in vars(module).values()
            if inspect.isclass(one) and one.__module__ == module.__name__
        ]
        assert len(own) == 1, info.name
        assert info.name.replace("_", "-") == own[0].NAME
        found.add(own[0])
    assert found == set(DRIVERS)
    assert len(MODELS) == len(DRIVERS)


def test_every_role_has_a_driver():
    assert {driver.ROLE for driver in DRIVERS} == set(ROLES)


@every_driver
def test_is_derived_from_the_interface_of_its_role(driver):
    assert ROLES[driver.ROLE] in driver.__mro__


@every_driver
def test_names_its_manual_and_says_what_it_is(driver):
    assert re.search(r"Guide|Manual", driver.MANUAL)
    assert len(driver.__doc__ or "") > 40
    assert "Args" not in (driver.__doc__ or "")


@every_driver
def test_stays_small(driver):
    assert len(Path(inspect.getfile(driver)).read_text(encoding="utf-8").splitlines()) < 150


@every_driver
def test_every_value_in_a_command_carries_its_unit(driver):
    for text in commands(driver):
        for _, name, _, _ in string.Formatter().parse(text):
            assert name is None or name in PLAIN or name.endswith(UNITS), text


@every_driver
def test_a_query_is_no_setting(driver):
    for text in (*driver.SETUP, *driver.SAFE):
        assert "?" not in text
        assert "{" not in text


@pytest.mark.parametrize("role", ROLES)
def test_interfaces_are_in_si_units_and_say_so(role):
    for name, method in inspect.getmembers(ROLES[role], inspect.isfunction):
        if name.startswith("_"):
            continue
        assert method.__doc__, f"{role}.{name}"
        for parameter in inspect.signature(method).parameters.values():
            if parameter.annotation == "float":
                assert parameter.name.endswith(UNITS), f"{role}.{name}({parameter.name})"


@every_name
def test_the_dialogue_s_identity_is_this_model_s_and_no_other_one_s(name):
    with (DIALOGUES / f"{name}.yaml").open(encoding="utf-8") as file:
        device = yaml.safe_load(file)["devices"][name]
    answer = next(one["r"] for one in device["dialogues"] if one["q"] == "*IDN?")
    identity = parse_identity(answer, "here")
    assert [driver.NAME for driver in DRIVERS if driver.fits(identity)] == [name]


def test_there_is_no_dialogue_without_a_driver():
    assert {path.stem for path in DIALOGUES.glob("*.yaml")} == set(MODELS)


@every_name
def test_has_a_safe_state_and_is_in_it_before_anything_else(name, opened):
    driver, tap = opened(name)
    safe = list(driver.safe_commands())
    sent = [text for text in tap.sent if text != driver.ERRORS and not text.endswith("?")]
    assert sent[: len(safe)] == safe
    if driver.ROLE in (*DRIVES, "matrix"):
        assert safe


@every_name
def test_no_output_goes_on_without_a_limit_on_its_current(name, opened):
    driver, tap = opened(name)
    if driver.ROLE not in DRIVES:
        return
    before = list(tap.sent)
    turn_on = (driver.channels[0], True) if driver.ROLE == "supply" else (True,)
    with pytest.raises(ComplianceError):
        driver.output(*turn_on)
    assert tap.sent == before


@every_name
def test_after_the_safe_state_a_limit_has_to_be_set_again(name, opened):
    driver, _ = opened(name)
    if driver.ROLE not in DRIVES:
        return
    turn_on = (driver.channels[0], True) if driver.ROLE == "supply" else (True,)
    setting = {
        "supply": lambda: driver.set(driver.channels[0], 1.0, 0.1),
        "smu": lambda: driver.source_volts(1.0, 1e-3),
        "pulser": lambda: driver.configure(
            low_volts=0.0, high_volts=1.0, width_s=1e-6, edge_s=1e-8, load_ohms=50.0
        ),
    }
    setting[driver.ROLE]()
    driver.output(*turn_on)
    driver.safe()
    with pytest.raises(ComplianceError):
        driver.output(*turn_on)
