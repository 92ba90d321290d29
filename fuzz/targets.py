"""Every reader of a file, with good inputs to spoil. What it may raise is `HilError` alone.

A reader of files has to name the file in what it says, and what it says has to be printable.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fuzz import seeds
from fuzz import seeds_databases as databases
from fuzz.mutate import Spoil, database_spoiler, spoil_bytes, spoil_packed, spoil_tree, spoil_zip
from protocols.errors import HilError


class FindingError(Exception):
    """A reader did what it must not do."""


@dataclass(frozen=True)
class Target:
    """One reader.

    Attributes:
        name: of the target.
        good: inputs that it takes.
        spoil: makes bad ones of them.
        read: the reader, given the path of a file with the input; may raise HilError.
        file: name of that file.
        names_file: whether an error has to name the file.
    """

    name: str
    good: tuple[bytes, ...]
    spoil: Spoil
    read: Callable[[Path], object]
    file: str
    names_file: bool = True

    def make(self, seed: int, number: int) -> bytes:
        """Input `number` of a campaign: the same whenever it is asked for."""
        rng = random.Random(f"{self.name}/{seed}/{number}")
        return self.spoil(rng, rng.choice(self.good))

    def check(self, folder: Path, content: bytes) -> bool:
        """Read one input in an empty folder; whether it was refused.

        Raises:
            FindingError: the error does not name the file, or cannot be printed.
        """
        path = folder / self.file
        path.write_bytes(content)
        try:
            self.read(path)
        except HilError as error:
            text = str(error)
            if self.names_file and path.name not in text:
                raise FindingError(f"the error does not name the file: {text[:200]!r}") from error
            try:
                text.encode()
            except UnicodeEncodeError as unprintable:
                raise FindingError("the error cannot be printed") from unprintable
            return True
        return False


def names() -> tuple[str, ...]:
    """Of all targets."""
    return tuple(_MAKERS)


def make(name: str, scratch: Path) -> Target:
    """One target; `scratch` is an empty folder in which its good inputs are made."""
    return _MAKERS[name](name, scratch)


def _tree(
    good: Callable[[Path], bytes], reader: Callable[[Path], object], file: str
) -> Callable[[str, Path], Target]:
    return lambda name, scratch: Target(name, (good(scratch),), spoil_tree, reader, file)


def _of(
    good: Callable[[Path], bytes],
    spoil: Spoil,
    reader: Callable[[Path], object],
    file: str,
    *,
    names_file: bool = True,
) -> Callable[[str, Path], Target]:
    return lambda name, scratch: Target(name, (good(scratch),), spoil, reader, file, names_file)


_JOURNAL = database_spoiler(databases.repair_journal)
_WEAR = database_spoiler(databases.repair_wear)
_MAKERS: dict[str, Callable[[str, Path], Target]] = {
    "bench": _tree(seeds.bench, seeds.read_bench, "b.yaml"),
    "bench_text": _of(seeds.bench_text, spoil_bytes, seeds.read_bench, "b.yaml"),
    "board": _tree(seeds.board, seeds.read_board, "d.yaml"),
    "profile": _tree(seeds.profile, seeds.read_profile, "p.yaml"),
    "scope": _tree(seeds.scope, seeds.read_scope, "s.yaml"),
    "model_npz": _of(seeds.model(".npz"), spoil_zip, seeds.read_model, "m.npz"),
    "model_safetensors": _of(
        seeds.model(".safetensors"), spoil_bytes, seeds.read_model, "m.safetensors"
    ),
    "model_torch": _of(seeds.model(".pt"), spoil_zip, seeds.read_model, "m.pt"),
    "cell_model": _tree(seeds.cell_model, seeds.read_cell_model, "c.json"),
    "cell_model_yaml": _tree(seeds.cell_model, seeds.read_cell_profile, "c.yaml"),
    "chip_file": _of(seeds.chip_file, spoil_bytes, seeds.chip_reader(), "c.chip"),
    "chip_result": _tree(seeds.chip_result, seeds.read_chip_result, seeds.RESULT_NAME),
    "curves": _of(seeds.curves, seeds.spoil_curves, seeds.read_curves, seeds.CURVES_NAME),
    "placement": _tree(seeds.placement, seeds.read_placement, "p.json"),
    "knowledge": _tree(seeds.knowledge, seeds.read_knowledge, "k.json"),
    "run_json": _tree(seeds.run_json, seeds.read_run, "run.json"),
    "config_json": _tree(seeds.config_json, seeds.read_config_json, "config.json"),
    "report_json": _tree(seeds.report_json, seeds.read_report, "report.json"),
    "arrays": _of(seeds.arrays, spoil_zip, seeds.read_arrays_file, "a.npz"),
    "journal": _of(databases.journal, _JOURNAL, databases.read_journal, "j.sqlite"),
    "journal_resume": _of(databases.journal, _JOURNAL, databases.read_ledger, "j.sqlite"),
    "wear": _of(databases.wear, _WEAR, databases.read_wear, "w.sqlite"),
    "samples": _of(seeds.samples, spoil_bytes, seeds.read_samples, "samples.jsonl"),
    "measured": _of(databases.measured, spoil_packed, databases.read_measured, "form.tsv.gz"),
    "elf": _of(databases.elf, spoil_bytes, databases.read_elf_file, "f.elf"),
    "stop_answer": _of(
        databases.stop_answer, spoil_bytes, databases.read_stop_answer, "a", names_file=False
    ),
    "legacy_reply": _of(
        databases.legacy_reply, spoil_bytes, databases.read_legacy_reply, "a", names_file=False
    ),
    "legacy_board": _of(
        databases.legacy_lines, spoil_bytes, databases.read_legacy_lines, "a", names_file=False
    ),
}
