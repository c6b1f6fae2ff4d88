"""The ops: those that the core itself needs, and, as attributes too, those that plugins offer."""

# ruff: noqa: I001, A004  an index: dense, by family, and the names are the array API's
from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tensorgraph.discovery import PLUGINS as _PLUGINS

# fmt: off
from tensorgraph.ops.elementwise import (
    abs as abs, add as add, cast as cast, divide as divide, equal as equal, greater as greater,
    greater_equal as greater_equal, less as less, less_equal as less_equal,
    logical_and as logical_and, logical_not as logical_not, logical_or as logical_or,
    multiply as multiply, negative as negative, not_equal as not_equal, sign as sign,
    sqrt as sqrt, subtract as subtract, where as where,
)
from tensorgraph.ops.reduction import sum as sum
from tensorgraph.ops.shape import (
    broadcast_to as broadcast_to, reshape as reshape, sum_to as sum_to,
)
# fmt: on

if TYPE_CHECKING:
    from tensorgraph.tensor import Tensor

# The core's ops stand in the registry like everybody's, so that no plugin can take their names.
for _name, _thing in list(vars().items()):
    if _name[0].islower() and callable(_thing):
        _PLUGINS.ops.put(_name, _thing, plugin="core")


def __getattr__(name: str) -> Callable[..., Tensor]:
    return getattr(_PLUGINS.ops, name)  # type: ignore[no-any-return]  # what plugins offer is Any


def __dir__() -> list[str]:
    return sorted(_PLUGINS.ops)
