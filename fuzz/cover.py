"""All targets under atheris, which keeps the inputs that reach new lines: `python -m fuzz.cover`.

One process for all of them: the first byte of an input says which target the rest is for. The
mutations are those of `fuzz.mutate`, half of them in the target's own form; which input is mutated
next, libFuzzer says. What a target lets escape
is noted and the search goes on; a crash or an input without an end stops it.
"""

from __future__ import annotations

import argparse
import json
import random
import struct
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import FunctionType

from fuzz.mutate import spoil_bytes

INSTRUMENTED = (
    *("protocols.files", "protocols.npz", "protocols.frame", "protocols.codec"),
    *("protocols.legacy", "protocols.hardware", "drivers.curves", "calibration.placement"),
    *("calibration.mapping_knowledge", "calibration.cell_model.laws"),
    *("calibration.cell_model.model", "hil.config", "hil.journal_reader", "hil.ledger"),
    *("hil.record", "hil.wear", "hil.wear_entries", "hil.curve_store", "hil.chip_store"),
    *("hil.control", "hil.report.data", "hil.diffusion.model", "hil.diffusion.weight_files"),
    *("hil.jobs.elf", "hil.jobs.legacy", "hil.sim.board", "hil.sim.session"),
    *("hil.sim.handlers", "hil.sim.handlers_reads"),
    *("hil.sim.handlers_loop", "hil.sim.chip", "hil.sim.wave_store", "hil.sim.fit.data"),
    *("hil.sim.profile", "hil.sim.legacy_parser", "hil.sim.runs", "hil.sim.safety"),
)
"""Modules whose lines count. Those with compiled kernels cannot: numba reads their bytecode."""
MISSING = 3
LONGEST = 1 << 16
_PER_INPUT_S = 20
SAY_MISSING = """atheris is not installed, so nothing was searched by coverage. Install it:
    .venv/bin/python -m pip install 'atheris>=3'"""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path("build/fuzz"))
    parser.add_argument("--result", type=Path, help="JSON: inputs, findings")
    chosen = parser.parse_args(arguments)
    try:
        import atheris
    except ImportError:
        print(SAY_MISSING, file=sys.stderr)
        return MISSING
    from fuzz import worker

    _instrument(atheris.instrument_func)
    corpus = chosen.folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    with worker.scratch() as scratch:
        search = _Search(Path(scratch), worker.describe, chosen.result)
        for number, (name, good) in enumerate(search.good):
            (corpus / f"seed-{number}-{name}").write_bytes(good)
        options = [
            sys.argv[0],
            *(
                f"-max_total_time={chosen.seconds}",
                f"-seed={chosen.seed}",
                f"-timeout={_PER_INPUT_S}",
            ),
            *(f"-max_len={LONGEST}", "-rss_limit_mb=4096", "-verbosity=0"),
            *(f"-artifact_prefix={chosen.folder}/", str(corpus)),
        ]
        atheris.Setup(options, search.one, custom_mutator=search.mutate)
        atheris.Fuzz()  # ends the process
    return 0


def _instrument(one: Callable[[FunctionType], object]) -> None:
    """Every function and method of the modules above; their constants and classes stay."""
    for name in INSTRUMENTED:
        module = import_module(name)
        holders = [module, *(v for v in vars(module).values() if isinstance(v, type))]
        for holder in holders:
            if getattr(holder, "__module__", name) != name:
                continue
            for value in list(vars(holder).values()):
                function = getattr(value, "__func__", value)
                if isinstance(function, FunctionType) and function.__module__ == name:
                    one(function)


class _Search:
    """What is done with an input, and what was found."""

    def __init__(
        self, scratch: Path, describe: Callable[[BaseException], str], result: Path | None
    ) -> None:
        from fuzz.targets import Target, make, names

        self._work = scratch / "work"
        self._work.mkdir()
        self._result = result
        self._count = 0
        self._findings: dict[str, str] = {}
        self._describe = describe
        self._readers: list[Target] = []
        self.good: list[tuple[str, bytes]] = []
        for name in names():
            made = scratch / f"made-{name}"
            made.mkdir()
            target = make(name, made)
            for good in target.good:
                self.good.append((name, bytes([len(self._readers)]) + good))
            self._readers.append(target)
        self._lines = (_Wire(), _Raw())
        for line in self._lines:
            self.good.append((type(line).__name__.strip("_").lower(), bytes([self.kinds - 1])))

    @property
    def kinds(self) -> int:
        return len(self._readers) + len(self._lines)

    def one(self, data: bytes) -> None:
        """One input; never raises."""
        if not data:
            return
        self._count += 1
        kind, content = data[0] % self.kinds, data[1:]
        try:
            if kind >= len(self._readers):
                self._lines[kind - len(self._readers)].take(content)
            else:
                for old in self._work.iterdir():
                    old.unlink()
                self._readers[kind].check(self._work, content)
        except Exception as error:  # noqa: BLE001  (whatever escapes is what is looked for)
            name = self._readers[kind].name if kind < len(self._readers) else "line"
            self._findings.setdefault(f"{name}: {self._describe(error)}", data.hex())
            self._keep()
        if self._count % 256 == 0:
            self._keep()

    def mutate(self, data: bytes, most: int, seed: int) -> bytes:
        """Another input of the same target, sometimes of another one."""
        rng = random.Random(seed)
        kind = data[0] % self.kinds if data and rng.random() < 0.99 else rng.randrange(self.kinds)
        spoil = self._readers[kind].spoil if kind < len(self._readers) else spoil_bytes
        content = data[1:]
        try:
            content = (spoil if rng.random() < 0.5 else spoil_bytes)(rng, content)
        except Exception:  # noqa: BLE001  (not of the form any more that the target's own spoils)
            content = spoil_bytes(rng, content)
        return (bytes([kind]) + content)[:most]

    def _keep(self) -> None:
        if self._result is not None:
            found = {"inputs": self._count, "findings": self._findings}
            self._result.write_text(json.dumps(found), encoding="utf-8")


class _Wire:
    """Requests with a right session, number and checksum: code, length, payload, and so on."""

    def __init__(self) -> None:
        from fuzz import line

        self._board = line.make_board(line._LIGHT, line._SMALL)
        self._nonce = 0

    def take(self, content: bytes) -> None:
        from protocols import messages as m
        from protocols.frame import Decoder, Frame, encode

        self._nonce = (self._nonce + 1) & 0xFFFFFFFF
        hello = encode(Frame(0, 0, m.HelloRequest.CODE, m.HelloRequest(self._nonce).pack()))
        (answer,) = Decoder().feed(self._board.receive(b"\0" + hello))
        session = m.HelloResponse.unpack(answer.payload[1:]).session
        at, number, sent = 0, 1, b""
        while at + 2 <= len(content) and number < 64:
            code, length = struct.unpack_from("BB", content, at)
            sent += encode(Frame(session, number, code, content[at + 2 : at + 2 + length]))
            at, number = at + 2 + length, number + 1
        decoder = Decoder()
        decoder.feed(self._board.receive(sent))
        if decoder.dropped:
            raise ValueError("an answer is no frame")


class _Raw:
    """Bytes into a decoder."""

    def take(self, content: bytes) -> None:
        from protocols.frame import Decoder

        decoder = Decoder()
        frames = decoder.feed(content + b"\0")
        if len(frames) + decoder.dropped != len([b for b in content.split(b"\0") if b]):
            raise ValueError("a block was lost")


if __name__ == "__main__":
    sys.exit(main())
