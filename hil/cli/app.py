"""`hil`: the entry point.

Exit codes: 0 done, 1 unexpected, 2 input or usage, 3 protocol, 4 line, 5 board refused, 6 limit,
7 safe state, 8 chip, 9 calibration, 10 records, 130 interrupted. They are those of
`protocols.errors`.

Loading the commands takes a second or more, so it is done inside of `run`: a Ctrl-C that falls into
it ends as quietly as any other.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Runs a command; every error becomes a clear block on standard error and an exit code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Runs `hil ARGUMENTS` and returns the exit code."""
    try:
        from hil.cli.tree import invoke  # late, see above

        return invoke(arguments)
    except KeyboardInterrupt:
        sys.stderr.write("\nInterrupted\n  Stopped from the keyboard before anything was done.\n")
        return 130
