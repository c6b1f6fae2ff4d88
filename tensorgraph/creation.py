"""Putting data on a backend."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tensorgraph import config
from tensorgraph.errors import DtypeError
from tensorgraph.spec import DTYPES, Spec
from tensorgraph.tensor import Tensor


def tensor(
    data: Any,
    *,
    dtype: str | None = None,
    backend: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """A new tensor from a number, nested lists, a NumPy array, a tensor or a DLPack exporter.

    Arrays keep their dtype and Python's floats take the one in force (``tg.use(dtype=…)``),
    unless ``dtype`` says otherwise.
    """
    chosen = config.get_backend(backend)
    if (listener := config.current().listener) is not None:
        listener.host_write("tg.tensor(…) is called")
    if isinstance(data, Tensor):
        data = data.data if data.backend is chosen else data.numpy()
    if dtype is None and not hasattr(data, "dtype"):
        dtype = _natural_dtype(data)
    array = chosen.asarray(data, dtype)
    made = Tensor(array, chosen, Spec(tuple(array.shape), str(array.dtype).split(".")[-1]))
    if made.dtype not in DTYPES:
        raise DtypeError(f"tensor: {made.spec} is none of {', '.join(DTYPES)}; give numbers")
    made.requires_grad = requires_grad
    return made


def from_host(
    make: Callable[[], Sequence[Any]], *, like: Sequence[Tensor], dtype: str | None = None
) -> list[Tensor]:
    """A tensor for each number, or sequence of them, that ``make()`` returns, on the backend and,
    unless ``dtype`` says otherwise, of the dtype of that in ``like``.

    A recorded step calls ``make`` again every time it is replayed: so a learning rate, or the key
    of random numbers, comes into it.
    """
    made = [x.constant(values, dtype) for x, values in zip(like, make(), strict=True)]
    if (listener := config.current().listener) is not None:
        listener.host(make, made)
    return made


def _natural_dtype(data: Any) -> str | None:
    """The dtype of nested lists of Python numbers: that of the widest kind among them."""
    kinds: set[type] = set()
    stack = [data]
    while stack:
        x = stack.pop()
        if isinstance(x, list | tuple | range):
            stack.extend(x)
        else:
            kinds.add(type(x))
    if kinds <= {bool} and kinds:
        return "bool"
    if kinds <= {bool, int} and kinds:
        return "int64"
    return config.current().dtype.value if kinds <= {bool, int, float} else None
