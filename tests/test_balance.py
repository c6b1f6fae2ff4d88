"""Unequal classes: weights of the loss are scikit-learn's, and balanced epochs resume."""

import csv
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from sklearn.utils.class_weight import compute_class_weight
from tensorgraph_train import balance
from tensorgraph_train.runfile import Named, Train
from training_help import archive, command, train

import tensorgraph as tg
from tensorgraph.errors import ConfigError


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TENSORGRAPH_JIT", "wait")  # or the kernels would change within a run


def dataset(labels, classes=("a", "b", "c")):
    images = np.zeros((len(labels), 1, 1, 1))
    return tg.Dataset("made", images, 1.0, labels, classes, {"train": np.arange(len(labels))})


UNEQUAL = np.repeat([0, 1, 2], [70, 25, 5])


def test_balanced_weights_are_scikit_learns():
    found = balance.weights(Train(class_weights="balanced"), dataset(UNEQUAL))
    assert found == pytest.approx(compute_class_weight("balanced", classes=np.arange(3), y=UNEQUAL))
    several = np.array([[1, 0], [1, 1], [1, 0], [0, 0]], np.uint8)
    found = balance.weights(Train(class_weights="balanced"), dataset(several, ("a", "b")))
    assert found == (1 / 3, 3.0)
    assert balance.weights(Train(class_weights=(1.0, 2.0, 3.0)), dataset(UNEQUAL)) == (1, 2, 3)
    assert balance.weights(Train(), dataset(UNEQUAL)) is None


@pytest.mark.parametrize(
    ("options", "labels", "says"),
    [
        ({"class_weights": (1.0,)}, UNEQUAL, "has 1 numbers for 3 classes: a, b, c"),
        ({"class_weights": "balanced"}, UNEQUAL * 1.0, "made has measured numbers, no classes"),
        (
            {"class_weights": "balanced", "loss": Named("mse_loss")},
            UNEQUAL,
            "the loss mse_loss has no weight; cross_entropy and",
        ),
    ],
)
def test_weights_that_cannot_be(options, labels, says):
    with pytest.raises(ConfigError) as caught:
        balance.loss_options(Train(**options), dataset(labels), "float32")
    assert says in str(caught.value)


def test_sampling_that_cannot_be():
    with pytest.raises(ConfigError, match="takes images of one class each, and made is for regr"):
        balance.check(Train(sampling="balanced"), dataset(UNEQUAL * 1.0))
    assert command(*train("--set", "train.sampling=even")) == 2


def test_a_balanced_epoch_has_as_many_of_each_class():
    data, indices = dataset(np.tile(UNEQUAL, 2)), np.arange(10, 200)
    settings = Train(sampling="balanced", seed=3)
    seen, longest = set(), set()
    for number in range(12):
        found = balance.epoch(settings, data, indices, number)
        assert len(found) == 190 and set(found) <= set(indices)
        counts = np.bincount(data.labels[found], minlength=3)
        assert np.ptp(counts) <= 1
        longest.add(int(counts.argmax()))
        times = np.bincount(found, minlength=200)[indices]
        for k in range(3):
            own = times[data.labels[indices] == k]
            assert np.ptp(own) <= 1, "no image of a class comes twice before each has come once"
        halves = [np.bincount(data.labels[x], minlength=3) for x in np.array_split(found, 4)]
        assert np.min(halves) > 4, "the classes are mixed"
        seen |= set(found.tolist())
        assert np.array_equal(found, balance.epoch(settings, data, indices, number))
    assert longest == {0, 1, 2}, "what is left over goes to each class in turn"
    assert seen == set(indices.tolist()), "every image comes sooner or later"


def unequal():
    draw = np.random.default_rng(0)
    labels = (np.arange(120) % 6 == 0).astype(int)
    images = (draw.integers(0, 90, (120, 8, 8)) + 60 * labels[:, None, None]).astype(np.uint8)
    return archive("data.npz", train_images=images, train_labels=labels)


BALANCED = ("--data", "data.npz", "--epochs", "3", "--set", "train.batch_size=16")
OPTIONS = {
    "sampling": ("--set", "train.sampling=balanced"),
    "weights": ("--set", "train.class_weights=balanced"),
}


@pytest.mark.parametrize("option", OPTIONS)
def test_a_stopped_run_goes_on_bit_for_bit(option):
    unequal()
    stops = "train.callbacks=['history', {name='stops', epoch=1, at=3}]"
    every = "train.checkpoint_every=0"
    arguments = (*train(*BALANCED), *OPTIONS[option], "--set", every)
    assert command(*arguments, "--out", "whole") == 0
    assert command(*arguments, "--set", stops) == 130
    text = Path("out/run.toml").read_text()
    text = text.replace('{name = "stops", epoch = 1, at = 3}', '{name = "progress"}')
    Path("out/run.toml").write_text(text)
    assert command("train", "--resume", "--out", "out") == 0
    want, found = (load_file(f"{out}/model.safetensors") for out in ("whole", "out"))
    assert all(np.array_equal(found[name], value) for name, value in want.items())


@pytest.mark.parametrize("compile", ["true", "false"])
def test_weights_are_in_the_loss(compile, capsys):
    """With a weight of nearly nothing for one class, only the other is ever said."""
    unequal()
    weights = "train.class_weights=[1e-6, 1]"
    options = ("--set", weights, "--set", f"train.compile={compile}", "--epochs", "20")
    assert command(*train(*BALANCED), *options) == 0
    out = capsys.readouterr().out
    assert "weighted classes" in out
    with Path("out/predictions.csv").open(newline="") as file:
        said = [float(row["1"]) for row in csv.DictReader(file)]
    assert len(said) == 16 and min(said) > 0.5
