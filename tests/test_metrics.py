"""The metrics against scikit-learn and SciPy, with ties, missing classes and constant scores."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as oracle
from sklearn.calibration import calibration_curve
from tensorgraph_metrics import counting, probabilities, resample
from tensorgraph_metrics.metric import wilson

import tensorgraph as tg

NAN = {"zero_division": np.nan}


def quietly(function, *arguments, **options):
    """scikit-learn warns of what is not defined."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*arguments, **options)


def balanced(y, said):
    return np.mean([(said[y == c] == c).mean() for c in np.unique(y)])


def one_vs_rest(y, p, classes):
    """scikit-learn's area of each class that has both sides."""
    columns = [1] if classes == 2 else range(classes)
    found = [oracle.roc_auc_score(y == c, p[:, c]) for c in columns if 0 < (y == c).sum() < len(y)]
    return np.mean(found) if found else math.nan


OF_CLASSES = {
    "accuracy": lambda y, p, s, c: oracle.accuracy_score(y, s),
    "balanced_accuracy": lambda y, p, s, c: balanced(y, s),
    "macro_f1": lambda y, p, s, c: oracle.f1_score(y, s, average="macro"),
    "kappa": lambda y, p, s, c: oracle.cohen_kappa_score(y, s),
    "mcc": lambda y, p, s, c: oracle.matthews_corrcoef(y, s),
    "brier": lambda y, p, s, c: oracle.brier_score_loss(
        y, p if c > 2 else p[:, 1], labels=range(c), **({"scale_by_half": False} if c > 2 else {})
    ),
    "auc": lambda y, p, s, c: one_vs_rest(y, p, c),
}
OF_TWO = {
    "sensitivity": lambda y, s: oracle.recall_score(y, s, **NAN),
    "specificity": lambda y, s: oracle.recall_score(y, s, pos_label=0, **NAN),
    "ppv": lambda y, s: oracle.precision_score(y, s, **NAN),
    "npv": lambda y, s: oracle.precision_score(y, s, pos_label=0, **NAN),
    "f1": lambda y, s: oracle.f1_score(y, s, **NAN),
}


@st.composite
def classified(draw, classes=None):
    """Probabilities of few levels, so that many are equal, some of classes that do not occur."""
    classes = classes or draw(st.integers(2, 5))
    n = draw(st.integers(1, 40))
    present = draw(st.integers(1, classes))
    labels = np.array(draw(st.lists(st.integers(0, present - 1), min_size=n, max_size=n)))
    if draw(st.booleans()):
        raw = np.ones((n, classes))
    else:
        row = st.lists(st.integers(0, 3), min_size=classes, max_size=classes)
        raw = np.array(draw(st.lists(row, min_size=n, max_size=n)), float) + 0.25
    return raw / raw.sum(1, keepdims=True), labels


@settings(deadline=None, max_examples=60)
@given(classified())
def test_classes_agree_with_scikit_learn(case):
    found, labels = case
    said, classes = found.argmax(1), found.shape[1]
    for name, function in OF_CLASSES.items():
        want = quietly(function, labels, found, said, classes)
        assert tg.metrics[name](found, labels) == pytest.approx(want, abs=1e-9, nan_ok=True), name


