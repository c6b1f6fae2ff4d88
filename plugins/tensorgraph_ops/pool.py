"""Pooling over 1, 2 or 3 spatial axes: maxima and averages of windows, and their adjoints.

Once it is settled where the maxima are, ``max_pool`` is linear: it picks one element of each window
(``max_pool_pick``), and its gradient puts one back (``max_pool_input``). These two are each other's
gradients, and so are ``avg_pool`` and ``avg_pool_input``.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from tensorgraph.errors import ShapeError
from tensorgraph.op import op
from tensorgraph.ops.elementwise import floating
from tensorgraph.spec import Shaped, Spec
from tensorgraph_ops.conv import per_axis

if TYPE_CHECKING:
    from tensorgraph.tensor import Tensor

Ints = tuple[int, ...]
Size = int | Ints


class Windows(NamedTuple):
    """Where the windows lie; in canonical form each but the last is a number for every axis."""

    kernel_size: Any
    stride: Any = None
    padding: Any = 0
    dilation: Any = 1
    ceil_mode: bool = False


class Axis(NamedTuple):
    """The windows along one axis: ``size`` elements, ``reach`` windows."""

    size: int
    reach: int
    k: int
    stride: int
    padding: int
    dilation: int

    def offsets(self) -> Iterator[tuple[slice, slice]]:
        """For each element of a window: the input elements in its place, and their windows."""
        for offset in range(self.k):
            start = offset * self.dilation - self.padding
            first = max(0, -(start // self.stride))
            last = min(self.reach, (self.size - 1 - start) // self.stride + 1)
            if first < last:
                begin = start + first * self.stride
                end = start + (last - 1) * self.stride + 1
                yield slice(begin, end, self.stride), slice(first, last)

    def counts(self, count_include_pad: bool) -> list[int]:
        """By how many elements the sum of each window is divided."""
        padding = self.padding if count_include_pad else 0
        starts = [i * self.stride - self.padding for i in range(self.reach)]
        return [min(a + self.k, self.size + padding) - max(a, -padding) for a in starts]


def _canonical(name: str, axes: int, given: Windows) -> dict[str, Any]:
    if not 1 <= axes <= 3:
        raise ShapeError(f"{name}: takes x (N, C, spatial…) with 1 to 3 spatial axes, not {axes}")
    k = per_axis(f"{name}: kernel_size", given.kernel_size, axes, 1)
    stride = k if given.stride is None else per_axis(f"{name}: stride", given.stride, axes, 1)
    padding = per_axis(f"{name}: padding", given.padding, axes, 0)
    dilation = per_axis(f"{name}: dilation", given.dilation, axes, 1)
    if any(2 * p > m for p, m in zip(padding, k)):
        raise ShapeError(
            f"{name}: padding={given.padding} is over half of kernel_size={given.kernel_size}: "
            "a window could lie in the padding alone"
        )
    return Windows(k, stride, padding, dilation, bool(given.ceil_mode))._asdict()


def window_axes(name: str, x: Shaped, windows: Windows) -> list[Axis]:
    """The windows along each spatial axis of ``x``, from canonical parameters."""
    axes = []
    for n, k, s, p, d in zip(x.shape[2:], *windows[:4]):
        room = n + 2 * p - (k - 1) * d - 1
        if room < 0:
            raise ShapeError(
                f"{name}: the window reaches over {(k - 1) * d + 1} and the padded input has only "
                f"{n + 2 * p}, {-room} too few: x {Spec(x.shape, str(x.dtype))}; use a smaller "
                "kernel_size, or pool less before"
            )
        reach = (-(-room // s) if windows.ceil_mode else room // s) + 1
        if windows.ceil_mode and (reach - 1) * s >= n + p:
            reach -= 1  # a window must start inside the input or the padding before it
        axes.append(Axis(n, reach, k, s, p, d))
    return axes


def _pooled(name: str, x: Shaped, windows: Windows) -> Spec:
    reach = [axis.reach for axis in window_axes(name, x, windows)]
    return Spec((*x.shape[:2], *reach), floating(name, x))


def _fits(name: str, y: Shaped, x: Shaped, windows: Windows) -> None:
    wanted = _pooled(name, x, windows)
    if (y.shape, y.dtype) != wanted:
        raise ShapeError(
            f"{name}: the windows of {Spec(x.shape, x.dtype)} are {wanted}, not "
            f"{Spec(y.shape, y.dtype)}"
        )


def _fold(xp: Any, x: Any, axes: list[Axis], start: float, combine: Callable[..., Any]) -> Any:
    """Combine the elements of each window, along one axis after the other."""
    for i, axis in enumerate(axes, 2):
        y = xp.full((*x.shape[:i], axis.reach, *x.shape[i + 1 :]), start, dtype=x.dtype)
        lead = (slice(None),) * i
        for seen, at in axis.offsets():
            y[(*lead, at, ...)] = combine(y[(*lead, at, ...)], x[(*lead, seen, ...)])
        x = y
    return x


@op
def max_pool(
    x: Shaped,
    *,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
) -> Spec:
    """The largest element of each window: (N,C,…) → (N,C,…), with 1 to 3 spatial axes.

    As in PyTorch: the stride is by default the size of the window, and the gradient goes to the
    first of equal maxima.
    """
    windows = Windows(kernel_size, stride, padding, dilation, ceil_mode)
    return _pooled("max_pool", x, windows)


max_pool.canonical(lambda x, **given: _canonical("max_pool", x.ndim - 2, Windows(**given)))


@max_pool.kernel
def _(xp: Any, x: Any, **windows: Any) -> Any:
    return _fold(xp, x, window_axes("max_pool", x, Windows(**windows)), -math.inf, xp.maximum)


@max_pool.vjp
def _(g: Tensor, x: Tensor, out: Tensor, **windows: Any) -> Tensor:
    return max_pool_input(g, x, out, windows=Windows(**windows))


@op
def max_pool_input(y: Shaped, x: Shaped, maxima: Shaped, *, windows: Windows) -> Spec:
    """Add each element of ``y`` up where the maximum of its window in ``x`` is, else 0.

    ``maxima`` are those of ``x``; of equal ones the first counts. Linear in ``y``; its gradient in
    ``x`` and ``maxima`` is 0.
    """
    _fits("max_pool_input", y, x, windows)
    return Spec(x.shape, x.dtype)


@max_pool_input.kernel
def _(xp: Any, y: Any, x: Any, maxima: Any, *, windows: Windows) -> Any:
    out = xp.zeros_like(x)
    for seen, at, hit in _hits(xp, x, maxima, windows):
        out[seen] += xp.where(hit, y[at], 0)
    return out


def _hits(xp: Any, x: Any, maxima: Any, windows: Windows) -> Iterator[Any]:
    """For each element of a window: the input in its place, the windows, and which of these have
    their first maximum there."""
    free = xp.ones(maxima.shape, dtype=xp.bool)
    for parts in itertools.product(*[a.offsets() for a in window_axes("max_pool", x, windows)]):
        seen, at = ((..., *slices) for slices in zip(*parts))
        hit = (x[seen] == maxima[at]) & free[at]
        free[at] &= ~hit
        yield seen, at, hit


@max_pool_input.vjp
def _(g: Tensor, x: Tensor, maxima: Tensor, *, windows: Windows) -> Any:
    return max_pool_pick(g, x, maxima, windows=windows), None, None


@op
def max_pool_pick(values: Shaped, x: Shaped, maxima: Shaped, *, windows: Windows) -> Spec:
    """The elements of ``values``, shaped as ``x``, that stand where ``x`` has its maxima."""
    _fits("max_pool_pick", maxima, x, windows)
    return Spec(maxima.shape, maxima.dtype)


@max_pool_pick.kernel
def _(xp: Any, values: Any, x: Any, maxima: Any, *, windows: Windows) -> Any:
    out = xp.zeros_like(maxima)
    for seen, at, hit in _hits(xp, x, maxima, windows):
        out[at] += xp.where(hit, values[seen], 0)
    return out


@max_pool_pick.vjp
def _(g: Tensor, x: Tensor, maxima: Tensor, *, windows: Windows) -> Any:
    return max_pool_input(g, x, maxima, windows=windows), None, None


@op
def avg_pool(
    x: Shaped,
    *,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Spec:
    """The average of each window: (N,C,…) → (N,C,…), with 1 to 3 spatial axes; as in PyTorch.

    The sum is divided by the elements of the window, without those beyond the padding
    (``ceil_mode``), and with ``count_include_pad=False`` without the padding too.
    """
    return _pooled("avg_pool", x, _plain(x, kernel_size, stride, padding, ceil_mode))


@avg_pool.canonical
def _(x: Shaped, *, count_include_pad: bool, **given: Any) -> dict[str, Any]:
    windows = _canonical("avg_pool", x.ndim - 2, Windows(**given))
    del windows["dilation"]
    return {**windows, "count_include_pad": bool(count_include_pad)}


def _plain(x: Shaped, k: Any, stride: Any, padding: Any, ceil_mode: bool) -> Windows:
    return Windows(k, stride, padding, (1,) * (x.ndim - 2), ceil_mode)


@avg_pool.kernel
def _(xp: Any, x: Any, *, count_include_pad: bool, **windows: Any) -> Any:
    axes = window_axes("avg_pool", x, _plain(x, *windows.values()))
    return _divided(xp, _fold(xp, x, axes, 0, xp.add), axes, count_include_pad)


def _divided(xp: Any, y: Any, axes: list[Axis], count_include_pad: bool) -> Any:
    """The sums of windows, divided by their counts."""
    for i, axis in enumerate(axes, 1):
        counts = axis.counts(count_include_pad)
        if len(set(counts)) == 1:
            y = y / counts[0]
        else:
            shares = xp.asarray(counts, dtype=y.dtype)
            y = y / xp.reshape(shares, (-1, *[1] * (len(axes) - i)))
    return y


@avg_pool.vjp
def _(g: Tensor, x: Shaped, *, count_include_pad: bool, **windows: Any) -> Tensor:
    plain, size = _plain(x, *windows.values()), x.shape[2:]
    return avg_pool_input(g, size=size, windows=plain, count_include_pad=count_include_pad)


@op
def avg_pool_input(y: Shaped, *, size: Ints, windows: Windows, count_include_pad: bool) -> Spec:
    """Share each element of ``y`` out among its window: the gradient of ``avg_pool``."""
    x = Spec((*y.shape[:2], *size), floating("avg_pool_input", y))
    _fits("avg_pool_input", y, x, windows)
    return x


@avg_pool_input.kernel
def _(xp: Any, y: Any, *, size: Ints, windows: Windows, count_include_pad: bool) -> Any:
    axes = window_axes("avg_pool_input", Spec((*y.shape[:2], *size)), windows)
    y = _divided(xp, y, axes, count_include_pad)
    for i, axis in enumerate(axes, 2):
        x = xp.zeros((*y.shape[:i], axis.size, *y.shape[i + 1 :]), dtype=y.dtype)
        lead = (slice(None),) * i
        for seen, at in axis.offsets():
            x[(*lead, seen, ...)] += y[(*lead, at, ...)]
        y = x
    return y


@avg_pool_input.vjp
def _(g: Tensor, *, windows: Windows, count_include_pad: bool, **_: Any) -> Tensor:
    given = windows._asdict()
    del given["dilation"]
    return avg_pool(g, count_include_pad=count_include_pad, **given)
