"""Ten handwritten digits on programmed chips: is each class where the software's is, and legible?

    python benchmarks/_generation_digits.py [--json FILE] [--quick] [--seeds S ...]

Five simulated chips (chip, board and noise have the same seed): a virgin macro is formed, the
shipped conditional network is mapped, programmed and verified through the wire protocol, and 500
samples of each class are solved by the probability-flow ODE, as many as were published. The
software solves the same equations from the same initial conditions.

Per class, the sliced Wasserstein-1 distance from the class's own reference set is compared with the
software's: of each class the median over the chips, and of those medians the worst. The pictures
that the decoder makes of the samples are shown to a support vector machine that was trained on the
real pictures and has seen nothing else; its hits on held-out real pictures are given beside.

Every chip is a simulated one: no silicon has run this. Exits with 1 when a bar is missed.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.svm import SVC

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

from _common import Bars, finish, missed_bars, option_parser, text_table

from hil.config import BenchConfig
from hil.diffusion.digits import digits
from hil.diffusion.model import load_model
from hil.diffusion.pictures import Codec
from hil.diffusion.references import codec_of
from hil.diffusion.score_model import ScoreModel
from hil.jobs import rows
from hil.jobs.bring_up import bring_up
from hil.jobs.classes import Asked, solve_classes
from hil.jobs.session import session
from hil.waveforms import Mode
from protocols.errors import HilError

MODEL = "digits10"
CHIPS, QUICK_CHIPS = 5, 1
PER_CLASS, QUICK_PER_CLASS = 500, 100
GAMMA, PENALTY = 0.05, 10.0  # of the classifier; chosen on real pictures alone
RATIO = "W1 / software's W1, worst class, median of chips"
HELD_OUT = "classifier's hits on held-out real digits, %"
FEWER = "points fewer hits than the software's, median of chips"
UNFINISHED = "chips that were not finished"
BARS: Bars = {
    RATIO: (0.0, 1.5),
    HELD_OUT: (97.0, 100.0),
    FEWER: (-100.0, 5.0),
    UNFINISHED: (0.0, 0.0),
}
Found = dict[str, Any]


class Judge:
    """A classifier of the real digits, which knows nothing of any generated one."""

    def __init__(self, model: ScoreModel) -> None:
        classes = [int(name) for name in model.class_names]
        real, unseen = digits(classes), digits(classes, held_out=True)
        self._machine = SVC(gamma=GAMMA, C=PENALTY)
        self._machine.fit(_flat(real.images), real.labels)
        self.held_out = self.hits(unseen.images, unseen.labels)

    def hits(self, images: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
        """Per cent of the pictures that are taken for what they should be."""
        return 100.0 * float(np.mean(self._machine.predict(_flat(images)) == labels))


def _flat(images: NDArray[np.float64]) -> NDArray[np.float64]:
    return images.reshape(len(images), -1)


def chip_row(seed: int, model: ScoreModel, asked: Asked, runs: Path) -> rows.Row:
    """One virgin chip: form, map, program, calibrate, solve every class."""
    bench = BenchConfig(runs=runs, model=MODEL)
    chip = bench.sim.model_copy(update={"seed": seed, "board_seed": seed})
    config = bench.with_changes(source=f"chip {seed}", seed=seed, sim=chip)
    with session(config, "demo", parameters={}, virgin_chip=True) as (run, opened):
        placement = bring_up(opened, run, model).programmed.placement
        loop = rows.run_loop(opened, model, placement)
        samples, _ = solve_classes(loop, model, asked, Mode.ODE, seed)
    return rows.chip(samples, model)


def chip_figures(row: rows.Row, software: rows.Row, codec: Codec, judge: Judge) -> Found:
    """One chip's line: distances and their ratios by class, hits of both."""
    of = sorted(row.class_w1)
    w1, baseline = (np.array([r.class_w1[k] for k in of]) for r in (row, software))
    return {
        "w1": w1.tolist(),
        "software w1": baseline.tolist(),
        "ratio": (w1 / baseline).tolist(),
        "hits": _hits(row, codec, judge),
        "software hits": _hits(software, codec, judge),
    }


