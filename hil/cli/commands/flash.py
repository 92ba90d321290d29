"""`hil flash`: the firmware onto the board."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hil.cli.console import Console
from hil.cli.options import JsonOption
from hil.jobs import flash as job


def command(
    elf: Annotated[
        Path | None,
        typer.Option("--elf", metavar="FILE", help="Image; default: that of `make firmware`."),
    ] = None,
    probe: Annotated[
        str | None,
        typer.Option("--probe", metavar="UID", help="Debug probe; default: the only one."),
    ] = None,
    target: Annotated[
        str, typer.Option("--target", metavar="PART", help="The part by pyOCD's name.")
    ] = job.DEFAULT_TARGET,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check the image and say what would be called.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Write the firmware into an STM32F407 by pyOCD. Stop the board before (hil stop)."""
    console = Console(json=json)
    image = job.checked_image(elf)
    facts: dict[str, Any] = {
        "image": str(image.path),
        "build": image.build,
        "flash_bytes": image.flash_bytes,
        "ram_bytes": image.ram_bytes,
        "probe": probe or "the only one",
        "target": target,
    }
    if dry_run:
        console.plan("hil flash would write", {**facts, "command": _shown(image, probe, target)})
        return
    job.require_pyocd()
    console.say(f"Flashing {image.path} (build {image.build}) ...")
    job.flash(image, probe, target)
    facts["check"] = "hil info --board serial:PORT names this build; hil selftest tests the board"
    if json:
        console.json(facts)
    else:
        console.facts("flashed", facts)


def _shown(image: job.Image, probe: str | None, target: str) -> str:
    return " ".join(["pyocd", *job.command(image, probe, target)[3:]])
