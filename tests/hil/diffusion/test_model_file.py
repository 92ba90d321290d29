"""The model file: round trip, and a clear refusal of everything that is not a model."""

import dataclasses
import json
import pickle
import zipfile
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hil.diffusion.model import (
    MODEL_FOLDER,
    InitialLaw,
    NoiseLaw,
    ScoreModel,
    TrainingRecord,
    load_model,
    save_model,
)
from protocols.errors import ModelError


def make_model(seed=0, classes=0):
    rng = np.random.default_rng(seed)
    return ScoreModel(
        name="made",
        weights=tuple(rng.normal(size=s) for s in ((14, 2), (14, 14), (2, 14))),
        biases=tuple(rng.normal(size=s) for s in (14, 14, 2)),
        frequencies=rng.normal(size=7),
        class_offsets=rng.normal(size=(classes, 14)),
        beta_min=0.001,
        beta_max=1.5,
        kf=1.25,
        kg=0.75,
        initial=InitialLaw(sd=0.8),
        noise=NoiseLaw(scale=0.6),
        capture_time=0.99,
        training=TrainingRecord(seed=3, steps=10, loss=0.5, metrics={"kl_1d": 0.01}),
    )


def rewrite(path, drop=(), change=None, **members):
    """The file at `path` with members replaced, dropped or added, and meta keys changed."""
    with np.load(path) as old:
        arrays = {k: old[k] for k in old.files if k not in drop}
    if change is not None:
        arrays["meta"] = np.array(json.dumps({**json.loads(str(arrays["meta"])), **change}))
    np.savez(path, **{**arrays, **members})


@pytest.fixture
def path(tmp_path):
    return save_model(make_model(), tmp_path / "made.npz")


@pytest.mark.parametrize("classes", [0, 3])
def test_round_trip(tmp_path, classes):
    model = make_model(classes=classes)
    again = load_model(save_model(model, tmp_path / "m.npz"))
    for field in dataclasses.fields(ScoreModel):
        before, after = getattr(model, field.name), getattr(again, field.name)
        if field.name in ("weights", "biases"):
            assert all((a == b).all() for a, b in zip(before, after, strict=True))
        elif field.name == "folder":
            assert (before, after) == (None, tmp_path)
        elif field.name in ("frequencies", "class_offsets"):
            assert before.shape == after.shape
            assert (before == after).all()
        else:
            assert before == after


def test_equal_models_give_equal_bytes(tmp_path):
    a, b = (save_model(make_model(), tmp_path / name) for name in ("a.npz", "b.npz"))
    assert a.read_bytes() == b.read_bytes()


def test_shipped_model_is_found_by_name():
    assert load_model("ring").name == "ring"
    assert load_model(MODEL_FOLDER / "ring.npz").weights[1].shape == (14, 14)


