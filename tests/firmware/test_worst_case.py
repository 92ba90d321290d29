"""The longest path through an interrupt: never below what QEMU executes, and nothing unbounded."""

from __future__ import annotations

import re

import pytest

from firmware.tests import tick_cost, worst_case
from firmware.tests.worst_case import Listing, Loop, RefusedError
from tests.firmware.conftest import need

STRAIGHT = """
00000100 <entry>:
 100:\tpush\t{r4, lr}
 102:\tcbz\tr0, 10a <entry+0xa>
 104:\titt\tne
 106:\tmovne\tr1, #1
 108:\tmovne\tr2, #2
 10a:\tbl\t120 <called>
 10e:\tldmia.w\tsp!, {r4, lr}
 112:\tb.w\t130 <last>
 116:\tnop
 118:\t.word\t0x20000000

00000120 <called>:
 120:\tcmp\tr0, #0
 122:\tbeq.n\t126 <called+0x6>
 124:\tnop
 126:\tbx\tlr

00000130 <last>:
 130:\tmovs\tr0, #0
 132:\tbx\tlr
"""
LOOPING = """
00000100 <around>:
 100:\tmovs\tr0, #3
 102:\tmovs\tr1, #2
 104:\tsubs\tr1, #1
 106:\tbne.n\t104 <around+0x4>
 108:\tsubs\tr0, #1
 10a:\tbne.n\t102 <around+0x2>
 10c:\tbx\tlr
"""


def one(*instructions: str) -> Listing:
    lines = [f" {0x100 + 2 * i:x}:\t{text}" for i, text in enumerate(instructions)]
    return Listing("\n".join(["00000100 <one>:", *lines]))


def test_calls_tail_calls_and_predicated_instructions_count():
    assert Listing(STRAIGHT).worst("entry") == 8 + 4 + 2
    assert Listing(STRAIGHT).worst("called") == 4


def test_nested_loops_turn_as_declared():
    loops = {"around": (Loop(back=2), Loop(back=1))}
    assert Listing(LOOPING, loops=loops).worst("around") == 1 + 3 * (1 + 2 * 2 + 2) + 1


def test_a_wait_is_its_time_and_two_turns():
    loops = {"around": (Loop(back=0), Loop(wait_ns=1000))}
    straight = 7
    assert Listing(LOOPING, loops=loops).worst("around") == straight + 168 + 2 * 2
    assert Listing(LOOPING, waits=False, loops=loops).worst("around") == straight


@pytest.mark.parametrize("declared", [(), (Loop(1),), (Loop(1), Loop(1), Loop(1))])
def test_an_undeclared_loop_is_refused(declared):
    with pytest.raises(RefusedError, match="around has loops at 102, 104"):
        Listing(LOOPING, loops={"around": declared}).worst("around")


@pytest.mark.parametrize(
    "instruction", ["blx\tr3", "bx\tr3", "tbb\t[pc, r0]", "mov\tpc, r3", "ldr.w\tpc, [r3]", "wfi"]
)
def test_what_goes_nobody_knows_where_is_refused(instruction):
    with pytest.raises(RefusedError, match="one at 102"):
        one("nop", instruction, "bx\tlr").worst("one")


def test_recursion_and_a_missing_end_are_refused():
    with pytest.raises(RefusedError, match="recursion: one > one"):
        one("push\t{r3, lr}", "bl\t100 <one>", "pop\t{r3, pc}").worst("one")
    with pytest.raises(RefusedError, match="one goes on at"):
        one("nop").worst("one")


@pytest.fixture(scope="module")
def listing(images: None) -> str:
    need("arm-none-eabi-objdump")
    return worst_case.listing("arm-none-eabi-objdump", str(tick_cost.IMAGE))


def test_the_shipped_interrupts_are_bounded(make, listing):
    output = make("worst-case")
    for case, (function, without, _) in worst_case.CASES.items():
        printed = re.search(rf"^{case} +([\d,]+) +([\d,]+) ", output, re.MULTILINE)
        assert printed
        work, waits = (int(number.replace(",", "")) for number in printed.groups())
        assert work + waits == Listing(listing, without).worst(function)
        assert work + waits < worst_case.CYCLES_PER_US * 100, "more than the shortest tick"


@pytest.mark.slow
def test_no_interrupt_in_qemu_is_longer_than_its_bound(listing, emulator, tmp_path):
    found = tick_cost.count(tick_cost.record(tmp_path))
    for case, passages in {
        "tick, no point": ("systick_interrupt", "dac_update_tick"),
        "tick": ("systick_interrupt", "board_convert dac_update_tick"),
        "byte received": ("uart_interrupt", "nothing of these"),
    }.items():
        function, without, _ = worst_case.CASES[case]
        counted = found[passages[0]][passages[1]]
        bound = Listing(listing, without, waits=False).worst(function)
        print(f"{case}: {counted} executed, {bound} at most")
        assert 0.4 * bound < counted <= bound  # the bound has both SPI buses, a tick writes one
