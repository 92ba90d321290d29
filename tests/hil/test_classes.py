"""Conditional networks: what is asked for, the loop class by class, the report, the commands."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import chdir
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from calibration.loop import LoopCalibration
from drivers.integrator import Integrator
from hil.cli.app import run
from hil.config import BenchConfig
from hil.diffusion.model import load_model, save_model
from hil.diffusion.pictures import PixelCodec
from hil.diffusion.references import codec_of
from hil.diffusion.sampler import held_loop, initial_conditions
from hil.diffusion.score_model import ScoreModel
from hil.diffusion.tasks import letters
from hil.jobs import rows
from hil.jobs.classes import Asked, solve_classes
from hil.jobs.mapping import importance
from hil.jobs.network import place
from hil.jobs.pictures import class_data
from hil.jobs.repair import refuse_conditional
from hil.report import ClassData, ReportData, render
from hil.runloop import RunLoop
from hil.sim.config import SimSettings
from hil.sim.effects import Effects
from hil.waveforms import LoopTiming, Mode, build_waveforms
from protocols.errors import ConfigError, InputError, ModelError, RecordError
from protocols.hardware import load_board

RING, DIGITS = load_model("ring"), load_model("digits3")
BOARD = load_board("reference")
CONFIG = BenchConfig()
UNTRIMMED = CONFIG.with_changes(
    loop=CONFIG.loop.model_copy(update={"trim_drive": False}), sim=SimSettings()
)


@pytest.fixture(scope="module")
def ideal() -> Iterator[RunLoop]:
    """The digits on a board without effects, calibrated."""
    placement = place(DIGITS, UNTRIMMED)
    cells = rows.conductance_map(placement, placement.target_siemens, BOARD)
    with rows.simulated_bench(UNTRIMMED, Effects.none(), cells) as bench:
        yield rows.run_loop(bench, DIGITS, placement)


# --- what is asked for -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "label", "per_class", "labels", "each"),
    [
        (RING, None, None, (None,), 1000),
        (RING, "none", None, (None,), 1000),
        (DIGITS, None, None, (0, 1, 2), 500),
        (DIGITS, "all", 7, (0, 1, 2), 7),
        (DIGITS, "2", 7, (2,), 7),
        (DIGITS, "none", None, (None,), 1000),
        (replace(DIGITS, class_names=("H", "K", "U")), "K", None, (1,), 500),
        (replace(DIGITS, class_names=("2", "1", "0")), "2", None, (0,), 500),
        (replace(DIGITS, class_names=()), "1", None, (1,), 500),
    ],
)
def test_what_the_options_ask_for(
    model: ScoreModel,
    label: str | None,
    per_class: int | None,
    labels: tuple[int | None, ...],
    each: int,
) -> None:
    asked = Asked.of(model, label, 1000, per_class)
    assert (asked.labels, asked.each) == (labels, each)
    assert asked.count == each * len(labels)
    of = asked.of_samples
    assert (of is None) == (labels == (None,))
    if of is not None:
        assert of.tolist() == [label for label in labels for _ in range(each)]


@pytest.mark.parametrize(
    ("model", "label", "per_class", "kind", "words"),
    [
        (RING, "0", None, ModelError, "unconditional: class 0 does not exist"),
        (RING, "all", None, ModelError, "unconditional"),
        (RING, None, 5, InputError, "no class of model 'ring'"),
        (DIGITS, "3", None, ModelError, "3 classes, 0 to 2; class 3 does not exist"),
        (DIGITS, "-1", None, InputError, "'-1' is no class"),
        (DIGITS, "seven", None, InputError, "'seven' is no class.*0, 1, 2"),
        (DIGITS, "none", 5, InputError, "use --samples"),
    ],
)
def test_what_cannot_be_asked_for(
    model: ScoreModel, label: str, per_class: int | None, kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words):
        Asked.of(model, label, 1000, per_class)


# --- on the board ----------------------------------------------------------------------------


def test_every_class_goes_to_its_own_place(ideal: RunLoop) -> None:
    asked = Asked.of(DIGITS, "all", 1, 60)
    samples, paths = solve_classes(ideal, DIGITS, asked, Mode.ODE, seed=4, traces=6)
    assert samples.labels is not None
    for label in range(3):
        mine = samples.labels == label
        start = initial_conditions(DIGITS, 4, 60 * label, 60)
        np.testing.assert_array_equal(samples.initial[mine], start)
        off = np.abs(samples.x[mine] - held_loop(DIGITS, start, label=label))
        assert np.median(off) < 0.004  # two steps of a 12-bit converter
        assert np.sqrt(np.mean(off**2)) < 0.03  # where trajectories part, a step decides the side
    means = np.array([samples.x[samples.labels == k].mean(0) for k in range(3)])
    assert np.linalg.norm(means[0] - means[1]) > 0.5
    assert paths is not None
    assert paths.chip.shape[0] == 6
    assert paths.software is not None
    np.testing.assert_allclose(paths.chip[:, -1], paths.software[:, -1], atol=0.04)


def test_class_offsets_travel_apart_from_the_embedding() -> None:
    timing, nominal = LoopTiming(5e-3, 200), LoopCalibration.nominal(BOARD.loop)
    waves = [
        build_waveforms(DIGITS, nominal, timing, BOARD, Mode.ODE, label) for label in (None, 0, 2)
    ]
    np.testing.assert_array_equal(waves[1].embedding_volts, waves[0].embedding_volts)
    assert not waves[0].class_offset_volts.any()
    for wave, label in ((waves[1], 0), (waves[2], 2)):
        np.testing.assert_allclose(
            wave.class_offset_volts, DIGITS.class_offsets[label] * DIGITS.volts_per_unit
        )


@pytest.mark.parametrize(
    ("shape", "words"),
    [((2, 16, 3), "16 hidden units"), ((2, 14, 4), "4 layers"), ((3, 14, 3), "3 dimensions")],
)
def test_a_network_that_one_board_cannot_hold(
    ideal: RunLoop, shape: tuple[int, int, int], words: str
) -> None:
    d, w, layers = shape
    sizes = [d, *[w] * (layers - 1), d]
    model = replace(
        RING,
        weights=tuple(np.zeros((b, a)) for a, b in pairwise(sizes)),
        biases=tuple(np.zeros(b) for b in sizes[1:]),
        frequencies=np.zeros(w // 2),
        class_offsets=np.zeros((0, w)),
    )
    integrator: Integrator = ideal._integrator
    with pytest.raises(ConfigError, match=f"{words}.*one board has 2 integrators, 14 embedding"):
        RunLoop(integrator, model, BOARD, LoopTiming(5e-3, 200), 0.4)


def test_cells_are_weighed_over_all_classes() -> None:
    found = importance(DIGITS, 0.1)
    assert [layer.shape for layer in found] == [(14, 3), (14, 15), (2, 15)]
    one = importance(replace(DIGITS, class_offsets=DIGITS.class_offsets[:1], class_names=()), 0.1)
    assert not np.allclose(found[0], one[0])


def test_a_repair_of_one_class_is_refused() -> None:
    refuse_conditional(RING, "a repair")
    with pytest.raises(InputError, match=r"a repair is for networks without classes.*3"):
        refuse_conditional(DIGITS, "a repair")


# --- the report ------------------------------------------------------------------------------


def test_rows_are_judged_class_by_class() -> None:
    data = rows.data(DIGITS, 300, (0, 1, 2))
    software = rows.software(DIGITS, 5, 300, (0, 1, 2))
    assert set(software.class_w1) == {0, 1, 2}
    assert max(data.class_w1.values()) < max(software.class_w1.values())
    assert max(software.class_w1.values()) < 0.05
    alone = rows.software(DIGITS, 5, 300, (None,))
    assert alone.labels is None
    assert not alone.class_w1
    one = rows.software(DIGITS, 5, 300, (0,))
    np.testing.assert_array_equal(one.samples, software.samples[:300])
    sde = rows.software_sde(DIGITS, 5, 50, (0, 2))
    assert sde.labels is not None
    assert sde.labels.tolist() == [0] * 50 + [2] * 50


def test_the_report_shows_classes_and_pictures(tmp_path: Path) -> None:
    found = {
        "data": rows.data(DIGITS, 40, (0, 1)),
        "chip_ode": rows.software(DIGITS, 1, 40, (0, 1)),
    }
    classes = class_data(DIGITS, found, codec_of(DIGITS), 5000)
    assert classes is not None
    assert classes.names == ("0", "1")
    assert classes.pictures["data"].shape == (2, 10, 8, 8)
    report = ReportData(
        title="digits",
        rows={key: row.metrics.to_dict() for key, row in found.items()},
        samples={key: row.samples for key, row in found.items()},
        classes=classes,
    )
    page = render(report, tmp_path).read_text()
    for name in ("pictures", "samples", "class_distances"):
        assert (tmp_path / "figures" / f"{name}.png").stat().st_size > 5000
    assert not (tmp_path / "figures" / "radius_and_angle.png").exists()
    assert "class 1" in page


def test_pictures_without_a_plane_or_classes_are_shown(tmp_path: Path) -> None:
    x = np.random.default_rng(0).uniform(-1, 1, (12, 64))
    pictures = PixelCodec((8, 8)).decode(x)[None]
    report = ReportData(
        title="pixels", samples={"data": x}, classes=ClassData((), {}, {}, {"data": pictures})
    )
    render(report, tmp_path)
    assert [path.name for path in (tmp_path / "figures").iterdir()] == ["pictures.png"]


@pytest.mark.parametrize(
    "parts",
    [
        {"sliced_w1": {"data": np.zeros(3)}},
        {"pictures": {"data": np.zeros((3, 1, 8, 8))}},
        {"pictures": {"data": np.zeros((2, 8, 8))}},
    ],
)
def test_class_data_that_do_not_fit(parts: dict[str, dict[str, np.ndarray]]) -> None:
    with pytest.raises(RecordError, match="class data"):
        ClassData(("a", "b"), {}, **{"sliced_w1": {}, **parts})  # type: ignore[arg-type]


# --- commands --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def programmed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a chip that holds the digits' network."""
    folder = tmp_path_factory.mktemp("digits")
    with chdir(folder):
        assert run(["form", "digits3", "--json"]) == 0
        assert run(["program", "digits3", "--json"]) == 0
    return folder


