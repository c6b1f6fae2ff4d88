"""Files of weights, and their way into a model whose head is another."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import tensorgraph as tg
from tensorgraph.errors import ConfigError, DataError, ShapeError
from tensorgraph_transfer import pytorch

WRAPPERS = ("module.", "_orig_mod.", "model.", "backbone.")  # what trainers put before each name
COUNT = "num_batches_tracked"  # of batch norms; files from before 2018 lack it
SHOWN = 5


def read(path: Path) -> dict[str, Any]:
    """The arrays in a safetensors file or a PyTorch file, by name.

    Of a checkpoint with the optimizer's state and more, those of the model alone.
    """
    if not path.is_file():
        raise ConfigError(f"{path}: there is no such file of weights")
    with path.open("rb") as file:
        head = file.read(9)
    found = _safetensors(path) if head[8:] == b"{" and head[:2] != b"PK" else pytorch.load(path)
    for part in ("best/", "model/"):  # of checkpoint.safetensors in a run folder
        if inner := {k.removeprefix(part): x for k, x in found.items() if k.startswith(part)}:
            return inner
    return found


def _safetensors(path: Path) -> dict[str, Any]:
    import safetensors
    from safetensors import SafetensorError

    try:
        parts: Any = safetensors.deserialize(path.read_bytes())  # type: ignore[no-untyped-call]
    except SafetensorError as error:
        raise DataError(f"{path}: not a whole safetensors file: {error}") from error
    return {name: _array(x, f"{path}: {name}") for name, x in parts}


def _array(stored: Mapping[str, Any], what: str) -> Any:
    kinds = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2"}
    kinds |= {"I8": "i1", "U8": "u1", "U16": "<u2", "U32": "<u4", "U64": "<u8", "BOOL": "?"}
    content, kind = bytes(stored["data"]), stored["dtype"]
    if kind == "BF16":  # the upper half of a float32
        found = (np.frombuffer(content, "<u2").astype("<u4") << 16).view("<f4")
    elif kind in kinds:
        found = np.frombuffer(content, kinds[kind])
    else:
        raise DataError(f"{what} has the dtype {kind}, which NumPy has not")
    return found.astype(found.dtype.newbyteorder("=")).reshape(stored["shape"])


def named_for(model: tg.Layer, weights: Mapping[str, Any]) -> dict[str, Any]:
    """The same without what wraps the names, where the model has them without it.

    torchvision's and timm's ResNets have the names of ours.
    """
    known = model.named_state()
    for wrapper in WRAPPERS:
        if all(name.startswith(wrapper) for name in weights) and not weights.keys() & known.keys():
            weights = {name.removeprefix(wrapper): x for name, x in weights.items()}
    return dict(weights)


def put(
    model: tg.Layer, weights: Mapping[str, Any], origin: str, new: Collection[str] = ()
) -> None:
    """Load what the file has; the parameters in ``new`` stay as they were initialised.

    Raises ``ConfigError`` where anything else is missing on either side, ``ShapeError`` where
    shapes differ.
    """
    known = model.named_state()
    given = {k: x for k, x in named_for(model, weights).items() if k not in new}
    missing = [k for k in known if k not in {*given, *new} and not k.endswith(COUNT)]
    surplus = [k for k in given if k not in known]
    if missing or surplus:
        near = difflib.get_close_matches(missing[0], surplus, n=1) if missing else []
        hint = f" ({missing[0]} may be the file's {near[0]})" if near else ""
        raise ConfigError(
            f"{origin}: these are weights of another model: missing: {_some(missing)}; not in "
            f"this model: {_some(surplus)}{hint}"
        )
    for name, x in given.items():
        if tuple(x.shape) != known[name].shape:
            hint = _hint(tuple(x.shape), known[name].shape)
            raise ShapeError(
                f"{origin}: {name} is {tuple(x.shape)} there, {known[name].shape} here{hint}"
            )
    model.load_state(given, strict=False)


def _hint(there: tuple[int, ...], here: tuple[int, ...]) -> str:
    """What to change where a first convolution does not fit."""
    if min(len(there), len(here)) < 4:
        return ""
    if there[1] != here[1]:
        return f"; for {there[1]} channels, --set data.channels={there[1]}"
    if (there[2:], here[2:]) == ((7, 7), (3, 3)):
        return '; a ResNet for ImageNet has model.stem = "imagenet"'
    return ""


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more or "none"
