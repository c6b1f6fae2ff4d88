"""A recorded step as a program: values, the calls that make them, and what stays of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

from tensorgraph.discovery import PLUGINS
from tensorgraph.op import Op
from tensorgraph.spec import Spec
from tensorgraph.tensor import Tensor

Step = TypeVar("Step", bound=Callable[..., Any])


class Value:
    """What a tensor holds at one point of the program."""

    __slots__ = ("spec",)

    def __init__(self, spec: Spec) -> None:
        self.spec = spec


@dataclasses.dataclass(eq=False)
class Call:
    """One op that runs."""

    op: Op[...]
    inputs: tuple[Value, ...]
    params: Mapping[str, Any]
    out: Value


@dataclasses.dataclass(eq=False)
class Program:
    """All that one run of a step did. ``print`` it to read it.

    arguments  the tensors that the step was called with
    state      tensors that were there before: parameters, buffers, an optimizer's memory
    constants  numbers that the step's own code holds
    hosts      (make, values): what ``make()`` returns anew in every run, such as a learning rate
    added      leaves → the gradient that was there before, which the step reads
    calls      in the order in which they ran
    assigned   tensors → what was written into them
    gradients  leaves → the gradient that a backward pass left there
    outputs    what the step returns
    """

    arguments: list[Value] = dataclasses.field(default_factory=list)
    state: dict[Value, Tensor] = dataclasses.field(default_factory=dict)
    constants: dict[Value, Tensor] = dataclasses.field(default_factory=dict)
    hosts: list[tuple[Callable[[], Sequence[Any]], list[Value]]] = dataclasses.field(
        default_factory=list
    )
    added: dict[Tensor, Value] = dataclasses.field(default_factory=dict)
    calls: list[Call] = dataclasses.field(default_factory=list)
    assigned: dict[Tensor, Value] = dataclasses.field(default_factory=dict)
    gradients: dict[Tensor, Value] = dataclasses.field(default_factory=dict)
    outputs: list[Value] = dataclasses.field(default_factory=list)

    def results(self) -> list[Value]:
        """What somebody reads after the program has run."""
        return [*self.outputs, *self.assigned.values(), *self.gradients.values()]

    def values(self) -> list[Value]:
        """All values: what is given, then what is computed."""
        hosts = [value for _, values in self.hosts for value in values]
        given = [*self.arguments, *self.state, *hosts, *self.added.values(), *self.constants]
        return [*given, *(call.out for call in self.calls)]

    def __str__(self) -> str:
        text: str = PLUGINS.walk("text", self)
        return text


class Runner(Protocol):
    """A program made ready to run on a backend."""

    def run(self, arguments: Sequence[Any], hosts: Sequence[Any]) -> list[Any]:
        """Run on these arrays, and on the host's numbers in arrays; write what the program
        assigns; return arrays that nobody else holds: its outputs, then its gradients.

        A runner may have a method ``number(x, dtype)``: replays then give it what that makes of the
        host's numbers, instead of arrays."""


class Task(NamedTuple):
    """Calls that a runner takes as one, such as a chain of elementwise ones: ``inputs`` are read
    from outside, ``outputs`` outside."""

    name: str
    calls: tuple[Call, ...]
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]


class Stage(NamedTuple):
    """Tasks that run one after the other, and on what: "pieces of 8 samples"."""

    what: str
    tasks: tuple[Task, ...]


@dataclasses.dataclass(eq=False)
class Outline:
    """What a runner has made of a program, for those who print it, draw it or take its time.

    program  as it runs: its calls may be others than those that were recorded
    stages   in the order in which they run
    threads  that share the work
    views    values that are others, seen in another shape → those
    pieces   values of which there is only a piece of the batch at a time
    sums     values of which every thread has a share, added up at the end of the stage
    written  new values of tensors that lie where the tensor's did → the value that it had
    memory   what it is for → bytes that the runner keeps
    """

    program: Program
    stages: Sequence[Stage]
    threads: int = 1
    views: Mapping[Value, Value] = dataclasses.field(default_factory=dict)
    pieces: Set[Value] = frozenset()
    sums: Set[Value] = frozenset()
    written: Mapping[Value, Value] = dataclasses.field(default_factory=dict)
    memory: Mapping[str, int] = dataclasses.field(default_factory=dict)

    @property
    def tasks(self) -> list[Task]:
        return [task for stage in self.stages for task in stage.tasks]


class Limits(NamedTuple):
    """What a machine does in a second with all threads of a plan: floating-point operations, and
    bytes read and written in a core's cache, and further away."""

    flops: float
    cache: float
    memory: float


class Timings(NamedTuple):
    """Where the time of some runs went.

    runs     the seconds that each took
    spent    in each: number of a task of the outline, or what else takes time → seconds of all
             threads, divided by how many share the stage
    kernels  number of a task → kernels → how often a run calls them
    """

    runs: Sequence[float]
    spent: Sequence[Mapping[int | str, float]]
    kernels: Mapping[int, Mapping[str, int]]


@runtime_checkable
class Inspected(Runner, Protocol):
    """A runner that says what it does."""

    def outline(self) -> Outline: ...

    def timings(self, replay: Callable[[], object], times: int) -> Timings:
        """Call ``replay``, which calls ``run``, so many times, and once before to warm up, and take
        the time of every task. The tensors that the program assigns are left as they were."""

    def limits(self, dtype: str, size: int) -> Limits:
        """Measured, once: ``size`` bytes are what does not lie in a core's cache."""


def compile(step: Step) -> Step:
    """The same function, recorded on the first call with arguments of each signature (shapes,
    dtypes, values that are no tensors, training mode) and replayed on the others by planned
    kernels, without a graph. Tensors and the settings of layers and optimizers that it reads are
    looked up again each time. A parameter that it updates is left without ``grad``. An error
    names the line where a step reads a tensor's value or makes a tensor from data.
    """
    compiled: Step = PLUGINS.walk("compile", step)
    return compiled
