"""What a study needs of its splits: split.csv, folds that resume, the shuffled-label control."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score
from tensorgraph_train import control, shares
from training_help import archive, command, pictures, train

import tensorgraph as tg


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TENSORGRAPH_JIT", "wait")  # or the kernels would change within a run


FOLDS = ("train", "--model", "small", "--epochs", "2", "--out", "out", "--folds", "3")


def rows(path="out/split.csv"):
    with Path(path).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def manifest(folder="data", patients=12, each=4):
    """A CSV manifest of patients with four images each, half of them of each class."""
    pictures(folder, "cat", "dog", n=patients * each // 2)
    paths = sorted(Path(folder).glob("*/*.png"), key=lambda p: (p.parent.name, int(p.stem)))
    lines = [f"{p.relative_to(folder)},{p.parent.name},p{i // each}" for i, p in enumerate(paths)]
    Path(folder, "list.csv").write_text("\n".join(["path,label,patient", *lines]) + "\n")
    return f"{folder}/list.csv"


# split.csv and what must hold of the parts


def test_split_csv_has_every_image():
    assert command(*train("--data", manifest())) == 0
    found = rows()
    assert list(found[0])[:4] == ["image", "split", "group", "label"]
    assert [row["image"] for row in found[:2]] == ["cat/0.png", "cat/1.png"]
    assert len(found) == 48 and {row["label"] for row in found} == {"cat", "dog"}
    homes = {}
    for row in found:
        assert homes.setdefault(row["group"], row["split"]) == row["split"]
    assert sorted(set(homes.values())) == ["test", "train", "val"]


def test_split_csv_of_other_labels_and_columns(tmp_path):
    labels = np.array([[1, 0, 1], [0, 0, 0]], np.uint8)
    columns = {"site": np.array(["north, upper", ""]), "age": np.array([61.5, np.nan])}
    images = np.zeros((2, 1, 2, 2), np.uint8)
    data = tg.Dataset(
        "made", images, 255.0, labels, ("mass", "edema", "hernia"), {"train": np.arange(1)},
        columns=columns,
    )  # fmt: skip
    shares.write(tmp_path, data)
    first, second = rows(tmp_path / "split.csv")
    assert first == {
        "image": "0", "split": "train", "group": "", "label": "mass|hernia",
        "site": "north, upper", "age": "61.5",
    }  # fmt: skip
    assert (second["split"], second["label"], second["site"], second["age"]) == ("", "", "", "")
    numbers = tg.Dataset("made", images, 255.0, np.array([0.1, 2.0]), ("mm",), {})
    shares.write(tmp_path, numbers)
    assert [row["label"] for row in rows(tmp_path / "split.csv")] == ["0.1", "2.0"]


def test_groups_by_a_pattern_of_the_path():
    pictures("data", "cat", "dog", n=40)
    assert (
        command(
            *train(
                "--data",
                "data",
                "--set",
                "data.group=/([0-9])[0-9]?[.]png",
                "--set",
                "data.mixed_groups=true",
            )
        )
        == 0
    )
    homes = {}
    for row in rows():
        assert row["group"] == row["image"].split("/")[1][0]
        assert homes.setdefault(row["group"], row["split"]) == row["split"]


def test_a_patient_of_two_classes(said, capsys):
    path = Path(manifest())
    path.write_text(path.read_text().replace("dog/0.png,dog,p6", "dog/0.png,dog,p1"))
    error = said(*train("--data", str(path)))
    assert (
        "patient (group) 'p1' has images of 'cat' and 'dog'; so it is with 1 of 12 groups "
        "(patients); mend the labels, or, where the class is that of an image and not of a "
        "patient, say so: --set data.mixed_groups=true"
    ) in error
    assert command(*train("--data", str(path), "--set", "data.mixed_groups=true")) == 0
    assert "1 of 12 groups (patients) have images of several classes" in capsys.readouterr().out


def test_a_part_without_a_class(said):
    archive("data.npz", test_labels=np.zeros(8, int))
    error = said(*train("--data", "data.npz"))
    assert "data: test has no image of the class '1', so nothing could be said of it" in error


def test_three_images_in_all(said):
    pictures("data", "cat", "dog", n=2)
    Path("data/cat/1.png").unlink()
    assert "class 'cat' has 1 image, too few to have one in each of train, val, test" in said(
        *train("--data", "data")
    )


@pytest.mark.parametrize("task", ["multilabel", "regression"])
def test_folds_of_other_tasks(task):
    draw = np.random.default_rng(0)
    labels = draw.random(60) if task == "regression" else draw.integers(0, 2, (60, 3))
    images = draw.integers(0, 255, (60, 1, 8, 8)).astype(np.uint8)
    labels = labels if task == "regression" else labels.astype(np.uint8)
    classes = ("mm",) if task == "regression" else ("mass", "edema", "hernia")
    made = tg.Dataset("made", images, 255.0, labels, classes, {"train": np.arange(60)})

    class Source:
        reads = ""

        def accepts(self, path):
            return False

        def load(self, path, **options):
            return made

    class Plugin:
        @staticmethod
        @tg.hookimpl
        def register_datasets(register):
            register(f"made_{task}", Source())

    command("--help")
    tg.plugins.register(Plugin, f"made-{task}")
    assert command(*FOLDS, "--data", f"made_{task}") == 0
    found = json.loads(Path("out/evaluation.json").read_text())
    assert (found["task"], found["n"]) == (task, 60)
    known = [row["value"] for row in found["metrics"].values()]
    assert len(known) > 1 and None not in known
    assert found["baseline"]["metrics"]


@pytest.mark.parametrize(
    ("assignment", "says"),
    [
        ("data.fold=2", "data.fold = 2: say of how many: --set data.folds=5"),
        ("data.folds=1", "data.folds = 1; it takes a whole number, at least 2"),
        ("data.group=ward", "data.group = 'ward' is no column of digits (columns: none)"),
        ("data.strict=1", "data.strict = 1; it takes true or false"),
        ("train.control=2", "train.control = 2; it takes true or false"),
    ],
)
def test_settings_that_cannot_be(said, assignment, says):
    assert says in said(*train("--set", assignment))


# Folds


def test_folds_test_every_image_once(capsys):
    assert command(*FOLDS, "--data", manifest()) == 0
    out = capsys.readouterr().out
    assert "fold 2 of 3" in out and "all 3 folds, test: 48 images" in out
    tested, metrics = [], []
    for k in (1, 2, 3):
        found = rows(f"out/fold-{k}/split.csv")
        tested += [row["image"] for row in found if row["split"] == "test"]
        metrics.append(json.loads(Path(f"out/fold-{k}/evaluation.json").read_text()))
    assert sorted(tested) == sorted(row["image"] for row in rows("out/fold-1/split.csv"))
    pooled = json.loads(Path("out/evaluation.json").read_text())
    row = {**pooled["metrics"]["accuracy"], **pooled["spread"]["metrics"]["accuracy"]}
    each = [one["metrics"]["accuracy"]["value"] for one in metrics]
    assert (pooled["folds"], pooled["n"], row["folds"]) == (3, 48, each)
    assert row["mean"] == pytest.approx(np.mean(each))
    assert row["sd"] == pytest.approx(np.std(each, ddof=1))
    right = sum(one["n"] * x for one, x in zip(metrics, each, strict=True))
    assert row["value"] == pytest.approx(right / 48)
    assert pooled["resampled_by"] == "patient"
    assert pooled["baseline"]["metrics"]["accuracy"]["value"] == 0.5
    assert set(pooled["spread"]["at_threshold"]) >= {"sensitivity", "specificity"}


def test_folds_go_on_where_they_were_stopped(capsys):
    data = manifest()
    assert command(*FOLDS, "--data", data, "--out", "whole") == 0
    want = json.loads(Path("whole/evaluation.json").read_text())
    assert command(*FOLDS, "--data", data) == 0
    capsys.readouterr()
    Path("out/evaluation.json").unlink()
    for path in Path("out/fold-3").iterdir():  # as if it had been killed before the third
        path.unlink()
    first = Path("out/fold-1/model.safetensors").stat().st_mtime_ns
    assert command("train", "--resume", "--out", "out") == 0
    assert Path("out/fold-1/model.safetensors").stat().st_mtime_ns >= first
    assert json.loads(Path("out/evaluation.json").read_text()) == want
    assert command("train", "--resume", "--out", "out", "--folds", "4") == 2
    assert "data.folds is 3 in out/run.toml, and 4 is asked for" in capsys.readouterr().err


def test_ctrl_c_in_a_fold_says_how_to_go_on(capsys):
    stops = "train.callbacks=['history', {name='stops', epoch=1, at=1}]"
    command("--help")
    assert command(*FOLDS, "--data", manifest(), "--set", stops) == 130
    assert "go on with: tensorgraph train --resume --out out\n" in capsys.readouterr().err


def test_folds_that_cannot_be_leave_nothing(said):
    data = manifest()
    assert "class 'cat' has images of 6 groups, too few to have one in each of 7 folds" in said(
        *FOLDS[:-1], "7", "--data", data
    )


def test_one_fold_alone():
    assert (
        command(*train("--data", manifest(), "--set", "data.folds=3", "--set", "data.fold=2")) == 0
    )
    assert json.loads(Path("out/evaluation.json").read_text())["n"] == 16


# The control


def test_a_control_says_that_it_is_one(capsys):
    arguments = [x for x in train("--data", manifest(), "--control") if x not in ("--out", "out")]
    assert command(*arguments) == 0
    (folder,) = Path("runs").iterdir()
    assert folder.name == "list-small-control-1"
    assert "control = true" in Path(folder, "run.toml").read_text()
    assert Path(folder, "CONTROL.txt").read_text().startswith("This run is a control: the labels")
    assert json.loads(Path(folder, "evaluation.json").read_text())["control"] is True
    assert "This run is a control: the labels" in capsys.readouterr().out
    before = Path(folder, "evaluation.json").read_text()
    assert command("evaluate", folder) == 0
    assert Path(folder, "evaluation.json").read_text() == before
    found = rows(Path(folder, "split.csv"))
    of_test = [row for row in found if row["split"] == "test"]
    assert all(row["image"].startswith(row["label"]) for row in of_test), "test keeps its labels"
    assert not all(row["image"].startswith(row["label"]) for row in found)


@pytest.mark.parametrize("kind", ["classes", "labels", "numbers"])
def test_permuted_labels_say_nothing_of_the_true_ones(kind):
    draw = np.random.default_rng(0)
    hidden = draw.choice(3, 900, p=[0.6, 0.3, 0.1])
    labels = {
        "classes": hidden,
        "labels": np.eye(3, dtype=np.uint8)[hidden],
        "numbers": hidden + draw.random(900),
    }[kind]
    data = tg.Dataset("made", np.zeros((900, 1, 1, 1)), 1.0, labels, ("a", "b", "c"),
                      {"train": np.arange(600), "val": np.arange(600, 700),
                       "test": np.arange(700, 900)})  # fmt: skip
    found = control.permuted(data, 0).labels
    assert np.array_equal(found[700:], labels[700:])
    for part in (slice(600), slice(600, 700)):
        assert sorted(map(str, found[part])) == sorted(map(str, labels[part])), "a permutation"
    numbers = np.asarray(found, float).reshape(900, -1), np.asarray(labels, float).reshape(900, -1)
    for k in range(numbers[0].shape[1]):
        assert abs(np.corrcoef(numbers[0][:600, k], numbers[1][:600, k])[0, 1]) < 0.1
    assert not np.array_equal(control.permuted(data, 1).labels, found)


def test_groups_are_permuted_whole():
    groups = np.repeat(np.arange(100), np.arange(100) % 7 + 1)
    labels = (np.arange(100) % 2)[groups]
    found = control.exchanged(labels, groups, 3)
    mine = [set(found[groups == g]) for g in range(100)]
    assert all(len(own) == 1 for own in mine), "who shared a label shares one"
    agree = accuracy_score(np.arange(100) % 2, [own.pop() for own in mine])
    assert 0.3 < agree < 0.7
