"""`hil unload`: the chip may be taken out."""

from __future__ import annotations

from typing import Any

from hil.cli.options import BenchOption, BoardOption, JsonOption, context
from hil.jobs.unload import Unloaded, unload


def command(
    bench: BenchOption = None,
    board: BoardOption = None,
    json: JsonOption = False,
) -> None:
    """Ground everything, see that it is grounded, switch the supplies off; then the chip may be
    taken out. Ends with 7 where something is not at zero. The next chip needs
    `hil stop --clear stop` first."""
    ctx = context(bench, board, json=json)
    done = unload(ctx.config, bench_text=ctx.bench_text)
    if json:
        ctx.console.json({**done.to_dict(), "may_be_taken_out": not done.by_hand, "run": done.run})
        return
    ctx.console.facts(f"outputs{' (simulated)' if done.simulated else ''}", _outputs(done))
    ctx.console.facts("supplies", _supplies(done))
    said = "The chip may be taken out"
    ctx.console.say(f"{said}, once these rails are off." if done.by_hand else f"{said}.")
    ctx.console.done(done.run)


def _outputs(done: Unloaded) -> dict[str, Any]:
    found = done.outputs
    if found is None:
        return {"board": f"without power, so it did not answer ({done.silent})"}
    worst = max(abs(one.found - one.wanted) for one in found.outputs)
    return {
        "state": f"{found.reason}, not armed, no run",
        "read back": f"{len(found.outputs)} outputs at zero, the farthest {worst:.1f} codes off",
    }


def _supplies(done: Unloaded) -> dict[str, Any]:
    rows = {one.name: f"off, {1e3 * one.volts:.0f} mV" for one in done.rails}
    if done.by_hand:
        rows["switch off by hand"] = ", ".join(done.by_hand)
    return rows or {"rails": "this kind of board is not drawn: switch its supplies off"}
