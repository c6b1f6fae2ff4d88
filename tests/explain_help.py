"""Models and images for the tests of explanations: a bright corner is planted in one class."""

import numpy as np

import tensorgraph as tg

SIDE, CORNER = 12, (slice(0, 3), slice(9, 12))  # at the top on the right
REGION = (slice(0, 4), slice(8, 12))  # the corner and a pixel around it: 11 % of an image


def planted(n=128, seed=0, corner=True):
    """Noise (n, 1, 12, 12); every second image is a little brighter in the middle and of class 1,
    and has a bright corner too, if that is wanted."""
    images = np.random.default_rng(seed).normal(0, 0.3, (n, 1, SIDE, SIDE))
    labels = np.arange(n) % 2
    images[labels == 1, :, 4:8, 4:8] += 0.5
    if corner:
        images[labels == 1, :, *CORNER] += 3
    return images, labels


def everywhere(x):
    return x.mean(axis=(2, 3))


def looking(corner=True, head=everywhere, lr=0.02, dtype="float64"):
    """A small CNN, trained until it tells these images apart."""
    layers, relu = tg.layers, tg.activations.relu
    with tg.use(dtype=dtype):
        tg.seed(1)
        model = layers.sequential(
            layers.conv2d(8, 3, padding=1),
            relu,
            layers.conv2d(8, 3, padding=1),
            relu,
            head,
            layers.linear(2),
        )
        images, labels = planted(corner=corner)
        x, y = tg.tensor(images.astype(dtype)), tg.tensor(labels)
        model.infer_shape(x.spec)
        optimizer = tg.optimizers.adam(model.parameters(), lr=lr)
        for _ in range(80):
            loss = tg.ops.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    assert loss.item() < 0.05
    return model


def in_corner(maps):
    """How much of the sizes of maps (N, C, 12, 12) lies in the corner, the mean over images."""
    sizes = np.abs(maps).sum(1)
    return (sizes[:, *REGION].sum((1, 2)) / sizes.sum((1, 2))).mean()
