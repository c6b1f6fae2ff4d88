"""Volumes train end to end, as flat images do: from an archive and from NIfTI."""

import json
from pathlib import Path

import numpy as np
import pytest
from medical_help import volumes
from training_help import command

import tensorgraph as tg


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


SHORT = ["--epochs", "8", "--set", "train.batch_size=8", "--set", "train.metric=auc"]


def accuracy(folder):
    return json.loads(Path(folder, "evaluation.json").read_text())["metrics"]["accuracy"]["value"]


def archive():
    """A bright ball in the front half or in the back half, in noise."""
    draw, arrays = np.random.default_rng(0), {}
    for part, n in (("train", 64), ("val", 16), ("test", 32)):
        labels = np.arange(n) % 2
        images = draw.integers(0, 120, (n, 8, 8, 8))
        for image, label in zip(images, labels, strict=True):
            d, h, w = (*draw.integers(0, 5, 2), 4 * label + draw.integers(0, 2))
            image[d : d + 3, h : h + 3, w : w + 3] += 120
        arrays[f"{part}_images"] = images.astype(np.uint8)
        arrays[f"{part}_labels"] = labels
    np.savez("balls.npz", **arrays)
    return "balls.npz"


def test_volumes_of_an_archive():
    more = ["--model", "small_cnn3d", "--set", "model.filters=[8,8]", *SHORT]
    assert command("train", "--data", archive(), "--out", "out", *more) == 0
    assert accuracy("out") >= 0.9
    assert command("evaluate", "out", "--data", "balls.npz", "--split", "train") == 0


@pytest.mark.parametrize("cache", [1.0, 0.0], ids=["whole", "as needed"])
def test_volumes_of_nifti_files(cache, capsys):
    pytest.importorskip("nibabel")
    volumes(Path("data"), n=20, shape=(10, 8, 12))
    more = ["--model", "small_cnn3d", "--set", "model.filters=[4,8]", *SHORT]
    resized = ["--set", "data.resize=[8,8,8]", "--set", f"data.cache={cache}"]
    assert command("train", "--data", "data", "--out", "out", *more, *resized) == 0
    assert accuracy("out") >= 0.9
    assert command("evaluate", "out", "--split", "all") == 0
    capsys.readouterr()
    images = ["data/left/v00.nii.gz", "data/right/v19.nii.gz"]
    assert command("predict", "out", *images, "--json") == 0
    assert [r["class"] for r in json.loads(capsys.readouterr().out)] == ["left", "right"]


def test_slices_of_nifti_files():
    pytest.importorskip("nibabel")
    volumes(Path("data"), n=20)
    more = ["--set", "data.options.slices=0", "--set", "model.filters=[8]", *SHORT]
    assert command("train", "--data", "data", "--out", "out", *more) == 0
    assert accuracy("out") >= 0.9
    assert command("evaluate", "out", "--data", "data") == 0, "cut as the run's own were"


def test_a_flat_model_for_volumes(said):
    error = said("train", "--data", archive(), "--out", "out")
    assert "does not fit images of 1×8×8×8 (channels×depth×height×width)" in error
    assert "--model small_cnn3d" in error


def test_the_reference_model():
    model = tg.models.small_cnn3d(classes=3)
    assert model.infer_shape(tg.Spec((2, 1, 8, 9, 10), "float32")).shape == (2, 3)
    x = tg.tensor(np.random.default_rng(0).normal(size=(2, 1, 8, 9, 10)).astype("float32"))
    assert model(x).shape == (2, 3)
