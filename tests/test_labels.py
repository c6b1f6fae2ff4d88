"""What is learnt: classes, several labels an image, or measured numbers."""

import numpy as np
import pytest
from PIL import Image
from training_help import archive

import tensorgraph as tg
from tensorgraph.errors import ConfigError, TensorgraphError


def load(path, **options):
    return tg.datasets["csv"].load(path, **options)


def labelled(tmp_path, labels):
    """A table of images with these labels."""
    lines = ["path,label"]
    for i, label in enumerate(labels):
        Image.fromarray(np.full((4, 4), i, np.uint8)).save(tmp_path / f"{i}.png")
        lines.append(f"{i}.png,{label}")
    (tmp_path / "m.csv").write_text("\n".join(lines))
    return tmp_path / "m.csv"


def test_several_labels_an_image(tmp_path):
    path = labelled(tmp_path, ["edema", "mass | edema", "-"] * 20)
    dataset = load(path, val=0.0, test=0.0)
    assert dataset.task == "multilabel" and dataset.classes == ("edema", "mass")
    assert dataset.labels.dtype == np.uint8
    assert dataset.labels[:3].tolist() == [[1, 0], [1, 1], [0, 0]]


def test_measured_numbers(tmp_path):
    dataset = load(labelled(tmp_path, [*range(59), "59.5"]), val=0.0, test=0.0)
    assert dataset.task == "regression" and dataset.classes == ("label",)
    assert dataset.labels.dtype == np.float64 and dataset.labels[-1] == 59.5
    whole = labelled(tmp_path, range(60))
    assert load(whole, val=0.0, test=0.0).task == "classification"
    dataset = load(whole, val=0.0, test=0.0, task="regression")
    assert dataset.labels.tolist() == list(range(60))


@pytest.mark.parametrize(
    ("labels", "task", "says"),
    [
        (["1", "2", "high"], "regression", "the label 'high' is no number, and task is regress"),
        (["1", "2", "nan"], "regression", "the label 'nan' is no number"),
        (["2.5"] * 3, None, "every label is 2.5; there is nothing to tell apart"),
        (["1", "2", "3"], "regresion", "task is classification, multilabel, regression, or left"),
        (["-", "-", "-"], "multilabel", "has one class only: 'none'"),
    ],
)
def test_labels_that_cannot_be(tmp_path, labels, task, says):
    with pytest.raises(TensorgraphError, match=says):
        load(labelled(tmp_path, labels), task=task)


def test_an_archive_with_several_labels_or_measured_numbers(tmp_path):
    counts = {"train": 20, "val": 8, "test": 8}
    several = {
        f"{p}_labels": np.eye(3, dtype=np.uint8)[np.arange(n) % 3] for p, n in counts.items()
    }
    dataset = tg.datasets.medmnist.load(archive(tmp_path / "a.npz", **several))
    assert dataset.task == "multilabel" and dataset.classes == ("0", "1", "2")
    assert dataset.labels[:2].tolist() == [[1, 0, 0], [0, 1, 0]]
    measured = {f"{p}_labels": np.linspace(20, 90, n)[:, None] for p, n in counts.items()}
    dataset = tg.datasets.medmnist.load(archive(tmp_path / "b.npz", **measured))
    assert dataset.task == "regression" and dataset.labels.shape == (36,)
    assert dataset.labels[19] == 90
    chest = {
        f"{p}_labels": np.eye(14, dtype=np.uint8)[np.arange(n) % 14] for p, n in counts.items()
    }
    dataset = tg.datasets.medmnist.load(archive(tmp_path / "chestmnist_64.npz", **chest))
    assert dataset.classes[0] == "atelectasis" and len(dataset.classes) == 14


def test_volumes_of_an_archive_are_resized(tmp_path):
    parts = {"train": 20, "val": 8, "test": 8}
    volumes = {f"{p}_images": np.zeros((n, 5, 7, 6), np.uint8) for p, n in parts.items()}
    path = archive(tmp_path / "a.npz", **volumes)
    dataset = tg.datasets.medmnist.load(path, resize=[5, 7, 3])
    assert dataset.images.shape == (36, 1, 5, 7, 3)
    with pytest.raises(ConfigError, match=r"resize = \[28, 28\] does not fit volumes of 5x7x6"):
        tg.datasets.medmnist.load(path, resize=[28, 28])
