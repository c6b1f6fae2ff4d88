"""Losses against loops over samples and PyTorch."""

import numpy as np
import scipy.special

from op_cases.case import Case, draw
from tensorgraph import ops

try:
    import torch
    import torch.nn.functional as F
except ImportError:
    torch = F = None

REDUCTIONS = ["mean", "sum", "none"]


def reduce(loss, reduction, weights=None):
    if reduction == "none":
        return loss
    return (
        np.sum(loss)
        / {"sum": 1, "mean": loss.size if weights is None else np.sum(weights)}[reduction]
    )


def difference(name, of, **params):
    """Losses of the difference of two tensors, which is kept away from 0 and from 1."""
    for reduction in REDUCTIONS:
        for shape in [(3, 4), (), (1,)]:
            y = draw(*shape, seed="y")
            gap = np.round(draw(*shape, seed="gap")) + 0.4
            yield Case(
                name,
                (y + gap, y),
                lambda x, y, r=reduction: reduce(of(x - y), r),
                {"reduction": reduction, **params},
                torch=lambda x, y, r=reduction: getattr(F, name)(x, y, reduction=r, **params),
            )


def huber(delta):
    return lambda d: np.where(np.abs(d) <= delta, d * d / 2, delta * (np.abs(d) - delta / 2))


def bce(x, y, weight=None, pos_weight=None):
    p = scipy.special.expit(x)
    loss = -(y * np.log(p) * (1 if pos_weight is None else pos_weight) + (1 - y) * np.log1p(-p))
    return loss if weight is None else loss * weight


def binary():
    x, y = draw(3, 4), draw(3, 4, low=0, high=1, seed="y")
    name = "binary_cross_entropy_with_logits"
    for reduction in REDUCTIONS:
        for given in [(), ("weight",), ("pos_weight",), ("weight", "pos_weight")]:
            extra = [draw(4, low=0.5, high=2, seed=g) for g in given]
            yield Case(
                name,
                (x, y, *extra),
                lambda x, y, *e, g=given, r=reduction: reduce(bce(x, y, **dict(zip(g, e))), r),
                call=lambda x, y, *e, g=given, r=reduction: ops.binary_cross_entropy_with_logits(
                    x, y, reduction=r, **dict(zip(g, e))
                ),
                torch=lambda x, y, *e, g=given, r=reduction: F.binary_cross_entropy_with_logits(
                    x, y, reduction=r, **dict(zip(g, [t.detach() for t in e]))
                ),
                label="-".join([reduction, *given]),
            )
    far = np.array([-1000.0, -50.0, -30.0, -20.5, 0.0, 20.5, 30.0, 50.0, 1000.0])
    for y in (np.zeros(9), np.ones(9)):
        yield Case(
            name,
            (far, y),
            lambda x, y: np.logaddexp(0, np.where(y == 1, -x, x)),
            {"reduction": "none"},
            torch=F and (lambda x, y: F.binary_cross_entropy_with_logits(x, y, reduction="none")),
            label="far",
        )


def picked(logs, target, weight, ignore, smoothing):
    """Loss and weight of each sample, one by one: the scores' classes are moved to the end."""
    logs = np.moveaxis(logs, min(logs.ndim - 1, 1), -1)
    classes = logs.shape[-1]
    weight = np.ones(classes) if weight is None else weight
    loss, counts = np.zeros(logs.shape[:-1]), np.zeros(logs.shape[:-1])
    for i in np.ndindex(logs.shape[:-1]):
        label = int(target[i])
        if label != ignore:
            counts[i] = weight[label]
            loss[i] = -(1 - smoothing) * weight[label] * logs[i][label]
            loss[i] -= smoothing * np.mean(weight * logs[i])
    return loss, counts


def log_softmax(x):
    return scipy.special.log_softmax(x, axis=min(x.ndim - 1, 1))


