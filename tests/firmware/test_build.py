"""What the firmware's Makefile promises: tests, style, sizes, fuzzing."""

from __future__ import annotations

import re
import subprocess

import pytest

from protocols import codegen
from tests.firmware.boards import FIRMWARE
from tests.firmware.conftest import need

GOLDEN = FIRMWARE.parent / "tests" / "golden"


def test_generated_c_is_up_to_date():
    assert codegen.main(["--check"]) == 0


@pytest.mark.slow
def test_c_tests_pass_under_the_sanitizers_and_cover_the_core(make):
    need("gcc", "make", "gcovr", "python3")
    output = make("test")
    assert output.count("== build/test/test_") == 7
    lines = re.search(r"lines: ([0-9.]+)%", output)
    assert lines
    assert float(lines[1]) >= 95.0


@pytest.mark.slow
def test_style_and_static_checks_find_nothing(make):
    need("clang-format-14", "clang-tidy-14", "cppcheck", "make")
    make("lint")


def test_images_fit_and_their_stack_is_bounded(make, images):
    output = make("size")
    for name in ("fw_hw.elf", "fw_sim.elf"):
        found = re.search(rf"{name} +flash +(\d+) of \d+ B, RAM +(\d+) of", output)
        assert found
        assert int(found[1]) <= 48 * 1024
        assert int(found[2]) <= 96 * 1024
        stack = re.search(rf"{name} stack (\d+) of 4096", output)
        assert stack
        assert int(stack[1]) <= 4096


def test_images_differ_in_one_object_file(images):
    used = {}
    for name in ("hw", "sim"):
        text = (FIRMWARE / "build" / "arm" / f"fw_{name}.map").read_text()
        used[name] = set(re.findall(r"LOAD (build/arm/\S+\.o)", text))
    assert used["hw"] ^ used["sim"] == {"build/arm/board_hw.o", "build/arm/board_sim.o"}


def test_the_shipped_image_never_calls_the_debugger(images):
    """A semihosting breakpoint without a debugger is a hard fault."""
    listing = subprocess.run(
        ["arm-none-eabi-objdump", "-d", str(FIRMWARE / "build" / "arm" / "fw_hw.elf")],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    assert "bkpt" not in listing
    assert "<main>:" in listing


@pytest.mark.slow
def test_the_fuzzer_finds_nothing_in_a_short_run(make):
    need("clang-14", "make", "python3")
    make("fuzz", FUZZ_SECONDS=5)


@pytest.mark.slow
def test_random_frames_leave_the_board_alive(make):
    need("gcc", "make")
    output = make("soak", SOAK_FRAMES=300_000)
    found = re.search(r"soak: 300000 frames, (\d+) answers, hello answered", output)
    assert found
    assert int(found[1]) > 200_000, "most frames are to be good ones"
