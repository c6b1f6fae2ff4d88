"""A made-up study with nothing to learn, split by patient and split by slice: docs/medical.md.

100 patients with 20 nearly equal slices each; a coin decides which patients are "ill". A split by
patient finds chance, a split by slice finds a model that recognises patients.

    python docs/slices.py FOLDER
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

PATIENTS, SLICES, SIDE = 100, 20, 32
MANIFESTS = {"patient": "by_patient.csv", "slice": "by_slice.csv"}


def make(folder: Path, seed: int = 0) -> None:
    """The slices as PNG files, and two manifests: one says whose each slice is, the other not."""
    draw = np.random.default_rng(seed)
    ill = draw.permutation(np.arange(PATIENTS) % 2)
    lines = []
    (folder / "slices").mkdir(parents=True)
    for patient in range(PATIENTS):
        first, last = (smooth(draw), smooth(draw))
        for z in range(SLICES):
            anatomy = first + 0.2 * z / SLICES * last
            pixels = 128 + 40 * anatomy + draw.normal(0, 4, (SIDE, SIDE))
            name = f"slices/{patient:03}_{z:02}.png"
            Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(folder / name)
            lines.append((name, ("healthy", "ill")[ill[patient]], f"patient {patient}"))
    for head, file in (("path,label,patient", "patient"), ("path,label", "slice")):
        rows = [",".join(line[: head.count(",") + 1]) for line in lines]
        (folder / MANIFESTS[file]).write_text("\n".join([head, *rows]) + "\n", "utf-8")


def smooth(draw: np.random.Generator) -> np.ndarray:
    """A picture without small details, of mean 0 and standard deviation 1."""
    coarse = Image.fromarray(draw.normal(size=(6, 6)).astype(np.float32))
    x = np.asarray(coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    return (x - x.mean()) / x.std()


def train(folder: Path, split: str, seed: int, *more: str) -> Path:
    """A run with the defaults; its folder."""
    out = folder / f"{split}-{seed}"
    command = [sys.executable, "-m", "tensorgraph_cli", "train"]
    command += ["--data", str(folder / MANIFESTS[split]), "--seed", str(seed), "--out", str(out)]
    subprocess.run([*command, *more], check=True, stdout=subprocess.DEVNULL)
    return out


def main(folder: Path) -> None:
    make(folder)
    for split in MANIFESTS:
        for seed in range(3):
            out = train(folder, split, seed)
            evaluation = json.loads((out / "evaluation.json").read_text("utf-8"))
            figures = ", ".join(
                f"{name} {row['value']:.3f} ({row['low']:.3f} to {row['high']:.3f})"
                for name, row in evaluation["metrics"].items()
                if name in ("accuracy", "auc")
            )
            print(f"split by {split}, seed {seed}: {figures}", flush=True)
        for one in json.loads((out / "audit.json").read_text("utf-8"))["findings"]:
            print(f"  {one['level']:8} {one['check']}: {one['text']}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