def labelled(name, shape, *, weighted, reduction, ignore=-100, smoothing=None):
    """Integer labels, one of which is to be ignored where there are several."""
    classes = shape[min(len(shape) - 1, 1)]
    rest = shape[:1] + shape[2:] if len(shape) > 1 else ()
    labels = np.floor(draw(*rest, low=0, high=classes, seed="labels")).astype("int64")
    if labels.size > 1:
        labels.flat[1] = ignore
    weight = [draw(classes, low=0.5, high=2, seed="w")] if weighted else []
    params = {"ignore_index": ignore, "reduction": reduction}
    if smoothing is not None:
        params["label_smoothing"] = smoothing
    x = draw(*shape)
    scores = (lambda x: x) if name == "nll_loss" else log_softmax

    def oracle(x, y, w=None):
        loss, counts = picked(scores(x), y, w, ignore, smoothing or 0.0)
        return reduce(loss, reduction, counts).astype(x.dtype)

    return Case(
        name,
        (x if name != "nll_loss" else log_softmax(x), labels, *weight),
        oracle,
        call=lambda x, y, w=None: getattr(ops, name)(x, y, weight=w, **params),
        torch=lambda x, y, w=None: getattr(F, name)(
            x, y, weight=None if w is None else w.detach(), **params
        ),
        label=f"{reduction}-{ignore}-{smoothing}",
    )


def probabilities(shape, *, weighted, reduction, smoothing):
    classes = shape[min(len(shape) - 1, 1)]
    axis = min(len(shape) - 1, 1)
    target = scipy.special.softmax(draw(*shape, seed="p"), axis=axis)
    weight = [draw(classes, low=0.5, high=2, seed="w")] if weighted else []

    def oracle(x, y, w=None):
        scaled = log_softmax(x)
        if w is not None:
            scaled = scaled * w.reshape([-1 if i == axis else 1 for i in range(x.ndim)])
        y = y * (1 - smoothing) + smoothing / classes
        return reduce(-np.sum(y * scaled, axis=axis), reduction)

    params = {"label_smoothing": smoothing, "reduction": reduction}
    return Case(
        "cross_entropy",
        (draw(*shape), target, *weight),
        oracle,
        call=lambda x, y, w=None: ops.cross_entropy(x, y, weight=w, **params),
        torch=lambda x, y, w=None: F.cross_entropy(
            x, y, weight=None if w is None else w.detach(), **params
        ),
        label=f"probabilities-{reduction}-{smoothing}",
    )


SHAPES = [(4, 3), (3,), (2, 3, 4), (2, 5, 1, 3), (3, 1)]

CASES = [
    *difference("mse_loss", np.square),
    *difference("l1_loss", np.abs),
    *difference("huber_loss", huber(1.0)),
    *difference("huber_loss", huber(0.8), delta=0.8),
    *binary(),
    *[
        labelled("nll_loss", shape, weighted=weighted, reduction=reduction)
        for shape in SHAPES
        for weighted in (False, True)
        for reduction in REDUCTIONS
    ],
    *[
        labelled("cross_entropy", shape, weighted=w, reduction=reduction, smoothing=smoothing)
        for shape in SHAPES
        for w in (False, True)
        for reduction in REDUCTIONS
        for smoothing in (0.0, 0.2)
    ],
    labelled("nll_loss", (4, 3), weighted=True, reduction="mean", ignore=1),
    labelled("cross_entropy", (4, 3), weighted=False, reduction="mean", ignore=0, smoothing=0.1),
    *[
        probabilities(shape, weighted=weighted, reduction=reduction, smoothing=smoothing)
        for shape in SHAPES
        for weighted in (False, True)
        for reduction in REDUCTIONS
        for smoothing in (0.0, 0.3)
    ],
    # a class ruled out by a score of minus infinity, and scores that would overflow
    Case(
        "cross_entropy",
        (np.array([[-np.inf, 1.0, 2.0], [1000.0, 0.0, -1000.0]]), np.array([2, 0], "uint8")),
        lambda x, y: -np.mean([log_softmax(x)[0, 2], log_softmax(x)[1, 0]]),
        torch=lambda x, y: F.cross_entropy(x, y.long()),
        kink=True,
        label="masked",
    ),
]
