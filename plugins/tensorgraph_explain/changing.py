"""Maps that take no gradient: the image is changed, and what the model then says is looked at."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

import tensorgraph as tg
from tensorgraph_explain.asking import BATCH, Target, answers, explains, like, outputs, scores


@explains("what the score loses where a window is hidden: orange for, blue against")
def occlusion(
    model: tg.Layer,
    x: tg.Tensor,
    target: Target = None,
    *,
    window: int | None = None,
    stride: int | None = None,
    fill: float = 0.0,
) -> Any:
    """How much of the score is lost where a window is hidden (Zeiler and Fergus, 2014), at each
    place the mean over the windows that hide it: (N, 1, …), signed.

    Unless they are given, a window is a quarter of each side, and half of one from the next.
    ``fill`` is what is put there: 0 in a standardised image is its mean.
    """
    chosen, host = answers(model, x, target), x.numpy()
    before = scores(model, x, chosen)
    sides = [window or max(1, n // 4) for n in x.shape[2:]]
    steps = [stride or max(1, side // 2) for side in sides]
    starts = [
        [step * i for i in range(math.ceil(max(0, n - side) / step) + 1)]
        for n, side, step in zip(x.shape[2:], sides, steps, strict=True)
    ]
    lost, times = np.zeros((len(x), 1, *x.shape[2:])), np.zeros(x.shape[2:])
    places: list[Any] = [
        (..., *(slice(a, a + side) for a, side in zip(corner, sides, strict=True)))
        for corner in itertools.product(*starts)
    ]
    together = max(1, BATCH // len(x))
    for first in range(0, len(places), together):
        some = places[first : first + together]
        hidden = np.repeat(host[None], len(some), axis=0)
        for images, place in zip(hidden, some, strict=True):
            images[place] = fill
        flat = like(x, hidden.reshape(-1, *x.shape[1:]))
        after = scores(model, flat, chosen * len(some)).reshape(len(some), len(x))
        for place, left in zip(some, after, strict=True):
            lost[place] += (before - left).reshape(-1, *(1,) * (x.ndim - 1))
            times[place] += 1
    return lost / np.maximum(times, 1)


@explains(
    "what moving the image by up to 4 pixels does to the score; unmoved in the middle", over=False
)
def translation(model: tg.Layer, x: tg.Tensor, target: Target = None, *, most: int = 4) -> Any:
    """What moving the image does to the score: (N, 1, 2·most+1, 2·most+1), by rows down and by
    columns to the right, the image as it is in the middle. 0 everywhere: the model does not mind.
    """
    chosen, found = answers(model, x, target), moved(model, x, most)
    own = found[np.arange(len(x)), :, :, list(chosen)]
    return (own - own[:, most : most + 1, most : most + 1])[:, None]


def steadiness(model: tg.Layer, x: tg.Tensor, *, most: int = 4) -> Any:
    """The share of the moved images for which the answer is that of the unmoved one, for each."""
    said = moved(model, x, most).argmax(-1)
    return (said == said[:, most : most + 1, most : most + 1]).mean((1, 2))


def moved(model: tg.Layer, x: tg.Tensor, most: int) -> Any:
    """The outputs (N, 2·most+1, 2·most+1, K) for images moved along their last two axes; the
    border is repeated where nothing is known."""
    height, width = x.shape[-2:]
    around = [(0, 0)] * (x.ndim - 2) + [(most, most)] * 2
    wide = np.pad(x.numpy(), around, mode="edge")
    places = range(2 * most, -1, -1)  # a crop further up is an image moved down
    found = [
        [outputs(model, like(x, wide[..., a : a + height, b : b + width])) for b in places]
        for a in places
    ]
    return np.moveaxis(np.array(found), 2, 0)


@explains("the edges of the image: a control that knows no model")
def edges(model: tg.Layer, x: tg.Tensor, target: Target = None) -> Any:
    """The edges of the image (N, 1, …), which know nothing of the model: the control that the
    sanity check has to fail."""
    host = x.numpy().mean(1, keepdims=True)
    slopes = [np.gradient(host, axis=axis) for axis in range(2, x.ndim) if x.shape[axis] > 1]
    return np.sqrt(sum(np.square(slope) for slope in slopes))
