"""The model file: `.npz`, `.safetensors` or torch's `.pt`, read as if a stranger had written it.

Members: `weight_1`.. and `bias_1`.. per layer, `frequencies`, `class_offsets`, and `meta`, a JSON
text with every scalar. Nothing in a file is executed and each member is bounded before it is
unpacked (`weight_files`); unknown members and keys are refused.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil.diffusion.keyed import FloatArray
from hil.diffusion.model_folder import MODEL_FOLDER
from hil.diffusion.noise_law import KINDS, LARGEST_SCALE, SDE_COEFFICIENT, NoiseLaw
from hil.diffusion.score_model import InitialLaw, ScoreModel, TrainingRecord
from hil.diffusion.weight_files import packed, read_members
from protocols.errors import FileError, ModelError
from protocols.files import parse_json, replace_whole

__all__ = [
    "MODEL_FOLDER",
    "InitialLaw",
    "NoiseLaw",
    "ScoreModel",
    "TrainingRecord",
    "load_model",
    "save_model",
]

FORMAT = "score-model/1"

_MAX_LAYERS = 32
_MAX_FREQUENCIES = 256
_MAX_DIMENSIONS = 1024
_MAX_CLASSES = 64
_MAX_TEXT = 64 * 1024
_MAX_WEIGHT = 1e3
_MAX_NAME = 64

_POSITIVE = (0.0, math.inf)
_SCALARS: dict[str, tuple[float, float]] = {  # key -> open lower and closed upper bound
    "beta_max": (0.0, 100.0),
    "kf": (0.0, 100.0),
    "kg": (0.0, 100.0),
    "output_gain": (0.0, 100.0),
    "duration": (0.0, 1e3),
    "capture_time": (0.0, 1e3),
    "volts_per_unit": (0.0, 10.0),
    "hidden_clamp_units": (0.0, 1e3),
}
_META_KEYS = {"format", "name", "beta_min", "initial", "noise", "training", *_SCALARS}
_OPTIONAL_KEYS = {"task", "decoder", "reference", "class_names"}
"""Left out where they say nothing, so that older files and their bytes stay what they were."""


def load_model(source: str | Path) -> ScoreModel:
    """Reads a model from a file, or by the name of one that ships with the project ("ring").

    A name that nothing ships by is that of a file NAME.npz here, as `hil train NAME` writes it.

    Raises ModelError, which names the file, the key, the value and what is allowed.
    """
    path = _resolve(source)
    try:
        members = read_members(path)
    except FileError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise ModelError(
                f"{path}: there is no such model file. {_how_to_get(path.stem)}{_shipped()}"
            ) from None
        raise ModelError(f"{path}: not a readable model file: {error}.") from error
    meta = _read_meta(members.pop("meta", None), path)
    return dataclasses.replace(_build(members, meta, path), folder=path.absolute().parent)


def save_model(model: ScoreModel, path: str | Path) -> Path:
    """Writes the model, replacing the file at once; the name's suffix says in which format.

    Equal models give equal bytes, except in torch's format.

    Raises ModelError when the model would not be read back (`load_model` says why) or the file
    cannot be written.
    """
    target = Path(path)
    arrays: dict[str, NDArray[Any]] = {"meta": np.array(json.dumps(_meta(model), sort_keys=True))}
    for k, (weight, bias) in enumerate(model.layers, start=1):
        arrays |= {f"weight_{k}": weight, f"bias_{k}": bias}
    arrays |= {"frequencies": model.frequencies, "class_offsets": model.class_offsets}
    _build({k: v for k, v in arrays.items() if k != "meta"}, _meta(model), target)
    try:
        replace_whole(target, packed(arrays, target.suffix))
    except OSError as error:
        raise ModelError(f"{target}: the model file cannot be written: {error}.") from error
    return target


def _resolve(source: str | Path) -> Path:
    path = Path(source)
    if isinstance(source, str) and path.suffix == "" and path.name == source and not path.exists():
        shipped, here = MODEL_FOLDER / f"{source}.npz", path.with_suffix(".npz")
        return here if here.is_file() and not shipped.is_file() else shipped
    return path


def _how_to_get(name: str) -> str:
    """What to do for the model of a task that ships without one; empty for any other name."""
    from hil.diffusion.tasks import TASKS  # late: only this message needs them

    task = TASKS.get(name)
    if task is None or (MODEL_FOLDER / f"{name}.npz").is_file():
        return ""
    data = f" --data PATH, with {task.needs}" if task.needs else ""
    return f"Train one first: hil train {name}{data}; that writes {name}.npz. "


def _shipped() -> str:
    names = sorted(f.stem for f in MODEL_FOLDER.glob("*.npz") if "." not in f.stem)
    return f"Models that ship with the project: {', '.join(names) or 'none'}."


def _read_meta(array: NDArray[Any] | None, path: Path) -> dict[str, Any]:
    if array is None or array.dtype.kind != "U" or array.shape != ():
        raise ModelError(f"{path}: the member 'meta' (one JSON text) is missing.")
    text = str(array)
    if len(text) > _MAX_TEXT:
        raise ModelError(f"{path}: meta has {len(text)} characters; at most {_MAX_TEXT}.")
    try:
        meta = parse_json(text)
    except FileError as error:
        raise ModelError(f"{path}: meta is {error}.") from error
    if not isinstance(meta, dict):
        raise ModelError(f"{path}: meta is not a JSON object.")
    return meta


def _meta(model: ScoreModel) -> dict[str, Any]:
    training = model.training
    optional = {
        "task": model.task,
        "decoder": model.decoder,
        "reference": model.reference,
        "class_names": list(model.class_names),
    }
    return {
        **{key: value for key, value in optional.items() if value},
        "format": FORMAT,
        "name": model.name,
        "beta_min": model.beta_min,
        **{key: getattr(model, key) for key in _SCALARS},
        "initial": {"kind": model.initial.kind, "sd": model.initial.sd},
        "noise": dataclasses.asdict(model.noise),
        "training": {
            "data": training.data,
            "seed": training.seed,
            "steps": training.steps,
            "loss": training.loss,
            "metrics": dict(training.metrics),
        },
    }


def _build(arrays: Mapping[str, NDArray[Any]], meta: dict[str, Any], path: Path) -> ScoreModel:
    _keys(meta, _META_KEYS, "meta", path, _OPTIONAL_KEYS)
    if meta["format"] != FORMAT:
        raise ModelError(f"{path}: format is {meta['format']!r}; this version reads {FORMAT!r}.")
    if not isinstance(meta["name"], str) or not 0 < len(meta["name"]) <= _MAX_NAME:
        raise ModelError(f"{path}: name is {meta['name']!r}; a text of 1 to 64 characters.")
    scalars: dict[str, Any] = {
        k: _number(meta[k], k, path, low, high) for k, (low, high) in _SCALARS.items()
    }
    beta_min = _number(meta["beta_min"], "beta_min", path, -1e-300, scalars["beta_max"])
    if scalars["capture_time"] > scalars["duration"]:
        raise ModelError(
            f"{path}: capture_time is {scalars['capture_time']}; it lies within the duration, "
            f"{scalars['duration']}."
        )
    members = _arrays(arrays, path)
    return ScoreModel(
        name=meta["name"],
        **members,
        **_optional(meta, len(members["class_offsets"]), path),
        beta_min=beta_min,
        **scalars,
        initial=InitialLaw(*_law(meta["initial"], "initial", "normal", "sd", _POSITIVE, path)),
        noise=_noise(meta["noise"], path),
        training=_training(meta["training"], path),
    )


def _arrays(arrays: Mapping[str, NDArray[Any]], path: Path) -> dict[str, Any]:
    """Checks shapes (d -> hidden -> .. -> hidden -> d, hidden = embedding channels) and values."""
    n_layers = sum(name.startswith("weight_") for name in arrays)
    if not 2 <= n_layers <= _MAX_LAYERS:
        raise ModelError(f"{path}: {n_layers} layers; 2 to {_MAX_LAYERS} are allowed.")
    expected = {"frequencies", "class_offsets"}
    expected |= {f"{kind}_{k}" for kind in ("weight", "bias") for k in range(1, n_layers + 1)}
    _keys(arrays, expected, "members", path)
    n_frequencies = arrays["frequencies"].size
    if not 1 <= n_frequencies <= _MAX_FREQUENCIES:
        raise ModelError(f"{path}: {n_frequencies} frequencies; 1 to {_MAX_FREQUENCIES}.")
    width = 2 * n_frequencies
    size = arrays["weight_1"].shape[-1] if arrays["weight_1"].ndim == 2 else 0
    if not 1 <= size <= _MAX_DIMENSIONS:
        raise ModelError(
            f"{path}: weight_1 has shape {arrays['weight_1'].shape}; ({width}, d) with d from 1 "
            f"to {_MAX_DIMENSIONS} latent dimensions is needed."
        )
    sizes = [size, *[width] * (n_layers - 1), size]
    n_classes = min(len(np.atleast_1d(arrays["class_offsets"])), _MAX_CLASSES)
    layers = range(1, n_layers + 1)
    return {
        "weights": tuple(
            _array(arrays, f"weight_{k}", (sizes[k], sizes[k - 1]), path) for k in layers
        ),
        "biases": tuple(_array(arrays, f"bias_{k}", (sizes[k],), path) for k in layers),
        "frequencies": _array(arrays, "frequencies", (n_frequencies,), path),
        "class_offsets": _array(arrays, "class_offsets", (n_classes, width), path),
    }


def _array(
    arrays: Mapping[str, NDArray[Any]], name: str, shape: tuple[int, ...], path: Path
) -> FloatArray:
    array = arrays[name]
    if array.shape != shape:
        raise ModelError(f"{path}: {name} has shape {array.shape}; {shape} is needed.")
    if array.dtype.kind not in "fiu":
        raise ModelError(f"{path}: {name} has type {array.dtype}; numbers are needed.")
    values = array.astype(np.float64)
    bad = ~(np.abs(values) <= _MAX_WEIGHT)  # true for NaN as well
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ModelError(
            f"{path}: {name}{list(where)} is {values[where]}; finite values within "
            f"+-{_MAX_WEIGHT:g} are allowed."
        )
    return values


def _optional(meta: Mapping[str, Any], n_classes: int, path: Path) -> dict[str, Any]:
    """The keys that may be missing: task, companions and class_names."""
    for key in ("task", "decoder", "reference"):
        value = meta.get(key, "")
        plain = isinstance(value, str) and len(value) <= _MAX_NAME
        if not plain or Path(value).name != value:
            raise ModelError(
                f"{path}: {key} is {value!r:.80}; a plain name of up to {_MAX_NAME} characters."
            )
    names = meta.get("class_names", [])
    texts = isinstance(names, list) and all(
        isinstance(name, str) and 0 < len(name) <= _MAX_NAME for name in names
    )
    if not texts or len(names) not in (0, n_classes):
        raise ModelError(
            f"{path}: class_names is {names!r:.200}; a list of {n_classes} names is needed."
        )
    return {
        "task": meta.get("task", ""),
        "decoder": meta.get("decoder") or None,
        "reference": meta.get("reference") or None,
        "class_names": tuple(names),
    }


def _keys(
    found: Mapping[str, Any],
    expected: set[str],
    what: str,
    path: Path,
    optional: Iterable[str] = (),
) -> None:
    allowed = expected.union(optional)
    unknown, missing = sorted(set(found) - allowed), sorted(expected - set(found))
    if unknown:
        raise ModelError(
            f"{path}: unknown key {unknown[0]!r} in {what}; allowed: {', '.join(sorted(allowed))}."
        )
    if missing:
        raise ModelError(f"{path}: key {missing[0]!r} is missing in {what}.")


def _number(value: object, key: str, path: Path, low: float, high: float) -> float:
    """A finite number in (low, high]."""
    try:
        number = math.nan if isinstance(value, bool | str) else float(value)  # type: ignore[arg-type]
    except (TypeError, OverflowError):
        number = math.nan
    if not (math.isfinite(number) and low < number <= high):
        raise ModelError(
            f"{path}: {key} is {value!r}; a number above {low:g} and up to {high:g} is needed."
        )
    return number


def _law(
    value: object, key: str, kind: str, figure: str, bounds: tuple[float, float], path: Path
) -> tuple[str, float]:
    if not isinstance(value, dict):
        raise ModelError(f"{path}: {key} is {value!r}; an object with kind and {figure} is needed.")
    _keys(value, {"kind", figure}, key, path)
    if value["kind"] != kind:
        raise ModelError(f"{path}: {key}.kind is {value['kind']!r}; {kind!r} is allowed.")
    return kind, _number(value[figure], f"{key}.{figure}", path, *bounds)


def _noise(value: object, path: Path) -> NoiseLaw:
    """The noise law; files from before it had more than a kind and a scale lack the others."""
    if not isinstance(value, dict):
        raise ModelError(f"{path}: noise is {value!r}; an object with kind and scale is needed.")
    defaults = {"coefficient": SDE_COEFFICIENT, "until": 0.0}
    whole = {**defaults, **value}
    _keys(whole, {"kind", "scale", *defaults}, "noise", path)
    if whole["kind"] not in KINDS:
        kinds = " or ".join(repr(kind) for kind in KINDS)
        raise ModelError(f"{path}: noise.kind is {whole['kind']!r}; {kinds} is allowed.")
    return NoiseLaw(
        whole["kind"],
        _number(whole["scale"], "noise.scale", path, -1e-300, LARGEST_SCALE),
        _number(whole["coefficient"], "noise.coefficient", path, -1e-300, LARGEST_SCALE),
        _number(whole["until"], "noise.until", path, -1e-300, 1.0),
    )


def _training(value: object, path: Path) -> TrainingRecord:
    if not isinstance(value, dict):
        raise ModelError(f"{path}: training is {value!r}; an object is needed.")
    _keys(value, {"data", "seed", "steps", "loss", "metrics"}, "training", path)
    metrics, data = value["metrics"], value["data"]
    if not isinstance(metrics, dict) or not isinstance(data, str):
        raise ModelError(f"{path}: training.data must be a text and training.metrics an object.")
    wide = (-math.inf, math.inf)
    return TrainingRecord(
        data=data,
        seed=int(_number(value["seed"], "training.seed", path, -1, 2**63)),
        steps=int(_number(value["steps"], "training.steps", path, -1, 2**63)),
        loss=_number(value["loss"], "training.loss", path, *wide),
        metrics=MappingProxyType(
            {str(k): _number(v, f"training.metrics.{k}", path, *wide) for k, v in metrics.items()}
        ),
    )
