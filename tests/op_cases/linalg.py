"""Matrix products, contractions, norms."""

import math

import numpy as np

import tensorgraph as tg
from op_cases.case import Case, draw


def product(*shapes):
    x, y = draw(*shapes[0]), draw(*shapes[1], seed="y")
    return Case("matmul", (x, y), np.matmul, torch=lambda x, y: x @ y)


def contraction(subscripts, *shapes, torch=True):
    def call(*xs):
        return tg.ops.einsum(subscripts, *xs)

    def peer(*xs):
        import torch

        return torch.einsum(subscripts, *xs)

    return Case(
        "einsum",
        tuple(draw(*s, seed=str(i)) for i, s in enumerate(shapes)),
        lambda *xs: np.einsum(subscripts, *xs),
        call=call,
        torch=peer if torch else None,
        label=subscripts,
    )


def length(x, axis=None, ord=2, keepdims=False, **more):
    """NumPy's vector norm; of several axes as of one, with a loop over ``ord``'s definition."""

    def oracle(x):
        axes = axis if axis is None or isinstance(axis, tuple) else (axis,)
        big = np.abs(x)
        if ord == math.inf:
            return big.max(axis=axes, keepdims=keepdims)
        return (big**ord).sum(axis=axes, keepdims=keepdims) ** (1 / ord)

    def peer(x):
        import torch

        return torch.linalg.vector_norm(x, ord, axis, keepdims)

    params = {"axis": axis, "ord": ord, "keepdims": keepdims}
    return Case("norm", (x,), oracle, params, torch=peer, **more)


CASES = [
    product((2, 3), (3, 4)),
    product((3,), (3,)),
    product((3,), (3, 2)),
    product((2, 3), (3,)),
    product((2, 4, 3), (3,)),
    product((3,), (2, 3, 4)),
    product((2, 2, 3), (2, 3, 2)),
    product((2, 2, 3), (3, 2)),
    product((2, 3), (4, 3, 2)),
    product((2, 1, 2, 3), (4, 3, 2)),
    product((5, 1, 2, 3), (1, 4, 3, 1)),
    product((1, 1), (1, 1)),
    product((0, 3), (3, 2)),
    product((2, 0), (0, 3)),
    product((2, 3), (3, 0)),
    product((0, 2, 3), (3, 2)),
    product((0,), (0,)),
    Case(
        "matmul", (np.arange(6).reshape(2, 3), np.arange(3)), np.matmul, order=0, label="integers"
    ),
    contraction("ij,jk", (2, 3), (3, 4)),
    contraction("ij,jk->ki", (2, 3), (3, 4)),
    contraction("ij->ji", (2, 3)),
    contraction("ba", (2, 3)),
    contraction("ij->", (2, 3)),
    contraction("ij->j", (2, 3)),
    contraction("ii", (3, 3)),
    contraction("ii->i", (3, 3)),
    contraction("iij->ji", (3, 3, 2)),
    contraction("iii->i", (3, 3, 3)),
    contraction("ii->i", (0, 0)),
    contraction("i,j", (3,), (4,)),
    contraction("i,i", (3,), (3,)),
    contraction("ij,ij->ij", (2, 3), (2, 3)),
    contraction("ij,ij->i", (2, 3), (2, 3)),
    contraction("bij,bjk->bik", (2, 3, 4), (2, 4, 5)),
    contraction("bhqd,bhkd->bhqk", (2, 2, 3, 4), (2, 2, 5, 4)),
    contraction("...ij,...jk", (5, 2, 3), (3, 4)),
    contraction("...ij,...jk->...ik", (2, 1, 2, 3), (5, 3, 4)),
    contraction("a...b->b...a", (2, 3, 4)),
    contraction("...->...", (2, 3)),
    contraction("ij,...->...", (2, 3), (4,)),
    contraction("ij,ij", (2, 3), (1, 3)),
    contraction("ij,jk,kl", (2, 3), (3, 4), (4, 2)),
    contraction("i,i,i->i", (3,), (3,), (3,)),
    contraction("i,i,i,i->", (3,), (3,), (3,), (3,)),
    contraction("ij,ik,il->jkl", (2, 3), (2, 2), (2, 4)),
    contraction("ii,ij->j", (3, 3), (3, 2)),
    contraction(" i j , j -> i ", (2, 3), (3,)),
    contraction("ij,jk", (0, 3), (3, 2)),
    contraction("ij,jk", (2, 0), (0, 2)),
    contraction("ij,jk", (1, 1), (1, 1)),
    contraction(",", (), ()),
    *[
        Case("outer", (draw(*a), draw(*b, seed="y")), np.outer, torch=_outer)
        for _outer in [lambda x, y: x.reshape(-1).outer(y.reshape(-1))]
        for a, b in [((3,), (4,)), ((2, 2), (3,)), ((), (2,)), ((0,), (2,)), ((1,), (1,))]
    ],
    *[
        length(x, axis, ord, keepdims)
        for x in (draw(3, 4, away=0.2), draw(1, 1, away=0.2))
        for axis, keepdims in [(None, False), (0, True), (-1, False), ((0, 1), True)]
        for ord in (1, 2, math.inf)
    ],
    length(draw(0)),
    length(draw(2, 0), axis=1, ord=1),
    length(np.zeros((2, 3)), axis=1, label="zeros", kink=True),
]
