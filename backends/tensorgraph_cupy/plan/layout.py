"""Where the elements of a value lie: in memory of its own, channels last, or in that of another.

Every value with memory of its own has its axes in one order, (N, spatial…, C) for three axes and
more, which the kernels take: filters (F, C, …) lie as (F, …, C). Reshaped, transposed, broadcast
and sliced values are views of such memory wherever strides can say it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tensorgraph.program import Call, Value
from tensorgraph_cupy.kernels.move import strides_of
from tensorgraph_cupy.kernels.space import order_of

Ints = tuple[int, ...]


@functools.lru_cache(4096)
def own_strides(shape: Ints) -> Ints:
    """The strides, in elements, of a value with memory of its own."""
    return strides_of(shape, order_of(len(shape)))


class Seen(NamedTuple):
    """A value as elements of the memory of ``root``, from ``offset`` on."""

    root: Value
    offset: int
    strides: Ints


class Layout:
    """The values that are views, and of what."""

    def __init__(self) -> None:
        self.views: dict[Value, Seen] = {}

    def __getitem__(self, value: Value) -> Seen:
        seen = self.views.get(value)
        return seen if seen is not None else Seen(value, 0, own_strides(value.spec.shape))

    def root(self, value: Value) -> Value:
        seen = self.views.get(value)
        return value if seen is None else seen.root

    def is_plain(self, value: Value) -> bool:
        """Whether it lies as if its memory were its own. Axes of size 1 lie anyhow."""
        shape, strides = value.spec.shape, self[value].strides
        wanted = own_strides(shape)
        return all(n == 1 or a == b for n, a, b in zip(shape, strides, wanted, strict=True))

    def view(self, call: Call) -> bool:
        """Make the result of a call a view of its input, if it can be one."""
        rule = VIEWS.get(call.op.name)
        if rule is None or len(call.inputs) > 1 or 0 in call.out.spec.shape:
            return False
        (x,) = call.inputs
        seen = self[x]
        base = _phantom(x.spec.shape, seen.strides)
        try:
            made = rule(base, call)
        except ValueError:  # its elements have to be moved
            return False
        offset = seen.offset + _start(made) - _start(base)
        self.views[call.out] = Seen(seen.root, offset, made.strides)
        return True


def reshaped(shape: Ints, strides: Ints, wanted: Ints) -> Ints | None:
    """The strides of the same elements in another shape; None where there are none."""
    try:
        found: Ints = np.reshape(_phantom(shape, strides), wanted, copy=False).strides
    except ValueError:
        return None
    return found


def sliced(shape: Ints, strides: Ints, key: Sequence[Any]) -> tuple[int, Ints]:
    """Where what a key of slices picks begins, and its strides."""
    base = _phantom(shape, strides)
    made: Any = base[_native(key)]
    return _start(made) - _start(base), made.strides


def same_order(shape: Ints, space: int) -> bool:
    """Whether a value of this shape, which is broadcast to so many axes, lies in memory in the
    order of a value that has them all."""
    ahead = space - len(shape)
    wide = [axis + ahead for axis in order_of(len(shape)) if shape[axis] != 1]
    return wide == [axis for axis in order_of(space) if axis in wide]


def _phantom(shape: Ints, strides: Ints) -> Any:
    """An array with these strides, one byte an element, and without memory."""
    return np.lib.stride_tricks.as_strided(np.empty(1, np.uint8), shape, strides)


def _start(array: Any) -> int:
    return int(array.__array_interface__["data"][0])


def _native(key: Sequence[Any]) -> tuple[Any, ...]:
    return (*(slice(*part) if isinstance(part, tuple) else part for part in key), ...)


def _squeezed(x: Any, call: Call) -> Any:
    return np.reshape(x, call.out.spec.shape, copy=False)


VIEWS: dict[str, Callable[[Any, Call], Any]] = {
    "reshape": _squeezed,
    "permute_dims": lambda x, call: x.transpose(call.params["axes"]),
    "broadcast_to": lambda x, call: np.broadcast_to(x, call.out.spec.shape),
    "gather": lambda x, call: x[_native(call.params["key"])],
}
