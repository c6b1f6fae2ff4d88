"""Metrics and their intervals, against scikit-learn, published figures and known coverage."""

import math

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as oracle
from tensorgraph_train import intervals, scores
from tensorgraph_train.metrics import wilson

import tensorgraph as tg


def drawn(n, classes, seed=0, ties=False, present=None):
    """Random probabilities that lean towards random labels."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(present or classes, size=n)
    logits = generator.standard_normal((n, classes)) + 1.5 * np.eye(classes)[labels]
    found = scores.softmax(logits.round() if ties else logits)
    return found, labels


CASES = [(500, 2, False), (500, 2, True), (400, 7, False), (400, 7, True), (20, 3, False)]


@pytest.mark.parametrize(("n", "classes", "ties"), CASES)
def test_metrics_agree_with_scikit_learn(n, classes, ties):
    found, labels = drawn(n, classes, seed=n + classes, ties=ties)
    said = found.argmax(1)
    one_vs_rest = np.mean([oracle.roc_auc_score(labels == c, found[:, c]) for c in range(classes)])
    area = oracle.roc_auc_score(labels, found[:, 1]) if classes == 2 else one_vs_rest
    assert tg.metrics.accuracy(found, labels) == pytest.approx(
        oracle.accuracy_score(labels, said), abs=1e-9
    )
    assert tg.metrics.macro_f1(found, labels) == pytest.approx(
        oracle.f1_score(labels, said, average="macro"), abs=1e-9
    )
    assert tg.metrics.auc(found, labels) == pytest.approx(area, abs=1e-9)
    matrix = scores.confusion(said, labels, classes)["counts"]
    want = oracle.confusion_matrix(labels, said, labels=range(classes))
    np.testing.assert_array_equal(matrix, want)


def test_a_class_that_never_occurs_is_left_out():
    found, labels = drawn(200, 5, present=4)
    found[:, 4] = 0.0
    want = oracle.f1_score(labels, found.argmax(1), average="macro")
    assert tg.metrics.macro_f1(found, labels) == pytest.approx(want, abs=1e-9)
    areas = [oracle.roc_auc_score(labels == c, found[:, c]) for c in range(4)]
    assert tg.metrics.auc(found, labels) == pytest.approx(np.mean(areas), abs=1e-9)


def test_what_is_not_defined_is_none():
    found, _ = drawn(10, 2)
    evaluation = scores.figures(found, np.ones(10, np.int64), ("a", "b"), "test")
    assert evaluation["metrics"]["auc"] == {"value": None, "low": None, "high": None}
    assert evaluation["metrics"]["accuracy"]["value"] is not None


@pytest.mark.parametrize(("right", "n"), [(0, 10), (10, 10), (7, 10), (561, 624)])
def test_wilson_agrees_with_scipy(right, n):
    want = stats.binomtest(right, n).proportion_ci(0.95, method="wilson")
    assert wilson(right, n) == pytest.approx((want.low, want.high), abs=1e-12)


@pytest.mark.parametrize("name", ["auc", "macro_f1"])
def test_fast_intervals_agree_with_plain_resampling(name):
    found, labels = drawn(120, 3, ties=True)
    metric = tg.metrics[name]
    fast = metric.interval(found, labels, 0)
    assert fast == metric.interval(found, labels, 0), "the same seed gives the same interval"
    plain = intervals.any_metric(metric.value, found, labels, 0)
    assert fast == pytest.approx(plain, abs=1e-9), "the same resamples, another computation"
    assert fast[0] < metric(found, labels) < fast[1]


def test_auc_interval_is_as_wide_as_theory_says():
    """Hanley and McNeil (1982): for n = 300 a side and an area near 0.86."""
    generator = np.random.default_rng(5)
    labels = np.repeat([0, 1], 300)
    score = generator.standard_normal(600) + 1.5 * labels
    found = np.stack([-score, score], 1)
    area = tg.metrics.auc(found, labels)
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    variance = area * (1 - area) + 299 * (q1 - area**2) + 299 * (q2 - area**2)
    low, high = tg.metrics.auc.interval(found, labels, 0)
    assert high - low == pytest.approx(2 * 1.96 * math.sqrt(variance / 300**2), rel=0.15)


def test_a_strangers_metric_gets_an_interval():
    found, labels = drawn(100, 2)

    def share_of_first(scores, labels):
        return float((scores.argmax(1) == 0).mean())

    low, high = intervals.any_metric(share_of_first, found, labels, 0)
    assert low < share_of_first(found, labels) < high


def test_confusion_bounds_are_those_of_the_rows_shares():
    found = scores.confusion(np.array([0, 0, 1, 1]), np.array([0, 0, 0, 1]), 2)
    assert found["counts"] == [[2, 1], [0, 1]]
    assert (found["low"][0][0], found["high"][0][0]) == wilson(2, 3)
