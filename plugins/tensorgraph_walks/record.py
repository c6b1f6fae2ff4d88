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

    A tensor is known by itself: others may share its array, and hold something else tomorrow. Only
    what an op has computed is also known by its array, for a gradient rule is given another tensor
    on it.
    """

    def __init__(self, arguments: Sequence[Tensor]) -> None:
        self.program = Program()
        self.arguments = arguments
        # those that ran, in order → their mode, and their settings unless they were built just now
        self.layers: dict[Any, tuple[bool, dict[str, Any] | None]] = {}
        self.owners: dict[Any, tuple[tuple[str, ...], dict[str, Any]]] = {}  # → free, settings
        self.leaves: dict[Tensor, bool | None] = {}  # → whether a gradient was found; None: cleared
        self.drawn: list[Any] = []  # arrays of the host's numbers
        self._before: list[tuple[Tensor, str, Any]] = []  # what the step has changed
        self._tensors: dict[int, tuple[weakref.ref[Tensor], Value]] = {}
        self._arrays: dict[int, tuple[Any, Value]] = {}
        for x in arguments:
            value = Value(x.spec)
            self.program.arguments.append(value)
            self._know(x, value)

    def _know(self, x: Tensor, value: Value) -> None:
        self._tensors[id(x)] = (weakref.ref(x), value)

    def _know_array(self, array: Any, value: Value) -> None:
        try:
            seen: Any = weakref.ref(array)  # results are not kept alive
        except TypeError:  # a scalar of NumPy's
            seen = lambda: array  # noqa: E731
        self._arrays[id(array)] = (seen, value)

    def _find(self, x: Tensor) -> Value | None:
        tensor, value = self._tensors.get(id(x), (None, None))
        if tensor is None or tensor() is not x:
            array, value = self._arrays.get(id(x.data), (None, None))
            if array is None or array() is not x.data:
                return None
        return value

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
        self._know_array(out.data, value)

    def enter(self, layer: Any, x: Tensor) -> None:
        settings = dict(vars(layer)) if layer._ready else None
        self.layers.setdefault(layer, (layer.training, settings))

    def settings(self, owner: Any, free: tuple[str, ...]) -> None:
        self.owners.setdefault(owner, (free, dict(vars(owner))))

    def detach(self, x: Tensor, out: Tensor) -> None:
        self._know(out, self.value(x))

    def assign(self, x: Tensor, value: Tensor) -> None:
        self._not_an_argument(x, "is assigned", "return the new values")
        self.value(x)
        new = self.program.assigned[x] = self.value(value)
        self._before.append((x, "data", x.data))
        self._know(x, new)

    def clear(self, leaf: Tensor) -> None:
        self._found_gradient(leaf)
        self._before.append((leaf, "grad", leaf.grad))
        self.leaves.setdefault(leaf, None)

    def accumulate(self, leaf: Tensor) -> None:
        self._not_an_argument(
            leaf, "is given a gradient", "take it with tg.grad(loss, [x]) and return it"
        )
        self._before.append((leaf, "grad", leaf.grad))
        self.leaves.setdefault(leaf, leaf.grad is not None)
        if leaf.grad is not None and self._find(leaf.grad) is None:
            self.program.added[leaf] = value = Value(leaf.spec)
            self._know(leaf.grad, value)

    def _not_an_argument(self, x: Tensor, what: str, instead: str) -> None:
        if any(x is argument for argument in self.arguments):
            raise RecordingError(
                f"an argument of a recorded step, {x.spec}, {what}{users_line()}: a replay has "
                f"other arguments; {instead}"
            )

    def _found_gradient(self, leaf: Tensor) -> None:
        """A gradient from before the step is another tensor each time: not state, but the leaf's.
        Whoever reads it need not have met the leaf."""
        value = self._find(leaf.grad) if leaf.grad is not None else None
        if value is not None and self.program.state.pop(value, None) is not None:
            self.program.added[leaf] = value
            self.leaves.setdefault(leaf, True)

    def host(self, make: Callable[[], Sequence[Any]], tensors: Sequence[Tensor]) -> None:
        values = [Value(x.spec) for x in tensors]
        self.program.hosts.append((make, values))
        self.drawn += [x.data for x in tensors]
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
        for leaf in (*program.state.values(), *self.leaves):
            self._found_gradient(leaf)
        for leaf in self.leaves:
            if leaf in program.assigned:
                leaf.grad = None  # it has done its work, and a replay leaves none
            elif leaf.grad is not None:
                program.gradients[leaf] = self.value(leaf.grad)
        return program

    def undo(self) -> None:
        """Put back what the step has changed in tensors."""
        for x, name, value in reversed(self._before):
            setattr(x, name, value)


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
