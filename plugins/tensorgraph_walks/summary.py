"""What a model is made of, layer by layer: shapes, parameters and the cost of one forward pass."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from tensorgraph import config
from tensorgraph.spec import Spec, is_floating

if TYPE_CHECKING:
    from tensorgraph.layer import Layer
    from tensorgraph.op import Op
    from tensorgraph.program import Call


class Row(NamedTuple):
    """One layer: its path, what it is, its output, its parameters and its operations."""

    path: str
    layer: str
    output: Spec
    parameters: int
    trainable: int
    flops: int


@dataclasses.dataclass(frozen=True, repr=False)
class Summary:
    """A model's rows, in the order in which the layers run, for an input of one spec."""

    input: Spec
    rows: tuple[Row, ...]

    @property
    def parameters(self) -> int:
        return sum(row.parameters for row in self.rows)

    @property
    def trainable(self) -> int:
        return sum(row.trainable for row in self.rows)

    @property
    def flops(self) -> int:
        """Floating-point operations of a forward pass; a multiply-add counts as two."""
        return sum(row.flops for row in self.rows)

    def __str__(self) -> str:
        table = [("layer", "", "output", "parameters", "FLOPs")]
        for row in self.rows:
            numbers = (f"{row.parameters:,}", f"{row.flops:,}")
            table.append((row.path, row.layer, str(row.output), *numbers))
        table.append(("total", "", "", f"{self.parameters:,}", f"{self.flops:,}"))
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = [f"input {self.input}"]
        for cells in table:
            left = [cell.ljust(width) for cell, width in zip(cells[:3], widths[:3], strict=True)]
            right = [cell.rjust(width) for cell, width in zip(cells[3:], widths[3:], strict=True)]
            lines.append("  ".join(left + right))
        return "\n".join(lines)

    __repr__ = __str__


def flops_of(op: Op[...], out: Spec, inputs: tuple[Spec, ...], params: Mapping[str, Any]) -> int:
    """The floating-point operations of one call; ops that only move values count none."""
    if op.count_flops is not None:
        return op.count_flops(out, *inputs, **params)
    return out.size if is_floating(out.dtype) else 0


def flops_of_call(call: Call) -> int:
    """The same of a call in a plan; a runner may have given it prepared inputs beside its own."""
    op = call.op
    inputs = call.inputs if op.variadic else call.inputs[: len(op.inputs)]
    return flops_of(op, call.out.spec, tuple(x.spec for x in inputs), call.params)


class _Meter(config.Listener):
    """Listens to a forward pass and books every op on the innermost layer that runs."""

    def __init__(self, model: Layer) -> None:
        self.model = model
        self.running: list[Layer] = []
        self.flops: dict[Layer, int] = {}
        self.outputs: dict[Layer, Spec] = {}

    def op(self, op: Op[...], inputs: tuple[Any, ...], params: Mapping[str, Any], out: Any) -> None:
        layer = self.running[-1]
        cost = flops_of(op, out.spec, tuple(x.spec for x in inputs), params)
        self.flops[layer] = self.flops.get(layer, 0) + cost

    def enter(self, layer: Layer, x: Any) -> None:
        self.running.append(layer)

    def leave(self, layer: Layer, out: Any) -> None:
        self.running.pop()
        self.outputs.pop(layer, None)  # a layer that runs twice stands where it ran last
        self.outputs[layer] = out.spec


def summarize(model: Layer, x: Spec) -> Summary:
    """Shape ``model`` for an input of this spec, without data, and count what it holds and costs.

    Functions between the layers (activations, additions) are booked on the layer around them.
    """
    model.infer_shape(x)  # first: drawing initial values is no part of a forward pass
    meter = _Meter(model)
    with config.listen(meter):
        model.infer_shape(x)
    paths = {layer: path for path, layer in model.layers()}
    rows, counted = [], set()
    for layer, output in meter.outputs.items():
        own = [p for p in layer.own_parameters() if p not in counted]
        counted.update(own)
        flops = meter.flops.get(layer, 0)
        if not own and not flops and any(True for _ in layer.children()):
            continue
        rows.append(
            Row(
                path=paths[layer] or "(model)",
                layer=type(layer).__name__,
                output=output,
                parameters=sum(p.size for p in own),
                trainable=sum(p.size for p in own if p.requires_grad),
                flops=flops,
            )
        )
    return Summary(x, tuple(rows))
