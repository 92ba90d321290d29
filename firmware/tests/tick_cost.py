"""Instructions of the interrupts of a run, counted one by one on the shipped image in QEMU.

    python firmware/tests/tick_cost.py [--json FILE]

QEMU executes the image's instructions, not its timing: at 168 MHz a Cortex-M4 takes between one
and a few cycles for each (two for a load or a write to a port, twelve to enter an interrupt), so a
count times two is a fair guess, and only a bench can say more.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))
from protocols import messages as m
from tests.firmware import dialogue
from tests.firmware.boards import FIRMWARE, QemuBoard
from tests.firmware.dialogue import Host

IMAGE = FIRMWARE / "build" / "arm" / "fw_hw.elf"
MARKS = ("dac_update_tick", "dac_load_tick", "noise_normals", "board_convert", "board_preset")
_PC = re.compile(rb"^Trace \d+: 0x[0-9a-f]+ \[[0-9a-f]+/([0-9a-f]+)/")
_SYMBOL = re.compile(r"^([0-9a-f]{8})\s.{7}\s\.text\s+([0-9a-f]{8})\s(?:\.hidden )?(\S+)$")


def symbols() -> dict[int, str]:
    """Functions of the image by address."""
    text = subprocess.run(
        ["arm-none-eabi-objdump", "-t", IMAGE], check=True, capture_output=True, text=True
    ).stdout
    found = (_SYMBOL.match(line) for line in text.splitlines())
    return {int(f[1], 16) & ~1: f[3] for f in found if f}


def record(folder: Path) -> Path:
    """A short run with noise and captured points, every instruction in a log."""
    log = folder / "log"
    original = subprocess.Popen

    def traced(command, **options):
        extra = ["-singlestep", "-d", "exec,nochain,int", "-D", str(log)]
        return original([*command, *extra], **options)

    subprocess.Popen = traced  # type: ignore[misc]
    try:
        board = QemuBoard(folder, "arm/fw_hw.elf")
    finally:
        subprocess.Popen = original  # type: ignore[misc]
    try:
        host = Host(board)
        host.hello()
        rng = np.random.default_rng(1)
        for request in [*dialogue.waves(rng, 4), *dialogue.layers(), *dialogue.initial(rng, 1)]:
            assert host.ask(request)[0] == 0
        assert host.ask(m.RunRequest(1, 0, 1, 4, m.Noise.SEEDED, 5, 6, 2, 1))[0] == 0
        while m.ProgressResponse.unpack(host.ask(m.ProgressRequest())[1:]).run_state == 1:
            pass
    finally:
        board.close()
    return log


TAKEN_BACK = (b"cpu_io_recompile: rewound", b"Stopped execution")


def executed(lines: Iterable[bytes]) -> Iterator[bytes]:
    """The lines of a log without instructions that QEMU took back and logs again when it does them:
    accesses to ports, and whatever it was at when it looked for interrupts.
    """
    held = b""
    for line in lines:
        if not line.startswith(TAKEN_BACK):
            yield held
        held = line
    yield held


def count(log: Path) -> dict[str, dict[str, int]]:
    """Longest passage of each interrupt by what it called; what interrupts it counts apart."""
    names = symbols()
    marks = {address: name for address, name in names.items() if name in MARKS}
    open_passages: list[tuple[str, list[int], set[str]]] = []
    longest: dict[str, dict[str, int]] = {}
    entered = False
    with log.open("rb") as lines:
        for line in executed(lines):
            if line.startswith(b"Exception return") and open_passages:
                name, instructions, called = open_passages.pop()
                what = " ".join(sorted(called)) or "nothing of these"
                passages = longest.setdefault(name, {})
                passages[what] = max(passages.get(what, 0), instructions[0])
            elif b"taking pending" in line:
                entered = True
            elif found := _PC.match(line):
                pc = int(found[1], 16)
                if entered:
                    open_passages.append((names.get(pc, "?"), [0], set()))
                    entered = False
                if open_passages:
                    open_passages[-1][1][0] += 1
                    if pc in marks:
                        open_passages[-1][2].add(marks[pc])
    return longest


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = count(record(Path(folder)))
    for entry, passages in found.items():
        for what, instructions in sorted(passages.items(), key=lambda item: -item[1]):
            print(f"{entry:18s} {instructions:6d} instructions  {what}")
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
