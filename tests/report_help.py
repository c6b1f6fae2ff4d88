"""Runs for the tests of the report: a real small one, and the files that go with it."""

import csv
import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import tensorgraph_report
from PIL import Image
from training_help import command

import tensorgraph as tg

BUILT_IN = [name.replace("_", "-") for name in tensorgraph_report.SECTIONS]
BUILT_IN.insert(BUILT_IN.index("robustness") + 1, "explanations")  # of another plugin
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
        audited(folder)
    return folder


def audited(folder):
    """With an audit.json of ``FINDINGS``."""
    findings = [
        {"check": check, "level": level, "text": text, "images": [], "figures": {}}
        for check, level, text in FINDINGS
    ]
    (Path(folder) / "audit.json").write_text(json.dumps({"findings": findings}))


def edited(folder, name, change):
    """A JSON file of the run with ``change(content)`` done to it."""
    path = Path(folder) / name
    content = json.loads(path.read_text("utf-8"))
    change(content)
    path.write_text(json.dumps(content), "utf-8")


class Page(HTMLParser):
    """The elements of a page, and the text of each section."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.text, self.section = [], [], {}, ""
        self.feed(text)
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.elements.append((tag, attributes))
        if tag == "section":
            self.section = attributes["id"]
        if tag not in ("meta", "link", "img", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        if tag == "section":
            self.section = ""

    def handle_data(self, data):
        self.text[self.section] = self.text.get(self.section, "") + " ".join(data.split()) + " "

    def of(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def report(folder):
    assert command("report", folder) == 0
    return Page((Path(folder) / "report.html").read_text("utf-8"))
