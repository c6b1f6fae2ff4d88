"""What a compiled training step on a GPU consists of, counted from its plan without one: tasks,
nodes of the CUDA graph, bytes and floating-point operations. None of these is a time."""

from __future__ import annotations

import dataclasses
import functools
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tensorgraph_cupy.plan.chains import Chained, Together
from tensorgraph_cupy.plan.tasks import Task
from tensorgraph_walks.summary import flops_of_call

import tensorgraph as tg
from bench.compare.libraries.ours import MODELS, train_step
from bench.compare.program import Request
from bench.compare.workloads import WORKLOADS, Workload
from bench.cuda.counts import of_task
from bench.cuda.described import DescribedBackend, Node, blank, described
from bench.cuda.workloads import RESNET50

PRECISIONS = ("float32", "bfloat16")  # tf32 stores what float32 does
ACCOUNTED = (
    *(WORKLOADS[name] for name in ("tiny", "mlp", "lenet5", "simple_cnn")),
    *(dataclasses.replace(WORKLOADS[name], batch=128) for name in ("vgg_small", "resnet18")),
    RESNET50,
)
PAGE = Path(__file__).resolve().parents[2] / "docs" / "gpu.md"
SHOWN = (("lenet5", "float32"), ("resnet50", "bfloat16"))  # kind by kind on the page
BEGIN, END = "<!-- account: begin -->", "<!-- account: end -->"


class Row(NamedTuple):
    """Tasks of one kind, or all of a step, and what they do together.

    ``nodes`` are launches, copies, fills and calls of libraries, of which ``library`` are the
    last, which may be several launches each. Of what a task reads and writes each element counts
    once, in bytes as it is stored.
    """

    kind: str
    tasks: int
    nodes: int
    library: int
    read: int
    written: int
    flops: int

    def __add__(self, other: Any) -> Row:
        numbers = (a + b for a, b in zip(self[1:], other[1:], strict=True))
        return Row(self.kind, *numbers)


class Account(NamedTuple):
    """A step: its kinds of tasks, the largest in bytes first, and what its memory is for."""

    workload: Workload
    precision: str
    rows: tuple[Row, ...]
    memory: dict[str, int]

    @property
    def arena(self) -> int:
        """Bytes of the values that live in between."""
        return self.memory["values in between"]

    @property
    def total(self) -> Row:
        return sum(self.rows, Row("all", 0, 0, 0, 0, 0, 0))


@functools.cache
def account(workload: Workload, precision: str = "float32") -> Account:
    """Record and plan a training step in its full size, on a GPU that is only described."""
    with described() as backend, tg.use(precision=precision):
        tg.seed(0)
        model = MODELS[workload.name](lambda p: p)
        model.infer_shape(tg.Spec((2, *workload.shape), "float32"))
        model.train()
        step = tg.compile(train_step(Request(workload, {}, "", 1, train=True), model))
        step(*[tg.tensor(x) for x in _batch(workload)])
        return _counted(workload, precision, step.plan.runner, backend)


def _batch(workload: Workload) -> Iterable[Any]:
    """Inputs and targets without values."""
    yield blank((workload.batch, *workload.shape), "float32")
    if workload.loss == "mse":
        yield blank((workload.batch, workload.outputs), "float32")
    else:
        yield blank((workload.batch,), "int64")


def _counted(workload: Workload, precision: str, plan: Any, backend: DescribedBackend) -> Account:
    found: dict[str, Row] = {}
    for task in plan.planner.tasks:
        row = _row(task, plan, _nodes(backend, task, plan))
        found[row.kind] = found[row.kind] + row if row.kind in found else row
    if plan.places.copies:
        moved = sum(plan.places.bytes_of(x) for x, _ in plan.places.copies)
        count = len(plan.places.copies)
        found["new values copied"] = Row("new values copied", 0, count, 0, moved, moved, 0)
    rows = sorted(found.values(), key=lambda row: -(row.read + row.written))
    return Account(workload, precision, tuple(rows), dict(plan.places.sizes))


