"""What is settled on validation: the temperature, the threshold, the positive class."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, special
from sklearn import metrics as oracle
from tensorgraph_metrics import decision


def test_probabilities_agree_with_scipy():
    outputs = np.random.default_rng(0).standard_normal((50, 4)) * 300
    found = decision.probabilities(outputs, "classification", 2.0)
    np.testing.assert_allclose(found, special.softmax(outputs / 2, 1), atol=1e-12)
    several = decision.probabilities(outputs, "multilabel", 2.0)
    np.testing.assert_allclose(several, special.expit(outputs / 2), atol=1e-12)
    np.testing.assert_array_equal(
        decision.probabilities(outputs[:, :1], "regression"), outputs[:, 0]
    )


@pytest.mark.parametrize("task", ["classification", "multilabel"])
@pytest.mark.parametrize("scale", [0.3, 1.0, 5.0])
def test_the_temperature_is_the_most_likely_one(task, scale):
    """Outputs that are ``scale`` times too large, and SciPy's minimum of the log loss."""
    generator = np.random.default_rng(1)
    honest = generator.standard_normal((2000, 3)) * 2
    if task == "classification":
        labels = (special.softmax(honest, 1).cumsum(1) < generator.random((2000, 1))).sum(1)
    else:
        labels = (generator.random(honest.shape) < special.expit(honest)).astype(np.uint8)

    def loss(temperature):
        p = decision.probabilities(honest * scale, task, temperature)
        if task == "classification":
            return oracle.log_loss(labels, p, labels=range(3))
        return np.mean([oracle.log_loss(labels[:, k], p[:, k]) for k in range(3)])

    found = decision.temperature(honest * scale, labels, task)
    want = optimize.minimize_scalar(
        loss, bounds=(0.01, 50), method="bounded", options={"xatol": 1e-6}
    )
    assert found == pytest.approx(want.x, rel=1e-3)
    assert found == pytest.approx(scale, rel=0.1)


def test_where_nothing_is_wrong_nothing_is_scaled():
    outputs = np.array([[5.0, 0], [0, 5]])
    assert decision.temperature(outputs, np.array([0, 1]), "classification") == 1
    assert decision.temperature(np.zeros((0, 2)), np.zeros(0, int), "classification") == 1


SCORES = st.lists(st.integers(0, 6), min_size=2, max_size=30)


@settings(deadline=None)
@given(SCORES, st.data())
def test_youden_agrees_with_scikit_learns_curve(levels, data):
    scores = np.array(levels) / 6
    coin = st.booleans()
    positive = np.array(data.draw(st.lists(coin, min_size=len(levels), max_size=len(levels))))
    found = decision.threshold(scores, positive, "youden")
    if positive.all() or not positive.any():
        assert found == 0.5
        return
    alarms, hits, _ = oracle.roc_curve(positive, scores, drop_intermediate=False)
    called = scores >= found
    own = called[positive].mean() - called[~positive].mean()
    assert own == pytest.approx((hits - alarms).max())


@settings(deadline=None)
@given(SCORES, st.floats(0.05, 1), st.data())
def test_a_required_sensitivity_is_had_and_no_higher_threshold_has_it(levels, least, data):
    scores = np.array(levels) / 6
    coin = st.booleans()
    positive = np.array(data.draw(st.lists(coin, min_size=len(levels), max_size=len(levels))))
    if positive.all() or not positive.any():
        return
    found = decision.threshold(scores, positive, {"sensitivity": least})
    assert (scores[positive] >= found).mean() >= least - 1e-9
    above = scores[scores > found]
    higher = np.unique(above)[1:] if len(np.unique(above)) > 1 else [math.inf]
    assert (scores[positive] >= higher[0]).mean() < least


def balanced(positive, said):
    return (said[positive].mean() + 1 - said[~positive].mean()) / 2


def settled(outputs, labels, classes, task="classification", **options):
    return decision.settle(outputs, labels, labels, classes, task, **options)


def test_the_positive_class_is_the_second_unless_another_is_named():
    generator = np.random.default_rng(2)
    labels = np.arange(100) % 2
    outputs = np.stack([-labels, labels], 1) + generator.standard_normal((100, 2))
    found = settled(outputs, labels, ("malignant", "benign"))
    assert (found["positive"], found["rule"], found["chosen_on"]) == ("benign", "youden", "val")
    other = settled(outputs, labels, ("malignant", "benign"), positive="malignant")
    scores = decision.probabilities(outputs, "classification", found["temperature"])
    one, two = scores[:, 1] >= found["threshold"], scores[:, 0] >= other["threshold"]
    assert balanced(labels == 1, one) == pytest.approx(balanced(labels == 0, two))


def test_without_validation_nothing_is_chosen():
    found = decision.settle(
        None, np.zeros(0, int), np.array([1, 1, 0]), ("a", "b"), "classification"
    )
    want = {"temperature": 1.0, "threshold": 0.5, "rule": "0.5", "chosen_on": None, "majority": "b"}
    assert {key: found[key] for key in want} == want


def test_each_of_several_labels_has_its_threshold():
    generator = np.random.default_rng(3)
    labels = (generator.random((200, 2)) < [0.1, 0.6]).astype(np.uint8)
    outputs = 2.0 * labels + generator.standard_normal((200, 2)) - [2, 0]
    found = settled(outputs, labels, ("a", "b"), "multilabel", rule={"sensitivity": 0.9})
    assert found["rule"] == "sensitivity >= 0.9"
    assert found["majority"] == ["b"]
    scores = decision.probabilities(outputs, "multilabel", found["temperature"])
    for k, name in enumerate(("a", "b")):
        assert (scores[labels[:, k] > 0, k] >= found["threshold"][name]).mean() >= 0.9


def test_of_measured_numbers_only_the_mean_is_noted():
    found = decision.settle(
        np.ones((3, 1)), np.ones(3), np.array([1.0, 2, 6]), ("age",), "regression"
    )
    assert (found["majority"], found["threshold"], found["temperature"]) == (3.0, None, 1.0)
