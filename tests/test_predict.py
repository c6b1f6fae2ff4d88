"""tensorgraph predict: calibrated and decided, uncertain answers, folders, tables, odd images."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open
from tensorgraph_train import answers, likeness
from tensorgraph_train.checkpoint import Card
from tensorgraph_train.runfile import Named
from training_help import command, pictures

import tensorgraph as tg


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    folder = tmp_path_factory.mktemp("predict")
    pictures(folder / "pictures", "cat", "dog", n=30)
    data = ("--data", folder / "pictures", "--set", "train.batch_size=8")
    assert command("train", "--model", "small", "--epochs", 1, "--out", folder / "out", *data) == 0
    return folder


@pytest.fixture
def run(original, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(original, "here")
    return Path("here/out")


PICTURES = Path("here/pictures")


def asked(capsys, *arguments):
    capsys.readouterr()
    assert command("predict", *arguments, "--json") == 0
    return json.loads(capsys.readouterr().out)


def card_of(run):
    with safe_open(run / "model.safetensors", "numpy") as file:
        return json.loads(file.metadata()["tensorgraph"])


def test_probabilities_are_those_of_predictions_csv(run, capsys):
    """Calibrated there by the evaluation, here by themselves."""
    with (run / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    found = asked(capsys, run, *(PICTURES / row["image"].removeprefix("pictures/") for row in rows))
    for row, own in zip(rows, found, strict=True):
        assert own["probabilities"]["dog"] == pytest.approx(float(row["dog"]), rel=1e-4, abs=1e-6)


def test_the_answer_takes_the_threshold(run, capsys):
    decision = card_of(run)["decision"]
    found = asked(capsys, run, PICTURES)
    for row in found:
        above = row["probabilities"][decision["positive"]] >= decision["threshold"]
        assert (row["class"] == decision["positive"]) == above


def test_a_folder_is_all_images_in_it(run, capsys):
    (PICTURES / "notes.txt").write_text("none of them")
    found = asked(capsys, run, PICTURES, PICTURES / "cat" / "0.png")
    assert len(found) == 61
    assert [row["image"] for row in found[:2]] == [
        str(PICTURES / "cat" / "0.png"),
        str(PICTURES / "cat" / "1.png"),
    ]


def test_a_folder_without_images(run, said):
    Path("empty").mkdir()
    assert "empty is a folder in which no image was found" in said("predict", run, "empty")


def test_a_table(run, capsys):
    assert command("predict", run, PICTURES / "cat", "--csv", "found.csv") == 0
    assert "found.csv: 30 images" in capsys.readouterr().out
    with Path("found.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["image", "answer", "cat", "dog", "unlike"]
    expected = asked(capsys, run, PICTURES / "cat")
    for row, own in zip(rows, expected, strict=True):
        assert (row["image"], row["answer"]) == (own["image"], own["class"])
        assert float(row["dog"]) == own["probabilities"]["dog"]


def test_a_broken_image_leaves_no_table(run, said):
    shutil.copy(PICTURES / "cat" / "0.png", "a.png")
    Path("b.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    assert "b.png" in said("predict", run, "a.png", "b.png", "--csv", "found.csv")


# Uncertain answers


def card(classes=("a", "b"), task="classification", **decision):
    named = Named("mlp")
    return Card(named, classes, (1, 8, 8), "float32", (0,), (1,), "0", task=task, decision=decision)


@pytest.mark.parametrize(
    ("row", "abstain", "expected"),
    [
        ([0.7, 0.3], None, "a"),
        ([0.7, 0.3], 0.7, "a"),
        ([0.7, 0.3], 0.71, "uncertain"),
        ([0.15, 0.85], 0.8, "b"),
    ],
)
def test_chows_rule(row, abstain, expected):
    assert answers.decided(card(), np.array(row), abstain) == expected


def test_the_threshold_comes_first():
    own = card(threshold=0.9, positive="b")
    assert answers.decided(own, np.array([0.2, 0.8]), None) == "a"
    assert answers.decided(own, np.array([0.2, 0.8]), 0.5) == "uncertain", "a has only 0.2"
    assert answers.decided(own, np.array([0.05, 0.95]), 0.5) == "b"


def test_several_labels():
    own = card(("a", "b", "c"), "multilabel", threshold={"a": 0.5, "b": 0.3, "c": 0.5})
    assert answers.decided(own, np.array([0.9, 0.4, 0.1]), None) == "a | b"
    assert answers.decided(own, np.array([0.9, 0.4, 0.1]), 0.7) == "uncertain"
    assert answers.decided(own, np.array([0.1, 0.1, 0.1]), 0.7) == "none"


def test_refusing_pays(run, capsys):
    """Of the refused more are wrong than of the rest."""
    found = asked(capsys, run, PICTURES)
    sure = sorted(row["probability"] for row in found)
    refused = asked(capsys, run, PICTURES, "--abstain", sure[20])
    assert sum(row["class"] == "uncertain" for row in refused) == 20
    assert all(row["probability"] is None for row in refused if row["class"] == "uncertain")


def test_a_refusal_that_is_no_probability(run, said):
    assert "'--abstain'" in said("predict", run, PICTURES, "--abstain", 2)


def test_measured_numbers_have_no_probability(run, said, monkeypatch):
    own = card(("age",), "regression")
    monkeypatch.setattr(answers.checkpoint, "load_model", lambda folder: (own, None))
    assert "--abstain: the model of here/out predicts a number, age" in said(
        "predict", run, PICTURES, "--abstain", 0.8
    )


# Images unlike the training images


def test_the_training_images_are_like_themselves(run, capsys):
    found = asked(capsys, run, PICTURES)
    assert np.mean([bool(row["unlike"]) for row in found]) < 0.15


def test_odd_images(run, capsys):
    with Image.open(PICTURES / "cat" / "0.png") as one:
        grey = np.asarray(one)
    Image.fromarray(grey.astype(np.uint16) * 257).save("deep.png")
    Image.fromarray(grey).resize((20, 10)).save("wide.png")
    Image.fromarray(np.full_like(grey, 255)).save("white.png")
    stripes = np.tile(np.array([0, 255], np.uint8), (8, 4))
    Image.fromarray(stripes).save("stripes.png")
    deep, wide, white, striped = (
        row["unlike"]
        for row in asked(capsys, run, "deep.png", "wide.png", "white.png", "stripes.png")
    )
    assert deep == ["it has 16 bits, the training images have 8 bits"]
    assert "its size is 10×20, that of the training images 8×8" in wide
    assert any(said.startswith("its brightness is 1, theirs is ") for said in white)
    assert any(said.startswith("its contrast is 0, theirs is ") for said in white)
    assert any(said.startswith("its features are ") for said in striped)


def test_the_terminal_says_so(run, capsys):
    Image.fromarray(np.full((8, 8), 255, np.uint8)).save("white.png")
    assert command("predict", run, "white.png") == 0
    out = capsys.readouterr().out
    assert "? white.png: its brightness is 1," in out
    assert "? unlike the training images: the answer may mean nothing" in out


def test_a_model_from_before_warns_of_nothing(run, capsys, monkeypatch):
    read = answers.checkpoint.read_model

    def older(folder):
        found, weights = read(folder)
        return Card(**{**vars(found), "training_images": None, "decision": None}), weights

    monkeypatch.setattr(answers.checkpoint, "read_model", older)
    Image.fromarray(np.full((8, 8), 255, np.uint8)).save("white.png")
    assert asked(capsys, run, "white.png")[0]["unlike"] == []


def test_what_the_card_keeps_is_bounded(run):
    found = card_of(run)["training_images"]
    assert len(json.dumps(found)) < 200_000
    assert found["size"] == [8, 8]
    assert found["white"] == 255


# The distance, beside scikit-learn and SciPy


def test_the_distance_is_mahalanobis_from_the_nearest_class():
    from scipy.spatial.distance import mahalanobis
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    generator = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 40)
    x = generator.normal(size=(120, 4)) @ generator.normal(size=(4, 4)) + labels[:, None]
    model = LinearDiscriminantAnalysis(store_covariance=True, solver="lsqr").fit(x, labels)
    training = {"means": model.means_.tolist(), "covariance": model.covariance_.tolist()}
    inverse = np.linalg.inv(model.covariance_)
    expected = [min(mahalanobis(row, mean, inverse) for mean in model.means_) for row in x]
    np.testing.assert_allclose(likeness.distance(training, x), expected, rtol=1e-9)


def test_features_are_the_averaged_last_map():
    model = tg.models["small_cnn"](classes=2).eval()
    x = tg.tensor(np.random.default_rng(0).normal(size=(3, 1, 8, 8)).astype("float32"))
    outputs, own = likeness.features(likeness.looking(model), x)
    expected = model[:8](x).numpy().mean((2, 3))
    np.testing.assert_allclose(own, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(outputs, model(x).numpy(), rtol=1e-5, atol=1e-6)


def test_features_without_a_map_are_what_the_last_layer_is_given():
    model = tg.models["mlp"](classes=2, hidden=(16,)).eval()
    x = tg.tensor(np.random.default_rng(0).normal(size=(3, 1, 8, 8)).astype("float32"))
    _, own = likeness.features(likeness.looking(model), x)
    np.testing.assert_allclose(own, model[:3](x).numpy(), rtol=1e-5, atol=1e-6)


def test_many_features_become_few_and_keep_their_distances():
    x = np.random.default_rng(0).normal(size=(40, 2048))
    few = likeness.narrowed(x)
    assert few.shape == (40, likeness.WIDTH)
    ratio = np.square(few[0] - few[1:]).sum(1) / np.square(x[0] - x[1:]).sum(1)
    assert 0.5 < ratio.min() < ratio.max() < 1.6
    assert abs(ratio.mean() - 1) < 0.1
    assert likeness.narrowed(x[:, :30]) is not few
