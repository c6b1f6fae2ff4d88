"""Training from end to end for several labels an image and for measured numbers."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from training_help import command, install, pictures

import tensorgraph as tg

SIDE = 8


class Marks:
    """Images with a bright patch for each label that they show."""

    reads = ""

    def accepts(self, path):
        return False

    def load(self, path, **options):
        generator = np.random.default_rng(0)
        labels = (generator.random((300, 3)) < [0.5, 0.3, 0.2]).astype(np.uint8)
        images = generator.integers(0, 80, (300, 1, SIDE, SIDE)).astype(np.uint8)
        for k in range(3):
            images[labels[:, k] > 0, :, 2 * k : 2 * k + 3, 2 * k : 2 * k + 3] += 120
        return made("marks", images, labels, ("one", "two", "three"))


class Ages:
    """The brighter the image, the older; in years, so far from 0 and 1."""

    reads = ""

    def accepts(self, path):
        return False

    def load(self, path, **options):
        generator = np.random.default_rng(1)
        ages = generator.uniform(20, 90, 300)
        noise = generator.normal(0, 10, (300, 1, SIDE, SIDE))
        images = np.clip(2 * ages[:, None, None, None] + noise, 0, 255).astype(np.uint8)
        return made("ages", images, ages, ("age",))


def made(name, images, labels, classes):
    splits = {"train": np.arange(200), "val": np.arange(200, 250), "test": np.arange(250, 300)}
    groups = np.arange(300) // 2
    columns = {"site": np.where(groups % 2, "north", "south")}
    return tg.Dataset(name, images, 255, labels, classes, splits, groups, columns)


class Plugin:
    @staticmethod
    @tg.hookimpl
    def register_datasets(register):
        register("marks", Marks())
        register("ages", Ages())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    install()
    if "marks" not in tg.datasets:
        tg.plugins.register(Plugin, "tasks-help")
    folder = tmp_path_factory.mktemp("tasks")
    for name in ("marks", "ages"):
        arguments = ("--data", name, "--model", "mlp", "--epochs", "15", "--out", folder / name)
        assert command("train", *arguments, "--set", "train.compile=false") == 0
    return folder


def read(folder, name):
    evaluation = json.loads((folder / name / "evaluation.json").read_text())
    with (folder / name / "predictions.csv").open() as file:
        return evaluation, list(csv.DictReader(file))


def card(folder, name):
    with safe_open(folder / name / "model.safetensors", "numpy") as file:
        return json.loads(file.metadata()["tensorgraph"])


def test_several_labels(folder):
    evaluation, rows = read(folder, "marks")
    assert evaluation["task"] == "multilabel"
    assert evaluation["metrics"]["auc"]["value"] > 0.95
    assert evaluation["resampled_by"] == "patient"
    assert {*evaluation["subgroups"]["site"]} == {"north", "south"}
    assert "binary_cross_entropy_with_logits" in (folder / "marks" / "run.toml").read_text()
    assert [*rows[0]] == ["image", "split", "group", "label", "one", "two", "three"]
    assert [row["split"] for row in rows] == ["val"] * 50 + ["test"] * 50
    labels = Marks().load(None).labels
    for i, row in enumerate(rows):
        own = labels[200 + i]
        want = [n for n, is_so in zip(("one", "two", "three"), own, strict=True) if is_so]
        assert row["label"] == "|".join(want)
        assert row["group"] == str((200 + i) // 2)
    scores = np.array([[float(r[n]) for n in ("one", "two", "three")] for r in rows[50:]])
    assert tg.metrics.auc(scores, labels[250:]) == pytest.approx(
        evaluation["metrics"]["auc"]["value"]
    )
    assert {*card(folder, "marks")["decision"]["threshold"]} == {"one", "two", "three"}


def test_measured_numbers_are_predicted_in_their_own_units(folder):
    evaluation, rows = read(folder, "ages")
    assert evaluation["task"] == "regression"
    assert evaluation["metrics"]["mae"]["value"] < 3
    assert evaluation["metrics"]["r2"]["value"] > 0.95
    assert evaluation["baseline"]["metrics"]["mae"]["value"] > 10
    assert [*rows[0]] == ["image", "split", "group", "label", "prediction"]
    off = [abs(float(r["label"]) - float(r["prediction"])) for r in rows if r["split"] == "test"]
    assert np.mean(off) == pytest.approx(evaluation["metrics"]["mae"]["value"])
    assert card(folder, "ages")["target"][0] == pytest.approx(55, abs=5)


@pytest.mark.parametrize("name", ["marks", "ages"])
def test_evaluating_again_says_the_same(folder, name, capsys):
    before, _ = read(folder, name)
    assert command("evaluate", folder / name) == 0
    assert read(folder, name)[0] == before
    out = capsys.readouterr().out
    assert "whole patients are drawn" in out
    assert max(map(len, (line.rstrip() for line in out.splitlines()))) <= 100


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("ages", "train.metric=auc", "train.metric: auc is for classification and multilabel, and"),
        ("marks", "train.metric=mae", "mae is for regression, and marks is for multilabel"),
        (
            "ages",
            "train.loss=cross_entropy",
            "cross_entropy is for one class an image, and ages is for",
        ),
        ("marks", "evaluate.threshold=best", 'it takes "youden", or {sensitivity = 0.9}'),
        ("marks", "evaluate.threshold={sensitivity=2}", "it takes"),
        ("ages", "evaluate.prevalence=1.5", "a number above 0 and below 1"),
    ],
)
def test_what_does_not_fit_the_task_is_said_before(folder, tmp_path, name, change, message, capsys):
    arguments = ("--data", name, "--model", "mlp", "--epochs", "1", "--out", tmp_path / "out")
    assert command("train", *arguments, "--set", change) == 2
    assert message in capsys.readouterr().err
    assert not Path(tmp_path, "out").exists()


def test_a_metric_of_which_less_is_better_chooses_the_epoch(folder, tmp_path):
    arguments = ("--data", "ages", "--model", "mlp", "--epochs", "6", "--out", tmp_path / "out")
    options = ("--set", "train.metric=mae", "--set", "train.compile=false")
    assert command("train", *arguments, *options) == 0
    lines = [json.loads(x) for x in (tmp_path / "out" / "history.jsonl").read_text().splitlines()]
    best = min(lines, key=lambda row: row["val_mae"])
    evaluation = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert best["val_mae"] < lines[0]["val_mae"]
    assert evaluation["metrics"]["mae"]["value"] == pytest.approx(best["val_mae"], rel=0.5)


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """A run on two classes that are hard to tell apart."""
    folder = tmp_path_factory.mktemp("two")
    generator = np.random.default_rng(0)
    arrays = {}
    for part, n in (("train", 100), ("val", 60), ("test", 60)):
        labels = np.arange(n) % 2
        images = generator.normal(100, 40, (n, 8, 8)) + 12 * labels[:, None, None]
        arrays[f"{part}_images"] = images.clip(0, 255).astype(np.uint8)
        arrays[f"{part}_labels"] = labels
    np.savez(folder / "two.npz", **arrays)
    options = ("--data", folder / "two.npz", "--model", "mlp", "--epochs", "5")
    assert command("train", *options, "--out", folder / "out") == 0
    return folder / "out"


def test_the_threshold_can_be_chosen_anew(two, capsys):
    before = card(two.parent, "out")["decision"]
    assert before["rule"] == "youden"
    assert command("evaluate", two, "--sensitivity", "0.95", "--prevalence", "0.1") == 0
    out = capsys.readouterr().out
    assert "by sensitivity >= 0.95 on val" in out
    assert "where 10.0% are 1: ppv" in out
    after = card(two.parent, "out")["decision"]
    assert after["threshold"] < before["threshold"]
    with (two / "predictions.csv").open() as file:
        held = [r for r in csv.DictReader(file) if r["split"] == "val" and r["label"] == "1"]
    called = [float(row["1"]) >= after["threshold"] for row in held]
    assert np.mean(called) >= 0.95
    assert command("evaluate", two, "--json") == 0
    assert json.loads(capsys.readouterr().out)["threshold"]["value"] == after["threshold"]
    assert command("evaluate", two, "--sensitivity", "0.9", "--data", two.parent / "two.npz") == 2
    assert "chosen on the run's own validation images" in capsys.readouterr().err


@pytest.mark.parametrize("data", ["digits", "marks"])
def test_a_positive_class_is_one_of_two(folder, data, tmp_path, capsys):
    options = ("--data", data, "--model", "mlp", "--epochs", "1", "--out", tmp_path / "out")
    assert command("train", *options, "--set", "evaluate.positive=3") == 2
    error = capsys.readouterr().err
    assert "evaluate.positive" in error
    assert Path(tmp_path / "out").exists() is False, "it is said before training"


def test_without_validation_images_there_is_nothing_to_choose_a_threshold_on(tmp_path, capsys):
    options = ("--model", "mlp", "--epochs", "1", "--out", tmp_path / "out")
    assert (
        command(
            "train",
            *options,
            "--data",
            pictures(tmp_path / "p", "cat", "dog"),
            "--set",
            "data.val=0",
        )
        == 0
    )
    assert command("evaluate", tmp_path / "out", "--sensitivity", "0.9") == 2
    assert "no validation images, so nothing to choose it on" in capsys.readouterr().err