@settings(deadline=None, max_examples=60)
@given(classified(classes=2))
def test_two_classes_agree_with_scikit_learn(case):
    found, labels = case
    for name, function in OF_TWO.items():
        want = quietly(function, labels, found.argmax(1))
        assert tg.metrics[name](found, labels) == pytest.approx(want, abs=1e-9, nan_ok=True), name


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 30), st.integers(1, 4), st.integers(0, 2**32 - 1), st.booleans())
def test_several_labels_agree_with_scikit_learn(n, several, seed, ties):
    generator = np.random.default_rng(seed)
    labels = (generator.random((n, several)) < 0.4).astype(np.uint8)
    found = generator.random((n, several)).round(1 if ties else 9)
    said = (found >= 0.5).astype(int)
    each = range(several)

    def mean(function):
        with np.errstate(all="ignore"):
            values = [quietly(function, labels[:, k], said[:, k]) for k in each]
            return quietly(np.nanmean, values)

    areas = [
        oracle.roc_auc_score(labels[:, k], found[:, k]) for k in each if len({*labels[:, k]}) > 1
    ]
    want = {
        "accuracy": (labels == said).mean(),
        "auc": np.mean(areas) if areas else math.nan,
        "balanced_accuracy": mean(balanced),
        "brier": np.mean([oracle.brier_score_loss(labels[:, k], found[:, k]) for k in each]),
        "f1": mean(lambda y, s: oracle.f1_score(y, s, **NAN)),
        "kappa": mean(oracle.cohen_kappa_score),
        "mcc": mean(oracle.matthews_corrcoef),
    }
    for name, value in want.items():
        got = tg.metrics[name](found, labels)
        assert got == pytest.approx(value, abs=1e-9, nan_ok=True), name


@settings(deadline=None)
@given(st.integers(2, 40), st.integers(0, 2**32 - 1), st.sampled_from([0.0, 1.0, 1e6]))
def test_measured_numbers_agree_with_scikit_learn(n, seed, offset):
    generator = np.random.default_rng(seed)
    measured = generator.standard_normal(n) * 10 + offset
    predicted = measured + generator.standard_normal(n)
    want = {
        "mae": oracle.mean_absolute_error(measured, predicted),
        "rmse": oracle.root_mean_squared_error(measured, predicted),
        "r2": oracle.r2_score(measured, predicted),
    }
    for name, value in want.items():
        assert tg.metrics[name](predicted, measured) == pytest.approx(value, rel=1e-9, abs=1e-9)


def test_nothing_varies_and_nothing_is_there():
    assert math.isnan(tg.metrics.r2(np.array([1.0, 2.0]), np.array([3.0, 3.0])))
    for name in ("accuracy", "auc", "brier", "ece", "macro_f1", "sensitivity"):
        assert math.isnan(tg.metrics[name](np.zeros((0, 2)), np.zeros(0, np.int64))), name
    for name in ("mae", "rmse", "r2"):
        assert math.isnan(tg.metrics[name](np.zeros(0), np.zeros(0))), name


@pytest.mark.parametrize("classes", [2, 4])
def test_calibration_error_agrees_with_scikit_learns_curve(classes):
    generator = np.random.default_rng(classes)
    found, labels = (
        generator.dirichlet(np.ones(classes), 500),
        generator.integers(classes, size=500),
    )
    claimed = found[:, 1] if classes == 2 else found.max(1)
    so = labels == 1 if classes == 2 else found.argmax(1) == labels
    share, mean = calibration_curve(so, claimed, n_bins=probabilities.BINS)
    bins = probabilities.bins(found, labels)
    assert [b["share"] for b in bins] == pytest.approx(share, abs=1e-12)
    assert [b["probability"] for b in bins] == pytest.approx(mean, abs=1e-12)
    counts = np.array([b["n"] for b in bins])
    assert counts.sum() == 500
    want = (np.abs(share - mean) * counts).sum() / 500
    assert tg.metrics.ece(found, labels) == pytest.approx(want, abs=1e-12)


@pytest.mark.parametrize(("right", "n"), [(0, 10), (10, 10), (7, 10), (561, 624)])
def test_wilson_agrees_with_scipy(right, n):
    want = stats.binomtest(right, n).proportion_ci(0.95, method="wilson")
    assert wilson(right, n) == pytest.approx((want.low, want.high), abs=1e-12)
    labels = np.r_[np.ones(right), np.zeros(n - right)].astype(int)
    interval = tg.metrics.accuracy.interval(np.tile([0.2, 0.8], (n, 1)), labels)
    assert interval == (*wilson(right, n), "Wilson")


