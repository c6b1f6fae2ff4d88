"""Finding the first op of a step whose output is not finite."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from tensorgraph import config, ops
from tensorgraph.op import Op
from tensorgraph.spec import Spec, is_floating
from tensorgraph.tensor import Tensor

if TYPE_CHECKING:
    from tensorgraph.layer import Layer


class Nonfinite(NamedTuple):
    """Where NaN or infinity first came out, and whether it went in."""

    op: str
    layer: str  # the path and kind of the layer that ran it; "" outside every layer
    inputs: tuple[Spec, ...]
    bad_inputs: tuple[int, ...]

    def __str__(self) -> str:
        given = ", ".join(map(str, self.inputs))
        where = f" in layer {self.layer}" if self.layer else " outside the model's layers"
        cause = (
            f"input {', '.join(map(str, self.bad_inputs))} was not finite already"
            if self.bad_inputs
            else "its inputs were finite"
        )
        return f"op {self.op!r}{where} gave NaN or infinity from {given}; {cause}"


class _FoundError(Exception):
    """Ends the step once the op is known."""


class _Watch(config.Listener):
    def __init__(self) -> None:
        self.running: list[Layer] = []
        self.found: Nonfinite | None = None

    def op(
        self, op: Op[...], inputs: tuple[Tensor, ...], params: Mapping[str, Any], out: Tensor
    ) -> None:
        with config.Scope(listener=None, grad=False):
            if _finite(out):
                return
            bad = tuple(i for i, x in enumerate(inputs) if not _finite(x))
        layer = ""
        if self.running:
            paths = {found: path for path, found in self.running[0].layers()}
            innermost = self.running[-1]
            layer = f"{paths.get(innermost) or '(model)'!r} ({type(innermost).__name__})"
        self.found = Nonfinite(op.name, layer, tuple(x.spec for x in inputs), bad)
        raise _FoundError

    def enter(self, layer: Layer, x: Tensor) -> None:
        self.running.append(layer)

    def leave(self, layer: Layer, out: Tensor) -> None:
        self.running.pop()


def _finite(x: Tensor) -> bool:
    return not is_floating(x.dtype) or bool(ops.all(ops.isfinite(x)))


def first_nonfinite(step: Callable[[], Any]) -> Nonfinite | None:
    """Run ``step`` again, checking each op's output; what it finds first, or None.

    The step is abandoned at that op, so put what must not happen twice after the loss.
    """
    watch = _Watch()
    with config.listen(watch), contextlib.suppress(_FoundError):
        step()
    return watch.found