def test_missing_file_names_what_ships(tmp_path):
    with pytest.raises(ModelError, match=r"rong\.npz.*ship.*ring"):
        load_model("rong")
    with pytest.raises(ModelError, match="no such model file"):
        load_model(tmp_path / "gone.npz")


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"weight_2": np.zeros((14, 13))}, r"weight_2 has shape \(14, 13\); \(14, 14\) is needed"),
        ({"weight_2": np.zeros((14, 14, 1))}, "weight_2 has shape"),
        ({"bias_3": np.zeros(3)}, "bias_3 has shape"),
        ({"weight_1": np.full((14, 2), np.nan)}, r"weight_1\[0, 0\] is nan"),
        ({"weight_3": np.full((2, 14), -np.inf)}, "weight_3.*-inf"),
        ({"bias_1": np.full(14, 1e9)}, r"bias_1\[0\] is 1000000000"),
        ({"weight_1": np.zeros((14, 2), dtype=complex)}, "weight_1 has type complex128"),
        ({"weight_1": np.array([["a", "b"]] * 14)}, "weight_1 has type"),
        ({"frequencies": np.zeros(0)}, "0 frequencies"),
        ({"class_offsets": np.zeros((2, 13))}, "class_offsets has shape"),
        ({"class_offsets": np.zeros(14)}, "class_offsets has shape"),
        ({"surprise": np.zeros(3)}, "unknown key 'surprise'"),
        ({"weight_4": np.zeros((2, 14))}, "'bias_4' is missing"),
        ({"meta": np.array("{")}, "meta is not JSON"),
        ({"meta": np.array("[1]")}, "not a JSON object"),
        ({"meta": np.zeros(2)}, "'meta'.*missing"),
        ({"weight_2": np.zeros((1000, 1000))}, r"80046\d\d bytes; at most"),
    ],
)
def test_bad_members_are_refused(path, members, words):
    rewrite(path, **members)
    with pytest.raises(ModelError, match=words) as caught:
        load_model(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("meta", "words"),
    [
        ({"colour": 1}, "unknown key 'colour' in meta; allowed: .*beta_max"),
        ({"format": "score-model/9"}, "format is 'score-model/9'"),
        ({"name": ""}, "name is ''"),
        ({"kf": "1"}, "kf is '1'"),
        ({"kg": True}, "kg is True"),
        ({"kg": None}, "kg is None"),
        ({"kg": -1.0}, "kg is -1.0; a number above 0 and up to 100"),
        ({"kg": 10**400}, "meta is a whole number of 1329 bits"),
        ({"beta_max": float("nan")}, "beta_max is nan"),
        ({"beta_min": 2.0}, "beta_min is 2.0"),
        ({"capture_time": 2.0}, "capture_time is 2.0; it lies within the duration"),
        ({"initial": {"kind": "uniform", "sd": 1.0}}, "initial.kind is 'uniform'; 'normal'"),
        ({"initial": {"kind": "normal", "sd": 0.0}}, r"initial\.sd is 0"),
        ({"initial": {"kind": "normal"}}, "'sd' is missing in initial"),
        ({"noise": 3}, "noise is 3"),
        ({"noise": {"kind": "proper", "scale": 1.0, "x": 1}}, "unknown key 'x' in noise"),
        ({"training": {}}, "missing in training"),
    ],
)
def test_bad_meta_is_refused(path, meta, words):
    rewrite(path, change=meta)
    with pytest.raises(ModelError, match=words) as caught:
        load_model(path)
    assert str(path) in str(caught.value)


def test_missing_member_is_named(path):
    rewrite(path, drop=("bias_2",))
    with pytest.raises(ModelError, match="'bias_2' is missing"):
        load_model(path)


def test_pickle_is_never_executed(path, tmp_path):
    witness = tmp_path / "executed"

    class Evil:
        def __reduce__(self):
            return (type(witness).touch, (witness,))

    rewrite(path, weight_1=np.array([Evil()], dtype=object))
    with pytest.raises(ModelError, match="weight_1"):
        load_model(path)
    path.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(ModelError, match="not a readable model file"):
        load_model(path)
    assert not witness.exists()


def test_a_header_that_claims_terabytes_allocates_nothing(path):
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000, 1000000), }\n"
    body = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    rewrite(path, drop=("weight_2",))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("weight_2.npy", body)
    with pytest.raises(ModelError, match=r"weight_2.*at most"):
        load_model(path)


def test_a_zip_bomb_is_refused_before_it_is_unpacked(path):
    with zipfile.ZipFile(path, "a", compression=zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.npy", bytes(50_000_000))
    with pytest.raises(ModelError, match="unpacks to"):
        load_model(path)


def test_a_member_twice_is_refused(path):
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("bias_1.npy", b"x")
    with pytest.raises(ModelError, match="each once"):
        load_model(path)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files_never_escape_as_other_errors(path, tmp_path, data):
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    damaged = tmp_path / "damaged.npz"
    damaged.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    with suppress(ModelError):  # a flipped bit may also hit a byte that nobody reads
        load_model(damaged)


def test_a_model_that_would_not_load_is_not_saved(tmp_path):
    broken = dataclasses.replace(make_model(), kg=float("nan"))
    with pytest.raises(ModelError, match="kg is nan"):
        save_model(broken, tmp_path / "broken.npz")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_does_not_exist(tmp_path):
    with pytest.raises(ModelError, match="cannot be written"):
        save_model(make_model(), tmp_path / "no" / "m.npz")


def test_with_layers_checks_shape_and_values():
    model = make_model()
    zeros = [(0.0 * w, 0.0 * b) for w, b in model.layers]
    assert (model.with_layers(zeros).score([[0.3, 0.2]], 0.5) == 0.0).all()
    with pytest.raises(ModelError, match="do not fit"):
        model.with_layers(zeros[:2])
    zeros[1][0][3, 3] = np.nan
    with pytest.raises(ModelError, match="not finite"):
        model.with_layers(zeros)


def test_model_arrays_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        make_model().weights[0][0, 0] = 1.0
