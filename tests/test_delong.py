"""DeLong's interval and paired test: the worked example of his paper, the plain definition, many
images, extremes, and images that belong together."""

import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensorgraph_metrics import resample, roc

# DeLong, DeLong and Clarke-Pearson (1988): women with ovarian cancer and an intestinal obstruction;
# albumin, total protein and the K-G score before surgery, and whether that helped (43 of the 49
# have all three). The figures of SAS for them (SAS/STAT User's Guide, PROC LOGISTIC, "Comparing
# Receiver Operating Characteristic Curves").
PATIENTS = """
3.0 5.8 10 0   3.2 6.3  5 1   3.9 6.8  3 1   2.8 4.8  6 0   3.2 5.8  3 1   0.9 4.0  5 0
2.5 5.7  8 0   1.6 5.6  5 1   3.8 5.7  5 1   3.7 6.7  6 1   3.2 5.4  4 1   3.8 6.6  6 1
4.1 6.6  5 1   3.6 5.7  5 1   4.3 7.0  4 1   3.6 6.7  4 0   2.3 4.4  6 1   4.2 7.6  4 0
4.0 6.6  6 0   3.5 5.8  6 1   3.8 6.8  7 1   3.0 4.7  8 0   4.5 7.4  5 1   3.7 7.4  5 1
3.1 6.6  6 1   4.1 8.2  6 1   4.3 7.0  5 1   4.3 6.5  4 1   3.2 5.1  5 1   2.6 4.7  6 1
3.3 6.8  6 0   1.7 4.0  7 0   3.7 6.1  5 1   3.3 6.3  7 1   4.2 7.7  6 1   3.5 6.2  5 1
2.9 5.7  9 0   2.1 4.8  7 1   2.8 6.2  8 0   4.0 7.0  7 1   3.3 5.7  6 1   3.7 6.9  5 1
3.6 6.6  5 1
"""
ALBUMIN, PROTEIN, KG, HELPED = np.array(PATIENTS.split(), float).reshape(-1, 4).T
KG = 10 - KG
HELPED = HELPED.astype(int)


def two(score):
    """As a classifier of two classes gives it."""
    return np.stack([-score, score], 1)


def plain(scores, positive):
    """Area and variance by the definition: every positive against every negative."""
    wins = np.sign(scores[positive][:, None] - scores[~positive]) / 2 + 0.5
    m, n = wins.shape
    return wins.mean(), wins.mean(1).var(ddof=1) / m + wins.mean(0).var(ddof=1) / n


@pytest.mark.parametrize(
    ("score", "area", "error", "low", "high"),
    [
        (ALBUMIN, 0.7366, 0.0927, 0.5549, 0.9182),
        (KG, 0.7258, 0.1028, 0.5243, 0.9273),
        (PROTEIN, 0.6478, 0.1000, 0.4518, 0.8439),
    ],
)
def test_the_worked_example(score, area, error, low, high):
    found, own = roc.deviations(score, HELPED)
    assert (found, math.sqrt(np.square(own).sum())) == pytest.approx((area, error), abs=5e-5)
    interval = roc.delong(two(score), HELPED)
    assert interval[:2] == pytest.approx((low, high), abs=5e-5)
    assert interval.method == "DeLong"


@pytest.mark.parametrize(
    ("score", "difference", "low", "high", "p"),
    [(ALBUMIN, 0.0108, -0.1761, 0.1976, 0.9102), (PROTEIN, -0.0780, -0.2830, 0.1271, 0.4561)],
)
def test_the_worked_example_of_a_difference(score, difference, low, high, p):
    found = roc.paired(two(KG), two(score), HELPED)
    assert found["second"] - found["first"] == pytest.approx(found["difference"])
    row = [found[key] for key in ("difference", "low", "high", "p")]
    assert row == pytest.approx([difference, low, high, p], abs=5e-5)


FEW = st.integers(0, 4)  # so that many are equal


@given(st.lists(FEW, min_size=2, max_size=30), st.lists(FEW, min_size=2, max_size=30))
def test_the_fast_way_agrees_with_the_definition(ones, zeros):
    scores = np.array([*ones, *zeros], float)
    positive = np.arange(len(scores)) < len(ones)
    area, own = roc.deviations(scores, positive)
    want = plain(scores, positive)
    assert (area, np.square(own).sum()) == pytest.approx(want, abs=1e-12)
    low, high, _ = roc.delong(two(scores), positive.astype(int))
    assert 0 <= low <= area + 1e-12
    assert area - 1e-12 <= high <= 1


