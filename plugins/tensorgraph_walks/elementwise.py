"""Which ops make each element of their output from those that stand in its place."""

from __future__ import annotations

from tensorgraph import ops
from tensorgraph.op import Op

# what ``unary`` and ``binary`` have declared, of whichever plugin, shares its shape rule's code
_CODE = {op.shape_rule.__code__ for op in (ops.negative, ops.add)}
_OTHERS = frozenset({"cast", "clip", "where"})


def is_elementwise(op: Op[...]) -> bool:
    """Whether each element of the output is a function of the inputs' elements in its place, the
    inputs broadcast to it: a leading part of the output is made of the same part of the inputs."""
    return op.name in _OTHERS or getattr(op.shape_rule, "__code__", None) in _CODE
