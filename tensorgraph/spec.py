"""What an op may know of an array before it runs: its shape and dtype."""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol

DTYPES = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64"),
)


class Shaped(Protocol):
    """Anything with a shape and a dtype: a tensor, or the spec of one."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> str: ...
    @property
    def ndim(self) -> int: ...
    @property
    def size(self) -> int: ...


class Spec(NamedTuple):
    """The abstract value of a tensor."""

    shape: tuple[int, ...]
    dtype: str = "float32"

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    def __str__(self) -> str:
        return f"{self.dtype}[{','.join(map(str, self.shape))}]"


def is_floating(dtype: str) -> bool:
    """Whether values of this dtype can carry a gradient."""
    return dtype.startswith(("float", "bfloat"))


def kind(dtype: str) -> int:
    """0 for bool, 1 for integers, 2 for floating point: what a Python number must not exceed."""
    return 0 if dtype == "bool" else 2 if is_floating(dtype) else 1