def drawn(n, classes, seed=0):
    """Random probabilities that lean towards random labels."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(classes, size=n)
    raw = np.exp(generator.standard_normal((n, classes)) + 1.5 * np.eye(classes)[labels])
    return raw / raw.sum(1, keepdims=True), labels


@pytest.mark.parametrize("name", ["macro_f1", "kappa", "mcc", "brier", "ece"])
@pytest.mark.parametrize("grouped", [False, True])
def test_fast_intervals_agree_with_plain_resampling(name, grouped):
    found, labels = drawn(240, 3)
    groups = np.arange(240) // 4 if grouped else None
    metric = tg.metrics[name]
    fast = metric.interval(found, labels, groups)
    assert fast == metric.interval(found, labels, groups), "the same images, the same interval"
    plain = resample.any_metric(metric, found, labels, groups)
    width = plain.high - plain.low
    assert fast[:2] == pytest.approx(plain[:2], abs=width / 10), "other draws of the same kind"


def test_images_of_a_patient_are_drawn_together():
    """Ten equal images each tell no more than one: the interval is that of the patients."""
    found, labels = drawn(60, 2)
    many = np.repeat(np.arange(60), 10)
    for name in ("accuracy", "sensitivity", "mcc", "brier", "ece"):
        metric = tg.metrics[name]
        once = resample.any_metric(metric, found, labels)
        patients = metric.interval(found[many], labels[many], many)
        images = metric.interval(found[many], labels[many])
        width = once.high - once.low
        assert patients[:2] == pytest.approx(once[:2], abs=width / 10), name
        assert images.high - images.low < width / 2, name


def test_a_share_of_one_is_not_certain_however_many_images_a_patient_has():
    """Ten patients of ten, each with 20 images, say what ten images would."""
    labels = np.repeat(np.arange(20) % 2, 20)
    found, patients = np.eye(2)[labels], np.repeat(np.arange(20), 20)
    interval = tg.metrics.sensitivity.interval(found, labels, patients)
    assert interval[:2] == pytest.approx(wilson(10, 10))
    several = tg.metrics.accuracy.interval(found, np.eye(2)[labels].astype(np.uint8))
    assert several[:2] == pytest.approx(wilson(400, 400)), "two labels of an image are not two"


@pytest.mark.slow
def test_the_interval_of_a_share_covers_the_truth_where_images_are_alike():
    generator, inside = np.random.default_rng(0), 0
    patients = np.repeat(np.arange(40), 8)
    for _ in range(1000):
        skill = generator.beta(6, 2, 40)[patients]
        right = (generator.random(320) < skill).astype(int)
        low, high, _ = tg.metrics.sensitivity.interval(
            np.eye(2)[right], np.ones(320, int), patients
        )
        inside += low <= 0.75 <= high
    assert 0.93 < inside / 1000 < 0.975


def test_a_strangers_metric_gets_an_interval():
    found, labels = drawn(100, 2)

    def share_of_first(scores, labels):
        return float((scores.argmax(1) == 0).mean())

    low, high, method = resample.any_metric(share_of_first, found, labels)
    assert low < share_of_first(found, labels) < high
    assert method == "bootstrap"


def test_predictive_values_at_a_prevalence_follow_bayes():
    """Sensitivity 0.9 and specificity 0.8: of 1,000 people of whom 100 are ill 90 + 180 are called
    ill, and 10 + 720 are not."""
    labels = np.r_[np.ones(10), np.zeros(10)].astype(int)
    said = np.r_[np.ones(9), 0, np.ones(2), np.zeros(8)].astype(int)
    made = counting.predictive(0.1)
    assert made["ppv"](np.eye(2)[said], labels) == pytest.approx(90 / 270)
    assert made["npv"](np.eye(2)[said], labels) == pytest.approx(720 / 730)
    low, high, _ = made["ppv"].interval(np.eye(2)[said], labels)
    assert low < 90 / 270 < high


@pytest.mark.parametrize("name", ["kappa", "mcc"])
def test_large_counts_do_not_overflow(name):
    """n⁴ of two million is more than 64 bits hold."""
    labels = np.arange(2_000_000) % 2
    found = np.eye(2)[np.where(np.arange(len(labels)) // 2 % 10 == 0, 1 - labels, labels)]
    assert tg.metrics[name](found, labels) == pytest.approx(0.8, abs=1e-9)
