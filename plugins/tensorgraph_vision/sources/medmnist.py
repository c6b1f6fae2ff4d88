"""An .npz in MedMNIST's layout: train_images, train_labels, and the same for val and test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tensorgraph.data import Dataset
from tensorgraph.errors import DataError
from tensorgraph_vision.arrays import npz
from tensorgraph_vision.pixels import fit, white_of
from tensorgraph_vision.splits import PARTS, TEST, UNGROUPED, VAL, split

ORGANS = (
    "bladder; femur-left; femur-right; heart; kidney-left; kidney-right; liver; lung-left; "
    "lung-right; pancreas; spleen"
)
NAMES = {  # MedMNIST v2's own names; the files hold only numbers
    "pathmnist": "adipose; background; debris; lymphocytes; mucus; smooth muscle; normal colon "
    "mucosa; cancer-associated stroma; colorectal adenocarcinoma epithelium",
    "dermamnist": "actinic keratoses and intraepithelial carcinoma; basal cell carcinoma; benign "
    "keratosis-like lesions; dermatofibroma; melanoma; melanocytic nevi; vascular lesions",
    "octmnist": "choroidal neovascularization; diabetic macular edema; drusen; normal",
    "pneumoniamnist": "normal; pneumonia",
    "breastmnist": "malignant; normal, benign",
    "chestmnist": "atelectasis; cardiomegaly; effusion; infiltration; mass; nodule; pneumonia; "
    "pneumothorax; consolidation; edema; emphysema; fibrosis; pleural; hernia",
    "bloodmnist": "basophil; eosinophil; erythroblast; immature granulocytes; lymphocyte; "
    "monocyte; neutrophil; platelet",
    "organamnist": ORGANS,
    "organcmnist": ORGANS,
    "organsmnist": ORGANS,
}


def accepts(path: Path) -> bool:
    return path.is_file() and path.suffix.lower() == ".npz"


def load(
    path: Path,
    *,
    seed: int = 0,
    val: float = VAL,
    test: float = TEST,
    resize: Any = None,
    channels: Any = None,
) -> Dataset:
    """Grey (N,H,W), RGB (N,H,W,3) or volumes (N,D,H,W); labels (N,) or (N,1), integers from 0 or
    measured float numbers, or (N,K), zeros and ones, where an image may show several of K classes.

    Of val and test what the file lacks is split off its training part.
    """
    arrays = _arrays(path)
    parts = [part for part in PARTS if f"{part}_images" in arrays]
    images, labels, names, counts = [], [], [], []
    for part in parts:
        own = _images(arrays[f"{part}_images"], f"{path}: {part}_images")
        images.append(own)
        labels.append(_labels(arrays.get(f"{part}_labels"), len(own), f"{path}: {part}_labels"))
        names += [f"{part}[{i}]" for i in range(len(own))]
        counts.append(len(own))
    if len({x.shape[1:] for x in images}) > 1 or len({x.dtype for x in images}) > 1:
        kinds = ", ".join(
            f"{part} {x.dtype} {list(x.shape[1:])}" for part, x in zip(parts, images, strict=True)
        )
        raise DataError(f"{path}: the parts' images differ in shape or dtype: {kinds}")
    if len({(y.dtype, y.shape[1:]) for y in labels}) > 1:
        kinds = ", ".join(f"{p} {y.dtype}{list(y.shape)}" for p, y in zip(parts, labels))
        raise DataError(f"{path}: the parts' labels differ in kind: {kinds}")
    every = np.concatenate(labels)
    classes = _classes(path, every)
    ends = np.cumsum(counts)
    splits: dict[str, Any] = {
        part: np.arange(end - n, end) for part, n, end in zip(parts, counts, ends, strict=True)
    }
    lacking = {"val": 0.0 if "val" in parts else val, "test": 0.0 if "test" in parts else test}
    splits |= split(splits["train"], every, names, classes, seed=seed, **lacking)
    pixels = np.concatenate(images)
    notes = [UNGROUPED] if any(lacking.values()) else []
    if pixels.dtype.kind == "f" and pixels.size and (pixels.min() < 0 or pixels.max() > 1):
        notes.append(
            f"The pixels run from {pixels.min():g} to {pixels.max():g}, not from 0 to 1, and are "
            "taken as they are."
        )
    return Dataset(
        path.stem,
        fit(pixels, resize, channels),
        white=white_of(pixels.dtype),
        labels=every,
        classes=classes,
        splits=splits,
        names=names,
        notes=tuple(notes),
    )


def _arrays(path: Path) -> dict[str, Any]:
    needed = [f"{part}_{kind}" for part in PARTS for kind in ("images", "labels")]
    arrays, found = npz(path, needed)
    if not {"train_images", "train_labels"} <= arrays.keys():
        raise DataError(
            f"{path} has no train_images and train_labels, as MedMNIST's layout has; "
            f"it has {', '.join(found) or 'nothing'}"
        )
    return arrays


def _images(x: Any, where: str) -> Any:
    """(N, C, H, W) or (N, C, D, H, W), of unsigned integers or float32."""
    if x.dtype.kind not in "buif" or x.ndim not in (3, 4, 5) or not x.size:
        raise DataError(
            f"{where} are {x.dtype}{list(x.shape)}; wanted are numbers (N,H,W), (N,H,W,3) or "
            "volumes (N,D,H,W)"
        )
    if x.dtype.kind == "f":
        bad = ~np.isfinite(x).all(axis=tuple(range(1, x.ndim)))
        if bad.any():
            raise DataError(
                f"{where}[{int(bad.argmax())}] has values that are not finite (NaN or infinite), "
                f"as {bad.sum() - 1} more of {len(x)} have"
            )
        x = x.astype(np.float32)
    elif x.dtype.kind == "b":
        x = x.astype(np.uint8) * np.uint8(255)
    elif x.dtype.kind == "i" or x.dtype.itemsize > 2:
        low, high = int(x.min()), int(x.max())
        if low < 0 or high > 65535:
            raise DataError(
                f"{where} run from {low} to {high}; integers are read from 0 to 65535, other "
                "values as float32: save them so"
            )
        x = x.astype(np.uint8 if high <= 255 else np.uint16)
    if x.ndim == 5 or (x.ndim == 4 and x.shape[-1] in (1, 3)):
        return np.moveaxis(x, -1, 1)
    return x[:, None]


def _labels(x: Any, n: int, where: str) -> Any:
    if x is None:
        raise DataError(f"{where} are missing")
    if len(x) == n and x.ndim == 2 and x.shape[1] > 1 and x.dtype.kind in "biu":
        if x.size and (x.min() < 0 or x.max() > 1):
            raise DataError(
                f"{where} run from {x.min()} to {x.max()}; of several classes an image, "
                f"{list(x.shape)}, each is 0 or 1"
            )
        return x.astype(np.uint8)
    if x.dtype.kind not in "iuf" or x.size != n:
        raise DataError(
            f"{where} are {x.dtype}{list(x.shape)} for {n} images; wanted is one integer an image, "
            "from 0 on: the number of its class; one float number, what was measured; or a row of "
            "zeros and ones, the classes that it shows"
        )
    if x.dtype.kind == "f":
        if not np.isfinite(x).all():
            raise DataError(f"{where} have values that are not finite (NaN or infinite)")
        return x.reshape(-1).astype(np.float64)
    if x.size and x.min() < 0:
        raise DataError(f"{where}[{int(x.argmin())}] is {x.min()}; labels are integers from 0")
    return x.reshape(-1).astype(np.int64)


def _classes(path: Path, labels: Any) -> tuple[str, ...]:
    if labels.dtype.kind == "f":
        return ("label",)
    if labels.ndim == 2:
        return _named(path, labels.shape[1])
    count = int(labels.max(initial=0)) + 1
    missing = sorted(set(range(count)) - set(labels.tolist()))
    if count < 2 or missing:
        raise DataError(
            f"{path}: the labels run from 0 to {count - 1}"
            + (f", and none is {missing[0]}" if missing else ": one class, nothing to tell apart")
        )
    return _named(path, count)


def _named(path: Path, count: int) -> tuple[str, ...]:
    known = NAMES.get(path.stem.split("_")[0].lower(), "").split("; ")
    return tuple(known) if len(known) == count else tuple(map(str, range(count)))
