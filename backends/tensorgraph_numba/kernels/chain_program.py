"""From the steps of a chain to instructions: fewer kinds of operations, what varies less computed
ahead, pairs of operations joined."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from tensorgraph_numba.kernels.chain_opcodes import OPERATIONS

VARIES = -1  # the period of a value that repeats nowhere; that of a constant is 0


class Step(NamedTuple):
    """An op of a chain and the numbers of its operands: inputs come first, then steps."""

    op: str
    operands: tuple[int, ...]


class Node(NamedTuple):
    """A value: an operation of this machine, or "input" or "number" (``constant``)."""

    op: str
    operands: tuple[int, ...]
    period: int
    boolean: bool = False
    constant: float = 0.0


def common_period(periods: Sequence[int]) -> int:
    """The period of what is computed from values of these periods."""
    found = {p for p in periods if p != 0}
    return 0 if not found else found.pop() if len(found) == 1 else VARIES


class Graph:
    """Values in an order in which they can be computed."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []

    def append(self, node: Node) -> int:
        self.nodes.append(node)
        return len(self.nodes) - 1

    def input(self, period: int, boolean: bool = False) -> int:
        return self.append(Node("input", (), period, boolean))

    def number(self, value: float) -> int:
        return self.append(Node("number", (), 0, False, float(value)))

    def emit(self, op: str, *operands: int) -> int:
        """An operation of the machine; what is constant goes behind what is not."""
        if op in SYMMETRIC:
            operands = tuple(sorted(operands, key=lambda x: self.nodes[x].period == 0))
        boolean = op in COMPARISONS or (op in LOGICAL and all(self.boolean(x) for x in operands))
        period = common_period([self.nodes[x].period for x in operands])
        return self.append(Node(op, operands, period, boolean))

    def boolean(self, x: int) -> bool:
        return self.nodes[x].boolean

    def step(self, op: str, *operands: int) -> int:
        """An op of the project's."""
        if op in REWRITTEN:
            return REWRITTEN[op](self, *operands)
        known = op in OPERATIONS and op not in INTERNAL
        if not known or OPERATIONS[op].operands != len(operands):
            raise ValueError(
                f"a chain has no op {op!r} of {len(operands)} operands; it has "
                f"{', '.join(sorted(OPERATIONS.keys() - INTERNAL | REWRITTEN.keys()))}"
            )
        return self.emit(op, *operands)


COMPARISONS = {"equal", "not_equal", "greater", "greater_equal"}
LOGICAL = {"minimum", "maximum", "copy"}  # of 0 and 1: and, or
SYMMETRIC = {"add", "multiply", "maximum", "minimum", "equal", "not_equal", "add_add"} | {
    "multiply_multiply"
}


def _divide(graph: Graph, x: int, y: int) -> int:
    """Division by what varies less is multiplication by its reciprocal, computed ahead."""
    periods = [graph.nodes[v].period for v in (x, y)]
    if periods[0] != periods[1] and common_period(periods) == periods[0]:
        return graph.emit("multiply", x, graph.emit("divide", graph.number(1), y))
    return graph.emit("divide", x, y)


def _pow(graph: Graph, x: int, y: int) -> int:
    exponent = graph.nodes[y]
    if exponent.op == "number" and exponent.constant in POWERS:
        return POWERS[exponent.constant](graph, x)
    return graph.emit("pow", x, y)


def _square(graph: Graph, x: int) -> int:
    return graph.emit("multiply", x, x)


def _cast(graph: Graph, x: int) -> int:
    if not graph.boolean(x):
        raise ValueError("a chain casts from bool only; to bool it is not_equal to 0.0")
    return x


def _swapped(op: str) -> Callable[[Graph, int, int], int]:
    return lambda graph, x, y: graph.emit(op, y, x)


POWERS: dict[float, Callable[[Graph, int], int]] = {
    1.0: lambda graph, x: x,
    2.0: _square,
    3.0: lambda graph, x: graph.emit("multiply", _square(graph, x), x),
    -1.0: lambda graph, x: graph.emit("divide", graph.number(1), x),
}
REWRITTEN: dict[str, Callable[..., int]] = {
    "divide": _divide,
    "pow": _pow,
    "cast": _cast,
    "square": _square,
    "negative": lambda graph, x: graph.emit("multiply", x, graph.number(-1)),
    "reciprocal": lambda graph, x: graph.emit("divide", graph.number(1), x),
    "relu": lambda graph, x: graph.emit("maximum", x, graph.number(0)),
    "clip": lambda graph, x, low, high: graph.emit("minimum", graph.emit("maximum", x, low), high),
    "less": _swapped("greater"),
    "less_equal": _swapped("greater_equal"),
    "logical_and": lambda graph, x, y: graph.emit("minimum", x, y),
    "logical_or": lambda graph, x, y: graph.emit("maximum", x, y),
    "logical_xor": lambda graph, x, y: graph.emit("not_equal", x, y),
    "logical_not": lambda graph, x: graph.emit("equal", x, graph.number(0)),
    "isnan": lambda graph, x: graph.emit("not_equal", x, x),
    "isinf": lambda graph, x: graph.emit("equal", graph.emit("abs", x), graph.number(float("inf"))),
    "isfinite": lambda graph, x: graph.emit(
        "greater", graph.number(float("inf")), graph.emit("abs", x)
    ),
}

