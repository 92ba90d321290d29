"""A run folder and an open bench around a job; both end well however the job ends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hil.bench import Bench
from hil.config import BenchConfig
from hil.record import RunFolder


@contextmanager
def session(
    config: BenchConfig,
    kind: str,
    *,
    parameters: Mapping[str, Any],
    bench_text: str | None = None,
    virgin_chip: bool = False,
) -> Iterator[tuple[RunFolder, Bench]]:
    """A new run of `kind` on the bench of `config`.

    Every pulse is journaled before it is driven. The outputs are safe and the run is marked done,
    failed or interrupted when the block is left.

    Args:
        config: the bench.
        kind: names the run folder.
        parameters: what the run was asked to do; kept in the folder.
        bench_text: the bench file as it was read.
        virgin_chip: a simulated chip that lives in the run folder, new every time.

    Raises:
        RecordError: the run folder cannot be made.
        PortError, LinkTimeout, HandshakeError, ChipBusyError, ConfigError: as `Bench.open`.
    """
    with RunFolder.create(
        config.runs, kind, parameters=parameters, seed=config.seed, bench_text=bench_text
    ) as run:
        state: Path | None = run.file("chip.cells") if virgin_chip else None
        with Bench.open(config, recorder=run.journal, state_path=state) as bench:
            run.set_board(bench.board.identity)
            # A virgin chip is not the one in the socket: no later run may take it for that.
            run.update(chip=f"{run.path.name}/{state.name}" if state else config.chip.id)
            yield run, bench
