"""The cross-entropy of labels as one op, against loops and PyTorch; its gradient against loops."""

import numpy as np
import scipy.special

from op_cases.case import Case, draw

try:
    import torch.nn.functional as F
except ImportError:
    F = None

IGNORED = -100


def losses(x, labels, ignore_index):
    """Loss and count of each label, and the gradient of each loss."""
    axis = min(x.ndim - 1, 1)
    scores = np.moveaxis(x.astype("float64"), axis, -1)
    loss, counts, slopes = np.zeros(labels.shape), np.zeros(labels.shape), np.zeros(scores.shape)
    for at in np.ndindex(labels.shape):
        label = int(labels[at])
        if label == ignore_index:
            continue
        counts[at] = 1
        if not 0 <= label < scores.shape[-1]:
            loss[at] = np.nan
            continue
        loss[at] = scipy.special.logsumexp(scores[at]) - scores[at][label]
        slopes[at] = scipy.special.softmax(scores[at])
        slopes[at][label] -= 1
    return loss, counts, slopes


def both(shape, reduction, *, ignore=IGNORED, label="", bad=(), order=3):
    classes = shape[min(len(shape) - 1, 1)]
    rest = shape[:1] + shape[2:] if len(shape) > 1 else ()
    labels = np.floor(draw(*rest, low=0, high=classes, seed="labels")).astype("int64")
    for i, value in enumerate(bad):
        labels.flat[i] = value
    given = {"ignore_index": ignore, "reduction": reduction}
    g = draw(*(rest if reduction == "none" else ()), seed="g")

    def forward(x, y):
        loss, counts, _ = losses(x, y, ignore)
        if reduction == "none":
            return loss
        return loss.sum() / (counts.sum() if reduction == "mean" else 1)

    def backward(g, x, y):
        _, counts, slopes = losses(x, y, ignore)
        if reduction == "mean":
            g = g / max(1, counts.sum())
        slopes *= np.asarray(g)[..., None]
        return np.moveaxis(slopes, -1, min(len(shape) - 1, 1)).astype(x.dtype)

    known = set(bad) <= {ignore}
    yield Case(
        "label_cross_entropy", (draw(*shape), labels),
        lambda x, y: np.asarray(forward(x, y), x.dtype), given, order=order if known else 0,
        torch=(lambda x, y: F.cross_entropy(x, y, **given)) if F and known else None, label=label,
    )  # fmt: skip
    yield Case("label_cross_entropy_input", (g, draw(*shape), labels), backward, given,
               label=label)  # fmt: skip


CASES = [
    *[
        case
        for shape in [(4, 3), (3,), (2, 3, 4), (2, 5, 1, 3), (3, 1)]
        for reduction in ("mean", "sum", "none")
        for case in both(shape, reduction)
    ],
    *[
        case
        for reduction in ("mean", "sum", "none")
        for case in (
            *both((5, 3), reduction, bad=(IGNORED,), label="ignored"),
            *both((4, 3, 2), reduction, ignore=1, bad=(1, 1), label="ignored class"),
            *both((4, 3), reduction, bad=(3, -1, IGNORED), label="no class"),
        )
    ],
    *both((0, 3), "sum", label="no samples"),
    *both((0, 3), "none", label="no samples"),
]
