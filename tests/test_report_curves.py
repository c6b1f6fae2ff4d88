"""What the curves of the report are made of, beside scikit-learn and SciPy."""

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.calibration import calibration_curve
from sklearn.metrics import precision_recall_curve, roc_curve
from tensorgraph_report.operating import calibration, rates, wilson


@pytest.fixture(params=[0, 1, 2])
def scored(request):
    """Truth and probabilities; the third has many equal ones."""
    generator = np.random.default_rng(request.param)
    truth = generator.integers(0, 2, 200)
    p = np.clip(0.3 * truth + 0.7 * generator.random(200), 0, 1)
    return truth, np.round(p, 1) if request.param == 2 else p


def test_rates_are_those_of_the_roc_curve(scored):
    found = rates(*scored)
    false, true, thresholds = roc_curve(*scored, drop_intermediate=False)
    np.testing.assert_allclose(found.fall_out, false, atol=1e-12)
    np.testing.assert_allclose(found.sensitivity, true, atol=1e-12)
    np.testing.assert_allclose(found.threshold, thresholds)


def test_precision_is_that_of_the_precision_recall_curve(scored):
    found = rates(*scored)
    precision, recall, _ = precision_recall_curve(*scored)
    np.testing.assert_allclose(found.precision[::-1], precision, atol=1e-12)
    np.testing.assert_allclose(found.sensitivity[::-1], recall, atol=1e-12)


def test_bins_are_those_of_the_calibration_curve(scored):
    truth, p = scored
    bins = calibration(truth, np.where(p == np.round(p, 1), p + 1e-9, p) % 1)
    found, said = calibration_curve(
        truth, np.where(p == np.round(p, 1), p + 1e-9, p) % 1, n_bins=10
    )
    np.testing.assert_allclose([b.found for b in bins], found)
    np.testing.assert_allclose([b.said for b in bins], said)
    assert sum(b.n for b in bins) == len(p)


@pytest.mark.parametrize(("successes", "n"), [(0, 7), (3, 10), (50, 50), (400, 1000)])
def test_wilson_is_that_of_scipy(successes, n):
    expected = binomtest(successes, n).proportion_ci(method="wilson")
    assert wilson(successes / n, n) == pytest.approx((expected.low, expected.high), abs=1e-12)
