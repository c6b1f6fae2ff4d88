"""The augmentation ``plugin_name``: equal keys make equal changes, others do not."""

import numpy
import pytest
import tensorgraph as tg


@pytest.fixture
def images():
    return tg.tensor(numpy.full((4, 3, 16, 16), 0.5, "float32"))


def augmented(images, *words, std=0.1):
    key = tg.tensor(words, dtype="uint32")
    return tg.augmentations.plugin_name(std=std)(images, key).numpy()


def test_equal_keys_make_equal_changes(images):
    first, again = (augmented(images, 1, 2, 3, 4) for _ in range(2))
    numpy.testing.assert_array_equal(first, again)
    assert (augmented(images, 1, 2, 3, 5) != first).mean() > 0.99


def test_the_noise_is_as_large_as_asked_for(images):
    change = augmented(images, 1, 2, 3, 4) - 0.5
    assert (change.shape, str(change.dtype)) == ((4, 3, 16, 16), "float32")
    assert abs(change.mean()) < 0.01
    assert 0.09 < change.std() < 0.11
    assert (augmented(images, 1, 2, 3, 4, std=0) == 0.5).all()


def test_a_std_that_is_none():
    with pytest.raises(tg.errors.ConfigError, match="std=-1 is not a number"):
        tg.augmentations.plugin_name(std=-1)