def test_the_difference_agrees_with_the_definition():
    generator = np.random.default_rng(1)
    positive = generator.random(60) < 0.4
    a = generator.standard_normal(60).round(1) + positive
    b = a + generator.standard_normal(60).round(1)
    wins = [np.sign(s[positive][:, None] - s[~positive]) / 2 + 0.5 for s in (a, b)]
    difference = wins[1] - wins[0]
    m, n = difference.shape
    variance = difference.mean(1).var(ddof=1) / m + difference.mean(0).var(ddof=1) / n
    found = roc.paired(two(a), two(b), positive.astype(int))
    assert found["difference"] == pytest.approx(difference.mean(), abs=1e-12)
    assert found["high"] - found["low"] == pytest.approx(2 * 1.959964 * math.sqrt(variance), 1e-6)


def test_many_images_neither_overflow_nor_take_long():
    """A million images have 2.5e11 pairs, more than fit a matrix or 32 bits."""
    generator = np.random.default_rng(0)
    labels = np.arange(1_000_000) % 2
    score = generator.standard_normal(len(labels)) + labels
    start = time.perf_counter()
    low, high, _ = roc.delong(two(score), labels)
    assert time.perf_counter() - start < 20
    assert low < 0.760250 < high, "the normal distribution at 1/√2"
    assert high - low < 0.003


def test_perfect_scores_stay_within_bounds():
    labels = np.arange(20) % 2
    assert roc.delong(two(labels.astype(float)), labels)[:2] == (1, 1)
    nearly = labels + np.where(np.arange(20) == 0, 1.0, 0.0)
    _, high, _ = roc.delong(two(nearly), labels)
    assert high == 1, "not above"
    same = roc.paired(two(nearly), two(nearly), labels)
    assert (same["difference"], same["p"]) == (0, 1)


@pytest.mark.parametrize("labels", [[1, 1, 1, 1], [0, 0, 0, 1]])
def test_too_few_of_a_side_have_no_interval(labels):
    score = two(np.arange(4.0))
    assert math.isnan(roc.delong(score, np.array(labels)).low)
    found = roc.paired(score, score, np.array(labels))
    assert all(math.isnan(found[key]) for key in ("low", "high", "p"))


def test_patients_count_once_however_many_images_they_have():
    """Each patient's image ten times over says no more than once: the interval stays, where one
    that took images for independent would be √10 narrower."""
    generator = np.random.default_rng(2)
    labels = np.arange(80) % 2
    score = generator.standard_normal(80) + labels
    once = roc.delong(two(score), labels)
    many, groups = np.repeat(np.arange(80), 10), np.repeat(np.arange(80), 10).astype(str)
    clustered = roc.delong(two(score[many]), labels[many], groups)
    assert clustered[:2] == pytest.approx(once[:2], abs=1e-9)
    blind = roc.delong(two(score[many]), labels[many])
    assert blind.high - blind.low == pytest.approx((once.high - once.low) / math.sqrt(10), rel=0.02)
    resampled = roc.bootstrap(two(score[many]), labels[many], groups)
    assert resampled[:2] == pytest.approx(once[:2], abs=0.02)


@pytest.mark.slow
def test_the_interval_covers_the_truth():
    """Of 95 % intervals of the same experiment about 95 % hold the true area, also where each of
    40 patients has images of both kinds that are alike."""
    generator, inside, drawn = np.random.default_rng(3), 0, 400
    groups = np.repeat(np.arange(40), 6)
    for _ in range(drawn):
        labels = generator.integers(2, size=240)
        patient = generator.standard_normal(40)[groups]
        score = labels + patient + generator.standard_normal(240)
        low, high, _ = roc.delong(two(score), labels, groups)
        inside += low < 0.691462 < high  # the normal distribution at 1 / 2
    assert 0.92 < inside / drawn < 0.98


def test_resamples_are_the_same_each_time():
    generator = np.random.default_rng(4)
    labels, score = np.arange(50) % 2, generator.standard_normal(50)
    assert roc.bootstrap(two(score), labels) == roc.bootstrap(two(score), labels)
    counted = resample.counts(labels, 2, None)
    assert counted.shape == (resample.RESAMPLES, 2)
    assert counted.sum(1).tolist() == [50] * resample.RESAMPLES
