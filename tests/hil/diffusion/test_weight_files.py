"""Weights as safetensors and as torch's state dicts: the same model, and nothing is executed."""

from __future__ import annotations

import json
import pickle
import struct

import numpy as np
import pytest
import torch

from hil.diffusion.model import load_model, save_model
from protocols.errors import ModelError


@pytest.fixture(scope="module")
def model():
    return load_model("ring")


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".pth"])
def test_the_same_model_comes_back(model, tmp_path, suffix):
    again = load_model(save_model(model, tmp_path / f"m{suffix}"))
    for before, after in zip(
        model.weights + model.biases, again.weights + again.biases, strict=True
    ):
        np.testing.assert_array_equal(before, after)
    assert (again.name, again.kf, again.training) == (model.name, model.kf, model.training)


def test_single_precision_and_half_of_it_are_taken(model, tmp_path):
    path = save_model(model, tmp_path / "m.pt")
    found = torch.load(path, weights_only=True)
    for kind in (torch.float32, torch.bfloat16):
        torch.save({k: v if isinstance(v, str) else v.to(kind) for k, v in found.items()}, path)
        np.testing.assert_allclose(load_model(path).weights[1], model.weights[1], rtol=1e-2)


def test_a_torch_file_with_an_object_is_refused_and_not_executed(model, tmp_path):
    witness = tmp_path / "executed"

    class Evil:
        def __reduce__(self):
            return (type(witness).touch, (witness,))

    path = tmp_path / "m.pt"
    torch.save({"weight_1": Evil()}, path)
    with pytest.raises(ModelError, match=r"m\.pt: not a readable model file.*state dict"):
        load_model(path)
    path.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(ModelError, match="not a readable"):
        load_model(path)
    torch.save({"weight_1": torch.zeros(1).expand(1 << 40)}, path)
    with pytest.raises(ModelError, match="1099511627776 numbers"):
        load_model(path)
    torch.save([torch.zeros(2)], path)
    with pytest.raises(ModelError, match="a mapping"):
        load_model(path)
    assert not witness.exists()


def packed(head: object, body: bytes = b"") -> bytes:
    text = json.dumps(head).encode()
    return struct.pack("<Q", len(text)) + text + body


def tensor(**changes: object) -> dict[str, object]:
    return {"x": {"dtype": "F64", "shape": [1], "data_offsets": [0, 8], **changes}}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no safetensors header"),
        (struct.pack("<Q", 1 << 60), "a header of"),
        (packed([1]), "no JSON object"),
        (packed(tensor(), bytes(7)), "takes 8 bytes"),
        (packed(tensor(shape=[1 << 40]), bytes(8)), "takes"),
        (packed(tensor(shape=[-1]), bytes(8)), "no shape"),
        (packed(tensor(dtype="OBJ"), bytes(8)), "type 'OBJ'"),
        (packed(tensor(dtype=[]), bytes(8)), "has type"),
        (packed(tensor(data_offsets=[8, 16]), bytes(16)), "not 8 to 16"),
        (packed(tensor(data_offsets=["a", 8]), bytes(8)), "no data_offsets"),
        (packed(tensor(), bytes(9)), "belong to no tensor"),
        (packed({"__metadata__": {"a": 1}}), "something else than texts"),
        (packed({**tensor(), "y": tensor()["x"]}, bytes(8)), "not 0 to 8"),
        (packed({"x": tensor(shape=[1] * 70)["x"]}, bytes(8)), "damaged"),
    ],
)
def test_safetensors_that_lie(tmp_path, content, words):
    path = tmp_path / "m.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=words) as caught:
        load_model(path)
    assert str(path) in str(caught.value)
