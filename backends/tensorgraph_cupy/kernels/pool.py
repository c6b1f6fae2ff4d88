"""Pooling: maxima and averages of windows and their gradients, over channels-last memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from numpy import int32

from tensorgraph_cupy.device import Device
from tensorgraph_cupy.kernels.arrays import Arrays, Ints
from tensorgraph_cupy.kernels.launching import THREADS, grid, pack, sized


class Windows(NamedTuple):
    """Where windows lie along each of 1 to 3 spatial axes; ``count_padding`` is of averages."""

    k: Ints
    stride: Ints
    padding: Ints
    dilation: Ints
    count_padding: bool = True

    def macros(self) -> dict[str, int]:
        """The same for three axes, the first of which have one element where there are fewer."""
        found: dict[str, int] = {}
        for name, values, none in zip(
            ("K", "STRIDE", "PADDING", "DILATION"), self, (1, 1, 0, 1), strict=False
        ):
            assert isinstance(values, tuple)
            three = (*[none] * (3 - len(values)), *values)
            found |= {f"{name}{axis}": n for axis, n in enumerate(three)}
        return found


def pool(
    device: Device,
    function: str,
    dtype: str,
    windows: Windows,
    given: Sequence[int],
    out: int,
    x_shape: Ints,
    y_shape: Ints,
) -> None:
    """Run one of ``pool.cu``'s functions on the arrays at these addresses.

    The shapes are (N, C, spatial…) of what is pooled and of the windows; gradients, whose names end
    in ``_input``, are written in the former, everything else in the latter.
    """
    channels = x_shape[1]
    size = math.prod(x_shape if function.endswith("_input") else y_shape)
    if not size:
        return
    width = pack(dtype, channels, *given, out)
    largest = max(math.prod(x_shape), math.prod(y_shape))
    program, count = sized("pool.cu", dtype, largest, WIDTH=width, **windows.macros())
    spatial = [(*[1] * (3 - len(shape[2:])), *shape[2:]) for shape in (x_shape, y_shape)]
    sizes = [count(n) for n in (*spatial[0], *spatial[1], channels, size // width)]
    arguments = (*given, out, *sizes, int32(windows.count_padding))
    device.launch(program, function, grid(device, size // width), (THREADS,), arguments)


def _on_arrays(
    arrays: Arrays, function: str, windows: Windows, given: Sequence[Any], x: Ints, y: Ints
) -> Any:
    given = [arrays.channels_last(a) for a in given]
    out = arrays.empty(x if function.endswith("_input") else y, given[0].dtype)
    addresses = [arrays.address(a) for a in given]
    dtype = str(out.dtype)
    pool(arrays.device, function, dtype, windows, addresses, arrays.address(out), x, y)
    return out


def _reach(x: Ints, windows: Windows, ceil_mode: bool) -> Ints:
    """The shape of the windows over ``x``: the rule of the ops' own shapes."""
    sizes = []
    for n, k, s, p, d in zip(x[2:], *windows[:4]):
        room = n + 2 * p - (k - 1) * d - 1
        reach = (-(-room // s) if ceil_mode else room // s) + 1
        if ceil_mode and (reach - 1) * s >= n + p:
            reach -= 1
        sizes.append(reach)
    return (*x[:2], *sizes)


def max_pool(
    arrays: Arrays,
    x: Any,
    *,
    kernel_size: Ints,
    stride: Ints,
    padding: Ints,
    dilation: Ints,
    ceil_mode: bool,
) -> Any:
    windows = Windows(kernel_size, stride, padding, dilation)
    y = _reach(x.shape, windows, ceil_mode)
    return _on_arrays(arrays, "max_pool", windows, [x], x.shape, y)


def max_pool_input(arrays: Arrays, y: Any, x: Any, maxima: Any, *, windows: Any) -> Any:
    own = Windows(*windows[:4])
    return _on_arrays(arrays, "max_pool_input", own, [y, x, maxima], x.shape, y.shape)


def max_pool_pick(arrays: Arrays, values: Any, x: Any, maxima: Any, *, windows: Any) -> Any:
    own = Windows(*windows[:4])
    return _on_arrays(arrays, "max_pool_pick", own, [values, x, maxima], x.shape, maxima.shape)


def avg_pool(
    arrays: Arrays,
    x: Any,
    *,
    kernel_size: Ints,
    stride: Ints,
    padding: Ints,
    ceil_mode: bool,
    count_include_pad: bool,
) -> Any:
    ones = (1,) * len(kernel_size)
    windows = Windows(kernel_size, stride, padding, ones, count_include_pad)
    y = _reach(x.shape, windows, ceil_mode)
    return _on_arrays(arrays, "avg_pool", windows, [x], x.shape, y)


def avg_pool_input(
    arrays: Arrays, y: Any, *, size: Ints, windows: Any, count_include_pad: bool
) -> Any:
    own = Windows(*windows[:4])._replace(count_padding=count_include_pad)
    return _on_arrays(arrays, "avg_pool_input", own, [y], (*y.shape[:2], *size), y.shape)


KERNELS: dict[str, Callable[..., Any]] = {
    "max_pool": max_pool,
    "max_pool_input": max_pool_input,
    "max_pool_pick": max_pool_pick,
    "avg_pool": avg_pool,
    "avg_pool_input": avg_pool_input,
}
