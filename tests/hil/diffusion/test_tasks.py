"""The set of tasks, what belongs beside a model, and what judges and shows its samples."""

import dataclasses
import itertools
import subprocess
import sys

import numpy as np
import pytest

from hil.diffusion import metrics
from hil.diffusion.companion import Companion, load_companion, save_companion
from hil.diffusion.data import draw, named_source
from hil.diffusion.digits import digits
from hil.diffusion.model import MODEL_FOLDER, load_model, save_model
from hil.diffusion.pictures import PixelCodec, Vae
from hil.diffusion.references import codec_of, source_of
from hil.diffusion.sources import FiniteSource
from hil.diffusion.tasks import TASKS, find_task
from protocols.errors import DataError, ModelError

NAMES = {"ring", "points", "digits3", "digits10", "letters", "pixels64"}


def small_vae(seed=0, shape=(2, 3)):
    rng = np.random.default_rng(seed)
    pixels = shape[0] * shape[1]

    def layers(*sizes):
        return tuple(
            (rng.normal(size=(b, a)).astype(np.float32).astype(float), np.zeros(b))
            for a, b in itertools.pairwise(sizes)
        )

    centres = np.array([[1.0, 0.0], [-1.0, 0.0]])
    return Vae(layers(pixels, 5, 4), layers(2, 5, pixels), centres, shape, 4.0)


def small_source():
    points = np.array([[0.5, 0.0], [0.25, 0.0], [-0.5, 0.125]])
    return FiniteSource(points, 0.5 * np.abs(points), np.array([0, 0, 1]), ("a", "b"))


def test_one_file_is_one_task():
    assert set(TASKS) == NAMES
    assert all(task.name == task.config.name == task.config.data for task in TASKS.values())
    with pytest.raises(DataError, match=r"'moon' is nothing to learn.*digits10.*ring"):
        find_task("moon")


@pytest.mark.parametrize("name", sorted(NAMES - {"letters", "points"}))
def test_data_are_drawn_by_name(name):
    points = draw(name, 20, seed=1)
    assert points.shape == (20, 64 if name == "pixels64" else 2)
    np.testing.assert_array_equal(draw(name, 5, seed=1, first=10), points[10:15])


@pytest.mark.parametrize("name", ["letters", "points"])
def test_a_task_without_data_of_its_own_says_what_to_do(name):
    with pytest.raises(DataError, match=f"hil train {name} --data PATH"):
        named_source(name)
    with pytest.raises(DataError, match="--data PATH"):
        TASKS[name].checked(None)
    with pytest.raises(ModelError, match=f"hil train {name} --data PATH"):
        load_model(name)


def test_a_task_with_data_takes_no_path(tmp_path):
    with pytest.raises(DataError, match="brings its own data"):
        TASKS["ring"].checked(tmp_path)
    with pytest.raises(DataError, match="a law, not a set"):
        TASKS["ring"].data()


def test_pixels_are_the_real_digits():
    found = TASKS["pixels64"].data()
    assert found.x.shape == (len(found.labels), 64)
    assert set(np.unique(found.x)) <= set(np.linspace(-1.0, 1.0, 17))
    assert found.class_names == tuple("0123456789")


def test_digits_are_parted_into_seen_and_held_out():
    seen, held_out = digits(range(10)), digits(range(10), held_out=True)
    assert len(seen.images) + len(held_out.images) == 1797
    assert len(held_out.images) == 360
    one = digits([7, 1])
    assert one.class_names == ("7", "1")
    assert (one.labels == 0).sum() == (seen.labels == 7).sum()
    with pytest.raises(DataError, match="whole numbers from 0 to 9"):
        digits([3, 10])


# --- pictures --------------------------------------------------------------------------------


def test_pixels_decode_to_what_was_encoded():
    codec = PixelCodec((2, 2))
    images = np.array([[[0.0, 0.25], [0.5, 1.0]]])
    np.testing.assert_allclose(codec.decode(codec.encode(images)), images)
    assert codec.decode([[-3.0, 3.0, 0.0, 0.5]]).ravel().tolist() == [0.0, 1.0, 0.5, 0.75]


