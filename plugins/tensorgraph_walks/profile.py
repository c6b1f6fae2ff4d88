"""Where the time of a compiled step goes, task by task, and how far that is from what the machine
can do."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from tensorgraph import Spec
from tensorgraph.errors import ConfigError, RecordingError
from tensorgraph.program import Inspected, Limits, Outline, Task, Timings, Value
from tensorgraph_walks.listing import Names, ops_of, params_of
from tensorgraph_walks.listing import size as size_of
from tensorgraph_walks.summary import flops_of_call

if TYPE_CHECKING:
    from tensorgraph_walks.compiled import Plan

OUTSIDE = "outside kernels: hand-off, Python"
SMALL = 1 << 18  # bytes of a value that is taken to be in the cache
LARGEST = 1 << 27  # bytes: what takes more lies in memory as this does
SHOWN, MOST = 0.98, 30  # of the time of all tasks, at most so many: the rows that are printed
BRIEF = 2e-3  # seconds: steps that take less are shown in microseconds
TASK, KERNELS = 46, 22  # characters
NOTE = """\
A task is at its limit if it takes as long as its operations do at best, or as reading and writing
each of its values once, whichever is longer; pieces, and values up to 256 KiB, are taken to lie in
the cache. A convolution counts as a direct one, also where Winograd's way multiplies less and goes
beyond 100%."""


class Row(NamedTuple):
    """One task: its number in the outline and its stage, its kernels and how often a step calls
    them, its time and what it does in that time. ``limit`` is the share of the machine's limit."""

    number: int
    stage: int
    task: Task
    title: str
    kernels: Mapping[str, int]
    seconds: float
    flops: int
    bytes: int
    limit: float

    @property
    def calls(self) -> int:
        return sum(self.kernels.values())


@dataclasses.dataclass(frozen=True, repr=False)
class Profile:
    """The time of a step. ``print`` it for a table.

    rows    a row for each task, the longest first
    other   what else takes time → seconds
    seconds of a step
    size    bytes of the values that are taken to lie outside a core's cache, up to a power of two
    """

    rows: tuple[Row, ...]
    other: Mapping[str, float]
    seconds: float
    steps: int
    threads: int
    dtype: str
    size: int
    limits: Limits

    def __str__(self) -> str:
        unit = "ms" if self.seconds >= BRIEF else "µs"
        table: list[tuple[str, ...]] = [
            (unit, "%", "calls", "GFLOP/s", "GB/s", "limit", "task", "kernels")
        ]
        shown = self._shown()
        table += [self._cells(row) for row in shown]
        if rest := self.rows[len(shown) :]:
            seconds, calls = sum(row.seconds for row in rest), sum(row.calls for row in rest)
            what = f"{len(rest)} more task{'s' * (len(rest) > 1)}"
            table.append((*self._time(seconds), f"{calls}", "", "", "", what, ""))
        for what, seconds in self.other.items():
            table.append((*self._time(seconds), "", "", "", "", what, ""))
        calls = sum(row.calls for row in self.rows)
        table.append((*self._time(self.seconds), f"{calls}", "", "", "", "a step", ""))
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = []
        for cells in table:
            right = [cell.rjust(width) for cell, width in zip(cells[:6], widths[:6], strict=True)]
            left = [cell.ljust(width) for cell, width in zip(cells[6:], widths[6:], strict=True)]
            lines.append("  ".join(right + left).rstrip())
        best = self.limits
        lines += [
            "",
            f"The mean of the middle half of {self.steps} steps; threads: {self.threads}. With as "
            f"many the machine does at best {best.flops / 1e9:.0f}",
            f"GFLOP/s in {self.dtype}, {best.cache / 1e9:.0f} GB/s in a core's cache and "
            f"{best.memory / 1e9:.0f} GB/s in {size_of(self.size)}, as much as the",
            "plan's large values take.",
            NOTE,
        ]
        return "\n".join(lines)

    __repr__ = __str__

    def _shown(self) -> list[Row]:
        """The rows that make up nearly all of the time of all tasks."""
        wanted = sum(row.seconds for row in self.rows) * SHOWN
        shown: list[Row] = []
        for row in self.rows[:MOST]:
            if wanted <= 0:
                break
            wanted -= row.seconds
            shown.append(row)
        return shown

    def _time(self, seconds: float) -> tuple[str, str]:
        shown = f"{seconds * 1e3:.3f}" if self.seconds >= BRIEF else f"{seconds * 1e6:.1f}"
        return shown, f"{100 * seconds / self.seconds:.1f}"

    def _cells(self, row: Row) -> tuple[str, ...]:
        rates = [x / row.seconds / 1e9 if row.seconds else 0.0 for x in (row.flops, row.bytes)]
        names = ", ".join(row.kernels)
        return (
            *self._time(row.seconds),
            f"{row.calls}",
            *(f"{x:.1f}" for x in rates),
            f"{100 * row.limit:.0f}%",
            _cut(row.title, TASK),
            _cut(names, KERNELS),
        )


