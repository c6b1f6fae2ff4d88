"""A model as a graph: a step for each layer that runs, and which one reads what another gives."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from tensorgraph import config
from tensorgraph_walks.summary import flops_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tensorgraph.layer import Layer
    from tensorgraph.op import Op
    from tensorgraph.spec import Spec
    from tensorgraph.tensor import Tensor


@dataclasses.dataclass(eq=False)
class Step:
    """A layer at work, or an op outside the layers; ``then``: ops done to its result at once."""

    path: str
    title: str
    reads: list[Step]
    output: Spec
    parameters: int = 0
    trainable: int = 0
    flops: int = 0
    is_op: bool = False
    then: list[str] = dataclasses.field(default_factory=list)


class _Watch(config.Listener):
    """Listens to a forward pass. A layer deeper than ``depth``, or one without layers of its own,
    is one step, whatever goes on inside it."""

    def __init__(self, model: Layer, depth: int) -> None:
        self.steps: list[Step] = []
        self.paths = {layer: path for path, layer in model.layers()}
        self.depth = depth
        self.running: list[Step | None] = []  # None: its own layers are the steps
        self.made: dict[int, Step] = {}  # by the identity of a tensor
        self.alive: list[Tensor] = []  # or identities would be given anew
        self.counted: set[Any] = set()

    def enter(self, layer: Layer, x: Tensor) -> None:
        if not self.steps:
            self._add(Step("", "input", [], x.spec), x)
        path = self.paths.get(layer, "")
        closed = path.count(".") + bool(path) >= self.depth or not any(layer.children())
        if not closed or any(self.running):
            self.running.append(None)
            return
        parameters = {p for _, inner in layer.layers() for p in inner.own_parameters()}
        new = parameters - self.counted
        own = sum(p.size for p in new)
        trainable = sum(p.size for p in new if p.requires_grad)
        self.counted |= parameters
        options = layer._options()
        title = type(layer).__name__ + (f"({options})" if options else "")
        self.running.append(Step(path, title, [self.made[id(x)]], x.spec, own, trainable))

    def leave(self, layer: Layer, out: Tensor) -> None:
        step = self.running.pop()
        if step is not None:
            step.output = out.spec
            self._add(step, out)

    def op(
        self, op: Op[...], inputs: tuple[Tensor, ...], params: Mapping[str, Any], out: Tensor
    ) -> None:
        inside = next((step for step in self.running if step is not None), None)
        cost = flops_of(op, out.spec, tuple(x.spec for x in inputs), params)
        sources = [self.made[id(x)] for x in inputs if id(x) in self.made]
        if inside is None:
            reads = list(dict.fromkeys(sources))
            self._add(Step("", op.name, reads, out.spec, flops=cost, is_op=True), out)
        else:
            new = [s for s in sources if s is not inside and s not in inside.reads]
            inside.reads += new
            inside.flops += cost
            self.made[id(out)] = inside
            self.alive.append(out)

    def detach(self, tensor: Tensor, out: Tensor) -> None:
        if id(tensor) in self.made:
            self.made[id(out)] = self.made[id(tensor)]
            self.alive.append(out)

    def _add(self, step: Step, out: Tensor) -> None:
        self.steps.append(step)
        self.made[id(out)] = step
        self.alive.append(out)


def architecture(model: Layer, x: Spec, most: int) -> list[Step]:
    """The steps of a forward pass in the order in which they run, the input first.

    As deep into the model's layers as leaves no more than ``most`` steps.
    """
    model.infer_shape(x)
    deepest = max(path.count(".") + 1 for path, _ in model.layers())
    steps: list[Step] = []
    for depth in range(deepest, 0, -1):
        watch = _Watch(model, depth)
        with config.listen(watch):
            model.infer_shape(x)
        steps = _folded(watch.steps)
        if len(steps) <= most:
            break
    return steps


def _folded(steps: Iterable[Step]) -> list[Step]:
    """An op that alone reads a step's result, and nothing else, is written into that step."""
    left = list(steps)
    for step in list(left):
        if not step.is_op or len(step.reads) != 1:
            continue
        (source,) = step.reads
        readers = [other for other in left if source in other.reads]
        if source is left[0] or readers != [step]:
            continue
        source.then.append(step.title)
        source.output = step.output
        source.flops += step.flops
        left.remove(step)
        for other in left:
            other.reads = [source if x is step else x for x in other.reads]
    return left
