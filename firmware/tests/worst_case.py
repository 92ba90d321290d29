"""The most instructions that an interrupt can execute, from the listing of the shipped image.

    python3 worst_case.py OBJDUMP IMAGE [--wiring published]

Every function is split into basic blocks; the count is the longest path through its blocks, called
functions and tail calls included, predicated instructions as if executed. Loops turn as often as
the table below says; a loop that it does not name, an indirect call, a jump table and recursion are
errors. Paths that the values of variables exclude are counted nevertheless. Instructions are
counted, not cycles: a Cortex-M4 executes at most one per cycle, and most loads and stores take two.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

CYCLES_PER_US = 168
README = Path(__file__).parents[1] / "README.md"


class RefusedError(Exception):
    """The listing has what cannot be bounded; the text names function and address."""


class Loop(NamedTuple):
    """Bound of one loop: times that it goes back, or a limit in time that it keeps by itself.

    `waits` is of one that looks as often as it goes back whether something has ended.
    """

    back: int = 0
    wait_ns: int = 0
    waits: bool = False


Bounds = Mapping[str, tuple[Loop, ...]]  # loops of a function by the address of their heads
Turns = Callable[[int, int], int]  # what a loop adds, from its head and its longest turn
_SPI = Loop(back=200, waits=True)  # TRIES; a word takes 256 cycles
LOOPS: Bounds = {
    "dac_update_tick": (Loop(back=1),),  # two buses
    "spi_send": (_SPI, _SPI, _SPI),
    "analog_convert": (Loop(wait_ns=20_000),),  # CONVERSION_NS; a conversion takes 3.3 us
    # A byte for the shift register, one for the data register; the next is 1,822 cycles away.
    "uart_pump": (Loop(back=2),),
}
# What differs on the published pins: the bits of a word, and no bus.
PUBLISHED: Bounds = {**LOOPS, "dac_update_tick": (), "send_same": (Loop(back=15),)}
WIRINGS = {"reference": LOOPS, "published": PUBLISHED}
INDIRECT: dict[str, tuple[str, ...]] = {}  # what a function may call through a pointer

# What is printed: interrupt, functions that it does not call in this case, row of README's table.
CASES = {
    "tick, no point": ("systick_interrupt", ("board_convert",), "tick: all DACs updated"),
    "tick": ("systick_interrupt", (), "tick with a captured point"),
    "byte received": ("uart_interrupt", ("uart_pump",), "a byte received"),
    "UART": ("uart_interrupt", (), None),
}

_FUNCTION = re.compile(r"^([0-9a-f]+) <(.+)>:$")
_LINE = re.compile(r"^\s*([0-9a-f]+):\s+(\.?[a-z][\w.]*)\s*([^@;]*)")
_IF = "(eq|ne|cs|cc|hs|lo|mi|pl|vs|vc|hi|ls|ge|lt|gt|le)?"
_JUMP = re.compile(rf"(bl?){_IF}|cbn?z")
_RETURN = re.compile(
    rf"bx{_IF} lr|pop{_IF} .*pc\}}|ldm(?:ia)?{_IF} sp!.*pc\}}|ldr{_IF} pc, \[sp\], #\d+"
)
_INDIRECT = re.compile(rf"blx{_IF} .*|bx{_IF} .*")
_OPEN = re.compile(r"tb[bh]|wf[ie]|(mov|ldr|add|ldm|pop)\w* (pc,|.*pc\})")
_TARGET = re.compile(r"([0-9a-f]+) <")


class Line(NamedTuple):
    """One instruction: mnemonic without its width, all of it, address of the next one."""

    name: str
    text: str
    after: int


@dataclass
class Block:
    """A straight piece: instructions, what it calls, where it goes on; nowhere is a return."""

    count: int = 0
    calls: list[int] = field(default_factory=list)
    after: set[int] = field(default_factory=set)


def parse(listing: str) -> tuple[dict[int, str], dict[int, dict[int, Line]]]:
    """Names of the functions by address, and their instructions by address; data left out."""
    names: dict[int, str] = {}
    found: dict[int, dict[int, tuple[str, str]]] = {}
    for text in listing.splitlines():
        if head := _FUNCTION.match(text):
            start = int(head[1], 16)
            names[start] = re.sub(r"\.(constprop|isra|part|cold)\b.*", "", head[2])
            found[start] = {}
        elif line := _LINE.match(text):
            name = re.sub(r"\.[nw]$", "", line[2])
            found[start][int(line[1], 16)] = (name, f"{name} {line[3].strip()}")
    bodies = {}
    for function, lines in found.items():
        ends = [*list(lines)[1:], next((at for at in sorted(names) if at > function), 0)]
        bodies[function] = {
            at: Line(*line, after)
            for (at, line), after in zip(lines.items(), ends, strict=False)
            if not line[0].startswith(".")
        }
    return names, bodies


def components(after: dict[int, set[int]]) -> list[list[int]]:
    """Blocks that reach one another, each group before those that it goes on to."""
    reached: dict[int, set[int]] = {}
    for node in after:
        seen, todo = {node}, [node]
        while todo:
            new = after[todo.pop()] - seen
            seen |= new
            todo += new
        reached[node] = seen
    order = sorted(after, key=lambda node: -len(reached[node]))  # the earlier reaches more
    groups = [[to for to in order if to in reached[at] and at in reached[to]] for at in order]
    return [group for at, group in zip(order, groups, strict=True) if group[0] == at]


class Listing:
    """Longest paths through an image's functions; `without` calls of some, waits counted or not."""

    def __init__(
        self, text: str, without: Iterable[str] = (), waits: bool = True, loops: Bounds = LOOPS
    ) -> None:
        self.names, self.bodies = parse(text)
        self.without, self.waits, self.loops = frozenset(without), waits, loops
        self.known: dict[int, int] = {}

    def worst(self, name: str) -> int:
        """The most of a function; RefusedError for what the tables do not bound."""
        return self._most(self.address(name), ())

    def address(self, name: str) -> int:
        """Where a function starts."""
        found = [at for at, known in self.names.items() if known == name]
        if len(found) != 1:
            raise RefusedError(f"{len(found)} functions are called {name}")
        return found[0]

    def blocks(self, function: int) -> dict[int, Block]:
        """The blocks of a function by address, those that are reached."""
        body = self.bodies[function]
        edges = {at: self._ends(function, at) for at in body}
        heads = {function} | {to for found in edges.values() if found for to in found}
        blocks: dict[int, Block] = {}
        todo = [function]
        while todo:
            head = at = todo.pop()
            if head in blocks:
                continue
            block = blocks[head] = Block()
            end: set[int] | None = None
            if head in self.bodies and head != function:  # a tail call, or run into
                block.calls.append(head)
                end = set()
            while end is None:
                if at not in body:
                    raise RefusedError(f"{self.names[function]} goes on at {at:x}, not its own")
                block.count += 1
                block.calls += self._called(function, at)
                end, at = edges[at], body[at].after
                if end is None and (at in heads or at in self.bodies):
                    end = {at}
            block.after = end
            todo += block.after
        return blocks

    def _ends(self, function: int, at: int) -> set[int] | None:
        """Where an instruction that ends a block goes; None for one that does not end it."""
        line = self.bodies[function][at]
        if (jump := _JUMP.fullmatch(line.name)) and jump[1] != "bl":
            if (target := _TARGET.search(line.text)) is None:
                raise RefusedError(f"{self.names[function]} jumps at {at:x} to nowhere known")
            to = {int(target[1], 16)}
            return to if line.name == "b" else to | {line.after}
        if (found := _RETURN.fullmatch(line.text)) or re.match("bx", line.name):
            conditional = any(found.groups()) if found else line.name != "bx"
            return {line.after} if conditional else set()
        return None

    def _called(self, function: int, at: int) -> list[int]:
        """Functions that an instruction may call."""
        line, name = self.bodies[function][at], self.names[function]
        if (jump := _JUMP.fullmatch(line.name)) and jump[1] == "bl":
            return [int(target, 16) for target in _TARGET.findall(line.text)]
        if _RETURN.fullmatch(line.text):
            return []
        if _INDIRECT.fullmatch(line.text) and name in INDIRECT:
            return [self.address(target) for target in INDIRECT[name]]
        if _INDIRECT.fullmatch(line.text) or _OPEN.match(line.text):
            raise RefusedError(f"{name} at {at:x}: '{line.text}' goes where no table says")
        return []

    def _most(self, function: int, path: tuple[int, ...]) -> int:
        """The most of the function at an address and of all that it calls."""
        if function not in self.bodies:
            raise RefusedError(f"{self.names[path[-1]]} calls {function:x}, no function")
        if function in path:
            names = [self.names[at] for at in (*path, function)]
            raise RefusedError(f"recursion: {' > '.join(names)}")
        if function not in self.known:
            self.known[function] = self._longest(function, (*path, function))
        return self.known[function]

    def _longest(self, function: int, path: tuple[int, ...]) -> int:
        name, blocks = self.names[function], self.blocks(function)
        bounds = self._bounds(name, blocks, function)
        costs = {
            at: block.count + sum(self._most(to, path) for to in block.calls)
            for at, block in blocks.items()
            if not any(self.names.get(to) in self.without for to in block.calls)
        }
        found = walk(blocks, costs, function, lambda head, turn: self._loop(bounds[head], turn))
        ends = [count for at, count in found.items() if not blocks[at].after]
        if not ends:
            raise RefusedError(f"{name} at {function:x} does not return")
        return max(ends)

    def _bounds(self, name: str, blocks: dict[int, Block], entry: int) -> dict[int, Loop]:
        """The declared loops of a function by the address of their heads."""
        heads: dict[int, int] = {}
        walk(blocks, dict.fromkeys(blocks, 0), entry, lambda head, _: heads.setdefault(head, 0))
        declared = self.loops.get(name, ())
        if len(heads) != len(declared):
            where = ", ".join(f"{head:x}" for head in sorted(heads)) or "nowhere"
            raise RefusedError(f"{name} has loops at {where}, and {len(declared)} are declared")
        return dict(zip(sorted(heads), declared, strict=True))

    def _loop(self, bound: Loop, turn: int) -> int:
        """What going back costs: a wait ends in the second turn after its time at the latest."""
        if bound.waits and not self.waits:
            return 0
        if not bound.wait_ns:
            return turn * bound.back
        return 2 * turn - (-bound.wait_ns * CYCLES_PER_US // 1000) if self.waits else 0


def walk(
    blocks: dict[int, Block], costs: dict[int, int], entry: int, loop: Turns, inside: bool = False
) -> dict[int, int]:
    """The most from the entry to the end of each block; a loop is walked as one block."""
    cut = {entry} if inside else set()
    after = {at: blocks[at].after & costs.keys() - cut for at in costs}
    before = {entry: 0}
    out: dict[int, int] = {}
    for group in components(after):
        if not (heads := [at for at in group if at in before]):
            continue
        head, found, base = heads[0], {group[0]: costs[group[0]]}, before[heads[0]]
        if len(group) > 1 or head in after[head]:
            if len(heads) > 1:
                raise RefusedError(f"a loop has several entries: {heads[0]:x}, {heads[1]:x}")
            found = walk(blocks, {at: costs[at] for at in group}, head, loop, True)
            turns = [found[at] for at in found if head in blocks[at].after]
            base += loop(head, max(turns, default=0))
        for at, count in found.items():
            out[at] = base + count
            for to in after[at] - set(group):
                before[to] = max(before.get(to, 0), out[at])
    return out


def listing(objdump: str, image: str) -> str:
    """What there is to read of an image."""
    command = [objdump, "-d", "--no-show-raw-insn", image]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def measured(row: str | None) -> int | None:
    """What tick_cost.py counted, from README's table."""
    found = re.search(rf"^\| {row} \| ([\d,]+) \|$", README.read_text("utf-8"), re.MULTILINE)
    return int(found[1].replace(",", "")) if found else None


def main() -> int:
    """Print the table; 1 when the listing cannot be bounded."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("objdump")
    parser.add_argument("image")
    parser.add_argument("--wiring", choices=sorted(WIRINGS), default="reference")
    asked = parser.parse_args()
    text = listing(asked.objdump, asked.image)
    print("instructions    at most  + waits   README")
    try:
        for case, (function, without, row) in CASES.items():
            loops = WIRINGS[asked.wiring]
            work = Listing(text, without, waits=False, loops=loops).worst(function)
            waits = Listing(text, without, loops=loops).worst(function) - work
            known = measured(row) if asked.wiring == "reference" else None
            print(f"{case:15s} {work:7,d} {waits:8,d} {known or '-':>8}")
    except RefusedError as error:
        print(error, file=sys.stderr)
        return 1
    for tick in (100, 5000):
        print(f"a tick of {tick} us at 168 MHz: {tick * CYCLES_PER_US:,}, one a cycle")
    return 0


if __name__ == "__main__":
    sys.exit(main())
