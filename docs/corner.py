"""Where explanations look if a bright corner gives the class away: docs/explaining.md.

Of the PneumoniaMNIST images those with pneumonia get a bright corner at the top on the right, in
training, validation and test. One model is trained with them, one with the images as they are.

    python docs/corner.py pneumoniamnist.npz FOLDER
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tensorgraph_explain import pictures

import tensorgraph as tg

MARK, REGION, COUNT = 4, 8, 50  # pixels a side; the share is that of the region; test images
SEEDS = (0, 1, 2)
METHODS = ("grad_cam", "occlusion", "integrated_gradients")
ROWS = (
    ("model trained with the corner, images with it", "marked", "marked"),
    ("model trained without, images without", "plain", "plain"),
    ("model trained without, images with the corner", "plain", "marked"),
)


def make(source: Path, folder: Path) -> None:
    """Both data sets, and of each ``COUNT`` test images with pneumonia as PNG files."""
    data = dict(np.load(source))
    for name in ("plain", "marked"):
        for split in ("train", "val", "test"):
            images, ill = data[f"{split}_images"], data[f"{split}_labels"].ravel() == 1
            if name == "marked":
                images[ill, :MARK, -MARK:] = 255
        np.savez(folder / f"{name}.npz", **data)
        (folder / name).mkdir()
        for i, image in enumerate(images[ill][:COUNT]):
            Image.fromarray(image).save(folder / name / f"{i:02}.png")


def share(map: Any) -> float:
    """Of the sizes of a map (1, H, W), how much lies in the region of the corner."""
    sizes = np.abs(map).sum(0)
    return float(sizes[:REGION, -REGION:].sum() / max(sizes.sum(), 1e-12))


def train(folder: Path, name: str, seed: int) -> None:
    command = [sys.executable, "-m", "tensorgraph_cli", "train", "--data", f"{folder / name}.npz"]
    command += ["--model", "small_cnn", "--epochs", "3", "--seed", str(seed)]
    command += ["--out", f"{folder / name}-{seed}"]
    quiet = {"check": True, "stdout": subprocess.DEVNULL}
    # kernels of one kind from the first step on, or a seed would not fix the figures
    subprocess.run(command, env={**os.environ, "TENSORGRAPH_JIT": "wait"}, **quiet)


def main(source: Path, folder: Path) -> None:
    folder.mkdir(parents=True)
    make(source, folder)
    for seed in SEEDS:
        for name in ("plain", "marked"):
            train(folder, name, seed)
    sheets = []
    for title, run, images in ROWS:
        shares = []
        for seed in SEEDS:
            asked = tg.plugins.walk("model_inputs", folder / f"{run}-{seed}", [folder / images])
            x = tg.tensor(np.concatenate([values for *_, values in asked.images]))
            maps = {name: tg.plugins.walk(name, asked.model, x, 1) for name in METHODS}
            shares.append([np.mean([share(m) for m in found]) for found in maps.values()])
            if seed == SEEDS[0]:
                _, image, white, _ = asked.images[0]
                drawn = {name: found[0] for name, found in maps.items()}
        mean, std = np.mean(shares, 0), np.std(shares, 0, ddof=1)
        said = [f"{n} {m:.2f} ± {s:.2f}" for n, m, s in zip(METHODS, mean, std, strict=True)]
        said = [title, f"share in the corner: {', '.join(said)}"]
        print("; ".join(said))
        sheets.append(pictures.panels(pictures.beside(image, white, drawn, True), said, False))
    whole = Image.new("RGB", (max(s.width for s in sheets), sum(s.height for s in sheets)), "white")
    for i, sheet in enumerate(sheets):
        whole.paste(sheet, (0, sum(s.height for s in sheets[:i])))
    whole.save(folder / "corner.png", optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
