"""evaluation.json: figures at the threshold, classes, subgroups, the curves, the baseline."""

import json

import numpy as np
import pytest
from sklearn import metrics as oracle
from tensorgraph_metrics import evaluation, subgroups
from tensorgraph_metrics.decision import settle

import tensorgraph as tg


def two_classes(n=300, seed=0):
    """Outputs for two classes, labels, and what is settled on them."""
    generator = np.random.default_rng(seed)
    labels = (generator.random(n) < 0.3).astype(np.int64)
    outputs = np.stack([0 * labels, 3 * labels - 2], 1) + generator.standard_normal((n, 2))
    classes = ("healthy", "ill")
    return outputs, labels, settle(outputs, labels, labels, classes, "classification"), classes


def evaluated(outputs, labels, decision, classes, task="classification", **options):
    scores = tg.plugins.walk("probabilities", outputs, task, decision["temperature"])
    found = evaluation.evaluate(
        scores, labels, classes, split="test", task=task, decision=decision, **options
    )
    json.dumps(found, allow_nan=False)
    return scores, found


def test_figures_at_the_threshold():
    outputs, labels, decision, classes = two_classes()
    scores, found = evaluated(outputs, labels, decision, classes)
    said = scores[:, 1] >= decision["threshold"]
    at = found["at_threshold"]
    assert at["sensitivity"]["value"] == pytest.approx(oracle.recall_score(labels, said))
    assert at["accuracy"]["value"] == pytest.approx(oracle.accuracy_score(labels, said))
    assert at["kappa"]["value"] == pytest.approx(oracle.cohen_kappa_score(labels, said))
    assert found["confusion"]["counts"] == oracle.confusion_matrix(labels, said).tolist()
    assert found["metrics"]["accuracy"]["value"] == pytest.approx(
        (scores.argmax(1) == labels).mean()
    )
    assert "auc" not in at, "it has no threshold"
    assert found["threshold"] == {
        "value": decision["threshold"],
        "rule": "youden",
        "chosen_on": "val",
        "positive": "ill",
    }
    assert found["metrics"]["auc"]["method"] == "DeLong"
    assert found["metrics"]["auc"]["bootstrap"]["low"] < found["metrics"]["auc"]["value"]
    assert found["metrics"]["accuracy"]["method"] == "Wilson"
    assert "mae" not in found["metrics"], "it is for measured numbers"


def test_another_positive_class_swaps_sensitivity_and_specificity():
    outputs, labels, _, classes = two_classes()
    found = []
    for positive in classes:
        decision = settle(outputs, labels, labels, classes, "classification", positive=positive)
        decision["threshold"] = 0.5
        found.append(evaluated(outputs, labels, decision, classes)[1])
    healthy, ill = (f["at_threshold"] for f in found)
    assert healthy["sensitivity"] == ill["specificity"]
    assert healthy["npv"] == ill["ppv"]
    assert found[0]["confusion"] == found[1]["confusion"], "rows and columns are in one order"
    assert found[0]["metrics"]["auc"]["value"] == pytest.approx(found[1]["metrics"]["auc"]["value"])


def test_predictive_values_at_a_prevalence():
    outputs, labels, decision, classes = two_classes()
    _, found = evaluated(outputs, labels, decision, classes, prevalence=0.01)
    at = found["at_threshold"]
    caught, spared = at["sensitivity"]["value"], at["specificity"]["value"]
    want = 0.01 * caught / (0.01 * caught + 0.99 * (1 - spared))
    assert found["at_prevalence"]["ppv"]["value"] == pytest.approx(want)
    assert found["at_prevalence"]["ppv"]["value"] < at["ppv"]["value"]


def test_the_decision_curve_follows_its_definition():
    """Of ten patients four are ill; at 0.5 three of them and one other are called so: 3/10 less
    1/10 times the odds of 1."""
    labels = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 0])
    scores = np.array([0.9, 0.8, 0.7, 0.2, 0.6, 0.1, 0.1, 0.1, 0.1, 0.1])
    curve = evaluation.decision_curve(scores, labels == 1)
    at = curve["threshold"].index(0.5)
    assert curve["model"][at] == pytest.approx(0.3 - 0.1)
    assert curve["all"][at] == pytest.approx(0.4 - 0.6)
    quarter = curve["threshold"].index(0.25)
    assert curve["model"][quarter] == pytest.approx(0.3 - 0.1 / 3)


def test_calibration_is_shown_before_and_after():
    outputs, labels, decision, classes = two_classes()
    too_sure = {**decision, **settle(outputs * 6, labels, labels, classes, "classification")}
    before = tg.plugins.walk("probabilities", outputs * 6, "classification")
    _, found = evaluated(outputs * 6, labels, too_sure, classes, uncalibrated=before)
    assert found["calibration"]["temperature"] > 3
    assert found["calibration"]["before"]["brier"] > found["metrics"]["brier"]["value"]
    assert sum(b["n"] for b in found["calibration"]["bins"]) == len(labels)


def test_the_baseline_says_what_training_has_most_of():
    outputs, labels, decision, classes = two_classes()
    _, found = evaluated(outputs, labels, decision, classes)
    assert found["baseline"]["rule"] == "always healthy"
    assert found["baseline"]["metrics"]["accuracy"]["value"] == pytest.approx((labels == 0).mean())