def _hits(row: rows.Row, codec: Codec, judge: Judge) -> float:
    if row.labels is None:
        raise HilError("the samples have no classes")
    return judge.hits(codec.decode(row.samples), row.labels)


def summary(chips: Sequence[Found], held_out: float, unfinished: int) -> dict[str, float]:
    """The figures that the bars are about."""
    known = {HELD_OUT: held_out, UNFINISHED: float(unfinished)}
    if not chips:
        return {RATIO: float("nan"), FEWER: float("nan"), **known}
    ratios = np.array([chip["ratio"] for chip in chips])
    fewer = [chip["software hits"] - chip["hits"] for chip in chips]
    return {
        RATIO: float(np.median(ratios, axis=0).max()),
        FEWER: float(np.median(fewer)),
        **known,
    }


def digits_figures(seeds: Sequence[int], per_class: int) -> tuple[Found, Bars]:
    """Figures of `seeds`' chips, and the bars that they are held against."""
    model = load_model(MODEL)
    codec = codec_of(model)
    if codec is None:
        raise HilError(f"model {MODEL!r} has no decoder")
    judge, asked = Judge(model), Asked.of(model, "all", per_class, per_class)
    chips: list[Found] = []
    for seed in seeds:
        began = time.perf_counter()
        try:
            with tempfile.TemporaryDirectory(prefix="digits-") as folder:
                row = chip_row(seed, model, asked, Path(folder))
        except HilError as error:
            told = f"chip {seed} was not finished: {type(error).__name__}: {error}"
            print(told, file=sys.stderr, flush=True)
            continue
        software = rows.software(model, seed, per_class, asked.labels)
        chips.append({"chip": seed, **chip_figures(row, software, codec, judge)})
        seconds = time.perf_counter() - began
        print(f"chip {seed}: {seconds:.0f} s with its references", file=sys.stderr, flush=True)
    figures = summary(chips, judge.held_out, len(seeds) - len(chips))
    report(chips, model, figures, per_class)
    return {**figures, "per class": per_class, "chips": chips}, BARS


def report(
    chips: Sequence[Found], model: ScoreModel, figures: dict[str, float], per_class: int
) -> None:
    """Tables on the terminal."""
    print(f"Sliced W1 of each class, chip / software, {per_class} samples of each (simulated)")
    lines = [
        [
            str(chip["chip"]),
            *(f"{value:.2f}" for value in chip["ratio"]),
            *(f"{np.mean(chip[name]):.4f}" for name in ("w1", "software w1")),
            *(f"{chip[name]:.1f}" for name in ("hits", "software hits")),
        ]
        for chip in chips
    ]
    heads = ["chip", *model.class_names, "mean W1", "software's", "hits %", "software's"]
    print(text_table(heads, lines))
    bars = [
        [name, f"{figures[name]:.3f}", f"{low:g} to {high:g}", met]
        for name, (low, high) in BARS.items()
        for met in ["ok" if low <= figures[name] <= high else "MISS"]
    ]
    print("\n" + text_table(["figure", "simulated", "bar", ""], bars))


def digits_part(*, quick: bool, seeds: Sequence[int] | None = None) -> tuple[Found, Bars]:
    """Figures and bars; what `generation.py --part digits` calls."""
    chosen = seeds or range(1, 1 + (QUICK_CHIPS if quick else CHIPS))
    return digits_figures(chosen, QUICK_PER_CLASS if quick else PER_CLASS)


def main(argv: Sequence[str] | None = None) -> int:
    parser = option_parser(__doc__, "one chip, 100 samples of each class")
    parser.add_argument("--seeds", type=int, nargs="+", metavar="S", help="these chips instead")
    asked = parser.parse_args(argv)
    figures, bars = digits_part(quick=asked.quick, seeds=asked.seeds)
    return finish(asked.json, {"simulated": True, **figures}, missed_bars(figures, bars))


if __name__ == "__main__":
    sys.exit(main())
