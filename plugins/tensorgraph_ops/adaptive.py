"""Pooling to an output of a given size, whatever the input's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tensorgraph_ops.axes import permute_dims
from tensorgraph_ops.conv import per_axis
from tensorgraph_ops.index import take
from tensorgraph_ops.matmul import matmul
from tensorgraph_ops.pool import avg_pool, max_pool
from tensorgraph_ops.reduction import max as largest
from tensorgraph_ops.reduction import mean

if TYPE_CHECKING:
    from tensorgraph.tensor import Tensor

Ints = tuple[int, ...]


def _adaptive(name: str, x: Tensor, output_size: Any) -> tuple[Ints, bool]:
    """The output's spatial sizes, and whether they divide the input's."""
    axes = x.ndim - 2
    given = output_size if isinstance(output_size, tuple | list) else (output_size,) * axes
    if len(given) == axes:
        given = tuple(n if m is None else m for m, n in zip(given, x.shape[2:]))
    sizes = per_axis(f"{name}: output_size", given, axes, 1)
    return sizes, all(n % m == 0 for n, m in zip(x.shape[2:], sizes))


def _spans(n: int, m: int) -> list[range]:
    """``m`` windows that cover ``n`` elements as evenly as they can, and may overlap."""
    return [range(i * n // m, -(-(i + 1) * n // m)) for i in range(m)]


def adaptive_avg_pool(x: Tensor, *, output_size: Any) -> Tensor:
    """Averages of windows so chosen that the output has ``output_size`` (None: the input's).

    Window i of m over n elements reaches from floor(i n / m) to ceil((i + 1) n / m), as in PyTorch.
    """
    sizes, even = _adaptive("adaptive_avg_pool", x, output_size)
    if set(sizes) == {1}:
        return mean(x, axis=tuple(range(2, x.ndim)), keepdims=True)
    if even:
        return avg_pool(x, kernel_size=tuple(n // m for n, m in zip(x.shape[2:], sizes)))
    for axis, m in enumerate(sizes, 2):
        shares = [
            [(i in s) / len(s) for s in _spans(x.shape[axis], m)] for i in range(x.shape[axis])
        ]
        last = x.ndim - 1
        swap = (*range(axis), last, *range(axis + 1, last), axis)[: x.ndim]
        x = permute_dims(matmul(permute_dims(x, axes=swap), x.constant(shares)), axes=swap)
    return x


def adaptive_max_pool(x: Tensor, *, output_size: Any) -> Tensor:
    """Maxima of windows so chosen that the output has ``output_size``: as adaptive_avg_pool."""
    sizes, even = _adaptive("adaptive_max_pool", x, output_size)
    if even:
        return max_pool(x, kernel_size=tuple(n // m for n, m in zip(x.shape[2:], sizes)))
    for axis, m in enumerate(sizes, 2):
        spans = _spans(x.shape[axis], m)
        widest = max(map(len, spans))
        members = [[span[min(i, len(span) - 1)] for i in range(widest)] for span in spans]
        x = largest(take(x, x.constant(members, "int64"), axis=axis), axis=axis + 1)
    return x
