"""How far results may lie from each other: the tolerances that the kit publishes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tensorgraph.tensor import Tensor

TOLERANCES: Mapping[str, float] = {"float64": 1e-10, "float32": 2e-5, "float16": 1e-2}
GRADIENT = 1e-5  # relative, of gradients in float64 against differences with a step of 1e-6


def tolerance(dtype: str) -> float:
    """Of two ways to compute the same thing, relative to the largest value, and absolute below 1:
    integers and booleans are equal."""
    return TOLERANCES.get(dtype, 0.0)


def dtype_of(array: Any) -> str:
    """The name of an array's dtype, without that of its library."""
    return str(array.dtype).rpartition(".")[2]


def difference(got: Any, want: Any) -> float:
    """The largest distance of two arrays of one shape, relative to the largest value there is."""
    import numpy as np

    got, want = np.asarray(got), np.asarray(want)
    if got.dtype.kind == "b" or want.dtype.kind == "b":
        return float((got != want).any())
    a, b = got.astype("float64"), want.astype("float64")
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    if same.all():
        return 0.0
    finite = np.isfinite(a) & np.isfinite(b)
    if not (same | finite).all():
        return float("inf")
    scale = max(1.0, float(np.abs(b[finite]).max()))
    return float(np.abs(a - b)[~same].max()) / scale


def worst_index(got: Any, want: Any) -> tuple[int, ...]:
    """Where two arrays of one shape differ most."""
    import numpy as np

    with np.errstate(invalid="ignore"):
        distance = np.abs(np.asarray(got, "float64") - np.asarray(want, "float64"))
    distance = np.where(np.isnan(distance), np.inf, distance)
    return tuple(map(int, np.unravel_index(int(distance.argmax()), distance.shape)))


def disagreement(
    got: Iterable[Tensor], want: Iterable[Tensor], allowed: float | None = None
) -> tuple[float, str]:
    """The largest difference of two lists of results; and, where one exceeds what its dtype
    allows (or ``allowed``), what it is: shapes, or the element."""
    import numpy as np

    largest = 0.0
    for a, b in zip(got, want, strict=True):
        x, y = a.numpy(), b.numpy()
        if x.shape != y.shape:
            return float("inf"), f"{list(x.shape)} and {list(y.shape)} are the shapes"
        found = difference(x, y)
        largest = max(largest, found)
        if found > (tolerance(b.dtype) if allowed is None else allowed):
            at = worst_index(x, y) if x.size else ()
            first, second = np.asarray(x)[at], np.asarray(y)[at]
            return found, f"{first:.9g} and {second:.9g} at {list(at)} (relative {found:.1e})"
    return largest, ""