def _nodes(backend: DescribedBackend, task: Task, plan: Any) -> list[Node]:
    launch = task.bind(plan.places)  # which may copy a table, once and for all
    nodes = backend.gpu.nodes
    nodes.clear()
    launch(plan.device)
    return list(nodes)


def _row(task: Task, plan: Any, nodes: Sequence[Node]) -> Row:
    calls = sum(node.kind == "library" for node in nodes)
    read, written = of_task(task, plan)
    flops = sum(flops_of_call(call) for call in task.calls)
    return Row(kind_of(task), 1, len(nodes), calls, read, written, flops)


def kind_of(task: Task) -> str:
    """What a row of the table stands for."""
    if isinstance(task, Together):
        casts = {call.op.name for call in task.calls} == {"cast"}
        return "casts of parameters" if casts else "update of all parameters"
    if isinstance(task, Chained):
        return "sums" if task.sums else "elementwise"
    return NAMES.get(task.name, task.name)


NAMES = {
    "matmul": "products",
    "conv": "convolutions",
    "conv_input": "convolutions, images' gradient",
    "conv_weight": "convolutions, filters' gradient",
    "laid": "copies into another layout or dtype",
    "reshape": "copies into another layout or dtype",
    "max_pool_input": "max_pool's gradient",
    "avg_pool_input": "avg_pool's gradient",
    "drop": "dropout",
}


def accounts() -> list[Account]:
    return [account(w, precision) for w in ACCOUNTED for precision in PRECISIONS]


# tables


def overview(found: Sequence[Account]) -> str:
    """A line for each step."""
    head = ("step", "batch", "stored as", *COUNTS, "arena, MB")
    lines = [
        (a.workload.title, f"{a.workload.batch}", a.precision, *_counts(a.total), _mega(a.arena))
        for a in found
    ]
    return _markdown([head, *lines], 3)


def by_kind(found: Account) -> str:
    """A line for each kind of task of a step."""
    lines = [(row.kind, *_counts(row)) for row in (*found.rows, found.total)]
    return _markdown([("kind of task", *COUNTS), *lines], 1)


COUNTS = ("tasks", "nodes", "of libraries", "read, MB", "written, MB", "GFLOP")


def _counts(row: Row) -> tuple[str, ...]:
    moved = (_mega(row.read), _mega(row.written))
    return f"{row.tasks}", f"{row.nodes}", f"{row.library}", *moved, _short(row.flops / 1e9)


def _mega(size: int) -> str:
    return _short(size / 1e6)


def _short(x: float) -> str:
    """Three digits, or all of those before the point."""
    return f"{x:,.0f}" if x >= 100 else f"{x:.3g}"


def _markdown(lines: Sequence[Sequence[str]], words: int) -> str:
    """A table whose first columns are words, and the others numbers."""
    head, *rest = (f"| {' | '.join(cells)} |" for cells in lines)
    rule = "|".join("---" if i < words else "---:" for i in range(len(lines[0])))
    return "\n".join([head, f"|{rule}|", *rest])


def text(found: Sequence[Account], detailed: Callable[[Account], bool]) -> str:
    """The overview, and kind by kind those steps of which more is wanted."""
    parts = [overview(found)]
    for each in filter(detailed, found):
        work = each.workload
        parts += [f"{work.title}, batch {work.batch}, {each.precision}:", by_kind(each)]
    return "\n\n".join(parts)


def page(found: Sequence[Account]) -> str:
    """What docs/gpu.md shows."""
    return text(found, lambda a: (a.workload.name, a.precision) in SHOWN)


def main(how: str = "--print") -> None:
    """Print all tables, or ("--write") put those of the page into it."""
    found = accounts()
    if how != "--write":
        print(text(found, lambda _: True))
        return
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n{page(found)}\n{END}{after}", "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
