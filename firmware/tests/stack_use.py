"""The deepest stack of an image, from the compiler's call graph (gcc -fcallgraph-info=su).

    python3 stack_use.py --stack BYTES OBJECT_FOLDER hw|sim

Calls through pointers are those of the table below; library functions, which have no call graph,
get a stated allowance. Recursion is an error. Interrupts of different priority nest, each with the
frame that the core pushes.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

LIBRARY_BYTES = 384  # a function of newlib and all that it calls; log and cos are the deepest
EXCEPTION_BYTES = 108  # frame with floating-point registers, and alignment
LEVELS = ("main", "pend_interrupt", "systick_interrupt", "uart_interrupt")
POINTERS = {
    "execute": r"handle_\w+",
    "transaction_finish": r"ports/qemu/board_sim\.c:exchange",
    "board_send": r"ports/qemu/board_sim\.c:send",
}
IMAGES = {
    "hw": ("ports/qemu", "ports/virtual"),
    "sim": ("board_hw", "board_array", "board_loop", "rows", "analog", "dac"),
}
_NODE = re.compile(r'node: \{ title: "([^"]+)" label: "([^"]*)"')
_EDGE = re.compile(r'edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"')
_BYTES = re.compile(r"(\d+) bytes \((\w+)")


class Graph:
    """Functions with their own stack and what they call."""

    def __init__(self, folder: Path, image: str) -> None:
        self.own: dict[str, int] = {}
        self.calls: dict[str, set[str]] = {}
        for path in sorted(folder.rglob("*.ci")):
            if not any(part in str(path.relative_to(folder)) for part in IMAGES[image]):
                self._read(path.read_text(encoding="utf-8"))
        self.deepest: dict[str, tuple[int, list[str]]] = {}

    def _read(self, text: str) -> None:
        for title, label in _NODE.findall(text):
            if found := _BYTES.search(label):
                if found[2] == "dynamic":
                    raise SystemExit(f"{title} has a stack of unknown size")
                self.own[title] = int(found[1])
        for source, target in _EDGE.findall(text):
            self.calls.setdefault(source, set()).add(target)

    def targets(self, function: str) -> set[str]:
        """What a function may call."""
        out: set[str] = set()
        for target in self.calls.get(function, ()):
            if target != "__indirect_call":
                out.add(target)
                continue
            wanted = re.compile(POINTERS[function.split(":")[-1].split(".")[0]])
            out |= {known for known in self.own if wanted.fullmatch(known)}
        return out

    def depth(self, function: str, path: tuple[str, ...] = ()) -> tuple[int, list[str]]:
        """Deepest stack of a function, and the way there."""
        if function in path:
            raise SystemExit(f"recursion: {' > '.join((*path, function))}")
        if function not in self.own:
            return LIBRARY_BYTES, [f"{function}*"]
        if function not in self.deepest:
            below = [self.depth(target, (*path, function)) for target in self.targets(function)]
            most, way = max(below, default=(0, []))
            self.deepest[function] = (self.own[function] + most, [function, *way])
        return self.deepest[function]


def main() -> int:
    """Print the way of each level; 1 when all together do not fit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stack", type=int, required=True)
    parser.add_argument("folder", type=Path)
    parser.add_argument("image", choices=sorted(IMAGES))
    asked = parser.parse_args()
    graph = Graph(asked.folder, asked.image)
    total = 0
    for level in LEVELS:
        most, way = graph.depth(level)
        frame = 0 if level == "main" else EXCEPTION_BYTES
        total += most + frame
        names = " > ".join(name.split(":")[-1] for name in way)
        print(f"  {level:18s} {most + frame:5d} B  {names}")
    print(f"fw_{asked.image}.elf stack {total} of {asked.stack} B")
    return 0 if total <= asked.stack else 1


if __name__ == "__main__":
    sys.exit(main())
