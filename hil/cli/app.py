"""`hil`: the entry point.

Exit codes: 0 done, 1 unexpected, 2 input or usage, 3 protocol, 4 line, 5 board refused, 6 limit,
7 safe state, 8 chip, 9 calibration, 10 records, 130 interrupted (129 by SIGHUP, 143 by SIGTERM).
They are those of `protocols.errors`.

Loading the commands takes a second or more, so it is done inside of `run`: a Ctrl-C that falls into
it ends as quietly as any other.
"""

from __future__ import annotations

import sys

from hil.cli.signals import caught, description, ending_well


def main() -> None:
    """Runs a command; every error becomes a clear block on standard error and an exit code."""
    with ending_well():
        code = run(sys.argv[1:])
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Runs `hil ARGUMENTS` and returns the exit code."""
    try:
        from hil.cli.tree import invoke  # late, see above

        return invoke(arguments)
    except KeyboardInterrupt:
        said = description(caught())
        sys.stderr.write(
            f"\nInterrupted\n  {said[:1].upper()}{said[1:]} before anything was done.\n"
        )
        return 128 + (caught() or 2)
