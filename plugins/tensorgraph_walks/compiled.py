"""``compile``: a step recorded on its first call and replayed on those that follow."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tensorgraph import config
from tensorgraph.backend import ABSTRACT, Backend
from tensorgraph.discovery import PLUGINS
from tensorgraph.errors import RecordingError
from tensorgraph.program import Inspected, Outline, Program, Runner
from tensorgraph.tensor import Node, Tensor
from tensorgraph_walks.guards import Guard, after, before, is_plain, watch
from tensorgraph_walks.interpret import Interpreter, as_recorded
from tensorgraph_walks.listing import listing
from tensorgraph_walks.record import Recording, tensors_in
from tensorgraph_walks.simplify import simplified

LIMIT = 16  # plans of one step
SEQUENCES = (list, tuple)

_running = threading.RLock()  # plans write into memory of their own, and of the tensors they share


class Plan:
    """One recording of a step, ready to be replayed. ``print`` it to read it."""

    def __init__(
        self,
        program: Program,
        backend: Backend,
        guards: list[Guard],
        cleared: list[Tensor],
        tree: Any,
    ) -> None:
        """``cleared``: leaves that are left without a gradient; ``tree``: what the step returns,
        the class Tensor in the place of each tensor."""
        self.program = program
        self.backend = backend
        self.guards = guards
        self._same = watch(guards)
        self.cleared = cleared
        self.tree = tree
        self.runner = _runner(program, backend)
        self.given: tuple[Sequence[Tensor], Sequence[Any]] = ((), ())  # to the last run
        self._dtypes = [value.spec.dtype for _, values in program.hosts for value in values]
        self._number = getattr(self.runner, "number", backend.asarray)
        self._last: tuple[list[Any], list[Any]] = [], []  # the host's numbers, and arrays of them
        self._specs = [value.spec for value in (*program.outputs, *program.gradients.values())]

    def holds(self) -> bool:
        try:
            if self._same():
                return True
        except (AttributeError, KeyError, ValueError):  # something was deleted
            pass
        return all(guard.holds() for guard in self.guards)

    def replay(self, arguments: Sequence[Tensor]) -> Any:
        """Run the plan; returns what the step returned, with new values."""
        numbers = [x for make, _ in self.program.hosts for x in make()]
        last, hosts = self._last
        if numbers != last:
            number, dtypes = self._number, self._dtypes
            hosts = [number(x, dtype) for x, dtype in zip(numbers, dtypes, strict=True)]
            self._last = numbers, hosts
        return self.run(arguments, hosts)

    def run(self, arguments: Sequence[Tensor], hosts: Sequence[Any]) -> Any:
        """Run the plan with these numbers of the host's."""
        program, backend = self.program, self.backend
        with _running:
            self.given = arguments, hosts
            arrays = self.runner.run([x.data for x in arguments], hosts)
        made = [Tensor(x, backend, spec) for x, spec in zip(arrays, self._specs, strict=True)]
        for x in program.assigned:
            x.version += 1
        for leaf in self.cleared:
            leaf.grad = None
        for leaf, g in zip(program.gradients, made[len(program.outputs) :], strict=True):
            leaf.grad = g
        return _rebuilt(self.tree, iter(made))

    def outline(self) -> Outline:
        """What runs: tasks in stages."""
        runner = self.runner
        return runner.outline() if isinstance(runner, Inspected) else as_recorded(self.program)

    def __str__(self) -> str:
        return listing(self.outline())

    def draw(
        self, path: str | Path | None = None, names: Mapping[str, Tensor] | None = None
    ) -> str:
        """The plan as a picture, SVG; written to a file where a path is given. ``names``: what
        tensors are called there, such as ``model.named_state()``."""
        svg: str = PLUGINS.walk("draw", self, names or {})
        if path is not None:
            Path(path).write_text(svg, "utf-8")
        return svg

    def profile(self, steps: int = 20) -> Any:
        """Where the time of a step goes: a table to print, with ``rows``. Runs the plan so many
        times on what it was given last, and leaves every tensor and gradient as it was."""
        return PLUGINS.walk("profile", self, steps=steps)


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

    def __get__(self, owner: Any, kind: Any = None) -> Any:
        """As a method of ``owner``."""
        return self if owner is None else functools.partial(self, owner)

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        settings = config.current()
        tensors: list[Tensor] = []
        key: tuple[Any, ...] = (_signature(arguments, tensors), settings)
        if options:
            key += (_signature(options, tensors),)
        if len({*map(id, tensors)}) < len(tensors):  # one tensor twice: another step
            ids = [*map(id, tensors)]
            key += tuple([ids.index(i) for i in ids])
        if settings.listener is not None:
            return self.step(*arguments, **options)  # it is recorded, or looked at, already
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
        if ABSTRACT in [x.backend for x in tensors]:  # a model is being shaped
            return self.step(*arguments, **options)
        return self._record(key, tensors, arguments, options)

    def _record(self, key: Any, tensors: list[Tensor], arguments: Any, options: Any) -> Any:
        if sum(map(len, self.plans.values())) >= LIMIT:
            raise RecordingError(self._too_many(key))
        for x in tensors:
            if isinstance(x.node, Node) and config.current().grad:
                raise RecordingError(
                    f"compile: an argument, {x.spec}, was made by op {x.node.op.name!r} before the "
                    "step, and a replay does not differentiate what came before; give x.detach(), "
                    "or make it in the step"
                )
        guards = before(self.step, [*arguments, *options.values()])
        recording = Recording(tensors)
        with config.listen(recording):
            out = self.step(*arguments, **options)
        tree, program = _template(out), recording.finish(tensors_in(out))
        del out  # and with it the graph: what it has saved and the plan's memory are large
        guards += after(recording, program)
        cleared = [leaf for leaf in recording.leaves if leaf not in program.gradients]
        backend = _backend(program, tensors)
        recording.undo()  # the plan does it, so that the first call gives the bits of all others
        drawn = recording.drawn
        del recording
        plan = Plan(simplified(program), backend, guards, cleared, tree)
        self.plans.setdefault(key, []).append(plan)
        return plan.run(tensors, drawn)

    def _too_many(self, key: Any) -> str:
        name = getattr(self, "__name__", "the step")
        what = f"compile: {LIMIT} plans were made for {name}, and this call fits none of them: "
        guards = [guard for plan in self.plans.get(key, ()) for guard in plan.guards]
        changed = [str(guard) for guard in guards if not guard.holds()]
        if changed:
            what += f"{', '.join(dict.fromkeys(changed))} changes all the time. Keep it as it is, "
            what += "give what changes to the step as a tensor"
        else:
            what += "its shapes, dtypes or numbers change all the time. Pad to a few shapes, give "
            what += "numbers as tensors"
        return f"{what}, or leave this step uncompiled"


