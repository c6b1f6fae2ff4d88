"""Recording a step: every op that runs, forward, backward and update, and what it works on."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorgraph
from tensorgraph import config
from tensorgraph.errors import RecordingError
from tensorgraph.op import Op
from tensorgraph.program import Call, Program, Value
from tensorgraph.tensor import Number, Tensor

OURS = tuple(
    str(Path(file).parents[1]) + "/tensorgraph" for file in (tensorgraph.__file__, __file__)
)


class Recording(config.Listener):
    """Listens to one run of a step and writes down its program.

    Values are told apart by their arrays: a tensor that was detached, or taken out of the graph
    again for the backward pass, is another tensor on the same array.
    """

    def __init__(self, arguments: Sequence[Tensor]) -> None:
        self.program = Program()
        self.layers: dict[Any, None] = {}  # those that ran, in order
        self.owners: dict[Any, tuple[str, ...]] = {}  # → which of their settings may change
        self.leaves: dict[Tensor, bool | None] = {}  # → whether a gradient was found; None: cleared
        self._known: dict[int, tuple[Any, Value]] = {}
        for x in arguments:
            value = Value(x.spec)
            self.program.arguments.append(value)
            self._know(x, value)

    def _know(self, x: Tensor, value: Value) -> None:
        try:
            seen: Any = weakref.ref(x.data)  # results are not kept alive
        except TypeError:  # a scalar of NumPy's
            seen = lambda data=x.data: data  # noqa: E731
        self._known[id(x.data)] = (seen, value)

    def _find(self, x: Tensor) -> Value | None:
        seen, value = self._known.get(id(x.data), (None, None))
        return value if seen is not None and seen() is x.data else None

    def value(self, x: Tensor) -> Value:
        """The value of a tensor; one not met before is state, or a number in the step's code."""
        value = self._find(x)
        if value is None:
            value = Value(x.spec)
            held = self.program.constants if isinstance(x, Number) else self.program.state
            held[value] = x
            self._know(x, value)
        return value

    def op(
        self, op: Op[...], inputs: tuple[Tensor, ...], params: Mapping[str, Any], out: Tensor
    ) -> None:
        values = tuple([self.value(x) for x in inputs])
        value = Value(out.spec)
        if all(x in self.program.constants for x in values):
            self.program.constants[value] = Number(out.data, out.backend, out.spec)
        else:
            self.program.calls.append(Call(op, values, params, value))
        self._know(out, value)

    def enter(self, layer: Any, x: Tensor) -> None:
        self.layers[layer] = None

    def settings(self, owner: Any, free: tuple[str, ...]) -> None:
        self.owners[owner] = free

    def read(self, x: Tensor) -> None:
        self.value(x)

    def assign(self, x: Tensor, value: Tensor) -> None:
        self.value(x)
        self.program.assigned[x] = self.value(value)

    def clear(self, leaf: Tensor) -> None:
        self.leaves[leaf] = None

    def accumulate(self, leaf: Tensor) -> None:
        self.leaves.setdefault(leaf, leaf.grad is not None)
        if leaf.grad is not None and self._find(leaf.grad) is None:
            self.program.added[leaf] = value = Value(leaf.spec)
            self._know(leaf.grad, value)

    def host(self, make: Callable[[], Sequence[Any]], tensors: Sequence[Tensor]) -> None:
        values = [Value(x.spec) for x in tensors]
        self.program.hosts.append((make, values))
        for x, value in zip(tensors, values, strict=True):
            self._know(x, value)

    def host_read(self, what: str, tensor: Tensor) -> None:
        raise RecordingError(
            f"{what} reads the value of {tensor.spec} while a step is being recorded"
            f"{users_line()}: a replay would not read it again. Return the tensor and read it "
            "after the step, or decide with tg.ops.where"
        )

    def host_write(self, what: str) -> None:
        raise RecordingError(
            f"{what} while a step is being recorded{users_line()}: a replay would not make it "
            "again. Make it before the step, or give it to the step as an argument"
        )

    def finish(self, outputs: Sequence[Tensor]) -> Program:
        """The program, once the step has returned these tensors."""
        program = self.program
        program.outputs = [self.value(x) for x in outputs]
        for leaf in self.leaves:
            if leaf in program.assigned:
                leaf.grad = None  # it has done its work, and a replay leaves none
            elif leaf.grad is not None:
                program.gradients[leaf] = self.value(leaf.grad)
        return program


def record(step: Callable[..., Any], *arguments: Tensor) -> Program:
    """Run ``step`` once and return what it did. Reading a value in it is a ``RecordingError``."""
    recording = Recording(arguments)
    with config.listen(recording):
        out = step(*arguments)
    return recording.finish(tensors_in(out))


def tensors_in(tree: Any) -> list[Tensor]:
    """The tensors in nested tuples, lists and dicts, in order."""
    if isinstance(tree, Tensor):
        return [tree]
    inner = (
        tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list | tuple) else ()
    )
    return [x for item in inner for x in tensors_in(item)]


def users_line() -> str:
    """ " (file, line N)" of the innermost caller outside tensorgraph and its built-in plugins."""
    frame = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(OURS):
        frame = frame.f_back  # type: ignore[assignment]  # None ends the loop
    return f" ({frame.f_code.co_filename}, line {frame.f_lineno})" if frame else ""