# (outer operation, place of its operand, inner operation): both in one, which takes the operands
# of the inner one, then those that are left of the outer one
JOINED = {
    ("subtract", 0, "multiply"): "multiply_subtract",
    ("subtract", 1, "multiply"): "subtract_product",
    ("subtract_product", 0, "divide"): "subtract_quotient",
    ("multiply_add", 0, "sqrt"): "sqrt_multiply_add",
    ("multiply_add", 2, "multiply"): "add_products",
    ("multiply_add", 2, "multiply_multiply"): "add_product",
    ("sum", 0, "multiply"): "sum_product",
    ("sum", 0, "subtract_multiply"): "sum_subtract_multiply",
    ("where", 0, "greater"): "greater_where",
    ("multiply", 0, "subtract"): "subtract_multiply",
    ("multiply", 1, "subtract"): "subtract_multiply",
    **{
        (outer, place, inner): joined
        for outer, inner, joined in (
            ("add", "multiply", "multiply_add"),
            ("add", "add", "add_add"),
            ("add", "sqrt", "sqrt_add"),
            ("add", "subtract_multiply", "subtract_multiply_add"),
            ("multiply", "add", "add_multiply"),
            ("multiply", "multiply", "multiply_multiply"),
            ("multiply", "greater", "greater_multiply"),
            ("maximum", "add", "add_maximum"),
            ("maximum", "multiply_add", "multiply_add_maximum"),
            ("maximum", "subtract_multiply_add", "subtract_multiply_add_maximum"),
            ("minimum", "maximum", "maximum_minimum"),
        )
        for place in (0, 1)
    },
}
# (operation, two of its operands): what it is if both are the same value, then given once
SAME = {
    ("multiply", 0, 1): "square",
    ("sum_product", 0, 1): "sum_square",
    ("subtract_multiply_add", 1, 3): "approach",
    ("add_product", 0, 1): "add_square",
}
INTERNAL = {*SAME.values(), *JOINED.values(), "copy", "load", "store", "sum"}


def used(graph: Graph, wanted: Sequence[int]) -> Counter[int]:
    """How often each value is needed for those that are wanted."""
    count = Counter(wanted)
    for number in reversed(range(len(graph.nodes))):
        if count[number]:
            count.update(graph.nodes[number].operands)
    return count


def joined(graph: Graph, wanted: Sequence[int]) -> Graph:
    """The graph with operations joined where the first one's value has no other use. Values keep
    their numbers."""
    count = used(graph, wanted)
    made = Graph()
    for number, node in enumerate(graph.nodes):
        found = count[number] > 0
        while found:
            found = False
            for place, operand in enumerate(node.operands):
                inner = made.nodes[operand]
                name = JOINED.get((node.op, place, inner.op))
                if name and count[operand] == 1 and inner.period == node.period:
                    operands = [*node.operands[:place], *node.operands[place + 1 :]]
                    operands[:0] = inner.operands
                    if name in SYMMETRIC:
                        operands.sort(key=lambda x: made.nodes[x].period == 0)
                    node = node._replace(op=name, operands=tuple(operands))
                    found = True
                    break
        made.append(node)
    made.nodes = [_without_same(node) for node in made.nodes]
    return made


def _without_same(node: Node) -> Node:
    for (op, first, second), name in SAME.items():
        operands = node.operands
        if node.op == op and operands[first] == operands[second]:
            return node._replace(op=name, operands=operands[:second] + operands[second + 1 :])
    return node


def scheduled(graph: Graph, wanted: Sequence[int], sums: set[int], first: set[int]) -> list[int]:
    """The values to compute, in order: those of ``first``, then the others, additions to sums as
    soon as they can be made."""
    count = used(graph, wanted)
    order = [n for n, node in enumerate(graph.nodes) if count[n] and node.operands]

    def when(number: int) -> tuple[bool, int, bool]:
        early = number in sums
        position = max(graph.nodes[number].operands) if early else number
        return (number not in first, position, early)

    return sorted(order, key=when)
