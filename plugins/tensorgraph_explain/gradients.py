"""Maps that are gradients: saliency, SmoothGrad, integrated gradients.

Each takes a model (N, C, …) → (N, classes), images, and classes, and returns a NumPy array of the
images' shape.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import tensorgraph as tg
from tensorgraph_explain.asking import (
    Target,
    answers,
    each_gradient,
    explains,
    gradient,
    like,
    scores,
)

NOISE_KEY = (0, 0, 0, 0)  # of SmoothGrad: the same picture every time


@explains("how much the score changes with each value")
def saliency(model: tg.Layer, x: tg.Tensor, target: Target = None) -> Any:
    """How much the score changes with each value, whichever way (Simonyan et al., 2013)."""
    return np.abs(gradient(model, x, answers(model, x, target)).numpy())


@explains("the mean saliency of noisy copies")
def smooth_grad(
    model: tg.Layer,
    x: tg.Tensor,
    target: Target = None,
    *,
    noise: float = 0.15,
    samples: int = 25,
) -> Any:
    """The mean saliency of noisy copies (Smilkov et al., 2017); ``noise`` is the standard deviation
    as a share of the range of all values."""
    chosen, values = answers(model, x, target), x.numpy()
    std = noise * float(values.max() - values.min())
    key = tg.tensor(NOISE_KEY, dtype="uint32", backend=x.backend.name)
    with tg.use(backend=x.backend.name):
        drawn = tg.ops.normal((samples, *x.shape), std=std, dtype=x.dtype, key=key)
    copies = (x + drawn[i] for i in range(samples))
    return sum(map(np.abs, each_gradient(model, copies, chosen))) / samples


@explains("what each value adds to the score: orange for, blue against")
def integrated_gradients(
    model: tg.Layer,
    x: tg.Tensor,
    target: Target = None,
    *,
    baseline: float = 0.0,
    steps: int = 50,
) -> Any:
    """The gradient on the straight way from an image of ``baseline`` to this one, summed up by
    Gauss and Legendre's rule, times that way (Sundararajan et al., 2017); signed.

    Its sum is the score less that of the baseline, up to the error of the rule: ``completeness``.
    """
    chosen, way = answers(model, x, target), x - baseline
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    copies = (way * float(node) + baseline for node in (1 + nodes) / 2)
    slopes = zip(weights / 2, each_gradient(model, copies, chosen), strict=True)
    return sum(weight * slope for weight, slope in slopes) * way.numpy()


def completeness(
    model: tg.Layer,
    x: tg.Tensor,
    target: Target,
    attribution: Any,
    *,
    baseline: float = 0.0,
) -> Any:
    """How far the sum of an attribution is from what it is to explain: for each image the
    difference of both, as a share of the score less that of the baseline."""
    chosen = answers(model, x, target)
    before = scores(model, like(x, np.full(x.shape, baseline)), chosen)
    gained = scores(model, x, chosen).astype(np.float64) - before
    found = np.asarray(attribution).reshape(len(x), -1).sum(1)
    return np.abs(found - gained) / np.maximum(np.abs(gained), 1e-12)
