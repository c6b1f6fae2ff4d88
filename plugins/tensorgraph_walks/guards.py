"""What a recorded step relies on besides tensors: settings that must be as they were then."""

from __future__ import annotations

import dis
import keyword
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import CodeType, FunctionType, MethodType
from typing import Any, NamedTuple

from tensorgraph.layer import Layer, Parameter, State
from tensorgraph.op import Op
from tensorgraph.optimizer import Optimizer
from tensorgraph.program import Program
from tensorgraph.tensor import Tensor
from tensorgraph_walks.record import Recording

PLAIN = (bool, int, float, str, type(None))
PARTS = (Layer, Op, State, FunctionType, list, dict, tuple)  # of a layer: must stay the same
READ = (Layer, Op, Optimizer, Tensor, FunctionType)  # by name, from outside a function: likewise


class Guard(NamedTuple):
    """A setting of an object that the recorded step has read: while it stays, the plan holds."""

    thing: Any
    name: str
    value: Any  # the class Tensor stands for any tensor

    def holds(self) -> bool:
        found = getattr(self.thing, self.name, None)
        if found is self.value:
            return True
        if isinstance(found, Tensor):
            return self.value is Tensor
        return is_plain(self.value) and bool(found == self.value)

    def __str__(self) -> str:
        named = isinstance(self.thing, Variable | Paces)
        return str(self.thing) if named else f"{type(self.thing).__name__}.{self.name}"


class Variable:
    """What a function reads from outside itself: in a cell of its closure, or in its globals."""

    def __init__(self, function: FunctionType, name: str, held: Any) -> None:
        self.function, self.name, self.held = function.__name__, name, held

    @property
    def value(self) -> Any:
        try:
            return self.held[self.name] if isinstance(self.held, dict) else self.held.cell_contents
        except (KeyError, ValueError):  # it was deleted
            return None

    def __str__(self) -> str:
        return f"{self.name} in {self.function}()"


def watch(guards: Iterable[Guard]) -> Callable[[], bool]:
    """A function that says whether everything is the very object that it was; where it says no,
    each guard has the last word. It is one expression, written for these guards: an engine's
    smallest steps take 30 us, and 50 guards one by one took 5 of them."""
    space: dict[str, Any] = {}
    terms = []
    for i, (thing, name, value) in enumerate(guards):
        if isinstance(thing, Variable):
            thing, read = thing.held, f"t{i}[{thing.name!r}]"
            read = read if isinstance(thing, dict) else f"t{i}.cell_contents"
        else:
            plain = name.isidentifier() and not keyword.iskeyword(name)
            read = f"t{i}.{name}" if plain else f"getattr(t{i}, {name!r})"
        space |= {f"t{i}": thing, f"v{i}": value}
        terms.append(f"isinstance({read}, v{i})" if value is Tensor else f"{read} is v{i}")
    exec(f"def same():\n    return {' and '.join(terms) or True}", space)
    same: Callable[[], bool] = space["same"]
    return same


class Paces:
    """Which parameters of an optimizer have had as many updates: those share their numbers."""

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer
        self.moved: Any = None
        self.counted: tuple[int, ...] = ()

    @property
    def value(self) -> tuple[int, ...]:
        """For each parameter that is not frozen, which is the first with as many. Looked up anew
        when the last step was not one of those that moved the same ones."""
        found = self.optimizer
        if found.last_moved is not self.moved:
            pairs = zip(found.updates, found.parameters, strict=True)
            counts = [n for n, p in pairs if p.requires_grad]
            self.moved, self.counted = found.last_moved, tuple([counts.index(n) for n in counts])
        return self.counted

    def __str__(self) -> str:
        return f"{type(self.optimizer).__name__}.updates"


def is_plain(value: Any) -> bool:
    return isinstance(value, PLAIN) or (isinstance(value, tuple) and all(map(is_plain, value)))


def before(step: Any, arguments: Any) -> list[Guard]:
    """Guards on what the step's own code reads by name: variables from outside it, those of
    functions that it calls by name, and attributes of the object that it is a method of."""
    found = []
    for function in _functions(step):
        for variable in _variables(function):
            value = variable.value
            if is_plain(value) or isinstance(value, READ):
                found.append(Guard(variable, "value", value))
    function = getattr(step, "__func__", step)
    names = {name for code in _codes(function) for name in code.co_names}
    owners = [step.__self__] if isinstance(step, MethodType) else []
    for owner in (*owners, *arguments):
        if not isinstance(owner, READ) and hasattr(owner, "__dict__"):
            found += _settings(owner, vars(owner), names, READ)
    return found


def after(recording: Recording, program: Program) -> list[Guard]:
    """Guards on what was recorded: the settings of the layers that ran and of optimizers, which
    parameters are frozen, and whether there are gradients to add to."""
    found = []
    for layer, (training, _) in recording.layers.items():
        found.append(Guard(layer, "training", training))
    for layer, (_, settings) in recording.layers.items():
        settings = vars(layer) if settings is None else settings
        found += _settings(layer, settings, settings.keys() - {"training"}, PARTS)
    for owner, (free, settings) in recording.owners.items():
        found += _settings(owner, settings, settings.keys() - {*free}, (list,))
        paces = Paces(owner)
        found.append(Guard(paces, "value", paces.value))
    for x in program.state.values():
        if isinstance(x, Parameter):
            found += [Guard(x, "_frozen", x._frozen), Guard(x, "backend", x.backend)]
        elif x not in program.assigned:
            found.append(Guard(x, "requires_grad", x.requires_grad))
    for leaf, gradient in recording.leaves.items():
        if gradient is not None:
            found.append(Guard(leaf, "grad", Tensor if gradient else None))
    return found


def _settings(
    owner: Any, settings: Mapping[str, Any], names: Any, kinds: tuple[type, ...]
) -> list[Guard]:
    """Guards on plain attributes, which must stay equal, and on objects of these kinds."""
    return [
        Guard(owner, name, value)
        for name, value in settings.items()
        if name in names and (is_plain(value) or isinstance(value, kinds))
    ]


def _functions(step: Any) -> Iterator[FunctionType]:
    """A function, and those that it calls by their names, as far as they are the user's."""
    waiting, seen = [getattr(step, "__func__", step)], set()
    while waiting:
        function = waiting.pop()
        ours = str(getattr(function, "__module__", None)).startswith("tensorgraph")
        if not isinstance(function, FunctionType) or ours or function in seen:
            continue
        seen.add(function)
        yield function
        waiting += [variable.value for variable in _variables(function)]


def _variables(function: FunctionType) -> list[Variable]:
    cells = zip(function.__code__.co_freevars, function.__closure__ or ())
    found = [Variable(function, name, cell) for name, cell in cells]
    read = {
        instruction.argval
        for code in _codes(function)
        for instruction in dis.get_instructions(code)
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME")
    }
    here = function.__globals__
    return found + [Variable(function, name, here) for name in sorted(read & here.keys())]


def _codes(function: Any) -> Iterator[CodeType]:
    """The function's code, and that of functions and comprehensions within it."""
    waiting = [getattr(function, "__code__", None)]
    while waiting:
        code = waiting.pop()
        if isinstance(code, CodeType):
            yield code
            waiting += code.co_consts
