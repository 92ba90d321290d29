"""`hil demo`: the main job, end to end."""

from __future__ import annotations

from typing import Annotated

import typer

from hil.cli.options import BenchOption, JsonOption, SeedOption, context
from hil.diffusion.model import load_model
from hil.firmware import BOARDS
from hil.jobs.demo import DemoOptions, run_demo
from hil.jobs.demo_report import report_data
from hil.jobs.network import place
from hil.jobs.repair import refuse_conditional
from hil.jobs.session import session
from hil.report import render
from protocols.errors import ConfigError


def command(
    bench: BenchOption = None,
    board: Annotated[
        str | None,
        typer.Option(
            "--board", metavar="BOARD", help="sim, native or qemu; the chip is simulated."
        ),
    ] = None,
    seed: SeedOption = None,
    samples: Annotated[int, typer.Option(min=10, max=1_000_000, help="Samples per mode.")] = 2000,
    baseline: Annotated[
        int, typer.Option(min=100, max=1_000_000, help="Samples of software and ideal loop.")
    ] = 50_000,
    budget: Annotated[bool, typer.Option(help="Draw up the error budget as well.")] = True,
    json: JsonOption = False,
) -> None:
    """The whole main job on a virgin simulated chip: form, program, run, report."""
    with_context = context(bench, board, json=json, seed=seed)
    config, console = with_context.config, with_context.console
    if config.board not in ("sim", *BOARDS):
        raise ConfigError(
            "hil demo starts from a virgin chip and works on boards with a simulated chip (sim, "
            f"{', '.join(BOARDS)}), not on {config.board!r}; on a bench use hil form, hil program "
            "and hil run"
        )
    refuse_conditional(load_model(config.model), "hil demo, which repairs the network,")
    options = DemoOptions(samples=samples, baseline_samples=baseline, budget=budget)
    parameters = {"samples": samples, "baseline_samples": baseline, "budget": budget}
    with session(
        config,
        "demo",
        parameters=parameters,
        bench_text=with_context.bench_text,
        virgin_chip=True,
    ) as (run, opened):
        cells = place(load_model(config.model), config).cells
        with console.steps("The main job on a virgin simulated chip", cells) as progress:
            result = run_demo(config, opened, run, options, progress)
        run.save_json("results.json", result.to_json())
        data = report_data(config, opened, run, result)
        data.save(run)
        page = render(data, run.path)
    if json:
        console.json(result.to_json())
    else:
        console.metrics_table(data)
        console.programming_table(data)
        console.done(page)
