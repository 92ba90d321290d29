"""Flash and RAM of images, against the limits.

python3 size.py --flash-max BYTES --ram-max BYTES SIZE_TOOL IMAGE...
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

FLASH = {".text", ".data", ".ARM.exidx"}
RAM = {".data", ".bss", ".stack"}


def sections(tool: str, image: str) -> dict[str, int]:
    """Size of every section."""
    text = subprocess.run([tool, "-A", image], check=True, capture_output=True, text=True).stdout
    rows = (line.split() for line in text.splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) == 3 and row[1].isdigit()}


def main() -> int:
    """Print a table; 1 when a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flash-max", type=int, required=True)
    parser.add_argument("--ram-max", type=int, required=True)
    parser.add_argument("tool")
    parser.add_argument("images", nargs="+")
    asked = parser.parse_args()
    good = True
    for image in asked.images:
        found = sections(asked.tool, image)
        flash = sum(found.get(name, 0) for name in FLASH)
        ram = sum(found.get(name, 0) for name in RAM)
        good = good and flash <= asked.flash_max and ram <= asked.ram_max
        print(
            f"{Path(image).name:12s} flash {flash:6d} of {asked.flash_max} B,"
            f" RAM {ram:6d} of {asked.ram_max} B (stack {found.get('.stack', 0)} B)"
        )
    if not good:
        print("an image is larger than it may be", file=sys.stderr)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
