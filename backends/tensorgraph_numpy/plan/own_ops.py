"""Ops that plans on NumPy have for themselves, and how they are split."""

from __future__ import annotations

import numpy as np

from tensorgraph import Shaped, Spec
from tensorgraph.op import op
from tensorgraph.program import Call
from tensorgraph_numpy.kernels import linalg, random
from tensorgraph_numpy.plan import split


@op
def dropout_mask(x: Shaped, key: Shaped, *, p: float, first: int) -> Spec:
    """All bits of an integer as wide as ``x`` where ``drop`` keeps its element, else none; of a
    piece of the batch, whose first element has the word number ``first``."""
    return Spec(x.shape, f"int{8 * np.dtype(x.dtype).itemsize}")


@op
def masked(x: Shaped, mask: Shaped, *, scale: float) -> Spec:
    """``x * scale`` where the bits of ``mask`` are set, else 0."""
    return Spec(x.shape, x.dtype)


@op
def product(x: Shaped, y: Shaped, *, turned: tuple[bool, bool]) -> Spec:
    """``x @ y`` of matrices, of which those that are ``turned`` come transposed."""
    return Spec((x.shape[1 if turned[0] else 0], y.shape[0 if turned[1] else 1]), x.dtype)


product.flops(lambda out, x, y, *, turned: 2 * out.size * x.shape[0 if turned[0] else 1])
product.kernel(lambda xp, x, y, *, turned: linalg.product(x, y, turned=turned))
dropout_mask.kernel(lambda xp, x, key, *, p, first: random.dropout_mask(x, key, p=p, first=first))
masked.kernel(lambda xp, x, mask, *, scale: random.masked(x, mask, scale=scale))


def _split_product(call: Call, axes: split.Axes) -> split.Split | None:
    """By the rows of ``x`` or the columns of ``y``; by the sum that both share, added up."""
    x, y = (
        None if z not in axes else axes[z] ^ turned
        for z, turned in zip(call.inputs, call.params["turned"])
    )
    match x, y:
        case 0, None:
            return split.Split(0)
        case None, 1:
            return split.Split(1)
        case 1, 0:
            return split.Split(None)
    return None


SPLITS: dict[str, split.Rule] = {  # of these ops
    "dropout_mask": split.RULES["drop"],
    "masked": lambda call, axes: split.Split(0) if axes.get(call.inputs[0]) == 0 else None,
    "product": _split_product,
}
