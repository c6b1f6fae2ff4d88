"""The audit for leaks: what is planted is found, what is not there is not, and strict refuses."""

import io
import json

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score
from tensorgraph_audit import duplicates, findings, metadata
from tensorgraph_audit.prints import prints, shrunk

import tensorgraph as tg


def blobs(n, side=32, seed=0):
    """Smooth random pictures, no two alike."""
    noise = np.random.default_rng(seed).normal(size=(n, 8, 8))
    wide = [Image.fromarray(x.astype(np.float32)).resize((side, side), 3) for x in noise]
    return (np.clip(np.stack(wide) * 60 + 128, 0, 255)).astype(np.uint8)[:, None]


def dataset(images, labels=None, splits=None, classes=("a", "b"), **more):
    n = len(images)
    labels = np.arange(n) % 2 if labels is None else labels
    if splits is None:
        splits = {"train": np.arange(n // 2), "test": np.arange(n // 2, n)}
    return tg.Dataset("made", images, 255.0, labels, classes, splits, **more)


def found(data, check, seed=0):
    (one,) = [x for x in tg.plugins.walk("audit", data, seed=seed) if x["check"] == check]
    assert set(one) == {"check", "level", "text", "images", "figures"}
    json.dumps(one, allow_nan=False)
    return one


# Duplicates


def test_exact_duplicates_across_parts():
    images = blobs(200)
    images[150], images[151] = images[3], images[4]
    images[20] = images[21]
    one = found(dataset(images), "exact duplicates")
    assert one["level"] == "error"
    assert one["images"] == [["3", "150"], ["4", "151"]]
    assert one["figures"] == {"copies": {"train": 1, "test": 0}, "test in train": 2}
    assert one["text"].startswith(
        "2 of 100 images of test are, pixel for pixel, in train, 2 of them with another label"
    )
    fine = found(dataset(blobs(200)), "exact duplicates")
    assert (fine["level"], fine["images"]) == ("fine", [])


def saved_again(image):
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=75)
    return np.asarray(Image.open(stream))


CHANGES = {
    "brighter": lambda x, draw: np.clip(x * 0.9 + 12, 0, 255),
    "noise": lambda x, draw: np.clip(x + draw.normal(0, 5, x.shape), 0, 255),
    "jpeg": lambda x, draw: np.stack([saved_again(i)[None] for i in x[:, 0]]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_near_duplicates_across_parts(change):
    images = blobs(400, side=48)
    changed = CHANGES[change](images[:50], np.random.default_rng(1))
    images[200:250] = changed.astype(np.uint8)
    one = found(dataset(images), "near duplicates")
    assert one["level"] == "error"
    assert one["figures"]["test in train"] == 50
    assert one["images"][0] == ["0", "200"]


def test_images_that_only_resemble_are_none():
    one = found(dataset(blobs(600)), "near duplicates")
    assert (one["level"], one["images"]) == ("fine", [])


@pytest.mark.parametrize(("correlation", "level"), [(0.94, "fine"), (0.99, "error")])
def test_how_much_alike_is_too_much(correlation, level):
    images = blobs(200) - 128.0
    mixed = correlation * images[:50] + np.sqrt(1 - correlation**2) * images[50:100]
    images[100:150] = mixed * images[:50].std() / mixed.std()
    one = found(dataset(np.clip(images + 128, 0, 255).astype(np.uint8)), "near duplicates")
    assert one["level"] == level


def test_colour_volumes_and_images_that_are_the_same_all_over():
    draw = np.random.default_rng(0)
    colour = np.repeat(blobs(60), 3, 1)
    colour[40] = np.clip(colour[3] + draw.normal(0, 4, colour[3].shape), 0, 255)
    assert found(dataset(colour), "near duplicates")["images"] == [["3", "40"]]
    volumes = draw.integers(0, 255, (60, 1, 6, 20, 20)).astype(np.uint8)
    volumes[40] = np.clip(volumes[3].astype(int) + 6, 0, 255)
    assert found(dataset(volumes), "near duplicates")["images"] == [["3", "40"]]
    black = blobs(60)
    black[3], black[40] = 0, 7
    assert found(dataset(black), "near duplicates")["level"] == "fine"


def test_a_few_are_a_warning():
    images = blobs(400)
    images[300] = np.clip(images[3] * 0.9 + 12, 0, 255)
    assert found(dataset(images), "near duplicates")["level"] == "warning"


def test_thumbnails_are_means_of_blocks():
    x = np.random.default_rng(0).random((3, 16, 24))
    assert np.allclose(shrunk(x, 8), x.reshape(3, 8, 2, 8, 3).mean((2, 4)))
    assert shrunk(x, 32) is x


# Patients


def test_patients_across_parts():
    groups = np.array([f"p{i // 4}" for i in range(200)])
    data = dataset(blobs(200), groups=groups)
    assert found(data, "patients across splits")["level"] == "fine"
    groups[150:152] = "p1"
    one = found(data, "patients across splits")
    assert one["level"] == "error"
    assert one["images"] == [["p1", "train and test"]]
    assert "1 are in both train and test" in one["text"]
    alone = found(dataset(blobs(200)), "patients across splits")
    assert alone["level"] == "not run"
    assert "Nothing says which images are of the same patient" in alone["text"]


# Metadata


def test_a_marker_in_a_corner_is_found():
    images = blobs(300)
    marked = np.flatnonzero(np.arange(300) % 2)
    images[marked, :, :3, -3:] = 250
    one = found(dataset(images), "labels from the border")
    assert one["level"] == "error"
    assert one["figures"]["low"] > 0.95
    assert "can be told from the border alone: AUC 1.00" in one["text"]
    half = blobs(300)
    half[marked[::2], :, :3, -3:] = 250  # of half of the class
    assert found(dataset(half), "labels from the border")["level"] == "warning"


def test_without_a_marker_the_interval_holds_chance():
    held = 0
    for seed in range(10):
        one = found(dataset(blobs(200, seed=seed)), "labels from the border")
        assert one["level"] == "fine"
        held += one["figures"]["low"] < 0.5 < one["figures"]["high"]
    assert held >= 8


def test_columns_that_tell_the_label():
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 2, 400)
    north = draw.random(400) < np.where(labels == 1, 0.95, 0.05)
    columns = {
        "site": np.where(north, "north", "south"),
        "device": draw.choice(["A", "B", "C"], 400),
        "width": np.where(labels == 1, 1024.0, 512.0),
        "date": np.array([f"20{10 + k}-0{1 + i % 9}-01" for i, k in enumerate(labels * 3)]),
        "identifier": np.array([str(i) for i in range(400)]) + np.where(labels, "x", "y"),
        "constant": np.full(400, "same"),
    }
    data = dataset(blobs(400), labels, columns=columns)
    levels = {x["check"]: x["level"] for x in tg.plugins.walk("audit", data)}
    assert levels["labels from site"] == "error"
    assert levels["labels from device"] == "fine"
    assert levels["labels from width"] == "error"
    assert levels["labels from date"] == "error"
    assert "labels from identifier" not in levels and "labels from constant" not in levels


def test_a_column_that_only_names_patients_tells_nothing_of_others():
    """Each patient has one label and one device: who remembers patients would be right."""
    draw = np.random.default_rng(0)
    unit = np.repeat(np.arange(30), 10)
    labels = draw.permutation(np.arange(30) % 2)[unit]
    columns = {"device": np.array([f"d{k}" for k in unit])}
    alone = dataset(blobs(300), labels, columns=columns)
    assert found(alone, "labels from device")["level"] == "error"
    grouped = dataset(blobs(300), labels, columns=columns, groups=unit)
    assert found(grouped, "labels from device")["level"] == "fine"


@pytest.mark.parametrize("task", ["classes", "labels", "numbers"])
def test_labels_of_every_kind(task):
    draw = np.random.default_rng(0)
    hidden = draw.integers(0, 3, 300)
    labels = {
        "classes": hidden,
        "labels": np.eye(3, dtype=np.uint8)[hidden] | (draw.random((300, 3)) < 0.1),
        "numbers": hidden + draw.normal(0, 0.1, 300),
    }[task]
    classes = ("mm",) if task == "numbers" else ("a", "b", "c")
    columns = {"site": np.array(["n", "e", "s"])[hidden], "age": draw.normal(50, 9, 300)}
    data = dataset(blobs(300), labels, classes=classes, columns=columns)
    assert found(data, "labels from site")["figures"]["auc"] > 0.9
    assert found(data, "labels from age")["level"] == "fine"


def test_the_area_is_scikit_learns():
    draw = np.random.default_rng(0)
    score = draw.random((300, 3)).round(1)  # with ties
    positive = np.eye(3, dtype=int)[draw.integers(0, 3, 300)]
    value, low, high = metadata.area(score, positive, np.arange(300), 0)
    assert value == pytest.approx(roc_auc_score(positive, score, average="macro"), abs=1e-12)
    assert low < value < high


def test_the_interval_is_wider_where_images_belong_together():
    draw = np.random.default_rng(0)
    unit = np.repeat(np.arange(20), 20)
    positive = (np.arange(20) % 2)[unit][:, None]
    score = (positive[:, 0] + draw.normal(0, 2, 20)[unit])[:, None]
    narrow, wide = (metadata.area(score, positive, u, 0) for u in (np.arange(400), unit))
    assert wide[2] - wide[1] > 2 * (narrow[2] - narrow[1])


def test_without_scikit_learn_the_audit_says_what_is_missing(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "sklearn", None)
    one = found(dataset(blobs(100)), "labels from metadata")
    assert one["level"] == "not run"
    assert "pip install 'tensorgraph[study]'" in one["text"]


def test_too_little_to_say_anything():
    assert "20 images are too few" in found(dataset(blobs(20)), "labels from metadata")["text"]
    one = dataset(blobs(100), np.arange(100) // 99)
    assert "too few groups" in found(one, "labels from metadata")["text"]


@pytest.mark.slow
def test_sixty_thousand_images_in_seconds():
    import time

    data = dataset(blobs(60_000, side=28), splits={
        "train": np.arange(50_000), "test": np.arange(50_000, 60_000)
    })  # fmt: skip
    start = time.perf_counter()
    made = prints(data)
    pairs = duplicates.near(made, data.splits["train"], data.splits["test"])
    seconds = time.perf_counter() - start
    assert len(pairs) < 10
    assert findings.exact_duplicates(data, data.splits, made)["level"] == "fine"
    print(f"{seconds:.1f} s")
    assert seconds < 60
