"""In which order the axes of each value lie in memory, the outermost first.

Images have their channels innermost, filters (F, C, k…) lie as (k…, C, F), so that a row of
channels is what a vector register takes. Dense weights (out, in), of which products take the
transpose, lie as (in, out). Whatever else is made element by element from them, a gradient or an
optimizer's memory, lies as they do, and so do the parameters themselves while a plan has them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from tensorgraph_numpy.plan.split import ELEMENTWISE

from tensorgraph.program import Program, Value
from tensorgraph_numba.plan import guards

Order = tuple[int, ...]
IMAGES = {  # ops on images → the inputs that are images; their output is one unless it is a filter
    "conv": (0,),
    "conv_input": (0,),
    "conv_weight": (0, 1),
    "max_pool": (0,),
    "max_pool_input": (0, 1, 2),
    "max_pool_pick": (0, 1, 2),
    "avg_pool": (0,),
    "avg_pool_input": (0,),
    "channel_moments": (0,),  # (threads, moments), in C order
}
WINOGRAD = {
    "winograd_pieces": (0,),
    "winograd_tiles": (0,),
    "winograd_channels": (),
    "winograd_sums": (0, 1),
}
IMAGES |= WINOGRAD
FILTERS = {
    "conv": 1,
    "conv_input": 1,
    "winograd_weights": 0,
    "winograd_channels": 1,
}  # ops → which input has filters


def plain(ndim: int) -> Order:
    return tuple(range(ndim))


def channels_last(ndim: int) -> Order:
    return (0, *range(2, ndim), 1)


def filters_last(ndim: int) -> Order:
    return (*range(2, ndim), 1, 0)


def orders(program: Program) -> dict[Value, Order]:
    """The order of every value that has to be one; the others are in C order."""
    found: dict[Value, Order] = dict.fromkeys(_turned(program), (1, 0))
    for call in program.calls:
        name = call.op.name
        for i in IMAGES.get(name, ()):
            found.setdefault(call.inputs[i], channels_last(call.inputs[i].spec.ndim))
        if name in FILTERS:
            w = call.inputs[FILTERS[name]]
            found.setdefault(w, filters_last(w.spec.ndim))
        if name in ("conv_weight", "winograd_gradient"):
            found[call.out] = filters_last(call.out.spec.ndim)
        elif name in IMAGES and call.out.spec.ndim > 1:
            found[call.out] = channels_last(call.out.spec.ndim)
    alike = [group for group in map(_alike, program.calls) if len(group) > 1]
    changed = True
    while changed:
        changed = False
        for group in alike:
            order = next((found[x] for x in group if x in found), None)
            if order is not None:
                for x in group:
                    changed |= x not in found
                    found.setdefault(x, order)
    return found


def _turned(program: Program) -> list[Value]:
    """Matrices that products take from the right only after they were transposed: y = x @ w.T."""
    right = {call.inputs[1] for call in program.calls if call.op.name == "matmul"}
    return [
        call.inputs[0]
        for call in program.calls
        if call.op.name == "permute_dims" and call.params["axes"] == (1, 0) and call.out in right
        if call.inputs[0] in program.state
    ]


def _alike(call: Any) -> list[Value]:
    """The values of a call that should lie alike: those of its full shape, if it is elementwise."""
    if (call.op.name not in ELEMENTWISE and call.op.name != "drop") or call.out.spec.ndim < 2:
        return []
    return [x for x in (call.out, *call.inputs) if x.spec.shape == call.out.spec.shape]


def empty(shape: Iterable[int], order: Order | None, dtype: str) -> Any:
    """A new array of this shape whose axes lie in this order."""
    shape = tuple(shape)
    if order is None:
        return guards.empty(shape, dtype)
    inner = guards.empty([shape[axis] for axis in order], dtype)
    return inner.transpose(np.argsort(order))