def test_a_decoder_agrees_with_its_equations():
    vae = small_vae()
    (w1, b1), (w2, b2) = vae.decoder
    x = np.array([[0.3, -0.2]])
    hidden = np.maximum(4.0 * x @ w1.T + b1, 0.0)
    wanted = 1.0 / (1.0 + np.exp(-(hidden @ w2.T + b2)))
    np.testing.assert_allclose(vae.decode(x), wanted.reshape(1, 2, 3))
    mean, spread = vae.encode(np.full((3, 2, 3), 0.5))
    assert mean.shape == spread.shape == (3, 2)
    assert (spread > 0.0).all()


@pytest.mark.parametrize(
    ("samples", "words"),
    [(np.zeros((3, 3)), r"\(n, 2\) is needed"), ([[0.0, np.nan]], "1 of 1 samples are not finite")],
)
def test_samples_that_show_nothing(samples, words):
    with pytest.raises(DataError, match=words):
        small_vae().decode(samples)


@pytest.mark.parametrize(
    ("images", "words"),
    [(np.zeros((2, 3)), "pictures of shape"), (np.full((1, 2, 3), 1.5), "not within 0 and 1")],
)
def test_what_is_no_picture(images, words):
    with pytest.raises(DataError, match=words):
        small_vae().encode(images)


def test_layers_that_do_not_fit_are_refused():
    vae = small_vae()
    with pytest.raises(ModelError, match="decoder's layers"):
        dataclasses.replace(vae, shape=(3, 3), encoder=small_vae(0, (3, 3)).encoder)
    with pytest.raises(ModelError, match="encoder's layers"):
        dataclasses.replace(vae, encoder=())


# --- what stands beside a model ----------------------------------------------------------------


def test_a_companion_comes_back_as_it_was(tmp_path):
    path = save_companion(Companion(small_source(), small_vae()), tmp_path / "m.vae.npz")
    found = load_companion(path)
    assert found.source is not None
    np.testing.assert_array_equal(found.source.points, small_source().points)
    np.testing.assert_array_equal(found.source.spread, small_source().spread)
    assert found.source.class_names == ("a", "b")
    assert found.vae is not None
    x = np.array([[0.1, 0.2]])
    np.testing.assert_array_equal(found.vae.decode(x), small_vae().decode(x))
    assert load_companion(save_companion(Companion(), tmp_path / "none.npz")) == Companion()


def rewrite(path, drop=(), **members):
    with np.load(path) as old:
        arrays = {k: old[k] for k in old.files if k not in drop}
    np.savez(path, **{**arrays, **members})


@pytest.mark.parametrize(
    ("drop", "members", "words"),
    [
        (("meta",), {}, "'meta'.*missing"),
        ((), {"meta": np.array('{"format": "other/1"}')}, "model-companion/1"),
        ((), {"surprise": np.zeros(3)}, "unknown member 'surprise'"),
        (("centres",), {}, "centres of the classes are missing"),
        (("decoder_bias_2",), {}, "decoder_bias_2 is missing"),
        (("decoder_weight_2", "decoder_bias_2"), {}, "decoder's layers"),
        ((), {"decoder_weight_1": np.full((5, 2), np.nan)}, "not finite"),
        ((), {"points": np.full((3, 2), np.inf)}, "not finite"),
        ((), {"labels": np.zeros(3)}, "labels have type float64"),
        ((), {"labels": np.array([0, 1, 2])}, "class 2 has no point or no name"),
        (("points",), {}, "without points"),
    ],
)
def test_a_damaged_companion_is_refused_by_name(tmp_path, drop, members, words):
    path = save_companion(Companion(small_source(), small_vae()), tmp_path / "m.vae.npz")
    rewrite(path, drop, **members)
    with pytest.raises(ModelError, match=words) as caught:
        load_companion(path)
    assert str(path) in str(caught.value)


def test_a_companion_is_never_unpickled(tmp_path):
    path = tmp_path / "m.npz"
    np.savez(path, points=np.array([{}], dtype=object))
    with pytest.raises(ModelError, match="refused"):
        load_companion(path)


