"""Cross-correlation over 1, 2 or 3 spatial axes, closed under differentiation.

``y = conv(x, w)`` is linear in each argument, so its two gradients are bilinear maps of the same
kind, and the gradients of those are these three ops again::

    conv         (x, w) -> y       d/dx conv_input(g, w)    d/dw conv_weight(x, g)
    conv_input   (y, w) -> x       d/dy conv(g, w)          d/dw conv_weight(g, y)
    conv_weight  (x, y) -> w       d/dx conv_input(y, g)    d/dy conv(x, g)
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from tensorgraph.errors import ShapeError
from tensorgraph.op import op
from tensorgraph.ops.elementwise import floating
from tensorgraph.spec import Shaped, Spec
from tensorgraph_ops.shape import pad, padded

if TYPE_CHECKING:
    from tensorgraph.tensor import Tensor

Ints = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]
Size = int | Ints
Pad = int | str | Ints | Pairs


class Geometry(NamedTuple):
    """How the filter meets the input: what the three maps have in common. In canonical form
    stride and dilation are integers and padding is pairs (before, after), one for each axis."""

    stride: Any
    padding: Any
    dilation: Any
    groups: int


def per_axis(what: str, value: Any, axes: int, least: int) -> Ints:
    """One number for all spatial axes, or one for each, as a tuple."""
    values = (value,) * axes if isinstance(value, int) else tuple(value)
    if len(values) != axes or any(not isinstance(v, int) or v < least for v in values):
        raise ShapeError(f"{what}={value!r} is neither an integer from {least} on, nor {axes} such")
    return values


def _canonical(name: str, size: Ints, k: Ints, **parameters: Any) -> dict[str, Any]:
    """The parameters in their canonical form, for an input and a filter of these sizes."""
    given = Geometry(**parameters)
    stride = per_axis(f"{name}: stride", given.stride, len(k), 1)
    dilation = per_axis(f"{name}: dilation", given.dilation, len(k), 1)
    (groups,) = per_axis(f"{name}: groups", given.groups, 1, 1)
    padding: Any = 0 if given.padding == "valid" else given.padding
    if padding == "same":
        spans = [
            (-(-n // s) - 1) * s + _span(m, d) for n, m, s, d in zip(size, k, stride, dilation)
        ]
        missing = [max(0, span - n) for n, span in zip(size, spans)]
        padding = tuple((n // 2, n - n // 2) for n in missing)
    each = (padding,) * len(k) if isinstance(padding, int) else padding
    pairs = tuple((p, p) if isinstance(p, int) else tuple(p) for p in each)
    if len(pairs) != len(k) or any(list(map(type, p)) != [int, int] or min(p) < 0 for p in pairs):
        raise ShapeError(
            f"{name}: padding={padding!r} is neither 'same' nor 'valid', nor a number from 0 on, "
            f"nor for each of {len(k)} spatial axes a number or a pair (before, after)"
        )
    return Geometry(stride, pairs, dilation, groups)._asdict()


def _span(k: int, dilation: int) -> int:
    """How many elements a filter reaches over."""
    return (k - 1) * dilation + 1


def _check_axes(name: str, **xs: Shaped) -> None:
    (_, x), (_, y) = xs.items()
    if x.ndim != y.ndim or not 3 <= x.ndim <= 5:
        raise ShapeError(f"{name}: takes two tensors with 1 to 3 spatial axes each: {_text(**xs)}")


def _text(**xs: Shaped) -> str:
    return ", ".join(f"{name} {Spec(x.shape, x.dtype)}" for name, x in xs.items())


def _output(name: str, x: Shaped, w: Shaped, geometry: Any) -> Ints:
    """The shape of ``conv(x, w)``."""
    text, groups = _text(x=x, w=w), geometry.groups
    if x.shape[1] != w.shape[1] * groups:
        expected = f"{w.shape[1]}{f' in each of {groups} groups' if groups > 1 else ''}"
        raise ShapeError(f"{name}: x has {x.shape[1]} channels and w expects {expected}: {text}")
    if w.shape[0] % groups:
        raise ShapeError(f"{name}: {w.shape[0]} filters do not divide into {groups} groups: {text}")
    size = []
    for n, k, s, p, d in zip(x.shape[2:], w.shape[2:], *geometry[:3]):
        room = n + p[0] + p[1] - _span(k, d)
        if room < 0 or k < 1:
            raise ShapeError(
                f"{name}: the filter reaches over {_span(k, d)} and the padded input has only "
                f"{n + p[0] + p[1]}, {-room} too few: {text}; a padding of "
                f"{-((n - _span(k, d)) // 2)} or a smaller filter would fit"
            )
        size.append(room // s + 1)
    return (x.shape[0], w.shape[0], *size)


def _windows(k: Sequence[int], reach: Sequence[int], geometry: Geometry) -> Iterator[Any]:
    """For each element of the filter its index, and the part of the padded input it meets."""
    for offset in itertools.product(*map(range, k)):
        starts = [o * d for o, d in zip(offset, geometry.dilation)]
        spans = zip(starts, reach, geometry.stride)
        yield (..., *offset), (..., *[slice(o, o + (n - 1) * s + 1, s) for o, n, s in spans])


def _padded(xp: Any, x: Any, geometry: Geometry) -> Any:
    pairs = ((0, 0), (0, 0), *geometry.padding)
    return padded(xp, x, pairs, 0) if any(map(any, pairs)) else x


def _check_output(name: str, y: Shaped, x: Shaped, w: Shaped, geometry: Geometry) -> None:
    wanted = _output(name, x, w, geometry)
    if y.shape != wanted:
        raise ShapeError(
            f"{name}: {_text(x=x, w=w)} would give an output {list(wanted)}, not {_text(y=y)}"
        )


@op
def conv(
    x: Shaped, w: Shaped, *, stride: Size = 1, padding: Pad = 0, dilation: Size = 1, groups: int = 1
) -> Spec:
    """Slide filters over images: (N,C,…), (F,C/groups,…) → (N,F,…), with 1 to 3 spatial axes.

    PyTorch's conv1d, conv2d and conv3d without a bias. ``padding`` may also be a pair (before,
    after) for each axis, "valid" (none) or "same" (an output of ceil(input / stride)).
    """
    dtype = floating("conv", x, w)
    return Spec(_output("conv", x, w, Geometry(stride, padding, dilation, groups)), dtype)


@conv.canonical
def _(x: Shaped, w: Shaped, **given: Any) -> dict[str, Any]:
    _check_axes("conv", x=x, w=w)
    return _canonical("conv", x.shape[2:], w.shape[2:], **given)


@conv.kernel
def _(xp: Any, x: Any, w: Any, **given: Any) -> Any:
    geometry, (f, c, *k) = Geometry(**given), w.shape
    n, _, *reach = _output("conv", x, w, geometry)
    x, area, groups = _padded(xp, x, geometry), math.prod(reach), geometry.groups
    y = xp.zeros((n, groups, f // groups, area), dtype=x.dtype)
    for at, window in _windows(k, reach, geometry):
        seen = xp.reshape(x[window], (n, groups, c, area))
        y += xp.matmul(xp.reshape(w[at], (groups, f // groups, c)), seen)
    return xp.reshape(y, (n, f, *reach))


@conv.vjp
def _(g: Tensor, x: Tensor, w: Tensor, **geometry: Any) -> Any:
    return (
        lambda: conv_input(g, w, size=x.shape[2:], **geometry),
        lambda: conv_weight(x, g, size=w.shape[2:], **geometry),
    )


@op
def conv_input(
    y: Shaped, w: Shaped, *, size: Ints, stride: Size, padding: Pad, dilation: Size, groups: int
) -> Spec:
    """The gradient of ``conv`` in its input: (N,F,…), (F,C/groups,…) → (N,C,*size)."""
    x = Spec((y.shape[0], w.shape[1] * groups, *size), floating("conv_input", y, w))
    _check_output("conv_input", y, x, w, Geometry(stride, padding, dilation, groups))
    return x


@conv_input.canonical
def _(y: Shaped, w: Shaped, *, size: Any, **given: Any) -> dict[str, Any]:
    _check_axes("conv_input", y=y, w=w)
    size = per_axis("conv_input: size", size, w.ndim - 2, 0)
    return {"size": size, **_canonical("conv_input", size, w.shape[2:], **given)}


@conv_input.kernel
def _(xp: Any, y: Any, w: Any, *, size: Ints, **given: Any) -> Any:
    geometry, (f, c, *k), (n, _, *reach) = Geometry(**given), w.shape, y.shape
    groups, padding = geometry.groups, geometry.padding
    y = xp.reshape(y, (n, groups, f // groups, math.prod(reach)))
    sizes = [m + sum(p) for m, p in zip(size, padding)]
    x = xp.zeros((n, groups * c, *sizes), dtype=y.dtype)
    for at, window in _windows(k, reach, geometry):
        filters = xp.matrix_transpose(xp.reshape(w[at], (groups, f // groups, c)))
        x[window] += xp.reshape(xp.matmul(filters, y), (n, groups * c, *reach))
    return x[(..., *[slice(p[0], p[0] + m) for m, p in zip(size, padding)])]


@conv_input.vjp
def _(g: Tensor, y: Tensor, w: Tensor, *, size: Ints, **geometry: Any) -> Any:
    return (
        lambda: conv(g, w, **geometry),
        lambda: conv_weight(g, y, size=w.shape[2:], **geometry),
    )


@op
def conv_weight(
    x: Shaped, y: Shaped, *, size: Ints, stride: Size, padding: Pad, dilation: Size, groups: int
) -> Spec:
    """The gradient of ``conv`` in its filters: (N,C,…), (N,F,…) → (F,C/groups,*size)."""
    w = Spec((y.shape[1], x.shape[1] // groups, *size), floating("conv_weight", x, y))
    _check_output("conv_weight", y, x, w, Geometry(stride, padding, dilation, groups))
    return w


@conv_weight.canonical
def _(x: Shaped, y: Shaped, *, size: Any, **given: Any) -> dict[str, Any]:
    _check_axes("conv_weight", x=x, y=y)
    size = per_axis("conv_weight: size", size, x.ndim - 2, 1)
    return {"size": size, **_canonical("conv_weight", x.shape[2:], size, **given)}


@conv_weight.kernel
def _(xp: Any, x: Any, y: Any, *, size: Ints, **given: Any) -> Any:
    geometry, (n, f, *reach) = Geometry(**given), y.shape
    groups, area = geometry.groups, math.prod(reach)
    c = x.shape[1] // groups
    x, y = _padded(xp, x, geometry), xp.reshape(y, (n, groups, f // groups, area))
    w = xp.empty((f, c, *size), dtype=x.dtype)
    for at, window in _windows(size, reach, geometry):
        seen = xp.matrix_transpose(xp.reshape(x[window], (n, groups, c, area)))
        w[at] = xp.reshape(xp.sum(xp.matmul(y, seen), axis=0), (f, c))
    return w


@conv_weight.vjp
def _(g: Tensor, x: Tensor, y: Tensor, *, size: Ints, **geometry: Any) -> Any:
    return (
        lambda: conv_input(y, g, size=x.shape[2:], **geometry),
        lambda: conv(x, g, **geometry),
    )


# a multiplication and an addition for each element of y and each that it is made from
conv.flops(lambda out, x, w, **geometry: 2 * out.size * math.prod(w.shape[1:]))
conv_input.flops(lambda out, y, w, **geometry: 2 * y.size * math.prod(w.shape[1:]))
conv_weight.flops(lambda out, x, y, **geometry: 2 * y.size * math.prod(out.shape[1:]))


def conv_transpose(
    x: Tensor,
    w: Tensor,
    *,
    stride: Size = 1,
    padding: Size = 0,
    output_padding: Size = 0,
    groups: int = 1,
    dilation: Size = 1,
) -> Tensor:
    """The transpose of ``conv``: (N,C,…), (C,F/groups,…) → (N,F,…); weights as in PyTorch.

    Along an axis the output has (input - 1) * stride + dilation * (kernel - 1) + 1 - 2 * padding +
    output_padding elements.
    """
    _check_axes("conv_transpose", x=x, w=w)
    given = {"stride": stride, "dilation": dilation, "padding": padding}
    least = {"stride": 1, "dilation": 1, "padding": 0, "output_padding": 0}
    s, d, p, extra = (
        per_axis(f"conv_transpose: {name}", value, w.ndim - 2, least[name])
        for name, value in {**given, "output_padding": output_padding}.items()
    )
    if any(e >= max(pair) for e, *pair in zip(extra, s, d)):
        raise ShapeError(
            f"conv_transpose: output_padding={output_padding} must be smaller than stride={stride} "
            f"or dilation={dilation}"
        )
    if x.shape[1] != w.shape[0]:
        raise ShapeError(
            f"conv_transpose: x has {x.shape[1]} channels and w expects {w.shape[0]}: "
            f"{_text(x=x, w=w)}"
        )
    pairs = tuple((low, low - min(e, low)) for low, e in zip(p, extra))  # e crops less at the end
    beyond = [max(e - low, 0) for low, e in zip(p, extra)]  # and what no window reaches is 0
    size = tuple(
        (n - 1) * s + _span(k, d) - sum(pair)
        for n, k, s, d, pair in zip(x.shape[2:], w.shape[2:], s, d, pairs)
    )
    out = conv_input(x, w, size=size, stride=s, padding=pairs, dilation=d, groups=groups)
    return pad(out, ((0, 0), (0, 0), *[(0, n) for n in beyond])) if any(beyond) else out
