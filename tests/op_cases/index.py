"""Indexing, take, and the sums that are their gradients."""

import numpy as np

import tensorgraph as tg
from op_cases.case import Case, distinct, draw

X = draw(3, 4, 5)
ROWS = np.array([2, 0, 2, 1])
GRID = np.array([[0, -1], [1, 1]])


def keyed(key, x=X, label="", **more):
    """A key without arrays, or with some that are no inputs."""

    def pick(x):
        return x[key]

    torch = None if _steps_back(key) else pick
    return Case("getitem", (x,), pick, torch=torch, call=pick, label=label or _show(key), **more)


def _steps_back(key):
    parts = key if isinstance(key, tuple) else (key,)
    return any(isinstance(p, slice) and (p.step or 1) < 0 for p in parts)


def _show(key):
    parts = key if isinstance(key, tuple) else (key,)
    names = {type(None): "None", type(...): "..."}
    return " ".join(names.get(type(p), str(p).replace("slice", "")) for p in parts)


def by_arrays(label, pick, *arrays, x=X, torch=True):
    return Case(
        "getitem", (x, *arrays), pick, torch=pick if torch else None, call=pick, label=label
    )


def added(x, indices, shape):
    out = np.zeros((shape[0], *x.shape[1:]), x.dtype)
    for row, i in zip(x, indices, strict=True):
        out[i] += row
    return out


WHOLE = (0, 5, 1)
A = slice(None)

