"""``compile``: a step recorded on its first call and replayed on those that follow."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from tensorgraph import config
from tensorgraph.backend import ABSTRACT, Backend
from tensorgraph.discovery import PLUGINS
from tensorgraph.errors import RecordingError
from tensorgraph.layer import Parameter
from tensorgraph.program import Program, Runner
from tensorgraph.tensor import Tensor
from tensorgraph_walks.interpret import Interpreter
from tensorgraph_walks.record import Recording, tensors_in
from tensorgraph_walks.simplify import simplified

LIMIT = 16  # plans of one step
PLAIN = (bool, int, float, str, type(None))


class Guard(NamedTuple):
    """A setting of an object that the recorded step has read: while it stays, the plan holds."""

    thing: Any
    name: str
    value: Any  # the class Tensor stands for any tensor

    def holds(self) -> bool:
        found = getattr(self.thing, self.name, None)
        if isinstance(found, Tensor):
            return self.value is Tensor
        return found is self.value or bool(found == self.value)


class Plan:
    """One recording of a step, ready to be replayed. ``print`` it to read it."""

    def __init__(self, program: Program, backend: Backend, guards: list[Guard], tree: Any) -> None:
        self.program = program
        self.backend = backend
        self.guards = guards
        self.tree = tree
        self.runner = _runner(program, backend)
        self._made = [value.spec.dtype for _, values in program.hosts for value in values]
        self._specs = [value.spec for value in (*program.outputs, *program.gradients.values())]

    def holds(self) -> bool:
        for guard in self.guards:
            thing, name, value = guard
            if getattr(thing, name, None) is not value and not guard.holds():
                return False
        return True

    def replay(self, arguments: Sequence[Tensor]) -> Any:
        """Run the plan; returns what the step returned, with new values."""
        program, backend = self.program, self.backend
        numbers = [x for make, _ in program.hosts for x in make()]
        hosts = [backend.asarray(x, dtype) for x, dtype in zip(numbers, self._made, strict=True)]
        arrays = self.runner.run([x.data for x in arguments], hosts)
        made = [Tensor(x, backend, spec) for x, spec in zip(arrays, self._specs, strict=True)]
        for x in program.assigned:
            x.version += 1
        for leaf, g in zip(program.gradients, made[len(program.outputs) :], strict=True):
            leaf.grad = g
        return _rebuilt(self.tree, iter(made))

    def __str__(self) -> str:
        return str(self.runner)


class Compiled:
    """A step that is recorded once for each signature, then replayed. ``plans`` has them all."""

    def __init__(self, step: Callable[..., Any]) -> None:
        functools.update_wrapper(self, step)
        self.step = step
        self.plans: dict[Any, list[Plan]] = {}

    @property
    def plan(self) -> Plan:
        """The plan that was made last."""
        if not self.plans:
            raise RecordingError("there is no plan yet: call the step once")
        return [plan for plans in self.plans.values() for plan in plans][-1]

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        settings = config.current()
        tensors: list[Tensor] = []
        key = (_signature((arguments, options), tensors), settings)
        if settings.listener is not None or ABSTRACT in [x.backend for x in tensors]:
            return self.step(*arguments, **options)  # somebody listens, or a model is being shaped
        try:
            plans = self.plans.get(key, ())
        except TypeError as error:
            raise RecordingError(
                f"compile: an argument that is no tensor tells steps apart, and {error}; wrap "
                "arrays: tg.tensor(x)"
            ) from None
        for plan in plans:
            if plan.holds():
                return plan.replay(tensors)
        return self._record(key, tensors, arguments, options)

    def _record(self, key: Any, tensors: list[Tensor], arguments: Any, options: Any) -> Any:
        if sum(map(len, self.plans.values())) >= LIMIT:
            raise RecordingError(self._too_many(key))
        recording = Recording(tensors)
        with config.listen(recording):
            out = self.step(*arguments, **options)
        program = recording.finish(tensors_in(out))
        backend = _backend(program, tensors)
        guards = _guards(recording, program)
        plan = Plan(simplified(program), backend, guards, _template(out))
        self.plans.setdefault(key, []).append(plan)
        return out

    def _too_many(self, key: Any) -> str:
        name = getattr(self, "__name__", "the step")
        what = f"compile: {LIMIT} plans were made for {name}, and this call fits none of them: "
        guards = [guard for plan in self.plans.get(key, ()) for guard in plan.guards]
        changed = [f"{type(g.thing).__name__}.{g.name}" for g in guards if not g.holds()]
        if changed:
            what += f"{', '.join(dict.fromkeys(changed))} changes all the time. Keep it as it is"
        else:
            what += "its shapes, dtypes or numbers change all the time. Pad to a few shapes, give "
            what += "numbers as tensors"
        return f"{what}, or leave this step uncompiled"


def _signature(tree: Any, tensors: list[Tensor]) -> Any:
    """What tells arguments apart for which different plans are made; collects their tensors."""
    if isinstance(tree, Tensor):
        tensors.append(tree)
        return tree.spec, tree.backend.name, tree.node is None
    if isinstance(tree, list | tuple):
        return type(tree), *[_signature(x, tensors) for x in tree]
    if isinstance(tree, dict):
        return tuple([(name, _signature(x, tensors)) for name, x in tree.items()])
    return type(tree), tree


def _template(tree: Any) -> Any:
    """What the step returned, with None in the place of each tensor, marked as such."""
    if isinstance(tree, Tensor):
        return Tensor
    if isinstance(tree, dict):
        return {name: _template(x) for name, x in tree.items()}
    if isinstance(tree, list | tuple):
        inner = [_template(x) for x in tree]
        return type(tree)(*inner) if hasattr(tree, "_fields") else type(tree)(inner)
    return tree


def _rebuilt(tree: Any, made: Any) -> Any:
    if tree is Tensor:
        return next(made)
    if isinstance(tree, dict):
        return {name: _rebuilt(x, made) for name, x in tree.items()}
    if isinstance(tree, list | tuple):
        inner = [_rebuilt(x, made) for x in tree]
        return type(tree)(*inner) if hasattr(tree, "_fields") else type(tree)(inner)
    return tree


def _backend(program: Program, arguments: Sequence[Tensor]) -> Backend:
    found = next(iter((*arguments, *program.state.values(), *program.constants.values())), None)
    return found.backend if found is not None else config.get_backend()


def _guards(recording: Recording, program: Program) -> list[Guard]:
    """What must stay as it was for the plan to hold: the settings of the layers that ran and of
    optimizers, which parameters are frozen, and whether there are gradients to add to."""
    guards = []
    for layer in recording.layers:
        guards.append(Guard(layer, "training", layer.training))
    for thing, free in [
        *((layer, ("training",)) for layer in recording.layers),
        *recording.owners.items(),
    ]:
        held = {name: x for name, x in vars(thing).items() if name not in free and _plain(x)}
        guards += [Guard(thing, name, x) for name, x in held.items()]
    for x in program.state.values():
        if isinstance(x, Parameter):
            guards += [Guard(x, "_frozen", x._frozen), Guard(x, "backend", x.backend)]
        elif x not in program.assigned:
            guards.append(Guard(x, "requires_grad", x.requires_grad))
    for leaf, found in recording.leaves.items():
        if found is not None:
            guards.append(Guard(leaf, "grad", Tensor if found else None))
    return guards


def _plain(value: Any) -> bool:
    return isinstance(value, PLAIN) or (isinstance(value, tuple) and all(map(_plain, value)))


def _runner(program: Program, backend: Backend) -> Runner:
    """The compiler that a plugin offers for the backend, the backend's own, or the interpreter."""
    for compiler in PLUGINS.compilers_for(backend):
        runner: Runner | None = compiler(program, backend)
        if runner is not None:
            return runner
    return Interpreter(program, backend)