def beside(tmp_path, **changes):
    """The ring's network as a model with a companion."""
    save_companion(Companion(small_source(), small_vae()), tmp_path / "m.vae.npz")
    ring = load_model("ring")
    given = {"decoder": "m.vae.npz", "reference": "m.vae.npz", **changes}
    return load_model(save_model(dataclasses.replace(ring, **given), tmp_path / "m.npz"))


def test_a_model_finds_what_stands_beside_it(tmp_path):
    model = beside(tmp_path)
    assert source_of(model).class_names == ("a", "b")
    assert codec_of(model).decode([[0.0, 0.0]]).shape == (1, 2, 3)
    ring = load_model("ring")
    assert codec_of(ring) is None
    assert source_of(ring) == named_source("ring")


def test_a_companion_that_is_gone_or_another_is_named(tmp_path):
    model = beside(tmp_path)
    with pytest.raises(ModelError, match=r"gone\.npz: there is no such file.*beside it"):
        codec_of(dataclasses.replace(model, decoder="gone.npz"))
    with pytest.raises(ModelError, match="not read from a file"):
        codec_of(dataclasses.replace(model, folder=None))
    save_companion(Companion(), tmp_path / "empty.npz")
    with pytest.raises(ModelError, match="holds no decoder"):
        codec_of(dataclasses.replace(model, decoder="empty.npz"))
    with pytest.raises(ModelError, match="holds no points"):
        source_of(dataclasses.replace(model, reference="empty.npz"))


@pytest.mark.parametrize("name", ["../x.npz", "a/b", 3, "x" * 65])
def test_a_companion_outside_of_the_folder_is_refused(tmp_path, name):
    with pytest.raises(ModelError, match="a plain name"):
        save_model(dataclasses.replace(load_model("ring"), decoder=name), tmp_path / "m.npz")


# --- models --------------------------------------------------------------------------------------


def test_the_ring_keeps_its_bytes(tmp_path):
    shipped = MODEL_FOLDER / "ring.npz"
    meta = str(np.load(shipped)["meta"])
    assert not any(key in meta for key in ("task", "decoder", "reference", "class_names"))
    ring = load_model("ring")
    again = str(np.load(save_model(ring, tmp_path / "r.npz"))["meta"])
    assert not any(key in again for key in ("decoder", "reference", "class_names"))


@pytest.mark.parametrize("name", ["digits3", "digits10", "pixels64"])
def test_shipped_conditional_models_are_whole(name):
    model = load_model(name)
    assert (model.task, model.name) == (name, name)
    source, codec = source_of(model), codec_of(model)
    assert source.class_names == model.class_names
    assert model.dimensions == source.dimensions
    assert codec.decode(source.draw(3, 1)).shape == (3, 8, 8)
    assert all(abs(model.injected(t, k)).max() <= 2.0 for t in (0.0, 0.5, 1.0) for k in (0, 2))


def test_class_distances_see_a_class_that_is_off():
    source = named_source("digits3")
    labels = np.repeat(np.arange(3), 2000)
    parts = [source.draw(2000, 5, 0, k) for k in range(3)]
    good = metrics.class_distances(np.concatenate(parts), labels, source)
    parts[1] = parts[1] + 0.1
    off = metrics.class_distances(np.concatenate(parts), labels, source)
    assert max(good.values()) < 0.01
    assert off[1] > 0.05
    assert (off[0], off[2]) == (good[0], good[2])
    with pytest.raises(DataError, match="not finite"):
        metrics.class_distances(np.full((3, 2), np.nan), np.zeros(3, dtype=int), source)


def test_distances_in_many_dimensions():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 4000, 64))
    assert metrics.sliced_w1(a, b) < 0.05
    assert metrics.sliced_w1(a + 0.5, b) > 0.1
    figures = metrics.evaluate(a, b)
    assert np.isnan(figures.kl_2d)
    assert figures.radius_mean == pytest.approx(8.0, rel=0.02)
    with pytest.raises(DataError, match=r"\(n, 64\) is needed"):
        metrics.evaluate(a[:, :2], b)


def test_tasks_and_references_load_neither_torch_nor_scikit_learn():
    code = (
        "import sys, hil.diffusion.references, hil.diffusion.model; "
        "print([name for name in ('torch', 'sklearn') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