CASES = [
    keyed(1),
    keyed(-1),
    keyed((0, 1, 2)),
    keyed((1, ..., -2)),
    keyed(...),
    keyed((), x=draw()),
    keyed((..., None), x=draw()),
    keyed(slice(1, 3)),
    keyed(slice(5, None)),
    keyed(slice(2, 0)),
    keyed(slice(None, None, 2)),
    keyed(slice(None, None, -1)),
    keyed((A, slice(-2, None, -2))),
    keyed(slice(-10, None, -1)),
    keyed(slice(10, -10, -2)),
    keyed((None, 0, None, slice(1, None), None)),
    keyed((..., None, 0)),
    keyed((slice(0, 0), 0)),
    keyed(A, x=draw(0, 3)),
    keyed((A, slice(None, None, -1)), x=draw(3, 0)),
    keyed(slice(None, None, -1), x=draw(1)),
    keyed([0, 2, 2]),
    keyed([]),
    keyed(([0, 1], [1, 1])),
    keyed((np.array([0, 2]), A, np.array([[1], [0]])), label="arrays apart"),
    keyed(X > 0.5, label="mask"),
    keyed(X[..., 0] > 0, label="mask of two axes"),
    keyed((A, [True, False, True, False]), label="mask as a list"),
    keyed((np.array([True, False, True]), A, [0, 3]), label="mask and list"),
    keyed(np.zeros((3, 4), bool), label="empty mask"),
    by_arrays("rows", lambda x, i: x[i], ROWS),
    by_arrays("grid", lambda x, i: x[i], GRID),
    by_arrays("int32", lambda x, i: x[:, i], ROWS.astype(np.int32)),
    by_arrays("inner", lambda x, i: x[:, i, ::2], ROWS),
    by_arrays("side by side", lambda x, i, j: x[:, i, j], ROWS, ROWS[:, None]),
    by_arrays("apart", lambda x, i, j: x[i, :, j], ROWS, ROWS),
    by_arrays("with an integer beside", lambda x, i: x[:, 0, i], ROWS),
    by_arrays("with an integer apart", lambda x, i: x[0, :, i], ROWS, torch=False),  # not NumPy's
    by_arrays("None between", lambda x, i, j: x[i, None, j], ROWS, ROWS),
    by_arrays("with slices", lambda x, i: x[1:, i, None, 1:4:2], ROWS),
    by_arrays("a number", lambda x, i: x[:, i], np.array(2)),
    by_arrays("of a vector", lambda x, i: x[i], np.array(3), x=draw(4)),
    by_arrays("none", lambda x, i: x[i], np.zeros((0, 2), np.int64)),
    by_arrays("one", lambda x, i: x[i], np.zeros((1, 1), np.int64), x=draw(1)),
    Case("gather", (X, ROWS), lambda x, i: x[1:, i, 3], {"key": ((1, 3, 1), "array", 3)}),
    Case("gather", (X,), lambda x: x[2::-1], {"key": ((2, None, -1), (0, 4, 1), WHOLE)}),
    Case(
        "scatter_add",
        (draw(4, 3), ROWS),
        lambda x, i: added(x, i, (3, 3)),
        {"key": ("array", (0, 3, 1)), "shape": (3, 3)},
        torch=lambda x, i: x.new_zeros(3, 3).index_add(0, i, x),
    ),
    Case(
        "scatter_add",
        (draw(2),),
        lambda x: np.array([0, x[0], 0, x[1]], x.dtype),
        {"key": ((1, 4, 2),), "shape": (4,)},
    ),
    *[
        Case(
            "take",
            (X, i),
            lambda x, i, a=a: np.take(x, i, axis=a),
            {"axis": a},
            torch=lambda x, i, a=a: x.movedim(a, 0)[i].movedim(tuple(range(i.ndim)), _back(a, i)),
        )
        for a, i in [(0, ROWS), (1, GRID), (-1, ROWS), (2, np.zeros(0, np.int64))]
    ],
    Case(
        "take",
        (X,),
        lambda x: np.take(x, [3, 3], 1),
        call=lambda x: tg.ops.take(x, [3, 3], axis=1),
        label="list",
    ),
    Case(
        "embedding",
        (GRID, draw(4, 3)),
        lambda i, w: w[i],
        torch=lambda i, w: w[i],
    ),
    *[
        Case(
            "take_along_axis",
            (x, i),
            lambda x, i, a=a: np.take_along_axis(x, i, a),
            {"axis": a},
            torch=lambda x, i, a=a: x.take_along_dim(i, a),
        )
        for x, i, a in [
            (draw(3, 4), np.array([[0, 3, 3], [1, 1, 1], [2, 0, 2]]), 1),
            (draw(3, 4), np.array([[0, 2, 2, 1]]), 0),
            (draw(1, 4), np.array([[0, 2], [1, 1]]), -1),
            (draw(3, 4), np.zeros((3, 0), np.int64), 1),
        ]
    ],
    *[
        Case("one_hot", (i,), lambda i: np.eye(5)[i], {"num_classes": 5}, order=0)
        for i in (np.array([[0, 4], [2, 2]]), np.array(3), np.zeros(0, np.int64))
    ],
    *[
        Case(
            "split",
            (X,),
            lambda x, p=p, a=a, n=n: np.split(x, p, axis=a)[n],
            {"at": p, "axis": a},
            call=lambda x, at, axis, n=n: tg.ops.split(x, at, axis=axis)[n],
            label=f"part {n}",
        )
        for p, a, n in [(3, 0, 1), (2, 1, 0), ([1, 3], 2, 1), ([1, 3], -1, 2), ([2, 1], 0, 1)]
    ],
    *[Case("flip", (X,), lambda x, a=a: np.flip(x, a), {"axis": a}) for a in (None, 0, -1, (0, 2))],
    Case("flip", (draw(3, 4),), lambda x: x[:, ::-1], {"axis": 1}, torch=lambda x: x.flip(1)),
    *[
        Case("argsort", (x,), lambda x, a=a: np.argsort(x, a, kind="stable"), {"axis": a}, order=0)
        for x, a in [(distinct(3, 4), 0), (distinct(7), -1), (np.arange(100) % 3, 0)]
    ],
    Case("argsort", (draw(0),), lambda x: np.zeros(0, np.int64), order=0),
]


def _back(axis, indices):
    start = axis % X.ndim
    return tuple(range(start, start + indices.ndim))
