"""Runs for the tests of the report: a real small one, and the files that go with it."""

import csv
import json
from pathlib import Path

import numpy as np
from PIL import Image
from training_help import command

import tensorgraph as tg

FINDINGS = [
    ("patients across splits", "fine", "No patient is in two splits."),
    ("exact duplicates", "warning", "2 images are equal."),
    ("label-revealing metadata", "error", "The site alone tells the class: AUC 1.000."),
    ("near duplicates", "not run", "There are too many images."),
]


def manifest(folder, classes=("normal", "ill"), n=36, size=12, **columns):
    """A CSV manifest of images, each class a little brighter; two images a patient."""
    folder = Path(folder)
    folder.mkdir()
    rows = []
    for i, name in enumerate(classes):
        for j in range(n):
            generator = np.random.default_rng(1000 * i + j)
            grey = generator.integers(0, 120, (size, size)) + 35 * i + 2 * j // 3
            path = f"{i}-{j}.png"
            Image.fromarray(grey.astype(np.uint8)).save(folder / path)
            rows.append(
                [path, name, f"{name}-{j // 2}", *(c[j % len(c)] for c in columns.values())]
            )
    with (folder / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["path", "label", "patient", *columns], *rows])
    return folder / "manifest.csv"


def trained(data, out="run", model="small_cnn", epochs=2):
    """A run on these images, with a split.csv and an audit.json if training wrote none."""
    chosen = ("--model", model, "--epochs", epochs, "--set", "train.batch_size=16")
    assert command("train", "--data", data, "--out", out, *chosen) == 0
    return dressed(out)


def dressed(folder):
    folder = Path(folder)
    if not (folder / "split.csv").exists():
        dataset = tg.plugins.walk("run_images", folder)
        rows = []
        for split, indices in dataset.splits.items():
            for i in indices:
                group = "" if dataset.groups is None else f"p{hash(dataset.groups[i]) % 10**6}"
                label = dataset.classes[int(dataset.labels[i])]
                site = ["Lyon", "Basel"][int(i) % 2]
                rows.append([dataset.names[i], split, group, label, site, 20 + int(i)])
        with (folder / "split.csv").open("w", newline="") as file:
            head = ["image", "split", "group", "label", "site", "age"]
            csv.writer(file).writerows([head, *rows])
    if not (folder / "audit.json").exists():
        findings = [
            {"check": check, "level": level, "text": text, "images": [], "figures": {}}
            for check, level, text in FINDINGS
        ]
        (folder / "audit.json").write_text(json.dumps({"findings": findings}))
    return folder


def edited(folder, name, change):
    """A JSON file of the run with ``change(content)`` done to it."""
    path = Path(folder) / name
    content = json.loads(path.read_text("utf-8"))
    change(content)
    path.write_text(json.dumps(content), "utf-8")
