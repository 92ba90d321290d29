"""Flashing: what is refused before anything is written, and what pyOCD is called with."""

from __future__ import annotations

import json
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest

from hil.cli.app import run
from hil.firmware import FOLDER
from hil.jobs import flash
from hil.jobs.elf import read_elf
from protocols.errors import FirmwareError, InputError
from tests.firmware.conftest import need

FLASH, RAM = 0x0800_0000, 0x2000_0000
BUILD_AT = FLASH + 64
FAKE = """
import json, sys
from pathlib import Path
Path(__file__).with_name("called.json").write_text(json.dumps(sys.argv[1:]))
if "broken" in sys.argv:
    sys.exit("E: No probe with this id")
"""


def image(
    path: Path,
    *,
    build: bytes = b"1234abcd",
    names: tuple[str, ...] = ("FW_BUILD",),
    load: int = FLASH,
    stack: int = RAM + 0x1_0000,
    reset: int = FLASH + 0x101,
    machine: int = 40,
    ram: int = 4096,
) -> Path:
    """A small ELF file: one segment in flash with vectors and build, one in RAM, symbols."""
    text = struct.pack("<II", stack, reset).ljust(64, b"\xff") + build.ljust(16, b"\0")
    strings, symbols = b"\0", bytes(16)
    for name in names:
        symbols += struct.pack("<IIIBBH", len(strings), BUILD_AT, 16, 0x11, 0, 1)
        strings += name.encode() + b"\0"
    text_at = 52 + 2 * 32
    symbols_at = text_at + len(text)
    strings_at = symbols_at + len(symbols)
    sections_at = strings_at + len(strings)
    header = struct.pack(
        "<16sHHIIIIIHHHHHH", b"\x7fELF\x01\x01\x01", 2, machine, 1, reset, 52, sections_at, 0,
        52, 32, 2, 40, 3, 0,
    )  # fmt: skip
    segments = struct.pack("<8I", 1, text_at, load, load, len(text), len(text), 5, 4)
    segments += struct.pack("<8I", 1, 0, RAM, load + len(text), 0, ram, 6, 4)
    sections = bytes(40)
    sections += struct.pack("<10I", 0, 2, 0, 0, symbols_at, len(symbols), 2, 0, 4, 16)
    sections += struct.pack("<10I", 0, 3, 0, 0, strings_at, len(strings), 0, 0, 1, 0)
    path.write_bytes(header + segments + text + symbols + strings + sections)
    return path


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return image(tmp_path / "fw.elf")


@pytest.fixture
def pyocd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A command `python -m pyocd` that writes down its arguments; the file they are in."""
    package = tmp_path / "fake" / "pyocd"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(FAKE)
    monkeypatch.syspath_prepend(str(package.parent))
    monkeypatch.setenv("PYTHONPATH", str(package.parent))
    return package / "called.json"


def test_an_image_is_read(good: Path) -> None:
    found = flash.checked_image(good)
    assert (found.build, found.flash_bytes, found.ram_bytes) == ("1234abcd", 80, 4096)
    assert read_elf(good).symbols == {"FW_BUILD": BUILD_AT}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"names": ("other",)}, "not this project's firmware"),
        ({"build": b"\xff\xfe"}, "not this project's firmware"),
        ({"names": ("FW_BUILD", "virtual_board_init")}, "image for the emulator"),
        ({"machine": 62}, "not an executable for an ARM processor"),
        ({"stack": 0x1000}, "no vector table"),
        ({"reset": FLASH + 0x100}, "no vector table"),
        ({"reset": RAM + 1}, "no vector table"),
        ({"ram": 128 * 1024 + 1}, "bytes of RAM"),
    ],
)
def test_what_is_not_for_the_board_is_refused(
    tmp_path: Path, changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        flash.checked_image(image(tmp_path / "bad.elf", **changes))


def test_an_image_outside_of_the_flash_is_refused(tmp_path: Path) -> None:
    whole = image(tmp_path / "fw.elf")
    data = bytearray(whole.read_bytes())
    struct.pack_into("<I", data, 52 + 12, FLASH + 512 * 1024 - 8)  # the load address alone
    whole.write_bytes(data)
    with pytest.raises(InputError, match=r"writes 0x0807fff8 to 0x08080048"):
        flash.checked_image(whole)


def test_a_file_that_is_cut_off_is_refused_wherever(good: Path, tmp_path: Path) -> None:
    data = good.read_bytes()
    part = tmp_path / "part.elf"
    for length in range(len(data)):
        part.write_bytes(data[:length])
        with pytest.raises(InputError, match=r"part\.elf"):
            flash.checked_image(part)


def test_a_missing_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"none\.elf"):
        flash.checked_image(tmp_path / "none.elf")
    monkeypatch.setattr(flash, "DEFAULT_IMAGE", tmp_path / "never_built.elf")
    with pytest.raises(InputError, match="make firmware"):
        flash.checked_image(None)


def test_pyocd_is_called_with_image_part_and_probe(good: Path, pyocd: Path, capsys) -> None:
    assert run(["flash", "--elf", str(good), "--probe", "0671FF", "--json"]) == 0
    assert json.loads(pyocd.read_text()) == [
        *("flash", "--no-wait", "--target", "stm32f407vg", "--uid", "0671FF"),
        *("--format", "elf", str(good)),
    ]
    found = json.loads(capsys.readouterr().out)
    assert (found["build"], found["probe"]) == ("1234abcd", "0671FF")
    assert "hil info --board serial:" in found["check"]


def test_without_a_probe_none_is_named(good: Path, pyocd: Path, capsys) -> None:
    assert run(["flash", "--elf", str(good), "--target", "stm32f407ve"]) == 0
    called = json.loads(pyocd.read_text())
    assert "--uid" not in called
    assert "stm32f407ve" in called
    assert "hil info --board serial:" in capsys.readouterr().out


def test_a_dry_run_calls_nothing(good: Path, pyocd: Path, capsys) -> None:
    assert run(["flash", "--elf", str(good), "--dry-run", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["plan"]["command"].startswith("pyocd flash")
    assert not pyocd.exists()


def test_a_refused_image_is_not_flashed(tmp_path: Path, pyocd: Path, capsys) -> None:
    bad = image(tmp_path / "bad.elf", names=("other",))
    assert run(["flash", "--elf", str(bad)]) == InputError.exit_code
    assert "bad.elf" in capsys.readouterr().err
    assert not pyocd.exists()


def test_what_pyocd_says_is_passed_on(good: Path, pyocd: Path) -> None:
    with pytest.raises(FirmwareError, match=r"(?s)exit 1.*pack install.*No probe with this id"):
        flash.flash(flash.checked_image(good), "broken")


def test_without_pyocd_the_remedy_is_named(
    good: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setattr(flash, "find_spec", lambda _: None)
    assert run(["flash", "--elf", str(good)]) == FirmwareError.exit_code
    assert "pip install pyocd" in capsys.readouterr().err


def test_the_firmware_of_this_checkout_can_be_flashed() -> None:
    need("arm-none-eabi-gcc", "make")
    images = ["build/arm/fw_hw.elf", "build/arm/fw_sim.elf"]
    subprocess.run(["make", "-s", "-C", str(FOLDER), *images], check=True, capture_output=True)
    found = flash.checked_image(None)
    assert 20_000 < found.flash_bytes <= 48 * 1024
    assert found.ram_bytes <= 96 * 1024
    assert found.build == (FOLDER / "build" / "build_id").read_text().strip()
    with pytest.raises(InputError, match="image for the emulator"):
        flash.checked_image(FOLDER / images[1])
