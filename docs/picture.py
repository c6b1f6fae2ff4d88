"""Draw the README's picture: one digit on its way through a trained network, to its prediction.

``python docs/picture.py RUN PICTURE.png``, where RUN is what ``tensorgraph train --out RUN`` wrote;
needs the extra ``docs``.
"""

from __future__ import annotations

import sys
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from safetensors.numpy import load_file

import tensorgraph as tg


def activations_and_pools(model: tg.Layer, x: tg.Tensor) -> list[Any]:
    """The feature maps after each ReLU and each pooling, in order."""
    found = []
    for path, stage in vars(model).items():
        if path.isdigit():
            x = stage(x)
            if stage is tg.activations.relu or isinstance(stage, tg.layers.max_pool2d):
                found.append(x.numpy()[0])
    return found


def grid(maps: Any, columns: int) -> Any:
    """Feature maps (C, H, W) side by side, each from its own dark to its own light."""
    low, high = maps.min(axis=(1, 2), keepdims=True), maps.max(axis=(1, 2), keepdims=True)
    maps = (maps - low) / np.where(high > low, high - low, 1)
    maps = np.kron(maps, np.ones((1, 8 // maps.shape[1], 8 // maps.shape[2])))  # all drawn as large
    maps = np.pad(maps, ((0, 0), (0, 1), (0, 1)), constant_values=np.nan)
    rows = [np.hstack(list(maps[i : i + columns])) for i in range(0, len(maps), columns)]
    return np.vstack(rows)[:-1, :-1]


def main(folder: str, target: str) -> None:
    digits = tg.datasets.digits.load(None)
    seen, unseen = (digits.images[digits.splits[part]] for part in ("train", "test"))
    images = ((unseen - seen.mean()) / seen.std()).astype("float32")
    model = tg.models.small_cnn(classes=10)
    model.load_state(load_file(f"{folder}/model.safetensors"))
    certainty = tg.ops.softmax(model.eval()(tg.tensor(images))).numpy()
    index = int(np.abs(certainty.max(axis=1) - 0.75).argmin())  # one that is not quite certain
    probabilities, truth = certainty[index], digits.labels[digits.splits["test"][index]]
    first, pooled, second, *_ = activations_and_pools(model, tg.tensor(images[[index]]))

    figure, axes = plt.subplots(
        1, 5, figsize=(16, 2.4), width_ratios=(1, 2, 2, 4, 1.6), layout="constrained"
    )
    panels = [
        ("image\n8 x 8", unseen[index, 0], "gray"),
        (f"{len(first)} filters, ReLU\n{len(first)} x 8 x 8", grid(first, 8), "magma"),
        (f"max pooling\n{len(pooled)} x 4 x 4", grid(pooled, 8), "magma"),
        (f"{len(second)} filters, ReLU\n{len(second)} x 4 x 4", grid(second, 16), "magma"),
    ]
    for axis, (title, picture, colours) in zip(axes, panels):
        axis.imshow(picture, cmap=colours)
        axis.set_title(title, fontsize=10)
        axis.axis("off")
    colours = ["#c33" if i == truth else "#999" for i in range(10)]
    axes[-1].barh(range(10), probabilities, color=colours)
    axes[-1].set_yticks(range(10))
    axes[-1].invert_yaxis()
    axes[-1].set_xlim(0, 1)
    axes[-1].set_title(f"softmax: the probability\nof each digit (it is a {truth})", fontsize=10)
    axes[-1].spines[["top", "right"]].set_visible(False)
    figure.savefig(target, dpi=110)


if __name__ == "__main__":
    main(*sys.argv[1:])
