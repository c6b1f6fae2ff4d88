"""Contractions, outer products and norms."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from tensorgraph.errors import ShapeError
from tensorgraph.ops import elementwise
from tensorgraph.ops.reduction import sum  # noqa: A004  the op
from tensorgraph.ops.shape import reshape
from tensorgraph_ops import reduction
from tensorgraph_ops.axes import permute_dims, squeeze
from tensorgraph_ops.matmul import matmul

if TYPE_CHECKING:
    from tensorgraph.tensor import Tensor

    Term = tuple[Tensor, tuple[Any, ...]]  # a tensor and the labels of its axes

Labels = tuple[Any, ...]  # a letter, or an int for an axis that an ellipsis stands for


def einsum(subscripts: str, *operands: Tensor) -> Tensor:
    """Einstein's sum in NumPy's notation: ``einsum("bij,bjk->bik", x, y)``; the output may be
    left out, ``...`` broadcasts, a label twice in one operand takes the diagonal. Operands are
    contracted from left to right by matrix products."""

    def wrong(why: str) -> ShapeError:
        specs = ", ".join(str(x.spec) for x in operands)
        return ShapeError(f"einsum: {why}: {subscripts!r} of {specs}")

    left, arrow, right = subscripts.replace(" ", "").replace("...", ".").partition("->")
    parts = left.split(",")
    letters = [c for c in left if c.isalpha()]
    if len(parts) != len(operands):
        raise wrong(f"{len(parts)} terms for {len(operands)} operands")
    if len(letters) + left.count(".") + left.count(",") < len(left):
        raise wrong("labels are letters and ...")
    hidden = 0  # how many axes an ellipsis stands for, at most
    terms = []
    for x, part in zip(operands, parts):
        extra = x.ndim - len(part.replace(".", ""))
        if extra < 0 or part.count(".") > 1 or (extra and "." not in part):
            raise wrong(f"{part.replace('.', '...')!r} does not fit {x.spec}")
        terms.append(_labels(part, extra))
        hidden = max(hidden, extra)
    if not arrow:
        right = "." + "".join(sorted(c for c in letters if letters.count(c) == 1))
    out = _labels(right, hidden)
    if len({*out}) < len(out) or not {*right} <= {*letters, "."} or (hidden and "." not in right):
        raise wrong("the output has each label once at most, and ... where the operands do")
    sizes: dict[Any, int] = {}
    for x, term in zip(operands, terms):
        for label, n in zip(term, x.shape):
            known = sizes.get(label, 1)
            if known != n and 1 not in (known, n):
                raise wrong(f"label {label!r} has sizes {known} and {n}")
            sizes[label] = n if known == 1 else known
    pairs = [_diagonal(x, term, sizes) for x, term in zip(operands, terms)]
    needed = [{*out}.union(*[term for _, term in pairs[i + 1 :]]) for i in range(len(pairs))]
    done = _keep(pairs[0], needed[0])
    for pair, then in zip(pairs[1:], needed[1:]):
        done = _contract(done, _keep(pair, then.union(done[1])), then)
    return _ordered(*done, out)


def _labels(part: str, hidden: int) -> Labels:
    """The labels of a term; the axes of its ellipsis are numbered from the last one."""
    lead, dots, tail = part.partition(".")
    return (*lead, *range(-hidden if dots else 0, 0), *tail)


def _diagonal(x: Tensor, term: Labels, sizes: dict[Any, int]) -> Term:
    """With each label once, and without axes of size 1 that broadcast."""
    while len({*term}) < len(term):
        b = next(i for i, label in enumerate(term) if label in term[:i])
        a = term.index(term[b])
        rest, n = [i for i in range(x.ndim) if i not in (a, b)], x.shape[a]
        square = permute_dims(x, axes=(*rest, a, b))
        x = reshape(square, shape=(*square.shape[:-2], n * n))[..., :: n + 1]
        term = (*[term[i] for i in rest], term[a])
    wide = tuple(i for i, label in enumerate(term) if x.shape[i] != sizes[label])
    return squeeze(x, axis=wide), tuple(t for i, t in enumerate(term) if i not in wide)


def _keep(pair: Term, needed: set[Any]) -> Term:
    """Summed over the labels that nobody needs any more."""
    x, term = pair
    gone = tuple(i for i, label in enumerate(term) if label not in needed)
    x = sum(x, axis=gone) if gone else x
    return x, tuple(label for label in term if label in needed)


def _contract(left: Term, right: Term, needed: set[Any]) -> Term:
    """The product of two, summed over what both have and nobody needs, as one matmul."""
    (x, xs), (y, ys) = left, right
    both = [label for label in xs if label in ys]
    batch = [label for label in both if label in needed]
    summed = [label for label in both if label not in needed]
    rows = [label for label in xs if label not in both]
    columns = [label for label in ys if label not in both]
    x, y = _ordered(x, xs, (*batch, *rows, *summed)), _ordered(y, ys, (*batch, *summed, *columns))
    n = len(batch)
    lead, high, wide = x.shape[:n], x.shape[n : n + len(rows)], y.shape[len(both) :]
    inner = math.prod(y.shape[n : len(both)])
    x = reshape(x, shape=(*lead, math.prod(high), inner))
    y = reshape(y, shape=(*lead, inner, math.prod(wide)))
    product = matmul(x, y) if summed else x * y  # an outer product needs no contraction
    return reshape(product, shape=(*lead, *high, *wide)), (*batch, *rows, *columns)


def _ordered(x: Tensor, term: Labels, wanted: Labels) -> Tensor:
    return x if term == wanted else permute_dims(x, axes=tuple(map(term.index, wanted)))


def outer(x: Tensor, y: Tensor) -> Tensor:
    """Each element of ``x`` times each of ``y``: (size of x, size of y)."""
    return reshape(x, shape=(x.size, 1)) * reshape(y, shape=(1, y.size))


def norm(x: Tensor, *, axis: Any = None, ord: float = 2, keepdims: bool = False) -> Tensor:
    """The vector norm over one axis, several or all: ``ord`` is 1, 2 or ``math.inf``. The
    gradient of the 2-norm where it is 0 is 0."""
    if ord == 1:
        return sum(elementwise.abs(x), axis=axis, keepdims=keepdims)
    if ord == math.inf:
        return reduction.max(elementwise.abs(x), axis=axis, keepdims=keepdims)
    if ord != 2:
        raise ShapeError(f"norm: ord {ord} is not 1, 2 or inf")
    return reduction.root(sum(x * x, axis=axis, keepdims=keepdims))
