"""What normalisations are made of, and reductions, on CuPy's arrays: each is one generated chain.

Over channels-last memory CuPy's own reductions read a channel's elements one by one; these read
whole lines.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from tensorgraph.spec import Shaped
from tensorgraph_cupy.kernels.arrays import Arrays, Ints
from tensorgraph_cupy.kernels.chain import Chain, Operand, Reduction, Step
from tensorgraph_cupy.kernels.elementwise import elementwise
from tensorgraph_cupy.kernels.reduce import reduce
from tensorgraph_cupy.kernels.space import spanned

SINGLE = "float32"


def _addresses(arrays: Arrays, shape: Ints, given: Sequence[Any]) -> tuple[list[Any], list[int]]:
    """Operands with as many axes as the shape, in channels-last memory, and where they lie."""
    ready = []
    for x in given:
        x = arrays.xp.asarray(x, SINGLE)  # a number is a tensor of no axes
        ready.append(arrays.channels_last(x.reshape((1,) * (len(shape) - x.ndim) + x.shape)))
    return ready, [arrays.address(x) for x in ready]


def _elementwise(arrays: Arrays, step: Step, shape: Ints, *given: Any) -> Any:
    """One op over arrays that broadcast to this shape."""
    ready, addresses = _addresses(arrays, shape, given)
    space = spanned(shape, [x.shape for x in ready])
    operands = tuple(Operand(SINGLE, moves) for moves in space.moves)
    chain = Chain(operands, (step,), ((len(ready), SINGLE),))
    out = arrays.empty(shape, SINGLE)
    elementwise(arrays.device, chain, space.sizes, addresses, [arrays.address(out)])
    return out


def _summed(
    arrays: Arrays, steps: Sequence[Step], kept: Ints, scale: float, *given: Any, how: str = "sum"
) -> Any:
    """The last value of the steps, summed up to the shape ``kept`` and scaled, or its max or min.
    The first of the arrays has the whole shape."""
    shape = given[0].shape
    kept = (1,) * (len(shape) - len(kept)) + kept
    ready, addresses = _addresses(arrays, shape, given)
    space = spanned(shape, [x.shape for x in ready], kept).for_reduction()
    assert space is not None
    operands = tuple(Operand(SINGLE, moves) for moves in space.moves)
    number = len(ready) + len(steps) - 1
    chain = Chain(operands, tuple(steps), (), (Reduction(number, how, SINGLE),))
    out = arrays.empty(kept, SINGLE)
    where = ([arrays.address(out)], [scale], arrays.workspace)
    reduce(arrays.device, chain, space.sizes, addresses, [], *where)
    return out


def _share(x: Ints, kept: Ints) -> float:
    """One over the number of elements that each mean is of; of none, NaN."""
    n = math.prod(size for size, own in zip(x, kept) if own == 1)
    return 1 / n if n else math.nan


def _left(shape: Ints, axis: Ints) -> Ints:
    return tuple(1 if i in axis else n for i, n in enumerate(shape))


def over_axis(how: str, arrays: Arrays, x: Any, *, axis: Ints, keepdims: bool) -> Any:
    out = _summed(arrays, (), _left(x.shape, axis), 1.0, x, how=how)
    return out if keepdims else arrays.xp.squeeze(out, axis=axis)


def sum_to(arrays: Arrays, x: Any, *, shape: Ints) -> Any:
    return _summed(arrays, (), shape, 1.0, x).reshape(shape)


def axis_mean(arrays: Arrays, x: Any, *, axis: Ints) -> Any:
    kept = _left(x.shape, axis)
    return _summed(arrays, (), kept, _share(x.shape, kept), x)


def axis_variance(arrays: Arrays, x: Any, average: Any) -> Any:
    steps = (Step("subtract", (0, 1), SINGLE), Step("square", (2,), SINGLE))
    scale = _share(x.shape, average.shape)
    return _summed(arrays, steps, average.shape, scale, x, average)


def standardize(arrays: Arrays, x: Any, average: Any, inverse: Any, weight: Any, bias: Any) -> Any:
    step = Step("standardize", (0, 1, 2, 3, 4), SINGLE)
    return _elementwise(arrays, step, x.shape, x, average, inverse, weight, bias)


def standardize_weight(
    arrays: Arrays, g: Any, x: Any, average: Any, inverse: Any, *, shape: Ints
) -> Any:
    steps = (
        Step("subtract", (1, 2), SINGLE),
        Step("multiply", (4, 3), SINGLE),
        Step("multiply", (5, 0), SINGLE),
    )
    return _summed(arrays, steps, shape, 1.0, g, x, average, inverse).reshape(shape)


def standardize_input(
    arrays: Arrays, g: Any, x: Any, average: Any, inverse: Any, weight: Any, total: Any, along: Any
) -> Any:
    share = ("share", _share(x.shape, average.shape))
    step = Step("standardize_input", (0, 1, 2, 3, 4, 5, 6), SINGLE, (share,))
    return _elementwise(arrays, step, x.shape, g, x, average, inverse, weight, total, along)


def _sums(kept: Callable[..., Ints]) -> Callable[..., bool]:
    """Whether a sum of float32 is one over neighbouring axes in memory."""

    def supports(x: Shaped, *others: Shaped, **params: Any) -> bool:
        if x.dtype != SINGLE or x.ndim == 0:
            return False
        operands = [x.shape, *[t.shape for t in others]]
        space = spanned(x.shape, operands, kept(x, *others, **params)).for_reduction()
        return space is not None

    return supports


_of_axis = _sums(lambda x, *, axis, **_: _left(x.shape, axis))
_to_shape = _sums(lambda *_, shape: shape)


def _single(x: Shaped, *_: Shaped) -> bool:
    return x.dtype == SINGLE and x.ndim > 0


KERNELS: dict[str, tuple[Callable[..., Any], Callable[..., bool]]] = {
    **{how: (partial(over_axis, how), _of_axis) for how in ("sum", "max", "min")},
    "sum_to": (sum_to, _to_shape),
    "axis_mean": (axis_mean, _of_axis),
    "axis_variance": (axis_variance, _sums(lambda x, average: average.shape)),
    "standardize": (standardize, _single),
    "standardize_weight": (standardize_weight, _to_shape),
    "standardize_input": (standardize_input, _single),
}
