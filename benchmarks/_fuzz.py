"""Hostile input by the million: what decoder, dispatcher and every reader of files make of it.

Inputs are keyed by target, seed and number, so a finding can be made again. Of the inputs of the
line a tenth go into the dispatcher of the simulated board as frames with a right checksum, the
others, spoiled streams of frames, into the decoder; the firmware's own decoder and dispatcher get
theirs from `make soak`.
"""

from __future__ import annotations

from fuzz.campaign import Tally, line_jobs, reader_jobs, run

FULL = (10_000_000, 100_000)
QUICK_S = 0.4


def campaign(inputs: int, per_reader: int, seed: int, processes: int = 1) -> Tally:
    """`inputs` into decoder and dispatcher, `per_reader` into each reader of files.

    `Tally` has `line_inputs`, `fewest_per_reader`, `findings` (the bar is 0), `page()` and `rows`.
    """
    jobs = [*line_jobs(inputs), *reader_jobs(per_reader, parts=2 * processes)]
    return run(jobs, seed, processes)


def quick(seed: int, seconds: float = QUICK_S, processes: int = 1) -> Tally:
    """Each target for `seconds` and its start, which takes longer."""
    inputs, per_reader = FULL
    jobs = [*line_jobs(inputs, seconds), *reader_jobs(per_reader, seconds, parts=processes)]
    return run(jobs, seed, processes)
