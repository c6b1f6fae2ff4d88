"""Reshaping, joining, padding, repeating."""

import numpy as np

import tensorgraph as tg
from op_cases.case import Case, draw

X = draw(2, 3, 4)


def joined(name, oracle, torch, *shapes, label="", **params):
    xs = tuple(draw(*s, seed=str(i)) for i, s in enumerate(shapes))
    return Case(
        name,
        xs,
        lambda *xs: oracle(xs, **params),
        params,
        call=lambda *xs, **given: getattr(tg.ops, name)(xs, **given),
        torch=torch and (lambda *xs: torch(xs)),
        label=label,
    )


def padded(x, width, label="", **params):
    return Case(
        "pad",
        (x,),
        lambda x: np.pad(x, width, **params),
        params,
        call=lambda x, **given: tg.ops.pad(x, width, **given),
        label=f"{width} {label}",
    )


def tiled(x, counts):
    return Case(
        "tile",
        (x,),
        lambda x: np.tile(x, counts),
        call=lambda x: tg.ops.tile(x, counts),
        torch=lambda x: x.tile(counts),
        label=str(counts),
    )


def rolled(x, shift, axis):
    return Case(
        "roll",
        (x,),
        lambda x: np.roll(x, shift, axis),
        {"axis": axis},
        call=lambda x, axis: tg.ops.roll(x, shift, axis=axis),
        torch=lambda x: x.roll(shift, axis),
        label=str(shift),
    )


def join(name, axis):
    """PyTorch's function of that name, looked up when it is called."""

    def call(xs):
        import torch

        return getattr(torch, name)(xs, dim=axis)

    return call


def summed(x, shape):
    lead = x.ndim - len(shape)
    x = x.sum(tuple(range(lead)))
    return x.sum(tuple(i for i, n in enumerate(shape) if n == 1), keepdims=True)


