"""The two files of weights in a run folder: the best model, and all that a resumed run needs."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorgraph as tg
from tensorgraph.errors import ConfigError, DataError, PluginError
from tensorgraph_train import parts, requirements, storage
from tensorgraph_train.requirements import Requirement
from tensorgraph_train.runfile import Named

MODEL, CHECKPOINT = "model.safetensors", "checkpoint.safetensors"


@dataclasses.dataclass
class Progress:
    """How far a run is: before batch ``batch`` of epoch ``epoch``, both from 0."""

    epoch: int = 0
    batch: int = 0
    loss_sum: float = 0.0  # over the images of this epoch so far
    seen: int = 0
    best_epoch: int | None = None
    best_value: float | None = None  # of the metric, or less it where smaller is better
    best_loss: float | None = None  # of that epoch: it decides between equals
    stale: int = 0  # epochs since the best
    stopped: bool = False  # by patience


def host(state: Mapping[str, tg.Tensor]) -> dict[str, Any]:
    """Copies of tensors as NumPy arrays."""
    return {name: x.numpy() for name, x in state.items()}


def save(
    folder: Path,
    progress: Progress,
    model: tg.Layer,
    optimizer: tg.Optimizer,
    callbacks: Sequence[Any],
    best: Mapping[str, Any],
    fingerprint: str,
    requires: Sequence[Requirement],
) -> None:
    """All that a resumed run needs; of each callback what its ``state`` gives."""
    memory = optimizer.state()
    tensors = {k: v.numpy() for k, v in memory.items() if isinstance(v, tg.Tensor)}
    storage.save_tensors(
        folder / CHECKPOINT,
        {
            **{f"model/{k}": v for k, v in host(model.state()).items()},
            **{f"optimizer/{k}": v for k, v in tensors.items()},
            **{f"best/{k}": v for k, v in best.items()},
            **{
                f"callbacks/{number}/{k}": v
                for number, callback in enumerate(callbacks)
                if hasattr(callback, "state")
                for k, v in callback.state().items()
            },
        },
        {
            "progress": dataclasses.asdict(progress),
            "optimizer": {k: v for k, v in memory.items() if k not in tensors},
            "random": list(tg.config.random_state()),
            "data": fingerprint,
            "requires": [dataclasses.asdict(needed) for needed in requires],
        },
    )


def restore(
    folder: Path,
    model: tg.Layer,
    optimizer: tg.Optimizer,
    callbacks: Sequence[Any],
    fingerprint: str,
) -> tuple[Progress, dict[str, Any]] | None:
    """Put model, optimizer, callbacks and random numbers back; the progress and the best weights.

    None where the run was ended before its first checkpoint.
    """
    path = folder / CHECKPOINT
    if not path.exists():
        return None
    tensors, metadata = storage.load_tensors(path)
    if metadata["data"] != fingerprint:
        raise DataError(
            f"{path}: the data has changed since: labels, classes or splits are others "
            f"({metadata['data']} then, {fingerprint} now); start a new run"
        )
    model.load_state(_under("model/", tensors))
    optimizer.load_state({**metadata["optimizer"], **_under("optimizer/", tensors)})
    tg.config.set_random_state((metadata["random"][0], metadata["random"][1]))
    for number, callback in enumerate(callbacks):
        if hasattr(callback, "load_state"):
            callback.load_state(_under(f"callbacks/{number}/", tensors))
    return Progress(**metadata["progress"]), _under("best/", tensors)


def _under(prefix: str, tensors: Mapping[str, Any]) -> dict[str, Any]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


@dataclasses.dataclass(frozen=True)
class Card:
    """What has to be known of a model besides its weights; stored in the file with them."""

    model: Named
    classes: tuple[str, ...]
    input: tuple[int, ...]  # (C, H, W)
    dtype: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    tensorgraph: str
    requires: tuple[Requirement, ...] = ()
    task: str = "classification"
    target: tuple[float, float] = (0.0, 1.0)  # mean and standard deviation of measured numbers
    decision: Mapping[str, Any] | None = None  # what was settled on validation
    training_images: Mapping[str, Any] | None = None  # to tell an image that is unlike them

    def metadata(self) -> dict[str, Any]:
        return {**dataclasses.asdict(self), "model": self.model.table()}


def save_model(folder: Path, card: Card, weights: Mapping[str, Any]) -> None:
    own = requirements.of_kinds(card.requires, requirements.WITH_DATA)  # not what trained it
    storage.save_tensors(
        folder / MODEL, weights, dataclasses.replace(card, requires=own).metadata()
    )


def check_plugins(folder: Path) -> None:
    """Raise where a plugin is missing that the run was made with and goes on with."""
    path = folder / CHECKPOINT
    if path.exists():
        found = storage.load_metadata(path).get("requires")
        requirements.check(requirements.read(found, path), None, path)


def read_model(folder: Path) -> tuple[Card, dict[str, Any]]:
    """What the file of a run folder's model says of it, and its weights."""
    path = folder / MODEL
    if not path.is_file():
        what = "is not a folder" if not folder.is_dir() else "holds no trained model"
        raise ConfigError(f"{folder} {what}; give the folder that 'tensorgraph train' wrote")
    weights, found = storage.load_tensors(path)
    try:
        table = dict(found["model"])
        card = Card(
            model=Named(table.pop("name"), table),
            classes=tuple(found["classes"]),
            input=tuple(found["input"]),
            dtype=found["dtype"],
            mean=tuple(found["mean"]),
            std=tuple(found["std"]),
            tensorgraph=found["tensorgraph"],
            requires=requirements.read(found.get("requires"), path),
            task=found.get("task", "classification"),
            target=tuple(found.get("target", (0.0, 1.0))),
            decision=found.get("decision"),
            training_images=found.get("training_images"),
        )
    except (KeyError, TypeError) as error:
        raise DataError(f"{path}: was not written by 'tensorgraph train': no {error}") from error
    return card, weights


def load_model(
    folder: Path, kinds: Collection[str] = requirements.OF_MODEL
) -> tuple[Card, tg.Layer]:
    """The model of a run folder with its best weights, on the backend in force.

    Raises ``PluginError`` where a plugin is missing that brings something of these kinds.
    """
    path = folder / MODEL
    card, weights = read_model(folder)
    try:
        requirements.check(card.requires, kinds, path)
    except PluginError as error:
        see = f"to see what is in the file: tensorgraph evaluate {folder} --skip-missing"
        raise PluginError(f"{error}\n{see}") from None
    model = make_model(card.model, card.classes)
    with tg.config.Scope(dtype=tg.config.Choice(card.dtype, str(path))):
        model.infer_shape(tg.Spec((1, *card.input), card.dtype))
    model.load_state(weights)
    return card, model.eval()


def contents(folder: Path, kinds: Collection[str]) -> dict[str, Any] | None:
    """What is in the file of a model that cannot be made for want of a plugin; None if it can."""
    card, weights = read_model(folder)
    lacking = requirements.missing(card.requires, kinds)
    if not lacking:
        return None
    missing = [
        {**dataclasses.asdict(needed), "reason": requirements.reason(needed)} for needed in lacking
    ]
    tensors = {k: {"shape": list(x.shape), "dtype": str(x.dtype)} for k, x in weights.items()}
    way = requirements.way_out(lacking)
    return {**card.metadata(), "missing": missing, "way_out": way, "tensors": tensors}


def make_model(named: Named, classes: tuple[str, ...]) -> tg.Layer:
    made: tg.Layer = parts.make(tg.models, "model", named, classes=len(classes))
    return made
