"""What the curves of the report are made of, beside scikit-learn and SciPy."""

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.calibration import calibration_curve
from sklearn.metrics import precision_recall_curve, roc_curve
from tensorgraph_report.operating import calibration, rates, wilson
from tensorgraph_report.parts import COLOURS, DASHES


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


# of Machado, Oliveira and Fernandes (2009), for who lacks one kind of cones; of linear RGB
WITHOUT = {
    "long": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "middle": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "short": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
TO_XYZ = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]


def lab(colour, without):
    """CIE L*a*b* of a colour as somebody sees it who lacks these cones."""
    x = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    x = np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)
    x = np.clip(np.array(WITHOUT[without]) @ x, 0, 1) if without else x
    x = np.array(TO_XYZ) @ x / [0.9505, 1, 1.089]
    x = np.where(x > 0.008856, np.cbrt(x), 7.787 * x + 16 / 116)
    return np.array([116 * x[1] - 16, 500 * (x[0] - x[1]), 200 * (x[1] - x[2])])


@pytest.mark.parametrize("without", [None, *WITHOUT])
def test_everybody_can_tell_the_first_colours_apart(without):
    """More curves than that differ by their dashes."""
    seen = [lab(colour, without) for colour in COLOURS[:4]]
    apart = [np.linalg.norm(a - b) for i, a in enumerate(seen) for b in seen[:i]]
    assert min(apart) > 15
    assert len({str(dash) for dash in DASHES}) == len(DASHES) == len(COLOURS)
