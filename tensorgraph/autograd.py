"""Reverse-mode differentiation: walk the graph backwards, apply each op's gradient rule."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tensorgraph import config, ops
from tensorgraph.errors import GradientError
from tensorgraph.spec import Spec
from tensorgraph.tensor import Leaf, Node, Tensor


def grad(
    output: Tensor,
    inputs: Sequence[Tensor],
    seed: Tensor | None = None,
    *,
    create_graph: bool = False,
) -> list[Tensor]:
    """The gradients of ``output`` with respect to ``inputs``, each of its input's shape.

    ``output`` is a scalar, or ``seed`` has its shape and the gradients are those of
    ``sum(seed * output)``. With ``create_graph`` the gradients carry a graph of their own and can
    be differentiated again. An input that ``output`` does not depend on has gradient zero.
    """
    wanted = []
    if isinstance(inputs, Tensor):  # its elements are no inputs: their gradients would be 0
        raise TypeError("grad: takes a list of inputs, not one tensor: [x]")
    for i, x in enumerate(inputs):
        if x.node is None:
            raise GradientError(
                f"grad: input {i}, {x.spec}, does not require a gradient; make it with "
                "requires_grad=True before it is used"
            )
        wanted.append(x.node)
    found = _walk(output, seed, set(wanted), create_graph)
    for node, x in zip(wanted, inputs, strict=True):
        if node not in found:
            found[node] = ops.broadcast_to(x.constant(0), shape=x.shape)
    return [found[node] for node in wanted]


def backward(output: Tensor, seed: Tensor | None, create_graph: bool) -> None:
    listener = config.current().listener
    with config.Scope(grad=create_graph):
        for node, g in _walk(output, seed, None, create_graph).items():
            if isinstance(node, Leaf) and (leaf := node.tensor()) is not None:
                if listener is not None:
                    listener.accumulate(leaf)
                g = g if create_graph else g.detach()  # a rule may give two leaves one tensor
                leaf.grad = g if leaf.grad is None else leaf.grad + g


Tensor.differentiate = backward


def _walk(
    output: Tensor, seed: Tensor | None, wanted: set[Node | Leaf] | None, create_graph: bool
) -> dict[Node | Leaf, Tensor]:
    """The gradient of each wanted node, or of every leaf."""
    if output.node is None:
        raise GradientError(
            f"nothing that {output.spec} was made from requires a gradient: make an input with "
            "requires_grad=True, and do not compute it under no_grad(), nor in a compiled step "
            "that does not call backward() itself"
        )
    order = _topological(output.node)
    needed = _reaching(order, wanted)
    grads: dict[Node | Leaf, Tensor] = {output.node: _seed(output, seed)}
    results: dict[Node | Leaf, Tensor] = {}
    with config.Scope(grad=create_graph):
        for node in order:
            g = grads.pop(node, None)
            if g is None:
                continue
            if isinstance(node, Leaf) if wanted is None else node in wanted:
                results[node] = g
            if isinstance(node, Leaf):
                continue
            found = node.gradients(g)
            for parent, x, gx in zip(node.parents, node.saved, found, strict=True):
                if gx is None or parent is None or parent not in needed:
                    continue
                gx = gx() if callable(gx) else gx
                if gx.shape != x.shape:  # the op broadcast x, so its gradient is summed back
                    gx = ops.sum_to(gx, shape=x.shape)
                if gx.dtype != x.dtype:
                    raise GradientError(
                        f"the gradient rule of op {node.op.name!r} returned {gx.spec} for an "
                        f"input {Spec(x.shape, x.dtype)}"
                    )
                grads[parent] = grads[parent] + gx if parent in grads else gx
    return results


def _seed(output: Tensor, seed: Tensor | None) -> Tensor:
    if seed is None:
        if output.shape != ():
            raise GradientError(
                f"backward: {output.spec} is not a scalar; reduce it with tg.ops.sum or mean, or "
                "give a seed of its shape"
            )
        return output.constant(1)
    if seed.spec != output.spec:
        raise GradientError(f"backward: the seed {seed.spec} does not fit {output.spec}")
    return seed


def _topological(root: Node | Leaf) -> list[Node | Leaf]:
    """Every node that ``root`` depends on, consumers before producers. No recursion."""
    order: list[Node | Leaf] = []
    seen: set[Node | Leaf] = {root}
    stack: list[tuple[Node | Leaf, Iterator[Any]]] = [(root, iter(root.parents))]
    while stack:
        node, parents = stack[-1]
        for parent in parents:
            if parent is not None and parent not in seen:
                seen.add(parent)
                stack.append((parent, iter(parent.parents)))
                break
        else:
            stack.pop()
            order.append(node)
    order.reverse()
    return order


def _reaching(order: list[Node | Leaf], wanted: set[Node | Leaf] | None) -> set[Node | Leaf]:
    """The nodes from which a wanted one is reached: only their gradients are computed."""
    if wanted is None:
        return set(order)
    reaching: set[Node | Leaf] = set()
    for node in reversed(order):
        if node in wanted or any(p in reaching for p in node.parents):
            reaching.add(node)
    return reaching