CASES = [
    *[
        Case(
            "reshape",
            (x,),
            lambda x, s=s: x.reshape(s),
            {"shape": s},
            torch=lambda x, s=s: x.reshape(s),
        )
        for x, s in [
            (X, (6, 4)),
            (X, (4, -1)),
            (X, (-1,)),
            (draw(), (1, 1)),
            (draw(1, 1), ()),
            (draw(0, 3), (3, 0)),
            (draw(0, 3), (-1, 3)),
            (draw(1), (1, -1, 1)),
        ]
    ],
    Case("reshape", (X,), lambda x: x.reshape(24), {"shape": 24}),
    *[
        Case(
            "permute_dims",
            (x,),
            lambda x, a=a: x.transpose(a),
            {"axes": a},
            torch=lambda x, a=a: x.permute(a),
        )
        for x, a in [
            (X, (2, 0, 1)),
            (X, (-1, 0, -2)),
            (draw(3), (0,)),
            (draw(), ()),
            (draw(0, 2), (1, 0)),
        ]
    ],
    *[
        Case(
            "broadcast_to",
            (x,),
            lambda x, s=s: np.broadcast_to(x, s),
            {"shape": s},
            torch=lambda x, s=s: x.broadcast_to(s),
        )
        for x, s in [
            (draw(3, 1), (2, 3, 4)),
            (draw(), (2, 2)),
            (draw(1), (0,)),
            (draw(2, 3), (2, 3)),
            (draw(1, 0), (2, 0)),
        ]
    ],
    *[
        Case(
            "sum_to",
            (x,),
            lambda x, s=s: summed(x, s),
            {"shape": s},
            torch=lambda x, s=s: x.sum_to_size(s),
        )
        for x, s in [
            (X, (3, 1)),
            (X, ()),
            (X, (2, 3, 4)),
            (X, (1, 1, 4)),
            (draw(0, 3), (1, 3)),
            (draw(1, 3), (1, 1)),
        ]
    ],
    *[
        Case("squeeze", (x,), lambda x, a=a: np.squeeze(x, a), {"axis": a})
        for x, a in [
            (draw(1, 3, 1), None),
            (draw(1, 3, 1), 0),
            (draw(1, 3, 1), -1),
            (draw(1, 3, 1), (0, 2)),
            (draw(1, 1), None),
            (draw(), None),
            (draw(0, 1), 1),
            (X, ()),
        ]
    ],
    Case(
        "squeeze", (draw(1, 3, 1),), lambda x: x[..., 0], {"axis": 2}, torch=lambda x: x.squeeze(2)
    ),
    *[
        Case("expand_dims", (x,), lambda x, a=a: np.expand_dims(x, a), {"axis": a})
        for x, a in [(X, 0), (X, 3), (X, -1), (X, (0, 2)), (X, (-1, 0)), (draw(), 0), (draw(0), 1)]
    ],
    Case("expand_dims", (X,), lambda x: x[:, None], {"axis": 1}, torch=lambda x: x.unsqueeze(1)),
    Case(
        "concatenate",
        (draw(2, 3), draw(2, 1)),
        lambda x, y: np.concatenate([x, y], 1),
        {"axis": 1},
    ),
    *[
        joined("concat", np.concatenate, join("cat", a), *shapes, axis=a)
        for a, shapes in [
            (0, [(2, 3), (1, 3)]),
            (1, [(2, 3), (2, 1), (2, 2)]),
            (-1, [(2, 0), (2, 4)]),
            (0, [(3,)]),
            (0, [(0,), (0,)]),
            (0, [(1,), (1,)]),
        ]
    ],
    joined("concat", np.concatenate, None, (2, 3), (2,), axis=None),
    joined("concat", np.concatenate, None, (), (2, 2), (0,), axis=None),
    *[
        joined("stack", np.stack, join("stack", a), *shapes, axis=a)
        for a, shapes in [
            (0, [(2, 3)] * 2),
            (1, [(2, 3)] * 3),
            (-1, [(2, 3)] * 2),
            (0, [()] * 3),
            (1, [(0,)] * 2),
            (0, [(1,)]),
        ]
    ],
    *[
        padded(x, width, **params)
        for x, width in [
            (X, 1),
            (X, (1, 2)),
            (X, ((1, 0), (0, 2), (2, 1))),
            (draw(1, 3), ((0, 0), (2, 2))),
            (X, 0),
            (draw(2, 0), ((1, 1), (0, 0))),
            (draw(4), ((1, 2),)),
            (draw(4), (2,)),
        ]
        for params in (
            {},
            {"mode": "constant", "constant_values": 1.5},
            {"mode": "edge"},
            {"mode": "reflect"},
        )
    ],
    padded(draw(0), (1, 2)),
    padded(draw(3), (7, 9), mode="reflect", label="several times"),
    padded(draw(1), (2, 3), mode="reflect", label="one element"),
    Case(
        "pad_constant",
        (draw(2, 2),),
        lambda x: np.pad(x, ((1, 0), (0, 2)), constant_values=-1.0),
        {"pad_width": ((1, 0), (0, 2)), "constant_values": -1.0},
    ),
    *[
        tiled(x, counts)
        for x, counts in [
            (draw(2, 3), (2, 2)),
            (draw(2, 3), (3,)),
            (draw(2, 3), (2, 1, 2)),
            (draw(3), (0,)),
            (draw(), (2, 2)),
            (draw(0, 2), (2, 2)),
            (draw(1), (1,)),
        ]
    ],
    Case("tile", (draw(2, 3),), lambda x: np.tile(x, 2), call=lambda x: tg.ops.tile(x, 2)),
    *[
        rolled(x, shift, axis)
        for x, shift, axis in [
            (X, 1, None),
            (X, -5, None),
            (X, 1, 0),
            (X, 7, 2),
            (X, -1, -1),
            (X, (1, -1), (0, 2)),
            (X, 0, 1),
            (draw(0, 3), 1, 0),
            (draw(1), 3, 0),
        ]
    ],
    Case(
        "roll", (X,), lambda x: np.roll(x, 1, (0, 1)), call=lambda x: tg.ops.roll(x, 1, axis=(0, 1))
    ),
]
