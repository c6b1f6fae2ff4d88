"""Augmentations compiled for the emulated device: eager NumPy's images, from the same random words,
in one graph."""

import numpy as np
import pytest
from emulated import in_place
from emulated_device import available
from tensorgraph_train import augment
from tensorgraph_train.runfile import Named

import tensorgraph as tg

pytestmark = pytest.mark.skipif(not available(), reason="g++ is not installed")
IMAGES = np.random.default_rng(0).uniform(0, 1, (5, 3, 9, 7)).astype(np.float32)
CHOICES = {
    "geometric": [{"name": "rotate"}, {"name": "crop"}, {"name": "flip_vertical"}],
    "of light": [{"name": "brightness"}, {"name": "contrast"}, {"name": "gamma"}],
    "erase": [{"name": "erase"}],
}


def changed(chosen, plan):
    """Two batches, of two epochs; the second of a compiled change is the captured graph's."""
    named = [Named(one["name"], {}) for one in chosen]
    change = augment.Augmentations(named, (0.4, 0.5, 0.6), (0.2, 0.3, 0.4), 2).images
    change = tg.compile(change) if plan else change
    with tg.no_grad():
        found = [change(tg.tensor(IMAGES), augment.keys(3, i, np.arange(5))) for i in range(2)]
        return [x.numpy() for x in found], change


@pytest.mark.parametrize("name", CHOICES)
def test_images_are_those_of_numpy(name):
    want, _ = changed(CHOICES[name], plan=False)
    with in_place(), tg.use(backend="cupy"):
        found, change = changed(CHOICES[name], plan=True)
        tasks = change.plan.runner.planner.tasks
        left = [task.name for task in tasks if not task.captured]
    assert not left
    assert np.abs(want[0] - want[1]).max() > 0.1, "each epoch has its own"
    for x, y in zip(found, want, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(4,), (3, 2), (3, 5, 4), (2, 3, 2, 5)])
def test_words_are_numbered_row_by_row_however_they_lie(shape):
    keys = np.random.default_rng(0).integers(0, 2**32, (shape[0], 4), np.uint32)

    def step(key, each):
        return tg.ops.random_bits(key, shape=shape), tg.ops.random_bits_each(each, shape=shape)

    def given():
        return tg.tensor(keys[0]), tg.tensor(keys)

    want = [x.numpy() for x in step(*given())]
    with in_place(), tg.use(backend="cupy"):
        compiled = tg.compile(step)
        for _ in range(2):
            found = [x.numpy() for x in compiled(*given())]
    for x, y in zip(found, want, strict=True):
        np.testing.assert_array_equal(x, y)
