"""The metric ``plugin_name``: worked examples, and what no metric may depend on."""

import math

import numpy
import pytest
import tensorgraph as tg


@pytest.fixture
def drawn():
    """Probabilities of three classes, the third of which is rare, and labels."""
    generator = numpy.random.default_rng(0)
    labels = generator.choice(3, 200, p=[0.6, 0.3, 0.1])
    return generator.dirichlet([1, 1, 1], 200) + 0.3 * numpy.eye(3)[labels], labels


def test_a_worked_example():
    scores = numpy.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]])
    value = tg.metrics.plugin_name(scores, numpy.array([0, 0, 0, 1]))
    assert value == pytest.approx(1 / 3)


def test_larger_is_better(drawn):
    _, labels = drawn
    perfect, constant = numpy.eye(3)[labels], numpy.eye(3)[0 * labels]
    assert tg.metrics.plugin_name(perfect, labels) == 1
    assert tg.metrics.plugin_name(constant, labels) == pytest.approx(1 / 3)


def test_neither_the_order_nor_the_frequency_of_images_counts(drawn):
    scores, labels = drawn
    value = tg.metrics.plugin_name(scores, labels)
    assert 1 / 3 < value < 1
    back = tg.metrics.plugin_name(scores[::-1], labels[::-1])
    assert back == pytest.approx(value)
    more = numpy.concatenate([numpy.arange(200), *[numpy.flatnonzero(labels == 2)] * 5])
    often = tg.metrics.plugin_name(scores[more], labels[more])
    assert often == pytest.approx(value)


def test_no_images():
    empty = tg.metrics.plugin_name(numpy.zeros((0, 3)), numpy.zeros(0, "int64"))
    assert math.isnan(empty)
