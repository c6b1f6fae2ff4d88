"""Patients with nearly equal slices and random labels: chance by patient, everything by slice."""

import csv
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import KNeighborsClassifier
from tensorgraph_vision.splits import split
from training_help import command

import tensorgraph as tg

SCRIPT = Path(__file__).resolve().parent.parent / "docs" / "slices.py"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    spec = importlib.util.spec_from_file_location("slices", SCRIPT)
    slices = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(slices)
    made = tmp_path_factory.mktemp("study")
    slices.make(made)
    return made


def audit(folder, manifest):
    data = tg.datasets.csv.load(folder / manifest)
    return {one["check"]: one for one in tg.plugins.walk("audit", data)}


def test_who_remembers_patients_scores_chance_by_patient_and_is_right_by_slice(folder):
    """The nearest neighbour, over twelve draws of labels: no luck of one draw decides."""
    data = tg.datasets.csv.load(folder / "by_patient.csv")
    x = data.images.reshape(2000, -1)[:, ::7] / 255
    _, patient = np.unique(data.groups, return_inverse=True)
    right = {"patient": [], "slice": []}
    for seed in range(12):
        labels = np.random.default_rng(seed).permutation(np.arange(100) % 2)[patient]
        for kind, groups in (("patient", data.groups), ("slice", None)):
            parts = split(
                range(2000), labels, data.names, data.classes, seed=seed, val=0.1, test=0.2,
                groups=groups,
            )  # fmt: skip
            learn, ask = parts["train"], parts["test"]
            nearest = KNeighborsClassifier(1).fit(x[learn], labels[learn])
            right[kind].append(nearest.score(x[ask], labels[ask]))
    assert np.min(right["slice"]) > 0.99
    error = np.std(right["patient"], ddof=1) / np.sqrt(12)
    assert abs(np.mean(right["patient"]) - 0.5) < 3 * error < 0.15


def test_the_audit_says_so(folder):
    by_slice, by_patient = (audit(folder, f"by_{kind}.csv") for kind in ("slice", "patient"))
    near = by_slice["near duplicates"]
    assert near["level"] == "error"
    assert "400 of 400 images of test are nearly equal to images of train" in near["text"]
    assert by_slice["labels from the border"]["level"] == "error"
    assert by_slice["patients across splits"]["level"] == "not run"
    assert {one["level"] for one in by_patient.values()} == {"fine"}
    assert (
        "2,000 of 2,000 images are nearly equal to another of the same group: a split by image"
        in by_patient["near duplicates"]["text"]
    )


@pytest.mark.slow
def test_the_default_model_by_patient_and_by_slice(folder, tmp_path):
    """With the command: the interval of the AUC, whole patients drawn, holds 0.5."""
    for kind in ("patient", "slice"):
        arguments = (
            "--data",
            folder / f"by_{kind}.csv",
            "--epochs",
            "10",
            "--out",
            tmp_path / kind,
        )
        assert command("train", *arguments) == 0
    found = json.loads((tmp_path / "slice" / "evaluation.json").read_text())
    assert found["metrics"]["accuracy"]["low"] > 0.9
    found = json.loads((tmp_path / "patient" / "evaluation.json").read_text())
    assert found["resampled_by"] == "patient"
    area = found["metrics"]["auc"]
    assert area["low"] < 0.5 < area["high"]
    low, high = drawn_by_patient(tmp_path / "patient" / "predictions.csv")
    assert low < 0.5 < high, "by an interval of our own too"
    assert area["high"] - area["low"] > 0.25, "20 patients say little, however many slices"


def drawn_by_patient(path):
    """The interval of the AUC of test, from 1,000 draws of whole patients."""
    with path.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "test"]
    score = np.array([float(row["ill"]) for row in rows])
    ill = np.array([row["label"] == "ill" for row in rows])
    patients = np.array([row["group"] for row in rows])
    members = [np.flatnonzero(patients == p) for p in np.unique(patients)]
    draw, areas = np.random.default_rng(0), []
    for _ in range(1000):
        chosen = np.concatenate(
            [members[i] for i in draw.integers(len(members), size=len(members))]
        )
        if 0 < ill[chosen].mean() < 1:
            areas.append(roc_auc_score(ill[chosen], score[chosen]))
    return np.percentile(areas, [2.5, 97.5])