def _signature(tree: Any, tensors: list[Tensor]) -> Any:
    """What tells arguments apart for which different plans are made; collects their tensors."""
    if isinstance(tree, Tensor):
        tensors.append(tree)
        return tree.spec, tree.backend.name, type(tree.node)
    if isinstance(tree, SEQUENCES):
        return type(tree), *[_signature(x, tensors) for x in tree]
    if isinstance(tree, dict):
        return tuple([(name, _signature(x, tensors)) for name, x in tree.items()])
    return type(tree), tree


def _template(tree: Any) -> Any:
    """What the step returned, with the class Tensor in the place of each tensor."""
    if isinstance(tree, Tensor):
        return Tensor
    if isinstance(tree, dict):
        return {name: _template(x) for name, x in tree.items()}
    if isinstance(tree, SEQUENCES):
        inner = [_template(x) for x in tree]
        return type(tree)(*inner) if hasattr(tree, "_fields") else type(tree)(inner)
    if not is_plain(tree):
        raise RecordingError(
            f"compile: the step returned {tree!r}, which a replay would not make anew; return "
            "tensors, and tuples, lists or dicts of them"
        )
    return tree


def _rebuilt(tree: Any, made: Any) -> Any:
    if tree is Tensor:
        return next(made)
    if isinstance(tree, dict):
        return {name: _rebuilt(x, made) for name, x in tree.items()}
    if isinstance(tree, SEQUENCES):
        inner = [_rebuilt(x, made) for x in tree]
        return type(tree)(*inner) if hasattr(tree, "_fields") else type(tree)(inner)
    return tree


def _backend(program: Program, arguments: Sequence[Tensor]) -> Backend:
    found = next(iter((*arguments, *program.state.values(), *program.constants.values())), None)
    return found.backend if found is not None else config.get_backend()


def _runner(program: Program, backend: Backend) -> Runner:
    """The first compiler for the backend that takes the program; else, and where ops are pinned to
    kernels, the interpreter."""
    if config.current().kernels:
        return Interpreter(program, backend)
    for compiler in PLUGINS.compilers_for(backend):
        runner: Runner | None = compiler(program, backend)
        if runner is not None:
            return runner
    return Interpreter(program, backend)