def test_run_draws_every_class(
    programmed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(programmed)
    capsys.readouterr()
    assert run(["run", "digits3", "--per-class", "40", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found["classes"]["chip_ode"]) == {"0", "1", "2"}
    assert max(found["classes"]["chip_ode"].values()) < 0.1
    folder = Path(found["run"])
    saved = np.load(folder / "samples_ode.npz")
    assert saved["labels"].tolist() == [0] * 40 + [1] * 40 + [2] * 40
    assert (folder / "figures" / "pictures.png").is_file()
    monkeypatch.chdir(programmed)
    assert run(["report", str(folder), "--json"]) == 0


def test_run_says_what_it_would_drive(
    programmed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(programmed)
    capsys.readouterr()
    assert run(["run", "digits3", "--label", "1", "--dry-run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)["plan"]
    assert plan["samples"] == "500 of each class (1) (ODE)"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "digits3", "--label", "3"], "class 3 does not exist"),
        (["run", "ring", "--label", "0"], "unconditional"),
        (["run", "ring", "--per-class", "9"], "no class of model"),
        (["run", "letters"], "hil train letters --data PATH"),
        (["run", "pixels64"], "use hil program first"),
        (["run", "ring"], "another network"),
        (["demo", "--bench", "digits.yaml"], "without classes"),
        (["repair", "digits3"], "without classes"),
        (["train", "letters"], "needs a folder with the IDX files"),
        (["train", "letters", "--data", "nowhere"], "no such folder"),
        (["train", "points", "--data", "nowhere.csv"], "nowhere.csv"),
        (["train", "ring", "--data", "x.csv"], "brings its own data"),
        (["train", "moon"], "'moon' is nothing to learn"),
    ],
)
def test_what_is_refused(
    programmed: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(programmed)
    Path("digits.yaml").write_text("model: digits3\n")
    capsys.readouterr()
    assert run([*arguments, "--json"]) != 0
    assert words in json.loads(capsys.readouterr().out)["error"]["message"]


def test_points_of_a_file_become_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    lines = [
        f"{x:.4f},{y:.4f},{name}"
        for name, centre in (("left", -0.5), ("right", 0.5))
        for x, y in rng.normal((centre, 0.0), 0.1, (50, 2))
    ]
    Path("two.csv").write_text("\n".join(lines))
    small = ["--score-steps", "150", "--solve-steps", "3"]
    assert run(["train", "points", "--data", "two.csv", "--out", "two.npz", *small, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found["metrics"]) == {"class_w1_mean", "class_w1_worst", "samples"}
    model = load_model("two")
    assert (model.class_names, model.reference) == (("left", "right"), "two.points.npz")
    row = rows.software(model, 1, 200, (0, 1))
    assert row.samples[:200, 0].mean() < row.samples[200:, 0].mean()


def test_letters_of_a_folder_become_a_model_with_a_decoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(letters, "VAE", replace(letters.VAE, hidden=(8,), steps=20, batch=16))
    _write_letters(tmp_path)
    small = ["--score-steps", "2", "--solve-steps", "1"]
    assert run(["train", "letters", "--data", ".", *small, "--json"]) == 0
    capsys.readouterr()
    model = load_model("letters")  # by name: nothing ships as "letters", so the file here
    assert (model.decoder, model.class_names) == ("letters.vae.npz", ("H", "K", "U"))
    found = {"chip_ode": rows.software(model, 1, 5, (0, 1, 2))}
    classes = class_data(model, found, codec_of(model), 100)
    assert classes is not None
    assert classes.pictures["chip_ode"].shape == (3, 5, 12, 12)


def _write_letters(folder: Path) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (30, 28, 28)).astype(np.uint8)
    labels = np.array([17, 20, 30] * 10, dtype=np.uint8)
    for kind, array in (("images-idx3-ubyte", images), ("labels-idx1-ubyte", labels)):
        sizes = b"".join(n.to_bytes(4, "big") for n in array.shape)
        head = bytes([0, 0, 8, array.ndim]) + sizes
        (folder / f"emnist-byclass-train-{kind}").write_bytes(head + array.tobytes())


def test_a_conditional_model_survives_its_file(tmp_path: Path) -> None:
    again = load_model(save_model(DIGITS, tmp_path / "again.npz"))
    assert again.class_names == DIGITS.class_names
    np.testing.assert_array_equal(again.class_offsets, DIGITS.class_offsets)
    assert (again.task, again.decoder) == ("digits3", "digits3.vae.npz")
