"""`make fuzz`: every target for a share of the time, then the search by coverage, one page.

Half of the time is for spoiled inputs, keyed by the seed, half for atheris. Exits with 1 where
something was found, with 3 where atheris is not installed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from fuzz import campaign, cover, targets

WITHOUT_END = 1 << 40


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path("build/fuzz"))
    chosen = parser.parse_args()
    names = (*campaign.LINE_TARGETS, *targets.names())
    each = max(0.5 * chosen.seconds / len(names), 0.2)
    print(f"{len(names)} targets, {each:.1f} s each (and their starts), seed {chosen.seed} ...")
    tally = campaign.run([campaign.Job(names, WITHOUT_END, each)], chosen.seed)
    print(tally.page(), flush=True)
    code = int(tally.findings > 0)
    return max(code, _searched(chosen.folder, max(chosen.seconds // 2, 1), chosen.seed))


def _searched(folder: Path, seconds: int, seed: int) -> int:
    """The search by coverage, in a process of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    result = folder / "atheris.json"
    result.unlink(missing_ok=True)
    command = [sys.executable, "-m", "fuzz.cover", f"--seconds={seconds}", f"--seed={seed}"]
    command += [f"--folder={folder}", f"--result={result}"]
    with (folder / "atheris.log").open("wb") as log:
        ended = subprocess.run(command, cwd=campaign.ROOT, stderr=log, stdout=log, check=False)
    if ended.returncode == cover.MISSING:
        print(cover.SAY_MISSING, file=sys.stderr)
        return cover.MISSING
    found = json.loads(result.read_text()) if result.is_file() else {"inputs": 0, "findings": {}}
    kept = len(list((folder / "corpus").glob("*")))
    print(f"atheris: {found['inputs']:,} inputs in {seconds} s, {kept} in the corpus, ", end="")
    print(f"{len(found['findings'])} findings")
    for what, content in found["findings"].items():
        print(f"FINDING {what}\n    input {content[:200]}")
    if ended.returncode != 0:
        print(f"atheris ended with {ended.returncode}: see {folder / 'atheris.log'}")
    return int(bool(found["findings"]) or ended.returncode != 0)


if __name__ == "__main__":
    sys.exit(main())