def test_subgroups_have_their_own_figures():
    outputs, labels, decision, classes = two_classes()
    n = len(labels)
    columns = {
        "site": np.where(np.arange(n) % 3, "north", "south"),
        "age": np.linspace(1, 90, n),
        "name": np.array([f"p{i}" for i in range(n)]),
        "constant": np.array(["x"] * n),
    }
    scores, found = evaluated(outputs, labels, decision, classes, columns=columns)
    assert [*found["subgroups"]] == ["site", "age"], "neither names nor constants"
    south = np.arange(n) % 3 == 0
    row = found["subgroups"]["site"]["south"]
    assert row["n"] == south.sum()
    want = oracle.roc_auc_score(labels[south], scores[south, 1])
    assert row["metrics"]["auc"]["value"] == pytest.approx(want)
    said = scores[:, 1] >= decision["threshold"]
    want = oracle.recall_score(labels[south], said[south])
    assert row["metrics"]["sensitivity"]["value"] == pytest.approx(want)


def test_bands():
    ages = np.array([3, 17, 18, 39, 40, 64, 65, 90, np.nan])
    bands = {name: inside.nonzero()[0].tolist() for name, inside in subgroups.members("age", ages)}
    assert bands == {
        "below 18": [0, 1],
        "18 to below 40": [2, 3],
        "40 to below 65": [4, 5],
        "65 and over": [6, 7],
        "not known": [8],
    }
    texts = {name: i.sum() for name, i in subgroups.members("sex", np.array(["F", "M", "", "F"]))}
    assert texts == {"F": 2, "M": 1, "not known": 1}
    assert [name for name, _ in subgroups.members("grade", np.array([1, 2, 2]))] == ["1", "2"]
    thirds = [i.sum() for _, i in subgroups.members("dose", np.arange(30.0))]
    assert thirds == [10, 10, 10]


def test_patients_are_drawn_and_said():
    outputs, labels, decision, classes = two_classes()
    alike = np.repeat(np.arange(100), 3)
    _, patients = evaluated(outputs[alike], labels[alike], decision, classes, groups=alike)
    _, images = evaluated(outputs[alike], labels[alike], decision, classes)
    assert (patients["resampled_by"], images["resampled_by"]) == ("patient", "image")
    for name in ("auc", "accuracy", "sensitivity", "mcc"):
        place = "metrics" if name == "auc" else "at_threshold"
        wide, narrow = (f[place][name]["high"] - f[place][name]["low"] for f in (patients, images))
        assert wide > 1.3 * narrow, name


def test_each_class_against_the_rest():
    generator = np.random.default_rng(4)
    labels = generator.integers(3, size=200)
    outputs = 2 * np.eye(3)[labels] + generator.standard_normal((200, 3))
    decision = settle(outputs, labels, labels, ("a", "b", "c"), "classification")
    scores, found = evaluated(outputs, labels, decision, ("a", "b", "c"))
    assert found["threshold"] is None
    row = found["per_class"]["b"]["metrics"]
    want = oracle.roc_auc_score(labels == 1, scores[:, 1])
    assert row["auc"]["value"] == pytest.approx(want)
    want = oracle.recall_score(labels == 1, scores.argmax(1) == 1)
    assert row["sensitivity"]["value"] == pytest.approx(want)


def test_several_labels_an_image():
    generator = np.random.default_rng(5)
    labels = (generator.random((200, 3)) < 0.3).astype(np.uint8)
    outputs = 2.0 * labels - 1 + generator.standard_normal((200, 3))
    classes = ("a", "b", "c")
    decision = settle(outputs, labels, labels, classes, "multilabel")
    scores, found = evaluated(outputs, labels, decision, classes, "multilabel")
    said = scores >= np.array([*decision["threshold"].values()])
    row = found["per_class"]["c"]["metrics"]
    assert row["sensitivity"]["value"] == pytest.approx(
        oracle.recall_score(labels[:, 2], said[:, 2])
    )
    assert found["at_threshold"]["accuracy"]["value"] == pytest.approx((said == labels).mean())
    assert found["confusion"] is None
    assert found["baseline"]["rule"] == "always none"


def test_measured_numbers():
    generator = np.random.default_rng(6)
    labels = generator.uniform(20, 80, 100)
    outputs = (labels + generator.standard_normal(100))[:, None]
    decision = settle(outputs, labels, labels, ("age",), "regression")
    _, found = evaluated(outputs, labels, decision, ("age",), "regression")
    assert {*found["metrics"]} >= {"mae", "rmse", "r2"}
    assert "accuracy" not in found["metrics"]
    want = oracle.mean_absolute_error(labels, np.full(100, labels.mean()))
    assert found["baseline"]["metrics"]["mae"]["value"] == pytest.approx(want)
    assert found["calibration"] is found["per_class"] is found["decision_curve"] is None


def test_what_is_not_defined_is_none():
    outputs, _, decision, classes = two_classes()
    _, found = evaluated(outputs[:10], np.ones(10, np.int64), decision, classes)
    row = found["metrics"]["auc"]
    assert (row["value"], row["low"], row["high"]) == (None, None, None)
    assert found["metrics"]["accuracy"]["value"] is not None
    assert found["at_threshold"]["specificity"]["value"] is None


def test_confusion_bounds_are_those_of_the_rows_shares():
    found = evaluation.confusion(np.array([0, 0, 1, 1]), np.array([0, 0, 0, 1]), 2)
    assert found["counts"] == [[2, 1], [0, 1]]
    assert (found["low"][0][0], found["high"][0][0]) == evaluation.wilson(2, 3)
