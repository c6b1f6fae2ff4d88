"""Augmentations that change values: of white as 1 and black as 0; nothing is cut off at either."""

from __future__ import annotations

import functools
import math

import tensorgraph as tg
from tensorgraph.errors import ConfigError
from tensorgraph_augment.common import Augment, cautioned, chance, drawn, two_keys, within

DARKEST = 1e-30  # what black is to a logarithm


def mean_of_each(images: tg.Tensor) -> tg.Tensor:
    """Of each image, all channels together: as rows, for which there are faster kernels."""
    n, *rest = images.shape
    mean = tg.ops.mean(tg.ops.reshape(images, shape=(n, -1)), axis=1)
    return tg.ops.reshape(mean, shape=(n, *[1] * len(rest)))


def brightness(strength: float = 0.1) -> Augment:
    """Adds one number, up to ``strength`` either way, to all of an image."""
    within("brightness", 0, 1, strength=strength)

    def augment(images: tg.Tensor, key: tg.Tensor) -> tg.Tensor:
        (number,) = drawn(images, key, 1)
        return images + number * strength

    return augment


def contrast(strength: float = 0.2) -> Augment:
    """Makes what differs from an image's mean from 1 - strength to 1 + strength times as large."""
    within("contrast", 0, 1, strength=strength)

    def augment(images: tg.Tensor, key: tg.Tensor) -> tg.Tensor:
        (number,) = drawn(images, key, 1)
        mean = mean_of_each(images)
        return mean + (images - mean) * (1 + number * strength)

    return augment


def gamma(strength: float = 0.2) -> Augment:
    """Raises values to a power from 1 / (1 + strength) to 1 + strength; black and white stay."""
    within("gamma", 0, 4, strength=strength)

    def augment(images: tg.Tensor, key: tg.Tensor) -> tg.Tensor:
        (number,) = drawn(images, key, 1)
        power = tg.ops.exp(number * math.log1p(strength))
        logs = tg.ops.log(tg.ops.maximum(tg.ops.abs(images), DARKEST))
        return tg.ops.sign(images) * tg.ops.exp(power * logs)

    return augment


@cautioned("it changes colours: in a stained section these say what was stained")
def colour_jitter(strength: float = 0.1) -> Augment:
    """Makes colours paler or stronger, and each channel brighter or darker, by factors from
    1 - strength to 1 + strength."""
    within("colour_jitter", 0, 1, strength=strength)

    def augment(images: tg.Tensor, key: tg.Tensor) -> tg.Tensor:
        if images.shape[1] != 3:
            raise ConfigError(
                f"colour_jitter: takes images in colour, with 3 channels, and gets {images.spec}; "
                "leave it out, or read the images with data.channels = 3"
            )
        n, _, *size = images.shape
        numbers = tg.ops.uniform((n, 4), low=-1.0, high=1.0, dtype=images.dtype, key=key)
        numbers = tg.ops.reshape(numbers, shape=(n, 4, *[1] * len(size)))
        flat = tg.ops.reshape(images, shape=(n, 3, -1))
        grey = tg.ops.matmul(images.constant([[1 / 3] * 3]), flat)
        grey = tg.ops.reshape(grey, shape=(n, 1, *size))
        coloured = grey + (images - grey) * (1 + numbers[:, :1] * strength)
        return coloured * (1 + numbers[:, 1:] * strength)

    return augment


def blur(sigma: float = 1.0) -> Augment:
    """Blurs with a bell curve of standard deviation up to ``sigma`` pixels, renewed at borders."""
    within("blur", 0, 100, sigma=sigma)

    def augment(images: tg.Tensor, key: tg.Tensor) -> tg.Tensor:
        (width,) = drawn(images, key, 1, low=0.0)
        return blurred(images, width * sigma)

    return augment


def blurred(images: tg.Tensor, sigma: tg.Tensor) -> tg.Tensor:
    """Along rows and columns, with the ``sigma`` (n, 1, …) of each image."""
    ops, sharp = tg.ops, 1e-3  # a curve so narrow leaves the image as it is
    narrow = -0.5 / ops.square(ops.maximum(sigma, sharp))

    @functools.cache
    def bell(size: int) -> tg.Tensor:
        apart = images.constant([[float((i - j) ** 2) for j in range(size)] for i in range(size)])
        return ops.softmax(apart * narrow, axis=-1)

    *rest, first, second = range(images.ndim)
    down, across = (bell(size) for size in images.shape[-2:])
    across = ops.permute_dims(across, axes=(*rest, second, first))
    return ops.matmul(ops.matmul(down, images), across)


def gaussian_noise(std: float = 0.03) -> Augment:
    """Adds normal noise of standard deviation ``std`` to each pixel."""
    within("gaussian_noise", 0, 10, std=std)

    def augment(images: tg.Tensor, key: tg.Tensor) -> tg.Tensor:
        return images + tg.ops.normal(images.shape, std=std, dtype=images.dtype, key=key)

    return augment


def speckle_noise(std: float = 0.1) -> Augment:
    """Multiplies each pixel by a normal number of mean 1 and standard deviation ``std``, as the
    echoes of ultrasound do."""
    within("speckle_noise", 0, 10, std=std)

    def augment(images: tg.Tensor, key: tg.Tensor) -> tg.Tensor:
        noise = tg.ops.normal(images.shape, mean=1.0, std=std, dtype=images.dtype, key=key)
        return images * noise

    return augment


def erase(share: float = 0.3, p: float = 0.5) -> Augment:
    """Fills a rectangle with the image's mean in a share ``p`` of the images, its sides from half
    of ``share`` up to ``share`` of theirs (after Zhong et al., AAAI 2020). It may hide what the
    label is about."""
    within("erase", 0, 1, share=share, p=p)

    def augment(images: tg.Tensor, key: tg.Tensor) -> tg.Tensor:
        first, second = two_keys(key)
        numbers = drawn(images, second, 4, low=0.0)
        hidden = chance(images, first, p)
        for axis, side, place in ((-2, numbers[0], numbers[1]), (-1, numbers[2], numbers[3])):
            length = (1 + side) * (share / 2)
            hidden = hidden & between(images, axis, place * (1 - length), length)
        return tg.ops.where(hidden, mean_of_each(images), images)

    return augment


def between(images: tg.Tensor, axis: int, start: tg.Tensor, length: tg.Tensor) -> tg.Tensor:
    """Which pixels along an axis lie in the part from ``start`` on, of that ``length``, both as
    shares of the side and (n, 1, …)."""
    size = images.shape[axis]
    shape = [1] * images.ndim
    shape[axis] = size
    middles = images.constant([(i + 0.5) / size for i in range(size)])
    middles = tg.ops.reshape(middles, shape=tuple(shape))
    return (middles >= start) & (middles < start + length)