def profile(plan: Plan, steps: int = 20) -> Profile:
    """Run a plan ``steps`` times, and once before, and take the time of every task.

    It runs on the arguments of its last run, with the same numbers of the host's (random keys, the
    learning rate), which are not asked for again; tensors and gradients are left as they were.

    ``RecordingError`` where the plan does not fit the step any more, or does not tell its parts.
    """
    runner = plan.runner
    if steps < 1:
        raise ConfigError(f"profile: steps is {steps}; give a number from 1 on")
    if not isinstance(runner, Inspected):
        raise RecordingError(
            f"profile: {type(runner).__name__} does not tell its parts; give it the methods of "
            "tensorgraph.program.Inspected"
        )
    if not plan.holds():
        changed = dict.fromkeys(str(guard) for guard in plan.guards if not guard.holds())
        raise RecordingError(
            f"profile: {', '.join(changed)} changed since the plan was made; run the step again, "
            "and take the plan of that"
        )
    with _as_before(plan) as grads:

        def replay() -> None:
            for leaf, grad in grads.items():
                leaf.grad = grad
            plan.holds()
            plan.run(*plan.given)

        timings = runner.timings(replay, steps)
    outline = plan.outline()
    dtype = _main_dtype(outline)
    size = _far(outline)
    best = runner.limits(dtype, size)
    seconds, spent = _average(timings)
    rows = _rows(outline, timings, spent, best)
    other = {what: x for what, x in spent.items() if isinstance(what, str)}
    other[OUTSIDE] = seconds - sum(spent.values())
    return Profile(rows, other, seconds, steps, outline.threads, dtype, size, best)


@contextmanager
def _as_before(plan: Plan) -> Iterator[dict[Any, Any]]:
    """What a run changes besides the values of tensors, put back afterwards; yields the
    gradients."""
    program = plan.program
    versions = {x: x.version for x in program.assigned}
    leaves = (*program.gradients, *program.added, *plan.cleared)
    grads = {leaf: leaf.grad for leaf in leaves}
    try:
        yield grads
    finally:
        for x, version in versions.items():
            x.version = version
        for leaf, grad in grads.items():
            leaf.grad = grad


def _average(timings: Timings) -> tuple[float, Mapping[int | str, float]]:
    """The seconds of a step and of its parts: the mean over the half of the steps whose times lie
    in the middle. Its parts add up as those of each step do, and what came between is left out."""
    order = sorted(range(len(timings.runs)), key=timings.runs.__getitem__)
    quarter = len(order) // 4
    middle = order[quarter : len(order) - quarter]
    total: dict[int | str, float] = {}
    for i in middle:
        for part, seconds in timings.spent[i].items():
            total[part] = total.get(part, 0.0) + seconds / len(middle)
    return sum(timings.runs[i] for i in middle) / len(middle), total


def _rows(
    found: Outline, timings: Timings, spent: Mapping[int | str, float], best: Limits
) -> tuple[Row, ...]:
    names = Names(found)
    stages = [i for i, stage in enumerate(found.stages) for _ in stage.tasks]
    rows = []
    for number, task in enumerate(found.tasks):
        seconds = spent.get(number, 0.0)
        flops = sum(map(flops_of_call, task.calls))
        cached, far = _moved(found, task)
        least = max(flops / best.flops, cached / best.cache + far / best.memory)
        rows.append(
            Row(
                number=number,
                stage=stages[number],
                task=task,
                title=_title(task, names),
                kernels=timings.kernels.get(number, {}),
                seconds=seconds,
                flops=flops,
                bytes=cached + far,
                limit=least / seconds if seconds else 0.0,
            )
        )
    return tuple(sorted(rows, key=lambda row: -row.seconds))


def _title(task: Task, names: Names) -> str:
    """ "~y5 +y6 = add relu 64×6×28×28"."""
    made = " ".join(names[x] for x in task.outputs)
    if len(task.calls) > 1:
        return f"{made} = {ops_of(task)}"
    (call,) = task.calls
    name = call.op.name if task.name == "chain" else task.name
    shape = "×".join(map(str, call.out.spec.shape))
    return " ".join(filter(None, [f"{made} = {name}", params_of(call), shape]))


def _moved(found: Outline, task: Task) -> tuple[int, int]:
    """The bytes of what a task reads and writes, each once: in the cache, and in memory."""
    values: dict[Value, None] = {}
    for value in (*task.inputs, *task.outputs):
        while value in found.views:
            value = found.views[value]
        values[value] = None
    cached = far = 0
    for value in values:
        count = bytes_of(value.spec)
        if value in found.pieces or count <= SMALL:
            cached += count
        else:
            far += count
    return cached, far


def _far(found: Outline) -> int:
    """The bytes of all values outside the cache, up to a power of two."""
    given = [*found.program.arguments, *found.program.state]
    made = [x for task in found.tasks for x in task.outputs if x not in found.pieces]
    sizes = (bytes_of(x.spec) for x in (*given, *made))
    total = sum(size for size in sizes if size > SMALL)
    return min(LARGEST, 1 << max(2 * SMALL - 1, total - 1).bit_length())


def bytes_of(spec: Spec) -> int:
    """The size of an array: "int64" has 8 bytes an element, "bool" one."""
    bits = "".join(letter for letter in spec.dtype if letter.isdigit())
    return spec.size * int(bits or 8) // 8


def _main_dtype(found: Outline) -> str:
    """The floating-point type of most numbers."""
    sizes: Counter[str] = Counter()
    for call in found.program.calls:
        sizes[call.out.spec.dtype] += call.out.spec.size
    return max(("float32", "float64"), key=sizes.__getitem__)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"
