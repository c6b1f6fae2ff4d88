"""Kernels without wrappers: the one call of NumPy that an op comes down to, where it is one.

A plan calls kernels with the same parameters again and again. ``np.sum`` for instance spends 2 us
before it arrives at ``np.add.reduce``, as long as the sum of a small array takes.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tensorgraph import Spec
from tensorgraph.op import Op
from tensorgraph_numpy.kernels import activation, linalg, random, reduction

Run = Callable[..., Any]

SAME_NAMES = """
    add ceil cos cosh divide equal exp expm1 floor greater greater_equal isfinite isinf isnan less
    less_equal log log1p logical_and logical_not logical_or logical_xor multiply negative not_equal
    sign sin sinh sqrt square subtract tan tanh
""".split()  # noqa: SIM905
UFUNCS: dict[str, np.ufunc] = {name: getattr(np, name) for name in SAME_NAMES}
UFUNCS.update(
    abs=np.absolute, acos=np.arccos, asin=np.arcsin, atan=np.arctan, pow=np.power
)  # np.maximum and np.minimum take ``out`` by its name only


class Direct(NamedTuple):
    """How a plan runs a call. ``run(*arrays)`` returns the result; where ``into`` is given,
    ``into(*arrays, out)`` writes the same into an array of its shape and dtype, which may be one of
    the inputs. ``fresh`` says that nobody else holds what ``run`` returns."""

    run: Run
    into: Run | None = None
    fresh: bool = False


def direct(op: Op[...], kernel: Run, specs: Sequence[Spec], params: Mapping[str, Any]) -> Direct:
    """The shortest way to run a kernel that was chosen for these specs and parameters."""
    if op.portable is not None and getattr(kernel, "func", None) is op.portable:
        if op.name in UFUNCS:
            return Direct(UFUNCS[op.name], UFUNCS[op.name], True)
        maker = MAKERS.get(op.name)
        if maker is not None:
            return maker(specs, params)
    if kernel is reduction.column_sums:
        return _column_sums(specs[0], **params)
    if kernel is reduction.total:
        return _total(specs[0])
    if kernel is activation.sigmoid and specs[0].ndim and specs[0].size <= activation.FEW:
        return _small_sigmoid(specs[0])
    if kernel in WITH_OUT:
        return Direct(WITH_OUT[kernel], WITH_OUT[kernel], True)
    own = getattr(kernel, "__module__", "").startswith("tensorgraph_numpy.kernels.")
    return Direct(functools.partial(kernel, **params) if params else kernel, fresh=own)


def _extreme(ufunc: np.ufunc) -> Callable[..., Direct]:
    def into(x: Any, y: Any, out: Any) -> Any:
        return ufunc(x, y, out=out)

    return lambda specs, params: Direct(ufunc, into, True)


def _cast(specs: Sequence[Spec], params: Mapping[str, Any]) -> Direct:
    dtype = np.dtype(params["dtype"])

    def into(x: Any, out: Any) -> Any:
        np.copyto(out, x, casting="unsafe")
        return out

    return Direct(operator.methodcaller("astype", dtype), into, True)


def _sum(specs: Sequence[Spec], params: Mapping[str, Any]) -> Direct:
    return Direct(functools.partial(np.add.reduce, **params), fresh=True)


def _sum_to(specs: Sequence[Spec], params: Mapping[str, Any]) -> Direct:
    (x,), shape = specs, params["shape"]
    lead = x.ndim - len(shape)
    kept = tuple(i for i in range(lead, x.ndim) if shape[i - lead] == 1 and x.shape[i] != 1)
    options: dict[str, Any] = {"axis": (*range(lead), *kept), "dtype": np.dtype(x.dtype)}
    if not lead or not kept:
        return Direct(functools.partial(np.add.reduce, keepdims=not lead, **options), fresh=True)
    return Direct(lambda x: np.reshape(np.add.reduce(x, **options), shape), fresh=True)


def _masked(specs: Sequence[Spec], params: Mapping[str, Any]) -> Direct:
    run = functools.partial(random.masked, **params)
    return Direct(run, run, True)


def _column_sums(x: Spec, shape: tuple[int, ...]) -> Direct:
    total = np.ones(x.shape[0], x.dtype).dot
    if len(shape) == 1:
        return Direct(total, fresh=True)
    return Direct(lambda x: total(x).reshape(shape), fresh=True)


def _total(x: Spec) -> Direct:
    ones = np.ones(x.size, x.dtype)
    return Direct(lambda x: x.reshape(-1).dot(ones), fresh=True)


def _small_sigmoid(x: Spec) -> Direct:
    ones, sigmoid = np.ones(x.shape, x.dtype), activation.sigmoid_of
    return Direct(lambda x: sigmoid(x, ones), lambda x, out: sigmoid(x, ones, out), True)


def _product(specs: Sequence[Spec], params: Mapping[str, Any]) -> Direct:
    x, y = specs
    columns = y.shape[0 if params["turned"][1] else 1]
    if x.size * columns <= linalg.UNTHREADED:
        return Direct(linalg.SMALL_PRODUCTS[params["turned"]], fresh=True)
    return Direct(functools.partial(linalg.product, **params), fresh=True)


def _reshape(specs: Sequence[Spec], params: Mapping[str, Any]) -> Direct:
    return Direct(operator.methodcaller("reshape", params["shape"]))


def _permute_dims(specs: Sequence[Spec], params: Mapping[str, Any]) -> Direct:
    return Direct(operator.methodcaller("transpose", params["axes"]))


WITH_OUT: dict[Run, Run] = {
    activation.relu: activation.relu_into,
    activation.sigmoid: activation.sigmoid_into,
}
MAKERS: dict[str, Callable[..., Direct]] = {
    "cast": _cast,
    "masked": _masked,
    "maximum": _extreme(np.maximum),
    "minimum": _extreme(np.minimum),
    "permute_dims": _permute_dims,
    "product": _product,
    "reshape": _reshape,
    "sum": _sum,
    "sum_to": _sum_to,
}
