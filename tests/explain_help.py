"""Models and images for the tests of explanations: a bright corner is planted in one class."""

import numpy as np

import tensorgraph as tg

SIDE, CORNER = 12, (slice(0, 3), slice(9, 12))  # at the top on the right


def planted(n=128, seed=0):
    """Noise (n, 1, 12, 12); every second image has a bright corner and is of class 1."""
    images = np.random.default_rng(seed).normal(0, 0.3, (n, 1, SIDE, SIDE))
    labels = np.arange(n) % 2
    images[labels == 1, :, *CORNER] += 3
    return images, labels


def looking(dtype="float64"):
    """A small CNN, trained until it tells the corner."""
    layers, relu = tg.layers, tg.activations.relu
    with tg.use(dtype=dtype):
        tg.seed(1)
        model = layers.sequential(
            layers.conv2d(8, 3, padding=1),
            relu,
            layers.conv2d(8, 3, padding=1),
            relu,
            lambda x: x.mean(axis=(2, 3)),
            layers.linear(2),
        )
        images, labels = planted()
        x, y = tg.tensor(images.astype(dtype)), tg.tensor(labels)
        model.infer_shape(x.spec)
        optimizer = tg.optimizers.adam(model.parameters(), lr=0.02)
        for _ in range(80):
            loss = tg.ops.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    assert loss.item() < 0.1
    return model


def in_corner(maps, margin=1):
    """The share of maps (N, 1, 12, 12) whose largest value is in the corner, or next to it."""
    rows, columns = np.divmod(maps.reshape(len(maps), -1).argmax(1), SIDE)
    return ((rows < 3 + margin) & (columns >= 9 - margin)).mean()
